//! What passes between libraries with flavors of their own, and what is refused: between crates of one program, and across
//! `dlopen`, where two copies of one flavor are two domains.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;

use libloading::Library;
use rcu::Report;
use structure_conformance::within_limit;
use urcu_core::{AnyGuard, FlavorVtable, InitError, RegisterError, VTABLE_VERSION, VtableError};
use urcu_example_interface::{
    Host, KEYS, Ledger, Plugin, Queue, Refusal, Table, Tally, Visitor, accept, shared_object,
};

/// The plug-in is one per process, so is its state: who uses it holds this.
static TURN: Mutex<()> = Mutex::new(());

/// The tracer as a plug-in, closed again at the end.
struct Loaded {
    plugin: &'static Plugin,
    table: &'static Table,
    queue: &'static Queue,
    library: Option<Library>,
    ours: Box<Ours>,
    _turn: MutexGuard<'static, ()>,
}

fn load() -> (&'static Plugin, Library) {
    let path = shared_object("urcu-example-tracer").expect("built beside this program");
    // SAFETY: our own; its constructors are those of the standard library and of bp.
    let library = unsafe { Library::new(path) }.expect("a shared object");
    // SAFETY: the type that the plug-in's source gives this name.
    let entry = unsafe { library.get::<extern "C" fn() -> *const Plugin>(b"urcu_example_tracer") };
    let plugin = entry.expect("exported")();
    // SAFETY: a static of an object that stays mapped.
    (unsafe { accept(plugin) }.expect("of this build"), library)
}

/// What a host has for a plug-in.
struct Ours {
    table: Table,
    queue: Queue,
}

impl Ours {
    fn new() -> Self {
        Self { table: Table::new(rcu::vtable()), queue: Queue::new(rcu::vtable()) }
    }

    /// What the plug-in's `open` says to this and to this vtable.
    ///
    /// # Safety
    ///
    /// `self` lives, at this address, until the plug-in is closed.
    unsafe fn open(&self, plugin: &Plugin, flavor: *const FlavorVtable) -> i32 {
        let host = Host { flavor, table: &raw const self.table, queue: &raw const self.queue };
        // SAFETY: the caller's promise, but for the vtable, which is checked.
        unsafe { (plugin.open)(&raw const host) }
    }
}

impl Loaded {
    fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (plugin, library) = load();
        let ours = Box::new(Ours::new());
        // SAFETY: in a box, which lives as long as the result.
        assert_eq!(unsafe { ours.open(plugin, rcu::vtable()) }, 0);
        // SAFETY: open.
        let table = unsafe { (plugin.table)() };
        // SAFETY: lives until the plug-in is closed, which this value does.
        let table = unsafe { table.as_ref() }.expect("a table");
        // SAFETY: open.
        let queue = unsafe { (plugin.queue)() };
        // SAFETY: as above.
        let queue = unsafe { queue.as_ref() }.expect("a queue");
        Self { plugin, table, queue, library: Some(library), ours, _turn: turn }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: the tests use nothing of it beyond this value.
        let left = unsafe { (self.plugin.close)() };
        let closed = self.library.take().map(Library::close);
        if !std::thread::panicking() {
            assert_eq!(left, 0);
            closed.expect("loaded above").expect("it can be closed");
        }
    }
}

/// What a panic says.
fn message<R>(body: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).err().expect("a panic");
    payload.downcast_ref::<String>().cloned().expect("a message")
}

#[test]
fn two_copies_of_a_flavor_are_two_domains() {
    within_limit("two_copies_of_a_flavor_are_two_domains", || {
        let loaded = Loaded::new();
        let (own, other) = (urcu_bp::vtable(), loaded.table.flavor());
        assert_eq!(own.name(), other.name());
        assert_ne!(own.domain(), other.domain());
        assert_eq!(other.domain(), loaded.queue.flavor().domain());
        let place = |flavor: &FlavorVtable| flavor.domain().object().expect("the system knows its objects");
        assert!(place(other).contains("liburcu_example_tracer"), "{}", place(other));
        assert!(place(own).contains("boundaries"), "{}", place(own));
    });
}

