//! What threads do to a queue, on the clock.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::clock::nanoseconds;
use crate::harness::plan::{Sample, Shot};
use crate::harness::stats::median;
use crate::harness::threads::team;
use crate::queues::{Subject, Taken, Worker};
use urcu_core::sync::CachePadded;

/// The measured part of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// Enqueue and dequeue in turn, by every thread.
    Pairs,
    /// Each thread enqueues; emptying is not measured.
    Put,
    /// Thread 0 dequeues what all have enqueued, one by one.
    Drain,
    /// Enqueues, then dequeues, by every thread.
    Burst,
    /// Thread 1 enqueues, thread 0 dequeues.
    OneToOne,
    /// Thread 0 dequeues everything at once.
    Splice,
}

impl Workload {
    pub(super) fn counts_pairs(self) -> bool {
        matches!(self, Self::Pairs | Self::Burst)
    }
}

/// Pairs that are timed together.
const PAIRS: u64 = 2048;
/// Values per thread and round.
const VALUES: u64 = 8192;
/// Values of a splice.
const SPLICED: u64 = 1024;
/// Values of a burst.
const BURST: u64 = 64;
/// No figure, though what went in came out: on a machine with less processors to spare than there are threads.
pub(super) const NEVER_TOGETHER: &str = "the threads were never at work at the same time";
/// How long threads try to be at work at the same time.
const LONGEST: Duration = Duration::from_secs(4);
/// Bursts that are timed together.
const BURSTS: u64 = 16;

pub(super) fn measure(
    subject: &dyn Subject,
    workload: Workload,
    threads: usize,
    shot: &Shot<'_>,
) -> Result<Sample, String> {
    match workload {
        Workload::Pairs => each(subject, threads, shot, PAIRS, |worker, first| worker.pairs(PAIRS, first)),
        Workload::Burst => each(subject, threads, shot, BURSTS * BURST, bursts),
        _ => together(subject, workload, threads, shot),
    }
}

fn bursts(worker: &mut dyn Worker, first: u64) -> Result<u64, String> {
    let mut sum = 0;
    for burst in 0..BURSTS {
        worker.put(BURST, first + burst * BURST);
        let taken = worker.take(BURST);
        if taken.count != BURST {
            return Err(format!("{} values came out of {BURST}", taken.count));
        }
        sum += taken.sum;
    }
    Ok(sum)
}

/// What the threads of [`each`] tell each other: since when they have been off the clock, and for how long in all, in
/// nanoseconds. They wait there for grace periods, milliseconds in some implementations.
struct Absences {
    origin: Instant,
    threads: Vec<CachePadded<(AtomicU64, AtomicU64)>>,
}

impl Absences {
    const WORKING: u64 = u64::MAX;

