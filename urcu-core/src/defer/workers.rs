//! Which worker gets a callback: the thread's own, its processor's, or the default one. And how workers are made.

use core::ffi::c_int;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;
use core::time::Duration;

use crate::defer::Deferred;
use crate::defer::block::Call;
use crate::defer::worker::{Setup, Worker};
use crate::error::WorkerError;
use crate::flavor::Flavor;
use crate::lock::{Held, Lock};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::{fork, sys, thread};

/// A domain's workers beside the default one.
pub(crate) struct WorkerSet {
    /// Whether anything but the default worker can be chosen; spares the hot path the rest.
    special: AtomicBool,
    /// Per-processor workers, by processor id; null before there are any. Never freed.
    per_cpu: AtomicPtr<AtomicPtr<Worker>>,
    cpus: AtomicU64,
    list: Lock<Lists>,
    /// Calls of workers that stopped, on their way to the default worker.
    adopted: Lock<Vec<Call>>,
    adopted_count: AtomicU64,
    /// Those that a fork under way has put aside. One that stops meanwhile is not listed any more, and its next use must not
    /// find itself put aside by a fork that is over.
    paused: Lock<Vec<&'static Worker>>,
}

struct Lists {
    running: Vec<&'static Worker>,
    stopped: Vec<&'static Worker>,
}

impl WorkerSet {
    pub(crate) const fn new() -> Self {
        Self {
            special: AtomicBool::new(false),
            per_cpu: AtomicPtr::new(ptr::null_mut()),
            cpus: AtomicU64::new(0),
            list: Lock::new(Lists { running: Vec::new(), stopped: Vec::new() }),
            adopted: Lock::new(Vec::new()),
            adopted_count: AtomicU64::new(0),
            paused: Lock::new(Vec::new()),
        }
    }

