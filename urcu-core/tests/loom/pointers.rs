//! Published pointers: whoever finds one finds what was written before it was published.

use loom::sync::Arc;
use loom::thread;
use urcu_core::raw;
use urcu_core::sync::{AtomicPtr, explore};

use crate::objects::Object;

struct Place {
    object: Object,
    pointer: AtomicPtr<Object>,
}

impl Place {
    fn object(&self) -> *mut Object {
        core::ptr::from_ref(&self.object).cast_mut()
    }
}

/// `publish` beside `find`, which says what was there.
fn published(
    publish: impl Fn(&Place) + Copy + 'static + Send + Sync,
    find: impl Fn(&Place) -> *mut Object + Copy + 'static + Send + Sync,
) {
    explore(2, move || {
        let place = Arc::new(Place { object: Object::new(), pointer: AtomicPtr::new(core::ptr::null_mut()) });
        let publisher = {
            let place = place.clone();
            thread::spawn(move || {
                // Written, as far as the checker knows.
                place.object.reclaim();
                publish(&place);
            })
        };
        if !find(&place).is_null() {
            assert!(place.object.is_reclaimed());
        }
        publisher.join().unwrap();
    });
}

fn assign(place: &Place) {
    raw::assign_pointer(&place.pointer, place.object());
}

#[test]
fn assigned() {
    published(assign, |place| raw::dereference(&place.pointer));
}

#[test]
fn exchanged() {
    published(
        |place| {
            raw::exchange_pointer(&place.pointer, place.object());
        },
        |place| raw::dereference(&place.pointer),
    );
}

#[test]
fn compared_and_exchanged() {
    published(
        |place| {
            raw::compare_exchange_pointer(&place.pointer, core::ptr::null_mut(), place.object());
        },
        |place| raw::dereference(&place.pointer),
    );
}

#[test]
fn taken_away() {
    published(assign, |place| raw::exchange_pointer(&place.pointer, core::ptr::null_mut()));
}

#[test]
fn found_by_a_comparison_that_fails() {
    published(assign, |place| {
        raw::compare_exchange_pointer(&place.pointer, core::ptr::without_provenance_mut(1), core::ptr::null_mut())
    });
}

#[test]
fn found_by_a_comparison_that_succeeds() {
    published(assign, |place| {
        let found = raw::compare_exchange_pointer(&place.pointer, place.object(), core::ptr::null_mut());
        if core::ptr::eq(found, place.object()) { found } else { core::ptr::null_mut() }
    });
}