#[test]
fn a_guard_of_the_other_copy_is_refused_by_name() {
    within_limit("a_guard_of_the_other_copy_is_refused_by_name", || {
        let loaded = Loaded::new();
        let ours = Table::new(urcu_bp::vtable());
        let queue = Queue::new(urcu_bp::vtable());
        let (guard, their_guard) = (urcu_bp::read_lock(), loaded.table.flavor().pin());
        for refused in [
            message(|| loaded.table.get(&1, &guard).is_some()),
            message(|| loaded.table.insert(1, Ledger::new().entry(1), &guard).is_some()),
            message(|| loaded.table.remove(&1, &guard).is_some()),
            message(|| loaded.queue.dequeue(&guard).is_some()),
            message(|| ours.get(&1, &their_guard).is_some()),
            message(|| queue.dequeue(&their_guard).is_some()),
        ] {
            for part in ["urcu-bp in ", "liburcu_example_tracer", "boundaries", "two copies"] {
                assert!(refused.contains(part), "no `{part}` in: {refused}");
            }
        }
        // With its own guard each works.
        assert!(ours.get(&1, &guard).is_none());
        assert!(loaded.table.get(&1, &their_guard).is_none());
    });
}

#[test]
fn neither_copy_waits_for_the_other_ones_readers() {
    within_limit("neither_copy_waits_for_the_other_ones_readers", || {
        let loaded = Loaded::new();
        let their_guard = loaded.table.flavor().pin();
        urcu_bp::synchronize();
        assert!(!loaded.table.flavor().synchronize_if_allowed(), "inside a section of it");
        drop(their_guard);
        let guard = urcu_bp::read_lock();
        assert!(loaded.table.flavor().synchronize_if_allowed());
        drop(guard);
    });
}

#[test]
fn a_structure_with_its_vtable_works_on_the_other_side() {
    within_limit("a_structure_with_its_vtable_works_on_the_other_side", || {
        let loaded = Loaded::new();
        let ledger = Ledger::new();
        let table = loaded.table.pin();
        for number in 0..1000 {
            assert!(table.insert(number, ledger.entry(number)).is_none());
        }
        for number in 0..1000 {
            assert_eq!(table.get(&number).expect("put there").number(), number);
        }
        let removed = table.remove(&7).expect("put there");
        assert_eq!(removed.number(), 7);
        assert_eq!(ledger.live(), 1000, "the section protects what was removed");
        drop(table);
        loaded.table.flavor().wait_for_retired().expect("not in a deferred call");
        assert_eq!(ledger.live(), 999);

        // Put in here, taken out there; and the other way round.
        loaded.queue.enqueue(ledger.entry(1), &loaded.queue.flavor().pin());
        let thread = rcu::register().expect("a new thread");
        let mut tally = Tally::default();
        for number in 0..3 {
            // SAFETY: open.
            assert_eq!(unsafe { (loaded.plugin.visit)(number, &raw mut tally) }, 0);
        }
        loaded.ours.table.pin().clear();
        let guard = rcu::read_lock();
        while loaded.ours.queue.dequeue(&guard).is_some() {}
        drop(guard);
        drop(thread);
        assert!(tally.enqueued >= 1);
        let guard = loaded.queue.flavor().pin();
        while let Some(entry) = loaded.queue.dequeue(&guard) {
            assert!(entry.number() < 1000);
        }
        drop(guard);
        loaded.table.pin().clear();
        loaded.table.flavor().wait_for_retired().expect("not in a deferred call");
        assert_eq!(ledger.live(), 0);
    });
}

/// A vtable that may be changed, of static life as tables have to be.
fn altered(flavor: &FlavorVtable, change: impl FnOnce(&mut FlavorVtable)) -> &'static FlavorVtable {
    static KEPT: Mutex<Vec<&'static FlavorVtable>> = Mutex::new(Vec::new());
    // SAFETY: plain data without a destructor.
    let table = Box::leak(Box::new(unsafe { ptr::read(flavor) }));
    change(table);
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(table);
    table
}

#[test]
fn a_plugin_refuses_vtables_that_it_does_not_know() {
    within_limit("a_plugin_refuses_vtables_that_it_does_not_know", || {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (plugin, library) = load();
        let ours = Ours::new();
        // SAFETY: lives until the end, where the plug-in is closed.
        let open_with = |flavor: &'static FlavorVtable| unsafe { ours.open(plugin, flavor) };
        for version in [0, VTABLE_VERSION + 1] {
            let table = altered(rcu::vtable(), |table| table.version = version);
            let expected = Refusal::Vtable(VtableError::Version { found: version });
            assert_eq!(open_with(table), expected.number());
            assert!(expected.to_string().contains(&format!("version {version}")), "{expected}");
        }
        let size = rcu::vtable().size;
        for shorter in [0, 8, size - 8] {
            let table = altered(rcu::vtable(), |table| table.size = shorter);
            let expected = Refusal::Vtable(VtableError::Size { found: shorter });
            assert_eq!(open_with(table), expected.number());
            assert!(expected.to_string().contains(&format!("{shorter} bytes")), "{expected}");
        }
        // One that knows more than the plug-in is fine. And it is not opened twice.
        let longer = altered(rcu::vtable(), |table| table.size = size + 8);
        assert_eq!(open_with(longer), 0);
        assert_eq!(open_with(rcu::vtable()), Refusal::Open.number());
        // SAFETY: open, and used by nobody.
        assert_eq!(unsafe { (plugin.close)() }, 0);
        library.close().expect("loaded above");
    });
}

