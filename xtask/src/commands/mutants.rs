//! `cargo xtask mutants`: weakens the program in one place at a time, and proves that a test turns red for it.
//!
//! The test programs are built once, with `--cfg urcu_mutants`; an environment variable then says what is weakened. Three builds:
//! for the machine as it is, under the model checker, and under ThreadSanitizer, which needs nightly: the machine hides most
//! weaker orders, the other two show them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::sanitize;
use crate::flags::MutantsFlags;
use crate::job::{self, Job, Verdict};
use crate::mutants::{self, Build, Control, Entry, Mutant, Table, search_of};
use crate::programs::{self, Program};
use crate::progress::seconds;
use crate::workspace::{Layer, Workspace};

const TABLE: &str = "xtask/mutants.toml";
/// Longer than any of the tests takes; what has not ended by then hangs, which is red.
const LIMIT: Duration = Duration::from_secs(90);
/// How often a test gets the chance to turn red, where that takes luck.
const ATTEMPTS: usize = 4;
/// Tests that take longer are not tried when a test for a new mutant is looked for.
const LONGEST: Duration = Duration::from_secs(12);

pub(crate) fn run(flags: &MutantsFlags) -> Result<ExitCode> {
    job::alone("mutants", "a red test for everything that can be weakened", |job| check(job, flags))
}

/// One mutant, and where it is.
struct Case {
    file: String,
    mutant: Mutant,
    entry: Option<Entry>,
}

impl Case {
    /// The test that turns red, if one is named.
    fn control(&self) -> Option<&Control> {
        match &self.entry {
            Some(Entry::Caught(control)) => Some(control),
            _ => None,
        }
    }

    fn is_named(&self, wanted: &[String]) -> bool {
        wanted.is_empty() || wanted.iter().any(|part| self.mutant.name.contains(part) || self.file.contains(part))
    }
}

fn check(job: &mut Job<'_>, flags: &MutantsFlags) -> Result<Verdict> {
    job.echo();
    let path = job.workspace.root.join(TABLE);
    let mut table = match std::fs::read_to_string(&path) {
        Ok(text) => Table::parse(&text)?,
        Err(_) if flags.bless => Table::default(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {TABLE}")),
    };
    let mut cases = cases(job.workspace, &table)?;
    let gone = table.keep(|file, name| cases.iter().any(|case| case.file == file && case.mutant.name == name));
    cases.retain(|case| case.is_named(&flags.only));
    if flags.list {
        for case in &cases {
            let entry = match &case.entry {
                Some(Entry::Caught(control)) => control.to_string(),
                Some(Entry::Uncaught(why)) => format!("NOT CAUGHT: {why}"),
                None => "no entry".to_owned(),
            };
            job.say(format!("{}: {} | {entry} | URCU_MUTANT='{}'", case.file, case.mutant.name, case.mutant.switch));
        }
        return Ok(Verdict::Passed);
    }
    if flags.bless {
        bless(job, flags, &mut table, &cases)?;
        std::fs::write(&path, table.show()).with_context(|| format!("cannot write {TABLE}"))?;
        return Ok(Verdict::Passed);
    }
    for name in &gone {
        job.count_failure(&format!("{TABLE} names what is not there any more: {name}"));
    }
    for case in cases.iter().filter(|case| case.entry.is_none()) {
        job.count_failure(&format!("no entry in {TABLE}: {}: {}", case.file, case.mutant.name));
    }
    let all_there = gone.is_empty() && cases.iter().all(|case| case.entry.is_some());
    let all_red = prove(job, flags, &cases)?;
    Ok(Verdict::of(all_there && all_red))
}

/// Everything that can be weakened in the library crates.
fn cases(workspace: &Workspace, table: &Table) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for package in &workspace.packages {
        if !matches!(Layer::of(&package.name), Some(Layer::Core | Layer::Flavor | Layer::Structure | Layer::Segment)) {
            continue;
        }
        let mut files = Vec::new();
        sources(&package.folder().join("src"), &mut files)?;
        for path in files {
            let file = workspace.relative(&path).to_string_lossy().into_owned();
            // The switch itself.
            if file.starts_with("urcu-core/src/sync") {
                continue;
            }
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
            for mutant in mutants::find(&file, &text)? {
                let entry = table.get(&file, &mutant.name).cloned();
                cases.push(Case { file: file.clone(), mutant, entry });
            }
        }
    }
    Ok(cases)
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Green,
    Red,
    /// No test of that name was run.
    Missing,
}

