//! The command line.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::harness::plan::{Case, Contender, Flavor, Kind, Options, Suite};
use crate::harness::run::{Settings, title};
use crate::harness::share::Want;
use crate::suites::{self, quick};

/// Every flavor and structure against its peers and the physical limit, on this machine, in one run.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub struct Arguments {
    /// Ends within two minutes: fewer and shorter rounds, and without the cases that take longest. Enough to see who is ahead.
    #[arg(long)]
    pub quick: bool,
    /// These suites only (`--list` names them).
    #[arg(long, value_name = "SUITE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// These cases only (`--list` names them); the name of a curve stands for all its points.
    #[arg(long = "case", value_name = "CASE", value_delimiter = ',')]
    pub cases: Vec<String>,
    /// These flavors only, ours and the C library's.
    #[arg(long, value_name = "FLAVOR", value_delimiter = ',')]
    pub flavor: Vec<String>,
    /// These peers only; `liburcu` stands for its five flavors, `none` for nobody.
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub peer: Vec<String>,
    /// These thread counts, in the suites that vary them.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub threads: Vec<NonZeroUsize>,
    /// Measured rounds per contender.
    #[arg(long, value_name = "N")]
    pub rounds: Option<NonZeroUsize>,
    /// Ends after about so many minutes (20 without it, or 1.3 with `--quick`). Rounds get fewer and shorter when there is more to measure.
    #[arg(long, value_name = "N", value_parser = minutes)]
    pub minutes: Option<Duration>,
    /// Writes one line of JSON per row to this file instead of `run.jsonl` in the folder of the report.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the report, a page that needs nothing else, to this folder instead of `bench-report` in cargo's target folder.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Compares with an earlier run's JSON: what got slower beyond the noise.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Measures nothing: the tables, the comparison and the report of the run in this JSON.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "json", "rounds", "minutes"])]
    pub from: Option<PathBuf>,
    /// Keeps the run in the project's folder `benches`: the records, the report and the plots of the README.
    #[arg(long, conflicts_with_all = ["quick", "json"])]
    pub publish: bool,
    /// Names suites, cases, flavors and peers, and stops.
    #[arg(long)]
    pub list: bool,
    /// Used by the program on itself: idles with this implementation's worker and prints the processor time of it.
    #[arg(long, value_name = "NAME", hide = true)]
    pub idle_process: Option<String>,
    /// Used by the program on itself: a process beside the one that measures, in this role.
    #[arg(long, value_name = "ROLE", hide = true)]
    pub shm_process: Option<String>,
    /// Where it finds what it reads.
    #[arg(long, value_name = "PATH", hide = true, default_value = "")]
    pub shm_path: String,
    /// Where it runs.
    #[arg(long, value_name = "CORE", hide = true, default_value = "any")]
    pub shm_core: String,
    /// Used by the program on itself: fills this map and prints its bytes per entry.
    #[arg(long, value_name = "NAME", hide = true)]
    pub map_process: Option<String>,
    /// How many entries either fills it with.
    #[arg(long, value_name = "N", hide = true, default_value_t = 0)]
    pub map_entries: u64,
    /// How long it idles.
    #[arg(long, value_name = "N", hide = true, default_value_t = 0)]
    pub idle_ms: u64,
    /// Used by the program on itself, under valgrind: does the operations of this contender.
    #[arg(long, value_name = "NAME", hide = true)]
    pub counted: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", hide = true, default_value_t = 0)]
    pub operations: u64,
    /// Used by the program on itself: fills this table and prints the memory that an entry takes.
    #[arg(long, value_name = "NAME", hide = true)]
    pub map_memory: Option<String>,
}

