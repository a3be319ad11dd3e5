//! What a worker costs when there is nothing to do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::contenders;
use crate::harness::plan::{Better, Case, Contender, Kind, Options, Pace, Sample};
use crate::idle_process::{IdleProcess, NO_WORKER};

pub(super) fn case(options: &Options) -> Case {
    let length = Duration::from_secs(if options.quick { 1 } else { 5 });
    // All of them at once, by whoever comes first: idle processes do not disturb each other.
    let processes = Rc::new(RefCell::new(None::<Processes>));
    let finish = move |name| {
        let mut processes = processes.borrow_mut();
        let started = processes.get_or_insert_with(|| start_all(length));
        let process: IdleProcess = started.remove(name).ok_or("it was not started")??;
        process.finish().map(Sample::figure)
    };
    let mut contenders: Vec<Contender> = contenders::with_callbacks()
        .map(|entry| {
            let finish = finish.clone();
            entry.contender(move |deferral, _| finish(deferral.name)).against(NO_WORKER)
        })
        .collect();
    contenders.push(Contender::new(NO_WORKER, Kind::Limit, move |_| finish(NO_WORKER)));
    Case {
        name: "idle-cpu".into(),
        about: if options.quick {
            "Processor time of a process whose worker has nothing to do, over 1 s."
        } else {
            "Processor time of a process whose worker has nothing to do, over 5 s."
        },
        unit: "us",
        better: Better::Bounded,
        threads: 0,
        pace: Pace::Times(1, length),
        contenders,
    }
}

type Processes = BTreeMap<&'static str, Result<IdleProcess, String>>;

fn start_all(length: Duration) -> Processes {
    contenders::with_callbacks()
        .filter(|entry| entry.deferral.is_ok())
        .map(|entry| entry.name)
        .chain([NO_WORKER])
        .map(|name| (name, IdleProcess::start(name, length)))
        .collect()
}
