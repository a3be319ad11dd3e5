//! The workspace as cargo sees it: packages, dependencies, features.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Where a package stands in the dependency direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Core,
    Flavor,
    Structure,
    /// Structures in a segment: of one flavor by their nature, and made of others.
    Segment,
    /// Benches, xtask, the conformance suite, fixtures: nothing in the library depends on them.
    Tool,
}

impl Layer {
    /// The layer of one of our own packages, none for a package from elsewhere.
    pub(crate) fn of(package: &str) -> Option<Layer> {
        Some(match package {
            "urcu-core" => Layer::Core,
            "urcu-qsbr" | "urcu-mb" | "urcu-membarrier" | "urcu-signal" | "urcu-bp" | "urcu-shm" => Layer::Flavor,
            "xtask" | "structure-conformance" => Layer::Tool,
            "cds-shm" => Layer::Segment,
            _ if package.starts_with("cds-") => Layer::Structure,
            _ if package.starts_with("urcu-") => Layer::Tool,
            _ => return None,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    manifest_path: PathBuf,
    /// An empty list is cargo's way to say `publish = false`.
    publish: Option<Vec<String>>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None for ordinary dependencies, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// `*` for a path without a version.
    pub(crate) req: String,
    /// Only with a feature.
    #[serde(default)]
    pub(crate) optional: bool,
    /// Only for some targets, or under a `cfg`.
    #[serde(default)]
    pub(crate) target: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Package {
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().expect("a manifest stands in a folder")
    }

    pub(crate) fn manifest(&self) -> &Path {
        &self.manifest_path
    }

    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }

    pub(crate) fn has_library(&self) -> bool {
        let libraries = ["lib", "rlib", "dylib", "cdylib", "staticlib", "proc-macro"];
        self.targets.iter().any(|target| target.kind.iter().any(|kind| libraries.contains(&kind.as_str())))
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Workspace {
    /// Asks cargo, without resolving dependencies, so that it works offline.
    pub(crate) fn load() -> Result<Workspace> {
        let mut cargo = cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        // Set by `cargo run`; a copy of the tree then finds itself, not the one it was built in.
        if let Some(folder) = std::env::var_os("CARGO_MANIFEST_DIR") {
            cargo.current_dir(folder);
        }
        let output = cargo.output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("unexpected answer from cargo metadata")?;
        Ok(Workspace { root: metadata.workspace_root, target: metadata.target_directory, packages: metadata.packages })
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_published())
    }

    pub(crate) fn flavors(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| Layer::of(&package.name) == Some(Layer::Flavor))
    }

    /// A path as people name it: from the top of the workspace.
    pub(crate) fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_its_layer() {
        assert_eq!(Layer::of("urcu-core"), Some(Layer::Core));
        assert_eq!(Layer::of("urcu-bp"), Some(Layer::Flavor));
        assert_eq!(Layer::of("cds-lfht"), Some(Layer::Structure));
        assert_eq!(Layer::of("cds-shm"), Some(Layer::Segment));
        assert_eq!(Layer::of("urcu-conformance"), Some(Layer::Tool));
        assert_eq!(Layer::of("structure-conformance"), Some(Layer::Tool));
        assert_eq!(Layer::of("libc"), None);
    }

    #[test]
    fn an_unpublished_package_is_known() {
        let package = |publish: &str| -> Package {
            serde_json::from_str(&format!(
                r#"{{"name": "a", "manifest_path": "/x/a/Cargo.toml", "publish": {publish},
                    "features": {{}}, "dependencies": [], "targets": [{{"kind": ["lib"]}}]}}"#
            ))
            .expect("valid metadata")
        };
        assert!(package("null").is_published());
        assert!(!package("[]").is_published());
        assert!(package("null").has_library());
        assert_eq!(package("null").folder(), Path::new("/x/a"));
    }
}
