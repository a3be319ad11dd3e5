//! What is in a link: a name with flags and a tag.
//!
//! A link is the `next` of a node, or a bucket, which is nothing but a link: 8 bytes.
//!
//! ```text
//!   63            48 47                                      3   2      1        0
//!  +----------------+-----------------------------------------+------+--------+---------+
//!  | tag            | name of the next node or bucket         | READY| BUCKET | REMOVED |
//!  +----------------+-----------------------------------------+------+--------+---------+
//! ```
//!
//! The name is the target's address, or its distance from the beginning of a mapping: see [`space`](urcu_core::space). Either is
//! below 2^48 and a multiple of 8.
//!
//! | flag | belongs to | meaning |
//! |---|---|---|
//! | `REMOVED` | the place | the node (or bucket) that holds this link is removed; the link never changes again |
//! | `BUCKET` | the target | the next thing in the list is a bucket, or nothing (name 0) |
//! | `READY` | the place | this bucket is in the list: one may start here |
//!
//! The tag says about the target what one would otherwise have to look up there.
//!
//! - **Target is a node**: a window of 14 bits of its hash, and in the top two bits where the window begins: at bit 0, 8, 16 or
//!   24. Another window means another hash. Who searches knows that everything in its bucket shares the low bits, as many as
//!   the table's order; if the window begins there or before, it also says which of the two is behind.
//! - **Target is a bucket**: 6 bits of its level, 10 bits of the segment of memory it lies in, which give its index.

use core::ptr;

use urcu_core::sync::modelled::AtomicPtr;
use urcu_core::sync::{AtomicUsize, Ordering};

use super::split_order::{is_behind, level_of};

/// A place that holds a word of the list: a name and its flags. What is in it is the table's matter.
pub type Link = AtomicPtr<Node>;

/// What the caller's objects have inside: 16 bytes.
///
/// Layout of the C library's `cds_lfht_node`; what is in the fields differs.
#[doc(alias = "cds_lfht_node")]
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Node {
    pub(super) next: Link,
    /// Written before the node is in a table, and constant while it is in one. Atomic, because a link in shared memory may lead
    /// to what is no node.
    pub(super) hash: AtomicUsize,
}

impl Node {
    /// A node that is in no table.
    #[doc(alias = "cds_lfht_node_init")]
    pub fn new() -> Self {
        Self { next: Link::new(ptr::null_mut()), hash: AtomicUsize::new(0) }
    }

    /// A node that is in no table, and of which [`is_node_deleted`](super::is_node_deleted) says so.
    #[doc(alias = "cds_lfht_node_init_deleted")]
    pub fn new_deleted() -> Self {
        Self { next: Link::new(Word::END.with(REMOVED).0), hash: AtomicUsize::new(0) }
    }
}

impl Node {
    /// Before it is linked.
    #[inline(always)]
    pub(super) fn set_hash(&self, hash: usize) {
        // Relaxed: published with the node. PAIR(lfht-link)
        self.hash.store(hash, Ordering::Relaxed);
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) const REMOVED: usize = 1;
pub(super) const BUCKET: usize = 2;
pub(super) const READY: usize = 4;
/// Flags that describe the link itself and not what it points to.
const OF_THE_PLACE: usize = REMOVED | READY;
const ADDRESS: usize = (1 << TAG_AT) - 8;
const TAG_AT: u32 = 48;
/// Bits of a hash in a tag.
const WINDOW: u32 = 14;
/// Windows begin at multiples of this.
const STEP: u32 = 8;
const LAST_WINDOW: u32 = 3;
const SEGMENT_BITS: u32 = 10;

/// The most segments that bucket memory can have.
pub(super) const SEGMENTS: usize = 1 << SEGMENT_BITS;

/// What a link to a bucket says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketTag(usize);

impl BucketTag {
    /// The bucket `index`, which is in `segment`.
    #[inline]
    pub(super) fn new(index: usize, segment: usize) -> Self {
        Self(((level_of(index) as usize) << SEGMENT_BITS | segment) << TAG_AT | BUCKET)
    }
}

/// The contents of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Word(pub(super) *mut Node);

impl Word {
    /// No bucket was made here yet: fresh memory.
    pub(super) const FRESH: Self = Self(ptr::null_mut());
    /// The list ends. A bucket of level 0, so that it ends every search.
    pub(super) const END: Self = Self(ptr::without_provenance_mut(BUCKET));

    /// Points to the node of this name, whose hash is `hash`, in a table of `order`.
    #[inline]
    pub(super) fn to_node(node: *mut Node, hash: usize, order: u32) -> Self {
        let window = (order / STEP).min(LAST_WINDOW);
        let tag = (window as usize) << WINDOW | window_of(hash, window);
        Self(node.map_addr(|address| address | tag << TAG_AT))
    }

    /// Points to the bucket of this name.
    #[inline]
    pub(super) fn to_bucket(link: *mut Link, tag: BucketTag) -> Self {
        Self(link.cast::<Node>().map_addr(|address| address | tag.0))
    }

