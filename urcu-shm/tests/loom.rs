//! Model checking: readers that come, read and go in a segment, beside an updater that waits for them and clears the pages of the
//! dead. All "processes" are threads of this one; what they store and look at is the product's own.
//!
//! `RUSTFLAGS="--cfg urcu_loom" cargo test --release --target-dir target/loom -p urcu-shm --test loom`, or `cargo xtask loom`. What
//! `explore` is called with bounds the preemptions. Barriers are full fences; nobody sleeps, and nobody really dies.
#![cfg(urcu_loom)]

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use loom::sync::Arc;
use loom::thread;
use urcu_core::sync::explore;
use urcu_shm::model::{Reader, dead, other};
use urcu_shm::{Barriers, Offset, ProcessId, RootName, Segment, SegmentOptions, Writer};

#[path = "../../urcu-core/tests/loom/objects.rs"]
#[allow(dead_code)]
mod objects;

use objects::{Object, Shelf};

/// What is done before a model must not be done beside another one.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn segment(processes: usize) -> Segment {
    let options = SegmentOptions::new(4096).processes(processes).barriers(Barriers::Fences);
    options.create_memfd("urcu-shm model").expect("a segment")
}

/// Each model attaches a segment, and there is one for a process: so they share it.
fn attached() -> &'static Segment {
    static SEGMENT: OnceLock<Segment> = OnceLock::new();
    SEGMENT.get_or_init(|| {
        let segment = segment(2);
        urcu_shm::attach(&segment).expect("the first one");
        segment
    })
}

fn reclaim(object: *mut Object) {
    // SAFETY: an object of the shelf's.
    unsafe { object.as_ref() }.expect("one was there").reclaim();
}

/// What has a value of its own for the model checker is first touched before there are threads.
fn begin(segment: &Segment) {
    assert!(ProcessId::current().is_alive());
    let _ = segment.has_elapsed(segment.start_grace_period());
}

fn spawn(shelf: &Arc<Shelf>, run: impl FnOnce(&Shelf) + 'static) -> thread::JoinHandle<()> {
    let shelf = shelf.clone();
    thread::spawn(move || run(&shelf))
}

/// Registers by the flavor, and so has a mirror.
fn read_by_the_flavor(shelf: &Shelf) {
    let thread = urcu_shm::register().expect("a free slot");
    let guard = thread.read_lock();
    shelf.read();
    drop(guard);
}

#[test]
fn a_segments_grace_period_waits_for_a_mirror() {
    let _alone = alone();
    let segment = attached();
    explore(2, move || {
        begin(segment);
        drop(urcu_shm::register().expect("a free slot"));
        let shelf = Shelf::new();
        let reader = spawn(&shelf, read_by_the_flavor);
        let old = shelf.take();
        let number = segment.start_grace_period();
        segment.wait_for(number);
        reclaim(old);
        reader.join().unwrap();
    });
}

#[test]
fn a_grace_period_that_is_asked_about_has_waited_for_a_mirror() {
    let _alone = alone();
    let segment = attached();
    explore(3, move || {
        begin(segment);
        drop(urcu_shm::register().expect("a free slot"));
        let shelf = Shelf::new();
        let reader = spawn(&shelf, read_by_the_flavor);
        let old = shelf.take();
        let number = segment.start_grace_period();
        if segment.has_elapsed(number) {
            reclaim(old);
        }
        reader.join().unwrap();
    });
}

fn read_as(segment: &Segment, process: ProcessId, shelf: &Shelf) {
    if let Some(reader) = Reader::register(segment, process) {
        for _ in 0..2 {
            reader.enter();
            shelf.read();
            reader.leave();
        }
        reader.unregister();
    }
}

