//! `cargo xtask api`: the flavor crates offer the same public items, modules and features.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::api::{self, Allowance, Surface};
use crate::flags::ApiFlags;
use crate::job::{self, Job, Verdict};
use crate::workspace::{Package, Workspace};

/// Differences that are meant, each with its reason.
const ALLOWED: &str = "xtask/api-allow.toml";

pub(crate) fn run(flags: &ApiFlags) -> Result<ExitCode> {
    match &flags.print {
        Some(name) => print(name),
        None => job::alone("api", "the same public API in every flavor crate", step),
    }
}

fn print(name: &str) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    let Some(package) = workspace.flavors().find(|package| package.name == name) else {
        bail!("no flavor crate is called `{name}`");
    };
    for (item, signature) in surface(package)? {
        println!("{item}\n    {signature}");
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    let crates = surfaces(job.workspace)?;
    let allowed = allowances(&job.workspace.root.join(ALLOWED))?;
    let problems = api::compare(&crates, &allowed);
    if problems.is_empty() {
        let items = crates.values().map(BTreeMap::len).max().unwrap_or(0);
        job.say(format!("{} crates agree on {items} items", crates.len()));
    } else {
        problems.iter().for_each(|line| job.say(line.clone()));
        job.say(format!("a difference that is meant goes into {ALLOWED} with its reason"));
    }
    Ok(Verdict::of(problems.is_empty()))
}

fn surfaces(workspace: &Workspace) -> Result<BTreeMap<String, Surface>> {
    workspace.flavors().map(|package| Ok((package.name.clone(), surface(package)?))).collect()
}

/// Public items and features of a crate.
fn surface(package: &Package) -> Result<Surface> {
    let mut surface = api::read(package.folder(), &package.name)?;
    for (feature, enables) in &package.features {
        surface.insert(format!("feature {feature}"), enables.join(", "));
    }
    Ok(surface)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowFile {
    #[serde(default)]
    difference: Vec<Allowance>,
}

fn allowances(file: &Path) -> Result<Vec<Allowance>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {ALLOWED}"))?;
    let parsed: AllowFile = toml::from_str(&text).with_context(|| format!("cannot parse {ALLOWED}"))?;
    Ok(parsed.difference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    /// A copy of a crate's source with one change.
    struct Changed(PathBuf);

    impl Changed {
        fn new(package: &Package, file: &str, from: &str, to: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-api-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("src")).expect("a folder for the copy");
            for entry in fs::read_dir(package.folder().join("src")).expect("the source") {
                let path = entry.expect("an entry").path();
                let text = fs::read_to_string(&path).expect("a source file, not a folder");
                let name = path.file_name().expect("a file");
                let changed = if name == file { text.replacen(from, to, 1) } else { text.clone() };
                assert_eq!(changed != text, name == file, "`{from}` stands in {file}");
                fs::write(folder.join("src").join(name), changed).expect("a file of the copy");
            }
            Self(folder)
        }
    }

    impl Drop for Changed {
        fn drop(&mut self) {
            // Only litter in a folder for litter.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The real crates agree; every way for one of them to drift away is noticed, and named.
    #[test]
    fn no_crate_can_drift_away() {
        let workspace = Workspace::load().expect("this workspace");
        let allowed = allowances(&workspace.root.join(ALLOWED)).expect("the allow list");
        let crates = surfaces(&workspace).expect("the flavors");
        assert_eq!(crates.len(), 6);
        assert_eq!(api::compare(&crates, &allowed), [""; 0]);

        let drifts = [
            ("lib.rs", "pub fn synchronize()", "pub fn synchronise()", "synchronize"),
            ("lib.rs", "pub fn synchronize()", "fn synchronize()", "synchronize"),
            ("lib.rs", "pub fn synchronize()", "pub fn synchronize(patience: u32)", "synchronize"),
            ("lib.rs", "pub fn synchronize()", "pub unsafe fn synchronize()", "synchronize"),
            ("lib.rs", "pub fn synchronize()", "pub const fn synchronize()", "synchronize"),
            ("lib.rs", "Result<(), InitError>", "Result<(), RegisterError>", "init"),
            ("lib.rs", "value: Box<T>", "value: &T", "retire"),
            ("lib.rs", "<T: Send + 'static>", "<T: 'static>", "retire"),
            ("lib.rs", "#[cfg(feature = \"poll\")]\npub type Polled", "pub type Polled", "Polled"),
            ("lib.rs", "Guard<'t, Flavor>", "Guard<'static, Flavor>", "Guard"),
            ("lib.rs", "pub static FLAVOR: FlavorVtable", "pub static FLAVOR: &FlavorVtable", "FLAVOR"),
            ("lib.rs", "pub fn vtable()", "#[must_use]\npub fn vtable()", "vtable"),
            ("lib.rs", "pub mod raw;", "mod raw;", "raw::synchronize"),
            ("raw.rs", "pub unsafe fn read_lock()", "pub fn read_lock()", "raw::read_lock"),
            ("workers.rs", "pub fn ", "pub fn more() {}\npub fn ", "workers::more"),
            ("flavor.rs", "#[derive(Clone, ", "#[derive(", "impl Clone for Marker"),
            ("flavor.rs", "thread_local!", "impl Mb { pub fn more() {} }\nthread_local!", "Marker::more"),
        ];
        let package = workspace.package("urcu-mb").expect("a flavor");
        for (file, from, to, item) in drifts {
            let copy = Changed::new(package, file, from, to);
            let mut surface = api::read(&copy.0, &package.name).expect("a surface");
            surface.extend(
                crates["urcu-mb"]
                    .iter()
                    .filter(|(item, _)| item.starts_with("feature "))
                    .map(|(item, enables)| (item.clone(), enables.clone())),
            );
            let mut drifted = crates.clone();
            drifted.insert(package.name.clone(), surface);
            let problems = api::compare(&drifted, &allowed);
            let named = format!("`{item}` is not the same everywhere:");
            assert!(problems.contains(&named), "{file}: `{to}` gives {problems:#?}");
        }

        let mut drifted = crates;
        drifted.entry("urcu-mb".to_owned()).or_default().remove("feature poll");
        assert_ne!(api::compare(&drifted, &allowed), [""; 0], "a missing feature");
    }
}