/// What is to be run.
#[derive(Debug)]
pub struct Plan {
    /// The cases, each with the name of its suite.
    pub cases: Vec<(&'static str, Case)>,
    /// How long and how often.
    pub settings: Settings,
    /// Cases that a quick run leaves out, each with the reason.
    pub left_out: Vec<String>,
}

impl Arguments {
    /// Turns the arguments into cases.
    ///
    /// # Errors
    /// Names what is unknown, and the right names.
    pub fn plan(&self) -> Result<Plan, String> {
        let chosen = self.suites()?;
        let flavors = self.flavors()?;
        let options = self.options();
        check("peer", &self.peer, &peer_names())?;
        check("case", &self.cases, &case_names(&chosen, &options))?;

        let (mut cases, mut left_out) = (Vec::new(), Vec::new());
        for suite in chosen {
            for mut case in (suite.cases)(&options) {
                if !self.cases.is_empty()
                    && !self.cases.iter().any(|asked| asked == &case.name || asked == curve(&case.name))
                {
                    continue;
                }
                // A case that is asked for by its name is measured even so.
                let why = quick::left_out(suite.name, &case.name, case.threads);
                if let Some(why) = why.filter(|_| self.quick && !self.cases.contains(&case.name)) {
                    left_out.push(format!("{}: {why}", title(suite.name, &case.name, case.threads)));
                    continue;
                }
                case.contenders.retain(|contender| in_flavors(contender, &flavors) && in_peers(contender, &self.peer));
                // Limits alone measure nothing of ours or of anybody.
                if case.contenders.iter().any(|c| c.kind != Kind::Limit) {
                    cases.push((suite.name, case));
                }
            }
        }
        if cases.is_empty() {
            return Err("these choices leave nothing to measure".into());
        }
        let mut settings = if self.quick { Settings::QUICK } else { Settings::FULL };
        if let Some(rounds) = self.rounds {
            settings.rounds = rounds.get();
        }
        if let Some(minutes) = self.minutes {
            settings.limit = Some(minutes);
        }
        Ok(Plan { cases, settings, left_out })
    }

    fn options(&self) -> Options {
        Options { threads: self.threads.iter().map(|count| count.get()).collect(), quick: self.quick }
    }

    fn suites(&self) -> Result<Vec<Suite>, String> {
        let names: Vec<String> = suites::ALL.iter().map(|s| s.name.to_owned()).collect();
        check("suite", &self.only, &names)?;
        Ok(suites::ALL
            .into_iter()
            .filter(|suite| self.only.is_empty() || self.only.iter().any(|o| o == suite.name))
            .collect())
    }

    /// The chosen flavors; the C library's name of one is accepted for ours.
    fn flavors(&self) -> Result<Vec<Flavor>, String> {
        let asked: Vec<String> = self
            .flavor
            .iter()
            .map(|name| name.trim_start_matches("urcu-").to_owned())
            .map(|name| if name == "memb" { "membarrier".into() } else { name })
            .collect();
        let names: Vec<String> = Flavor::ALL.iter().map(ToString::to_string).collect();
        check("flavor", &asked, &names)?;
        Ok(Flavor::ALL
            .into_iter()
            .filter(|flavor| asked.is_empty() || asked.iter().any(|name| name == flavor.name()))
            .collect())
    }

    /// What `--list` prints.
    pub fn list(&self) -> String {
        let options = self.options();
        let mut text = String::from("suites and their cases:\n");
        for suite in suites::ALL {
            text += &format!("  {:<8} {}\n", suite.name, suite.about);
            let mut last = String::new();
            for case in (suite.cases)(&options) {
                if case.name != last {
                    let is_quick = quick::left_out(suite.name, &case.name, case.threads).is_none();
                    let mark = if is_quick { "" } else { " (not by --quick)" };
                    text += &format!("    {:<20} {}{mark}\n", case.name, case.about);
                    last = case.name;
                }
            }
        }
        text += &format!("flavors: {}\n", Flavor::ALL.map(Flavor::name).join(", "));
        text += &format!("peers:   {}\n", peer_names().join(", "));
        text
    }
}

impl Plan {
    /// How long the cases want to take.
    pub fn wanted(&self) -> Want {
        self.cases.iter().map(|(suite, case)| Want::of(suite, case, self.settings)).sum()
    }
}

/// A number of minutes, a fraction allowed.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number")?;
    Duration::try_from_secs_f64(60.0 * minutes).map_err(|error| error.to_string())
}

