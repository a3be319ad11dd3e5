//! `cargo xtask spin`: the Promela model of the grace period, in all its variants.
//!
//! Those that keep the rules must have no counter-example, those that break one must have one; its schedule is kept in the
//! repository, where the tests replay it without spin.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::flags::SpinFlags;
use crate::job::{self, Job, Verdict};

const MODELS: &str = "urcu-core/models";
const MODEL: &str = "grace_period.pml";

/// One line of `variants.txt`.
#[derive(Debug, PartialEq, Eq)]
struct Variant {
    name: String,
    holds: bool,
    /// Takes too long for every change.
    large: bool,
    switches: Vec<String>,
}

pub(crate) fn run(flags: &SpinFlags) -> Result<ExitCode> {
    job::alone("spin", "the model of the grace period", |job| check(job, &flags.only, true, flags.bless))
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    check(job, &[], false, false)
}

fn check(job: &mut Job<'_>, only: &[String], large: bool, bless: bool) -> Result<Verdict> {
    const SHORT: Duration = Duration::from_secs(20);
    for (program, argument) in [("spin", "-V"), ("cc", "--version")] {
        let mut command = Command::new(program);
        command.arg(argument);
        if !job.probe(command, SHORT) {
            return Ok(Verdict::Skipped(format!("{program} is not installed (Debian: spin, gcc)")));
        }
    }
    let folder = job.workspace.root.join(MODELS);
    let list = fs::read_to_string(folder.join("variants.txt")).context("the list of variants")?;
    let variants = parse(&list)?;
    if let Some(unknown) = only.iter().find(|name| variants.iter().all(|variant| variant.name != **name)) {
        bail!("no variant is called `{unknown}`");
    }
    let mut passed = true;
    let chosen = |variant: &&Variant| (only.is_empty() || only.contains(&variant.name)) && (large || !variant.large);
    for variant in variants.iter().filter(chosen) {
        passed &= one(job, &folder, variant, bless).with_context(|| format!("variant {}", variant.name))?;
    }
    Ok(Verdict::of(passed))
}

fn parse(list: &str) -> Result<Vec<Variant>> {
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let (Some(name), Some(verdict)) = (words.next(), words.next()) else {
                bail!("a name and a verdict: {line}");
            };
            let holds = match verdict.as_str() {
                "holds" | "holds-large" => true,
                "fails" | "fails-large" => false,
                _ => bail!("`{verdict}` of {name} is none of holds, fails, holds-large, fails-large"),
            };
            let large = verdict.ends_with("-large");
            Ok(Variant { name, holds, large, switches: words.collect() })
        })
        .collect()
}

/// Generates, compiles and runs the checker of one variant, below the target folder.
fn one(job: &mut Job<'_>, models: &Path, variant: &Variant, bless: bool) -> Result<bool> {
    let folder = job.workspace.target.join("spin").join(&variant.name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let command = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(&folder).args(words);
        command
    };
    let model = models.join(MODEL);
    let mut spin = command("spin", &["-a"]);
    spin.args(&variant.switches).arg(&model);
    // Breadth first where a counter-example is expected, so that it is short, and memory allows.
    let search = if variant.holds || variant.large { "-DCOLLAPSE" } else { "-DBFS" };
    let compiler = command("cc", &["-O2", "-w", "-DSAFETY", search, "-o", "pan", "pan.c"]);
    if !job.run(spin)? || !job.run(compiler)? {
        job.count_failure("the model's checker could not be made");
        return Ok(false);
    }
    let checked = job.run(command(&folder.join("pan").to_string_lossy(), &["-m1000000"]))?;
    let trail = folder.join(format!("{MODEL}.trail"));
    let found = trail.exists();
    let states = if variant.holds { "no counter-example" } else { "a counter-example" };
    if !checked || found == variant.holds {
        job.count_failure(&format!("{}: {states} was expected", variant.name));
        return Ok(false);
    }
    job.say(format!("{}: {states}, as expected", variant.name));
    if found && bless {
        let mut replay = command("spin", &["-t", "-B", "-T", "-k"]);
        let output = replay.arg(&trail).args(&variant.switches).arg(&model).output().context("spin -t")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let file = models.join("traces").join(format!("{}.txt", variant.name));
        fs::write(&file, schedule(&text)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(true)
}

/// The model's own lines of what spin prints.
fn schedule(text: &str) -> String {
    let own = |line: &&str| ["reader ", "updater ", "buffer "].iter().any(|actor| line.starts_with(actor));
    text.lines().map(str::trim).filter(own).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_read() {
        let variants = parse("# x\n\none  holds-large -DA -DB=2\n two fails -DC\n").expect("well formed");
        assert_eq!(variants[0].switches, ["-DA", "-DB=2"]);
        assert!(variants[0].holds && variants[0].large && !variants[1].holds && !variants[1].large);
        assert!(parse("one perhaps").is_err());
    }

    #[test]
    fn schedules_are_the_models_own_lines() {
        let text = "reader 0 R1\n      buffer 1\nspin: text of failed assertion\nupdater 0 free\n";
        assert_eq!(schedule(text), "reader 0 R1\nbuffer 1\nupdater 0 free\n");
    }
}
