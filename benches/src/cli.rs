//! The command line.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::harness::plan::{Case, Contender, Flavor, Kind, Options, Suite};
use crate::harness::run::Settings;
use crate::suites;

/// Every flavor and structure against its peers and the physical limit, on this machine, in one run.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub struct Arguments {
    /// Fewer and shorter rounds: enough to see who is ahead.
    #[arg(long)]
    pub quick: bool,
    /// These suites only (`--list` names them).
    #[arg(long, value_name = "SUITE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// These cases only (`--list` names them).
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
    /// Writes one line of JSON per row to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Names suites, cases, flavors and peers, and stops.
    #[arg(long)]
    pub list: bool,
    /// Used by the program on itself: idles with this implementation's worker and prints the processor time of it.
    #[arg(long, value_name = "NAME", hide = true)]
    pub idle_process: Option<String>,
    /// Used by the program on itself: fills this map and prints its bytes per entry.
    #[arg(long, value_name = "NAME", hide = true)]
    pub map_process: Option<String>,
    /// How many entries either fills it with.
    #[arg(long, value_name = "N", hide = true, default_value_t = 0)]
    pub map_entries: u64,
    /// How long it idles.
    #[arg(long, value_name = "N", hide = true, default_value_t = 0)]
    pub idle_ms: u64,
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

        let mut cases = Vec::new();
        for suite in chosen {
            for mut case in (suite.cases)(&options) {
                if !self.cases.is_empty() && !self.cases.contains(&case.name) {
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
        Ok(Plan { cases, settings })
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
                    text += &format!("    {:<20} {}\n", case.name, case.about);
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
    /// About how long the run takes.
    pub fn expected(&self) -> Duration {
        self.each().map(|(_, expected)| expected).sum()
    }

    /// Measurements in the whole run.
    pub fn shots(&self) -> u64 {
        self.each().map(|(shots, _)| shots).sum()
    }

    fn each(&self) -> impl Iterator<Item = (u64, Duration)> {
        self.cases.iter().map(|(_, case)| crate::harness::run::shots(case, self.settings))
    }
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
    let mut names: Vec<String> = suites.iter().flat_map(|suite| (suite.cases)(options)).map(|case| case.name).collect();
    names.dedup();
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
            "there is no suite `reed`; the suites are: read, grace, reclaim, list, stack, queue, map, route, mixing"
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
        for name in ["read", "grace", "registered-10000", "reclaim", "retire-drop-1", "qsbr", "liburcu-bp", "kovan"] {
            assert!(list.contains(name), "{name} is not in:\n{list}");
        }
    }
}