#[test]
fn a_host_refuses_vtables_that_it_does_not_know() {
    within_limit("a_host_refuses_vtables_that_it_does_not_know", || {
        let loaded = Loaded::new();
        let theirs = loaded.table.flavor();
        // SAFETY: a whole table, of an object that stays mapped.
        let checked = unsafe { FlavorVtable::check(theirs) }.expect("of this version");
        assert_eq!(checked.domain(), theirs.domain());
        let newer = altered(theirs, |table| table.version += 1);
        // SAFETY: a whole table, leaked.
        let error = unsafe { FlavorVtable::check(newer) }.expect_err("another version");
        assert_eq!(error, VtableError::Version { found: VTABLE_VERSION + 1 });
        let shorter = altered(theirs, |table| table.size -= 8);
        // SAFETY: a whole table, leaked.
        let error = unsafe { FlavorVtable::check(shorter) }.expect_err("too short");
        assert_eq!(error, VtableError::Size { found: theirs.size - 8 });
    });
}

#[test]
fn a_plugin_of_another_build_is_refused() {
    within_limit("a_plugin_of_another_build_is_refused", || {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (plugin, _library) = load();
        let refused = |change: fn(&mut Plugin)| {
            // SAFETY: plain data without a destructor.
            let mut other = unsafe { ptr::read(plugin) };
            change(&mut other);
            // SAFETY: a whole structure, valid for the call.
            unsafe { accept(&raw const other) }.expect_err("not ours")
        };
        assert_eq!(refused(|other| other.stamp ^= 1), Refusal::Stamp);
        assert_eq!(refused(|other| other.version += 1), Refusal::Plugin);
        assert_eq!(refused(|other| other.size -= 8), Refusal::Plugin);
    });
}

/// Within one program: each library's structures refuse the guards of the others, and name both flavors.
#[test]
fn a_guard_of_another_library_is_refused_by_name() {
    within_limit("a_guard_of_another_library_is_refused_by_name", || {
        let flavors = [urcu_qsbr::vtable(), rcu::vtable(), urcu_bp::vtable()];
        let _threads = flavors.map(|flavor| flavor.register().expect("a new thread"));
        for own in flavors {
            let (table, queue) = (Table::new(own), Queue::new(own));
            for other in flavors {
                let guard = other.pin();
                if own.domain() == other.domain() {
                    assert!(table.get(&1, &guard).is_none());
                    queue.enqueue(Ledger::new().entry(1), &guard);
                    continue;
                }
                let expected = format!("a guard of {} in ", other.name());
                let refusals = [
                    message(|| table.get(&1, &guard).is_some()),
                    message(|| table.insert(1, Ledger::new().entry(1), &guard).is_some()),
                    message(|| queue.enqueue(Ledger::new().entry(1), &guard)),
                ];
                for refused in refusals {
                    assert!(
                        refused.starts_with(&expected) && refused.contains(&format!("of {}", own.name())),
                        "{refused}"
                    );
                }
            }
        }
        // The flavors' own guards are checked in the same way.
        let guard = urcu_bp::read_lock();
        assert_eq!(guard.flavor_name(), "urcu-bp");
        assert!(message(|| Table::new(rcu::vtable()).get(&1, &guard).is_some()).contains("urcu-membarrier"));
    });
}

