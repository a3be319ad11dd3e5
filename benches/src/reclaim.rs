//! Retiring blocks: the interface that every contender of the suite `reclaim` fills, and the loops around it.
//!
//! A contender retires in chunks; between two chunks the updater looks at the clock and at how much is allocated and not
//! freed. What counts is what is *freed*: a scheme that lets blocks pile up gains nothing by it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::blocks::Manner;
use crate::counting::Window;
use crate::harness::plan::{Sample, Shot};
use crate::harness::threads::{Cores, team};
use crate::workload::{BUSY_LENGTH, Subject, Worker, check_sum};

/// Blocks between two looks at the clock: a prime, so that it keeps step with nobody's batches.
pub const CHUNK: u64 = 509;

/// A scheme of deferred reclamation: what the threads of one measurement share. Its workers (of [`Subject`]) read.
pub trait Reclaimer: Subject {
    /// Prepares the calling thread to retire blocks.
    ///
    /// # Errors
    /// Says why this thread cannot retire.
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String>;

    /// Runs `inside` while the calling thread is a reader that does not go on.
    ///
    /// # Errors
    /// Says why this thread cannot read.
    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String>;

    /// Frees what can be freed, from a thread that neither reads nor retires; whether another call may free more.
    ///
    /// # Errors
    /// What the scheme says when it refuses.
    fn settle(&self) -> Result<bool, String>;
}

/// One thread's ability to retire.
pub trait Updater {
    /// Allocates, fills and retires so many blocks, and announces a quiescent state where that is asked for.
    fn retire(&mut self, blocks: u64);
}

/// An updater that does the same for each block.
#[derive(Debug)]
pub struct Each<R>(pub R);

impl<R: FnMut()> Updater for Each<R> {
    #[inline(never)]
    fn retire(&mut self, blocks: u64) {
        for _ in 0..blocks {
            (self.0)();
        }
    }
}

/// Makes the scheme under test.
pub type Make<'m> = &'m dyn Fn() -> Box<dyn Reclaimer>;

/// Who is at work in a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    /// How they retire.
    pub manner: Manner,
    /// Threads that retire.
    pub updaters: usize,
    /// Whether a thread reads meanwhile.
    pub reader: bool,
}

impl Crew {
    /// Threads at work.
    pub fn size(self) -> usize {
        self.updaters + usize::from(self.reader)
    }
}

enum Member<'r> {
    Updater(Box<dyn Updater + 'r>),
    Reader(Box<dyn Worker + 'r>),
}

/// Blocks freed per second while the updaters retire at full speed, and the most that were unfreed.
///
/// # Errors
/// When the scheme is not there or gives a wrong answer.
pub fn throughput(make: Make<'_>, crew: Crew, shot: &Shot<'_>) -> Result<Sample, String> {
    let window = Window::open();
    let reclaimer = make();
    let stop = AtomicBool::new(false);
    let answers = team(
        shot.cores,
        crew.size(),
        |index| {
            if index < crew.updaters {
                reclaimer.updater(crew.manner).map(Member::Updater)
            } else {
                reclaimer.worker().map(Member::Reader)
            }
        },
        |index, member| {
            // The first updater says when the others end, even when it panics.
            let _ends = (index == 0).then(|| Raised(&stop));
            match member {
                Member::Updater(mut updater) if index == 0 => lead(updater.as_mut(), &window, shot.budget).map(Some),
                Member::Updater(mut updater) => {
                    while !stop.load(Ordering::Relaxed) {
                        updater.retire(CHUNK);
                    }
                    Ok(None)
                }
                Member::Reader(mut worker) => {
                    while !stop.load(Ordering::Relaxed) {
                        check_sum(worker.flat(1, BUSY_LENGTH), 1, BUSY_LENGTH)?;
                    }
                    Ok(None)
                }
            }
        },
    )?;
    let led = answers.into_iter().flatten().next().ok_or("nothing was measured")?;
    let left = settle(&window, reclaimer)?;
    Ok(Sample::figure(led.freed_per_second).with_peak(led.peak).with_note(left_note(left)))
}

/// The time that it takes one thread to retire so many chunks of blocks and to have them freed; for criterion.
///
/// # Errors
/// When the scheme is not there.
pub fn retire_and_free(make: Make<'_>, manner: Manner, cores: &Cores, chunks: u64) -> Result<Duration, String> {
    let window = Window::open();
    let reclaimer = make();
    let times = team(
        cores,
        1,
        |_| reclaimer.updater(manner),
        |_, mut updater| {
            let start = Instant::now();
            for _ in 0..chunks {
                updater.retire(CHUNK);
            }
            Ok(start)
        },
    )?;
    let start = *times.first().ok_or("nothing was measured")?;
    let left = settle(&window, reclaimer)?;
    let elapsed = start.elapsed();
    match left {
        0 => Ok(elapsed),
        left => Err(left_note(left).unwrap_or_default()),
    }
}

struct Led {
    freed_per_second: f64,
    peak: u64,
}

/// Retires for the length of the budget, after a fifth of it as warm-up.
fn lead(updater: &mut dyn Updater, window: &Window, budget: Duration) -> Result<Led, String> {
    let mut peak = 0;
    let mut retire_for = |time: Duration| {
        let start = Instant::now();
        loop {
            updater.retire(CHUNK);
            let counts = window.counts();
            peak = peak.max(counts.unfreed());
            let elapsed = start.elapsed();
            if elapsed >= time {
                return (counts.freed, elapsed);
            }
        }
    };
    let (before, _) = retire_for(budget / 5);
    let (after, elapsed) = retire_for(budget);
    // Exact: nobody frees 2^52 blocks.
    #[allow(clippy::cast_precision_loss)]
    let freed = after.saturating_sub(before) as f64;
    Ok(Led { freed_per_second: freed / elapsed.as_secs_f64(), peak })
}

/// No progress for so long, and in so many attempts, means that the rest is never freed. (Who has no processor makes none either.)
const PATIENCE: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 50;

/// Has everything freed, so that the next measurement starts from nothing; how many blocks no means of the scheme frees.
///
/// # Errors
/// What the scheme says.
pub fn settle(window: &Window, reclaimer: Box<dyn Reclaimer>) -> Result<u64, String> {
    let mut least = u64::MAX;
    let (mut since, mut attempts) = (Instant::now(), 0);
    while reclaimer.settle()? {
        let unfreed = window.counts().unfreed();
        attempts += 1;
        if unfreed < least {
            least = unfreed;
            (since, attempts) = (Instant::now(), 0);
        }
        if unfreed == 0 || (since.elapsed() > PATIENCE && attempts >= ATTEMPTS) {
            break;
        }
        thread::yield_now();
    }
    drop(reclaimer);
    Ok(window.counts().unfreed())
}

/// What is said of a scheme that leaves something behind.
fn left_note(left: u64) -> Option<String> {
    (left != 0).then(|| format!("{left} blocks are never freed"))
}

/// How long the check's reader stays where it is.
const OPEN: Duration = Duration::from_millis(5);
/// More than any scheme under check gathers before it asks for a grace period.
const CHECKED: u64 = 2 * CHUNK;

/// Checks that nothing retired after a reader came is freed before it goes, and that all is freed then.
///
/// # Errors
/// Says what was wrong.
pub fn holds_back(make: Make<'_>) -> Result<(), String> {
    let window = Window::open();
    let reclaimer = make();
    let inside = AtomicBool::new(false);
    let release = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            reclaimer.stall(&mut || {
                inside.store(true, Ordering::Release);
                while !release.load(Ordering::Acquire) {
                    thread::yield_now();
                }
            })
        });
        let updater = scope.spawn(|| {
            let _releases = Raised(&release);
            let mut updater = reclaimer.updater(Manner::Plain)?;
            while !inside.load(Ordering::Acquire) {
                thread::yield_now();
            }
            updater.retire(CHECKED);
            thread::sleep(OPEN);
            let freed = window.counts().freed;
            // Before the updater ends, which may wait for the reader.
            release.store(true, Ordering::Release);
            match freed {
                0 => Ok(()),
                _ => Err(String::from("wrong answer: blocks were freed that a reader could have held")),
            }
        });
        reader.join().map_err(|_| "the reader panicked")??;
        updater.join().map_err(|_| "the updater panicked")?
    })?;
    match settle(&window, reclaimer)? {
        0 => Ok(()),
        left => Err(format!("wrong answer: {left} of {CHECKED} blocks are never freed")),
    }
}

