//! Rules for Rust source files.

use super::{Finding, Line};

/// Longer files probably hold a second idea.
const LONG: usize = 700;

/// The first thing that a file says is what it is for.
pub(crate) fn check_module_page(file: &str, lines: &[Line]) -> Option<Finding> {
    let first = lines.iter().find(|line| {
        let code = line.code.trim();
        let is_attribute = code.starts_with("#![");
        let is_plain_comment = code.is_empty() && !line.comment.trim_start().starts_with("//!");
        !is_attribute && !is_plain_comment
    });
    let is_page = first.is_some_and(|line| line.code.trim().is_empty());
    // `#![doc = include_str!(…)]` is a page too.
    let is_included = lines.iter().any(|line| line.code.trim().starts_with("#![doc = include_str!"));
    (!is_page && !is_included).then(|| Finding::error(file, 1, "the file does not begin with `//!` and what it is for"))
}

pub(crate) fn check_length(file: &str, lines: &[Line]) -> Option<Finding> {
    let length = lines.len();
    (length > LONG).then(|| Finding::warning(file, format!("{length} lines; look for the second idea in it")))
}

/// Every unsafe block and implementation is preceded by its proof.
pub(crate) fn check_unsafe(file: &str, lines: &[Line]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let next = lines[index + 1..].iter().map(|line| line.code.trim()).find(|code| !code.is_empty());
        if let Some(what) = needs_proof(&line.code, next)
            && !has_proof(lines, index)
        {
            found.push(Finding::error(file, index + 1, format!("{what} without a SAFETY comment")));
        }
    }
    found
}

fn needs_proof(code: &str, next: Option<&str>) -> Option<&'static str> {
    for (at, _) in code.match_indices("unsafe") {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let after = &code[at + "unsafe".len()..];
        if code[..at].ends_with(is_word) || after.starts_with(is_word) {
            continue;
        }
        let after = if after.trim().is_empty() { next.unwrap_or("") } else { after.trim_start() };
        if after.starts_with('{') {
            return Some("unsafe block");
        }
        if after.strip_prefix("impl").is_some_and(|rest| !rest.starts_with(is_word)) {
            return Some("unsafe implementation");
        }
    }
    None
}

/// Looks at the line itself, then upwards through comments, attributes and earlier lines of the same statement.
fn has_proof(lines: &[Line], index: usize) -> bool {
    let states = |line: &Line| line.comment.contains("SAFETY:");
    if states(&lines[index]) {
        return true;
    }
    for line in lines[..index].iter().rev() {
        let code = line.code.trim();
        let is_attribute = code.starts_with("#[");
        if code.is_empty() && line.comment.is_empty() {
            return false;
        }
        let ends_another = code.ends_with([';', '{', '}']) && !is_attribute;
        if ends_another {
            return false;
        }
        if states(line) {
            return true;
        }
    }
    false
}

/// Where tests leave memory behind by a function that tells the leak checker.
const TESTS_THAT_LEAK: &str = "urcu-core/conformance/suite/";

/// What such a test leaves behind in another way is reported, or not, depending on what still points to it.
pub(crate) fn check_leaks(file: &str, lines: &[Line]) -> Vec<Finding> {
    let leaks = |line: &Line| line.code.contains("Box::leak") || line.code.contains("Vec::leak");
    let all = lines.iter().enumerate().filter(|(_, line)| file.starts_with(TESTS_THAT_LEAK) && leaks(line));
    all.map(|(index, _)| Finding::error(file, index + 1, "say `urcu_conformance::leak`, which tells the leak checker"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::split;
    use super::*;

    fn lines_without_proof(text: &str) -> Vec<usize> {
        check_unsafe("x.rs", &split(text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_begins_with_its_page() {
        let page = |text: &str| check_module_page("x.rs", &split(text)).is_none();
        assert!(page("//! What it is for.\nuse a;\n"));
        assert!(page("// licence\n#![no_std]\n\n//! Page.\n"));
        assert!(page("#![doc = include_str!(\"../README.md\")]\nmod a;\n"));
        assert!(!page("use a;\n//! late\n"));
        assert!(!page("/// of the item\nfn f() {}\n"));
        assert!(!page(""));
    }

    #[test]
    fn long_files_are_a_warning() {
        let long = check_length("x.rs", &split(&"a\n".repeat(LONG + 1))).expect("too long");
        assert!(long.warning);
        assert_eq!(check_length("x.rs", &split(&"a\n".repeat(LONG))), None);
    }

    #[test]
    fn leaks_of_the_suite_are_found() {
        let leaks = |file| check_leaks(file, &split("leak(a);\nlet b = Box::leak(c);\n// Box::leak\n")).len();
        assert_eq!(leaks("urcu-core/conformance/suite/deferred.rs"), 1);
        assert_eq!(leaks("urcu-core/src/registry.rs"), 0);
    }

    #[test]
    fn proofs_are_found() {
        let with = "\
// SAFETY: the pointer is valid,
// and stays so.
let a = unsafe { *p };
let b = unsafe { *p }; // SAFETY: same line
// SAFETY: above a statement of several lines
let c = long(
    first,
    unsafe { *p },
);
// SAFETY: above an attribute
#[cfg(x)]
unsafe impl<T> Send for A<T> {}
call(/* SAFETY: inside */ unsafe { g() });
// SAFETY: broken after the word
unsafe
{
}
";
        assert_eq!(lines_without_proof(with), [0; 0]);
    }

    #[test]
    fn missing_proofs_are_found() {
        let without = "\
// SAFETY: of the first only
let a = unsafe { *p };
let b = unsafe { *p };

// SAFETY: a blank line separates

unsafe impl Send for A {}
fn f() {
    let c = unsafe {
        *p
    };
}
";
        assert_eq!(lines_without_proof(without), [3, 7, 9]);
    }

    #[test]
    fn other_uses_of_the_word_need_no_proof() {
        let text = "\
unsafe fn f();
pub unsafe trait T {}
unsafe extern \"C\" { fn g(); }
let unsafe_ = 1; // unsafe { }
let s = \"unsafe { }\";
type F = unsafe fn();
";
        assert_eq!(lines_without_proof(text), [0; 0]);
    }
}
