//! Every set of features of the published crates compiles without warnings.

use anyhow::Result;

use crate::job::{Job, Verdict};

/// Up to this many features, every subset is compiled; beyond, none, all, each alone and each pair.
const EXHAUSTIVE: usize = 5;

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    let workspace = job.workspace;
    let mut passed = true;
    for package in workspace.published().filter(|package| package.has_library()) {
        let features: Vec<&str> =
            package.features.keys().map(String::as_str).filter(|name| *name != "default").collect();
        for set in sets(&features) {
            // `cargo rustc` hands the flag to this crate only: dependencies are compiled once for all sets.
            let command = job.cargo(&[
                "rustc",
                "--quiet",
                "--package",
                &package.name,
                "--lib",
                "--profile",
                "check",
                "--no-default-features",
                "--features",
                &set.join(","),
                "--",
                "-D",
                "warnings",
            ]);
            passed &= job.run(command)?;
        }
    }
    Ok(Verdict::of(passed))
}

/// The sets of features to compile, the empty one first.
fn sets<'f>(features: &[&'f str]) -> Vec<Vec<&'f str>> {
    if features.len() <= EXHAUSTIVE {
        return (0..1_usize << features.len())
            .map(|bits| {
                let chosen = features.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1);
                chosen.map(|(_, name)| *name).collect()
            })
            .collect();
    }
    let mut sets = vec![Vec::new()];
    for (index, first) in features.iter().enumerate() {
        sets.push(vec![*first]);
        sets.extend(features[index + 1..].iter().map(|second| vec![*first, *second]));
    }
    sets.push(features.to_vec());
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_features_give_every_subset() {
        assert_eq!(sets(&[]), [Vec::<&str>::new()]);
        assert_eq!(sets(&["a", "b"]), [vec![], vec!["a"], vec!["b"], vec!["a", "b"]]);
        assert_eq!(sets(&["a", "b", "c", "d", "e"]).len(), 32);
    }

    #[test]
    fn many_features_give_none_singles_pairs_and_all() {
        let six = ["a", "b", "c", "d", "e", "f"];
        let sets = sets(&six);
        assert_eq!(sets.len(), 1 + 6 + 15 + 1);
        assert!(sets.contains(&vec![]) && sets.contains(&vec!["b", "e"]) && sets.contains(&six.to_vec()));
    }
}
