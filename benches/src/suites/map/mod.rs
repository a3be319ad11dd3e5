//! Hash tables, u64 to u64: lookups, a mix, insertion into an empty table, memory, and how long a lookup can take while
//! the table is resized.

mod access;
mod face;
mod fill;
mod memory;
mod raw;
mod tail;
pub mod workload;

pub use memory::bytes_per_entry;
pub use workload::{Line, Map, Session, Table};

use crate::harness::plan::{Case, Options, Suite};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "map",
    about: "hash tables: lookups, updates, insertion into an empty table, memory, worst latencies while resizing",
    cases,
};

/// A number of entries, with its name.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    name: &'static str,
    entries: u64,
}

const SIZES: [Size; 3] = [
    Size { name: "1k", entries: 1_000 },
    Size { name: "100k", entries: 100_000 },
    Size { name: "4M", entries: 4_000_000 },
];

/// The rows of the raw tier.
pub fn lines() -> Vec<Line> {
    raw::lines()
}

fn cases(options: &Options) -> Vec<Case> {
    let counts = match (options.threads.is_empty(), options.quick) {
        (false, _) => options.threads.clone(),
        (true, true) => vec![1],
        (true, false) => vec![1, 2],
    };
    // The large table takes seconds to build.
    let sizes = if options.quick { &SIZES[..2] } else { &SIZES[..] };
    let mut cases = Vec::new();
    for &size in sizes {
        cases.extend(access::cases(size, &counts));
        for &threads in &counts {
            cases.push(fill::case(size, threads));
        }
    }
    cases.push(memory::case(sizes[sizes.len() - 1]));
    if !options.quick {
        cases.extend(tail::cases(SIZES[0], SIZES[2]));
    }
    cases.extend(face::cases(options));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::watchdog::watched;

    #[test]
    fn every_table_that_is_there_gives_right_answers() {
        for line in lines() {
            let Ok(make) = line.make else { continue };
            watched(line.name, || {
                let map = make(None).unwrap();
                let mut session = map.session(1).unwrap();
                assert_eq!(session.insert(0, 5_000, 1), 5_000, "{}", line.name);
                assert_eq!(session.insert(4_000, 6_000, 2), 500, "{}", line.name);
                assert_eq!(session.lookup(0, 5_000, 10_000), 10_000, "{}", line.name);
                assert_eq!(session.lookup(6_000, 5_000, 10_000), 0, "{}", line.name);
                assert_eq!(session.remove(0, 1_000), 1_000, "{}", line.name);
                let net = session.mix(10_000, 20_000);
                let mut times = vec![0; 100];
                assert_eq!(session.lookup_timed(100_000, 10, &mut times), 0, "{}", line.name);
                drop(session);
                assert_eq!(map.count().unwrap().cast_signed(), 4_500 + net, "{}", line.name);
            });
        }
    }

    #[test]
    fn rows_are_unique() {
        let mut names: Vec<&str> = lines().iter().map(|line| line.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
