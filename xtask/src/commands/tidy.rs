//! `cargo xtask tidy`: what compilers cannot check.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::job::{self, Job, Verdict};
use crate::tidy::{self, Finding, Labels, Manifest};
use crate::workspace::Workspace;

/// The rules' own source names labels and words as examples.
const OWN_RULES: &str = "xtask/src/tidy";

pub(crate) fn run() -> Result<ExitCode> {
    job::alone("tidy", "what compilers cannot check", step)
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    let files = tracked_files(job.workspace)?;
    let mut found = manifests(job.workspace)?;
    found.extend(texts(job.workspace, &files));
    let errors = found.iter().filter(|finding| !finding.warning).count();
    found.iter().for_each(|finding| job.say(finding.to_string()));
    job.say(format!("{} files, {errors} errors, {} warnings", files.len(), found.len() - errors));
    Ok(Verdict::of(errors == 0))
}

/// Names of all files that belong to the project, from the top of the workspace.
fn tracked_files(workspace: &Workspace) -> Result<Vec<String>> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&workspace.root)
        .output();
    let mut files: Vec<String> = match git {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect()
        }
        // An unpacked archive is no git repository.
        _ => {
            let mut files = Vec::new();
            walk(workspace, &workspace.root, &mut files)?;
            files
        }
    };
    // Deleted files stay in git's index until the deletion is committed.
    files.retain(|file| workspace.root.join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(workspace: &Workspace, folder: &Path, files: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry.context("cannot read a folder")?.path();
        let is_ours = path != workspace.target && !path.ends_with(".git") && !path.ends_with("target");
        if path.is_dir() && is_ours {
            walk(workspace, &path, files)?;
        } else if path.is_file() {
            files.push(workspace.relative(&path).to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn manifests(workspace: &Workspace) -> Result<Vec<Finding>> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let shared = read(&workspace.root.join("Cargo.toml"))?;
    let mut found = Vec::new();
    for package in &workspace.packages {
        let text = read(package.manifest())?;
        let manifest = Manifest {
            file: &workspace.relative(package.manifest()).to_string_lossy(),
            package: &package.name,
            published: package.is_published(),
            text: &text,
        };
        found.extend(tidy::check_direction(&manifest, &package.dependencies));
        found.extend(tidy::check_count(&manifest, &package.dependencies));
        found.extend(tidy::check_fields(&manifest));
        found.extend(tidy::check_reasons(&manifest, &shared));
    }
    Ok(found)
}

fn texts(workspace: &Workspace, files: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut labels = Labels::default();
    for file in files {
        // Pictures and other data are no text.
        let Ok(text) = std::fs::read_to_string(workspace.root.join(file)) else {
            continue;
        };
        found.extend(tidy::check_words(file, &text));
        if file == "Cargo.lock" {
            found.extend(tidy::check_lock(file, &text));
        }
        if !file.ends_with(".rs") {
            continue;
        }
        let lines = tidy::split(&text);
        found.extend(tidy::check_unsafe(file, &lines));
        found.extend(tidy::check_leaks(file, &lines));
        found.extend(tidy::check_length(file, &lines));
        if has_page(file) {
            found.extend(tidy::check_module_page(file, &lines));
        }
        if !file.starts_with(OWN_RULES) {
            labels.read(file, &lines);
        }
    }
    found.extend(labels.check());
    found
}

/// Sources, and the crate roots among tests, examples and benches; not the small cases of compile-fail tests.
fn has_page(file: &str) -> bool {
    let mut folders = file.rsplit('/').skip(1);
    let parent = folders.next();
    matches!(parent, Some("tests" | "examples" | "benches"))
        || file.split('/').any(|part| part == "src") && !file.split('/').any(|part| part == "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_need_no_page() {
        assert!(has_page("urcu-core/src/sys/mod.rs"));
        assert!(has_page("urcu-mb/tests/conformance.rs"));
        assert!(!has_page("urcu-mb/tests/compile-fail/guard.rs"));
    }
}
