//! Rules for manifests: dependency direction, shared fields, a reason for every dependency.

use std::collections::BTreeSet;

use super::Finding;
use crate::workspace::{Dependency, Layer};

/// One manifest, as text and parsed.
pub(crate) struct Manifest<'a> {
    pub(crate) file: &'a str,
    pub(crate) package: &'a str,
    pub(crate) published: bool,
    pub(crate) text: &'a str,
}

/// Core knows nobody; flavors and structures know core. Tests may look the other way: core's examples need flavors,
/// structures are tried with all of them.
pub(crate) fn check_direction(manifest: &Manifest<'_>, dependencies: &[Dependency]) -> Vec<Finding> {
    let Some(layer) = Layer::of(manifest.package) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for Dependency { name, kind, req, .. } in dependencies {
        let Some(target) = Layer::of(name) else {
            continue;
        };
        let for_tests = kind.as_deref() == Some("dev");
        let on_segments = layer == Layer::Segment && (target == Layer::Structure || name == "urcu-shm");
        let forward = layer == Layer::Tool || on_segments || target == Layer::Core && layer != Layer::Core;
        let backward = match (layer, target) {
            (_, Layer::Tool) | (Layer::Core | Layer::Structure, Layer::Flavor) => true,
            // A crate may name itself to switch features on.
            _ => name == manifest.package,
        };
        let line = 1 + manifest.text.lines().position(|line| line.starts_with(name)).unwrap_or(0);
        let mut report = |message| found.push(Finding::error(manifest.file, line, message));
        let allowed = forward || backward && for_tests;
        if !allowed {
            let (layer, target) = (format!("{layer:?}").to_lowercase(), format!("{target:?}").to_lowercase());
            report(format!("a {layer} crate depends on {name}, a {target} crate"));
        } else if !forward && req != "*" {
            // Packing drops a development dependency without a version, so that no circle is published.
            report(format!("the dependency on {name} is for tests; name it by path alone, without a version"));
        }
    }
    found
}

/// What published crates may bring into every program: the system's interface, the one trait by which maps from
/// everywhere look up borrowed keys, and, for maps in segments, the traits by which everybody says that any bit pattern is a
/// value. More has to be argued for, here.
const EVERYWHERE: &[&str] = &["equivalent", "libc", "zerocopy"];

/// Published crates depend on next to nothing. Features and other `cfg`s may bring more.
pub(crate) fn check_count(manifest: &Manifest<'_>, dependencies: &[Dependency]) -> Vec<Finding> {
    let is_foreign = |dependency: &&Dependency| {
        dependency.kind.is_none()
            && !dependency.optional
            && dependency.target.is_none()
            && Layer::of(&dependency.name).is_none()
            && !EVERYWHERE.contains(&dependency.name.as_str())
    };
    let foreign = dependencies.iter().filter(|_| manifest.published).filter(is_foreign);
    foreign
        .map(|Dependency { name, .. }| {
            let line = 1 + manifest.text.lines().position(|line| line.starts_with(name.as_str())).unwrap_or(0);
            Finding::error(manifest.file, line, format!("a published crate brings {name} into every program"))
        })
        .collect()
}

