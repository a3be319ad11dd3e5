//! Stacks: raw ones against the C library's, typed ones against what else a program would take.

use cds_lfstack::raw::{LfsLockedStack, LfsStack, WfsLockedStack, WfsStack};

use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Suite};
use crate::stacks::{Subject, Work, faces, measure, raw, sections};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "stack",
    about: "stacks: push and pop in pairs, bursts, put then drain, and everything at once",
    cases,
};

pub(super) type Make = Box<dyn Fn() -> Result<Box<dyn Subject>, String>>;

pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) flavor: Option<Flavor>,
    pub(super) make: Make,
}

fn line(name: &'static str, kind: Kind, make: impl Fn() -> Result<Box<dyn Subject>, String> + 'static) -> Line {
    Line { name, kind, flavor: None, make: Box::new(make) }
}

impl Line {
    fn of(mut self, flavor: Flavor) -> Self {
        self.flavor = Some(flavor);
        self
    }
}

fn raw_lines(lfs: bool, locked: bool) -> Vec<Line> {
    let (ours, theirs): (fn() -> Box<dyn Subject>, _) = match (lfs, locked) {
        (true, false) => (raw::ours::<raw::LfsSingle>, raw::C_LFS_SINGLE),
        (true, true) => (raw::ours::<LfsLockedStack>, raw::C_LFS_LOCKED),
        (false, false) => (raw::ours::<raw::WfsSingle>, raw::C_WFS_SINGLE),
        (false, true) => (raw::ours::<WfsLockedStack>, raw::C_WFS_LOCKED),
    };
    vec![
        line("cds-lfstack", Kind::Ours, move || Ok(ours())),
        line("liburcu-cds", Kind::Peer, move || Ok(raw::c(theirs?))),
    ]
}

pub(super) fn face_lines(single: bool) -> Vec<Line> {
    let mut lines = vec![
        line("LfStack-qsbr", Kind::Ours, || Ok(faces::lf::<urcu_qsbr::Flavor>(urcu_qsbr::vtable()))).of(Flavor::Qsbr),
        line("LfStack-mb", Kind::Ours, || Ok(faces::lf::<urcu_mb::Flavor>(urcu_mb::vtable()))).of(Flavor::Mb),
        line("LfStack-membarrier", Kind::Ours, || Ok(faces::lf::<urcu_membarrier::Flavor>(urcu_membarrier::vtable())))
            .of(Flavor::Membarrier),
        line("LfStack-bp", Kind::Ours, || Ok(faces::lf::<urcu_bp::Flavor>(urcu_bp::vtable()))).of(Flavor::Bp),
        line("WfStack-qsbr", Kind::Ours, || Ok(faces::wf::<urcu_qsbr::Flavor>(urcu_qsbr::vtable()))).of(Flavor::Qsbr),
        line("WfStack-membarrier", Kind::Ours, || Ok(faces::wf::<urcu_membarrier::Flavor>(urcu_membarrier::vtable())))
            .of(Flavor::Membarrier),
        line("SerialLfStack", Kind::Ours, || Ok(faces::serial::<LfsStack>())),
        line("SerialWfStack", Kind::Ours, || Ok(faces::serial::<WfsStack>())),
        line("LockedStack", Kind::Ours, || Ok(faces::locked())),
    ];
    if single {
        lines.push(line("SerialLfStack-consumer", Kind::Ours, || Ok(faces::consumer::<LfsStack>())));
        lines.push(line("SerialWfStack-consumer", Kind::Ours, || Ok(faces::consumer::<WfsStack>())));
    }
    lines.extend([
        line("parking_lot-vec", Kind::Peer, || Ok(faces::parking_lot())),
        line("std-mutex-vec", Kind::Peer, || Ok(faces::std_mutex())),
        line("crossbeam-treiber", Kind::Peer, || Ok(faces::treiber())),
        line("crossbeam-seg-queue", Kind::Peer, || Ok(faces::seg_queue())),
    ]);
    lines
}

fn section_lines() -> Vec<Line> {
    sections::rows().into_iter().map(|row| line(row.name, row.kind, move || row.subject()).of(row.flavor)).collect()
}

fn cases(options: &Options) -> Vec<Case> {
    let counts = if options.threads.is_empty() { vec![1, 2] } else { options.threads.clone() };
    let mut cases = Vec::new();
    for (name, about, lfs, work) in [
        ("lfs-pairs", "Raw lock-free stack: push one, pop one.", true, Work::Pairs),
        ("wfs-pairs", "Raw stack with wait-free push: push one, pop one.", false, Work::Pairs),
        ("lfs-bursts", "Raw lock-free stack: push 64, pop 64.", true, Work::Bursts),
        ("wfs-bursts", "Raw stack with wait-free push: push 64, pop 64.", false, Work::Bursts),
        ("lfs-pop-all", "Raw lock-free stack: push 64, pop all and walk it.", true, Work::PopAll),
        ("wfs-pop-all", "Raw stack with wait-free push: push 64, pop all and walk it.", false, Work::PopAll),
        ("lfs-put-drain", "Raw lock-free stack: all push 4,096 each, then one pops them.", true, Work::PutDrain),
        (
            "wfs-put-drain",
            "Raw stack with wait-free push: all push 4,096 each, then one pops them.",
            false,
            Work::PutDrain,
        ),
    ] {
        for &threads in &counts {
            // The only one who pops needs no lock.
            let alone = threads == 1 || work == Work::PutDrain;
            if work != Work::PopAll || threads == 1 {
                cases.push(case(name, about, work, threads, raw_lines(lfs, !alone)));
            }
        }
    }
    for (name, about, lfs) in [
        ("lfs-locked", "Raw lock-free stack, pops under its mutex: push one, pop one.", true),
        ("wfs-locked", "Raw stack with wait-free push, pops under its mutex: push one, pop one.", false),
    ] {
        cases.push(case(name, about, Work::Pairs, 1, raw_lines(lfs, true)));
    }
    for &threads in &counts {
        let about = "Raw lock-free stack: allocate and push one, pop one inside a section, retire it.";
        cases.push(case("lfs-sections", about, Work::Pairs, threads, section_lines()));
    }
    for (name, about, work) in [
        ("pairs", "Stacks of numbers, allocation included: push one, pop one.", Work::Pairs),
        ("bursts", "Stacks of numbers, allocation included: push 64, pop 64.", Work::Bursts),
        ("pop-all", "Stacks of numbers, allocation included: push 64, take out all there is.", Work::PopAll),
        (
            "put-drain",
            "Stacks of numbers, allocation included: all push 4,096 each, then one pops them.",
            Work::PutDrain,
        ),
    ] {
        for &threads in &counts {
            let single = threads == 1 || work == Work::PutDrain;
            cases.push(case(name, about, work, threads, face_lines(single)));
        }
    }
    cases
}

fn case(name: &str, about: &'static str, work: Work, threads: usize, lines: Vec<Line>) -> Case {
    let contenders = lines
        .into_iter()
        .map(|line| {
            let make = line.make;
            let mut contender =
                Contender::new(line.name, line.kind, move |shot| measure(make()?.as_ref(), work, threads, shot));
            contender.flavor = line.flavor;
            contender
        })
        .collect();
    Case {
        name: name.into(),
        about,
        unit: "ns/value",
        better: Better::Lower,
        threads,
        pace: Pace::Rounds(1),
        contenders,
    }
}
