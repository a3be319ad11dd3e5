//! What one process shows of itself in the segment that it has attached.

use std::sync::Barrier;
use std::thread;

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::{Gate, OwnProcess, c_thread, forked};
use urcu_shm::{Access, InitError, RegisterError, Segment, SegmentOptions};

fn alone<B: FnOnce()>(body: B) {
    let _ = OwnProcess::new().of_test::<B>().run(body).succeeded();
}

fn attached() -> Segment {
    let segment = SegmentOptions::new(1 << 12).processes(64).create_memfd("urcu-shm test").expect("a segment");
    urcu_shm::attach(&segment).expect("the first one");
    segment
}

#[test]
fn without_a_segment_nobody_registers() {
    alone(|| {
        assert_eq!(urcu_shm::init(), Err(InitError::NoSegment));
        assert!(matches!(urcu_shm::register(), Err(RegisterError::Init(InitError::NoSegment))));
        assert_says(&message_of(urcu_shm::read_lock), &["urcu-shm", "not registered"]);
        // No readers, no wait.
        urcu_shm::synchronize();
        let _segment = attached();
        drop(urcu_shm::register().expect("now"));
    });
}

#[test]
fn waiting_inside_a_section_is_refused() {
    alone(|| {
        let segment = attached();
        let thread = urcu_shm::register().expect("room");
        let guard = thread.read_lock();
        let number = segment.start_grace_period();
        assert!(!segment.has_elapsed(number));
        assert_says(&message_of(|| segment.wait_for(number)), &["urcu-shm", "inside a read-side critical section"]);
        drop(guard);
        segment.wait_for(number);
    });
}

#[test]
fn each_thread_shows_up_and_each_31_take_a_page() {
    alone(|| {
        let segment = attached();
        let gate = &Gate::new();
        thread::scope(|scope| {
            let (ready, all) = std::sync::mpsc::channel();
            for _ in 0..100 {
                let ready = ready.clone();
                scope.spawn(move || {
                    let thread = urcu_shm::register().expect("room");
                    let guard = thread.read_lock();
                    ready.send(urcu_core::sys::thread_id()).expect("waited for");
                    gate.wait();
                    drop(guard);
                });
            }
            let mut tids: Vec<i32> = all.iter().take(100).collect();
            let seen = segment.inspect();
            assert_eq!(seen.processes.len(), 4);
            let mut shown: Vec<i32> = seen
                .processes
                .iter()
                .flat_map(|page| &page.threads)
                .filter(|thread| thread.inside)
                .map(|thread| thread.tid)
                .collect();
            tids.sort_unstable();
            shown.sort_unstable();
            assert_eq!(tids, shown);
            gate.open();
        });
        let seen = segment.inspect();
        assert_eq!(seen.processes.iter().flat_map(|page| &page.threads).count(), 0);
        segment.wait_for(segment.start_grace_period());
    });
}

#[test]
fn a_crowd_that_registers_at_once_takes_no_more_pages_than_it_needs() {
    alone(|| {
        for _ in 0..20 {
            forked::run(|| {
                let segment =
                    SegmentOptions::new(1 << 12).processes(4).create_memfd("urcu-shm test").expect("a segment");
                urcu_shm::attach(&segment).expect("the first one");
                let (start, end) = (&Barrier::new(100), &Barrier::new(100));
                thread::scope(|scope| {
                    for _ in 0..100 {
                        scope.spawn(|| {
                            start.wait();
                            let thread = urcu_shm::register();
                            end.wait();
                            drop(thread.expect("four pages for all of them"));
                        });
                    }
                });
                assert_eq!(segment.inspect().processes.len(), 4);
            });
        }
    });
}

#[test]
fn a_forked_child_has_a_page_of_its_own_with_and_without_hooks() {
    alone(|| {
        let segment = attached();
        let thread = urcu_shm::register().expect("room");
        let processes = || segment.inspect().processes.len();
        assert_eq!(processes(), 1);
        urcu_shm::raw::fork_before();
        let child = forked::start(|| {
            // SAFETY: follows `fork_before`, on the child's only thread.
            unsafe { urcu_shm::raw::fork_after_child() };
            assert_eq!(processes(), 2);
            let guard = thread.read_lock();
            let inside = |page: usize| segment.inspect().processes[page].threads[0].inside;
            assert!(inside(1) && !inside(0), "its section is its own");
            drop(guard);
            assert!(!inside(1));
        });
        // SAFETY: follows `fork_before`.
        unsafe { urcu_shm::raw::fork_after_parent() };
        child.succeeded();
        assert_eq!(segment.reap(), 1);
        // A thread that registers in a child whose parent has readers, too; not in builds that refuse it.
        if !cfg!(debug_assertions) {
            forked::run(|| {
                thread::spawn(|| drop(urcu_shm::register().expect("room"))).join().expect("no panic");
                assert_eq!(processes(), 2);
            });
            segment.reap();
        }
        let guard = thread.read_lock();
        assert!(segment.inspect().processes[0].threads[0].inside, "and the parent's is the parent's");
        drop(guard);
    });
}

#[test]
fn a_reader_process_waits_for_its_own_threads_only() {
    alone(|| {
        let made = Segment::create_memfd("urcu-shm test", 1 << 12).expect("a segment");
        let file = made.fd().try_clone_to_owned().expect("a descriptor");
        let segment = Segment::from_fd(file, Access::Read).expect("the same");
        urcu_shm::attach(&segment).expect("the first one");
        let thread = urcu_shm::register().expect("room");
        let before = made.inspect().grace_periods;
        // Its own memory is nobody else's business.
        urcu_shm::synchronize();
        assert_eq!(made.inspect().grace_periods, before);
        assert_says(&message_of(|| segment.start_grace_period()), &["opened for reading"]);
        assert_says(&message_of(|| segment.reap()), &["opened for reading"]);
        // But others see its sections.
        let guard = thread.read_lock();
        let number = made.start_grace_period();
        assert!(!made.has_elapsed(number) && !segment.has_elapsed(number));
        drop(guard);
        assert!(made.has_elapsed(number) && segment.has_elapsed(number));
    });
}

#[test]
#[cfg_attr(sanitized, ignore = "the vanished thread leaks what is on its stack")]
fn a_thread_that_vanishes_inside_a_raw_section_is_noticed() {
    alone(|| {
        let segment = attached();
        let vanished = c_thread::start(|| {
            urcu_shm::raw::register_thread().expect("room");
            // SAFETY: the thread ends inside it, and uses nothing.
            unsafe { urcu_shm::raw::read_lock() };
            c_thread::exit_without_destructors();
        });
        while segment.inspect().processes.first().is_none_or(|page| page.threads.iter().all(|thread| !thread.inside)) {
            thread::yield_now();
        }
        segment.wait_for(segment.start_grace_period());
        vanished.join();
    });
}
