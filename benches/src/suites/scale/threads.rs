//! More and more threads, on as many cores as there are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::blocks::Manner;
use crate::clock::{repeat, time};
use crate::contenders::{self, api::Api, ours};
use crate::harness::plan::{Better, Case, Contender, Kind, Options, Pace, Sample, Shot, Suite};
use crate::harness::threads::team;
use crate::limits::{FREE_AT_ONCE, PLAIN_LOAD};
use crate::reclaim::{Crew, throughput};
use crate::suites::grace::synchronize;
use crate::suites::{map, queue, read, reclaim, stack};
use crate::workload::{BUSY_LENGTH, READ_BLOCKS, READ_LENGTH, Replacer, Slot, Subject, check_sum};

const COUNTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

pub(super) fn cases(options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(COUNTS.map(read_case));
    cases.extend(COUNTS.map(grace_case));
    cases.extend(COUNTS.map(retire_case));
    for (curve, suite, case) in [
        ("stack-threads", stack::SUITE, "pairs"),
        ("queue-threads", queue::SUITE, "pairs"),
        ("map-threads", map::SUITE, "mix-100k"),
    ] {
        cases.extend(COUNTS.iter().filter_map(|&count| borrowed(curve, suite, case, count, options)));
    }
    cases
}

/// A case of another suite with so many threads.
fn borrowed(curve: &str, suite: Suite, case: &str, count: usize, options: &Options) -> Option<Case> {
    let options = Options { threads: vec![count], ..options.clone() };
    let mut case = (suite.cases)(&options).into_iter().find(|borrowed| borrowed.name == case)?;
    case.name = format!("{curve}@{count}");
    Some(case)
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

/// All sections until the last reader has seen that the time is over, per second of the wall's clock.
#[allow(clippy::cast_precision_loss, reason = "exact: nobody has 2^52 sections")]
fn sections(subject: &dyn Subject, count: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let done = team(
        shot.cores,
        count,
        |_| {
            let mut worker = subject.worker()?;
            check_sum(worker.flat(1, READ_LENGTH), 1, READ_LENGTH)?;
            Ok(worker)
        },
        |_, mut worker| {
            let start = Instant::now();
            let mut blocks = 0;
            loop {
                check_sum(worker.flat(READ_BLOCKS, READ_LENGTH), READ_BLOCKS, READ_LENGTH)?;
                blocks += READ_BLOCKS;
                let elapsed = start.elapsed();
                if elapsed >= shot.budget {
                    return Ok((blocks * READ_LENGTH, elapsed));
                }
            }
        },
    )?;
    let sections: u64 = done.iter().map(|(sections, _)| sections).sum();
    let longest = done.iter().map(|(_, elapsed)| *elapsed).max().unwrap_or(Duration::MAX);
    Ok(Sample::figure(sections as f64 / longest.as_secs_f64()))
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
    let times = team(
        shot.cores,
        count + 1,
        |index| if index == 0 { Ok(None) } else { api.register().map(Some) },
        |_, reader| {
            let Some(mut reader) = reader else {
                let _ends = Ends(&stop);
                let mut replacer = Replacer::new(&slot);
                return repeat(shot.budget, || {
                    // SAFETY: this thread opens no sections, and `synchronize` waits for a grace period.
                    Ok(unsafe { replacer.replace(|| time(|| synchronize(api))) })
                });
            };
            // Relaxed: joining orders what the threads have done.
            while !stop.load(Ordering::Relaxed) {
                check_sum(reader.flat(&slot, 1, BUSY_LENGTH), 1, BUSY_LENGTH)?;
            }
            Ok(Vec::new())
        },
    )?;
    Sample::singles(times.concat())
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