    /// Points to the bucket so many places behind the one that this points to, of which links say the same.
    #[inline]
    pub(super) fn beyond(self, places: usize) -> Self {
        Self(self.0.wrapping_byte_add(places * size_of::<Link>()))
    }

    #[inline]
    pub(super) fn is_removed(self) -> bool {
        self.0.addr() & REMOVED != 0
    }

    #[inline]
    pub(super) fn is_ready(self) -> bool {
        self.0.addr() & READY != 0
    }

    /// Whether the target is a bucket, or the list ends.
    #[inline]
    pub(super) fn is_bucket(self) -> bool {
        self.0.addr() & BUCKET != 0
    }

    /// The same link with a flag set.
    #[inline]
    pub(super) fn with(self, flag: usize) -> Self {
        Self(self.0.map_addr(|address| address | flag))
    }

    /// A link to where `self` points, at the place where `place` is.
    #[inline]
    pub(super) fn at_place_of(self, place: Self) -> Self {
        let flags = place.0.addr() & OF_THE_PLACE;
        Self(self.0.map_addr(|address| address & !OF_THE_PLACE | flags))
    }

    /// Where `self` points, without what describes the place.
    #[inline]
    pub(super) fn target(self) -> Self {
        Self(self.0.map_addr(|address| address & !OF_THE_PLACE))
    }

    /// The name of the node that this points to; the target is a node.
    #[inline]
    pub(super) fn node(self) -> *mut Node {
        self.0.map_addr(|address| address & ADDRESS)
    }

    /// The name of the bucket that this points to; the target is a bucket, and not the end.
    #[inline]
    pub(super) fn bucket(self) -> *mut Link {
        self.0.map_addr(|address| address & ADDRESS).cast::<Link>()
    }

    /// The bucket's level; 0 at the end of the list.
    #[inline]
    pub(super) fn level(self) -> u32 {
        // Six bits.
        #[allow(clippy::cast_possible_truncation)]
        let level = (self.0.addr() >> (TAG_AT + SEGMENT_BITS)) as u32;
        level
    }

    /// The bucket's segment.
    #[inline]
    pub(super) fn segment(self) -> usize {
        self.0.addr() >> TAG_AT & (SEGMENTS - 1)
    }

    /// Whether the target can be what a search for `hash` looks for: it is a node, and its window agrees. Whatever the order
    /// of the table: a node with another window has another hash.
    #[inline(always)]
    pub(super) fn can_be(self, hash: usize) -> bool {
        let (window, bits) = self.window();
        // One comparison: that it is a bucket cannot be predicted by itself, either.
        (bits ^ window_of(hash, window)) | (self.0.addr() & BUCKET) == 0
    }

    /// So many bits of the target's hash, from bit `order` on, if the tag has all of them; the target is a node.
    #[inline(always)]
    pub(super) fn bits(self, order: u32, count: u32) -> Option<usize> {
        let (window, bits) = self.window();
        let begin = window * STEP;
        let are_there = begin <= order && order + count <= begin + WINDOW;
        are_there.then(|| bits >> (order - begin) & ((1 << count) - 1))
    }

    /// Which window the tag has, and what is in it; the target is a node.
    #[inline(always)]
    fn window(self) -> (u32, usize) {
        let tag = self.0.addr() >> TAG_AT;
        // Two bits.
        #[allow(clippy::cast_possible_truncation)]
        let window = (tag >> WINDOW) as u32;
        (window, tag & ((1 << WINDOW) - 1))
    }

    /// Whether the tag alone says that a search for `hash`, in a table of `order`, ends before the target.
    ///
    /// A bucket that tables of this order have is not inside the one that is searched, hence behind it. (The end of the list is
    /// level 0.) A node in the bucket has the low `order` bits in common with `hash`; then its window may tell.
    ///
    /// Without branches: which of the two it is cannot be predicted, whether the search ends mostly can.
    #[inline]
    pub(super) fn ends_search(self, hash: usize, order: u32) -> bool {
        let (window, bits) = self.window();
        let is_beyond = is_behind(bits, window_of(hash, window)) & (window * STEP <= order);
        let is_behind = self.level() <= order;
        let is_bucket = self.is_bucket();
        (is_bucket & is_behind) | (!is_bucket & is_beyond)
    }
}

#[inline]
fn window_of(hash: usize, window: u32) -> usize {
    hash >> (window * STEP) & ((1 << WINDOW) - 1)
}

/// Whether a node of this name can be linked.
#[inline]
pub(super) fn is_linkable(node: *mut Node) -> bool {
    node.addr() & !ADDRESS == 0
}

/// Has the cache fetch a node that is about to be changed.
#[inline]
pub(super) fn prefetch(node: *const Node) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(urcu_loom)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(node.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(urcu_loom))))]
    let _ = node;
}
