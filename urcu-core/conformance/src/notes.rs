//! What the person who runs the tests should see even if they pass.

use std::io::{Write, stderr};

const MARK: &str = "NOTE: ";

/// Says something that is no failure, in one line, past the test program's capture of output.
pub fn note(text: &str) {
    let _ = writeln!(stderr(), "{MARK}{text}");
}

/// Says again what the process of `test` has noted.
pub(crate) fn pass_on(test: &str, errors: &str) {
    errors.lines().filter_map(|line| line.strip_prefix(MARK)).for_each(|text| note(&format!("{test}: {text}")));
}
