//! More and more threads, on as many cores as there are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::blocks::Manner;
use crate::clock::{repeat, time};
use crate::contenders::{self, api::Api, ours};
use crate::harness::plan::{Better, Case, Contender, Kind, Pace, Sample, Shot};
use crate::harness::threads::team;
use crate::limits::{FREE_AT_ONCE, PLAIN_LOAD};
use crate::reclaim::{Crew, throughput};
use crate::suites::grace::synchronize;
use crate::suites::instructions::workloads::{Workload, counted};
use crate::suites::{read, reclaim};
use crate::workload::{BUSY_LENGTH, READ_LENGTH, Replacer, Slot, Subject, check_sum};

const COUNTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(COUNTS.map(read_case));
    cases.extend(COUNTS.map(grace_case));
    cases.extend(COUNTS.map(retire_case));
    for (curve, workload, about) in [
        ("stack-threads", "stack", "Pairs of push and pop per second of all threads together."),
        ("queue-threads", "queue", "Pairs of enqueue and dequeue per second of all threads together."),
        ("map-threads", "map", "Lookups of keys that are there, per second of all threads together; 10,000 entries."),
    ] {
        cases.extend(COUNTS.map(|count| operations_case(curve, workload, about, count)));
    }
    cases
}

/// What one thread has done, and from when to when.
type Done = (u64, Instant, Instant);

/// Operations per second from the moment at which the first thread began to the one at which the last one ended: a thread that has
/// to wait for a core begins late, and must not count as if it had run at the same time as the others.
#[allow(clippy::cast_precision_loss, reason = "exact: nobody does 2^52 operations")]
fn rate(done: &[Done]) -> Result<Sample, String> {
    let operations: u64 = done.iter().map(|(operations, _, _)| operations).sum();
    let first = done.iter().map(|(_, start, _)| *start).min();
    let last = done.iter().map(|(_, _, end)| *end).max();
    let (Some(first), Some(last)) = (first, last) else { return Err("nothing was measured".into()) };
    Ok(Sample::figure(operations as f64 / (last - first).as_secs_f64().max(1e-9)))
}

/// Does so many at a time until the budget is spent.
fn repeated(budget: Duration, chunk: u64, mut run: impl FnMut(u64) -> Result<(), String>) -> Result<Done, String> {
    let start = Instant::now();
    let mut done = 0;
    loop {
        run(chunk)?;
        done += chunk;
        let end = Instant::now();
        if end - start >= budget {
            return Ok((done, start, end));
        }
    }
}

// ---- structures ----

/// Operations between two looks at the clock, and under one guard where there is one.
const CHUNK: u64 = 256;

fn operations_case(curve: &str, workload: &str, about: &'static str, count: usize) -> Case {
    let contenders = counted()
        .into_iter()
        .filter(|line| line.workload == workload)
        .map(|line| {
            let mut contender = match line.make {
                Err(reason) => Contender::unavailable(line.name, line.kind, reason),
                Ok(make) => Contender::new(line.name, line.kind, move |shot| operations(make()?.as_ref(), count, shot)),
            };
            contender.flavor = line.flavor;
            contender
        })
        .collect();
    Case {
        name: format!("{curve}@{count}"),
        about,
        unit: "operations/s",
        better: Better::Higher,
        threads: count,
        pace: Pace::Rounds(1),
        contenders,
    }
}

fn operations(made: &dyn Workload, count: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let done = team(
        shot.cores,
        count,
        |_| Ok(()),
        |index, ()| {
            let mut done = None;
            made.thread(index, &mut |run| {
                run(CHUNK)?;
                done = Some(repeated(shot.budget, CHUNK, &mut *run)?);
                Ok(())
            })?;
            done.ok_or_else(|| "nothing was measured".into())
        },
    )?;
    rate(&done)
}

// ---- readers ----

fn read_case(count: usize) -> Case {
    let contenders = read::lines(ours::Path::Thread, read::Loop::Flat)
        .into_iter()
        .map(|line| {
            let limit = (line.kind != Kind::Limit).then_some(PLAIN_LOAD);
            let subject = line.subject;
            let mut contender =
                Contender::new(line.name, line.kind, move |shot| sections(subject()?.as_ref(), count, shot));
            contender.flavor = line.flavor;
            contender.limit = limit;
            contender
        })
        .collect();
    Case {
        name: format!("read-threads@{count}"),
        about: "Sections per second of all readers together, without updaters.",
        unit: "sections/s",
        better: Better::Higher,
        threads: count,
        pace: Pace::Rounds(1),
        contenders,
    }
}

