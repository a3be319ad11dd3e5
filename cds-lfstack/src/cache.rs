//! Where nodes come from and go to: caches per thread, in front of the allocator.
//!
//! An allocation and its release cost about as much as two locked instructions, so about as much as the push and the pop
//! that they serve. So nodes of up to 128 bytes are kept and used again:
//!
//! - each thread has, per size, a list that it takes from and gives to without a locked instruction, and some spare ones,
//! - full lists (of 32 nodes) that are too many go to a depot that all threads share, for threads that only push and others
//!   that only pop,
//! - nodes that other pops may still be looking at are collected first, eight at a time, and deferred as one call; after their
//!   grace period they are a list of free nodes. Their values have been moved out at once, so nothing but memory waits.
//!
//! What is kept is bounded: 17 lists per thread and size, and 512 KiB per size in the depot. It goes back to the allocator
//! when a thread ends, and by [`trim`](crate::trim_node_cache).
//!
//! # Invariants
//!
//! 1. A free block's memory is nobody else's; word 1 links it to the next one of its list.
//! 2. In a block that waits for its grace period, word 0 (the node's link) is left alone, since other pops may read it; word
//!    1 is the cache's: it held the value, which nobody but the popping thread could reach.
//! 3. `room` counts the nodes that `free` may still take: `free` has `MAGAZINE - room` or fewer. It is 0 unless the
//!    thread's end will be noticed.
//!
//! Allocator calls are made with the lists in a consistent state: an allocator may use stacks itself.

use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use std::alloc::{alloc, dealloc, handle_alloc_error};

use urcu_core::FlavorVtable;
use urcu_core::sync::{AtomicBool, CachePadded, Ordering, spin_loop};

/// Sizes are multiples of this, and blocks aligned to it.
const STEP: usize = 16;
const CLASSES: usize = 8;
/// Nodes in a full list.
const MAGAZINE: usize = 32;
/// Nodes that are deferred together. A deferred call costs some ten nanoseconds, and 512 of them share a grace period: with
/// more nodes per call, so much memory would wait at a time that it would not be in the processor's caches any more.
const RETIRED: usize = 8;
/// Lists that a thread keeps per size, beside the one that it takes from.
const SPARES: usize = 16;
/// Bytes that the depot keeps per size.
const DEPOT_BYTES: usize = 512 << 10;

/// Word 0 belongs to the node while it can be seen; word 1 links the blocks of a list.
#[repr(C)]
struct Block {
    /// In the first block of a spare list, or of one in the depot: the next list.
    magazine: *mut Block,
    next: *mut Block,
}

/// The cache's class for nodes of type `N`; `None` for what it leaves to the allocator.
const fn class_of<N>() -> Option<usize> {
    let size = size_of::<N>();
    if size > STEP * CLASSES || align_of::<N>() > STEP { None } else { Some(size.div_ceil(STEP).saturating_sub(1)) }
}

const fn layout_of(class: usize) -> Layout {
    match Layout::from_size_align((class + 1) * STEP, STEP) {
        Ok(layout) => layout,
        Err(_) => panic!("a small power of two"),
    }
}

/// One size, of one thread.
struct Class {
    free: Cell<*mut Block>,
    room: Cell<usize>,
    /// Lists, linked as in the depot.
    spares: Cell<*mut Block>,
    spares_room: Cell<usize>,
    /// Waiting to be deferred: `RETIRED - limbo_room` blocks, of nodes whose stacks are of `limbo_flavor`.
    limbo: Cell<*mut Block>,
    limbo_room: Cell<usize>,
    limbo_flavor: Cell<*const FlavorVtable>,
}

impl Class {
    const fn new() -> Self {
        Self {
            free: Cell::new(ptr::null_mut()),
            room: Cell::new(0),
            spares: Cell::new(ptr::null_mut()),
            spares_room: Cell::new(SPARES),
            limbo: Cell::new(ptr::null_mut()),
            limbo_room: Cell::new(0),
            limbo_flavor: Cell::new(ptr::null()),
        }
    }