/// How a stalled reader's measurement goes.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// How long the reader stands still.
    pub length: Duration,
    /// The producer stops at so many unfreed blocks.
    pub cap: u64,
}

/// The most blocks that are unfreed while one reader stands still and one updater retires at full speed.
///
/// # Errors
/// When the scheme is not there.
pub fn stalled(make: Make<'_>, stall: Stall, shot: &Shot<'_>) -> Result<Sample, String> {
    let window = Window::open();
    let reclaimer = make();
    let inside = AtomicBool::new(false);
    let stop = AtomicBool::new(false);
    let peak = AtomicU64::new(0);
    let look = || {
        let unfreed = window.counts().unfreed();
        peak.fetch_max(unfreed, Ordering::Relaxed);
        unfreed
    };
    let capped = team(
        shot.cores,
        2,
        |index| if index == 0 { reclaimer.updater(Manner::Plain).map(Some) } else { Ok(None) },
        |_, updater| {
            let _ends = Raised(&stop);
            let Some(mut updater) = updater else {
                reclaimer.stall(&mut || {
                    // Release: whatever entering did comes first.
                    inside.store(true, Ordering::Release);
                    let start = Instant::now();
                    // Looks from here, too: the updater may be made to wait in the middle of a chunk.
                    while start.elapsed() < stall.length && !stop.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_micros(500));
                        look();
                    }
                })?;
                return Ok(false);
            };
            while !inside.load(Ordering::Acquire) && !stop.load(Ordering::Relaxed) {
                spin_loop();
            }
            while !stop.load(Ordering::Relaxed) {
                updater.retire(CHUNK);
                if look() >= stall.cap {
                    return Ok(true);
                }
            }
            Ok(false)
        },
    )?;
    let start = Instant::now();
    let left = settle(&window, reclaimer)?;
    let recovery = start.elapsed();
    release_memory();
    let capped = capped.contains(&true);
    let stopped = if capped { "unbounded: stopped there; " } else { "" };
    let freed = left_note(left).unwrap_or_else(|| format!("all freed {:.0} ms after", recovery.as_secs_f64() * 1e3));
    let note = format!("{stopped}{freed}");
    // Exact: below the cap.
    #[allow(clippy::cast_precision_loss)]
    let peak = peak.load(Ordering::Relaxed) as f64;
    Ok(Sample::figure(peak).with_note(Some(note)))
}

/// Gives the memory of a large backlog back, so that the next contender starts like the one before.
fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes nothing but a number.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Raises a flag when it is dropped, also by a panic.
struct Raised<'f>(&'f AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        // Relaxed: joining orders what the threads have done.
        self.0.store(true, Ordering::Relaxed);
    }
}
