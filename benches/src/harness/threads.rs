//! Threads that start together, on cores of their own where there are enough.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::plan::not_here;

/// The cores that this process may use.
#[derive(Clone, Debug)]
pub struct Cores {
    allowed: Vec<usize>,
}

impl Cores {
    /// Asks the kernel; without an answer no thread gets pinned.
    pub fn detect() -> Self {
        let allowed = sched_getaffinity(Pid::from_raw(0)).map_or_else(
            |_| Vec::new(),
            |set| (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect(),
        );
        Self { allowed }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.allowed.len().max(1)
    }

    /// The core for member `index` of a team of `size`; none when the team outnumbers the cores,
    /// where pinning would pile threads up.
    pub fn assign(&self, index: usize, size: usize) -> Option<usize> {
        if size > self.allowed.len() {
            return None;
        }
        self.allowed.get(index).copied()
    }

    /// Pins the calling thread as member `index` of a team of `size`. A refusal is no error: the
    /// measurement is then only noisier.
    pub fn pin(&self, index: usize, size: usize) {
        if let Some(core) = self.assign(index, size) {
            let mut set = CpuSet::new();
            if set.set(core).is_ok() {
                let _ = sched_setaffinity(Pid::from_raw(0), &set);
            }
        }
    }
}

/// Runs `work` while the calling thread may run wherever the process may: threads that it starts inherit that.
pub fn unpinned<R>(work: impl FnOnce() -> R) -> R {
    let own = Pid::from_raw(0);
    let pinned = sched_getaffinity(own);
    // The main thread's, which nobody pins.
    let all = sched_getaffinity(Pid::this());
    if let Ok(all) = &all {
        let _ = sched_setaffinity(own, all);
    }
    let answer = work();
    if let Ok(pinned) = &pinned {
        let _ = sched_setaffinity(own, pinned);
    }
    answer
}

/// Runs a team of `size` pinned threads: every member prepares itself, all wait for each other, and
/// then each works on what it prepared. When one cannot prepare, nobody works.
///
/// # Errors
/// The first member's error or panic.
pub fn team<P, R: Send>(
    cores: &Cores,
    size: usize,
    prepare: impl Fn(usize) -> Result<P, String> + Sync,
    work: impl Fn(usize, P) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let start = Gate::new(size);
    let failed = AtomicBool::new(false);
    let member = |index: usize| {
        cores.pin(index, size);
        let prepared = caught(|| prepare(index));
        if prepared.is_err() {
            // Relaxed: the gate orders this store before every member's load.
            failed.store(true, Ordering::Relaxed);
        }
        start.wait();
        let prepared = prepared?;
        if failed.load(Ordering::Relaxed) {
            return Err(OTHER_FAILED.into());
        }
        caught(|| work(index, prepared))
    };

    let mut failure = None;
    let answers: Vec<Result<R, String>> = thread::scope(|scope| {
        let mut handles = Vec::with_capacity(size);
        for index in 0..size {
            let member = &member;
            match thread::Builder::new().spawn_scoped(scope, move || member(index)) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    failure = Some(not_here(&format!("only {index} of {size} threads can be started ({error})")));
                    failed.store(true, Ordering::Relaxed);
                    start.miss(size - index);
                    break;
                }
            }
        }
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|_| Err("a measuring thread died".into())))
            .collect()
    });

    let mut done = Vec::with_capacity(size);
    for answer in answers {
        match answer {
            Ok(answer) => done.push(answer),
            // The cause is more useful than the members that it stopped.
            Err(error) if error == OTHER_FAILED => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// Opens when all have come, of whom some may never come.
struct Gate {
    /// How many are still to come.
    awaited: Mutex<usize>,
    open: Condvar,
}

impl Gate {
    const fn new(members: usize) -> Self {
        Self { awaited: Mutex::new(members), open: Condvar::new() }
    }

    /// So many will not come.
    fn miss(&self, members: usize) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        *awaited -= members;
        if *awaited == 0 {
            self.open.notify_all();
        }
    }

    /// Comes, and waits for the others.
    fn wait(&self) {
        self.miss(1);
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.open.wait_while(awaited, |awaited| *awaited != 0).unwrap_or_else(PoisonError::into_inner));
    }
}

const OTHER_FAILED: &str = "another thread of the team could not start";

/// Turns a panic into the error that the row is shown with.
///
/// # Errors
/// The error of `work`, or its panic message.
pub fn caught<R>(work: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".into());
        Err(format!("panicked: {message}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_larger_than_the_machine_is_not_pinned() {
        let cores = Cores { allowed: vec![3, 5] };
        assert_eq!(cores.assign(0, 2), Some(3));
        assert_eq!(cores.assign(1, 2), Some(5));
        assert_eq!(cores.assign(0, 3), None);
        assert_eq!(cores.count(), 2);
    }

    #[test]
    fn every_member_of_a_team_runs_once() {
        let answers = team(&Cores::detect(), 3, Ok, |index, prepared| {
            assert_eq!(index, prepared);
            Ok(index)
        });
        assert_eq!(answers, Ok(vec![0, 1, 2]));
    }

    #[test]
    fn a_panic_at_work_becomes_an_error() {
        let answer = team(&Cores::detect(), 2, Ok, |index, _| {
            assert!(index != 1, "member {index} breaks");
            Ok(())
        });
        assert_eq!(answer, Err("panicked: member 1 breaks".into()));
    }

    #[test]
    fn a_gate_opens_without_those_who_do_not_come() {
        let gate = Gate::new(3);
        thread::scope(|scope| {
            scope.spawn(|| gate.wait());
            gate.miss(2);
        });
        assert_eq!(*gate.awaited.lock().unwrap(), 0);
    }

    #[test]
    fn a_member_that_cannot_prepare_stops_the_team_and_is_the_one_named() {
        let answer = team(
            &Cores::detect(),
            3,
            |index| {
                if index == 2 { Err("no registration left".to_owned()) } else { Ok(()) }
            },
            |_, ()| Ok(()),
        );
        assert_eq!(answer, Err("no registration left".into()));
    }
}
