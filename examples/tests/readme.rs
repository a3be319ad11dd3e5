//! The programs and what is written about them stay in step.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first block of Rust in a Markdown text.
fn rust_block(text: &str) -> &str {
    let (_, block) = text.split_once("\n```rust\n").expect("a block of Rust");
    block.split_once("\n```\n").expect("the block's end").0
}

/// A program without the page on top of it.
fn below_the_page(program: &str) -> String {
    let lines = program.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_first_program_is_the_one_in_the_readme() {
    let program = below_the_page(&read("src/bin/first.rs"));
    let readme = read("../README.md");
    assert_eq!(program, rust_block(&readme), "copy the README's program to examples/src/bin/first.rs, or back");
}

/// The folder's own README has a line for each program, in the words of the program's first line, and no other.
#[test]
fn every_program_has_its_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let mut expected: Vec<String> = fs::read_dir(folder)
        .expect("the folder of the programs")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
            let program = read(&format!("src/bin/{name}.rs"));
            let first = program.lines().next().and_then(|line| line.strip_prefix("//! ")).expect("a page");
            assert!(program.contains(&format!("`cargo run -p urcu-examples --bin {name}`")), "{name}: how to run it");
            format!("| `{name}` | {first} |")
        })
        .collect();
    let readme = read("README.md");
    let mut lines: Vec<String> = readme.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    expected.sort();
    lines.sort();
    assert_eq!(lines, expected);
}