    /// One of the spare lists, or null.
    fn take_spare(&self) -> *mut Block {
        let list = self.spares.get();
        if !list.is_null() {
            // SAFETY: the first block of a list, ours, whose word 0 links to the next list.
            self.spares.set(unsafe { (*list).magazine });
            self.spares_room.set(self.spares_room.get() + 1);
        }
        list
    }

    /// Keeps a list if there is room.
    fn give_spare(&self, list: *mut Block) -> bool {
        let room = self.spares_room.get();
        if room == 0 {
            return false;
        }
        // SAFETY: a free block, ours.
        unsafe { (*list).magazine = self.spares.get() };
        self.spares.set(list);
        self.spares_room.set(room - 1);
        true
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its end would not be noticed: nothing may be kept.
    Fresh,
    Armed,
    Ended,
}

struct ThreadCache {
    classes: [Class; CLASSES],
    state: Cell<State>,
}

thread_local! {
    /// No destructor, so no check at each access.
    static CACHE: ThreadCache =
        const { ThreadCache { classes: [const { Class::new() }; CLASSES], state: Cell::new(State::Fresh) } };
    /// Touched once by each thread that keeps something.
    static EXIT: Exit = const { Exit };
}

struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        CACHE.with(|cache| {
            cache.state.set(State::Ended);
            (0..CLASSES).for_each(|class| cache.empty(class));
        });
    }
}

impl ThreadCache {
    /// Whether blocks may be kept.
    fn arm(&self) -> bool {
        if self.state.get() == State::Fresh && EXIT.try_with(|_| ()).is_ok() {
            self.state.set(State::Armed);
        }
        self.state.get() == State::Armed
    }

    /// Gives everything of one size away.
    fn empty(&self, class: usize) {
        let lists = &self.classes[class];
        lists.room.set(0);
        // SAFETY: taken out of the cache, whose free blocks it held (invariant 1).
        unsafe { release(class, lists.free.take_list()) };
        loop {
            let list = lists.take_spare();
            if list.is_null() {
                break;
            }
            // SAFETY: as above.
            unsafe { release(class, list) };
        }
        self.flush(class);
    }

    /// Defers what waits for a grace period.
    fn flush(&self, class: usize) {
        let lists = &self.classes[class];
        let limbo = lists.limbo.take_list();
        let flavor = lists.limbo_flavor.replace(ptr::null());
        let count = RETIRED - lists.limbo_room.replace(0);
        if limbo.is_null() {
            return;
        }
        // SAFETY: only references to static tables are stored there, and one is when there is a list.
        let flavor = unsafe { &*flavor };
        let bytes = count * layout_of(class).size();
        // SAFETY: the blocks were popped before this, and are nobody's after a grace period. The function frees or keeps
        // memory, and runs no code of anybody's.
        unsafe { (flavor.defer_free)(RECYCLE[class], limbo.cast(), bytes) };
    }

    #[cold]
    fn allocate_slowly(&self, class: usize) -> *mut Block {
        let lists = &self.classes[class];
        let mut list = lists.take_spare();
        if list.is_null() {
            list = DEPOTS[class].take();
        }
        if list.is_null() {
            lists.room.set(if self.state.get() == State::Armed { MAGAZINE } else { 0 });
            return allocate_block(class);
        }
        // SAFETY: a free block, ours now (invariant 1).
        let rest = unsafe { (*list).next };
        if self.arm() {
            lists.free.set(rest);
            // It has a magazine at most, one of which is given out.
            lists.room.set(1);
        } else {
            // SAFETY: the free blocks of this class behind the first one.
            unsafe { release(class, rest) };
        }
        list
    }