/// What every package says about itself, and what it leaves to the workspace.
pub(crate) fn check_fields(manifest: &Manifest<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let table: toml::Table = match manifest.text.parse() {
        Ok(table) => table,
        Err(error) => {
            return vec![Finding::error(manifest.file, 0, format!("cannot be parsed: {error}"))];
        }
    };
    let inherited = |value: Option<&toml::Value>| {
        value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    let package = table.get("package");
    let field = |name: &str| package.and_then(|package| package.get(name));
    let described = field("description")
        .is_some_and(|value| inherited(Some(value)) || value.as_str().is_some_and(|text| !text.trim().is_empty()));
    if !described {
        found.push(Finding::error(manifest.file, 0, "no `description`"));
    }
    let shared: &[&str] = if manifest.published {
        &["version", "edition", "rust-version", "license", "categories", "keywords"]
    } else {
        &["edition", "license"]
    };
    for name in shared {
        if !inherited(field(name)) {
            found.push(Finding::error(manifest.file, 0, format!("`{name}` is not inherited from the workspace")));
        }
    }
    if !inherited(table.get("lints")) {
        found.push(Finding::error(manifest.file, 0, "`lints` are not those of the workspace"));
    }
    found
}

/// Every dependency of a published crate has a comment that says why, here or, when it is inherited, in the
/// workspace's own manifest. Our own crates explain themselves.
pub(crate) fn check_reasons(manifest: &Manifest<'_>, workspace: &str) -> Vec<Finding> {
    if !manifest.published {
        return Vec::new();
    }
    let explained_above: BTreeSet<String> = entries(workspace)
        .into_iter()
        .filter(|entry| entry.section == "workspace.dependencies" && entry.explained)
        .map(|entry| entry.name)
        .collect();
    entries(manifest.text)
        .into_iter()
        .filter(|entry| entry.section.ends_with("dependencies"))
        .filter(|entry| Layer::of(&entry.name).is_none())
        .filter(|entry| {
            let above = entry.inherited && explained_above.contains(&entry.name);
            !(entry.explained || above)
        })
        .map(|entry| Finding::error(manifest.file, entry.line, format!("no comment says why it needs {}", entry.name)))
        .collect()
}

/// One dependency as it stands in a manifest.
struct Entry {
    section: String,
    name: String,
    line: usize,
    /// A comment stands directly above or behind it.
    explained: bool,
    inherited: bool,
}

/// Reads the text by lines, because a parser would drop the comments.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut section = String::new();
    let mut after_comment = false;
    // Brackets left open by a value of several lines.
    let mut open = 0_isize;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let code = trimmed.split('#').next().unwrap_or("").trim();
        let balance = code.chars().map(|c| match c {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        });
        if open > 0 {
            open += balance.sum::<isize>();
        } else if let Some(header) = code.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            header.trim_matches(['[', ']']).clone_into(&mut section);
            // `[dependencies.name]` is an entry in the form of a section.
            if let Some((kind, name)) = section.rsplit_once('.')
                && kind.ends_with("dependencies")
            {
                let (kind, name) = (kind.to_owned(), name.to_owned());
                entries.push(Entry {
                    section: kind,
                    name,
                    line: index + 1,
                    explained: after_comment,
                    inherited: false,
                });
            }
        } else if let Some((key, value)) = code.split_once('=') {
            open += balance.sum::<isize>();
            let name = key.trim().split('.').next().unwrap_or("").trim_matches('"').to_owned();
            let inherited = key.trim().ends_with(".workspace") || value.replace(' ', "").contains("workspace=true");
            let explained = after_comment || trimmed.contains('#');
            entries.push(Entry { section: section.clone(), name, line: index + 1, explained, inherited });
        }
        after_comment = trimmed.starts_with('#');
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest<'a>(package: &'a str, text: &'a str) -> Manifest<'a> {
        Manifest { file: "Cargo.toml", package, published: true, text }
    }

    /// Findings for `package` with one dependency, `name`, of this kind and version.
    fn direction(package: &str, name: &str, kind: Option<&str>, req: &str) -> usize {
        check_direction(&manifest(package, ""), &[dependency(name, kind, req)]).len()
    }

    fn dependency(name: &str, kind: Option<&str>, req: &str) -> Dependency {
        let (name, kind, req) = (name.to_owned(), kind.map(str::to_owned), req.to_owned());
        Dependency { name, kind, req, optional: false, target: None }
    }

    #[test]
    fn published_crates_bring_next_to_nothing() {
        let count = |dependency: Dependency| check_count(&manifest("cds-lfht", ""), &[dependency]).len();
        assert_eq!(count(dependency("libc", None, "1")), 0);
        assert_eq!(count(dependency("urcu-core", None, "1")), 0);
        assert_eq!(count(dependency("rand", Some("dev"), "1")), 0);
        assert_eq!(count(dependency("rand", None, "1")), 1);
        assert_eq!(count(Dependency { optional: true, ..dependency("serde", None, "1") }), 0);
        assert_eq!(count(Dependency { target: Some("cfg(x)".to_owned()), ..dependency("loom", None, "1") }), 0);
        let tool = Manifest { published: false, ..manifest("xtask", "") };
        assert_eq!(check_count(&tool, &[dependency("rand", None, "1")]).len(), 0);
    }

    #[test]
    fn dependencies_point_to_the_core() {
        let good = [
            ("urcu-core", "libc"),
            ("urcu-mb", "urcu-core"),
            ("cds-lfht", "urcu-core"),
            ("cds-lfht", "rand"),
            ("urcu-benches", "urcu-mb"),
            ("urcu-benches", "cds-lfht"),
            ("cds-shm", "urcu-core"),
            ("cds-shm", "urcu-shm"),
            ("cds-shm", "cds-lfht"),
        ];
        for (package, name) in good {
            assert_eq!(direction(package, name, None, "^0.1.0"), 0, "{package} -> {name}");
        }
        let bad = [
            ("urcu-core", "urcu-mb"),
            ("urcu-core", "cds-list"),
            ("urcu-mb", "urcu-bp"),
            ("urcu-mb", "cds-list"),
            ("urcu-mb", "urcu-benches"),
            ("cds-lfht", "urcu-mb"),
            ("cds-lfht", "cds-list"),
            ("cds-shm", "urcu-mb"),
            ("cds-lfht", "cds-shm"),
            ("urcu-shm", "cds-shm"),
        ];
        for (package, name) in bad {
            assert_eq!(direction(package, name, None, "^0.1.0"), 1, "{package} -> {name}");
            assert_eq!(direction(package, name, Some("build"), "*"), 1, "{package} -> {name}");
        }
    }

    #[test]
    fn tests_may_look_back_by_path_alone() {
        let dev = Some("dev");
        let back = [
            ("urcu-core", "urcu-mb"),
            ("urcu-core", "urcu-core"),
            ("urcu-mb", "urcu-conformance"),
            ("cds-lfht", "urcu-mb"),
        ];
        for (package, name) in back {
            assert_eq!(direction(package, name, dev, "*"), 0, "{package} -> {name}");
            assert_eq!(direction(package, name, dev, "^0.1.0"), 1, "{package} -> {name}");
        }
        for (package, name) in [("urcu-mb", "urcu-bp"), ("urcu-mb", "cds-list"), ("urcu-core", "cds-list")] {
            assert_eq!(direction(package, name, dev, "*"), 1, "{package} -> {name}");
        }
    }

    const GOOD: &str = "\
[package]
name = \"urcu-x\"
description = \"A crate\"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
categories.workspace = true
keywords.workspace = true

