//! The last reference is given back once, after everything else; and zero is final.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use urcu_core::RefCount;

/// The checker reports two accesses to a cell that nothing orders.
struct Object {
    references: RefCount,
    value: UnsafeCell<u32>,
}

impl Object {
    fn shared() -> Arc<Self> {
        Arc::new(Self { references: RefCount::new(), value: UnsafeCell::new(0) })
    }

    fn read(&self) {
        self.value.with(|value| {
            // SAFETY: readers only, and the one who gave back the last reference, whom the checker watches.
            assert_ne!(unsafe { *value }, 1, "used after its end");
        });
    }

    /// Whether this ended the object's life.
    fn put(&self) -> bool {
        let mut ended = false;
        self.references.put_with(|| {
            ended = true;
            // SAFETY: nobody has a reference any more; the checker watches.
            self.value.with_mut(|value| unsafe { *value = 1 });
        });
        ended
    }
}

/// Three holders; all use the object before they give it back.
#[test]
fn every_use_happens_before_the_end() {
    loom::model(|| {
        let object = Object::shared();
        let holders = [(); 2].map(|()| {
            object.references.get();
            let object = object.clone();
            thread::spawn(move || {
                object.read();
                object.put()
            })
        });
        object.read();
        let mut ends = usize::from(object.put());
        for holder in holders {
            ends += usize::from(holder.join().unwrap());
        }
        assert_eq!(ends, 1);
    });
}

/// One who finds the object while its last reference is given back: either counts in time, or finds zero.
#[test]
fn an_upgrade_comes_in_time_or_fails() {
    loom::model(|| {
        let object = Object::shared();
        let finders = [(); 2].map(|()| {
            let object = object.clone();
            thread::spawn(move || {
                if !object.references.get_unless_zero() {
                    assert!(!object.references.get_unless_zero(), "zero is final");
                    return (false, false);
                }
                object.read();
                (true, object.put())
            })
        });
        let mut ends = usize::from(object.put());
        for finder in finders {
            ends += usize::from(finder.join().unwrap().1);
        }
        assert_eq!(ends, 1);
        assert_eq!(object.references.count(), Some(0));
    });
}
