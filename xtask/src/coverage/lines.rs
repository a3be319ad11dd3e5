//! Reports in the format of lcov: which lines hold code, and how often each was run.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// How often each line of a file was run, for lines that hold code.
pub(crate) type Lines = BTreeMap<usize, u64>;

/// Every file of a report. A file that occurs twice has the greater of the counts.
pub(crate) fn read(report: &str) -> BTreeMap<PathBuf, Lines> {
    let mut files: BTreeMap<PathBuf, Lines> = BTreeMap::new();
    let mut current = None;
    for record in report.lines() {
        if let Some(path) = record.strip_prefix("SF:") {
            current = Some(files.entry(path.into()).or_default());
        } else if let Some((line, count)) = record.strip_prefix("DA:").and_then(count)
            && let Some(lines) = &mut current
        {
            let known = lines.entry(line).or_default();
            *known = count.max(*known);
        }
    }
    files
}

/// `line,count` and perhaps a checksum.
fn count(record: &str) -> Option<(usize, u64)> {
    let mut words = record.split(',');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// The first line of a source's unit tests, which are no part of what is measured. They stand at the end of their file.
pub(crate) fn first_of_tests(source: &str) -> usize {
    let mut before = "";
    for (index, line) in source.lines().enumerate() {
        if line.starts_with("mod tests") && before.starts_with("#[cfg(") && before.contains("test") {
            return index;
        }
        before = line;
    }
    usize::MAX
}

/// Numbers as people write them: `3, 5-8`. Lines between two of them that hold no code do not break a range.
pub(crate) fn ranges(lines: &Lines) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut goes_on = false;
    for (line, hits) in lines {
        if *hits != 0 {
            goes_on = false;
            continue;
        }
        match ranges.last_mut() {
            Some(range) if goes_on => range.1 = *line,
            _ => ranges.push((*line, *line)),
        }
        goes_on = true;
    }
    let shown = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let files = read(
            "SF:/w/a.rs\nFN:1,f\nDA:3,0\nDA:4,7\nend_of_record\nSF:/w/b.rs\nDA:1,2,x\nend_of_record\nSF:/w/a.rs\nDA:3,1\nDA:5,0\n",
        );
        assert_eq!(files.len(), 2);
        assert_eq!(files[&PathBuf::from("/w/a.rs")], Lines::from([(3, 1), (4, 7), (5, 0)]));
        assert_eq!(files[&PathBuf::from("/w/b.rs")], Lines::from([(1, 2)]));
    }

    #[test]
    fn unit_tests_are_found() {
        assert_eq!(first_of_tests("fn a() {}\n\n#[cfg(all(test, not(x)))]\nmod tests {\n}\n"), 3);
        assert_eq!(first_of_tests("#[cfg(test)]\nfn begin() {}\nmod tests_of_others {}\n"), usize::MAX);
    }

    #[test]
    fn neighbours_are_one_range() {
        let lines = Lines::from([(1, 0), (2, 1), (4, 0), (5, 0), (9, 0), (10, 3), (12, 0)]);
        assert_eq!(ranges(&lines), "1, 4-9, 12");
        assert_eq!(ranges(&Lines::from([(1, 1)])), "");
    }
}
