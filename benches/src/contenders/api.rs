//! One table of functions for every implementation of RCU, and safe values on top of it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;

use crate::harness::plan::Flavor;
use crate::workload::{Slot, Subject, Worker};

/// The raw tier of one implementation. The loops are its own, so that its read side is inlined
/// into them; everything else is called through the table.
#[derive(Debug)]
pub struct Api {
    /// The name in the record.
    pub name: &'static str,
    /// The flavor.
    pub flavor: Flavor,
    /// Done once, before anything else; its outcome is kept in `initialised`.
    pub init: fn() -> Result<(), String>,
    /// The outcome of `init`.
    pub initialised: OnceLock<Result<(), String>>,
    /// Whether its grace periods wait for readers, found out once.
    pub checked: OnceLock<Result<(), String>>,
    /// Makes the calling thread a reader; it must not be one.
    pub register: unsafe fn() -> Result<(), String>,
    /// Undoes `register`; the thread must be outside sections.
    pub unregister: unsafe fn(),
    /// The reader stops counting (QSBR); it must be outside sections.
    pub offline: unsafe fn(),
    /// The reader counts again (QSBR).
    pub online: unsafe fn(),
    /// Announces a quiescent state (QSBR) of a registered thread outside sections.
    pub quiescent: unsafe fn(),
    /// Opens a section of a registered thread.
    pub lock: unsafe fn(),
    /// Closes it.
    pub unlock: unsafe fn(),
    /// Waits for a grace period; the calling thread must be outside sections.
    pub synchronize: unsafe fn(),
    /// `blocks` times `length` sections and a quiescent state, by a registered thread.
    pub flat: unsafe fn(&Slot, u64, u64) -> u64,
    /// The same inside one outer section per block.
    pub nested: unsafe fn(&Slot, u64, u64) -> u64,
}

impl Api {
    /// Initialises the implementation, once per process.
    ///
    /// # Errors
    /// What its initialisation said.
    pub fn ready(&self) -> Result<(), String> {
        self.initialised.get_or_init(|| (self.init)()).clone()
    }

    /// Makes the calling thread a reader for as long as the value lives.
    ///
    /// # Errors
    /// What the implementation says when it refuses.
    pub fn register(&'static self) -> Result<Reader, String> {
        self.ready()?;
        // SAFETY: the workloads hold one `Reader` per thread and implementation at a time.
        unsafe { (self.register)() }?;
        Ok(Reader { api: self, here: PhantomData })
    }

    /// Waits for a grace period, from a thread that is no reader.
    ///
    /// # Safety
    /// The calling thread is not inside a section.
    pub unsafe fn synchronize(&self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.synchronize)() }
    }
}

/// A registered thread.
pub struct Reader {
    api: &'static Api,
    /// Registration belongs to the thread, so the value stays on it.
    here: PhantomData<*mut ()>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.api.name).finish()
    }
}

impl Reader {
    /// `blocks` times `length` sections, each block ended by a quiescent state.
    pub fn flat(&mut self, slot: &Slot, blocks: u64, length: u64) -> u64 {
        // SAFETY: the thread is registered, and `&mut` says that no `Section` is open.
        unsafe { (self.api.flat)(slot, blocks, length) }
    }

    /// The same, with one outer section around each block.
    pub fn nested(&mut self, slot: &Slot, blocks: u64, length: u64) -> u64 {
        // SAFETY: as in `flat`.
        unsafe { (self.api.nested)(slot, blocks, length) }
    }

    /// Announces a quiescent state, where the flavor has that.
    pub fn quiescent(&mut self) {
        // SAFETY: `&mut` says that no `Section` is open.
        unsafe { (self.api.quiescent)() }
    }

    /// Opens a section.
    pub fn lock(&mut self) -> Section<'_> {
        // SAFETY: the thread is registered and online: `Offline` borrows the reader exclusively.
        unsafe { (self.api.lock)() };
        Section { reader: self }
    }

    /// Takes the reader out of the count, where the flavor has that.
    pub fn offline(&mut self) -> Offline<'_> {
        // SAFETY: `&mut` says that no `Section` is open.
        unsafe { (self.api.offline)() };
        Offline { reader: self }
    }

    /// Waits for a grace period as a registered thread.
    pub fn synchronize(&mut self) {
        let offline = self.offline();
        // SAFETY: `&mut` says that no `Section` is open.
        unsafe { (offline.reader.api.synchronize)() }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: `register` succeeded on this thread, and sections borrow the reader.
        unsafe { (self.api.unregister)() }
    }
}

/// An open section.
#[derive(Debug)]
pub struct Section<'r> {
    reader: &'r Reader,
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        // SAFETY: `Reader::lock` opened it on this thread.
        unsafe { (self.reader.api.unlock)() }
    }
}

/// A reader that no updater waits for.
#[derive(Debug)]
pub struct Offline<'r> {
    reader: &'r Reader,
}

impl Drop for Offline<'_> {
    fn drop(&mut self) {
        // SAFETY: `Reader::offline` took this thread out.
        unsafe { (self.reader.api.online)() }
    }
}

/// An implementation with a slot, for the suite `read`.
#[derive(Debug)]
pub struct ApiSubject {
    api: &'static Api,
    slot: Slot,
}

impl ApiSubject {
    /// Reads through the raw tier of `api`.
    pub fn new(api: &'static Api) -> Self {
        Self { api, slot: Slot::new() }
    }
}

impl Subject for ApiSubject {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(ApiWorker { reader: self.api.register()?, slot: &self.slot }))
    }
}

struct ApiWorker<'s> {
    reader: Reader,
    slot: &'s Slot,
}

impl Worker for ApiWorker<'_> {
    fn flat(&mut self, blocks: u64, length: u64) -> u64 {
        self.reader.flat(self.slot, blocks, length)
    }

    fn nested(&mut self, blocks: u64, length: u64) -> u64 {
        self.reader.nested(self.slot, blocks, length)
    }
}