/// The curve that a case is a point of, or the case itself.
fn curve(case: &str) -> &str {
    case.split_once('@').map_or(case, |(curve, _)| curve)
}

fn in_flavors(contender: &Contender, flavors: &[Flavor]) -> bool {
    contender.flavor.is_none_or(|flavor| flavors.contains(&flavor))
}

fn in_peers(contender: &Contender, peers: &[String]) -> bool {
    contender.kind != Kind::Peer
        || peers.is_empty()
        || peers.iter().any(|peer| *peer == contender.name || (peer == GROUP && contender.name.starts_with("liburcu-")))
}

/// Stands for the five flavors of the C library.
const GROUP: &str = "liburcu";

/// Every peer of every suite, the group, and `none`.
fn peer_names() -> Vec<String> {
    let options = Options { threads: vec![1], quick: true };
    let mut names: BTreeSet<String> = suites::ALL
        .iter()
        .flat_map(|suite| (suite.cases)(&options))
        .flat_map(|case| case.contenders)
        .filter(|contender| contender.kind == Kind::Peer)
        .map(|contender| contender.name)
        .collect();
    names.insert(GROUP.into());
    names.into_iter().chain(["none".into()]).collect()
}

/// Every case of these suites.
fn case_names(suites: &[Suite], options: &Options) -> Vec<String> {
    let mut names = Vec::new();
    for case in suites.iter().flat_map(|suite| (suite.cases)(options)) {
        for name in [curve(&case.name), &case.name] {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// Complains about the first name that is not among the right ones.
fn check(what: &str, asked: &[String], right: &[String]) -> Result<(), String> {
    match asked.iter().find(|name| !right.contains(name)) {
        None => Ok(()),
        Some(name) => Err(format!("there is no {what} `{name}`; the {what}s are: {}", right.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Arguments {
        Arguments::parse_from(std::iter::once(&"bench").chain(words))
    }

    fn contenders(words: &[&str]) -> BTreeSet<String> {
        parse(words)
            .plan()
            .unwrap()
            .cases
            .into_iter()
            .flat_map(|(_, case)| case.contenders)
            .map(|contender| contender.name)
            .collect()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let arguments = parse(&["--only", "read,grace", "--threads", "1,4", "--rounds", "3"]);
        assert_eq!(arguments.only, ["read", "grace"]);
        assert_eq!(arguments.options().threads, [1, 4]);
        assert_eq!(arguments.plan().unwrap().settings.rounds, 3);
    }

    #[test]
    fn single_cases_can_be_chosen() {
        let plan = parse(&["--case", "retire-2,idle"]).plan().unwrap();
        let names: Vec<&str> = plan.cases.iter().map(|(_, case)| case.name.as_str()).collect();
        assert_eq!(names, ["idle", "retire-2"]);
        let error = parse(&["--only", "grace", "--case", "retire-2"]).plan().unwrap_err();
        assert!(error.starts_with("there is no case `retire-2`; the cases are: synchronize, idle, "), "{error}");
    }

    #[test]
    fn a_curve_stands_for_its_points() {
        let names = |words: &[&str]| -> Vec<String> {
            parse(words).plan().unwrap().cases.into_iter().map(|(_, case)| case.name).collect()
        };
        assert_eq!(
            names(&["--case", "registered"]),
            ["registered@1", "registered@10", "registered@100", "registered@1000", "registered@10000"]
        );
        assert_eq!(names(&["--case", "registered", "--quick"]), ["registered@1", "registered@100", "registered@1000"]);
        assert_eq!(names(&["--case", "registered@10000", "--quick"]), ["registered@10000"]);
    }

    #[test]
    fn a_quick_run_covers_every_suite_and_every_peer_in_its_time() {
        let quick = parse(&["--quick"]).plan().unwrap();
        let suites: BTreeSet<&str> = quick.cases.iter().map(|(suite, _)| *suite).collect();
        assert_eq!(suites.len(), suites::ALL.len() - 1, "all but the instructions: {suites:?}");
        let there: BTreeSet<String> = contenders(&["--quick"]);
        let missing: Vec<String> = peer_names()
            .into_iter()
            .filter(|name| ![GROUP, "none"].contains(&name.as_str()) && !there.contains(name))
            .collect();
        assert_eq!(missing, [""; 0]);
        assert_eq!(
            quick.settings.limit.map(|limit| limit.mul_f64(1.0 + quick.settings.late)),
            Some(Duration::from_secs(104))
        );
        assert!(!quick.left_out.is_empty());
        assert!(parse(&[]).plan().unwrap().left_out.is_empty());
    }

    #[test]
    fn a_run_from_a_file_measures_nothing() {
        for words in [["bench", "--from", "a", "--quick"], ["bench", "--quick", "--publish", "--list"]] {
            assert!(Arguments::try_parse_from(words).is_err(), "{words:?}");
        }
        assert!(Arguments::try_parse_from(["bench", "--from", "a", "--baseline", "b", "--report", "c"]).is_ok());
    }

    #[test]
    fn zero_threads_and_zero_rounds_are_refused() {
        for words in [["bench", "--threads", "0"], ["bench", "--rounds", "0"]] {
            assert!(Arguments::try_parse_from(words).is_err());
        }
    }

    #[test]
    fn unknown_names_are_answered_with_the_right_ones() {
        let suite = parse(&["--only", "reed"]).plan().unwrap_err();
        assert_eq!(
            suite,
            "there is no suite `reed`; the suites are: read, grace, reclaim, list, stack, queue, map, route, mixing, scale, shm, \
             instructions"
        );
        let flavor = parse(&["--flavor", "mb,foo"]).plan().unwrap_err();
        assert_eq!(flavor, "there is no flavor `foo`; the flavors are: qsbr, mb, membarrier, signal, bp");
        let peer = parse(&["--peer", "crossbeam"]).plan().unwrap_err();
        assert!(peer.starts_with("there is no peer `crossbeam`; the peers are: "), "{peer}");
    }

    #[test]
    fn a_flavor_selects_ours_and_the_c_librarys_and_keeps_peers_without_flavors() {
        for spelling in ["membarrier", "memb", "urcu-membarrier"] {
            let names = contenders(&["--only", "read", "--flavor", spelling]);
            assert!(names.contains("urcu-membarrier"), "{names:?}");
            assert!(names.contains("liburcu-memb"));
            assert!(names.contains("kovan"));
            assert!(!names.contains("urcu-mb"));
            assert!(!names.contains("liburcu-mb"));
        }
    }

    #[test]
    fn peers_can_be_chosen_as_a_group_or_left_out() {
        let group = contenders(&["--only", "read", "--peer", "liburcu"]);
        assert!(group.contains("liburcu-qsbr") && !group.contains("kovan"));
        let nobody = contenders(&["--only", "read", "--peer", "none"]);
        assert!(nobody.contains("urcu-mb") && nobody.contains("limit:plain-load"));
        assert!(!nobody.iter().any(|name| name.starts_with("liburcu")));
    }

    #[test]
    fn the_thread_counts_of_the_command_line_reach_the_suite() {
        let plan = parse(&["--only", "read", "--threads", "3"]).plan().unwrap();
        assert!(plan.cases.iter().all(|(_, case)| case.threads == 3));
    }

    #[test]
    fn names_are_unique_within_a_case_and_limits_exist() {
        for (suite, case) in Arguments::default().plan().unwrap().cases {
            let names: BTreeSet<&str> = case.contenders.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(names.len(), case.contenders.len(), "{suite}/{}", case.name);
            for contender in &case.contenders {
                assert!(
                    contender.limit.is_none_or(|limit| names.contains(limit)),
                    "{suite}/{}: {} names a limit that is not there",
                    case.name,
                    contender.name
                );
            }
        }
    }

    #[test]
    fn the_list_names_every_suite_case_flavor_and_peer() {
        let list = Arguments::default().list();
        for name in ["read", "grace", "registered@10000", "reclaim", "retire-drop-1", "qsbr", "liburcu-bp", "kovan"] {
            assert!(list.contains(name), "{name} is not in:\n{list}");
        }
    }
}
