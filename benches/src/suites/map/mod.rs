//! Hash tables, `u64` to `u64`: lookups, a mix with updates, growth, single latencies, memory. Every workload is defined
//! once, and measured for two groups: the typed maps, and the intrusive tables (cases `raw-...`).

mod filled;
mod growth;
mod keys;
mod latency;
mod memory;

use std::time::Duration;

use crate::harness::plan::{Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot, Suite};
// What a process does that `--map-memory` or `--map-process` asks for.
pub use crate::map_process::measure as bytes_per_entry;
use crate::maps::{self, Entrant, FACE, RAW};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "map",
    about: "hash tables: lookups, updates, growth, memory, worst latencies while resizing",
    cases,
};

/// Entries, and how that is called.
type Size = (u64, &'static str);

const SIZES: [Size; 3] = [(1_000, "1k"), (100_000, "100k"), (4_000_000, "4M")];

/// Contenders that are compared.
#[derive(Clone, Copy)]
struct Group {
    /// Of the cases' names.
    prefix: &'static str,
    entrants: &'static [Entrant],
    grown: &'static [Size],
    remembered: &'static [Size],
}

const GROUPS: [Group; 2] = [
    Group {
        prefix: "",
        entrants: &FACE,
        grown: &[(1_000_000, "1M")],
        remembered: &[(100_000, "100k"), (1_000_000, "1M"), (4_000_000, "4M"), (10_000_000, "10M")],
    },
    Group {
        prefix: "raw-",
        entrants: &RAW,
        grown: &SIZES,
        remembered: &[(100_000, "100k"), (4_000_000, "4M"), (10_000_000, "10M")],
    },
];

impl Group {
    fn name(&self, case: &str, size: &str) -> String {
        format!("{}{case}-{size}", self.prefix)
    }

    /// Rows of those that `with` says so about.
    fn rows<M>(&self, with: impl Fn(&Entrant) -> bool, measure: impl Fn(Entrant) -> M) -> Vec<Contender>
    where
        M: FnMut(&Shot<'_>) -> Result<Sample, String> + 'static,
    {
        let entrants = self.entrants.iter().filter(|entrant| with(entrant));
        entrants.map(|&entrant| row(entrant, measure(entrant))).collect()
    }
}

fn row(entrant: Entrant, measure: impl FnMut(&Shot<'_>) -> Result<Sample, String> + 'static) -> Contender {
    let kind = if entrant.kind == maps::Kind::Ours { Kind::Ours } else { Kind::Peer };
    let row = match entrant.make {
        Ok(_) => Contender::new(entrant.name, kind, measure),
        Err(reason) => Contender::unavailable(entrant.name, kind, reason),
    };
    if entrant.kind == maps::Kind::Other { row } else { row.of(Flavor::Membarrier) }
}

/// What takes seconds.
const ONCE: Pace = Pace::Times(1, Duration::from_secs(1));

fn cases(options: &Options) -> Vec<Case> {
    let counts = match (options.threads.is_empty(), options.quick) {
        (false, _) => options.threads.clone(),
        (true, true) => vec![1],
        (true, false) => vec![1, 2],
    };
    // The large maps take seconds to build.
    let most = if options.quick { 100_000 } else { u64::MAX };
    let is_wanted = |size: &&Size| size.0 <= most;
    let mut cases = Vec::new();
    for group in GROUPS {
        for &size in SIZES.iter().filter(is_wanted) {
            cases.extend(filled::cases(group, size, &counts));
        }
        for &size in group.grown.iter().filter(is_wanted) {
            cases.extend(counts.iter().map(|&threads| growth::case(group, size, threads)));
        }
        if !options.quick {
            cases.push(growth::crowded(group));
            cases.extend(latency::cases(group));
        }
        cases.extend(group.remembered.iter().filter(is_wanted).map(|&size| memory::case(group, size)));
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::keys::{Answer, key_of};
    use super::*;
    use crate::harness::watchdog::watched;
    use crate::maps::{Found, Step, value_of};

    #[test]
    fn every_map_that_is_there_gives_right_answers() {
        for entrant in GROUPS.iter().flat_map(|group| group.entrants) {
            if entrant.make.is_err() {
                continue;
            }
            watched(entrant.name, || {
                let map = entrant.empty(5_000).unwrap();
                let mut session = map.session();
                let keys: Vec<u64> = (0..6_000).map(key_of).collect();
                let (there, absent) = keys.split_at(5_000);
                session.insert(there);
                let sum = there.iter().fold(0_u64, |sum, &key| sum.wrapping_add(value_of(key)));
                assert_eq!(session.get(there), Found { keys: 5_000, sum }, "{}", entrant.name);
                assert_eq!(session.get(absent), Found::default(), "{}", entrant.name);
                session.remove(&there[..1_000]);
                let steps = [Step::Get(there[0]), Step::Insert(there[0]), Step::Get(there[0]), Step::Remove(there[0])];
                let mut expected = Answer::default();
                expected.hit(there[0]);
                assert_eq!(session.mixed(&steps), expected.0, "{}", entrant.name);
                assert_eq!(session.get(there).keys, 4_000, "{}", entrant.name);
            });
        }
    }

    #[test]
    fn rows_are_unique() {
        let mut names: Vec<&str> = FACE.iter().chain(&RAW).map(|entrant| entrant.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
