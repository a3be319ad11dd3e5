//! The workloads of the suite `stack`: what is pushed and popped, by whom, and how it is checked.
//!
//! Every contender's loops are its own, so that its operations are inlined into them; one call through a table per loop.

pub mod faces;
pub mod raw;
pub mod sections;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::clock::nanoseconds;
use crate::harness::plan::{Sample, Shot};
use crate::harness::threads::team;
use crate::workload::opaque;

/// Pairs per loop.
pub const PAIRS: u64 = 1024;
/// Values per burst.
pub const BURST: u64 = 64;
/// Values per producer in a put-then-drain round.
pub const PUT: u64 = 4096;

/// What was popped.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many values.
    pub popped: u64,
    /// Their sum.
    pub sum: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.popped += other.popped;
        self.sum += other.sum;
    }

    /// `rounds` times the values `0..length`.
    const fn of(rounds: u64, length: u64) -> Self {
        Self { popped: rounds * length, sum: rounds * (length * length.saturating_sub(1) / 2) }
    }
}

/// A stack that the members of a team share.
pub trait Subject: Sync {
    /// One thread's way to it.
    ///
    /// # Errors
    /// When the thread cannot take part.
    fn member(&self) -> Result<Box<dyn Member + '_>, String>;
}

/// One thread's loops. Each pushes the values from 0 up, and pops as many.
pub trait Member {
    /// Push one, pop one, `pairs` times.
    fn pairs(&mut self, pairs: u64) -> Tally;
    /// Push `length`, pop `length`, `bursts` times.
    fn bursts(&mut self, bursts: u64, length: u64) -> Tally;
    /// Push `length`, pop all that is there, `bursts` times.
    fn pop_alls(&mut self, bursts: u64, length: u64) -> Tally;
    /// Push `length`.
    fn put(&mut self, length: u64);
    /// Pop `length`.
    fn drain(&mut self, length: u64) -> Tally;
    /// Off the clock: gives elements that it holds to the others.
    fn give(&mut self, _keep: u64) {}
    /// Off the clock: takes elements up to so many.
    fn take(&mut self, _up_to: u64) {}
}

/// A stack of `u64` as one thread uses it; [`Looped`] puts the loops around it.
pub trait Ops {
    /// Pushes.
    fn push(&mut self, value: u64);
    /// Pops.
    fn pop(&mut self) -> Option<u64>;
    /// Pops everything.
    fn pop_all(&mut self) -> Tally;
    /// Between two loops (a quiescent state).
    fn rest(&mut self) {}
}

/// The loops of every contender written in Rust.
#[derive(Debug)]
pub struct Looped<O>(pub O);

impl<O: Ops> Looped<O> {
    #[inline(always)]
    fn pop_one(&mut self, tally: &mut Tally) {
        if let Some(value) = self.0.pop() {
            tally.popped += 1;
            tally.sum += value;
        }
    }
}

impl<O: Ops> Member for Looped<O> {
    #[inline(never)]
    fn pairs(&mut self, pairs: u64) -> Tally {
        let mut tally = Tally::default();
        let mut value = 0;
        while value < pairs {
            self.0.push(value);
            self.pop_one(&mut tally);
            value = opaque(value + 1);
        }
        self.0.rest();
        tally
    }

    #[inline(never)]
    fn bursts(&mut self, bursts: u64, length: u64) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..bursts {
            (0..length).for_each(|value| self.0.push(value));
            (0..length).for_each(|_| self.pop_one(&mut tally));
        }
        self.0.rest();
        tally
    }

    #[inline(never)]
    fn pop_alls(&mut self, bursts: u64, length: u64) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..bursts {
            (0..length).for_each(|value| self.0.push(value));
            tally.add(self.0.pop_all());
        }
        self.0.rest();
        tally
    }

    #[inline(never)]
    fn put(&mut self, length: u64) {
        (0..length).for_each(|value| self.0.push(value));
        self.0.rest();
    }

    #[inline(never)]
    fn drain(&mut self, length: u64) -> Tally {
        let mut tally = Tally::default();
        (0..length).for_each(|_| self.pop_one(&mut tally));
        self.0.rest();
        tally
    }
}

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// [`Member::pairs`].
    Pairs,
    /// [`Member::bursts`] of [`BURST`].
    Bursts,
    /// [`Member::pop_alls`] of [`BURST`].
    PopAll,
    /// [`Member::put`] by all members, then [`Member::drain`] by the first.
    PutDrain,
}

