//! What has nothing to do with RCU.

/// Calls the closure when it is dropped, on unwinding too.
pub(crate) struct OnDrop<A: FnMut()>(pub(crate) A);

impl<A: FnMut()> Drop for OnDrop<A> {
    fn drop(&mut self) {
        (self.0)();
    }
}