    fn new(threads: usize) -> Self {
        // A thread that has not begun is away.
        let thread = || CachePadded((AtomicU64::new(0), AtomicU64::new(0)));
        Self { origin: Instant::now(), threads: (0..threads).map(|_| thread()).collect() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn leave(&self, index: usize) {
        self.threads[index].0.0.store(self.now(), Ordering::Relaxed);
    }

    fn come_back(&self, index: usize) {
        let (since, total) = &self.threads[index].0;
        let away = self.now().saturating_sub(since.swap(Self::WORKING, Ordering::Relaxed));
        total.fetch_add(away, Ordering::Relaxed);
    }

    /// How long the others have been away so far.
    fn of_others(&self, index: usize) -> u64 {
        let now = self.now();
        let others = self.threads.iter().enumerate().filter(|&(other, _)| other != index);
        let away = others.map(|(_, thread)| {
            let since = thread.0.0.load(Ordering::Relaxed);
            let going_on = if since == Self::WORKING { 0 } else { now.saturating_sub(since) };
            thread.0.1.load(Ordering::Relaxed) + going_on
        });
        away.sum()
    }
}

/// What a thread of [`each`] has done.
#[derive(Default)]
struct Log {
    /// Nanoseconds per operation, of each batch.
    batches: Vec<f64>,
    put: u64,
    taken: u64,
}

/// Every thread on its own, batch by batch, for the length of the budget. One thread's figure is the median of its batches. Of
/// several it is the time per operation of all together, half of what each of two sees: from their sums, because threads that keep
/// each other away for a while have fast batches and slow ones, and the median would forget the slow ones.
///
/// Batches count in which the others were at work for at least nine tenths of the time. The others are no figures of several threads:
/// where grace periods are long, off the clock, threads are alone most of the time.
fn each(
    subject: &dyn Subject,
    threads: usize,
    shot: &Shot<'_>,
    operations: u64,
    batch: impl Fn(&mut dyn Worker, u64) -> Result<u64, String> + Sync,
) -> Result<Sample, String> {
    let budget = shot.budget;
    let absences = Absences::new(threads);
    let enough = AtomicUsize::new(0);
    let logs = team(
        shot.cores,
        threads,
        |index| subject.worker(index),
        |index, mut worker| {
            let mut log = Log::default();
            let mut first = (index as u64) << 32;
            let mut run = |is_over: &dyn Fn(Duration, &Log) -> bool, log: &mut Log| {
                let start = Instant::now();
                loop {
                    worker.between();
                    absences.come_back(index);
                    let away = absences.of_others(index);
                    let begin = Instant::now();
                    let taken = batch(worker.as_mut(), first)?;
                    let time = nanoseconds(begin.elapsed());
                    let away = exact(absences.of_others(index).saturating_sub(away));
                    absences.leave(index);
                    if away <= time / 10.0 * exact(threads as u64 - 1) {
                        log.batches.push(time / exact(operations));
                    }
                    log.taken = log.taken.wrapping_add(taken);
                    log.put = log.put.wrapping_add(sum_from(first, operations));
                    first += operations;
                    if is_over(start.elapsed(), log) {
                        return Ok::<(), String>(());
                    }
                }
            };
            run(&|elapsed, _| elapsed >= budget / 5, &mut log)?;
            log.batches.clear();
            let has_enough = Cell::new(false);
            let is_over = |elapsed, log: &Log| {
                if elapsed >= budget && log.batches.len() > 2 && !has_enough.replace(true) {
                    enough.fetch_add(1, Ordering::Relaxed);
                }
                // Nobody leaves another one alone that is not done.
                enough.load(Ordering::Relaxed) == threads || elapsed >= LONGEST
            };
            run(&is_over, &mut log)?;
            Ok(log)
        },
    )?;
    let put = logs.iter().fold(0_u64, |sum, log| sum.wrapping_add(log.put));
    let taken = logs.iter().fold(0_u64, |sum, log| sum.wrapping_add(log.taken));
    if put != taken {
        return Err("what came out is not what went in".into());
    }
    if let [log] = &logs[..] {
        return median(&log.batches).map(Sample::figure).ok_or_else(|| "nothing was measured".into());
    }
    if logs.iter().any(|log| log.batches.is_empty()) {
        return Err(NEVER_TOGETHER.into());
    }
    let rate: f64 = logs.iter().map(|log| exact(log.batches.len() as u64) / log.batches.iter().sum::<f64>()).sum();
    Ok(Sample::figure(1.0 / rate))
}

/// Round by round, all threads at once, until thread 0 finds the budget spent. The figure is the median of the rounds, from the common
/// start until the last one is done, per value.
fn together(subject: &dyn Subject, workload: Workload, threads: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let meeting = Meeting::new(threads);
    let over = AtomicBool::new(false);
    let budget = shot.budget;
    let producers = if workload == Workload::OneToOne { threads - 1 } else { threads };
    let values = if workload == Workload::Splice { SPLICED } else { VALUES };
    let total = values * producers as u64;
    let logs = team(
        shot.cores,
        threads,
        |index| subject.worker(index),
        |index, mut worker| {
            let _leaves = Leaves(&meeting, &over);
            let puts = workload != Workload::OneToOne || index != 0;
            let mut times = Vec::new();
            let mut first = (index as u64) << 32;
            let (start, mut counting) = (Instant::now(), false);
            let mut outcome = Ok(());
            loop {
                worker.between();
                worker.rest(&mut || meeting.meet());
                if over.load(Ordering::Acquire) {
                    return outcome.map(|()| times);
                }
                let begin = Instant::now();
                if puts {
                    worker.put(values, first);
                    first += values;
                }
                let mut time = nanoseconds(begin.elapsed());
                if workload != Workload::OneToOne {
                    // Until the last one has put.
                    worker.rest(&mut || meeting.meet());
                }
                if index == 0 {
                    let begin_taking = Instant::now();
                    let taken = match workload {
                        Workload::Splice => worker.drain(),
                        Workload::OneToOne => all(worker.as_mut(), total),
                        _ => worker.take(total),
                    };
                    match workload {
                        Workload::Put => {}
                        Workload::OneToOne => time = nanoseconds(begin.elapsed()),
                        _ => time = nanoseconds(begin_taking.elapsed()),
                    }
                    let expected = expected(workload, producers, first, values);
                    if taken != expected {
                        outcome = Err(format!("{taken:?} came out and not {expected:?}"));
                    }
                } else if workload != Workload::Put {
                    // Thread 0's figure counts.
                    time = 0.0;
                }
                if counting {
                    times.push(time / exact(total));
                }
                if index == 0 {
                    if !counting && start.elapsed() >= budget / 5 {
                        counting = true;
                    }
                    let enough = start.elapsed() >= budget + budget / 5 && times.len() > 2;
                    over.store(enough || outcome.is_err(), Ordering::Release);
                } else {
                    counting = true;
                }
                if workload == Workload::OneToOne && index == 0 {
                    first += values;
                }
                worker.rest(&mut || meeting.meet());
            }
        },
    )?;
    // Threads count from different rounds on: the last ones are the same.
    let rounds = logs.iter().map(Vec::len).min().unwrap_or(0);
    let times: Vec<f64> =
        (0..rounds).map(|back| logs.iter().map(|times| times[times.len() - 1 - back]).fold(0.0, f64::max)).collect();
    median(&times).map(Sample::figure).ok_or_else(|| "nothing was measured".into())
}

/// What must have come out: `next` is what thread 0's next round begins with, and all threads count alike.
fn expected(workload: Workload, producers: usize, next: u64, values: u64) -> Taken {
    let (shift, offset) = if workload == Workload::OneToOne { (1, next) } else { (0, next - values) };
    let sum = (0..producers as u64)
        .map(|producer| sum_from(((producer + shift) << 32) + offset, values))
        .fold(0_u64, u64::wrapping_add);
    Taken { count: values * producers as u64, sum }
}

/// Takes until so many have come.
fn all(worker: &mut dyn Worker, total: u64) -> Taken {
    let mut sum = Taken::default();
    while sum.count != total {
        let taken = worker.take(total - sum.count);
        sum.count += taken.count;
        sum.sum = sum.sum.wrapping_add(taken.sum);
        if taken.count == 0 {
            spin_loop();
        }
    }
    sum
}

fn sum_from(first: u64, count: u64) -> u64 {
    first.wrapping_mul(count).wrapping_add(count * (count - 1) / 2)
}

// Exact: thousands.
#[allow(clippy::cast_precision_loss)]
fn exact(count: u64) -> f64 {
    count as f64
}

/// Where threads wait for each other without sleeping, so that they go on at the same time.
struct Meeting {
    size: usize,
    arrived: AtomicUsize,
}

impl Meeting {
    fn new(size: usize) -> Self {
        Self { size, arrived: AtomicUsize::new(0) }
    }

    fn meet(&self) {
        let number = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (number / self.size + 1) * self.size;
        let mut spins = 0_u32;
        while self.arrived.load(Ordering::Acquire) < all {
            spins += 1;
            if spins.is_multiple_of(4096) { std::thread::yield_now() } else { spin_loop() }
        }
    }
}

/// A thread that panics does not leave the others waiting.
struct Leaves<'m>(&'m Meeting, &'m AtomicBool);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.store(true, Ordering::Release);
            self.0.arrived.fetch_add(usize::MAX / 2, Ordering::AcqRel);
        }
    }
}