    #[cold]
    fn free_slowly(&self, class: usize, block: *mut Block) {
        let lists = &self.classes[class];
        if !self.arm() {
            // SAFETY: a free block of this class, ours.
            unsafe { deallocate_block(class, block) };
            return;
        }
        // SAFETY: a free block, ours.
        unsafe { (*block).next = ptr::null_mut() };
        let full = lists.free.replace(block);
        lists.room.set(MAGAZINE - 1);
        self.keep_magazine(class, full);
    }

    /// Puts a list of free blocks, a magazine at most, where it will be found.
    fn keep_magazine(&self, class: usize, list: *mut Block) {
        if list.is_null() || self.state.get() == State::Armed && self.classes[class].give_spare(list) {
            return;
        }
        if !DEPOTS[class].give(list, DEPOT_BYTES / (MAGAZINE * layout_of(class).size())) {
            // SAFETY: free blocks of this class, ours.
            unsafe { release(class, list) };
        }
    }

    #[cold]
    fn retire_slowly(&self, class: usize, block: *mut Block, flavor: &'static FlavorVtable) {
        let lists = &self.classes[class];
        // Full, or of another flavor. Again if that has retired here (an allocator, a report hook, a call run in place of a
        // worker), or else what is there now would be lost.
        loop {
            self.flush(class);
            if lists.limbo.get().is_null() {
                break;
            }
        }
        // SAFETY: word 1 of a popped node is the cache's (invariant 2).
        unsafe { (*block).next = ptr::null_mut() };
        lists.limbo.set(block);
        lists.limbo_room.set(RETIRED - 1);
        lists.limbo_flavor.set(flavor);
        if !self.arm() {
            self.flush(class);
        }
    }
}

trait TakeList {
    fn take_list(&self) -> *mut Block;
}

impl TakeList for Cell<*mut Block> {
    fn take_list(&self) -> *mut Block {
        self.replace(ptr::null_mut())
    }
}

/// Memory for an `N`.
#[inline]
pub(crate) fn allocate<N>() -> NonNull<N> {
    let Some(class) = (const { class_of::<N>() }) else {
        let layout = Layout::new::<N>();
        // SAFETY: larger than a class, so not of size zero.
        let memory = unsafe { alloc(layout) };
        return NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout));
    };
    let block = CACHE.with(|cache| {
        let lists = &cache.classes[class];
        let block = lists.free.get();
        if block.is_null() {
            return cache.allocate_slowly(class);
        }
        // SAFETY: a free block, this thread's (invariant 1).
        lists.free.set(unsafe { (*block).next });
        lists.room.set(lists.room.get() + 1);
        block
    });
    // SAFETY: a free block, or just allocated: not null.
    unsafe { NonNull::new_unchecked(block.cast()) }
}

/// Frees the memory of an `N`.
///
/// # Safety
///
/// `node` comes from [`allocate`], holds nothing that must be dropped, and nobody uses it any more.
#[inline]
pub(crate) unsafe fn free<N>(node: NonNull<N>) {
    let Some(class) = (const { class_of::<N>() }) else {
        // SAFETY: `allocate` made it with this layout.
        unsafe { dealloc(node.as_ptr().cast(), Layout::new::<N>()) };
        return;
    };
    let block: *mut Block = node.as_ptr().cast();
    CACHE.with(|cache| {
        let lists = &cache.classes[class];
        let room = lists.room.get();
        if room == 0 {
            return cache.free_slowly(class, block);
        }
        // SAFETY: ours, as the caller promises; aligned and large enough, as all classes are.
        unsafe { (*block).next = lists.free.get() };
        lists.free.set(block);
        lists.room.set(room - 1);
    });
}