/// The one page is a dead reader's, who was inside: the next one takes it, beside an updater that waits for both.
#[test]
fn a_dead_readers_page_is_claimed_beside_a_grace_period() {
    let _alone = alone();
    let segment = Box::leak(Box::new(segment(1)));
    let reader = Reader::register(segment, dead()).expect("the one page");
    reader.enter();
    let segment: &'static Segment = segment;
    explore(2, move || {
        begin(segment);
        let living = other();
        let shelf = Shelf::new();
        let reader = spawn(&shelf, move |shelf| read_as(segment, living, shelf));
        let old = shelf.take();
        segment.wait_for(segment.start_grace_period());
        reclaim(old);
        reader.join().unwrap();
    });
}

/// Two clear it, and a third claims it.
#[test]
fn a_dead_readers_page_is_cleared_once() {
    let _alone = alone();
    let segment = Box::leak(Box::new(segment(1)));
    Reader::register(segment, dead()).expect("the one page").enter();
    let segment: &'static Segment = segment;
    explore(2, move || {
        begin(segment);
        let living = other();
        let shelf = Shelf::new();
        let reader = spawn(&shelf, move |shelf| read_as(segment, living, shelf));
        let reaper = thread::spawn(move || segment.reap());
        let old = shelf.take();
        let number = segment.start_grace_period();
        let reaped = segment.reap();
        if segment.has_elapsed(number) {
            reclaim(old);
        }
        reader.join().unwrap();
        assert!(reaped + reaper.join().unwrap() <= 1);
        assert_eq!(segment.inspect().reaped, 1);
    });
}

/// Two pages, nobody in them: registration beside a scan that may not have seen that there are pages.
#[test]
fn a_first_page_is_claimed_beside_a_grace_period() {
    let _alone = alone();
    let segment = Box::leak(Box::new(segment(2)));
    let segment: &'static Segment = segment;
    explore(3, move || {
        begin(segment);
        let living = other();
        let shelf = Shelf::new();
        let reader = spawn(&shelf, move |shelf| read_as(segment, living, shelf));
        let old = shelf.take();
        let number = segment.start_grace_period();
        if segment.has_elapsed(number) {
            reclaim(old);
        }
        reader.join().unwrap();
    });
}

const NAME: RootName = RootName::new("model", 5);

/// The role, once nobody has it.
fn writer(segment: &Segment) -> Writer {
    loop {
        if let Ok(writer) = segment.writer() {
            return writer;
        }
        thread::yield_now();
    }
}

/// Two who write to the same object, each in the role.
#[test]
fn the_writers_role_is_handed_over_with_what_was_written() {
    let _alone = alone();
    let segment: &'static Segment = Box::leak(Box::new(segment(1)));
    explore(2, move || {
        begin(segment);
        let shelf = Shelf::new();
        let other = spawn(&shelf, move |shelf| {
            let role = writer(segment);
            shelf.objects[0].reclaim();
            drop(role);
        });
        let role = writer(segment);
        shelf.objects[0].is_reclaimed();
        drop(role);
        other.join().unwrap();
    });
}

/// A root is found with what it refers to, be it new or not.
fn a_root(segment: &'static Segment) {
    explore(2, move || {
        begin(segment);
        drop(writer(segment));
        let before = segment.root(NAME).expect("its layout");
        let shelf = Shelf::new();
        let other = spawn(&shelf, move |shelf| {
            let role = writer(segment);
            shelf.objects[0].reclaim();
            role.set_root(NAME, Offset::new(640)).expect("its layout");
        });
        thread::yield_now();
        let found = segment.root(NAME).expect("its layout");
        if found != before {
            assert!(found == Some(Offset::new(640)) && shelf.objects[0].is_reclaimed());
        }
        other.join().unwrap();
    });
}

#[test]
fn a_new_root_refers_to_what_was_written_before() {
    let _alone = alone();
    a_root(Box::leak(Box::new(segment(1))));
}

#[test]
fn a_root_that_is_changed_refers_to_what_was_written_before() {
    let _alone = alone();
    let segment: &'static Segment = Box::leak(Box::new(segment(1)));
    segment.writer().expect("nobody has it").set_root(NAME, Offset::new(512)).expect("a free root");
    a_root(segment);
}
