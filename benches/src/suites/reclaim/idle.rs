//! What a worker costs when there is nothing to do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::contenders;
use crate::harness::plan::{Better, Case, Options, Pace, Sample};
use crate::idle_process::IdleProcess;

pub(super) fn case(options: &Options) -> Case {
    let length = Duration::from_secs(if options.quick { 1 } else { 5 });
    // All of them at once, by whoever comes first: idle processes do not disturb each other.
    let processes = Rc::new(RefCell::new(None));
    let contenders = contenders::with_callbacks()
        .map(|entry| {
            let processes = Rc::clone(&processes);
            entry.contender(move |deferral, _| {
                let mut processes = processes.borrow_mut();
                let started = processes.get_or_insert_with(|| start_all(length));
                let process = started.remove(deferral.name).ok_or("it was not started")??;
                process.finish().map(Sample::figure)
            })
        })
        .collect();
    Case {
        name: "idle-cpu".into(),
        about: if options.quick {
            "Processor time of a process whose worker has nothing to do, over 1 s."
        } else {
            "Processor time of a process whose worker has nothing to do, over 5 s."
        },
        unit: "us",
        better: Better::Lower,
        threads: 0,
        pace: Pace::Once(length),
        contenders,
    }
}

fn start_all(length: Duration) -> BTreeMap<&'static str, Result<IdleProcess, String>> {
    contenders::with_callbacks()
        .filter(|entry| entry.deferral.is_ok())
        .map(|entry| (entry.name, IdleProcess::start(entry.name, length)))
        .collect()
}
