//! temp stub
use super::Entry;
use crate::harness::plan::{Flavor, Kind};
use crate::workload::Subject;

/// x
#[derive(Clone, Copy, Debug)]
pub enum Path { /// a
 Thread, /// b
 Free, /// c
 Raw }

/// x
pub fn entries() -> [Entry; 5] {
    let e = |name, flavor| Entry { name, kind: Kind::Ours, flavor, api: Err("not there yet") };
    [e("urcu-qsbr", Flavor::Qsbr), e("urcu-mb", Flavor::Mb), e("urcu-membarrier", Flavor::Membarrier), e("urcu-signal", Flavor::Signal), e("urcu-bp", Flavor::Bp)]
}
/// x
pub fn subject(_: Flavor, _: Path) -> Box<dyn Subject> { unreachable!() }