/// Test programs that have been built.
struct Programs {
    /// By build, package and target.
    built: BTreeMap<(Build, String, String), Program>,
    suppressions: PathBuf,
    scratch: PathBuf,
    numbers: AtomicUsize,
}

impl Programs {
    fn build(job: &mut Job<'_>, wanted: &BTreeSet<(Build, String, String)>) -> Result<Programs> {
        let target = job.workspace.target.join("mutants");
        let mut programs = Programs {
            built: BTreeMap::new(),
            suppressions: job.workspace.root.join(sanitize::THREAD_SUPPRESSIONS),
            scratch: target.clone(),
            numbers: AtomicUsize::new(0),
        };
        for build in Build::ALL {
            let of_build: Vec<_> = wanted.iter().filter(|(other, ..)| *other == build).collect();
            if of_build.is_empty() {
                continue;
            }
            if build == Build::Thread && !sanitize::has_nightly(job) {
                job.say("there is no nightly toolchain: what ThreadSanitizer has to find is skipped".to_owned());
                continue;
            }
            let mut command = match build {
                Build::Thread => sanitize::nightly(),
                _ => job.cargo(&[]),
            };
            command.current_dir(&job.workspace.root).args([
                "test",
                "--no-run",
                "--message-format",
                "json-render-diagnostics",
            ]);
            command.arg("--target-dir").arg(target.join(build.name()));
            command.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
            match build {
                Build::Native => command.env("RUSTFLAGS", "--cfg urcu_mutants"),
                Build::Loom => command.env("RUSTFLAGS", "--cfg urcu_mutants --cfg urcu_loom").arg("--release"),
                Build::Thread => command
                    .env("RUSTFLAGS", format!("{} --cfg urcu_mutants", sanitize::THREAD_FLAGS))
                    .args(["--target", sanitize::TARGET]),
            };
            for package in of_build.iter().map(|(_, package, _)| package).collect::<BTreeSet<_>>() {
                command.args(["--package", package]);
            }
            for target in of_build.iter().map(|(_, _, target)| target.as_str()).collect::<BTreeSet<_>>() {
                match target {
                    "lib" => command.arg("--lib"),
                    name => command.args(["--test", name]),
                };
            }
            let Some(lines) = job.lines(command)? else { bail!("the {} test programs do not build", build.name()) };
            for program in programs::read(job.workspace, &lines) {
                programs.built.insert((build, program.package.clone(), program.target.clone()), program);
            }
        }
        Ok(programs)
    }

    fn has(&self, control: &Control) -> bool {
        self.built.contains_key(&(control.build, control.package.clone(), control.target.clone()))
    }

    fn command(&self, control: &Control) -> Option<Command> {
        let program = self.built.get(&(control.build, control.package.clone(), control.target.clone()))?;
        let mut command = Command::new(&program.path);
        command
            .current_dir(&program.folder)
            .env("RUST_BACKTRACE", "0")
            .env("URCU_PATIENCE", "0.2")
            .env_remove("URCU_MUTANT");
        command.env("TSAN_OPTIONS", sanitize::thread_options(&self.suppressions));
        Some(command)
    }