/// Frees the memory of an `N` after a grace period of `flavor`. Any context.
///
/// # Safety
///
/// `node` comes from [`allocate`] and holds nothing that must be dropped. Others may only read its first word, inside
/// sections that found it before this call.
#[inline]
pub(crate) unsafe fn retire<N>(node: NonNull<N>, flavor: &'static FlavorVtable) {
    let Some(class) = (const { class_of::<N>() }) else {
        // SAFETY: nobody can find it any more, and it is nobody's after a grace period; the function only frees.
        unsafe { (flavor.defer_free)(deallocate::<N>, node.as_ptr().cast(), size_of::<N>()) };
        return;
    };
    let block: *mut Block = node.as_ptr().cast();
    CACHE.with(|cache| {
        let lists = &cache.classes[class];
        let room = lists.limbo_room.get();
        if room == 0 || !ptr::eq(lists.limbo_flavor.get(), flavor) {
            return cache.retire_slowly(class, block, flavor);
        }
        // SAFETY: word 1 of a popped node is the cache's (invariant 2).
        unsafe { (*block).next = lists.limbo.get() };
        lists.limbo.set(block);
        lists.limbo_room.set(room - 1);
    });
}

/// Gives back to the allocator what the calling thread and the depot keep for later nodes. Any context but signal handlers.
///
/// What other threads keep (at most 17 lists of 32 nodes per size of node) goes back when they end.
pub fn trim_node_cache() {
    CACHE.with(|cache| {
        for (class, depot) in DEPOTS.iter().enumerate() {
            cache.empty(class);
            loop {
                let magazine = depot.take();
                if magazine.is_null() {
                    break;
                }
                // SAFETY: free blocks of this class, ours.
                unsafe { release(class, magazine) };
            }
        }
    });
}

fn allocate_block(class: usize) -> *mut Block {
    let layout = layout_of(class);
    // SAFETY: not of size zero.
    let block = unsafe { alloc(layout) };
    if block.is_null() {
        handle_alloc_error(layout);
    }
    block.cast()
}

/// # Safety
///
/// `block` is a free block of `class`, and the caller's.
unsafe fn deallocate_block(class: usize, block: *mut Block) {
    // SAFETY: all blocks of a class are allocated with its layout.
    unsafe { dealloc(block.cast(), layout_of(class)) };
}

/// # Safety
///
/// `list` is a list of free blocks of `class`, and the caller's; null is none.
unsafe fn release(class: usize, mut list: *mut Block) {
    while !list.is_null() {
        // SAFETY: a free block, the caller's.
        let next = unsafe { (*list).next };
        // SAFETY: as above.
        unsafe { deallocate_block(class, list) };
        list = next;
    }
}

unsafe extern "C" fn deallocate<N>(node: *mut c_void) {
    // SAFETY: `allocate` made it with this layout, and its grace period has passed.
    unsafe { dealloc(node.cast(), Layout::new::<N>()) };
}

unsafe extern "C" fn recycle<const CLASS: usize>(list: *mut c_void) {
    CACHE.with(|cache| cache.keep_magazine(CLASS, list.cast()));
}

/// What takes back a magazine of each class after its grace period.
static RECYCLE: [unsafe extern "C" fn(*mut c_void); CLASSES] =
    [recycle::<0>, recycle::<1>, recycle::<2>, recycle::<3>, recycle::<4>, recycle::<5>, recycle::<6>, recycle::<7>];

static DEPOTS: [CachePadded<Depot>; CLASSES] = [const { CachePadded(Depot::new()) }; CLASSES];

/// Magazines that belong to no thread. Its lock is only tried: who does not get it uses the allocator, so nobody ever waits
/// for a thread that is not running, or that a forked child does not have.
struct Depot {
    held: AtomicBool,
    /// Under `held`.
    magazines: UnsafeCell<(*mut Block, usize)>,
}

// SAFETY: the magazines are touched under the lock only, and hold free memory, which is no thread's.
unsafe impl Sync for Depot {}

impl Depot {
    const ATTEMPTS: usize = 8;

    const fn new() -> Self {
        Self { held: AtomicBool::new(false), magazines: UnsafeCell::new((ptr::null_mut(), 0)) }
    }

