//! Text that does not belong into the repository.

use super::Finding;

/// Parts of paths that exist on one machine only. They count at the beginning of a path, not inside one.
/// Written in pieces, so that this file may be checked too.
const PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/tmp/", "target"), concat!("/ro", "ot/")];

/// The project speaks of itself, not of the tools and places around it.
const WORDS: [(&str, &str); 3] = [
    (concat!("issue", " #"), "a ticket number; say what it was about"),
    (concat!("/api/", "cargo/"), "the address of a registry mirror"),
    (concat!("index.crates", ".io:"), "the address of a registry mirror"),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check_words(file: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut report = |message: String| found.push(Finding::error(file, index + 1, message));
        for path in PATHS {
            let begins = |(at, _): (usize, &str)| {
                !line[..at]
                    .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '~' | '}' | '*'))
            };
            if line.match_indices(path).any(begins) {
                report(format!("`{path}` is a path of one machine"));
            }
        }
        let lower = line.to_lowercase();
        for (word, why) in WORDS {
            if lower.contains(word) {
                report(format!("`{word}` is {why}"));
            }
        }
    }
    found
}

/// Every package comes from the public registry.
pub(crate) fn check_lock(file: &str, text: &str) -> Vec<Finding> {
    let sources = text
        .lines()
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, line.strip_prefix("source = \"")?.trim_end_matches('"'))));
    sources
        .filter(|(_, source)| *source != REGISTRY)
        .map(|(line, _)| Finding::error(file, line, "a package that is not from crates.io"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check_words("x.md", text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn machine_paths_are_found_where_they_begin() {
        let [work, target, home] = PATHS;
        assert_eq!(lines(&format!("see {work}main\nsrc{work}queue.rs\n`{target}-x`\n\"{home}me\"")), [1, 3, 4]);
        assert_eq!(lines(&format!("https://example.org{home}page.html")), [0; 0]);
    }

    #[test]
    fn tickets_and_mirrors_are_found() {
        let [(ticket, _), (mirror, _), _] = WORDS;
        let text = format!("Fixes I{}12\nhttps://host{mirror}x\nhttps://crates.io/crates/libc", &ticket[1..]);
        assert_eq!(lines(&text), [1, 2]);
    }

    #[test]
    fn foreign_packages_are_found() {
        let text = format!("[[package]]\nname = \"a\"\nsource = \"{REGISTRY}\"\n\nsource = \"git+https://x\"\n");
        let found = check_lock("Cargo.lock", &text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 5);
    }
}
