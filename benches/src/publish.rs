//! Keeps a run in the project's folder: the records, the report, a page of tables, the plots and the figures of the README.

use std::path::Path;
use std::{fs, io};

use crate::extent::Extent;
use crate::record::{Recorder, Run};
use crate::report;

/// Replaces `results/` and `plots/` in the folder of the benchmarks, and the figures in the README of the folder that it is in.
///
/// The file of the records is called what the run was (`full.jsonl`, `quick.jsonl`, `part.jsonl`); there is one of them.
///
/// # Errors
/// When a file cannot be written, or the README has no place for figures.
pub fn write(folder: &Path, run: &Run) -> io::Result<()> {
    let plots = report::key_plots(run);
    let names: Vec<String> = plots.iter().map(|(name, _)| name.clone()).collect();
    let readme = folder.parent().unwrap_or(folder).join("README.md");
    let text =
        fs::read_to_string(&readme).map_err(|error| io::Error::other(format!("{}: {error}", readme.display())))?;
    let text = report::readme::updated(&text, run, &names).map_err(io::Error::other)?;

    let results = folder.join("results");
    let extent = Extent::of(&run.machine.command);
    for other in Extent::ALL.into_iter().filter(|other| *other != extent) {
        let _ = fs::remove_file(results.join(other.name()).with_extension("jsonl"));
    }
    let mut recorder = Recorder::create(Some(&results.join(extent.name()).with_extension("jsonl")))?;
    for table in &run.tables {
        recorder.write(&run.machine, table)?;
    }
    report::write(&results, run, &[])?;
    fs::write(results.join("README.md"), report::markdown::page(run))?;

    let folder = folder.join("plots");
    // Plots of a run before, which this one may not have.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    for (name, svg) in plots {
        fs::write(folder.join(format!("{name}.svg")), svg)?;
    }
    fs::write(readme, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::run;

    #[test]
    fn a_published_run_is_called_what_it_was_and_replaces_the_one_before() {
        let root = std::env::temp_dir().join(format!("urcu-publish-{}", std::process::id()));
        let folder = root.join("benches");
        fs::create_dir_all(folder.join("plots")).unwrap();
        fs::write(folder.join("plots/old.svg"), "").unwrap();
        let readme = root.join("README.md");
        fs::write(&readme, "no region").unwrap();
        assert!(write(&folder, &run()).unwrap_err().to_string().contains("no region between"));

        let begin = "# Title\n<!-- figures: what follows is written by `cargo xtask bench --publish` -->\n";
        fs::write(&readme, format!("{begin}old\n<!-- end of figures -->\nthe rest\n")).unwrap();
        let mut quick = run();
        quick.machine.command = "cargo xtask bench --quick".into();
        for (run, kept, gone) in [(run(), "full", "quick"), (quick, "quick", "full")] {
            write(&folder, &run).unwrap();
            assert!(folder.join(format!("results/{kept}.jsonl")).exists(), "{kept}");
            assert!(!folder.join(format!("results/{gone}.jsonl")).exists(), "{gone}");
            assert!(fs::read_to_string(folder.join("results/README.md")).unwrap().contains(&format!("({kept}.jsonl)")));
            let text = fs::read_to_string(&readme).unwrap();
            assert!(text.starts_with(begin) && text.ends_with("\n<!-- end of figures -->\nthe rest\n"), "{text}");
            assert!(text.contains(&format!("From a {kept} run: 3 of its ")) && !text.contains("old"), "{text}");
            assert!(text.contains("(benches/plots/read-thread.svg)") && !text.contains("map-entries"), "{text}");
            assert!(text.contains("| this library, `Thread::read_lock` | 2.00 |"), "{text}");
        }
        let mut plots: Vec<_> =
            fs::read_dir(folder.join("plots")).unwrap().map(|file| file.unwrap().file_name()).collect();
        plots.sort();
        assert_eq!(plots, ["overview.svg", "read-thread.svg", "read-threads.svg"]);
        fs::remove_dir_all(root).unwrap();
    }
}
