//! Many short histories, by the same threads.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::{panic, thread};

use urcu_conformance::seed::{Random, seed};
use urcu_core::Thread;

use super::{Call, Clock, History, Model};
use crate::Tested;

/// Rounds of concurrent calls, each on a fresh structure, each a history that is checked.
///
/// ```
/// use std::collections::VecDeque;
/// use std::sync::Mutex;
/// use structure_conformance::linearizability::{Queue, QueueOp, QueueRet, Rounds};
/// use structure_conformance::Mb;
///
/// Rounds::<Queue>::new(200).closing([QueueOp::Drain]).run::<Mb, _>(
///     |_| (Queue::default(), Mutex::new(VecDeque::new())),
///     |choice| if choice.random.once_in(2) { QueueOp::Enqueue(choice.value()) } else { QueueOp::Dequeue },
///     |queue, _thread, op| {
///         let mut queue = queue.lock().expect("no panics");
///         match *op {
///             QueueOp::Enqueue(value) => {
///                 queue.push_back(value);
///                 QueueRet::Done
///             }
///             QueueOp::Dequeue => QueueRet::One(queue.pop_front()),
///             _ => QueueRet::All(queue.drain(..).collect()),
///         }
///     },
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Rounds<M: Model> {
    rounds: u64,
    threads: usize,
    calls: usize,
    closing: Vec<M::Op>,
}

/// What the next call may depend on, to be chosen.
#[derive(Debug)]
pub struct Choice {
    /// The thread that makes it, from 0.
    pub thread: usize,
    /// Its number among the thread's calls in this round, from 0.
    pub call: usize,
    /// The thread's random numbers.
    pub random: Random,
}

impl Choice {
    /// A value that no other call of the round has.
    pub fn value(&self) -> u64 {
        (self.thread as u64 + 1) * 100 + self.call as u64
    }
}

