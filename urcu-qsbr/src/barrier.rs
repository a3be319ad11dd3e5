//! The heavy barrier: a full fence, the partner of the one in coming online.

use urcu_core::sync::{Ordering, fence};

#[inline]
pub(crate) fn heavy() {
    // SeqCst: one total order with the fence of coming online; see `urcu_core::quiescence`.
    fence(Ordering::SeqCst);
}