    fn lists(&self) -> Held<'_, Lists> {
        self.list.lock()
    }

    /// The worker for the calling thread, unless it is the default one.
    #[inline]
    pub(crate) fn chosen<F: Flavor>(&'static self) -> Option<&'static Worker> {
        // Relaxed: who has set a worker for itself sees its own store; others may see it late.
        if !self.special.load(Ordering::Relaxed) {
            return None;
        }
        thread_worker::<F>().map(|own| own.worker).or_else(|| self.of_cpu(sys::current_cpu()?))
    }

    fn of_cpu(&'static self, cpu: usize) -> Option<&'static Worker> {
        let slot = self.cpu_slot(cpu)?;
        // Acquire: the worker's fields. PAIR(cpu-worker)
        let worker = slot.load(Ordering::Acquire);
        // SAFETY: workers are never freed.
        unsafe { worker.as_ref() }
    }

    fn cpu_slot(&'static self, cpu: usize) -> Option<&'static AtomicPtr<Worker>> {
        let table = self.per_cpu.load(Ordering::Acquire);
        if table.is_null() || cpu as u64 >= self.cpus.load(Ordering::Relaxed) {
            return None;
        }
        // SAFETY: within the table, which has `cpus` slots.
        let slot = unsafe { table.add(cpu) };
        // SAFETY: initialised before the table was published, never freed.
        Some(unsafe { &*slot })
    }

    fn cpu_table(&'static self) -> usize {
        let _lists = self.lists();
        if self.per_cpu.load(Ordering::Relaxed).is_null() {
            let cpus = sys::possible_cpus();
            let slots: Vec<AtomicPtr<Worker>> = (0..cpus).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
            self.cpus.store(cpus as u64, Ordering::Relaxed);
            let table = Box::leak(slots.into_boxed_slice()).as_mut_ptr();
            // Release: the table before its address.
            self.per_cpu.store(table, Ordering::Release);
        }
        usize::try_from(self.cpus.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    pub(crate) fn all(&self) -> Vec<&'static Worker> {
        self.lists().running.clone()
    }

    /// Whether one of them has found that no grace period can end any more.
    pub(crate) fn is_any_stuck(&self) -> bool {
        self.special.load(Ordering::Relaxed) && self.lists().running.iter().any(|worker| worker.is_stuck())
    }

    /// Heads ever handed to one of these workers, and those of them that have been taken out. A snapshot.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let lists = self.lists();
        let counts = lists.running.iter().chain(&lists.stopped).map(|worker| worker.counts());
        counts.fold((0, 0), |(pushed, taken), worker| (pushed + worker.0, taken + worker.1))
    }

    pub(crate) fn adopted_count(&self) -> usize {
        usize::try_from(self.adopted_count.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(crate) fn nothing_adopted(&self) -> bool {
        // Acquire: whoever has taken them is there, and can be waited for. PAIR(adopted) PAIR(worker-sleep)
        self.adopted_count.load(Ordering::Acquire) == 0
    }

    pub(crate) fn take_adopted(&self, calls: &mut Vec<Call>) {
        if self.nothing_adopted() {
            return;
        }
        let mut adopted = self.adopted.lock();
        // Release. PAIR(adopted)
        self.adopted_count.store(0, Ordering::Release);
        calls.append(&mut adopted);
    }

    /// Those of the running ones that no fork has put aside.
    fn not_aside(&self, lists: &Lists) -> Vec<&'static Worker> {
        let aside = self.paused.lock();
        let is_new = |worker: &&'static Worker| !aside.iter().any(|other| ptr::eq(*other, *worker));
        lists.running.iter().copied().filter(is_new).collect()
    }

    /// Before `fork`: every worker aside that is listed. Takes a while, in which others may make more of them.
    pub(crate) fn pause_all(&self) {
        loop {
            let fresh = self.not_aside(&self.lists());
            if fresh.is_empty() {
                return;
            }
            self.paused.lock().extend(&fresh);
            for worker in fresh {
                worker.pause();
            }
        }
    }

    /// Before `fork`, last: holds the locks, so that no worker is made from now on. False, and none is held, if some worker is not
    /// aside.
    pub(crate) fn hold_for_fork(&self) -> bool {
        let lists = self.lists();
        if !self.not_aside(&lists).is_empty() {
            return false;
        }
        core::mem::forget(lists);
        self.adopted.hold_for_fork();
        true
    }

    /// After `fork`, in either process.
    pub(crate) fn release_after_fork(&self) {
        self.adopted.release_after_fork();
        self.list.release_after_fork();
    }

    /// After `fork`, in either process.
    pub(crate) fn resume_all(&self) {
        for worker in core::mem::take(&mut *self.paused.lock()) {
            worker.resume();
        }
    }

    /// In a forked child, without having been paused: there are no workers, and what they held is lost. Allocates nothing.
    pub(crate) fn forget_after_unprepared_fork(&'static self) {
        self.list.reset_after_fork(Lists { running: Vec::new(), stopped: Vec::new() });
        self.adopted.reset_after_fork(Vec::new());
        self.paused.reset_after_fork(Vec::new());
        // Some other thread may have been at a fork of its own.
        let paused = core::mem::take(&mut *self.paused.lock());
        paused.iter().for_each(|worker| worker.resume());
        core::mem::forget(paused);
        let running = core::mem::take(&mut self.lists().running);
        for worker in &running {
            worker.forget_thread();
            // Nobody hands it anything from now on, by whatever name.
            worker.end_use();
            worker.shut();
        }
        core::mem::forget(running);
        self.forget_choices();
        let adopted = self.adopted.lock().len();
        self.adopted_count.store(adopted as u64, Ordering::Relaxed);
    }

    fn forget_choices(&'static self) {
        self.special.store(false, Ordering::Relaxed);
        for cpu in 0..usize::try_from(self.cpus.load(Ordering::Relaxed)).unwrap_or(0) {
            if let Some(slot) = self.cpu_slot(cpu) {
                slot.store(ptr::null_mut(), Ordering::Relaxed);
            }
        }
    }

    /// In a forked child: no worker has a thread, and what they held goes to the default one.
    pub(crate) fn forget_threads(&'static self, deferred: &Deferred) {
        self.resume_all();
        let mut leftover = Vec::new();
        let running = core::mem::take(&mut self.lists().running);
        for worker in &running {
            worker.forget_thread();
            worker.end_use();
            worker.close(&mut leftover);
            worker.recount();
        }
        self.lists().stopped.extend(running);
        self.forget_choices();
        deferred.adopt(leftover);
    }
}

impl Deferred {
    /// Gives calls that a stopped worker has left to the default one.
    pub(crate) fn adopt(&self, mut leftover: Vec<Call>) {
        if leftover.is_empty() {
            return;
        }
        let mut adopted = self.workers.adopted.lock();
        self.workers.adopted_count.fetch_add(leftover.len() as u64, Ordering::Relaxed);
        adopted.append(&mut leftover);
        drop(adopted);
        // PAIR(worker-sleep)
        crate::sync::fence(Ordering::SeqCst);
        self.default_worker.wake();
    }
}

/// Makes a worker: a thread that waits for grace periods and runs callbacks.
#[doc(alias = "create_call_rcu_data")]
#[must_use = "nothing is made before `spawn`"]
pub struct WorkerBuilder<F: Flavor> {
    setup: Setup,
    flavor: PhantomData<F>,
}

impl<F: Flavor> WorkerBuilder<F> {
    /// A worker on any processor, scheduled like other threads, sleeping while there is nothing to do.
    pub const fn new() -> Self {
        Self { setup: Setup { name: None, cpu: None, realtime: None, polling: None }, flavor: PhantomData }
    }

    /// The thread's name, 15 bytes of which the system keeps.
    ///
    /// # Panics
    ///
    /// When there is a zero byte in it.
    #[cfg_attr(not(urcu_mutants), track_caller)]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        assert!(!name.contains('\0'), "{}: the worker's name {name:?} contains a zero byte", F::NAME);
        self.setup.name = Some(name);
        self
    }

    /// Runs on this processor alone.
    pub fn cpu(mut self, cpu: usize) -> Self {
        self.setup.cpu = Some(cpu);
        self
    }

    /// Runs under `SCHED_FIFO` with this priority (1 to 99). Needs permission (`CAP_SYS_NICE` or `RLIMIT_RTPRIO`).
    pub fn realtime(mut self, priority: c_int) -> Self {
        self.setup.realtime = Some(priority);
        self
    }

    /// Looks at its inbox this often instead of sleeping until it is woken, so that those who hand callbacks to it never
    /// make a system call: for producers under real-time constraints.
    pub fn polling(mut self, period: Duration) -> Self {
        self.setup.polling = Some(period);
        self
    }

    /// Makes the worker. Blocks until its thread runs as asked.
    ///
    /// # Errors
    ///
    /// [`WorkerError::NoThread`], or [`WorkerError::Scheduling`] when the processor does not exist or the priority is
    /// not permitted.
    pub fn spawn(self) -> Result<WorkerHandle<F>, WorkerError> {
        fork::check::<F>();
        let workers = &F::domain().deferred.workers;
        let worker = workers.lists().stopped.pop().unwrap_or_else(|| Box::leak(Box::new(Worker::new())));
        worker.reuse();
        match worker.start::<F>(self.setup) {
            Ok(()) => {
                workers.lists().running.push(worker);
                worker.open();
                Ok(WorkerHandle::new(worker))
            }
            Err(error) => {
                workers.lists().stopped.push(worker);
                Err(error)
            }
        }
    }
}

impl<F: Flavor> Default for WorkerBuilder<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Flavor> fmt::Debug for WorkerBuilder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerBuilder({}, {:?})", F::NAME, self.setup)
    }
}

