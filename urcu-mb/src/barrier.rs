//! The heavy barrier: a full fence, the partner of the one in every outermost lock.

use urcu_core::sync::{Ordering, fence};

#[inline]
pub(crate) fn heavy() {
    // SeqCst: one total order with the readers' fences; `urcu_core::grace_period` argues with it.
    fence(Ordering::SeqCst);
}