/// What two copies cannot both have is refused to the second one.
#[test]
fn two_copies_of_the_signal_flavor_need_two_signals() {
    within_limit("two_copies_of_the_signal_flavor_need_two_signals", || {
        let own = urcu_signal::vtable().register().expect("the signal is free");
        let path = shared_object("urcu-example-directory").expect("built beside this program");
        // SAFETY: our own; its constructors are those of the standard library and of bp.
        let library = unsafe { Library::new(path) }.expect("a shared object");
        let other = {
            // SAFETY: the type that its source gives this name.
            let flavor =
                unsafe { library.get::<extern "C" fn(i32) -> *const FlavorVtable>(b"directory_flavor_number") };
            let flavor = flavor.expect("exported");
            let found = (0..).map(|number| flavor(number)).take_while(|flavor| !flavor.is_null()).find_map(|flavor| {
                // SAFETY: a static of an object that stays mapped, since it has bp in it.
                unsafe { FlavorVtable::check(flavor) }.ok().filter(|flavor| flavor.name() == "urcu-signal")
            });
            found.expect("one of the five")
        };
        assert_ne!(other.domain(), own.flavor().domain());
        let refused = other.register().expect_err("the signal is taken");
        assert!(matches!(refused, RegisterError::Init(InitError::Refused { .. })), "{refused:?}");
        drop(own.pin());
        library.close().expect("loaded above");
    });
}

/// The plug-in's worker runs this program's code, which panics: caught here, where it was compiled, and reported to this
/// program's hook. The worker goes on.
#[test]
fn a_destructor_that_panics_on_the_other_side_is_reported_on_its_own() {
    static REPORTED: AtomicU64 = AtomicU64::new(0);
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a destructor of the host");
        }
    }
    within_limit("a_destructor_that_panics_on_the_other_side_is_reported_on_its_own", || {
        let loaded = Loaded::new();
        let (flavor, ledger) = (loaded.table.flavor(), Ledger::new());
        rcu::set_report_hook(|report| {
            if let Report::DeferredPanicked { message, .. } = report {
                REPORTED.fetch_add(u64::from(message == "a destructor of the host"), Relaxed);
            }
        });
        for number in 0..10 {
            flavor.retire(Box::new(Panics));
            flavor.retire(Box::new(ledger.entry(number)));
        }
        flavor.wait_for_retired().expect("not in a deferred call");
        assert_eq!(REPORTED.load(Relaxed), 10);
        assert_eq!(ledger.live(), 0);
    });
}

/// The code of a structure is in the program and in the plug-in, each with its own statics and thread-locals: threads inside
/// the one meet threads inside the other, on the same table and the same queue.
#[test]
fn two_copies_of_the_code_work_on_one_structure() {
    const ROUNDS: u64 = 3000;
    within_limit("two_copies_of_the_code_work_on_one_structure", || {
        let loaded = Loaded::new();
        let (ours, plugin, ledger) = (&*loaded.ours, loaded.plugin, Ledger::new());
        let begin = Barrier::new(4);
        let tallies = thread::scope(|scope| {
            let (begin, ledger) = (&begin, &ledger);
            let here = |seed: u64| {
                let mut visitor = Visitor::of(rcu::vtable()).expect("a new thread");
                begin.wait();
                (0..ROUNDS).fold(Tally::default(), |tally, round| {
                    let number = round * KEYS + (seed + round * 3) % KEYS;
                    let table = visitor.use_table(&ours.table, number, ledger);
                    tally.plus(table).plus(visitor.use_queue(&ours.queue, number, ledger))
                })
            };
            let there = |seed: u64| {
                let _registered = rcu::register().expect("a new thread");
                begin.wait();
                (0..ROUNDS).fold(Tally::default(), |sum, round| {
                    let mut tally = Tally::default();
                    // SAFETY: open.
                    let done = unsafe { (plugin.visit)(round * KEYS + (seed + round * 5) % KEYS, &raw mut tally) };
                    assert_eq!(done, 0);
                    sum.plus(tally)
                })
            };
            let threads = [
                scope.spawn(move || here(0)),
                scope.spawn(move || here(1)),
                scope.spawn(move || there(2)),
                scope.spawn(move || there(3)),
            ];
            threads.map(|thread| thread.join().expect("no thread panics"))
        });
        let [here, there] = [tallies[0].plus(tallies[1]), tallies[2].plus(tallies[3])];
        assert_eq!(here.put, 2 * ROUNDS);
        assert!(there.put >= 2 * ROUNDS && there.seen != 0 && here.seen != 0);
        let thread = rcu::register().expect("a new thread");
        let guard = thread.read_lock();
        while ours.queue.dequeue(&guard).is_some() {}
        let counted = ours.table.iter(&guard).count();
        assert_eq!(ours.table.len(), counted, "the number of entries, now that nobody adds or removes any");
        ours.table.clear(&guard);
        assert_eq!(ours.table.len(), 0);
        drop(guard);
        drop(thread);
        rcu::barrier().expect("not in a deferred call");
        assert_eq!(ledger.live(), 0);
    });
}
