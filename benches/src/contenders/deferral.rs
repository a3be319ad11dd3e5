//! Deferred reclamation by one table of functions: ours, the C library's callbacks, and its queues per thread.

use std::ffi::c_void;
use std::sync::OnceLock;

use super::api::{Api, ApiSubject, Offline, Reader};
use crate::blocks::Manner;
use crate::harness::plan::{Contender, Flavor, Kind, Sample, Shot};
use crate::harness::threads::unpinned;
use crate::reclaim::{Reclaimer, Updater};
use crate::workload::{Subject, Worker};

/// Room for a callback's head inside an object: two words, in our library and in the C library.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Head([usize; 2]);

/// Gets the head back after a grace period.
pub type Callback = unsafe extern "C" fn(*mut c_void);

/// A way to defer. Calls come from outside sections.
#[derive(Debug)]
pub struct Deferral {
    /// The name in the record.
    pub name: &'static str,
    /// The implementation that it belongs to.
    pub api: &'static Api,
    /// Whether a thread must be a registered reader for it.
    pub registers: bool,
    /// Prepares the calling thread.
    pub begin: unsafe fn() -> Result<(), String>,
    /// Undoes `begin`; blocks retired by the thread may be left.
    pub end: unsafe fn(),
    /// Allocates, fills and retires so many blocks.
    pub retire: unsafe fn(u64),
    /// The same with contents that have a destructor.
    pub retire_dropping: unsafe fn(u64),
    /// The same as `retire`, with a section for each block; by a registered reader.
    pub retire_reading: unsafe fn(u64),
    /// Whether retiring may wait for a grace period whatever the caller is, so that QSBR updaters must be offline for it.
    pub blocks: bool,
    /// Calls back after a grace period, where there are callbacks.
    pub call: Option<unsafe fn(*mut Head, Callback)>,
    /// Waits until everything deferred has been done, from any thread outside sections.
    pub barrier: fn() -> Result<(), String>,
    /// Whether blocks are kept as long as a reader could hold them, and then freed; found out once.
    pub checked: OnceLock<Result<(), String>>,
    /// How much may be deferred before an updater is made to wait, where there is such a limit.
    pub limit: Option<fn() -> usize>,
}

impl Deferral {
    /// Makes the calling thread an updater for as long as the value lives, and a reader if it is to read or has to.
    ///
    /// # Errors
    /// What the implementation says when it refuses.
    pub fn enlist(&'static self, reads: bool) -> Result<Enlisted, String> {
        let reader = if reads || self.registers { Some(self.api.register()?) } else { None };
        // A worker that is started here may run anywhere.
        // SAFETY: the thread is registered if need be, and outside sections.
        unpinned(|| unsafe { (self.begin)() })?;
        Ok(Enlisted { reader, deferral: self })
    }

    /// What the threads of one measurement share.
    pub fn reclaimer(&'static self) -> Box<dyn Reclaimer> {
        Box::new(Shared { reads: ApiSubject::new(self.api), deferral: self })
    }
}

/// A thread that defers.
#[derive(Debug)]
pub struct Enlisted {
    reader: Option<Reader>,
    deferral: &'static Deferral,
}

impl Enlisted {
    /// Allocates, fills and retires so many blocks, then announces a quiescent state.
    ///
    /// # Panics
    /// When it is to read and is no reader.
    pub fn retire(&mut self, manner: Manner, blocks: u64) {
        let retire = match manner {
            Manner::Plain => self.deferral.retire,
            Manner::Dropping => self.deferral.retire_dropping,
            Manner::Reading => self.deferral.retire_reading,
        };
        assert!(manner != Manner::Reading || self.reader.is_some(), "only a reader reads");
        let offline = if self.deferral.blocks { self.offline() } else { None };
        // SAFETY: `begin` has been called, and sections borrow the reader, which there is if need be.
        unsafe { retire(blocks) };
        drop(offline);
        if let Some(reader) = &mut self.reader {
            reader.quiescent();
        }
    }

    /// Takes the thread out of the count of readers, if it is one of them and the flavor has that.
    pub fn offline(&mut self) -> Option<Offline<'_>> {
        self.reader.as_mut().map(Reader::offline)
    }

    /// Has `callback` called with `head` after a grace period.
    ///
    /// # Errors
    /// When there are no callbacks.
    ///
    /// # Safety
    /// The head is in no queue, and stays where it is until the callback runs.
    pub unsafe fn call(&mut self, head: *mut Head, callback: Callback) -> Result<(), String> {
        let call = self.deferral.call.ok_or("it has no callbacks")?;
        // SAFETY: passed on to the caller; sections borrow the reader.
        unsafe { call(head, callback) };
        Ok(())
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        // Ending may wait for a grace period, for which an online reader would have to announce quiescent states.
        let end = self.deferral.end;
        let offline = self.offline();
        // SAFETY: `begin` has been called on this thread.
        unsafe { end() };
        drop(offline);
    }
}

struct Shared {
    reads: ApiSubject,
    deferral: &'static Deferral,
}

impl Subject for Shared {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        self.reads.worker()
    }
}

impl Reclaimer for Shared {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        Ok(Box::new(Retires { thread: self.deferral.enlist(manner == Manner::Reading)?, manner }))
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let mut reader = self.deferral.api.register()?;
        let _section = reader.lock();
        inside();
        Ok(())
    }

    /// One barrier must do.
    fn settle(&self) -> Result<bool, String> {
        (self.deferral.barrier)().map(|()| false)
    }
}

struct Retires {
    thread: Enlisted,
    manner: Manner,
}

impl Updater for Retires {
    fn retire(&mut self, blocks: u64) {
        self.thread.retire(self.manner, blocks);
    }
}

/// A way to defer that may be missing on this machine.
#[derive(Clone, Copy, Debug)]
pub struct DeferralEntry {
    /// The name in the record.
    pub name: &'static str,
    /// Ours or a peer.
    pub kind: Kind,
    /// The flavor.
    pub flavor: Flavor,
    /// Its functions, or why there are none.
    pub deferral: Result<&'static Deferral, &'static str>,
}

impl DeferralEntry {
    /// Makes its row, measured by `measure` if it is there.
    pub fn contender(
        &self,
        mut measure: impl FnMut(&'static Deferral, &Shot<'_>) -> Result<Sample, String> + 'static,
    ) -> Contender {
        match self.deferral {
            Ok(deferral) => Contender::new(self.name, self.kind, move |shot| {
                deferral.api.ready()?;
                measure(deferral, shot)
            }),
            Err(reason) => Contender::unavailable(self.name, self.kind, reason),
        }
        .of(self.flavor)
    }
}
