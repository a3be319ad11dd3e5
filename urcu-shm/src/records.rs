//! The readers of all processes, as they show themselves in the segment, and grace periods over them.
//!
//! The algorithm is that of [`urcu_core::grace_period`], with the segment's number and the segment's words. Updaters of several
//! processes share nothing but the number, which each draws by one atomic addition: there is no lock whose holder could die.

use core::time::Duration;

use urcu_core::sync::{AtomicU64, Ordering, fence, spin_loop};
use urcu_core::word::WordLayout;
use urcu_core::{Backoff, Flavor, Report, Stall};

use crate::flavor::Shm;
use crate::grace::GraceNumber;
use crate::layout::{PAGE_RECORDS, Record, RecordPage};
use crate::mapping::Mapping;
use crate::process::{ProcessId, Watch};
use crate::segment::Access;
use crate::sys;

/// Words in the segment look like those of the process.
pub(crate) const LAYOUT: WordLayout = WordLayout::new(16);

/// The owner of a page that is being cleared: this bit, and who clears it.
const CLEARING: u64 = 1 << 63;

/// The longest sleep before the reader's process is looked at again: bounds both a lost wake-up and the time until a dead process is
/// noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(2);
/// The first one; each is twice as long as the one before. A reader that has just been killed is still there for some hundred
/// microseconds.
const FIRST_SLEEP: Duration = Duration::from_micros(100);

const ALL_RECORDS: u32 = (1 << PAGE_RECORDS) - 1;

/// Every record page that was ever in use.
pub(crate) fn pages(mapping: &Mapping) -> impl Iterator<Item = &RecordPage> {
    // The fences of PAIR(register-scan) are what makes a scan complete.
    let used = mapping.pages_used();
    (0..mapping.record_pages()).map_while(move |index| {
        let page = mapping.record_page(index)?;
        // Pages are claimed lowest first, so if the directory says too little, the next one is owned. PAIR(page-owner)
        (index < used || page.owner.load(Ordering::Acquire) != 0).then_some(page)
    })
}

