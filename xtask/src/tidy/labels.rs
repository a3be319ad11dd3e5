//! Ordering labels: every atomic that carries meaning names its partner.
//!
//! A comment at an ordering says `PAIR` and a name in parentheses; its partner says the same. A name that
//! stands at one place only has lost the other side.

use std::collections::BTreeMap;

use super::{Finding, Line};

/// The labels of a whole workspace.
#[derive(Default)]
pub(crate) struct Labels(BTreeMap<String, Vec<(String, usize)>>);

impl Labels {
    /// Collects the labels of one file.
    pub(crate) fn read(&mut self, file: &str, lines: &[Line]) {
        for (index, line) in lines.iter().enumerate() {
            let mut rest = line.comment.as_str();
            while let Some((_, after)) = rest.split_once("PAIR(") {
                rest = after;
                let Some((name, _)) = after.split_once(')') else {
                    continue;
                };
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                if name.chars().all(is_name) && !name.is_empty() {
                    let places = self.0.entry(name.to_owned()).or_default();
                    places.push((file.to_owned(), index + 1));
                    // Twice in one line is one place.
                    places.dedup();
                }
            }
        }
    }

    pub(crate) fn check(&self) -> Vec<Finding> {
        let lonely = self.0.iter().filter_map(|(name, places)| match places.as_slice() {
            [(file, line)] => Some((name, file, *line)),
            _ => None,
        });
        lonely
            .map(|(name, file, line)| Finding::error(file, line, format!("ordering label `{name}` has one side only")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::split;
    use super::*;

    #[test]
    fn a_label_needs_two_places() {
        let mut labels = Labels::default();
        let text = "// Release: PAIR(gp-flip), PAIR(wake)\nx();\n// PAIR(alone) and again PAIR(alone)\n";
        labels.read("a.rs", &split(text));
        labels.read("b.rs", &split("/// PAIR(gp-flip)\nlet s = \"PAIR(wake)\"; // see PAIR(<name>)\n// PAIR(wake)"));
        let found = labels.check();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].file.as_str(), found[0].line), ("a.rs", 3));
        assert!(found[0].message.contains("`alone`"));
    }
}
