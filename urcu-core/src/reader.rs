//! The record of one registered thread.

use core::cell::Cell;
use core::fmt;
use core::panic::Location;
use core::ptr::{self, NonNull};

use crate::defer::{Updater, Worker};
use crate::sync::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// A slot of the registry: the record of one reader, or a free one.
///
/// Records are never freed, moved or handed to another use while the process runs, so a `&'static Reader` is always
/// valid memory; whether it is still *this thread's* record is what registration keeps track of.
///
/// # Invariants
///
/// 1. Only the thread that owns the record stores into `word`, with two exceptions: an updater may set the mark A by a
///    compare-exchange, which a racing store of the owner may undo; and the record of an owner that does not exist any
///    more (or, in a forked child, does not exist there) is cleared by whoever finds that out.
/// 2. `guards`, `owes`, `last_guard` and `entered_at` are used by the owner only.
/// 3. In a free record `word` is 0 (no nesting) and `tid` is 0.
/// 4. `mirror` is null or valid for ever; it is set while nobody reads with the record, by [`set_mirror`](Self::set_mirror).
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Reader {
    /// See [`crate::word`]. Alone with the next three on its cache line: the owner writes it at every section.
    pub(crate) word: AtomicU64,
    /// Guards that the quiescent-state-based flavor has to count, because no borrow of a `Thread` accounts for them.
    pub(crate) guards: AtomicU32,
    /// Set when the owner, inside a section (QSBR: online), deferred beyond the hard limit: the end of the section (the next
    /// quiescent state) waits for room.
    pub(crate) owes: AtomicBool,
    /// What is to be done when the last counted guard is dropped: [`LastGuard`].
    last_guard: AtomicU8,
    /// Where the outermost section began, in builds with debug assertions.
    entered_at: AtomicPtr<Location<'static>>,
    /// The last barrier request that this thread's signal handler has served (signal flavor).
    acknowledged: AtomicU64,
    /// The owner's second word, if the flavor has such: see [`crate::mirror`].
    mirror: AtomicPtr<AtomicU64>,
    identity: Identity,
}

/// What the drop of a thread's last counted guard does beside ending the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum LastGuard {
    Nothing,
    /// The `Thread` was dropped under guards that do not borrow it: the registration ends.
    EndsRegistration,
    /// QSBR: a deferred call, which runs offline, came online to read: the thread goes offline again.
    GoesOffline,
}

/// Who owns a record; on a line of its own, since only registration, reports and signals use it.
#[derive(Debug)]
#[repr(C, align(64))]
struct Identity {
    slot: AtomicU32,
    tid: AtomicI32,
    pid: AtomicI32,
    /// Whether a `Thread` value stands for this registration.
    handle: AtomicBool,
    /// Whether the owner has ended and left a guard or a QSBR `Thread` behind: the record stays in use for ever.
    abandoned: AtomicBool,
    /// Whether the owner is ending and has leaked its `Thread`.
    ending: AtomicBool,
}

/// A word that is neither 0 (so the fast path of a lock leaves it alone) nor has any nesting in any layout.
const NOT_REGISTERED: u64 = 1 << 63;

/// What the thread-local pointer of a thread refers to that is not registered: its word sends every lock to the slow
/// path, so the fast path needs no test of its own.
static UNREGISTERED: Reader = Reader::sentinel();
/// The same for a thread whose registration has been ended by its exit.
static EXITED: Reader = Reader::sentinel();

impl Reader {
    /// A free record.
    pub const fn free() -> Self {
        Self::with_word(0)
    }

    const fn sentinel() -> Self {
        Self::with_word(NOT_REGISTERED)
    }

    const fn with_word(word: u64) -> Self {
        Self {
            word: AtomicU64::new(word),
            guards: AtomicU32::new(0),
            owes: AtomicBool::new(false),
            last_guard: AtomicU8::new(LastGuard::Nothing as u8),
            entered_at: AtomicPtr::new(ptr::null_mut()),
            acknowledged: AtomicU64::new(0),
            mirror: AtomicPtr::new(ptr::null_mut()),
            identity: Identity {
                slot: AtomicU32::new(0),
                tid: AtomicI32::new(0),
                pid: AtomicI32::new(0),
                handle: AtomicBool::new(false),
                abandoned: AtomicBool::new(false),
                ending: AtomicBool::new(false),
            },
        }
    }

