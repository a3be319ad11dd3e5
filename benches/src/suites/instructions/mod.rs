//! Figures that noise cannot move: instructions per operation, and cache lines that go from one core to another.
//!
//! Each contender runs in a process of its own under valgrind. `count-*` has callgrind count what one thread executes.
//! `transfers-*` has two threads take turns, an operation each; lackey lists every access to memory, and a model of two
//! caches (as large as need be, one owner or many sharers per line) counts how often a line has to come from the other one
//! or to be taken from it. That is what makes an operation slow on a machine with many cores, whatever the machine.

mod child;
mod transfers;
mod valgrind;
pub(super) mod workloads;

pub use child::child;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::harness::plan::{Better, Case, Contender, Options, Pace, Sample, Suite};
use workloads::{Counted, counted};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "instructions",
    about: "instructions per operation, and cache lines that two threads take from each other per operation, under valgrind",
    cases,
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Instructions,
    Transfers,
}

const ADVICE: &str = "valgrind not found; on Debian or Ubuntu: apt install valgrind";

fn cases(_: &Options) -> Vec<Case> {
    let workloads = [
        ("read", "a read-side section"),
        ("retire", "a block of 64 bytes, allocated, filled and retired; what other threads do later is not counted"),
        ("stack", "a number pushed and one popped"),
        ("queue", "a number enqueued and one dequeued"),
        ("map", "a lookup of a key that is there"),
    ];
    let mut cases = Vec::new();
    for (workload, _) in workloads {
        cases.push(case(What::Instructions, workload));
    }
    for (workload, _) in workloads {
        cases.push(case(What::Transfers, workload));
    }
    cases
}

fn case(what: What, workload: &'static str) -> Case {
    let (prefix, about, unit) = match what {
        What::Instructions => ("count", about_instructions(workload), "instructions/operation"),
        What::Transfers => ("transfers", about_transfers(workload), "lines/operation"),
    };
    let lines: Vec<Counted> = counted().into_iter().filter(|line| line.workload == workload).collect();
    let names: Vec<String> = lines.iter().filter(|line| line.make.is_ok()).map(|line| line.name.clone()).collect();
    // Several at once, by whoever comes first: nothing is timed.
    let answers = Rc::new(RefCell::new(BTreeMap::<String, Result<f64, String>>::new()));
    let contenders = lines
        .into_iter()
        .map(|line| {
            let reason = line.make.as_ref().err().copied().or_else(|| (!valgrind::is_there()).then_some(ADVICE));
            let mut contender = match reason {
                Some(reason) => Contender::unavailable(line.name, line.kind, reason),
                None => {
                    let (answers, names, name) = (Rc::clone(&answers), names.clone(), line.name.clone());
                    Contender::new(line.name, line.kind, move |_| {
                        let mut answers = answers.borrow_mut();
                        if !answers.contains_key(&name) {
                            answers.extend(beginning_with(&name, what, workload, &names));
                        }
                        answers.get(&name).cloned().ok_or("it was not counted")?.map(Sample::figure)
                    })
                }
            };
            contender.flavor = line.flavor;
            contender
        })
        .collect();
    Case {
        name: format!("{prefix}-{workload}"),
        about,
        unit,
        better: Better::Lower,
        threads: if what == What::Instructions { 1 } else { 2 },
        pace: Pace::Times(1, Duration::from_millis(500)),
        contenders,
    }
}

fn about_instructions(workload: &str) -> &'static str {
    match workload {
        "read" => "Instructions that a read-side section takes, with the loop around it.",
        "retire" => {
            "Instructions that the retiring thread executes for a block: allocation, filling, retiring, and freeing where it \
             does that itself."
        }
        "stack" => "Instructions for a number pushed and one popped.",
        "queue" => "Instructions for a number enqueued and one dequeued.",
        _ => "Instructions for a lookup of a key that is there, in a map of 10,000 entries.",
    }
}

fn about_transfers(workload: &str) -> &'static str {
    match workload {
        "read" => "Cache lines that two readers who take turns have to take from each other for a section.",
        "retire" => "Cache lines that two updaters who take turns have to take from each other for a block.",
        "stack" => "Cache lines that two threads who take turns have to take from each other for a push and a pop.",
        "queue" => {
            "Cache lines that two threads who take turns have to take from each other for an enqueue and a dequeue."
        }
        _ => "Cache lines that two readers who take turns have to take from each other for a lookup.",
    }
}

/// Counts for this one and those behind it, as many as there are cores.
fn beginning_with(name: &str, what: What, workload: &str, names: &[String]) -> BTreeMap<String, Result<f64, String>> {
    let at_a_time = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let some: Vec<&String> = names.iter().skip_while(|other| *other != name).take(at_a_time).collect();
    let counted: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = some
            .iter()
            .map(|name| {
                scope.spawn(move || {
                    let of = format!("{workload}/{name}");
                    match what {
                        What::Instructions => valgrind::instructions(&of),
                        What::Transfers => valgrind::transfers(&of),
                    }
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("the count panicked".into()))).collect()
    });
    some.into_iter().cloned().zip(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::watchdog::watched;

    #[test]
    fn every_workload_has_ours_and_peers() {
        for case in cases(&Options { threads: Vec::new(), quick: false }) {
            for kind in [crate::harness::plan::Kind::Ours, crate::harness::plan::Kind::Peer] {
                assert!(case.contenders.iter().any(|contender| contender.kind == kind), "{}: {kind:?}", case.name);
            }
        }
    }

    #[test]
    fn every_contender_does_its_operations_on_one_thread_and_in_turns() {
        for line in counted().iter().filter(|line| line.make.is_ok()) {
            let name = format!("{}/{}", line.workload, line.name);
            watched(&name, || {
                assert_eq!(child(&name, 100), Ok(0.0), "{name}");
                assert_eq!(child(&format!("turns:{name}"), 20), Ok(0.0), "{name}");
            });
        }
        assert!(child("read/nobody", 1).is_err());
    }
}
