//! What waiting for a grace period costs the updater.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::{repeat, time};
use crate::contenders::api::{Api, Reader};
use crate::contenders::{self, Entry};
use crate::harness::beside::{alone, beside};
use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot, Suite};
use crate::harness::threads::Cores;
use crate::idle_threads::IdleThreads;
use crate::limits::{self, FENCE, LINE_ROUND_TRIP, LINE_WALK, Line, MEMBARRIER, PingPong, SIGNAL_ROUND_TRIP};
use crate::workload::{BUSY_LENGTH, LIVE, Replacer, Slot, check_sum};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "grace",
    about: "grace periods: latency and throughput of synchronize, cost of registered threads, \
            registration while one is held open",
    cases,
};

/// How many idle threads are registered in the cases `registered@N`.
const REGISTERED: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// How many updaters there are in the cases `updaters-N`.
const UPDATERS: [usize; 2] = [2, 8];

fn cases(_: &Options) -> Vec<Case> {
    let mut cases = vec![synchronize_case(), idle_case()];
    cases.extend(UPDATERS.map(updaters_case));
    cases.extend(REGISTERED.map(registered_case));
    cases.push(register_case());
    cases
}

/// The smallest thing that a flavor must do while a reader is busy.
fn limit_of_one(flavor: Flavor) -> Option<&'static str> {
    Some(match flavor {
        // The updater's new number must reach the reader, and the reader's answer the updater.
        Flavor::Qsbr | Flavor::Mb => LINE_ROUND_TRIP,
        Flavor::Membarrier | Flavor::Bp => MEMBARRIER,
        Flavor::Signal => SIGNAL_ROUND_TRIP,
    })
}

/// The same for several updaters, where they all go through the kernel. Each of them doing it alone
/// is no bound: they can share.
fn limit_of_many(flavor: Flavor) -> Option<&'static str> {
    matches!(flavor, Flavor::Membarrier | Flavor::Bp).then_some(MEMBARRIER)
}

/// One row per implementation of RCU.
fn rows(
    limit: impl Fn(Flavor) -> Option<&'static str>,
    measure: impl Fn(&'static Api, &Shot<'_>) -> Result<Sample, String> + Clone + 'static,
) -> Vec<Contender> {
    contenders::all()
        .map(|entry| {
            let measure = measure.clone();
            let mut contender = entry.contender(move |api, shot| {
                checked(api)?;
                measure(api, shot)
            });
            contender.limit = limit(entry.flavor);
            contender
        })
        .collect()
}

fn limit_row(name: &'static str, measure: impl FnMut(&Shot<'_>) -> Result<Sample, String> + 'static) -> Contender {
    Contender::new(name, Kind::Limit, measure)
}

// ---- does it wait at all ----

/// How long the section of the check stays open once the updater waits.
const OPEN: Duration = Duration::from_millis(2);
const TOO_EARLY: &str = "wrong answer: the grace period ended before its reader did";

/// Whether a grace period waits for a section that stays open. The measured sections are too short
/// to show it: they only would if they were interrupted.
fn check_waits(api: &'static Api) -> Result<(), String> {
    let slot = Slot::new();
    let inside = AtomicBool::new(false);
    let calling = AtomicBool::new(false);
    // Outside the scope: keeps the node that the reader looks at, even when it is dead.
    let mut replacer = Replacer::new(&slot);
    let live = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reader = api.register()?;
            let _section = reader.lock();
            let node = slot.pointer().load(Ordering::Acquire);
            inside.store(true, Ordering::Release);
            wait_for(&calling);
            let start = Instant::now();
            let mut live = true;
            while start.elapsed() < OPEN {
                // SAFETY: slot and replacer keep their nodes until this thread has ended.
                live &= unsafe { &*node }.read() == LIVE;
                thread::yield_now();
            }
            Ok::<bool, String>(live)
        });
        while !inside.load(Ordering::Acquire) && !reader.is_finished() {
            thread::yield_now();
        }
        calling.store(true, Ordering::Release);
        // SAFETY: this thread opens no sections. That `synchronize` waits is what is being checked;
        // the replacer frees nothing meanwhile.
        unsafe { replacer.replace(|| synchronize(api)) };
        joined(reader)
    })?;
    live.then_some(()).ok_or_else(|| TOO_EARLY.into())
}

/// The same, once per implementation and run.
fn checked(api: &'static Api) -> Result<(), String> {
    api.checked.get_or_init(|| check_waits(api)).clone()
}

