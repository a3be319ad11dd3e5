//! `cargo xtask asm`: the machine code of the read side against the committed listings.
//!
//! The fixture (`xtask/asm-fixture`) holds small functions named `<flavor>_<function>`; each has its listing in
//! `urcu-<flavor>/tests/asm/<function>.x86_64.s`. Independent of listings, some pairs must be equal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::asm::{self, Golden};
use crate::flags::AsmFlags;
use crate::job::{self, Job, Verdict};

const FIXTURE: &str = "urcu-asm-fixture";
const LISTING: &str = ".x86_64.s";

/// Functions of the fixture that must compile to the same instructions: a QSBR reader costs nothing.
const EQUAL: &[(&str, &str)] = &[("qsbr_read_thread", "qsbr_plain_load"), ("qsbr_read_raw", "qsbr_plain_load_raw")];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Compare,
    Strict,
    Bless,
}

pub(crate) fn run(flags: &AsmFlags) -> Result<ExitCode> {
    let mode = match flags {
        AsmFlags { bless: true, .. } => Mode::Bless,
        AsmFlags { strict: true, .. } => Mode::Strict,
        _ => Mode::Compare,
    };
    job::alone("asm", "machine code of the read side", |job| check(job, mode))
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    check(job, Mode::Compare)
}

/// One function of the fixture, as compiled now.
struct Function {
    name: String,
    file: PathBuf,
    body: Vec<String>,
}

fn check(job: &mut Job<'_>, mode: Mode) -> Result<Verdict> {
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Verdict::Skipped("the listings are for x86-64".to_owned()));
    }
    let Some(text) = compile(job)? else {
        return Ok(Verdict::Failed);
    };
    let bodies = asm::functions(&text);
    let functions = by_flavor(job, &bodies);
    if functions.is_empty() {
        bail!("the assembly of {FIXTURE} has no function of any flavor");
    }
    let mut passed = equal(job, &bodies);
    let rustc = rustc_version()?;
    if mode == Mode::Bless {
        bless(job, &functions, &rustc)?;
        return Ok(Verdict::of(passed));
    }
    let mut other_compiler = None;
    for function in &functions {
        let name = &function.name;
        let Ok(text) = std::fs::read_to_string(&function.file) else {
            job.say(format!("error: {name} has no listing; `cargo xtask asm --bless` writes it"));
            passed = false;
            continue;
        };
        let golden = Golden::parse(&text);
        if golden.rustc != rustc && mode != Mode::Strict {
            other_compiler = Some(golden.rustc);
        } else if golden.body == function.body {
            job.say(format!("{name}: as committed ({} lines)", golden.body.len()));
        } else {
            passed = false;
            job.say(format!(
                "error: {name} differs from {} (- committed, + compiled):",
                job.workspace.relative(&function.file).display()
            ));
            for line in asm::difference(&golden.body, &function.body) {
                job.say(format!("    {line}"));
            }
        }
    }
    for file in stale(job, &functions) {
        job.say(format!("error: {} belongs to no function", job.workspace.relative(&file).display()));
        passed = false;
    }
    Ok(match other_compiler {
        Some(listed) if passed => Verdict::Skipped(format!("the listings were made by {listed}, this is {rustc}")),
        _ => Verdict::of(passed),
    })
}

/// The assembly of the fixture, none when it does not compile.
fn compile(job: &mut Job<'_>) -> Result<Option<String>> {
    let folder = job.workspace.target.join("xtask-asm");
    std::fs::create_dir_all(&folder).context("cannot create a folder for the assembly")?;
    let file = folder.join("fixture.s");
    // A fixture that cargo holds for fresh would leave no assembly, or leave an old one standing.
    let clean = job.cargo(&["clean", "--quiet", "--release", "--package", FIXTURE]);
    if !job.run(clean)? {
        return Ok(None);
    }
    // A binary, because its thread-local accesses are those of a program after linking.
    let mut command = job.cargo(&["rustc", "--release", "--package", FIXTURE, "--bin", FIXTURE, "--"]);
    command
        .arg(format!("--emit=asm={}", file.display()))
        .args(["-C", "codegen-units=1", "-C", "debuginfo=0", "-C", "llvm-args=-x86-asm-syntax=intel"])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if !job.run(command)? {
        return Ok(None);
    }
    std::fs::read_to_string(&file).map(Some).context("the compiler left no assembly")
}

fn by_flavor(job: &Job<'_>, bodies: &BTreeMap<String, Vec<String>>) -> Vec<Function> {
    let mut functions = Vec::new();
    for package in job.workspace.flavors() {
        let prefix = format!("{}_", package.name.trim_start_matches("urcu-"));
        for (name, body) in bodies {
            if let Some(short) = name.strip_prefix(&prefix) {
                functions.push(Function {
                    name: name.clone(),
                    file: package.folder().join("tests/asm").join(format!("{short}{LISTING}")),
                    body: body.clone(),
                });
            }
        }
    }
    functions
}

fn equal(job: &mut Job<'_>, bodies: &BTreeMap<String, Vec<String>>) -> bool {
    let mut passed = true;
    for (name, plain) in EQUAL {
        match (bodies.get(*name), bodies.get(*plain)) {
            (Some(body), Some(other)) if body == other => {
                job.say(format!("{name}: the instructions of {plain}, no more"));
            }
            (Some(body), Some(other)) => {
                passed = false;
                job.say(format!("error: {name} costs more than {plain} (- {plain}, + {name}):"));
                for line in asm::difference(other, body) {
                    job.say(format!("    {line}"));
                }
            }
            _ => {
                passed = false;
                job.say(format!("error: the fixture lacks {name} or {plain}"));
            }
        }
    }
    passed
}

fn bless(job: &mut Job<'_>, functions: &[Function], rustc: &str) -> Result<()> {
    for Function { name, file, body } in functions {
        let folder = file.parent().expect("listings stand in a folder");
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let golden = Golden { rustc: rustc.to_owned(), body: body.clone() };
        std::fs::write(file, golden.render()).with_context(|| format!("cannot write {}", file.display()))?;
        job.say(format!("{name}: written to {}", job.workspace.relative(file).display()));
    }
    for file in stale(job, functions) {
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        job.say(format!("{} removed", job.workspace.relative(&file).display()));
    }
    Ok(())
}

/// Listings whose function is gone.
fn stale(job: &Job<'_>, functions: &[Function]) -> Vec<PathBuf> {
    let folders = job.workspace.flavors().map(|package| package.folder().join("tests/asm"));
    let files = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    files
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(LISTING))
        .filter(|path| functions.iter().all(|function| function.file != *path))
        .collect()
}

fn rustc_version() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("cannot start rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
