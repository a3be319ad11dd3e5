//! The raw tier: one source for all flavors, and pointer functions.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use urcu_conformance::{Object, Shelf, leak};
use urcu_core::sync::AtomicPtr;

use super::cast::{alone, leaked_shelf, named, registered};
use crate::rcu::{self, raw};

/// A reader as it would be written in C, with every call that any flavor needs.
fn portable_reader(shelf: &Shelf, rounds: usize) {
    raw::register_thread().expect("a new thread");
    for round in 0..rounds {
        // SAFETY: registered and online; unlocked below.
        unsafe { raw::read_lock() };
        let object = raw::dereference(shelf.pointer());
        // SAFETY: nested; unlocked below.
        unsafe { raw::read_lock() };
        assert!(raw::read_ongoing());
        // SAFETY: locked above; the outer section goes on.
        unsafe { raw::read_unlock() };
        // SAFETY: objects on shelves are never freed.
        unsafe { &*object }.check();
        // SAFETY: locked above; `object` is not used any more.
        unsafe { raw::read_unlock() };
        // SAFETY: no references.
        unsafe { raw::quiescent_state() };
        if round % 8 == 0 {
            // SAFETY: no references, and no section before the next call.
            unsafe { raw::thread_offline() };
            thread::yield_now();
            // SAFETY: no `Offline` is in use.
            unsafe { raw::thread_online() };
        }
        if round % 32 == 0 {
            // SAFETY: no section, no references.
            unsafe { raw::synchronize() };
        }
    }
    // SAFETY: no section, and no `Thread`.
    unsafe { raw::unregister_thread() };
}

#[test]
fn one_source_for_all_flavors() {
    alone(|| {
        raw::init().expect("this machine has what the flavor needs");
        let shelf = leaked_shelf();
        let readers: Vec<_> = (0..4).map(|_| named("reader", move || portable_reader(shelf, 400))).collect();
        while readers.iter().any(|reader| !reader.is_finished()) {
            let fresh = ptr::from_ref(Object::leaked()).cast_mut();
            let old = raw::exchange_pointer(shelf.pointer(), fresh);
            // SAFETY: outside every section.
            unsafe { raw::synchronize() };
            // SAFETY: objects on shelves are never freed.
            unsafe { &*old }.reclaim();
        }
        readers.into_iter().for_each(super::cast::join);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn pointer_functions() {
    alone(|| {
        let (mut one, mut two, mut three) = (1, 2, 3);
        let [first, second, third] = [&raw mut one, &raw mut two, &raw mut three];
        let pointer = AtomicPtr::<u32>::new(ptr::null_mut());
        assert!(raw::dereference(&pointer).is_null());
        raw::assign_pointer(&pointer, first);
        assert_eq!(raw::dereference(&pointer), first);
        assert_eq!(raw::exchange_pointer(&pointer, second), first);
        assert_eq!(raw::dereference(&pointer), second);
        // The value that was found tells whether it was exchanged.
        assert_eq!(raw::compare_exchange_pointer(&pointer, first, third), second);
        assert_eq!(raw::dereference(&pointer), second);
        assert_eq!(raw::compare_exchange_pointer(&pointer, second, third), second);
        assert_eq!(raw::dereference(&pointer), third);
    });
}

#[test]
fn what_is_published_is_complete() {
    alone(|| {
        struct Message {
            number: AtomicUsize,
            square: AtomicUsize,
        }
        const MESSAGES: usize = 20_000;
        let pointer = AtomicPtr::<Message>::new(ptr::null_mut());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut thread = super::cast::register();
                    let mut seen = 0;
                    while seen < MESSAGES {
                        let guard = thread.read_lock();
                        // SAFETY: null, or a message that is never freed.
                        if let Some(message) = unsafe { raw::dereference(&pointer).as_ref() } {
                            // Relaxed: the publication orders them.
                            let number = message.number.load(Ordering::Relaxed);
                            assert_eq!(message.square.load(Ordering::Relaxed), number * number);
                            assert!(number >= seen, "{number} after {seen}");
                            seen = number;
                        }
                        drop(guard);
                        thread.quiescent_state();
                    }
                });
            }
            for number in 1..=MESSAGES {
                let message: &mut Message = leak(Box::new(Message { number: 0.into(), square: 0.into() }));
                message.number.store(number, Ordering::Relaxed);
                message.square.store(number * number, Ordering::Relaxed);
                raw::assign_pointer(&pointer, message);
            }
        });
        rcu::synchronize();
    });
}
