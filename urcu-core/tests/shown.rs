//! What the core's types show, what its errors and reports say, and defaults.
#![cfg(not(urcu_loom))]

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use structure_conformance::{Mb, Tested, within_limit};
use urcu_core::space::Stop;
use urcu_core::{
    BarrierError, Flavor, FlushOnDrop, GracePeriod, InitError, Limits, Rcu, RcuArc, RcuArcCell, RcuBox, RefCount,
    RegisterError, Report, Thread, ThreadRecord, VtableError, WorkerBuilder, WorkerError,
};

/// Each says another thing, and none says nothing.
fn all_different(said: &[String]) {
    assert!(said.iter().all(|text| !text.is_empty()));
    assert_eq!(said.iter().collect::<HashSet<_>>().len(), said.len(), "{said:?}");
}

#[test]
fn errors_say_what_is_wrong() {
    let flavor = "urcu-mb";
    let init = [
        InitError::MembarrierMissing { errno: 38 },
        InitError::SignalTaken { signal: 10 },
        InitError::SignalAlreadyChosen { signal: 10 },
        InitError::SignalUnusable { signal: 9 },
        InitError::NoSegment,
        InitError::Refused { errno: 1 },
    ];
    all_different(&init.map(|error| error.to_string()));
    let worker = [
        WorkerError::NoThread { errno: 11 },
        WorkerError::Scheduling { errno: 1 },
        WorkerError::NoSuchCpu { cpu: 4096 },
        WorkerError::CpuTaken { cpu: 3 },
        WorkerError::InCallback { flavor },
    ];
    all_different(&worker.map(|error| error.to_string()));
    assert_eq!(worker[2].to_string(), "there is no processor 4096");
    let barrier = [BarrierError::InCallback { flavor }, BarrierError::Stuck { flavor }];
    all_different(&barrier.map(|error| error.to_string()));
    assert!(barrier.iter().all(|error| error.to_string().starts_with("urcu-mb: ")));
    let register = [
        RegisterError::AlreadyRegistered { flavor },
        RegisterError::ThreadExiting { flavor },
        RegisterError::OutOfMemory,
        RegisterError::NoExitKey { errno: 11 },
        RegisterError::Init(InitError::NoSegment),
    ];
    all_different(&register.map(|error| error.to_string()));
    assert_eq!(register.map(|error| error.source().is_some()), [false, false, false, false, true]);
    assert!(VtableError::Size { found: 8 }.to_string().contains("of 8 bytes"));
    let stops = [Stop::Link { name: 0x40 }, Stop::Endless, Stop::Nonsense];
    all_different(&stops.map(|stop| stop.to_string()));
}

#[test]
fn reports_say_who_and_where() {
    let (flavor, waited) = ("urcu-mb", Duration::from_millis(1500));
    let stopped = Report::ProcessStalls { flavor, pid: 7, name: None, tid: 8, stopped: true, waited };
    assert_eq!(
        stopped.to_string(),
        "urcu-mb: a grace period has been waiting 1.5 s for process 7 (?), thread 8, which is stopped"
    );
    let running = Report::ProcessStalls { flavor, pid: 7, name: Some("p".into()), tid: 8, stopped: false, waited };
    assert!(running.to_string().ends_with("for process 7 (p), thread 8"));
    let full = Report::RetireStalled { flavor, waited, items: 3, bytes: 96 };
    assert!(full.to_string().contains("3 calls (96 bytes) are deferred"));
    let alone = Report::NoWorker { flavor, error: WorkerError::NoThread { errno: 11 } };
    assert!(alone.to_string().ends_with(&WorkerError::NoThread { errno: 11 }.to_string()));
    let site = std::panic::Location::caller();
    let ended =
        Report::ThreadEndedInSection { flavor, tid: 8, name: None, nesting: 2, entered_at: Some(site), ended: true };
    assert!(ended.to_string().contains(&format!("nesting 2, entered at {site}")), "{ended}");
}

#[test]
fn values_show_themselves_and_handles_their_flavor() {
    within_limit("values_show_themselves_and_handles_their_flavor", || {
        let thread = Thread::<Mb>::register().expect("not registered yet");
        let name = Mb::NAME;
        assert_eq!(format!("{:?}", RcuBox::new(5)), "5");
        let arc = RcuArc::<_, Mb>::new("a");
        assert_eq!((format!("{arc:?}"), format!("{arc}")), ("\"a\"".to_owned(), "a".to_owned()));
        let cell = RcuArcCell::<u32, Mb>::new(5);
        {
            let guard = thread.read_lock();
            let reference = cell.load(&guard).expect("just stored");
            let copy = Clone::clone(&reference);
            assert_eq!((format!("{copy:?}"), *copy), ("5".to_owned(), 5));
        }
        let period = GracePeriod::<Mb>::start();
        let copy = Clone::clone(&period);
        assert!(format!("{copy:?}").starts_with(&format!("GracePeriod({name}, ")));
        assert_eq!(format!("{:?}", Mb::vtable().pin()), format!("DynGuard({name})"));
        assert!(format!("{:?}", WorkerBuilder::<Mb>::default()).starts_with(&format!("WorkerBuilder({name}, ")));
        let worker = WorkerBuilder::<Mb>::default().spawn().expect("a worker");
        assert!(format!("{worker:?}").starts_with(&format!("WorkerHandle({name}, tid ")));
        assert!(format!("{:?}", Mb::domain()).starts_with("Domain { period: "));
        assert_eq!(format!("{:?}", ThreadRecord::default()), "ThreadRecord { registered: false, .. }");
    });
}

#[test]
fn what_is_flushed_on_drop_is_gone() {
    within_limit("what_is_flushed_on_drop_is_gone", || {
        let value = Rcu::<u32, Mb>::new(1);
        {
            let flush = FlushOnDrop::<Mb>::default();
            assert_eq!(format!("{flush:?}"), format!("FlushOnDrop({})", Mb::NAME));
            drop(value.publish(2));
        }
        let polled = value.publish(3).expect("there was one").start_poll();
        assert!(format!("{polled:?}").starts_with(&format!("Polled {{ flavor: {:?}, is_done: ", Mb::NAME)));
        drop(polled);
        assert_eq!(value.into_inner(), Some(3));
    });
}

#[test]
fn defaults_are_sane() {
    let limits = Limits::default();
    assert!(0 < limits.soft_items && limits.soft_items <= limits.hard_items);
    assert!(0 < limits.soft_bytes && limits.soft_bytes <= limits.hard_bytes);
    let count = RefCount::default();
    assert_eq!(count.count(), Some(1));
    assert!(count.put(), "the last one");
}