    fn try_with<R>(&self, run: impl FnOnce(&mut (*mut Block, usize)) -> R) -> Option<R> {
        for _ in 0..Self::ATTEMPTS {
            // Acquire: sees what the last holder left. PAIR(node-depot)
            if !self.held.swap(true, Ordering::Acquire) {
                // SAFETY: held by this thread alone; `run` does not come here again.
                let answer = run(unsafe { &mut *self.magazines.get() });
                // Release: PAIR(node-depot)
                self.held.store(false, Ordering::Release);
                return Some(answer);
            }
            spin_loop();
        }
        None
    }

    /// Null when there is none, or no way to it.
    fn take(&self) -> *mut Block {
        let taken = self.try_with(|(top, count)| {
            let magazine = *top;
            if !magazine.is_null() {
                // SAFETY: the first block of a magazine, whose word 0 links to the next.
                *top = unsafe { (*magazine).magazine };
                *count -= 1;
            }
            magazine
        });
        taken.unwrap_or(ptr::null_mut())
    }

    /// Whether it was taken in: not beyond `most`.
    fn give(&self, magazine: *mut Block, most: usize) -> bool {
        let given = self.try_with(|(top, count)| {
            let fits = *count < most;
            if fits {
                // SAFETY: the giver's free block.
                unsafe { (*magazine).magazine = *top };
                *top = magazine;
                *count += 1;
            }
            fits
        });
        given.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct Node<const N: usize>([u64; N]);

    /// Held by tests that trim: that empties the depots of all classes, under the eyes of whoever counts.
    static TRIMMING: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn classes_fit_their_nodes() {
        assert_eq!(class_of::<Node<1>>(), Some(0));
        assert_eq!(class_of::<Node<2>>(), Some(0));
        assert_eq!(class_of::<Node<3>>(), Some(1));
        assert_eq!(class_of::<Node<16>>(), Some(7));
        assert_eq!(class_of::<Node<17>>(), None);
        for class in 0..CLASSES {
            assert_eq!(layout_of(class).size(), 16 * (class + 1));
        }
    }

    #[test]
    fn a_freed_node_is_the_next_one() {
        let _alone = TRIMMING.lock();
        let one = allocate::<Node<3>>();
        let two = allocate::<Node<3>>();
        assert_ne!(one, two);
        // SAFETY: just allocated.
        unsafe { free(one) };
        assert_eq!(allocate::<Node<3>>(), one);
        // SAFETY: allocated above, and free once only.
        unsafe { free(one) };
        // SAFETY: as above.
        unsafe { free(two) };
        trim_node_cache();
    }

    #[test]
    fn magazines_overflow_into_the_depot_and_come_back() {
        let _alone = TRIMMING.lock();
        std::thread::spawn(|| {
            let nodes: Vec<_> = (0..30 * MAGAZINE).map(|_| allocate::<Node<13>>()).collect();
            let distinct: std::collections::HashSet<_> = nodes.iter().copied().collect();
            assert_eq!(distinct.len(), nodes.len());
            for node in nodes {
                // SAFETY: allocated above, freed once.
                unsafe { free(node) };
            }
        })
        .join()
        .expect("no panic");
        // That thread has ended; the depot has what overflowed.
        let class = class_of::<Node<13>>().expect("small");
        let kept = DEPOTS[class].try_with(|(_, count)| *count).expect("nobody else uses this class");
        assert_eq!(kept, 30 - 1 - SPARES);
        let again: Vec<_> = (0..kept * MAGAZINE).map(|_| allocate::<Node<13>>()).collect();
        assert_eq!(DEPOTS[class].try_with(|(_, count)| *count), Some(0));
        for node in again {
            // SAFETY: allocated above, freed once.
            unsafe { free(node) };
        }
        trim_node_cache();
        assert_eq!(DEPOTS[class].try_with(|(_, count)| *count), Some(0));
    }
}
