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
    let mut crates = BTreeMap::new();
    for package in job.workspace.flavors() {
        crates.insert(package.name.clone(), surface(package)?);
    }
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
