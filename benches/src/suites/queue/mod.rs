//! Queues: what a value costs on its way through, and how soon a sleeping receiver has it.

mod recv;
mod workload;

use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot, Suite};
use crate::queues::{Subject, faces, liburcu, raw};
use workload::Workload;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "queue",
    about: "queues: pairs of enqueue and dequeue, filling, draining, bursts, one producer and one consumer, \
            wake-up of a receiver",
    cases,
};

pub(super) type Make = Box<dyn Fn() -> Result<Box<dyn Subject>, String>>;

/// A queue before it is bound to a case.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) flavor: Option<Flavor>,
    pub(super) make: Result<Make, &'static str>,
}

impl Line {
    fn new(name: &str, kind: Kind, make: fn() -> Box<dyn Subject>) -> Self {
        Self { name: name.into(), kind, flavor: None, make: Ok(Box::new(move || Ok(make()))) }
    }

    fn of(mut self, flavor: Flavor) -> Self {
        self.flavor = Some(flavor);
        self
    }

    fn contender(self, measure: impl Fn(&dyn Subject, &Shot<'_>) -> Result<Sample, String> + 'static) -> Contender {
        let mut contender = match self.make {
            Ok(make) => Contender::new(self.name, self.kind, move |shot| measure(make()?.as_ref(), shot)),
            Err(reason) => Contender::unavailable(self.name, self.kind, reason),
        };
        contender.flavor = self.flavor;
        contender
    }
}

/// The raw `wfcqueue`, with one consumer or with its lock.
fn wfcqueue(locked: bool) -> Vec<Line> {
    let ours = if locked { &raw::OURS_LOCKED } else { &raw::OURS };
    let theirs = liburcu::WFC.map(|(plain, with_lock)| if locked { with_lock } else { plain });
    let make = |table: &'static raw::Wfc| -> Make { Box::new(move || Ok(raw::wfc(table))) };
    vec![
        Line { name: "cds-wfqueue".into(), kind: Kind::Ours, flavor: None, make: Ok(make(ours)) },
        Line { name: "liburcu-wfcqueue".into(), kind: Kind::Peer, flavor: None, make: theirs.map(make) },
    ]
}

/// The raw `lfqueue` of each flavor.
fn lfqueue() -> Vec<Line> {
    let make = |table: &'static raw::Lf| -> Make { Box::new(move || raw::lf(table)) };
    let ours = raw::ours_lf().into_iter().map(|table| Line {
        name: format!("cds-wfqueue-{}", table.api.flavor),
        kind: Kind::Ours,
        flavor: Some(table.api.flavor),
        make: Ok(make(table)),
    });
    let theirs = Flavor::ALL.into_iter().zip(liburcu::LF).map(|(flavor, table)| Line {
        name: format!("liburcu-lfqueue-{flavor}"),
        kind: Kind::Peer,
        flavor: Some(flavor),
        make: table.map(make),
    });
    ours.chain(theirs).collect()
}

/// Queues with values. Some allow one consumer only, which is thread 0.
pub(super) fn faces(one_consumer: bool) -> Vec<Line> {
    let mut lines = vec![
        Line::new("WfcQueue", Kind::Ours, faces::wfc_queue),
        Line::new("SegmentQueue", Kind::Ours, faces::segment_queue),
        Line::new("LockedQueue", Kind::Ours, faces::locked_queue),
        Line::new("BoundedQueue", Kind::Ours, faces::bounded_queue),
        Line::new("LfQueue-qsbr", Kind::Ours, faces::lf_qsbr::subject).of(Flavor::Qsbr),
        Line::new("LfQueue-mb", Kind::Ours, faces::lf_mb::subject).of(Flavor::Mb),
        Line::new("LfQueue-membarrier", Kind::Ours, faces::lf_membarrier::subject).of(Flavor::Membarrier),
        Line::new("LfQueue-signal", Kind::Ours, faces::lf_signal::subject).of(Flavor::Signal),
        Line::new("LfQueue-bp", Kind::Ours, faces::lf_bp::subject).of(Flavor::Bp),
        Line::new("crossbeam-SegQueue", Kind::Peer, faces::seg_queue),
        Line::new("crossbeam-ArrayQueue", Kind::Peer, faces::array_queue),
        Line::new("concurrent-queue", Kind::Peer, faces::concurrent_queue),
        Line::new("mutex-VecDeque", Kind::Peer, faces::mutex_deque),
    ];
    if one_consumer {
        lines.insert(0, Line::new("WfcQueue-split", Kind::Ours, faces::wfc_split));
        lines.insert(1, Line::new("SegmentQueue-split", Kind::Ours, faces::segment_split));
        lines.push(Line::new("std-mpsc", Kind::Peer, faces::std_mpsc));
    }
    lines
}

fn cases(options: &Options) -> Vec<Case> {
    let counts = if options.threads.is_empty() { vec![1, 2] } else { options.threads.clone() };
    let mut cases = Vec::new();
    let mut add = |name: &str, about, workload: Workload, threads: &[usize], lines: &dyn Fn(usize) -> Vec<Line>| {
        for &threads in threads {
            cases.push(case(name, about, workload, threads, lines(threads)));
        }
    };

    let plain = |_: usize| wfcqueue(false);
    let locked = |_: usize| wfcqueue(true);
    add(
        "wfcqueue-pairs",
        "Raw wfcqueue, without its lock: enqueue and dequeue in turn.",
        Workload::Pairs,
        &[1],
        &plain,
    );
    add("wfcqueue-lock-pairs", "The same with the dequeue lock.", Workload::Pairs, &counts, &locked);
    add("wfcqueue-put", "Raw wfcqueue: enqueueing 8,192 nodes per thread.", Workload::Put, &counts, &plain);
    add("wfcqueue-drain", "Raw wfcqueue: dequeueing 8,192 nodes, without the lock.", Workload::Drain, &[1], &plain);
    add("wfcqueue-lock-drain", "The same with the dequeue lock.", Workload::Drain, &[1], &locked);
    add("wfcqueue-burst", "Raw wfcqueue: 64 enqueues, then 64 dequeues.", Workload::Burst, &[1], &plain);
    add("wfcqueue-lock-burst", "The same with the dequeue lock.", Workload::Burst, &[1], &locked);
    add("wfcqueue-1p1c", "Raw wfcqueue: one producer, one consumer.", Workload::OneToOne, &[2], &plain);
    add(
        "wfcqueue-splice",
        "Raw wfcqueue: taking 1,024 nodes by splice, and iterating.",
        Workload::Splice,
        &[1],
        &plain,
    );

    let lf = |_: usize| lfqueue();
    add("lfqueue-pairs", "Raw lfqueue: enqueue and dequeue in turn.", Workload::Pairs, &counts, &lf);
    add("lfqueue-put", "Raw lfqueue: enqueueing 8,192 nodes per thread.", Workload::Put, &counts, &lf);
    add("lfqueue-drain", "Raw lfqueue: dequeueing 8,192 nodes.", Workload::Drain, &[1], &lf);
    add("lfqueue-burst", "Raw lfqueue: 64 enqueues, then 64 dequeues.", Workload::Burst, &counts, &lf);
    add("lfqueue-1p1c", "Raw lfqueue: one producer, one consumer.", Workload::OneToOne, &[2], &lf);

    let values = |threads: usize| faces(threads == 1);
    let one_consumer = |_: usize| faces(true);
    add("pairs", "Values: enqueue and dequeue in turn.", Workload::Pairs, &counts, &values);
    add("put", "Values: enqueueing 8,192 per thread.", Workload::Put, &counts, &one_consumer);
    add("drain", "Values: dequeueing 8,192 one by one.", Workload::Drain, &[1], &one_consumer);
    add("drain-2", "Values: dequeueing 16,384 one by one that two threads put.", Workload::Drain, &[2], &one_consumer);
    add("burst", "Values: 64 enqueues, then 64 dequeues.", Workload::Burst, &counts, &values);
    add("1p1c", "Values: one producer, one consumer.", Workload::OneToOne, &[2], &one_consumer);
    add("splice", "Values: taking 1,024 at once.", Workload::Splice, &[1], &one_consumer);
    cases.push(recv::case());
    cases
}

fn case(name: &str, about: &'static str, workload: Workload, threads: usize, lines: Vec<Line>) -> Case {
    let contenders = lines
        .into_iter()
        .map(|line| line.contender(move |subject, shot| workload::measure(subject, workload, threads, shot)))
        .collect();
    let unit = if workload.counts_pairs() { "ns/pair" } else { "ns/value" };
    Case { name: name.into(), about, unit, better: Better::Lower, threads, pace: Pace::Rounds(1), contenders }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::harness::threads::Cores;
    use crate::harness::watchdog::watched;

    #[test]
    fn every_queue_gives_back_what_went_in() {
        let cores = Cores::detect();
        let shot = Shot { budget: Duration::from_millis(1), cores: &cores };
        for mut case in cases(&Options { threads: Vec::new(), quick: true }) {
            for contender in &mut case.contenders {
                let Ok(measure) = &mut contender.measure else { continue };
                let name = format!("{} {} {}", case.name, case.threads, contender.name);
                watched(&name, || {
                    match measure(&shot) {
                        Ok(sample) => assert!(sample.value > 0.0, "{name}: {sample:?}"),
                        // Its answers have been checked before.
                        Err(why) if why == workload::NEVER_TOGETHER => println!("{name}: no figure: {why}"),
                        Err(wrong) => panic!("{name}: {wrong}"),
                    }
                });
            }
        }
    }
}