    /// The record of threads that are not registered.
    #[inline]
    pub const fn unregistered() -> &'static Self {
        &UNREGISTERED
    }

    /// The record of threads whose registration their exit has ended.
    #[inline]
    pub(crate) fn exited() -> &'static Self {
        &EXITED
    }

    /// Whether this is a thread's own record and not one of the two stand-ins.
    #[inline]
    pub fn is_registered(&self) -> bool {
        !ptr::eq(self, &raw const UNREGISTERED) && !self.has_exited()
    }

    #[inline]
    pub(crate) fn has_exited(&self) -> bool {
        ptr::eq(self, &raw const EXITED)
    }

    /// The kernel's id of the owner; 0 while a registration or the end of one is under way.
    pub fn tid(&self) -> i32 {
        // Acquire: a barrier that skips a reader whose id is gone relies on the end of its last section. PAIR(tid)
        self.identity.tid.load(Ordering::Acquire)
    }

    /// The last barrier request that the owner has served. Acquire. PAIR(acknowledge)
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Notes that the owner has served every barrier request up to this one. Release. PAIR(acknowledge)
    ///
    /// # Safety
    ///
    /// The caller is the owner and has executed a full fence since the request was made.
    pub unsafe fn acknowledge(&self, request: u64) {
        // A maximum, because a handler may run in the middle of the registration's own acknowledgement.
        self.acknowledged.fetch_max(request, Ordering::AcqRel);
    }

    /// The owner's second word: see [`crate::mirror`].
    #[inline]
    pub(crate) fn mirror(&self) -> Option<&'static AtomicU64> {
        // Relaxed: the owner's own, or that of a thread before it, which came over with the slot.
        let mirror = self.mirror.load(Ordering::Relaxed);
        // SAFETY: null or valid for ever (invariant 4).
        unsafe { mirror.as_ref() }
    }

    /// Gives the record a second word, or takes it away.
    pub fn set_mirror(&self, mirror: Option<&'static AtomicU64>) {
        self.mirror.store(mirror.map_or(ptr::null_mut(), |word| ptr::from_ref(word).cast_mut()), Ordering::Relaxed);
    }

    /// The process of the owner.
    pub(crate) fn pid(&self) -> i32 {
        self.identity.pid.load(Ordering::Relaxed)
    }

    /// Which slot of the registry this is; slots are claimed lowest first.
    pub fn slot(&self) -> u32 {
        self.identity.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slot(&self, slot: u32) {
        self.identity.slot.store(slot, Ordering::Relaxed);
    }

    pub(crate) fn set_identity(&self, tid: i32, pid: i32) {
        self.identity.pid.store(pid, Ordering::Relaxed);
        // Release. PAIR(tid)
        self.identity.tid.store(tid, Ordering::Release);
    }

    /// Ends the ownership of a thread that is gone; `true` for exactly one caller.
    pub(crate) fn end_ownership(&self, tid: i32) -> bool {
        self.identity.tid.compare_exchange(tid, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Claims the one `Thread` value of this registration. The owner's business only.
    pub(crate) fn take_handle(&self) -> bool {
        !self.identity.handle.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn has_handle(&self) -> bool {
        self.identity.handle.load(Ordering::Relaxed)
    }

    /// Marks the record as one that nobody will ever clear.
    pub(crate) fn abandon(&self) {
        self.identity.abandoned.store(true, Ordering::Relaxed);
        // Nobody answers signals under this id any more.
        self.identity.tid.store(0, Ordering::Release);
    }

    pub(crate) fn set_ending(&self) {
        self.identity.ending.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.identity.ending.load(Ordering::Relaxed)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.identity.abandoned.load(Ordering::Relaxed)
    }

    pub(crate) fn set_handle(&self, handle: bool) {
        self.identity.handle.store(handle, Ordering::Relaxed);
    }

    /// Makes the record a free one again (invariant 3); its slot is given back separately.
    ///
    /// The Release store is what the Acquire load of a waiting updater meets, so whatever the owner read inside its
    /// last section happened before the updater goes on. PAIR(section-end)
    pub(crate) fn clear(&self) {
        self.set_identity(0, 0);
        self.set_handle(false);
        self.identity.abandoned.store(false, Ordering::Relaxed);
        self.identity.ending.store(false, Ordering::Relaxed);
        self.at_last_guard(LastGuard::Nothing);
        self.guards.store(0, Ordering::Relaxed);
        self.owes.store(false, Ordering::Relaxed);
        self.note_entry(None);
        self.word.store(0, Ordering::Release);
        if let Some(mirror) = self.mirror() {
            // PAIR(section-end)
            mirror.store(0, Ordering::Release);
            self.set_mirror(None);
        }
    }

    /// Says what is to be done when the last counted guard is dropped. The owner's, as the next two.
    #[inline]
    pub(crate) fn at_last_guard(&self, action: LastGuard) {
        self.last_guard.store(action as u8, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn last_guard_acts(&self) -> bool {
        self.last_guard.load(Ordering::Relaxed) != LastGuard::Nothing as u8
    }

    #[inline]
    pub(crate) fn last_guard_does(&self, action: LastGuard) -> bool {
        self.last_guard.load(Ordering::Relaxed) == action as u8
    }

    /// Remembers where the outermost section began; nothing in builds without debug assertions.
    #[inline]
    pub(crate) fn note_entry(&self, site: Option<&'static Location<'static>>) {
        if cfg!(debug_assertions) {
            let site = site.map_or(ptr::null_mut(), |site| ptr::from_ref(site).cast_mut());
            self.entered_at.store(site, Ordering::Relaxed);
        }
    }

    /// Where the outermost section began, when known.
    pub(crate) fn entered_at(&self) -> Option<&'static Location<'static>> {
        let site = self.entered_at.load(Ordering::Relaxed);
        // SAFETY: the pointer is null or was made from a `&'static Location` by `note_entry`.
        unsafe { site.as_ref() }
    }

    /// The half of the word that holds nesting and marks, as an address for the kernel to sleep on.
    pub(crate) fn futex_half(&self) -> *const u32 {
        let half = self.word.as_ptr().cast::<u32>();
        if cfg!(target_endian = "little") { half } else { half.wrapping_add(1) }
    }
}

// SAFETY: a static's address is not null.
const UNREGISTERED_RECORD: NonNull<Reader> = unsafe { NonNull::new_unchecked((&raw const UNREGISTERED).cast_mut()) };

/// What a flavor keeps in its thread-local: which records are the calling thread's own.
///
/// To be declared `const` and as it is: without a destructor the compiler turns an access into one load relative to the
/// thread pointer.
pub struct ThreadRecord {
    /// To a `Reader` that stays for ever. No reference: a constant with a reference to atomics is more than the oldest compiler takes.
    reader: Cell<NonNull<Reader>>,
    updater: Cell<Option<&'static Updater>>,
    /// The thread's own worker, and which use of it.
    worker: Cell<Option<(&'static Worker, u32)>>,
    /// Whether the thread is running deferred calls.
    reclaiming: Cell<bool>,
    /// Whether the thread is between `fork_before` and one of the hooks after it.
    forking: Cell<bool>,
}

impl fmt::Debug for ThreadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadRecord").field("registered", &self.reader().is_registered()).finish_non_exhaustive()
    }
}

impl ThreadRecord {
    /// Not registered.
    pub const fn new() -> Self {
        Self {
            reader: Cell::new(UNREGISTERED_RECORD),
            updater: Cell::new(None),
            worker: Cell::new(None),
            reclaiming: Cell::new(false),
            forking: Cell::new(false),
        }
    }

    /// The calling thread's record.
    #[inline]
    pub fn reader(&self) -> &'static Reader {
        // SAFETY: made from a reference that lives for ever.
        unsafe { self.reader.get().as_ref() }
    }

    #[inline]
    pub(crate) fn set_reader(&self, reader: &'static Reader) {
        self.reader.set(NonNull::from(reader));
    }

    #[inline]
    pub(crate) fn updater(&self) -> Option<&'static Updater> {
        self.updater.get()
    }

    pub(crate) fn set_updater(&self, updater: Option<&'static Updater>) {
        self.updater.set(updater);
    }

    pub(crate) fn worker(&self) -> Option<(&'static Worker, u32)> {
        self.worker.get()
    }

    pub(crate) fn set_worker(&self, worker: Option<(&'static Worker, u32)>) {
        self.worker.set(worker);
    }

    pub(crate) fn is_reclaiming(&self) -> bool {
        self.reclaiming.get()
    }

    pub(crate) fn set_reclaiming(&self, reclaiming: bool) {
        self.reclaiming.set(reclaiming);
    }

    pub(crate) fn is_forking(&self) -> bool {
        self.forking.get()
    }

    pub(crate) fn set_forking(&self, forking: bool) {
        self.forking.set(forking);
    }
}

impl Default for ThreadRecord {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::WordLayout;

    #[test]
    fn the_word_has_its_cache_lines_to_itself() {
        assert_eq!(align_of::<Reader>(), 128);
        assert_eq!(size_of::<Reader>(), 128);
        assert_eq!(core::mem::offset_of!(Reader, word), 0);
        assert_eq!(core::mem::offset_of!(Reader, identity), 64);
    }

    #[test]
    fn stand_ins_are_neither_idle_nor_inside_in_any_layout() {
        for stand_in in [Reader::unregistered(), Reader::exited()] {
            let word = stand_in.word.load(Ordering::Relaxed);
            assert_ne!(word, 0);
            assert!((8..=32).all(|bits| WordLayout::new(bits).state(word) == 0));
            assert!(!stand_in.is_registered());
        }
    }
}