impl<M> Rounds<M>
where
    M: Model + Send,
    M::Op: Send + Sync,
    M::Ret: Send,
{
    /// That many rounds of three threads with four calls each.
    pub fn new(rounds: u64) -> Self {
        Self { rounds, threads: 3, calls: 4, closing: Vec::new() }
    }

    /// Another number of threads.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Another number of calls per thread and round.
    pub fn calls(self, calls: usize) -> Self {
        Self { calls, ..self }
    }

    /// Calls that thread 0 makes after all others in each round: so that what was lost is missed.
    pub fn closing(self, closing: impl IntoIterator<Item = M::Op>) -> Self {
        Self { closing: closing.into_iter().collect(), ..self }
    }

    /// Runs them and checks each history; returns in how many rounds calls overlapped.
    ///
    /// `fresh` makes each round's structure, with the model's state for it, on the calling thread, which also drops it and
    /// is not registered by this. `choose` says what is called next, `perform` calls it. The other threads are registered
    /// with flavor `F`, outside of sections, and offline between rounds.
    ///
    /// # Panics
    ///
    /// With the history that is not linearizable, or when a call panics.
    #[track_caller]
    pub fn run<F: Tested, S: Send + Sync>(
        &self,
        mut fresh: impl FnMut(&mut Random) -> (M, S),
        choose: impl Fn(&mut Choice) -> M::Op + Sync,
        perform: impl Fn(&S, &mut Thread<F>, &M::Op) -> M::Ret + Sync,
    ) -> u64 {
        let stage = Stage::new(self.threads as u64);
        let mut random = Random::new(0x11EA);
        let mut concurrent = 0;
        let seed = seed();
        thread::scope(|scope| {
            let _failed = stage.failure_ends_all();
            for thread in 0..self.threads {
                let (stage, choose, perform) = (&stage, &choose, &perform);
                scope.spawn(move || self.play(stage, thread, choose, perform));
            }
            for round in 1..=self.rounds {
                let (start, structure) = fresh(&mut random);
                let structure = stage.round_with(round, structure);
                let calls = std::mem::take(&mut *stage.calls.lock().unwrap_or_else(PoisonError::into_inner));
                let history = History::new(start, calls);
                if let Err(refused) = history.check() {
                    panic!("round {round}, URCU_SEED={seed}: {refused}");
                }
                concurrent += u64::from(history.is_concurrent());
                drop(structure);
            }
        });
        concurrent
    }

    fn play<F: Tested, S>(
        &self,
        stage: &Stage<M, S>,
        thread: usize,
        choose: &impl Fn(&mut Choice) -> M::Op,
        perform: &impl Fn(&S, &mut Thread<F>, &M::Op) -> M::Ret,
    ) {
        let _failed = stage.failure_ends_all();
        let mut registered = Thread::<F>::register().expect("a thread of its own");
        let mut choice = Choice { thread, call: 0, random: Random::new(thread as u64) };
        for round in 1..=self.rounds {
            registered.while_offline(|| stage.until(|| stage.round.load(Ordering::Acquire) >= round));
            let structure = stage.structure.read().unwrap_or_else(PoisonError::into_inner);
            let structure = structure.as_ref().expect("a round has begun");
            let mut recorder = stage.clock.recorder::<M>(thread);
            stage.all_have_arrived(&stage.ready, round);
            for call in 0..self.calls {
                choice.call = call;
                choice.random.dawdle();
                recorder.call(choose(&mut choice), |op| perform(structure, &mut registered, op));
            }
            registered.while_offline(|| stage.all_have_arrived(&stage.ended, round));
            if thread == 0 {
                for op in &self.closing {
                    recorder.call(op.clone(), |op| perform(structure, &mut registered, op));
                }
            }
            stage.calls.lock().unwrap_or_else(PoisonError::into_inner).extend(recorder.into_calls());
            stage.recorded.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Where the threads meet.
struct Stage<M: Model, S> {
    threads: u64,
    clock: Clock,
    structure: RwLock<Option<S>>,
    calls: Mutex<Vec<Call<M>>>,
    /// The round that has begun.
    round: AtomicU64,
    /// Arrivals, of all rounds together.
    ready: AtomicU64,
    ended: AtomicU64,
    recorded: AtomicU64,
    failed: AtomicBool,
}

impl<M: Model, S> Stage<M, S> {
    fn new(threads: u64) -> Self {
        Self {
            threads,
            clock: Clock::new(),
            structure: RwLock::new(None),
            calls: Mutex::default(),
            round: AtomicU64::new(0),
            ready: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Has the threads play `round` with `structure`, and gives it back.
    fn round_with(&self, round: u64, structure: S) -> S {
        *self.structure.write().unwrap_or_else(PoisonError::into_inner) = Some(structure);
        self.round.store(round, Ordering::Release);
        self.until(|| self.recorded.load(Ordering::Acquire) == round * self.threads);
        let structure = self.structure.write().unwrap_or_else(PoisonError::into_inner).take();
        structure.expect("put there above")
    }

    fn all_have_arrived(&self, arrivals: &AtomicU64, round: u64) {
        arrivals.fetch_add(1, Ordering::AcqRel);
        self.until(|| arrivals.load(Ordering::Acquire) >= round * self.threads);
    }

    /// Spins first, so that the threads start within nanoseconds of each other; then yields, since there may be more
    /// threads than processors.
    fn until(&self, condition: impl Fn() -> bool) {
        let mut spins = 0;
        while !condition() {
            if self.failed.load(Ordering::Relaxed) {
                // Without a message: the other thread has written one.
                panic::resume_unwind(Box::new("another thread has failed"));
            }
            spins += 1;
            if spins < 2000 { hint::spin_loop() } else { thread::yield_now() }
        }
    }

    /// Until its end, a panic of this thread has the others panic too, instead of waiting for ever.
    fn failure_ends_all(&self) -> impl Drop {
        struct Failure<'s>(&'s AtomicBool);

        impl Drop for Failure<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
        }

        Failure(&self.failed)
    }
}