fn sections(subject: &dyn Subject, count: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let done = team(
        shot.cores,
        count,
        |_| {
            let mut worker = subject.worker()?;
            check_sum(worker.flat(1, READ_LENGTH), 1, READ_LENGTH)?;
            Ok(worker)
        },
        |_, mut worker| repeated(shot.budget, READ_LENGTH, |length| check_sum(worker.flat(1, length), 1, length)),
    )?;
    rate(&done)
}

// ---- an updater beside readers ----

fn grace_case(count: usize) -> Case {
    let contenders =
        contenders::all().map(|entry| entry.contender(move |api, shot| grace_period(api, count, shot))).collect();
    Case {
        name: format!("grace-threads@{count}"),
        about: "One call of synchronize, while so many other threads run sections back to back.",
        unit: "ns/call",
        better: Better::Lower,
        threads: count,
        pace: Pace::Rounds(1),
        contenders,
    }
}

fn grace_period(api: &'static Api, count: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let slot = Slot::new();
    let stop = AtomicBool::new(false);
    let crowded = count >= shot.cores.count();
    let times = team(
        shot.cores,
        count + 1,
        |index| if index == 0 { Ok(None) } else { api.register().map(Some) },
        |_, reader| {
            let Some(mut reader) = reader else {
                let _ends = Ends(&stop);
                let mut replacer = Replacer::new(&slot);
                let mut call = || {
                    // SAFETY: this thread opens no sections, and `synchronize` waits for a grace period.
                    unsafe { replacer.replace(|| time(|| synchronize(api))) }
                };
                return if crowded { Ok(vec![mean(shot.budget, call)]) } else { repeat(shot.budget, || Ok(call())) };
            };
            // Relaxed: joining orders what the threads have done.
            while !stop.load(Ordering::Relaxed) {
                check_sum(reader.flat(&slot, 1, BUSY_LENGTH), 1, BUSY_LENGTH)?;
            }
            Ok(Vec::new())
        },
    )?;
    if crowded { Ok(Sample::figure(times.concat().into_iter().sum())) } else { Sample::singles(times.concat()) }
}

/// The mean of the calls that there is time for. With more threads than cores they are of two kinds, fast ones and those that met a
/// reader who does not run: a median is one or the other, and tells nothing about the time that all of them take.
fn mean(budget: Duration, mut call: impl FnMut() -> f64) -> f64 {
    let start = Instant::now();
    let (mut calls, mut sum) = (0_u32, 0.0);
    while calls == 0 || start.elapsed() < budget {
        calls += 1;
        sum += call();
    }
    (sum / f64::from(calls)).max(0.0)
}

/// Ends the readers, also by a panic.
struct Ends<'f>(&'f AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// ---- updaters ----

fn retire_case(count: usize) -> Case {
    let crew = Crew { manner: Manner::Plain, updaters: count, reader: false };
    let contenders = reclaim::lines()
        .into_iter()
        .map(|line| {
            let limit = (line.kind != Kind::Limit).then_some(FREE_AT_ONCE);
            let mut contender = line.contender(move |make, shot| throughput(make, crew, shot));
            contender.limit = limit;
            contender
        })
        .collect();
    Case {
        name: format!("retire-threads@{count}"),
        about: "Blocks of 64 bytes, allocated, filled, retired and freed per second by so many updaters together.",
        unit: "blocks/s",
        better: Better::Higher,
        threads: count,
        // The C library's worker sleeps 10 ms between two batches: a measurement holds several of them.
        pace: Pace::Rounds(2),
        contenders,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_ran_one_after_the_other_do_not_count_as_if_they_had_run_together() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let one_by_one = rate(&[(1_000, at(0), at(10)), (1_000, at(10), at(20))]).unwrap().value;
        let together = rate(&[(1_000, at(0), at(10)), (1_000, at(0), at(10))]).unwrap().value;
        assert!((one_by_one - 1e5).abs() < 1.0 && (together - 2e5).abs() < 1.0, "{one_by_one} {together}");
    }
}
