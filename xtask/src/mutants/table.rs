//! `mutants.toml`: for each way to weaken the program the test that turns red, or the reason why none does.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

/// How a test program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Build {
    Native,
    Loom,
    Thread,
}

impl Build {
    pub(crate) const ALL: [Build; 3] = [Build::Native, Build::Loom, Build::Thread];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Build::Native => "native",
            Build::Loom => "loom",
            Build::Thread => "tsan",
        }
    }
}

/// A test: `<build> <package>/<target> <name>`; the target `lib` stands for the library's own tests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Control {
    pub(crate) build: Build,
    pub(crate) package: String,
    pub(crate) target: String,
    pub(crate) test: String,
}

impl FromStr for Control {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Control> {
        let bad = || anyhow!("not `<build> <package>/<target> <test>`: {text}");
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or_else(bad);
        let build = word()?;
        let build = Build::ALL.into_iter().find(|known| known.name() == build).ok_or_else(bad)?;
        let (package, target) = word()?.split_once('/').ok_or_else(bad)?;
        let test = word()?.to_owned();
        Ok(Control { build, package: package.to_owned(), target: target.to_owned(), test })
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{} {}", self.build.name(), self.package, self.target, self.test)
    }
}

/// What the table says about one mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Caught(Control),
    /// And why.
    Uncaught(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Test(String),
    Nothing { uncaught: String },
}

/// By file, then by the mutant's name.
#[derive(Debug, Default)]
pub(crate) struct Table(BTreeMap<String, BTreeMap<String, Entry>>);

impl Table {
    pub(crate) fn parse(text: &str) -> Result<Table> {
        let written: BTreeMap<String, BTreeMap<String, Written>> =
            toml::from_str(text).context("the table of mutants does not parse")?;
        let mut table = Table::default();
        for (file, entries) in written {
            for (name, entry) in entries {
                let entry = match entry {
                    Written::Test(test) => Entry::Caught(test.parse().with_context(|| format!("{file}: {name}"))?),
                    Written::Nothing { uncaught } if uncaught.is_empty() => bail!("{file}: {name}: no reason"),
                    Written::Nothing { uncaught } => Entry::Uncaught(uncaught),
                };
                table.set(&file, &name, entry);
            }
        }
        Ok(table)
    }

    pub(crate) fn get(&self, file: &str, name: &str) -> Option<&Entry> {
        self.0.get(file)?.get(name)
    }

    pub(crate) fn set(&mut self, file: &str, name: &str, entry: Entry) {
        self.0.entry(file.to_owned()).or_default().insert(name.to_owned(), entry);
    }

    /// Drops what `lives` does not know, and says what that was.
    pub(crate) fn keep(&mut self, lives: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        for (file, entries) in &mut self.0 {
            entries.retain(|name, _| {
                let stays = lives(file, name);
                if !stays {
                    gone.push(format!("{file}: {name}"));
                }
                stays
            });
        }
        self.0.retain(|_, entries| !entries.is_empty());
        gone
    }

    /// The table as it is committed.
    pub(crate) fn show(&self) -> String {
        let mut text = String::from(
            "# What can be weakened, and the test that turns red for it: `cargo xtask mutants` checks every line, and\n\
             # `cargo xtask mutants --bless` finds tests for new ones. An order is named by function, access and change, a rule by\n\
             # its `weaken!`. The test is `<build> <package>/<target> <name>`.\n",
        );
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        for (file, entries) in &self.0 {
            text += &format!("\n[{}]\n", quoted(file));
            for (name, entry) in entries {
                let entry = match entry {
                    Entry::Caught(control) => quoted(&control.to_string()),
                    Entry::Uncaught(why) => format!("{{ uncaught = {} }}", quoted(why)),
                };
                text += &format!("{} = {entry}\n", quoted(name));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read() {
        let mut table = Table::default();
        let control: Control = "tsan urcu-mb/conformance suite::ages::one_updater".parse().expect("a control");
        table.set("a/b.rs", "f: x.load(Acquire -> Relaxed)", Entry::Caught(control.clone()));
        table.set("a/b.rs", "rule \"odd\"", Entry::Uncaught("x86 keeps it".to_owned()));
        let read = Table::parse(&table.show()).expect("its own text");
        assert_eq!(read.get("a/b.rs", "f: x.load(Acquire -> Relaxed)"), Some(&Entry::Caught(control)));
        assert_eq!(read.get("a/b.rs", "rule \"odd\""), Some(&Entry::Uncaught("x86 keeps it".to_owned())));
        assert_eq!(read.get("a/b.rs", "gone"), None);
    }

    #[test]
    fn an_uncaught_one_needs_a_reason() {
        assert!(Table::parse("[\"a.rs\"]\n\"f\" = { uncaught = \"\" }\n").is_err());
        assert!(Table::parse("[\"a.rs\"]\n\"f\" = \"a test\"\n").is_err());
    }

    #[test]
    fn what_is_gone_is_dropped_and_named() {
        let mut table = Table::parse("[\"a.rs\"]\n\"f\" = { uncaught = \"so\" }\n").expect("a table");
        assert_eq!(table.keep(|_, _| false), ["a.rs: f"]);
        assert!(!table.show().contains("a.rs"));
    }
}