/// Its records in use.
pub(crate) fn records(page: &RecordPage) -> impl Iterator<Item = &Record> {
    // Acquire: the record was set up before its bit. PAIR(record-in-use)
    let mut bits = page.in_use.load(Ordering::Acquire) & ALL_RECORDS;
    core::iter::from_fn(move || {
        let record = page.records.get(bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(record)
    })
}

/// See [`Segment::start_grace_period`](crate::Segment::start_grace_period).
pub(crate) fn start(mapping: &Mapping) -> GraceNumber {
    assert!(
        mapping.access() == Access::Write,
        "urcu-shm: a segment opened for reading has no grace periods of this process"
    );
    // Orders the unlinking before the look at the pages, too. PAIR(register-scan)
    mapping.barriers().heavy();
    draw(mapping)
}

/// The newest number there is.
pub(crate) fn current(mapping: &Mapping) -> GraceNumber {
    // Acquire: the barrier of whoever drew it. PAIR(shared-period)
    GraceNumber(mapping.control().period.load(Ordering::Acquire))
}

/// Step U3 of a grace period whose heavy barrier has been issued.
pub(crate) fn draw(mapping: &Mapping) -> GraceNumber {
    let control = mapping.control();
    control.counters.grace_periods.fetch_add(1, Ordering::Relaxed);
    // Release: a reader that carries the new number sees the unlinking. PAIR(shared-period)
    let before = control.period.fetch_add(LAYOUT.one_period(), Ordering::AcqRel);
    GraceNumber(before.wrapping_add(LAYOUT.one_period()))
}

/// See [`Segment::has_started`](crate::Segment::has_started).
pub(crate) fn has_started(mapping: &Mapping, number: GraceNumber) -> bool {
    // Acquire: U3 has happened, so the barrier has. PAIR(shared-period)
    !LAYOUT.is_older(mapping.control().period.load(Ordering::Acquire), number.0)
}

/// See [`Segment::has_elapsed`](crate::Segment::has_elapsed).
pub(crate) fn has_elapsed(mapping: &Mapping, number: GraceNumber) -> bool {
    if !has_started(mapping, number) {
        return false;
    }
    pages(mapping)
        .all(|page| page.owner.load(Ordering::Acquire) == 0 || records(page).all(|record| !holds_up(record, number)))
}

fn holds_up(record: &Record, number: GraceNumber) -> bool {
    // Acquire: the ends of sections. PAIR(section-end)
    LAYOUT.holds_up(record.word.load(Ordering::Acquire), number.0)
}

/// See [`Segment::wait_for`](crate::Segment::wait_for).
pub(crate) fn wait(mapping: &Mapping, number: GraceNumber) {
    assert!(
        mapping.access() == Access::Write,
        "urcu-shm: a segment opened for reading has no grace periods of this process"
    );
    for page in pages(mapping) {
        // Acquire. PAIR(page-owner)
        let owner = page.owner.load(Ordering::Acquire);
        if owner == 0 {
            continue;
        }
        for record in records(page) {
            if holds_up(record, number) && !wait_for_record(mapping, page, owner, record, number) {
                break;
            }
        }
    }
    fence(Ordering::SeqCst);
}

/// Waits until the record does not hold the grace period up. `false`: its process has died, and the page has been cleared.
#[cold]
fn wait_for_record(mapping: &Mapping, page: &RecordPage, owner: u64, record: &Record, number: GraceNumber) -> bool {
    // Without yielding: on a busy machine each time costs a turn of everybody else, and a sleeper is run sooner.
    let mut backoff = Backoff::spinning();
    let (mut watch, mut sleep) = (None, FIRST_SLEEP);
    let mut stall = Stall::new::<Shm>();
    let mut word = look(record);
    loop {
        if !LAYOUT.holds_up(word, number.0) {
            return true;
        }
        if backoff.snooze() {
            word = look(record);
            continue;
        }
        // Acquire. Somebody else has cleared the page, and whoever has it now claimed it after the barrier. PAIR(page-owner)
        if page.owner.load(Ordering::Acquire) != owner {
            return false;
        }
        // Before the first sleep, too: many that have died together are found one after the other.
        if owner_process(owner).is_some_and(ProcessId::is_current) {
            urcu_core::grace_period::end_gone_threads::<Shm>();
        }
        let watch = watch.get_or_insert_with(|| owner_process(owner).map(Watch::new));
        if !watch.as_ref().is_some_and(Watch::is_alive) {
            clear(mapping, page, owner);
            return false;
        }
        if cfg!(urcu_loom) {
            // The sleep may end at any time. Without the mark, whose race with the reader's store the checker does not order.
            spin_loop();
            word = look(record);
            continue;
        }
        // Asks for a wake-up. Relaxed: a mark that a racing store of the reader wipes out costs one bounded sleep. Acquire when it
        // fails: as for `look`. PAIR(section-end)
        let marked = word | LAYOUT.awaited();
        if word != marked
            && let Err(now) = record.word.compare_exchange(word, marked, Ordering::Relaxed, Ordering::Acquire)
        {
            word = now;
            spin_loop();
            continue;
        }
        sys::shared_futex_wait(futex_half(&record.word), marked as u32, sleep);
        sleep = (sleep * 2).min(LONGEST_SLEEP);
        mapping.control().counters.longest_wait.fetch_max(stall.nanos(), Ordering::Relaxed);
        if let Some(waited) = stall.due() {
            report_stall(owner, record, waited);
        }
        word = look(record);
    }
}

/// Acquire: the ends of sections. PAIR(section-end)
fn look(record: &Record) -> u64 {
    record.word.load(Ordering::Acquire)
}

fn report_stall(owner: u64, record: &Record, waited: Duration) {
    let pid = owner_process(owner).map_or(0, ProcessId::pid);
    urcu_core::report(&Report::ProcessStalls {
        flavor: Shm::NAME,
        pid,
        name: sys::process_name(pid),
        tid: record.identity.tid.load(Ordering::Relaxed),
        stopped: sys::process_status(pid).is_some_and(sys::ProcessStatus::is_stopped),
        waited,
    });
}

/// The half of a word that holds nesting and marks, as an address for the kernel to sleep on.
pub(crate) fn futex_half(word: &AtomicU64) -> *const u32 {
    let half = word.as_ptr().cast::<u32>();
    if cfg!(target_endian = "little") { half } else { half.wrapping_add(1) }
}

/// Clears a page whose owner is gone; `true` for exactly one caller.
fn clear(mapping: &Mapping, page: &RecordPage, owner: u64) -> bool {
    // Who does not know who it is cannot say that it is at it: it leaves that to others.
    let Some(own) = ProcessId::try_current() else { return false };
    let clearing = own.bits() | CLEARING;
    // One clears, so that a late one cannot wipe out what the next owner stores. PAIR(page-owner)
    if page.owner.compare_exchange(owner, clearing, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return false;
    }
    let inside = wipe(page);
    count_reaped(mapping, inside);
    // Release: cleared before the next owner claims it. PAIR(page-owner)
    page.owner.store(0, Ordering::Release);
    true
}

fn count_reaped(mapping: &Mapping, inside: u64) {
    let counters = &mapping.control().counters;
    counters.reaped.fetch_add(1, Ordering::Relaxed);
    counters.reaped_inside.fetch_add(inside, Ordering::Relaxed);
}

/// Makes a page all zeros but for its owner; how many of its readers were inside a section.
fn wipe(page: &RecordPage) -> u64 {
    let mut inside = 0;
    for record in &page.records {
        inside += u64::from(LAYOUT.nesting(record.word.swap(0, Ordering::AcqRel)) != 0);
        record.identity.tid.store(0, Ordering::Relaxed);
    }
    page.in_use.store(0, Ordering::Release);
    page.access.store(0, Ordering::Relaxed);
    inside
}

/// A record page for this process, all zeros but for its owner; `None` if all belong to processes that live.
///
/// Lock-free. Whether their owners live is asked when the pages ever used have doubled, and when there is no other: so that a
/// process that comes seldom pays for those that have gone.
pub(crate) fn claim(mapping: &Mapping, process: ProcessId) -> Option<usize> {
    // PAIR(pages-used)
    let used = (mapping.directory().pages_used.load(Ordering::Acquire) as usize).min(mapping.record_pages());
    let free =
        |indices: core::ops::Range<usize>| indices.into_iter().find(|&index| try_claim(mapping, index, 0, process));
    let abandoned = || {
        (0..used).find(|&index| {
            let owner = mapping.record_page(index).map_or(0, |page| page.owner.load(Ordering::Relaxed));
            owner != 0 && is_dead(owner) && try_claim(mapping, index, owner, process)
        })
    };
    free(0..used)
        .or_else(|| (used >= 32 && used.is_power_of_two()).then(abandoned).flatten())
        .or_else(|| free(used..mapping.record_pages()))
        .or_else(abandoned)
}

/// Claims a page whose owner is still `owner`: nobody, or somebody who is gone.
fn try_claim(mapping: &Mapping, index: usize, owner: u64, process: ProcessId) -> bool {
    let Some(page) = mapping.record_page(index) else { return false };
    // Without making it writable for nothing.
    if page.owner.load(Ordering::Relaxed) != owner || mapping.make_writable(index).is_err() {
        return false;
    }
    // PAIR(page-owner)
    let clearing = process.bits() | CLEARING;
    if page.owner.compare_exchange(owner, clearing, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return false;
    }
    let inside = wipe(page);
    if owner != 0 && mapping.access() == Access::Write {
        count_reaped(mapping, inside);
    }
    page.access.store(u32::from(mapping.access() == Access::Write), Ordering::Relaxed);
    // Release: cleared. PAIR(page-owner)
    page.owner.store(process.bits(), Ordering::Release);
    // PAIR(pages-used)
    mapping.directory().pages_used.fetch_max(u32::try_from(index + 1).unwrap_or(u32::MAX), Ordering::AcqRel);
    true
}

/// Shows a reader that is outside every section in a page that its process has claimed.
pub(crate) fn show(page: &RecordPage, at: usize) -> &Record {
    let record = &page.records[at];
    record.identity.tid.store(urcu_core::sys::thread_id(), Ordering::Relaxed);
    // Release like every store to a word. PAIR(section-end)
    record.word.store(0, Ordering::Release);
    // Release: set up before its bit. PAIR(record-in-use)
    page.in_use.fetch_or(1 << at, Ordering::Release);
    // The page's and the record's marks before the first section's loads. PAIR(register-scan)
    fence(Ordering::SeqCst);
    record
}

/// The opposite.
pub(crate) fn hide(page: &RecordPage, at: usize) {
    let record = &page.records[at];
    // PAIR(section-end)
    record.word.store(0, Ordering::Release);
    record.identity.tid.store(0, Ordering::Relaxed);
    page.in_use.fetch_and(!(1 << at), Ordering::Release);
}

/// See [`Segment::reap`](crate::Segment::reap).
pub(crate) fn reap_dead(mapping: &Mapping) -> usize {
    assert!(mapping.access() == Access::Write, "urcu-shm: a segment opened for reading reaps nothing");
    pages(mapping)
        .filter(|page| {
            let owner = page.owner.load(Ordering::Acquire);
            owner != 0 && is_dead(owner) && clear(mapping, page, owner)
        })
        .count()
}

/// Who the owner is, or clears the page.
pub(crate) fn owner_process(owner: u64) -> Option<ProcessId> {
    ProcessId::from_bits(owner & !CLEARING)
}

/// Whether the process with these bits, or the one that was clearing the page, is gone.
fn is_dead(owner: u64) -> bool {
    // This one is there; to ask for it takes the system the longer the more threads it has.
    owner_process(owner).is_none_or(|owner| !owner.is_current() && !owner.is_alive())
}
