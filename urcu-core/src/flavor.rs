//! What makes a flavor a flavor.

use core::fmt::Debug;

use crate::asymmetric::LightBarrier;
use crate::domain::Domain;
use crate::error::{InitError, RegisterError};
use crate::reader::{Reader, ThreadRecord};
use crate::word::WordLayout;

/// How a flavor's updaters learn that a reader holds no references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadSide {
    /// From the reader's nesting count: each section stores its beginning and its end.
    Sections(LightBarrier),
    /// From quiescent states that the thread announces; sections themselves leave no trace (QSBR).
    QuiescentStates,
}

/// A flavor of RCU: its constants, its global state, its thread-local record and its heavy barrier. Everything else
/// is generic over it and lives in this crate.
///
/// All functions are static and meant to be inlined: what a flavor costs is what it writes here. Users name a
/// flavor's crate and never call these.
///
/// # Safety
///
/// 1. `domain()` always returns the same static, made with `LAYOUT`, that no other flavor uses.
/// 2. `with_record` always gives the same record to the same thread, made by [`ThreadRecord::new`], and works in signal
///    handlers and in the thread's exit destructors. `reader` is not overridden.
/// 3. `heavy_barrier()`, together with the light barrier of `READ_SIDE`, keeps the contract of [`crate::asymmetric`]
///    towards every registered reader, and is a full fence on the caller.
/// 4. If `runs_on_full_fences()` ever returned true it always does, and then `heavy_barrier()` need only be a full
///    fence. It is settled before the first reader is registered.
/// 5. With `MIRRORED`: `heavy_barrier()` also pairs with the light barriers of readers in other processes, and the five functions
///    for it do what [`crate::mirror`] says of them.
pub unsafe trait Flavor: Copy + Debug + Default + Eq + Send + Sync + 'static {
    /// The name of the crate, for messages.
    const NAME: &'static str;
    /// How sections are seen.
    const READ_SIDE: ReadSide;
    /// Where the fields of a reader word are.
    const LAYOUT: WordLayout = WordLayout::new(16);
    /// Whether reading registers a thread by itself.
    const REGISTERS_ITSELF: bool = false;

    /// Whether sections also show in a second word, to updaters elsewhere: see [`crate::mirror`].
    const MIRRORED: bool = false;

    /// The flavor's global state.
    fn domain() -> &'static Domain;

    /// The calling thread's state.
    fn with_record<R>(access: impl FnOnce(&ThreadRecord) -> R) -> R;

    /// The calling thread's reader record, or the stand-in of a thread that has none.
    #[inline]
    fn reader() -> &'static Reader {
        Self::with_record(ThreadRecord::reader)
    }

    /// Step U2 of a grace period: see [`crate::grace_period`]. Called by one updater at a time.
    fn heavy_barrier();

    /// Whether the machine cannot do the asymmetric barrier, so that readers have to issue full fences.
    fn runs_on_full_fences() -> bool {
        false
    }

    /// Prepares the flavor; may be called any number of times, from several threads.
    ///
    /// # Errors
    ///
    /// When the machine or the process lacks what the flavor needs.
    fn init() -> Result<(), InitError> {
        Ok(())
    }

    /// `MIRRORED`: the current number of those who share the mirrors, for step R1. An Acquire load.
    #[inline]
    fn shared_period() -> u64 {
        0
    }

    /// `MIRRORED`: gives a record that was just claimed its second word, visible to updaters once the caller has issued a
    /// full fence.
    ///
    /// # Errors
    ///
    /// When there is no room for it.
    fn attach_mirror(_reader: &'static Reader) -> Result<(), RegisterError> {
        Ok(())
    }

    /// `MIRRORED`: the record's owner gives its second word back; it is outside every section.
    fn detach_mirror(_reader: &'static Reader) {}

    /// `MIRRORED`: in a forked child, which must not use its parent's mirrors any more. Records have none when it is called.
    fn forget_mirrors() {}

    /// `MIRRORED`: step U3 for the mirrors, after the heavy barrier; what [`wait_elsewhere`](Self::wait_elsewhere) is to be asked.
    #[inline]
    fn start_elsewhere() -> u64 {
        0
    }

    /// `MIRRORED`: step U4 for the mirrors: waits for the sections elsewhere that are older than `number`.
    fn wait_elsewhere(_number: u64) {}

    /// `MIRRORED`: whether no section is open elsewhere that is older than any number drawn before this call. Does not wait.
    fn is_quiet_elsewhere() -> bool {
        true
    }

    /// Called on a thread that has just been registered, before its first section.
    fn on_register() {}
}
