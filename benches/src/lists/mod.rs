//! What the suite `list` walks and updates: lists of the same elements in the same layout, for everybody.

use std::hint::black_box;
use std::marker::PhantomData;
use std::ptr;

use cds_list::container_of;
use cds_list::raw::{HlistHead, HlistNode, ListHead, hlist, list};

use crate::pool::{ELEMENT_ALIGN, ELEMENT_SIZE};
use crate::workload::{Looped, ReadSide, Subject, Worker, sum_of};

pub mod liburcu;
pub mod ours;
pub mod standing;

/// Elements of a list that is walked.
pub const ELEMENTS: u64 = 1000;
/// Walks between two quiescent states.
pub const WALKS: u64 = 8;
/// Blocks of walks per timed batch.
pub const WALK_BLOCKS: u64 = 2;

/// What is in an element: the sum of a walk is the number of elements.
pub const VALUE: u64 = 1;

/// A value of an alignment that makes nodes of two links have the layout of `pool`.
#[repr(align(16))]
#[derive(Clone, Copy, Debug)]
pub struct Value(pub u64);

impl Value {
    /// The value of every element.
    pub const ONE: Self = Self(VALUE);
}

/// An element of a circular list. The layout is shared with the C shims, and with the nodes of `RcuList<Value>`.
#[repr(C)]
#[derive(Debug)]
pub struct Element {
    links: ListHead,
    value: Value,
}

const _: () = assert!(size_of::<Element>() == ELEMENT_SIZE && align_of::<Element>() == ELEMENT_ALIGN);

/// An element of a list that ends in null. The layout is shared in the same way.
#[repr(C)]
#[derive(Debug)]
pub struct ShortElement {
    links: HlistNode,
    value: Value,
}

/// A list of raw elements that nobody changes.
#[derive(Debug)]
pub struct RawList(*mut ListHead);

/// The same of raw short elements.
#[derive(Debug)]
pub struct RawHlist(*mut HlistHead);

// SAFETY: only read while it is shared.
unsafe impl Send for RawList {}
// SAFETY: only read while it is shared.
unsafe impl Sync for RawList {}
// SAFETY: only read while it is shared.
unsafe impl Send for RawHlist {}
// SAFETY: only read while it is shared.
unsafe impl Sync for RawHlist {}

impl RawList {
    /// [`ELEMENTS`] elements, allocated one by one from the first to the last.
    pub fn new() -> Self {
        let head = Box::into_raw(Box::new(ListHead::new()));
        // SAFETY: live, not shared.
        unsafe { list::init(head) };
        for _ in 0..ELEMENTS {
            let element = Box::into_raw(Box::new(Element { links: ListHead::new(), value: Value::ONE }));
            // SAFETY: live, not shared; the element is fresh, and its links are its first field.
            unsafe { list::add_tail(element.cast(), head) };
        }
        Self(head)
    }

    /// The head.
    #[inline(always)]
    pub fn head(&self) -> *mut ListHead {
        self.0
    }
}

impl RawHlist {
    /// [`ELEMENTS`] elements, allocated one by one from the first to the last.
    pub fn new() -> Self {
        let head = Box::into_raw(Box::new(HlistHead::new()));
        let mut elements: Vec<*mut ShortElement> = (0..ELEMENTS)
            .map(|_| Box::into_raw(Box::new(ShortElement { links: HlistNode::new(), value: Value::ONE })))
            .collect();
        while let Some(element) = elements.pop() {
            // SAFETY: live, not shared; the element is fresh, and its links are its first field.
            unsafe { hlist::add_head(element.cast(), head) };
        }
        Self(head)
    }

    /// The head.
    #[inline(always)]
    pub fn head(&self) -> *mut HlistHead {
        self.0
    }
}