/// A worker beside the default one. Dropping the handle leaves the worker running; [`stop`](Self::stop) ends it.
#[doc(alias = "call_rcu_data")]
pub struct WorkerHandle<F: Flavor> {
    worker: &'static Worker,
    /// Workers are used again; a handle of an earlier one does nothing.
    generation: u32,
    flavor: PhantomData<F>,
}

impl<F: Flavor> Clone for WorkerHandle<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Flavor> Copy for WorkerHandle<F> {}

impl<F: Flavor> PartialEq for WorkerHandle<F> {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.worker, other.worker) && self.generation == other.generation
    }
}

impl<F: Flavor> Eq for WorkerHandle<F> {}

impl<F: Flavor> WorkerHandle<F> {
    fn new(worker: &'static Worker) -> Self {
        Self { worker, generation: worker.generation(), flavor: PhantomData }
    }

    /// The kernel's id of the worker's thread.
    #[doc(alias = "get_call_rcu_thread")]
    pub fn tid(&self) -> i32 {
        self.worker.tid()
    }

    /// Whether this call is the one that stops this use of the worker. Under the lock, where who runs stays in use: between a
    /// look at the generation and the claim the worker might be stopped and used again.
    fn claim_stop(&self, workers: &WorkerSet) -> bool {
        let lists = workers.lists();
        lists.running.iter().any(|worker| ptr::eq(*worker, self.worker))
            && self.worker.generation() == self.generation
            && self.worker.claim_stop()
    }

