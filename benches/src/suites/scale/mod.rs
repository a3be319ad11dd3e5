//! What happens to the cost as the work grows: more threads than cores, more entries, longer sections.
//!
//! The cases are points of curves: `<curve>@<where>`. The suite `grace` has one more, `registered`.

mod entries;
mod sections;
mod threads;

use crate::harness::plan::{Case, Options, Suite};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "scale",
    about: "cost as the work grows: threads from 1 to 64 on any machine, entries from 1,000 to 10 million, sections from \
            nothing to a millisecond",
    cases,
};

fn cases(_: &Options) -> Vec<Case> {
    let mut cases = threads::cases();
    cases.extend(entries::cases());
    cases.extend(sections::cases());
    cases
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::harness::plan::Shot;
    use crate::harness::threads::Cores;
    use crate::harness::watchdog::watched;
    use crate::suites::quick;

    #[test]
    fn every_curve_has_all_its_points() {
        let cases = cases(&Options { threads: Vec::new(), quick: false });
        let points = |curve: &str| -> Vec<String> {
            let of = |case: &Case| Some(case.name.strip_prefix(curve)?.strip_prefix('@')?.to_owned());
            cases.iter().filter_map(of).collect()
        };
        let threads = ["1", "2", "4", "8", "16", "32", "64"];
        for curve in
            ["read-threads", "grace-threads", "retire-threads", "stack-threads", "queue-threads", "map-threads"]
        {
            assert_eq!(points(curve), threads, "{curve}");
        }
        assert_eq!(points("map-entries"), ["1k", "10k", "100k", "1M", "10M"]);
        assert_eq!(points("section-length"), ["0", "1us", "10us", "100us", "1ms"]);
    }

    #[test]
    fn every_contender_of_the_short_points_gives_the_right_answer() {
        let cores = Cores::detect();
        let shot = Shot { budget: Duration::from_millis(1), cores: &cores };
        let cases = cases(&Options { threads: Vec::new(), quick: true });
        for mut case in cases.into_iter().filter(|case| quick::left_out("scale", &case.name, case.threads).is_none()) {
            for contender in &mut case.contenders {
                let Ok(measure) = &mut contender.measure else { continue };
                let name = format!("{} {}", case.name, contender.name);
                watched(&name, || {
                    let sample = measure(&shot);
                    assert!(sample.as_ref().is_ok_and(|sample| sample.value >= 0.0), "{name}: {sample:?}");
                });
            }
        }
    }
}
