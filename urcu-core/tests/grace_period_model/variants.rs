//! The variants of the model, as `models/variants.txt` lists them.

use std::fs;
use std::path::PathBuf;

use super::machine::{Rules, Shape};

/// One line of the list.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) name: String,
    /// Whether there must be no counter-example.
    pub(super) holds: bool,
    /// Small enough to be explored by a test.
    pub(super) small: bool,
    pub(super) rules: Rules,
    pub(super) shape: Shape,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models")
}

pub(super) fn all() -> Vec<Variant> {
    let text = fs::read_to_string(folder().join("variants.txt")).expect("the list of variants");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let variants: Vec<Variant> = lines.map(parse).collect();
    assert!(variants.len() > 10, "{}", variants.len());
    variants
}

fn parse(line: &str) -> Variant {
    let mut words = line.split_whitespace();
    let (name, verdict) = (words.next().expect("a name"), words.next().expect("a verdict"));
    let (holds, small) = match verdict {
        "holds" => (true, true),
        "holds-large" => (true, false),
        "fails" => (false, true),
        "fails-large" => (false, false),
        other => panic!("{name}: {other}?"),
    };
    let (mut rules, mut shape) = (Rules::default(), Shape::default());
    for word in words {
        let switch = word.strip_prefix("-D").expect("a switch");
        match switch.split_once('=') {
            Some((what, number)) => shape.set(what, number.parse().expect("a number")),
            None => rules.set(switch),
        }
    }
    Variant { name: name.into(), holds, small, rules, shape }
}

/// The counter-example that spin has found.
pub(super) fn trace(variant: &Variant) -> Vec<String> {
    let file = folder().join("traces").join(format!("{}.txt", variant.name));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}