    /// The names of the tests of a program.
    fn tests(&self, control: &Control) -> Result<Vec<String>> {
        let Some(mut command) = self.command(control) else { return Ok(Vec::new()) };
        let output = command.arg("--list").output().context("cannot start a test program")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    /// Runs one test, with the mutant if there is one.
    fn run(&self, control: &Control, switch: Option<&str>) -> Result<Colour> {
        let mut command = self.command(control).with_context(|| format!("not built: {control}"))?;
        command.args(["--exact", &control.test, "--test-threads", "1"]);
        if let Some(switch) = switch {
            command.env("URCU_MUTANT", switch);
        }
        // Relaxed: any number will do, once.
        let scratch = self.scratch.join(format!("output-{}", self.numbers.fetch_add(1, Ordering::Relaxed)));
        let output = File::create(&scratch).context("cannot write a test's output")?;
        let error = output.try_clone().context("cannot write a test's output")?;
        command.stdin(Stdio::null()).stdout(output).stderr(error).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {control}"))?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().context("cannot wait for a test")? {
                break Some(status);
            }
            if started.elapsed() > LIMIT {
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // Whatever it has left behind.
        let _ = signal::killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        let _ = child.wait();
        let text = String::from_utf8_lossy(&std::fs::read(&scratch).unwrap_or_default()).into_owned();
        let _ = std::fs::remove_file(&scratch);
        Ok(match status {
            Some(status) if status.success() && text.contains("test result: ok. 1 passed") => Colour::Green,
            Some(status) if status.success() => Colour::Missing,
            _ => Colour::Red,
        })
    }

    /// Runs it until it is red, as often as may be.
    fn turns_red(&self, control: &Control, switch: &str, attempts: usize) -> Result<Colour> {
        let mut colour = Colour::Green;
        for _ in 0..attempts {
            colour = self.run(control, Some(switch))?;
            if colour != Colour::Green {
                break;
            }
            if control.build == Build::Loom {
                // The model checker does the same each time.
                break;
            }
        }
        Ok(colour)
    }
}

/// Works on all of `items`, several at a time.
fn in_parallel<T: Sync, R: Send>(jobs: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                // Relaxed: a number that nobody else gets.
                while let Some((index, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                {
                    let result = work(item);
                    done.lock().expect("nobody panics with it").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The table's tests: green as the program is, red when it is weakened.
fn prove(job: &mut Job<'_>, flags: &MutantsFlags, cases: &[Case]) -> Result<bool> {
    let controls: BTreeSet<&Control> = cases
        .iter()
        .filter_map(|case| match &case.entry {
            Some(Entry::Caught(control)) => Some(control),
            _ => None,
        })
        .collect();
    let wanted = controls.iter().map(|it| (it.build, it.package.clone(), it.target.clone())).collect();
    let started = Instant::now();
    let programs = Programs::build(job, &wanted)?;
    job.say(format!("built in {}; {} tests without a mutant", seconds(started.elapsed()), controls.len()));
    let controls: Vec<&Control> = controls.into_iter().filter(|control| programs.has(control)).collect();
    let green = in_parallel(flags.jobs(), &controls, |control| programs.run(control, None));
    let mut all_well = true;
    for (control, colour) in controls.iter().zip(green) {
        let colour = colour?;
        if colour != Colour::Green {
            job.count_failure(&format!("{colour:?} without any mutant: {control}"));
            all_well = false;
        }
    }
    let outcomes = in_parallel(flags.jobs(), cases, |case| {
        let started = Instant::now();
        let outcome = match &case.entry {
            Some(Entry::Caught(control)) if programs.has(control) => {
                programs.turns_red(control, &case.mutant.switch, ATTEMPTS).map(Some)
            }
            _ => Ok(None),
        };
        (outcome, started.elapsed())
    });
    let (mut caught, mut listed, mut missed, mut skipped) = (0, 0, 0, 0);
    for (case, (outcome, time)) in cases.iter().zip(outcomes) {
        let (result, control) = match (outcome?, &case.entry) {
            (Some(Colour::Red), Some(Entry::Caught(control))) => {
                caught += 1;
                ("caught".to_owned(), control.to_string())
            }
            (Some(colour), Some(Entry::Caught(control))) => {
                missed += 1;
                job.count_failure(&format!("{colour:?} with a mutant: {}: {}", case.file, case.mutant.name));
                ("NOT CAUGHT, though it should be".to_owned(), control.to_string())
            }
            (_, Some(Entry::Uncaught(why))) => {
                listed += 1;
                ("NOT CAUGHT".to_owned(), why.clone())
            }
            (None, Some(Entry::Caught(control))) => {
                skipped += 1;
                ("skipped".to_owned(), control.to_string())
            }
            (_, None) => continue,
        };
        job.say(format!("{:<28} {} | {result} | {control} | {}", case.file, case.mutant.name, seconds(time)));
    }
    job.say(format!(
        "{} mutants: {caught} caught, {listed} listed as not caught, {missed} not caught against the table, {skipped} skipped; {}",
        cases.len(),
        seconds(started.elapsed())
    ));
    Ok(all_well && missed == 0)
}

/// Looks for tests that catch what no test is named for, or a test that does not turn red any more.
fn bless(job: &mut Job<'_>, flags: &MutantsFlags, table: &mut Table, cases: &[Case]) -> Result<()> {
    let may_be_open = |case: &&Case| match &case.entry {
        None | Some(Entry::Caught(_)) => true,
        Some(Entry::Uncaught(_)) => flags.again,
    };
    let cases: Vec<&Case> = cases.iter().filter(may_be_open).collect();
    // The tests that are named already: most of them still turn red.
    let named: BTreeSet<&Control> = cases.iter().filter_map(|case| case.control()).collect();
    let patterns: BTreeSet<&str> = cases.iter().flat_map(|case| search_of(&case.file).tests).copied().collect();
    let patterns: Vec<(&str, Control)> =
        patterns.into_iter().map(|pattern| Ok((pattern, pattern.parse()?))).collect::<Result<_>>()?;
    let all = named.iter().copied().chain(patterns.iter().map(|(_, it)| it));
    let wanted = all.map(|it| (it.build, it.package.clone(), it.target.clone())).collect();
    let programs = Programs::build(job, &wanted)?;
    let named: Vec<&Control> = named.into_iter().filter(|control| programs.has(control)).collect();
    let green = in_parallel(flags.jobs(), &named, |control| programs.run(control, None));
    let mut sound = BTreeSet::new();
    for (control, colour) in named.into_iter().zip(green) {
        if colour? == Colour::Green {
            sound.insert(control);
        }
    }
    let still_red = in_parallel(flags.jobs(), &cases, |case| match case.control() {
        Some(control) if sound.contains(control) => {
            programs.turns_red(control, &case.mutant.switch, ATTEMPTS).map(|colour| colour == Colour::Red)
        }
        // Without its build nothing is known better than what the table says.
        Some(control) => Ok(!programs.has(control)),
        None => Ok(false),
    });
    let mut open = Vec::new();
    for (case, still_red) in cases.into_iter().zip(still_red) {
        if !still_red? {
            open.push(case);
        }
    }
    job.say(format!("{} to find a test for", open.len()));
    let mut tests = BTreeMap::new();
    for (pattern, control) in &patterns {
        if open.iter().any(|case| search_of(&case.file).tests.contains(pattern)) {
            tests.insert(*pattern, quick_and_green(job, flags, &programs, control)?);
        }
    }
    let found = Mutex::new(());
    let results = in_parallel(flags.jobs(), &open, |case| -> Result<Option<Control>> {
        for control in search_of(&case.file).tests.iter().flat_map(|pattern| &tests[pattern]) {
            if programs.run(control, Some(&case.mutant.switch))? == Colour::Red
                // Once more, lest it is red by chance.
                && programs.run(control, None)? == Colour::Green
                && programs.turns_red(control, &case.mutant.switch, ATTEMPTS)? == Colour::Red
            {
                let _one_at_a_time = found.lock();
                println!("{}: {} | {control}", case.file, case.mutant.name);
                return Ok(Some(control.clone()));
            }
        }
        let _one_at_a_time = found.lock();
        println!("{}: {} | nothing", case.file, case.mutant.name);
        Ok(None)
    });
    for (case, result) in open.iter().zip(results) {
        let entry = match (result?, &case.entry) {
            (Some(control), _) => Entry::Caught(control),
            (None, Some(Entry::Uncaught(why))) => Entry::Uncaught(why.clone()),
            (None, _) => Entry::Uncaught(search_of(&case.file).uncaught.to_owned()),
        };
        table.set(&case.file, &case.mutant.name, entry);
    }
    Ok(())
}

/// The tests that a pattern names, the quickest first.
fn quick_and_green(
    job: &mut Job<'_>,
    flags: &MutantsFlags,
    programs: &Programs,
    pattern: &Control,
) -> Result<Vec<Control>> {
    let (start, end) = pattern.test.split_once('*').unwrap_or((&pattern.test, ""));
    let names = programs.tests(pattern)?.into_iter().filter(|name| name.starts_with(start) && name.ends_with(end));
    let all: Vec<Control> = names.map(|test| Control { test, ..pattern.clone() }).collect();
    let times = in_parallel(flags.jobs(), &all, |control| {
        let started = Instant::now();
        (programs.run(control, None), started.elapsed())
    });
    let mut usable = Vec::new();
    for (control, (colour, time)) in all.into_iter().zip(times) {
        match colour? {
            Colour::Green if time <= LONGEST => usable.push((time, control)),
            Colour::Green => job.say(format!("takes {}: {control}", seconds(time))),
            colour => job.say(format!("{colour:?} without a mutant: {control}")),
        }
    }
    usable.sort();
    Ok(usable.into_iter().map(|(_, control)| control).collect())
}