/// One measurement: nanoseconds per value of all threads together.
///
/// # Errors
/// When values got lost or came twice.
pub fn measure(subject: &dyn Subject, work: Work, threads: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    match work {
        Work::PutDrain => put_drain(subject, threads, shot),
        _ => throughput(subject, work, threads, shot),
    }
}

fn throughput(subject: &dyn Subject, work: Work, threads: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let budget = shot.budget;
    let bursts = PAIRS / BURST;
    let results = team(
        shot.cores,
        threads,
        |_| {
            let mut member = subject.member()?;
            member.take(BURST);
            Ok(member)
        },
        |_, mut member| {
            let mut one = || match work {
                Work::Pairs | Work::PutDrain => (member.pairs(PAIRS), Tally::of(1, PAIRS)),
                Work::Bursts => (member.bursts(bursts, BURST), Tally::of(bursts, BURST)),
                Work::PopAll => (member.pop_alls(bursts, BURST), Tally::of(bursts, BURST)),
            };
            let (mut popped, mut pushed) = (Tally::default(), Tally::default());
            let mut run = |length| {
                let start = Instant::now();
                let before = pushed.popped;
                loop {
                    let (out, into) = one();
                    popped.add(out);
                    pushed.add(into);
                    let elapsed = start.elapsed();
                    if elapsed >= length {
                        // Exact: nobody pushes 2^52 values.
                        #[allow(clippy::cast_precision_loss)]
                        return (pushed.popped - before) as f64 / nanoseconds(elapsed);
                    }
                }
            };
            run(budget / 5);
            let rate = run(budget);
            Ok((rate, pushed, popped))
        },
    )?;
    let (mut pushed, mut popped) = (Tally::default(), Tally::default());
    for (_, into, out) in &results {
        pushed.add(*into);
        popped.add(*out);
    }
    check(pushed, popped)?;
    Ok(Sample::figure(1.0 / results.iter().map(|(rate, ..)| rate).sum::<f64>()))
}

fn check(pushed: Tally, popped: Tally) -> Result<(), String> {
    if pushed == popped { Ok(()) } else { Err(format!("wrong answer: pushed {pushed:?}, popped {popped:?}")) }
}

/// Where the members of a team meet, spinning: waking them would take longer than what is measured.
struct Meeting {
    size: usize,
    arrived: AtomicUsize,
    round: AtomicU64,
}

impl Meeting {
    fn wait(&self) {
        let round = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.size {
            self.arrived.store(0, Ordering::Relaxed);
            self.round.store(round + 1, Ordering::Release);
            return;
        }
        let mut spins = 0_u32;
        while self.round.load(Ordering::Acquire) == round {
            spins += 1;
            if spins.is_multiple_of(1024) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

fn put_drain(subject: &dyn Subject, threads: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let meeting = Meeting { size: threads, arrived: AtomicUsize::new(0), round: AtomicU64::new(0) };
    let over = AtomicBool::new(false);
    let total = PUT * threads as u64;
    let budget = shot.budget;
    let results = team(
        shot.cores,
        threads,
        |_| subject.member(),
        |index, mut member| {
            let start = Instant::now();
            let mut times = Vec::new();
            let mut popped = Tally::default();
            for round in 0_u64.. {
                member.take(PUT);
                meeting.wait();
                let begin = Instant::now();
                member.put(PUT);
                let mut time = begin.elapsed();
                meeting.wait();
                if index == 0 {
                    let begin = Instant::now();
                    popped = member.drain(total);
                    time += begin.elapsed();
                    let is_wrong = popped != Tally::of(threads as u64, PUT);
                    if is_wrong || (round > 2 && start.elapsed() >= budget) {
                        over.store(true, Ordering::Relaxed);
                    }
                    member.give(PUT);
                }
                if round > 1 {
                    // Exact: a few thousand.
                    #[allow(clippy::cast_precision_loss)]
                    times.push(nanoseconds(time) / total as f64);
                }
                meeting.wait();
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
            Ok((times, popped))
        },
    )?;
    check(Tally::of(threads as u64, PUT), results[0].1)?;
    // The first member's: its put beside the others', and the drain.
    crate::harness::stats::median(&results[0].0).map(Sample::figure).ok_or_else(|| "nothing was measured".into())
}
