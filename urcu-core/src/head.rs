//! The callback head that sits inside an object handed to deferred reclamation.

use core::ptr;

/// A function that reclaims the object around a head.
pub type Callback = unsafe extern "C" fn(head: *mut RcuHead);

/// Links an object into a callback queue: 16 bytes inside the object, so that retiring allocates nothing.
///
/// Layout of the C library's `rcu_head`. Belongs to the library from `call_rcu` until the callback runs.
#[doc(alias = "rcu_head")]
#[derive(Debug)]
#[repr(C)]
pub struct RcuHead {
    pub(crate) next: *mut RcuHead,
    // Written out: what generates the C header knows no `Option` of an alias.
    pub(crate) callback: Option<unsafe extern "C" fn(head: *mut RcuHead)>,
}

impl RcuHead {
    /// A head that is in no queue.
    pub const fn new() -> Self {
        Self { next: ptr::null_mut(), callback: None }
    }
}

impl Default for RcuHead {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the pointers are followed only by the queue that owns the head, which is synchronised by itself.
unsafe impl Send for RcuHead {}
// SAFETY: nothing can be done through a shared head.
unsafe impl Sync for RcuHead {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_of_the_c_library() {
        assert_eq!(size_of::<RcuHead>(), 2 * size_of::<usize>());
        assert_eq!(core::mem::offset_of!(RcuHead, next), 0);
        assert_eq!(core::mem::offset_of!(RcuHead, callback), size_of::<usize>());
    }
}
