//! Which buckets this thread has locked while it runs code of its keys: what would wait for itself panics instead.

use core::cell::Cell;
use core::ptr;

use super::bucket::Bucket;

thread_local! {
    /// Without a destructor: can be used as long as the thread runs.
    static INNERMOST: Cell<*const Held> = const { Cell::new(ptr::null()) };
}

/// A bucket that is locked by this thread, on the stack of whoever has locked it.
struct Held {
    bucket: *const Bucket,
    outer: *const Held,
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.set(self.outer);
    }
}

/// Runs `code` of a key while `bucket` is locked.
#[inline]
pub(super) fn holding<R>(bucket: &Bucket, code: impl FnOnce() -> R) -> R {
    // Not under the model checker, whose threads are all one here.
    if cfg!(urcu_loom) {
        return code();
    }
    let held = Held { bucket, outer: INNERMOST.get() };
    INNERMOST.set(&raw const held);
    // Taken away by the drop, also when `code` panics.
    code()
}

/// Called by who has to wait for a bucket that is `wanted`.
///
/// # Panics
///
/// When this thread has locked it, and runs code of a key.
#[cold]
pub(super) fn check(wanted: impl Fn(*const Bucket) -> bool) {
    let mut held = INNERMOST.get();
    // SAFETY: null, or on this thread's stack: what `holding` put there takes itself away before it ends.
    while let Some(one) = unsafe { held.as_ref() } {
        assert!(
            !wanted(one.bucket),
            "`Eq` or `Hash` of a key uses the map that the key is in, while its bucket is locked: that would wait for ever"
        );
        held = one.outer;
    }
}