impl Default for RawList {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for RawHlist {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RawList {
    fn drop(&mut self) {
        // SAFETY: nobody else has the list any more.
        for links in unsafe { list::iter_safe(self.0) } {
            // SAFETY: made by a box in `new`; the walk is a step ahead.
            drop(unsafe { Box::from_raw(container_of!(links, Element, links)) });
        }
        // SAFETY: made by a box in `new`.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Drop for RawHlist {
    fn drop(&mut self) {
        // SAFETY: nobody else has the list any more.
        for links in unsafe { hlist::iter_safe(self.0) } {
            // SAFETY: made by a box in `new`; the walk is a step ahead.
            drop(unsafe { Box::from_raw(container_of!(links, ShortElement, links)) });
        }
        // SAFETY: made by a box in `new`.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// The value of an element that a raw walk gave.
///
/// # Safety
/// The links are those of a live [`Element`].
#[inline(always)]
pub unsafe fn value(links: *mut ListHead) -> u64 {
    // SAFETY: the caller's word.
    unsafe { (*container_of!(links, Element, links)).value.0 }
}

/// The value of a short element that a raw walk gave.
///
/// # Safety
/// The links are those of a live [`ShortElement`].
#[inline(always)]
pub unsafe fn short_value(links: *mut HlistNode) -> u64 {
    // SAFETY: the caller's word.
    unsafe { (*container_of!(links, ShortElement, links)).value.0 }
}

/// The sum that so many walks must return.
///
/// # Errors
/// Says what was found instead.
pub fn check_walks(sum: u64, walks: u64) -> Result<(), String> {
    let expected = walks * ELEMENTS * VALUE;
    if sum == expected {
        Ok(())
    } else {
        Err(format!("wrong answer: the elements of {walks} walks sum to {sum} and not {expected}"))
    }
}

/// Which way the limit walks.
pub trait Way: Send + Sync + 'static {
    /// Makes and walks plain lists of one layout.
    type List: Send + Sync;

    /// Makes the list.
    fn make() -> Self::List;

    /// Sums the values of one walk.
    fn walk(list: &Self::List) -> u64;
}

/// Forward over a circular list.
#[derive(Debug)]
pub struct Circular;

/// Backward over a circular list.
#[derive(Debug)]
pub struct Backward;

/// Forward to null.
#[derive(Debug)]
pub struct ToNull;

/// A plain element: no atomics, nothing that a compiler must not do.
#[repr(C)]
struct PlainElement {
    next: *const PlainElement,
    prev: *const PlainElement,
    value: Value,
}

/// The elements of a plain list, linked among themselves and with the head, in the layout of [`RawList`].
pub struct PlainList {
    head: *mut PlainElement,
    elements: Vec<*mut PlainElement>,
}

// SAFETY: only read while it is shared.
unsafe impl Send for PlainList {}
// SAFETY: only read while it is shared.
unsafe impl Sync for PlainList {}

impl PlainList {
    fn new(circular: bool) -> Self {
        let fresh =
            |value| Box::into_raw(Box::new(PlainElement { next: ptr::null(), prev: ptr::null(), value: Value(value) }));
        let head = fresh(0);
        let elements: Vec<*mut PlainElement> = (0..ELEMENTS).map(|_| fresh(VALUE)).collect();
        let mut last = head;
        for &element in &elements {
            // SAFETY: live, not shared.
            unsafe { (*last).next = element };
            // SAFETY: live, not shared.
            unsafe { (*element).prev = last };
            last = element;
        }
        // SAFETY: live, not shared.
        unsafe { (*last).next = if circular { head } else { ptr::null() } };
        // SAFETY: live, not shared.
        unsafe { (*head).prev = last };
        Self { head, elements }
    }
}

impl Drop for PlainList {
    fn drop(&mut self) {
        for element in self.elements.drain(..).chain([self.head]) {
            // SAFETY: made by a box in `new`; nobody else has the list any more.
            drop(unsafe { Box::from_raw(element) });
        }
    }
}

/// Hides a pointer from the compiler at no instruction, so that it does not take the result of one walk for the next.
#[inline(always)]
fn opaque<T>(mut pointer: *const T) -> *const T {
    // SAFETY: no instruction at all; the register keeps its value.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) pointer, options(nostack, preserves_flags));
    }
    pointer
}

impl Way for Circular {
    type List = PlainList;

    fn make() -> PlainList {
        PlainList::new(true)
    }

    #[inline(always)]
    fn walk(list: &PlainList) -> u64 {
        let head = opaque(list.head);
        let mut sum = 0;
        // SAFETY: the list lives, and nobody changes it.
        let mut at = unsafe { (*head).next };
        while at != head {
            // SAFETY: as above.
            sum += unsafe { (*at).value.0 };
            // SAFETY: as above.
            at = unsafe { (*at).next };
        }
        sum
    }
}

impl Way for Backward {
    type List = PlainList;

    fn make() -> PlainList {
        PlainList::new(true)
    }

    #[inline(always)]
    fn walk(list: &PlainList) -> u64 {
        let head = opaque(list.head);
        let mut sum = 0;
        // SAFETY: the list lives, and nobody changes it.
        let mut at = unsafe { (*head).prev };
        while at != head {
            // SAFETY: as above.
            sum += unsafe { (*at).value.0 };
            // SAFETY: as above.
            at = unsafe { (*at).prev };
        }
        sum
    }
}

impl Way for ToNull {
    type List = PlainList;

    fn make() -> PlainList {
        PlainList::new(false)
    }

    #[inline(always)]
    fn walk(list: &PlainList) -> u64 {
        let head = opaque(list.head);
        let mut sum = 0;
        // SAFETY: the list lives, and nobody changes it.
        let mut at = unsafe { (*head).next };
        while !at.is_null() {
            // SAFETY: as above.
            sum += unsafe { (*at).value.0 };
            // SAFETY: as above.
            at = unsafe { (*at).next };
        }
        sum
    }
}

/// The limit of walks: the same list without any protection.
pub fn plain<W: Way>() -> Box<dyn Subject> {
    Box::new(PlainWalk::<W> { list: W::make(), way: PhantomData })
}

struct PlainWalk<W: Way> {
    list: W::List,
    way: PhantomData<W>,
}

impl<W: Way> Subject for PlainWalk<W> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        let list = &self.list;
        Ok(Box::new(Looped(Walks(move || W::walk(list)))))
    }
}

/// A walk as the section of the common loops; it ends no block.
#[derive(Debug)]
pub struct Walks<W>(pub W);

impl<W: FnMut() -> u64> ReadSide for Walks<W> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        black_box((self.0)())
    }

    fn nested_sections(&mut self, length: u64) -> u64 {
        sum_of(length, || self.section())
    }
}
