//! Where the memory of buckets comes from, if the caller wants to have a say in that.

use core::ffi::c_void;
use core::fmt;
use core::ptr::NonNull;

use super::word::Link;

/// A caller's allocator for the buckets of tables: two functions, and what they are to be called with.
///
/// Without one, small pieces of memory come from Rust's global allocator (of the smallest, up to 112 KiB stay for the process's next tables,
/// in builds without debug assertions) and large ones are mappings, on huge pages where the
/// system has them; those of an allocator are whatever it gives. The mapping of
/// [`BucketMemory::Mmap`](super::BucketMemory::Mmap) is made by the system in any case. What else belongs to a table, a
/// few kilobytes that are made with it, comes from the global allocator.
///
/// The C library has six members (`malloc`, `calloc`, `realloc`, `aligned_alloc`, `free`, `state`), and all memory of a table comes
/// from them.
///
/// ```
/// use std::alloc::Layout;
/// use std::ffi::c_void;
/// use std::ptr::NonNull;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use cds_lfht::raw::{Allocator, Options, Table};
///
/// /// Bytes that are allocated.
/// static USED: AtomicUsize = AtomicUsize::new(0);
///
/// unsafe extern "C" fn allocate(used: *mut c_void, bytes: usize, align: usize) -> *mut c_void {
///     let Ok(layout) = Layout::from_size_align(bytes, align) else { return std::ptr::null_mut() };
///     // SAFETY: the pointer that `Allocator::new` was given.
///     unsafe { used.cast::<AtomicUsize>().as_ref() }.unwrap().fetch_add(bytes, Ordering::Relaxed);
///     // SAFETY: `bytes` is not 0.
///     unsafe { std::alloc::alloc_zeroed(layout) }.cast()
/// }
///
/// unsafe extern "C" fn free(used: *mut c_void, memory: *mut c_void, bytes: usize, align: usize) {
///     // SAFETY: as above.
///     unsafe { used.cast::<AtomicUsize>().as_ref() }.unwrap().fetch_sub(bytes, Ordering::Relaxed);
///     // SAFETY: allocated above with the same layout.
///     unsafe { std::alloc::dealloc(memory.cast(), Layout::from_size_align(bytes, align).unwrap()) }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use urcu_mb as rcu;
/// // SAFETY: a static that is an atomic, and memory of Rust's allocator.
/// let allocator = unsafe { Allocator::new(allocate, free, (&raw const USED).cast_mut().cast()) };
/// let table = Table::new(rcu::vtable(), Options::new().initial(1024).allocator(allocator))?;
/// assert!(USED.load(Ordering::Relaxed) >= 1024 * 8);
/// table.destroy()?;
/// rcu::vtable().wait_for_retired()?;
/// assert_eq!(USED.load(Ordering::Relaxed), 0);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "cds_lfht_alloc")]
#[doc(alias = "cds_lfht_new_with_flavor_alloc")]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Allocator {
    allocate: Allocate,
    free: Free,
    state: *mut c_void,
}

/// `state`, bytes, alignment: zeroed memory, or null.
pub type Allocate = unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void;
/// `state`, the memory, and the bytes and the alignment that were asked for.
pub type Free = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize);

// SAFETY: the functions may be called on any thread: the word of whoever called `new`.
unsafe impl Send for Allocator {}
// SAFETY: as above.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// The allocator that consists of these functions, called with `state`.
    ///
    /// `allocate` is called when a table is made, by updaters or the flavor's worker when it grows, and by
    /// [`resize`](super::Table::resize); `free` also when it shrinks or ends. Calls may come from inside sections. If `allocate`
    /// returns null, there is no memory: the table goes on with the buckets that it has. The thread has the right to change the table's
    /// size meanwhile, so a slow allocator keeps [`resize`](super::Table::resize) and the worker waiting, but no updater. A forked child
    /// goes on calling both, with its copy of `state`.
    ///
    /// # Safety
    ///
    /// - Both functions may be called by any thread, by several at once, with `state`, until the memory of the last table with this
    ///   allocator has been freed: that may be later than the table's drop, by the flavor's worker
    ///   ([`FlavorVtable::wait_for_retired`](urcu_core::FlavorVtable::wait_for_retired) waits for it).
    /// - `allocate` returns null, or memory of so many bytes (never 0), all zero, at a multiple of the alignment (a power of two)
    ///   and below 2^48, which is the table's alone until `free`.
    /// - Neither waits for a grace period, or uses the table. (A panic in them ends the process: they are `extern "C"`.)
    #[must_use]
    pub const unsafe fn new(allocate: Allocate, free: Free, state: *mut c_void) -> Self {
        Self { allocate, free, state }
    }

    /// Memory for so many buckets, all of them null.
    pub(super) fn allocate(&self, count: usize) -> Option<NonNull<Link>> {
        let bytes = count.checked_mul(size_of::<Link>()).filter(|&bytes| bytes <= isize::MAX.cast_unsigned())?;
        // SAFETY: as `new` was promised.
        NonNull::new(unsafe { (self.allocate)(self.state, bytes, ALIGN) }.cast())
    }

    /// # Safety
    ///
    /// From [`allocate`](Self::allocate) for as many buckets; nobody uses it.
    pub(super) unsafe fn free(&self, memory: NonNull<Link>, count: usize) {
        // SAFETY: as promised, here and in `new`.
        unsafe { (self.free)(self.state, memory.as_ptr().cast(), count * size_of::<Link>(), ALIGN) };
    }
}

/// A cache line.
const ALIGN: usize = 64;

impl fmt::Debug for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocator").field("state", &self.state).finish_non_exhaustive()
    }
}
