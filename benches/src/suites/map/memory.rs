//! Memory per entry, as the kernel sees it: in a process that does nothing else.

use super::{Group, ONCE, Size};
use crate::harness::plan::{Better, Case, Sample, Shot};
use crate::map_process;

pub(super) fn case(group: Group, size: Size) -> Case {
    let contenders = group.rows(
        |entrant| !entrant.batched,
        |entrant| move |_: &Shot<'_>| map_process::bytes_per_entry(entrant.name, size.0).map(Sample::figure),
    );
    Case {
        name: group.name("memory", size.1),
        about: "Resident memory of a process over the number of entries of the map that it has filled.",
        unit: "bytes/entry",
        better: Better::Lower,
        threads: 1,
        pace: ONCE,
        contenders,
    }
}