    /// Stops the worker; callbacks that it has not run go to the default worker. Blocks until the worker runs nothing any more; its
    /// thread (and thread-locals that callbacks have made there) ends by itself soon after.
    ///
    /// Threads and processors that still name it fall back to the default worker. Outside every section; not from a
    /// callback of its own (it would wait for itself).
    ///
    /// # Errors
    ///
    /// [`WorkerError::InCallback`] on a thread that runs callbacks.
    ///
    /// # Panics
    ///
    /// Inside a section.
    #[doc(alias = "call_rcu_data_free")]
    #[cfg_attr(not(urcu_mutants), track_caller)]
    pub fn stop(self) -> Result<(), WorkerError> {
        if F::with_record(|record| record.is_reclaiming()) {
            return Err(WorkerError::InCallback { flavor: F::NAME });
        }
        fork::check::<F>();
        let reader = F::reader();
        thread::assert_outside::<F>(reader, "stops a worker");
        thread::assert_no_hidden_guard::<F>(reader);
        let workers = &F::domain().deferred.workers;
        if !self.claim_stop(workers) {
            return Ok(());
        }
        for cpu in 0..sys::possible_cpus() {
            if let Some(slot) = workers.cpu_slot(cpu) {
                let own = ptr::from_ref(self.worker).cast_mut();
                let _ = slot.compare_exchange(own, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
            }
        }
        thread::offline_while::<F, _>(reader, || self.worker.stop());
        // Listed as running until now, so that a barrier waits for its last round.
        let mut lists = workers.lists();
        lists.running.retain(|worker| !ptr::eq(*worker, self.worker));
        lists.stopped.push(self.worker);
        drop(lists);
        // What it left is the default worker's now.
        let deferred = &F::domain().deferred;
        if !deferred.workers.nothing_adopted() {
            deferred.default_worker.start_or_report::<F>();
            deferred.default_worker.wake();
        }
        Ok(())
    }
}

impl<F: Flavor> fmt::Debug for WorkerHandle<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerHandle({}, tid {})", F::NAME, self.tid())
    }
}

/// The calling thread's own worker.
pub(crate) fn thread_worker<F: Flavor>() -> Option<WorkerHandle<F>> {
    let (worker, generation) = F::with_record(|record| record.worker())?;
    // One that has been stopped since may be somebody else's by now.
    (worker.generation() == generation).then_some(WorkerHandle { worker, generation, flavor: PhantomData })
}

/// Makes the calling thread's callbacks go to `worker`, or to where they would go without one.
pub(crate) fn set_thread_worker<F: Flavor>(worker: Option<WorkerHandle<F>>) {
    if worker.is_some() {
        F::domain().deferred.workers.special.store(true, Ordering::Relaxed);
    }
    F::with_record(|record| record.set_worker(worker.map(|handle| (handle.worker, handle.generation))));
}

/// The worker of processor `cpu`.
pub(crate) fn cpu_worker<F: Flavor>(cpu: usize) -> Option<WorkerHandle<F>> {
    let worker = F::domain().deferred.workers.of_cpu(cpu)?;
    Some(WorkerHandle::new(worker))
}

/// Installs or removes the worker of processor `cpu`; returns the one that was removed.
pub(crate) fn set_cpu_worker<F: Flavor>(
    cpu: usize,
    worker: Option<WorkerHandle<F>>,
) -> Result<Option<WorkerHandle<F>>, WorkerError> {
    let workers = &F::domain().deferred.workers;
    if cpu >= workers.cpu_table() {
        return Err(WorkerError::NoSuchCpu { cpu });
    }
    let slot = workers.cpu_slot(cpu).expect("below the number of processors");
    match worker {
        Some(handle) => {
            let new = ptr::from_ref(handle.worker).cast_mut();
            // Release. PAIR(cpu-worker)
            slot.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Relaxed)
                .map_err(|_| WorkerError::CpuTaken { cpu })?;
            workers.special.store(true, Ordering::Relaxed);
            Ok(None)
        }
        None => {
            // SAFETY: workers are never freed.
            let before = unsafe { slot.swap(ptr::null_mut(), Ordering::AcqRel).as_ref() };
            Ok(before.map(|worker| WorkerHandle::new(worker)))
        }
    }
}

/// One worker for each processor that has none and that this process may run on.
pub(crate) fn create_all_cpu_workers<F: Flavor>(realtime: Option<c_int>) -> Result<usize, WorkerError> {
    let mut made = 0;
    for cpu in 0..F::domain().deferred.workers.cpu_table() {
        if cpu_worker::<F>(cpu).is_some() || !sys::may_run_on(cpu) {
            continue;
        }
        let mut builder = WorkerBuilder::<F>::new().name(format!("urcu/{cpu}")).cpu(cpu);
        builder.setup.realtime = realtime;
        let worker = builder.spawn()?;
        if set_cpu_worker(cpu, Some(worker)).is_err() {
            worker.stop()?;
            continue;
        }
        made += 1;
    }
    Ok(made)
}

/// Removes and stops the workers of all processors.
#[track_caller]
pub(crate) fn free_all_cpu_workers<F: Flavor>() -> Result<(), WorkerError> {
    for cpu in 0..F::domain().deferred.workers.cpu_table() {
        if let Some(worker) = set_cpu_worker::<F>(cpu, None)? {
            worker.stop()?;
        }
    }
    Ok(())
}