[lints]
workspace = true
";

    #[test]
    fn shared_fields_are_inherited() {
        assert_eq!(check_fields(&manifest("urcu-x", GOOD)), []);
        let own_licence = GOOD.replace("license.workspace = true", "license = \"MIT\"");
        assert_eq!(check_fields(&manifest("urcu-x", &own_licence)).len(), 1);
        let silent = GOOD.replace("A crate", " ").replace("[lints]", "[other]");
        assert_eq!(check_fields(&manifest("urcu-x", &silent)).len(), 2);
        let tool = Manifest { published: false, ..manifest("urcu-x", &own_licence) };
        assert_eq!(check_fields(&tool).len(), 1);
    }

    #[test]
    fn dependencies_have_reasons() {
        let workspace = "[workspace.dependencies]\n# System calls.\nlibc = \"0.2\"\nrand = \"0.9\"\n";
        let text = "\
[dependencies]
libc.workspace = true
rand = { workspace = true, features = [
    \"small_rng\",
] }
urcu-core.workspace = true
# Named here.
a = \"1\"
b = \"1\"
c = \"1\" # named here too

[features]
d = []

# A reason for the section.
[dev-dependencies.e]
version = \"1\"

[target.'cfg(unix)'.dependencies]
f = \"1\"
";
        let found = check_reasons(&manifest("urcu-x", text), workspace);
        let named: Vec<&str> = found.iter().filter_map(|finding| finding.message.rsplit(' ').next()).collect();
        assert_eq!(named, ["rand", "b", "f"]);
        assert_eq!(found[1].line, 9);
    }
}
