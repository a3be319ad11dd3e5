//! Who is counted: the contenders of the other suites, one operation at a time.

use crate::blocks::Manner;
use crate::contenders::ours::Path;
use crate::counting::Window;
use crate::harness::plan::{Flavor, Kind};
use crate::maps::{self, Found, Map, value_of};
use crate::reclaim::{Reclaimer, settle};
use crate::suites::{queue, read, reclaim, stack};
use crate::workload::{READ_LENGTH, Subject, check_sum};
use crate::{queues, stacks};

/// So many operations.
pub(in crate::suites) type Operations<'o> = dyn FnMut(u64) -> Result<(), String> + 'o;

/// What the threads of a process share.
pub(in crate::suites) trait Workload: Sync {
    /// Prepares the calling thread, and hands its operations to whoever conducts it.
    ///
    /// # Errors
    /// When the thread cannot take part, or what the conductor says.
    fn thread(
        &self,
        index: usize,
        conduct: &mut dyn FnMut(&mut Operations<'_>) -> Result<(), String>,
    ) -> Result<(), String>;

    /// Leaves nothing behind that others would count.
    ///
    /// # Errors
    /// What the contender says.
    fn end(self: Box<Self>) -> Result<(), String> {
        Ok(())
    }
}

pub(in crate::suites) type Make = Box<dyn Fn() -> Result<Box<dyn Workload>, String>>;

/// A contender.
pub(in crate::suites) struct Counted {
    pub(in crate::suites) workload: &'static str,
    pub(in crate::suites) name: String,
    pub(in crate::suites) kind: Kind,
    pub(in crate::suites) flavor: Option<Flavor>,
    pub(in crate::suites) make: Result<Make, &'static str>,
}

pub(in crate::suites) fn counted() -> Vec<Counted> {
    let mut all = Vec::new();
    for line in read::lines(Path::Thread, read::Loop::Flat) {
        let (kind, flavor, subject) = (line.kind, line.flavor, line.subject);
        let make: Make = Box::new(move || Ok(Box::new(Reading(subject()?))));
        all.push(Counted { workload: "read", name: line.name.into(), kind, flavor, make: Ok(make) });
    }
    for line in reclaim::lines() {
        let (name, kind, flavor) = (line.name.into(), line.kind, line.flavor);
        let make = line.missing().map_or_else(
            || -> Result<Make, _> {
                Ok(Box::new(move || {
                    line.measure(|make| {
                        let window = Window::open();
                        Ok(Box::new(Retiring { reclaimer: make(), window }) as Box<dyn Workload>)
                    })
                }))
            },
            Err,
        );
        all.push(Counted { workload: "retire", name, kind, flavor, make });
    }
    for line in stack::face_lines(false) {
        let subject = line.make;
        let make: Make = Box::new(move || Ok(Box::new(Stacking(subject()?))));
        all.push(Counted {
            workload: "stack",
            name: line.name.into(),
            kind: line.kind,
            flavor: line.flavor,
            make: Ok(make),
        });
    }
    for line in queue::faces(false) {
        let make = line.make.map(|subject| -> Make { Box::new(move || Ok(Box::new(Queueing(subject()?)))) });
        all.push(Counted { workload: "queue", name: line.name, kind: line.kind, flavor: line.flavor, make });
    }
    for entrant in maps::FACE {
        let is_ours = entrant.kind == maps::Kind::Ours;
        let make: Make = Box::new(move || Ok(Box::new(Hits::filled(entrant.empty(0)?))));
        all.push(Counted {
            workload: "map",
            name: entrant.name.into(),
            kind: if is_ours { Kind::Ours } else { Kind::Peer },
            flavor: is_ours.then_some(Flavor::Membarrier),
            make: Ok(make),
        });
    }
    // Without a library there is nothing to link with.
    for line in &mut all {
        let is_missing = line.name.starts_with("liburcu-") && cfg!(not(any(liburcu = "mb", liburcu = "memb")));
        if is_missing && line.make.is_ok() {
            line.make = Err("liburcu not found; on Debian or Ubuntu: apt install liburcu-dev pkg-config");
        }
    }
    all
}

struct Reading(Box<dyn Subject>);

impl Workload for Reading {
    fn thread(
        &self,
        _: usize,
        conduct: &mut dyn FnMut(&mut Operations<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut worker = self.0.worker()?;
        conduct(&mut |count| {
            // In blocks as in the suite `read`: a quiescent state comes after each.
            let (blocks, rest) = (count / READ_LENGTH, count % READ_LENGTH);
            if blocks != 0 {
                check_sum(worker.flat(blocks, READ_LENGTH), blocks, READ_LENGTH)?;
            }
            if rest == 0 { Ok(()) } else { check_sum(worker.flat(1, rest), 1, rest) }
        })
    }
}

struct Retiring {
    reclaimer: Box<dyn Reclaimer>,
    /// While it is open, no other contender's blocks are counted.
    window: Window,
}

impl Workload for Retiring {
    fn thread(
        &self,
        _: usize,
        conduct: &mut dyn FnMut(&mut Operations<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut updater = self.reclaimer.updater(Manner::Plain)?;
        conduct(&mut |count| {
            updater.retire(count);
            Ok(())
        })
    }

    fn end(self: Box<Self>) -> Result<(), String> {
        let Self { reclaimer, window } = *self;
        settle(&window, reclaimer).map(drop)
    }
}

struct Stacking(Box<dyn stacks::Subject>);

impl Workload for Stacking {
    fn thread(
        &self,
        _: usize,
        conduct: &mut dyn FnMut(&mut Operations<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut member = self.0.member()?;
        conduct(&mut |count| {
            let popped = member.pairs(count).popped;
            if popped == count { Ok(()) } else { Err(format!("wrong answer: {popped} of {count} values came out")) }
        })
    }
}

struct Queueing(Box<dyn queues::Subject>);

impl Workload for Queueing {
    fn thread(
        &self,
        index: usize,
        conduct: &mut dyn FnMut(&mut Operations<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut worker = self.0.worker(index)?;
        conduct(&mut |count| worker.pairs(count, 0).map(|_| ()))
    }
}

const ENTRIES: u64 = 10_000;

struct Hits(Box<dyn Map>);

impl Hits {
    fn filled(map: Box<dyn Map>) -> Self {
        let keys: Vec<u64> = (0..ENTRIES).map(key_of).collect();
        map.session().insert(&keys);
        Self(map)
    }
}

/// The `number`th key: no two are the same, and they follow each other in no order.
fn key_of(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Workload for Hits {
    fn thread(
        &self,
        index: usize,
        conduct: &mut dyn FnMut(&mut Operations<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut session = self.0.session();
        let mut next = index as u64;
        let mut keys = Vec::new();
        conduct(&mut |count| {
            keys.clear();
            keys.extend((0..count).map(|step| key_of((next + 7 * step) % ENTRIES)));
            next += 7 * count;
            let mut expected = Found::default();
            keys.iter().for_each(|key| expected.add(Some(value_of(*key))));
            let found = super::child::counted(|| session.get(&keys));
            if found == expected { Ok(()) } else { Err("wrong answer".into()) }
        })
    }
}
