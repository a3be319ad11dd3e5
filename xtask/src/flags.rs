//! The command line: every command and every option of `cargo xtask`.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

/// Commands of this project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything that a change must pass.
    Test(TestFlags),
    /// Build the benchmarks in release mode and run them; all arguments go to them.
    Bench(BenchFlags),
    /// Compare the machine code of the read side with the committed listings.
    Asm(AsmFlags),
    /// Compare the public API of the flavor crates with each other.
    Api(ApiFlags),
    /// Compare the C headers with what the source declares.
    Headers(HeadersFlags),
    /// Run one library's tests with each of the flavors, by changing one line of its manifest.
    Portable,
    /// Run tests under AddressSanitizer, ThreadSanitizer (both on nightly) and valgrind.
    Sanitize(SanitizeFlags),
    /// Run the tests of the library crates on rare schedules: threads stay away for a while at places that a seed chooses.
    Stutter(StutterFlags),
    /// Model-check the packages that have a `tests/loom.rs`.
    Loom(LoomFlags),
    /// Run random programs over all structures and flavors.
    Fuzz(FuzzFlags),
    /// Tell which lines of the library crates the tests run, where LLVM's tools are installed.
    Coverage(CoverageFlags),
    /// Check what comes from elsewhere: licences, advisories, breaking changes.
    Deny,
    /// Weaken the program in one place at a time; a test has to turn red for each.
    Mutants(MutantsFlags),
    /// Build the torture program in release mode and run it; all arguments go to it.
    Torture(TortureFlags),
    /// Check the Promela model of the grace period with spin, in all its variants.
    Spin(SpinFlags),
    /// Check what compilers cannot: dependency direction, SAFETY comments, ordering labels, manifests.
    Tidy,
}

#[derive(Debug, Args)]
pub(crate) struct TestFlags {
    /// Run these steps only (comma-separated; `--list` names them).
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Name the steps and stop.
    #[arg(long)]
    pub(crate) list: bool,
    /// End any single command of a step that runs longer than this.
    #[arg(long, value_name = "MINUTES", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) time_limit: u64,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchFlags {
    /// Arguments of the benchmark program (`--help` shows them).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct TortureFlags {
    /// Arguments of the torture program (`--help` shows them).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct SpinFlags {
    /// Only these variants (comma-separated; `urcu-core/models/variants.txt` lists them).
    #[arg(long, value_name = "VARIANT", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Keep the counter-examples that are found, for the tests to replay.
    #[arg(long)]
    pub(crate) bless: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AsmFlags {
    /// Write the listings instead of comparing them.
    #[arg(long)]
    pub(crate) bless: bool,
    /// Compare even with listings made by another compiler version.
    #[arg(long, conflicts_with = "bless")]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SanitizeFlags {
    /// The tests of this package only.
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) package: Option<String>,
    /// Also what takes too long for every change.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StutterFlags {
    /// Only this package (may be given several times).
    #[arg(long, short, value_name = "PACKAGE")]
    pub(crate) package: Vec<String>,
    /// What the first round chooses its places by; each round after it by the next number. The time unless given.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How often.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct HeadersFlags {
    /// Write the headers instead of comparing them.
    #[arg(long)]
    pub(crate) bless: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApiFlags {
    /// Print the public items of one flavor crate instead of comparing.
    #[arg(long, value_name = "CRATE")]
    pub(crate) print: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LoomFlags {
    /// Only this package (may be given several times).
    #[arg(long, short, value_name = "PACKAGE")]
    pub(crate) package: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CoverageFlags {
    /// Only this package (may be given several times).
    #[arg(long, short, value_name = "PACKAGE")]
    pub(crate) package: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FuzzFlags {
    /// How long, in seconds, all flavors together.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) duration: u64,
    /// What programs are made up from; printed by each run.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Only this flavor, such as `qsbr` (may be given several times).
    #[arg(long, value_name = "FLAVOR", value_delimiter = ',')]
    pub(crate) flavor: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MutantsFlags {
    /// Only mutants whose name or file contains one of these (may be given several times).
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Print the table and stop.
    #[arg(long)]
    pub(crate) list: bool,
    /// Bring the table up to date: prove the tests that it names, look for tests where none is named or one stays green, and
    /// write it. What no test catches gets a reason.
    #[arg(long, conflicts_with = "list")]
    pub(crate) bless: bool,
    /// Look again for tests that catch what the table lists as not caught.
    #[arg(long, requires = "bless")]
    pub(crate) again: bool,
    /// How many tests run at the same time; half of the processors if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

impl MutantsFlags {
    pub(crate) fn jobs(&self) -> usize {
        let half = || std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        self.jobs.unwrap_or_else(half).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }

    #[test]
    fn bench_passes_every_argument_through() {
        let words = ["cargo xtask", "bench", "--only", "read,grace", "--help", "--", "x"];
        let Command::Bench(bench) = Flags::parse_from(words).command else {
            panic!("not the bench command");
        };
        assert_eq!(bench.arguments, ["--only", "read,grace", "--help", "--", "x"]);
    }

    #[test]
    fn steps_are_separated_by_commas() {
        let words = ["cargo xtask", "test", "--only", "fmt,clippy", "--only", "tidy"];
        let Command::Test(test) = Flags::parse_from(words).command else {
            panic!("not the test command");
        };
        assert_eq!(test.only, ["fmt", "clippy", "tidy"]);
    }
}