// ---- synchronize ----

fn synchronize_case() -> Case {
    let mut contenders = rows(limit_of_one, |api, shot| {
        let slot = Slot::new();
        let busy = || busy_reader(api, &slot);
        beside(shot, 1, busy, |pulse| latency(api, &slot, shot.budget, || pulse.wait()))
            .map(|times| times.concat())
            .and_then(Sample::singles)
    });
    contenders.extend([
        limit_row(MEMBARRIER, |shot| {
            limits::membarrier_register()?;
            single(beside(shot, 1, busy_nothing, |pulse| {
                repeat(shot.budget, || {
                    pulse.wait();
                    timed(limits::membarrier)
                })
            }))
        }),
        limit_row(SIGNAL_ROUND_TRIP, signal_latency),
        limit_row(LINE_ROUND_TRIP, |shot| {
            let line = PingPong::default();
            let busy = || {
                Ok(|| {
                    line.turn();
                    Ok(())
                })
            };
            single(beside(shot, 1, busy, |_| repeat(shot.budget, || Ok(time(|| line.round_trip())))))
        }),
        limit_row(FENCE, |shot| single(beside(shot, 1, busy_nothing, |_| fences(shot.budget)))),
    ]);
    Case {
        name: "synchronize".into(),
        about: "One call, while one other thread runs sections back to back.",
        unit: "ns/call",
        better: Better::Lower,
        threads: 2,
        pace: Pace::Rounds(1),
        contenders,
    }
}

/// The workload of the case `synchronize` for criterion: the time that `calls` calls take.
///
/// # Errors
/// When the implementation is not there, or gives a wrong answer.
pub fn synchronize_calls(api: &'static Api, cores: &Cores, calls: u64) -> Result<Duration, String> {
    let shot = Shot { budget: Duration::ZERO, cores };
    let slot = Slot::new();
    let busy = || busy_reader(api, &slot);
    let times = beside(&shot, 1, busy, |pulse| {
        let mut replacer = Replacer::new(&slot);
        let mut taken = 0.0;
        for _ in 0..calls {
            pulse.wait();
            // SAFETY: this thread opens no sections, and `synchronize` waits for a grace period.
            taken += unsafe { replacer.replace(|| time(|| synchronize(api))) };
        }
        Ok(taken)
    })?;
    Ok(Duration::from_secs_f64(times.iter().sum::<f64>() / 1e9))
}

/// Calls one by one, each when `ready` returns and a node has been unlinked, and followed by that node's poisoning.
fn latency(api: &'static Api, slot: &Slot, budget: Duration, ready: impl Fn()) -> Result<Vec<f64>, String> {
    let mut replacer = Replacer::new(slot);
    repeat(budget, || {
        ready();
        // SAFETY: this thread opens no sections, and `synchronize` waits for a grace period.
        Ok(unsafe { replacer.replace(|| time(|| synchronize(api))) })
    })
}

/// Waits for a grace period from a thread that is no reader.
pub(super) fn synchronize(api: &Api) {
    // SAFETY: the updaters of these suites open no sections.
    unsafe { api.synchronize() }
}

/// A turn of the busy reader: a block of sections, then a quiescent state.
fn busy_reader<'s>(api: &'static Api, slot: &'s Slot) -> Result<impl FnMut() -> Result<(), String> + use<'s>, String> {
    let mut reader = api.register()?;
    Ok(move || check_sum(reader.flat(slot, 1, BUSY_LENGTH), 1, BUSY_LENGTH))
}

/// A running thread that is no reader.
#[allow(clippy::unnecessary_wraps, reason = "one signature for all busy threads")]
fn busy_nothing() -> Result<impl FnMut() -> Result<(), String>, String> {
    Ok(|| {
        (0..BUSY_LENGTH).for_each(|_| spin_loop());
        Ok(())
    })
}

fn signal_latency(shot: &Shot<'_>) -> Result<Sample, String> {
    limits::signal_prepare()?;
    let target = AtomicI32::new(0);
    let busy = || {
        // Relaxed: the team's barrier orders it.
        target.store(limits::thread_id(), Ordering::Relaxed);
        busy_nothing()
    };
    single(beside(shot, 1, busy, |pulse| {
        let target = target.load(Ordering::Relaxed);
        repeat(shot.budget, || {
            pulse.wait();
            timed(|| limits::signal_round_trip(target))
        })
    }))
}

