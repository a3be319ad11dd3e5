//! Measuring threads with a busy thread beside them.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::plan::Shot;
use super::threads::team;

/// Shows that the busy thread is running: it counts its turns.
///
/// What an operation does to a running thread costs more than what it does to one that the kernel
/// has put aside for another process, so latencies are taken only while it runs.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// The longest wait for a thread that does not get a core: some time slices.
    const PATIENCE: Duration = Duration::from_millis(10);

    /// Returns when the busy thread has just ended a turn.
    pub fn wait(&self) {
        // Relaxed: it guards nothing.
        let before = self.0.load(Ordering::Relaxed);
        let mut start = None;
        loop {
            for _ in 0..1_000 {
                if self.0.load(Ordering::Relaxed) != before {
                    return;
                }
                spin_loop();
            }
            if start.get_or_insert_with(Instant::now).elapsed() > Self::PATIENCE {
                return;
            }
        }
    }

    fn beat(&self, turns: u64) {
        self.0.store(turns, Ordering::Relaxed);
    }
}

/// Runs `measure` on one pinned thread.
///
/// # Errors
/// Its error or panic.
pub fn alone<R: Send>(shot: &Shot<'_>, measure: impl Fn() -> Result<R, String> + Sync) -> Result<Vec<R>, String> {
    team(shot.cores, 1, |_| Ok(()), |_, ()| measure())
}

/// Runs `measure` on as many threads as asked, and beside them a thread that takes turns of what
/// `busy` makes, until all of them are done.
///
/// # Errors
/// The first error or panic of any of them.
pub fn beside<T, R: Send>(
    shot: &Shot<'_>,
    measuring: usize,
    busy: impl Fn() -> Result<T, String> + Sync,
    measure: impl Fn(&Pulse) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String>
where
    T: FnMut() -> Result<(), String>,
{
    let left = AtomicUsize::new(measuring);
    let pulse = Pulse::default();
    let answers = team(
        shot.cores,
        measuring + 1,
        |index| {
            if index == measuring { busy().map(Some) } else { Ok(None) }
        },
        |_, turn| {
            let Some(mut turn) = turn else {
                let _done = Countdown(&left);
                return measure(&pulse).map(Some);
            };
            let mut turns = 0;
            // Relaxed: nothing is read after it but the threads' answers, which joining orders.
            while left.load(Ordering::Relaxed) != 0 {
                turn()?;
                turns += 1;
                pulse.beat(turns);
            }
            Ok(None)
        },
    )?;
    Ok(answers.into_iter().flatten().collect())
}

/// Counts down even when the measurement panics, so that the busy thread always ends.
struct Countdown<'c>(&'c AtomicUsize);

impl Drop for Countdown<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::threads::Cores;
    use super::super::watchdog::watched;
    use super::*;

    fn shot(cores: &Cores) -> Shot<'_> {
        Shot { budget: Duration::from_millis(1), cores }
    }

    #[test]
    fn the_busy_thread_runs_beside_the_measuring_ones_and_ends_with_them() {
        watched("two measuring threads", || {
            let turns = AtomicUsize::new(0);
            let cores = Cores::detect();
            let busy = || {
                Ok(|| {
                    turns.fetch_add(1, Ordering::Relaxed);
                    std::thread::yield_now();
                    Ok(())
                })
            };
            let answers = beside(&shot(&cores), 2, busy, |pulse| {
                while turns.load(Ordering::Relaxed) < 3 {
                    pulse.wait();
                }
                Ok(true)
            });
            assert_eq!(answers, Ok(vec![true, true]));
        });
    }

    #[test]
    fn a_failing_measurement_ends_the_busy_thread_too() {
        watched("a failing measurement", || {
            let cores = Cores::detect();
            let busy = || Ok(|| Ok(()));
            let answer: Result<Vec<()>, String> = beside(&shot(&cores), 1, busy, |_| Err("broken".into()));
            assert_eq!(answer, Err("broken".into()));
        });
    }

    #[test]
    fn waiting_for_a_busy_thread_that_has_ended_returns() {
        watched("a pulse that does not beat", || Pulse::default().wait());
    }
}
