//! How soon deferred calls run when nothing else happens.

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::checked;
use crate::clock::{repeat, time};
use crate::contenders::api::Api;
use crate::contenders::deferral::{Deferral, Enlisted, Head};
use crate::contenders::{self, Entry};
use crate::harness::beside::alone;
use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Pace, Sample, Shot};
use crate::harness::stats::median;

pub(super) fn cases() -> [Case; 2] {
    [callback_case(), barrier_case()]
}

/// Long enough for a worker to find nothing more to do and fall asleep.
const REST: Duration = Duration::from_micros(500);

fn rows(measure: fn(&mut Enlisted, &'static Deferral) -> Result<f64, String>) -> Vec<Contender> {
    contenders::with_callbacks()
        .map(|entry| {
            entry.contender(move |deferral, shot| {
                checked(deferral)?;
                medians(alone(shot, || {
                    let mut thread = deferral.enlist(true)?;
                    repeat(shot.budget, || {
                        rest(&mut thread);
                        measure(&mut thread, deferral)
                    })
                }))
            })
        })
        .collect()
}

fn rest(thread: &mut Enlisted) {
    let offline = thread.offline();
    thread::sleep(REST);
    drop(offline);
}

/// What users wait for: here the median of a round counts, and the p99 over all of them.
fn medians(times: Result<Vec<Vec<f64>>, String>) -> Result<Sample, String> {
    let times = times?.concat();
    let value = median(&times).ok_or("nothing was measured")?;
    Ok(Sample { single: times, ..Sample::figure(value) })
}

// ---- callbacks ----

/// An object that goes through a callback queue and says when it came out.
#[repr(C)]
#[derive(Debug, Default)]
struct Probe {
    head: Head,
    /// Nanoseconds since [`origin`], zero while it is in the queue.
    called: AtomicU64,
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

unsafe extern "C" fn called(head: *mut c_void) {
    // SAFETY: the head is the first field of a probe, which lives until this store is seen.
    let probe = unsafe { &*head.cast::<Probe>() };
    let now = u64::try_from(origin().elapsed().as_nanos()).unwrap_or(u64::MAX);
    // Release: the library's last access to the head comes first. Not zero.
    probe.called.store(now.max(1), Ordering::Release);
}

fn callback(thread: &mut Enlisted, _: &'static Deferral) -> Result<f64, String> {
    let before = origin().elapsed();
    let mut probe = Box::new(Probe::default());
    // SAFETY: the probe is fresh, and stays until it has been called back.
    unsafe { thread.call(&raw mut probe.head, called) }?;
    let offline = thread.offline();
    let mut now = 0;
    while now == 0 {
        thread::yield_now();
        now = probe.called.load(Ordering::Acquire);
    }
    drop(offline);
    Ok((Duration::from_nanos(now).saturating_sub(before)).as_secs_f64() * 1e9)
}

fn callback_case() -> Case {
    let mut contenders = rows(callback);
    for contender in &mut contenders {
        contender.limit = contender.flavor.map(grace_period_name);
    }
    contenders.extend(contenders::ours::entries().map(grace_period));
    Case {
        name: "latency-idle".into(),
        about: "From deferring one callback until it runs, every worker asleep.",
        unit: "ns/call",
        better: Better::Lower,
        threads: 1,
        pace: Pace::Rounds(1),
        contenders,
    }
}

const fn grace_period_name(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::Qsbr => "limit:grace-period-qsbr",
        Flavor::Mb => "limit:grace-period-mb",
        Flavor::Membarrier => "limit:grace-period-membarrier",
        Flavor::Signal => "limit:grace-period-signal",
        Flavor::Bp => "limit:grace-period-bp",
    }
}

/// What a worker must at least wait for: a grace period of ours, with one registered thread that is not reading.
fn grace_period(entry: Entry) -> Contender {
    let measure = |api: &'static Api, shot: &Shot<'_>| {
        let ready = AtomicBool::new(false);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut reader = api.register()?;
                let _offline = reader.offline();
                ready.store(true, Ordering::Release);
                while !over.load(Ordering::Acquire) {
                    thread::park_timeout(Duration::from_millis(10));
                }
                Ok::<(), String>(())
            });
            while !ready.load(Ordering::Acquire) && !other.is_finished() {
                thread::yield_now();
            }
            let times = alone(shot, || {
                repeat(shot.budget, || {
                    thread::sleep(REST);
                    // SAFETY: this thread opens no sections.
                    Ok(time(|| unsafe { api.synchronize() }))
                })
            });
            over.store(true, Ordering::Release);
            other.thread().unpark();
            other.join().unwrap_or_else(|_| Err("the registered thread panicked".into()))?;
            medians(times)
        })
    };
    let mut contender = entry.contender(measure);
    contender.name = grace_period_name(entry.flavor).into();
    contender.kind = Kind::Limit;
    contender
}

// ---- barrier ----

fn barrier(thread: &mut Enlisted, deferral: &'static Deferral) -> Result<f64, String> {
    let offline = thread.offline();
    let mut answer = Ok(());
    let taken = time(|| answer = (deferral.barrier)());
    drop(offline);
    answer.map(|()| taken)
}

fn barrier_case() -> Case {
    Case {
        name: "barrier-idle".into(),
        about: "Waiting for all deferred calls when there are none, every worker asleep.",
        unit: "ns/call",
        better: Better::Lower,
        threads: 1,
        pace: Pace::Rounds(1),
        contenders: rows(barrier),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::threads::Cores;
    use crate::harness::watchdog::watched;

    #[test]
    fn callbacks_run_and_barriers_return_in_every_implementation_that_is_there() {
        let cores = Cores::detect();
        let shot = Shot { budget: Duration::ZERO, cores: &cores };
        for mut contender in rows(callback).into_iter().chain(rows(barrier)) {
            let Ok(measure) = &mut contender.measure else { continue };
            watched(&contender.name, || {
                let sample = measure(&shot);
                assert!(sample.as_ref().is_ok_and(|sample| sample.value > 0.0), "{}: {sample:?}", contender.name);
            });
        }
    }
}
