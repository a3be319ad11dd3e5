//! What `--quick` leaves out: cases that take longer by themselves than all others together.

/// Why a quick run does not measure a case; none when it does.
pub fn left_out(suite: &str, case: &str, threads: usize) -> Option<&'static str> {
    const LARGE: &str = "takes seconds to fill";
    const FEW: &str = "few points";
    let ends = |ends: &[&str]| ends.iter().any(|end| case.ends_with(end));
    let point = case.split_once('@').map(|(_, point)| point);
    match suite {
        "instructions" => Some("runs each contender under valgrind"),
        "map" if case.starts_with("p999") || case.contains("tail") => Some(LARGE),
        "map" if case.starts_with("grow") || case == "raw-mix-100k" => Some(LARGE),
        "map" if case.starts_with("raw-memory") && threads == 1 => Some(LARGE),
        "map" if ends(&["-1M", "-4M", "-10M"]) => Some(LARGE),
        "scale" if ["grace-threads", "retire-threads"].iter().any(|curve| case.starts_with(curve)) => {
            (!ends(&["@1", "@4"])).then_some(FEW)
        }
        "scale" | "grace" => match point {
            Some("2" | "8" | "16" | "32" | "10" | "10000" | "1ms" | "1M" | "10M") => Some(FEW),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::plan::Options;
    use crate::suites;

    #[test]
    fn every_suite_but_that_of_valgrind_has_something_left() {
        let options = Options { threads: Vec::new(), quick: true };
        for suite in suites::ALL {
            let cases = (suite.cases)(&options);
            let left = cases.iter().any(|case| left_out(suite.name, &case.name, case.threads).is_none());
            assert_eq!(left, suite.name != "instructions", "{}", suite.name);
        }
    }

    #[test]
    fn curves_keep_their_ends_or_a_few_points() {
        assert_eq!(left_out("scale", "read-threads@64", 64), None);
        assert!(left_out("scale", "read-threads@32", 32).is_some());
        assert_eq!(left_out("read", "thread", 1), None);
    }
}
