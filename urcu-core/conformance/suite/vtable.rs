//! The function table: what structures and C code hold of a flavor.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use urcu_conformance::{leak, libc};
use urcu_core::{DomainId, Flavor as _, FlavorVtable, VTABLE_VERSION, VtableError};

use super::cast::{Inside, NAME, Updater, Way, alone, on_a_thread, register, registered};
use crate::{TRAITS, rcu};

/// A copy that may be changed, of static life as a table has to be.
fn copy() -> &'static mut FlavorVtable {
    // SAFETY: the table is plain data without a destructor.
    leak(Box::new(unsafe { ptr::read(rcu::vtable()) }))
}

#[test]
fn it_says_what_it_is() {
    let table = rcu::vtable();
    assert!(ptr::eq(table, &rcu::FLAVOR));
    assert_eq!(table.size as usize, size_of::<FlavorVtable>());
    assert_eq!(table.version, VTABLE_VERSION);
    assert_eq!(table.name(), NAME);
    assert_eq!(table.name(), env!("CARGO_PKG_NAME"));
    let id: DomainId = rcu::Flavor::domain().id();
    assert_eq!(table.domain(), id);
    assert_eq!(std::mem::offset_of!(FlavorVtable, size), 0);
    assert_eq!(std::mem::offset_of!(FlavorVtable, version), 4);
    assert!(format!("{table:?}").contains(NAME));
}

#[test]
fn tables_are_checked_before_use() {
    // SAFETY: a whole table, of static life.
    let checked = unsafe { FlavorVtable::check(rcu::vtable()) };
    assert!(ptr::eq(checked.expect("our own"), rcu::vtable()));

    for version in [0, VTABLE_VERSION + 1, u32::MAX] {
        let table = copy();
        table.version = version;
        // SAFETY: a whole table, of static life.
        let error = unsafe { FlavorVtable::check(table) }.expect_err("another version");
        assert_eq!(error, VtableError::Version { found: version });
        assert!(error.to_string().contains(&version.to_string()));
    }
    for size in [0, 8, rcu::vtable().size - 1] {
        let table = copy();
        table.size = size;
        // SAFETY: a whole table, of static life.
        let error = unsafe { FlavorVtable::check(table) }.expect_err("too short");
        assert_eq!(error, VtableError::Size { found: size });
    }
    // Longer: from a flavor that knows more.
    let longer = copy();
    longer.size += 64;
    // SAFETY: all that is looked at exists.
    assert!(unsafe { FlavorVtable::check(longer) }.is_ok());
}

#[test]
fn a_c_program_can_do_everything_with_it() {
    alone(|| {
        // In its own words: integers for errors, no guards.
        on_a_thread(|| {
            let table = rcu::vtable();
            // SAFETY: any thread.
            assert_eq!(unsafe { (table.read_ongoing)() }, 0);
            // SAFETY: any thread.
            assert_eq!(unsafe { (table.register_thread)() }, 0);
            let again = if TRAITS.registers_itself { 0 } else { -libc::EEXIST };
            // SAFETY: any thread.
            assert_eq!(unsafe { (table.register_thread)() }, again);
            assert_eq!(registered(), 1);
            // SAFETY: registered, and unlocked below.
            unsafe { (table.read_lock)() };
            // SAFETY: any thread.
            assert_ne!(unsafe { (table.read_ongoing)() }, 0);
            let updater = Updater::start_and_publish();
            updater.assert_waiting();
            // SAFETY: locked above.
            unsafe { (table.read_unlock)() };
            // SAFETY: no references.
            unsafe { (table.quiescent_state)() };
            updater.finish();
            // SAFETY: outside every section.
            unsafe { (table.synchronize)() };
            // SAFETY: no references.
            unsafe { (table.thread_offline)() };
            // SAFETY: any thread.
            assert_eq!(unsafe { (table.read_ongoing)() }, 0);
            rcu::synchronize();
            // SAFETY: registered.
            unsafe { (table.thread_online)() };
            // SAFETY: outside every section.
            unsafe { (table.unregister_thread)() };
            assert_eq!(registered(), 0);
        });
    });
}

#[test]
fn its_wait_waits() {
    alone(|| {
        let inside = Inside::enter_by(Way::Vtable);
        // SAFETY: these threads are outside every section.
        let updater = Updater::calling(|| unsafe { (rcu::vtable().synchronize)() });
        // SAFETY: as above.
        let other = Updater::calling(|| assert_eq!(unsafe { (rcu::vtable().try_synchronize)() }, 0));
        updater.assert_waiting();
        other.assert_waiting();
        inside.leave();
        updater.finish();
        other.finish();
    });
}

#[test]
fn a_wait_that_is_not_allowed_is_refused() {
    alone(|| {
        let table = rcu::vtable();
        // SAFETY: any thread.
        let wait = || unsafe { (table.try_synchronize)() };
        assert_eq!(wait(), 0);
        let thread = register();
        let guard = thread.read_lock();
        assert_eq!(wait(), -libc::EDEADLK);
        drop(guard);
        let free = rcu::read_lock();
        assert_eq!(wait(), -libc::EDEADLK);
        drop(free);
        assert_eq!(wait(), if TRAITS.quiescent_states { -libc::EDEADLK } else { 0 });
        let offline = thread.offline();
        assert_eq!(wait(), 0);
        drop(offline);
        assert_eq!(wait(), 0);
    });
}

#[test]
fn what_is_deferred_through_it_runs_by_the_barriers() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn count(argument: *mut c_void) {
        RAN.fetch_add(argument.addr(), Ordering::Relaxed);
    }
    let defer = |number| {
        // SAFETY: the function only counts; its argument is an integer in disguise.
        unsafe { (rcu::vtable().defer)(count, ptr::without_provenance_mut(number)) };
    };
    // SAFETY: any thread.
    let own = || unsafe { (rcu::vtable().defer_barrier_thread)() };
    // SAFETY: any thread.
    let all = || unsafe { (rcu::vtable().barrier)() };
    alone(|| {
        defer(1);
        assert_eq!(own(), 0);
        assert_eq!(RAN.load(Ordering::Relaxed), 1);
        defer(10);
        assert_eq!(all(), 0);
        assert_eq!(RAN.load(Ordering::Relaxed), 11);
        defer(100);
        // SAFETY: outside of sections.
        unsafe { rcu::raw::defer_barrier() }.expect("not in a deferred call");
        assert_eq!(RAN.load(Ordering::Relaxed), 111);
        let thread = register();
        let guard = thread.read_lock();
        assert_eq!((own(), all()), (-libc::EDEADLK, -libc::EDEADLK));
        drop(guard);
    });
}
