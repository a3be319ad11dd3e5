//! What readers read and updaters reclaim.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use urcu_core::raw;
use urcu_core::sync::AtomicPtr;

/// An object whose contents readers read, and whose reclaimer writes there as a free would. The checker reports the two
/// if nothing puts one behind the other.
pub(crate) struct Object {
    contents: UnsafeCell<u32>,
}

const LIVE: u32 = 7;
const RECLAIMED: u32 = 13;

// SAFETY: the checker watches every access.
unsafe impl Sync for Object {}

impl Object {
    pub(crate) fn new() -> Self {
        Self { contents: UnsafeCell::new(LIVE) }
    }

    pub(crate) fn read(&self) {
        self.contents.with(|contents| {
            // SAFETY: the checker watches.
            assert_eq!(unsafe { *contents }, LIVE, "reclaimed under a reader's eyes");
        });
    }

    pub(crate) fn reclaim(&self) {
        self.contents.with_mut(|contents| {
            // SAFETY: the checker watches.
            unsafe {
                assert_eq!(*contents, LIVE, "reclaimed twice");
                *contents = RECLAIMED;
            }
        });
    }

    pub(crate) fn is_reclaimed(&self) -> bool {
        // SAFETY: the checker watches.
        self.contents.with(|contents| unsafe { *contents } == RECLAIMED)
    }
}

/// Two objects, and a pointer to the first one that can be taken away.
pub(crate) struct Shelf {
    pub(crate) objects: [Object; 2],
    pointer: AtomicPtr<Object>,
}

impl Shelf {
    pub(crate) fn new() -> Arc<Self> {
        let shelf = Arc::new(Self::unshared());
        shelf.put(0);
        shelf
    }

    /// Both objects unlinked.
    pub(crate) fn unshared() -> Self {
        Self { objects: [Object::new(), Object::new()], pointer: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Makes readers find that object, and returns the one that they found before.
    pub(crate) fn put(&self, index: usize) -> *mut Object {
        raw::exchange_pointer(&self.pointer, core::ptr::from_ref(&self.objects[index]).cast_mut())
    }

    /// Readers find none any more.
    pub(crate) fn take(&self) -> *mut Object {
        raw::exchange_pointer(&self.pointer, core::ptr::null_mut())
    }

    /// Inside a section.
    pub(crate) fn read(&self) {
        if let Some(object) = self.find() {
            object.read();
        }
    }

    /// Inside a section, in which the object may be read.
    pub(crate) fn find(&self) -> Option<&Object> {
        // SAFETY: null or one of the two, which live as long as the shelf.
        unsafe { raw::dereference(&self.pointer).as_ref() }
    }
}
