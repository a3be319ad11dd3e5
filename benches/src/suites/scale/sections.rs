//! Sections that take longer and longer: how long an updater waits for the old version.

use std::hint::spin_loop;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::clock::{repeat, time};
use crate::contenders::{self, api::Api};
use crate::harness::beside::beside;
use crate::harness::plan::{Better, Case, Contender, Kind, Pace, Sample, Shot};
use crate::peers::locks::Lock;
use crate::suites::grace::synchronize;
use crate::workload::{BUSY_LENGTH, DEAD, LIVE, Replacer, Slot, check_sum};

const LENGTHS: [(Duration, &str); 5] = [
    (Duration::ZERO, "0"),
    (Duration::from_micros(1), "1us"),
    (Duration::from_micros(10), "10us"),
    (Duration::from_micros(100), "100us"),
    (Duration::from_millis(1), "1ms"),
];

pub(super) fn cases() -> Vec<Case> {
    LENGTHS.map(case).into()
}

fn case((length, name): (Duration, &str)) -> Case {
    let mut contenders: Vec<Contender> =
        contenders::all().map(|entry| entry.contender(move |api, shot| grace_period(api, length, shot))).collect();
    let lock = |name: &str, measure: fn(Duration, &Shot<'_>) -> Result<Sample, String>| {
        Contender::new(name, Kind::Peer, move |shot| measure(length, shot))
    };
    contenders.extend([
        lock("std-rwlock", exclusive::<std::sync::RwLock<u64>>),
        lock("parking_lot-rwlock", exclusive::<parking_lot::RwLock<u64>>),
        lock("std-mutex", exclusive::<std::sync::Mutex<u64>>),
        lock("parking_lot-mutex", exclusive::<parking_lot::Mutex<u64>>),
    ]);
    Case {
        name: format!("section-length@{name}"),
        about: "Until nobody reads the old version any more, beside one reader whose sections take so long, back to back; \
                with locks: until the updater has it.",
        unit: "ns/call",
        better: Better::Lower,
        threads: 2,
        pace: Pace::Rounds(1),
        contenders,
    }
}

fn stay(length: Duration) {
    let start = Instant::now();
    while start.elapsed() < length {
        spin_loop();
    }
}

/// Wrong sums as in [`check_sum`].
fn check(value: u64) -> Result<(), String> {
    if value == LIVE { Ok(()) } else { Err("wrong answer: the section outlived what it reads".into()) }
}

fn grace_period(api: &'static Api, length: Duration, shot: &Shot<'_>) -> Result<Sample, String> {
    let slot = Slot::new();
    let busy = || {
        let mut reader = api.register()?;
        let slot = &slot;
        Ok(move || {
            if length.is_zero() {
                return check_sum(reader.flat(slot, 1, BUSY_LENGTH), 1, BUSY_LENGTH);
            }
            let section = reader.lock();
            // Acquire: pairs with the Release half of the swap that published the node.
            let node = slot.pointer().load(Ordering::Acquire);
            stay(length);
            // SAFETY: the section was opened before the pointer was loaded, and nodes are kept for that long.
            check(unsafe { &*node }.read())?;
            drop(section);
            reader.quiescent();
            Ok(())
        })
    };
    let times = beside(shot, 1, busy, |pulse| {
        let mut replacer = Replacer::new(&slot);
        repeat(shot.budget, || {
            pulse.wait();
            // SAFETY: this thread opens no sections, and `synchronize` waits for a grace period.
            Ok(unsafe { replacer.replace(|| time(|| synchronize(api))) })
        })
    })?;
    Sample::singles(times.concat())
}

fn exclusive<L: Lock<u64>>(length: Duration, shot: &Shot<'_>) -> Result<Sample, String> {
    let lock = L::around(LIVE);
    let busy = || {
        let lock = &lock;
        Ok(move || {
            let value = lock.shared();
            stay(length);
            check(*value)
        })
    };
    let times = beside(shot, 1, busy, |pulse| {
        repeat(shot.budget, || {
            pulse.wait();
            let mut value = None;
            let taken = time(|| value = Some(lock.exclusive()));
            if let Some(value) = &mut value {
                **value = DEAD;
                **value = LIVE;
            }
            Ok(taken)
        })
    })?;
    Sample::singles(times.concat())
}