fn fences(budget: Duration) -> Result<Vec<f64>, String> {
    repeat(budget, || Ok(time(limits::full_fence)))
}

fn timed(call: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let mut answer = Ok(());
    let elapsed = time(|| answer = call());
    answer.map(|()| elapsed)
}

fn single(times: Result<Vec<Vec<f64>>, String>) -> Result<Sample, String> {
    Sample::singles(times?.concat())
}

// ---- idle ----

fn idle_case() -> Case {
    let mut contenders = rows(
        |_| Some(FENCE),
        |api, shot| {
            single(alone(shot, || {
                let mut reader = api.register()?;
                repeat(shot.budget, || Ok(time(|| reader.synchronize())))
            }))
        },
    );
    contenders.push(limit_row(FENCE, |shot| single(alone(shot, || fences(shot.budget)))));
    Case {
        name: "idle".into(),
        about: "One call by the only registered thread.",
        unit: "ns/call",
        better: Better::Lower,
        threads: 1,
        pace: Pace::Rounds(1),
        contenders,
    }
}

// ---- updaters-N ----

fn updaters_case(updaters: usize) -> Case {
    let mut contenders = rows(limit_of_many, move |api, shot| {
        let slot = Slot::new();
        let busy = || busy_reader(api, &slot);
        throughput(beside(shot, updaters, busy, |_| {
            let mut replacer = Replacer::new(&slot);
            rate(shot.budget, || {
                // SAFETY: this thread opens no sections, and `synchronize` waits for a grace period.
                unsafe { replacer.replace(|| synchronize(api)) };
                Ok(())
            })
        }))
    });
    contenders.push(limit_row(MEMBARRIER, move |shot| {
        limits::membarrier_register()?;
        throughput(beside(shot, updaters, busy_nothing, |_| rate(shot.budget, limits::membarrier)))
    }));
    Case {
        name: format!("updaters-{updaters}"),
        about: if updaters == 2 {
            "Completed calls of two updaters together, beside one busy reader."
        } else {
            "Completed calls of eight updaters together, beside one busy reader."
        },
        unit: "calls/s",
        better: Better::Higher,
        threads: updaters + 1,
        pace: Pace::Rounds(1),
        contenders,
    }
}

fn throughput(rates: Result<Vec<f64>, String>) -> Result<Sample, String> {
    Ok(Sample::figure(rates?.iter().sum()))
}

/// Completed calls per second. Slow implementations sleep for milliseconds, so the budget is
/// stretched until a round holds some of their calls.
fn rate(budget: Duration, mut call: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    call()?;
    let start = Instant::now();
    let mut calls = 0_u32;
    loop {
        call()?;
        calls += 1;
        let elapsed = start.elapsed();
        if elapsed >= 3 * budget {
            return Ok(f64::from(calls) / elapsed.as_secs_f64());
        }
    }
}

// ---- registered@N ----

fn registered_case(count: usize) -> Case {
    // Made in the warm-up round, by whoever comes first; ends with the case.
    let idle = Arc::new(Mutex::new(None::<Result<IdleThreads, String>>));
    let about = match count {
        1 => "One call, while one other thread is registered and asleep.",
        10 => "One call, while 10 other threads are registered and asleep.",
        100 => "One call, while 100 other threads are registered and asleep.",
        1_000 => "One call, while 1,000 other threads are registered and asleep.",
        _ => "One call, while 10,000 other threads are registered and asleep.",
    };
    let mut contenders: Vec<Contender> = contenders::all()
        .map(|entry: Entry| {
            let idle = Arc::clone(&idle);
            entry
                .contender(move |api, shot| {
                    checked(api)?;
                    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                    idle.get_or_insert_with(|| IdleThreads::start(count)).as_ref().map_err(Clone::clone)?.check(api)?;
                    let slot = Slot::new();
                    single(alone(shot, || latency(api, &slot, shot.budget, || ())))
                })
                .against(LINE_WALK)
        })
        .collect();
    contenders.push(limit_row(LINE_WALK, move |shot| {
        let lines: Vec<Line> = (0..count).map(|_| Line::default()).collect();
        single(alone(shot, || repeat(shot.budget, || Ok(time(|| limits::walk(&lines))))))
    }));
    Case {
        name: format!("registered@{count}"),
        about,
        unit: "ns/call",
        better: Better::Lower,
        threads: 1,
        pace: Pace::Rounds(1),
        contenders,
    }
}

