//! Whether several crates offer the same public items.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Surface;

/// A difference that is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowance {
    /// Path of the item; a trailing `*` stands for any ending.
    pub(crate) item: String,
    /// The crates that may differ from the others.
    pub(crate) crates: Vec<String>,
    /// Why users are better off with the difference.
    pub(crate) reason: String,
    /// Covers only what the other crates do not have at all: additions, not changes.
    #[serde(default)]
    pub(crate) extra: bool,
}

impl Allowance {
    fn covers(&self, item: &str, all: &BTreeMap<&str, Option<&String>>) -> bool {
        let mut others = all.iter().filter(|(name, _)| !self.crates.iter().any(|own| own == *name));
        if self.extra && others.any(|(_, version)| version.is_some()) {
            return false;
        }
        match self.item.strip_suffix('*') {
            Some(start) => item.starts_with(start),
            None => item == self.item,
        }
    }
}

/// Everything that is wrong, as lines for people; empty when the crates agree.
pub(crate) fn compare(crates: &BTreeMap<String, Surface>, allowed: &[Allowance]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut used = vec![false; allowed.len()];
    let items: BTreeSet<&String> = crates.values().flat_map(BTreeMap::keys).collect();
    for item in items {
        let all: BTreeMap<&str, Option<&String>> =
            crates.iter().map(|(name, surface)| (name.as_str(), surface.get(item))).collect();
        if agree(&all) {
            continue;
        }
        let mut rest = all.clone();
        for (index, allowance) in allowed.iter().enumerate().filter(|(_, allowance)| allowance.covers(item, &all)) {
            used[index] = true;
            rest.retain(|name, _| !allowance.crates.iter().any(|other| other == name));
        }
        if !agree(&rest) {
            problems.extend(report(item, &rest));
        }
    }
    for (allowance, used) in allowed.iter().zip(used) {
        if allowance.reason.trim().is_empty() {
            problems.push(format!("the allowance for `{}` has no reason", allowance.item));
        }
        if !used {
            problems.push(format!("the allowance for `{}` allows nothing; remove it", allowance.item));
        }
    }
    problems
}

fn agree(versions: &BTreeMap<&str, Option<&String>>) -> bool {
    let mut versions = versions.values();
    versions.next().is_none_or(|first| versions.all(|version| version == first))
}

fn report(item: &str, versions: &BTreeMap<&str, Option<&String>>) -> Vec<String> {
    let mut groups: BTreeMap<Option<&String>, Vec<&str>> = BTreeMap::new();
    for (name, version) in versions {
        groups.entry(*version).or_default().push(name);
    }
    let mut lines = vec![format!("`{item}` is not the same everywhere:")];
    for (version, names) in groups {
        let version = version.map_or("missing", String::as_str);
        lines.push(format!("    {}: {version}", names.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crates(rows: &[(&str, &[(&str, &str)])]) -> BTreeMap<String, Surface> {
        let surface = |items: &[(&str, &str)]| {
            items.iter().map(|(path, what)| ((*path).to_owned(), (*what).to_owned())).collect()
        };
        rows.iter().map(|(name, items)| ((*name).to_owned(), surface(items))).collect()
    }

    fn allow(item: &str, names: &[&str], reason: &str) -> Allowance {
        Allowance {
            item: item.to_owned(),
            crates: names.iter().map(|name| (*name).to_owned()).collect(),
            reason: reason.to_owned(),
            extra: false,
        }
    }

    #[test]
    fn extras_are_what_nobody_else_has() {
        let extras = [Allowance { extra: true, ..allow("*", &["c"], "needs more") }];
        let same: &[(&str, &str)] = &[("init", "fn init()")];
        let more: &[(&str, &str)] = &[("init", "fn init()"), ("open", "fn open()")];
        let other: &[(&str, &str)] = &[("init", "fn init(much: u32)")];
        assert_eq!(compare(&crates(&[("a", same), ("b", same), ("c", more)]), &extras), [""; 0]);
        assert!(compare(&crates(&[("a", same), ("b", same), ("c", other)]), &extras).len() > 1);
        assert!(compare(&crates(&[("a", same), ("b", more), ("c", same)]), &extras).len() > 1);
        assert!(!compare(&crates(&[("a", same), ("b", same), ("c", &[])]), &extras).is_empty());
    }

    #[test]
    fn equal_crates_have_no_problems() {
        let same: &[(&str, &str)] = &[("init", "fn init()"), ("raw", "mod")];
        assert_eq!(compare(&crates(&[("a", same), ("b", same)]), &[]), [""; 0]);
    }

    #[test]
    fn missing_and_different_items_are_named() {
        let crates =
            crates(&[("a", &[("init", "fn init()"), ("more", "fn more()")]), ("b", &[("init", "fn init(x: u8)")])]);
        let problems = compare(&crates, &[]);
        let expected = [
            "`init` is not the same everywhere:",
            "    a: fn init()",
            "    b: fn init(x: u8)",
            "`more` is not the same everywhere:",
            "    b: missing",
            "    a: fn more()",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_difference_may_be_meant() {
        let crates = crates(&[("a", &[("more", "fn more()"), ("more::x", "fn x()")]), ("b", &[]), ("c", &[])]);
        assert_eq!(compare(&crates, &[allow("more*", &["a"], "only a can")]), [""; 0]);
        let wrong_crate = compare(&crates, &[allow("more*", &["b"], "only a can")]);
        assert_eq!(wrong_crate.len(), 6, "a and c still differ: {wrong_crate:?}");
    }

    #[test]
    fn allowances_need_a_reason_and_a_use() {
        let crates = crates(&[("a", &[("x", "fn x()")]), ("b", &[])]);
        let problems = compare(&crates, &[allow("x", &["a"], " "), allow("y", &["a"], "gone")]);
        let expected = ["the allowance for `x` has no reason", "the allowance for `y` allows nothing; remove it"];
        assert_eq!(problems, expected);
    }
}
