//! Lists that are updated: blocks are added at the end and taken from the beginning, so the length stays.

use std::ffi::c_void;

use crate::blocks::{BLOCK_SIZE, Manner};
use crate::contenders::api::{Api, Reader};
use crate::reclaim::{Each, Reclaimer, Updater};
use crate::workload::{Subject, Worker};

/// Blocks that stand in the list.
pub const STANDING: u64 = 64;

/// Contents of a block that a reader may see.
pub const MARK: u64 = 1;

/// What is in a block beside two links: with them it is one of the blocks that are counted.
#[repr(align(16))]
#[derive(Debug)]
pub struct Payload([u64; 6]);

const _: () = assert!(size_of::<Payload>() + 16 == BLOCK_SIZE);

impl Payload {
    /// Filled.
    #[inline(always)]
    pub fn filled() -> Self {
        Self([MARK; 6])
    }

    /// Zero, if it is as it was made.
    #[inline(always)]
    pub fn wrong(&self) -> u64 {
        self.0[0] ^ MARK
    }
}

/// Memory for the head and the mutex of a list of C.
#[repr(C, align(128))]
struct Room([u8; 256]);

/// The functions of a list with blocks that have a callback head.
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    /// The implementation that they belong to. Updaters are registered.
    pub api: &'static Api,
    /// Makes a list of so many blocks, in memory that is given.
    pub new: unsafe fn(*mut c_void, u64),
    /// Frees what stands in it.
    pub free: unsafe fn(*mut c_void),
    /// Allocates and adds a block, takes one out and retires it: so many times.
    pub pairs: unsafe fn(*mut c_void, u64),
    /// Blocks of walks; how many walks met only right elements.
    pub walk: unsafe fn(*mut c_void, u64, u64) -> u64,
    /// Waits until all that was retired has been freed.
    pub barrier: fn() -> Result<(), String>,
}

/// A list by a table of functions.
pub struct ByFunctions {
    functions: Functions,
    room: *mut Room,
}

// SAFETY: the list's functions synchronise among themselves.
unsafe impl Send for ByFunctions {}
// SAFETY: as above.
unsafe impl Sync for ByFunctions {}

impl std::fmt::Debug for ByFunctions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ByFunctions").field(&self.functions).finish()
    }
}

impl ByFunctions {
    /// A list, whose implementation's worker is running, started from this thread.
    ///
    /// # Panics
    /// When the implementation does not work.
    pub fn new(functions: Functions) -> Self {
        let room = Box::into_raw(Box::new(Room([0; 256])));
        // SAFETY: enough memory for the list.
        unsafe { (functions.new)(room.cast(), STANDING) };
        let list = Self { functions, room };
        let reader = functions.api.register().expect("the implementation has been made ready");
        // SAFETY: registered, outside of sections.
        unsafe { (functions.pairs)(room.cast(), 1) };
        drop(reader);
        (functions.barrier)().expect("outside of sections");
        list
    }
}

impl Drop for ByFunctions {
    fn drop(&mut self) {
        // SAFETY: nobody else has the list any more.
        unsafe { (self.functions.free)(self.room.cast()) };
        // SAFETY: made by a box in `new`.
        drop(unsafe { Box::from_raw(self.room) });
    }
}

impl Subject for ByFunctions {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Walker { list: self, _reader: self.functions.api.register()? }))
    }
}

struct Walker<'l> {
    list: &'l ByFunctions,
    /// Keeps the thread registered.
    _reader: Reader,
}

impl Worker for Walker<'_> {
    fn flat(&mut self, blocks: u64, length: u64) -> u64 {
        // SAFETY: registered, outside of sections.
        unsafe { (self.list.functions.walk)(self.list.room.cast(), blocks, length) }
    }

    fn nested(&mut self, blocks: u64, length: u64) -> u64 {
        self.flat(blocks, length)
    }
}

impl Reclaimer for ByFunctions {
    fn updater(&self, _: Manner) -> Result<Box<dyn Updater + '_>, String> {
        Ok(Box::new(Pairs { list: self, reader: self.functions.api.register()? }))
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let mut reader = self.functions.api.register()?;
        let _section = reader.lock();
        inside();
        Ok(())
    }

    fn settle(&self) -> Result<bool, String> {
        (self.functions.barrier)().map(|()| false)
    }
}

struct Pairs<'l> {
    list: &'l ByFunctions,
    reader: Reader,
}

impl Updater for Pairs<'_> {
    fn retire(&mut self, blocks: u64) {
        // SAFETY: registered, outside of sections.
        unsafe { (self.list.functions.pairs)(self.list.room.cast(), blocks) };
        self.reader.quiescent();
    }
}

/// A list whose updates need no more than a shared reference.
pub struct Shared<L, P, W> {
    /// The list.
    pub list: L,
    /// Adds a block at the end and frees, or retires, the first.
    pub pair: P,
    /// Whether one walk met only right elements.
    pub walk: W,
}

impl<L, P, W> std::fmt::Debug for Shared<L, P, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl<L, P, W> Subject for Shared<L, P, W>
where
    L: Send + Sync,
    P: Fn(&L) + Send + Sync,
    W: Fn(&L) -> bool + Send + Sync,
{
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        let (list, walk) = (&self.list, &self.walk);
        Ok(Box::new(crate::workload::Looped(super::Walks(move || u64::from(walk(list))))))
    }
}

impl<L, P, W> Reclaimer for Shared<L, P, W>
where
    L: Send + Sync,
    P: Fn(&L) + Send + Sync,
    W: Fn(&L) -> bool + Send + Sync,
{
    fn updater(&self, _: Manner) -> Result<Box<dyn Updater + '_>, String> {
        Ok(Box::new(Each(|| (self.pair)(&self.list))))
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        inside();
        Ok(())
    }

    fn settle(&self) -> Result<bool, String> {
        Ok(false)
    }
}
