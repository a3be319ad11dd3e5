//! Blocks freed per second, with the updaters at full speed.

use super::lines;
use crate::blocks::Manner;
use crate::harness::plan::{Better, Case, Kind, Pace};
use crate::limits::FREE_AT_ONCE;
use crate::reclaim::{Crew, throughput};

/// A case of this kind.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The name of the case.
    pub name: &'static str,
    about: &'static str,
    /// Who is at work.
    pub crew: Crew,
}

/// All of them.
pub const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "retire-1",
        about: "Blocks of 64 bytes, allocated, filled, retired and freed: one updater alone.",
        crew: Crew { manner: Manner::Plain, updaters: 1, reader: false },
    },
    Workload {
        name: "retire-1-reader",
        about: "The same, beside one busy reader.",
        crew: Crew { manner: Manner::Plain, updaters: 1, reader: true },
    },
    Workload {
        name: "retire-2",
        about: "The same, two updaters together, no reader.",
        crew: Crew { manner: Manner::Plain, updaters: 2, reader: false },
    },
    Workload {
        name: "retire-2-reading",
        about: "The same, two updaters that are readers, with a section or a guard for each block.",
        crew: Crew { manner: Manner::Reading, updaters: 2, reader: false },
    },
    Workload {
        name: "retire-drop-1",
        about: "Blocks whose contents have a destructor: one updater alone.",
        crew: Crew { manner: Manner::Dropping, updaters: 1, reader: false },
    },
];

/// The C library's worker sleeps 10 ms between two batches: a measurement holds several of them.
const STRETCH: u32 = 2;

pub(super) fn cases() -> Vec<Case> {
    WORKLOADS.map(case).into()
}

fn case(Workload { name, about, crew }: Workload) -> Case {
    let contenders = lines()
        .into_iter()
        .map(|line| {
            let is_ours = line.kind == Kind::Ours;
            let limit = (line.kind != Kind::Limit).then_some(FREE_AT_ONCE);
            let mut contender = line.contender(move |make, shot| {
                let sample = throughput(make, crew, shot)?;
                // Others may have no means to free the rest; we do.
                match sample.note {
                    Some(note) if is_ours => Err(note),
                    _ => Ok(sample),
                }
            });
            contender.limit = limit;
            contender
        })
        .collect();
    Case {
        name: name.into(),
        about,
        unit: "blocks/s",
        better: Better::Higher,
        threads: crew.size(),
        pace: Pace::Rounds(STRETCH),
        contenders,
    }
}