// ---- register-during-gp ----

/// Registrations per round.
const REGISTRATIONS: usize = 40;
/// A registration that takes longer has waited for the grace period, which is held open until then.
const PATIENCE: Duration = Duration::from_secs(2);

fn register_case() -> Case {
    let contenders = contenders::all().map(|entry| entry.contender(register_during_grace_period)).collect();
    Case {
        name: "register-during-gp".into(),
        about: "One registration of a new thread, while a reader holds a grace period open.",
        unit: "ns/call",
        better: Better::Lower,
        threads: 3,
        pace: Pace::Rounds(1),
        contenders,
    }
}

fn register_during_grace_period(api: &'static Api, _: &Shot<'_>) -> Result<Sample, String> {
    let inside = AtomicBool::new(false);
    let release = AtomicBool::new(false);
    let calling = AtomicBool::new(false);
    let times = Mutex::new(Vec::new());

    thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let mut reader = api.register()?;
            let section = reader.lock();
            inside.store(true, Ordering::Release);
            wait_for(&release);
            drop(section);
            Ok::<(), String>(())
        });
        while !inside.load(Ordering::Acquire) {
            if holder.is_finished() {
                return joined(holder);
            }
            thread::yield_now();
        }
        let updater = scope.spawn(|| {
            calling.store(true, Ordering::Release);
            synchronize(api);
        });
        wait_for(&calling);
        // Past its barriers and into its wait, spinning or asleep.
        thread::sleep(Duration::from_millis(2));

        // A thread each: what the flavors keep per thread starts from nothing.
        let registrations = scope.spawn(|| {
            for _ in 0..REGISTRATIONS {
                let taken = thread::scope(|scope| {
                    joined(scope.spawn(|| {
                        let mut reader = Err(String::new());
                        let taken = time(|| reader = api.register());
                        reader.map(|_: Reader| taken)
                    }))
                })?;
                times.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
            }
            Ok::<(), String>(())
        });
        let start = Instant::now();
        while !registrations.is_finished() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_micros(200));
        }
        let in_time = registrations.is_finished();
        let still_open = !updater.is_finished();
        release.store(true, Ordering::Release);
        joined(registrations)?;
        joined(holder)?;
        updater.join().map_err(|_| "the updater panicked")?;
        if !still_open {
            return Err(TOO_EARLY.into());
        }
        if !in_time {
            return Err("registration waits for the end of the grace period".into());
        }
        Ok(())
    })?;
    Sample::singles(times.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn joined<R>(handle: thread::ScopedJoinHandle<'_, Result<R, String>>) -> Result<R, String> {
    handle.join().unwrap_or_else(|_| Err("a measuring thread panicked".into()))
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::harness::watchdog::watched;

    fn shot(cores: &Cores) -> Shot<'_> {
        Shot { budget: Duration::from_millis(1), cores }
    }

    #[test]
    fn every_implementation_that_is_there_passes_the_checks_of_one_short_round() {
        let cores = Cores::detect();
        for entry in contenders::all() {
            let Ok(api) = entry.api else { continue };
            watched(entry.name, || {
                let slot = Slot::new();
                let busy = || busy_reader(api, &slot);
                let answer = beside(&shot(&cores), 1, busy, |pulse| {
                    latency(api, &slot, Duration::from_millis(1), || pulse.wait())
                });
                assert!(answer.is_ok_and(|times| times[0].len() >= 3), "{} fails", entry.name);
            });
        }
    }

    #[test]
    fn a_grace_period_that_does_not_wait_is_caught() {
        unsafe fn returns_at_once() {}
        let entries = contenders::ours::entries();
        let Some(real) = entries.iter().find_map(|entry| entry.api.ok()) else { panic!("ours are there") };
        // SAFETY of the lie: the checking reader only touches a node that is kept until it has ended.
        let broken: &'static Api = Box::leak(Box::new(Api {
            name: "broken",
            synchronize: returns_at_once,
            initialised: OnceLock::new(),
            checked: OnceLock::new(),
            ..*real
        }));
        watched("the check of a broken implementation", || {
            // Unless the updater got no processor before the reader had left.
            let caught = (0..100).any(|_| check_waits(broken) == Err(TOO_EARLY.into()));
            assert!(caught, "it ended at once a hundred times, and nobody noticed");
            (0..3).for_each(|_| assert_eq!(check_waits(real), Ok(())));
        });
    }
}
