//! `cargo xtask portable`: one library, its test suite with each of the five flavors, one line of its manifest apart.
//!
//! For each flavor the package is copied below the target folder, into a workspace of its own, with that line changed;
//! nothing else is. So this tests what users are promised: not that five crates pass a suite that was written for them, but
//! that an ordinary package needs nothing but the line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use crate::job::{self, Job, Verdict};
use crate::workspace::Package;

const PACKAGE: &str = "urcu-example-portable";
/// Wants a segment before anything else, which a library that names no flavor cannot give it.
const NEEDS_A_SEGMENT: &str = "urcu-shm";
/// The name that the library has for its flavor.
const DEPENDENCY: &str = "rcu";

pub(crate) fn run() -> Result<ExitCode> {
    job::alone("portable", "one library with each of the flavors", step)
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    let workspace = job.workspace;
    let Some(library) = workspace.package(PACKAGE) else {
        bail!("there is no package `{PACKAGE}` in this workspace");
    };
    let top = workspace.target.join("portable");
    let mut passed = true;
    let mut programs = None;
    for flavor in workspace.flavors().filter(|flavor| flavor.name != NEEDS_A_SEGMENT) {
        job.say(format!("{PACKAGE} with {}", flavor.name));
        let folder = top.join(&flavor.name);
        generate(&workspace.root, library, flavor, &folder)
            .with_context(|| format!("cannot write the package for {}", flavor.name))?;
        let before = *job.results();
        let mut command = job.cargo(&["test", "--offline", "--no-fail-fast", "--package", PACKAGE]);
        command.current_dir(&folder).arg("--target-dir").arg(top.join("target"));
        let ended_well = job.run(command)?;
        passed &= ended_well;
        let ran = (job.results().programs - before.programs, job.results().passed - before.passed);
        // The same suite means the same tests: none of them may vanish with a flavor.
        if ended_well && (ran.1 == 0 || *programs.get_or_insert(ran) != ran) {
            job.count_failure("another number of tests than with the first flavor");
            passed = false;
        }
    }
    Ok(Verdict::of(passed))
}

/// Writes a workspace that has the library, with `flavor` in its manifest, as its only member.
fn generate(root: &Path, library: &Package, flavor: &Package, folder: &Path) -> Result<()> {
    let member = folder.join("library");
    if member.exists() {
        fs::remove_dir_all(&member)?;
    }
    copy(library.folder(), &member)?;
    let manifest = fs::read_to_string(library.manifest())?;
    fs::write(member.join("Cargo.toml"), with_flavor(&manifest, &flavor.name, flavor.folder())?)?;
    let shared = fs::read_to_string(root.join("Cargo.toml"))?;
    fs::write(folder.join("Cargo.toml"), with_one_member(&shared)?)?;
    // The versions that everything else is tested with.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let copied: PathBuf = to.join(path.file_name().context("a folder's entry has a name")?);
        if path.is_dir() {
            copy(&path, &copied)?;
        } else {
            fs::copy(&path, &copied)?;
        }
    }
    Ok(())
}

/// The library's manifest with another flavor: one line differs.
fn with_flavor(manifest: &str, flavor: &str, folder: &Path) -> Result<String> {
    let is_flavor = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == DEPENDENCY);
    let found = manifest.lines().filter(|line| is_flavor(line)).count();
    ensure!(found == 1, "`{DEPENDENCY} = …` stands in the manifest {found} times");
    let line = format!("{DEPENDENCY} = {{ package = {flavor:?}, path = {folder:?} }}");
    let lines: Vec<&str> = manifest.lines().map(|old| if is_flavor(old) { &line } else { old }).collect();
    Ok(lines.join("\n") + "\n")
}

/// The workspace's manifest without its members and its dependencies, which name folders.
fn with_one_member(manifest: &str) -> Result<String> {
    let mut table: toml::Table = manifest.parse().context("the workspace's manifest")?;
    let workspace = table.get_mut("workspace").and_then(toml::Value::as_table_mut).context("no `[workspace]`")?;
    workspace.remove("dependencies");
    workspace.insert("members".into(), toml::Value::Array(vec!["library".into()]));
    Ok(toml::to_string(&table)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes() {
        let manifest =
            "[dependencies]\n# The one line.\nrcu = { package = \"urcu-mb\", path = \"../x\" }\nother = \"1\"\n";
        let changed = with_flavor(manifest, "urcu-bp", Path::new("/w/urcu-bp")).expect("one such line");
        let different: Vec<_> = manifest.lines().zip(changed.lines()).filter(|(old, new)| old != new).collect();
        assert_eq!(different.len(), 1);
        assert_eq!(different[0].1, "rcu = { package = \"urcu-bp\", path = \"/w/urcu-bp\" }");
        assert_eq!(manifest.lines().count(), changed.lines().count());
        assert!(with_flavor("[dependencies]\n", "urcu-bp", Path::new("/w")).is_err());
    }

    #[test]
    fn the_workspace_keeps_what_is_shared() {
        let shared = "[workspace]\nmembers = [\"a\", \"b\"]\n[workspace.package]\nedition = \"2024\"\n\
                      [workspace.dependencies]\na = { path = \"a\" }\n[workspace.lints.rust]\nmissing_docs = \"warn\"\n";
        let table: toml::Table = with_one_member(shared).expect("a manifest").parse().expect("TOML");
        let workspace = &table["workspace"];
        assert_eq!(workspace["members"].as_array().map(Vec::len), Some(1));
        assert_eq!(workspace["package"]["edition"].as_str(), Some("2024"));
        assert_eq!(workspace["lints"]["rust"]["missing_docs"].as_str(), Some("warn"));
        assert!(workspace.get("dependencies").is_none());
    }
}
