//! Rust source, line by line, code apart from comments.

/// One line of a source file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Without comments; strings and characters are empty.
    pub(crate) code: String,
    /// The text of the line's comments, markers included.
    pub(crate) comment: String,
}

enum State {
    Code,
    /// Nested so deep.
    Block(usize),
    String,
    /// Closed by a quote and so many `#`.
    Raw(usize),
}

/// Splits a file into lines. Good enough for formatted source, no replacement for a compiler.
pub(crate) fn split(text: &str) -> Vec<Line> {
    let mut state = State::Code;
    text.lines()
        .map(|line| {
            let mut split = Line::default();
            let mut rest = line;
            while let Some(c) = rest.chars().next() {
                let taken = match state {
                    State::Code => code(rest, c, &mut state, &mut split),
                    State::Block(depth) => block(rest, c, depth, &mut state, &mut split),
                    State::String => string(rest, c, &mut state, &mut split),
                    State::Raw(hashes) => raw(rest, c, hashes, &mut state, &mut split),
                };
                rest = &rest[taken..];
            }
            split
        })
        .collect()
}

/// Takes the next piece of code and says how many bytes it is long.
fn code(rest: &str, c: char, state: &mut State, line: &mut Line) -> usize {
    if rest.starts_with("//") {
        line.comment.push_str(rest);
        return rest.len();
    }
    if rest.starts_with("/*") {
        line.comment.push_str("/*");
        *state = State::Block(1);
        return 2;
    }
    let in_word = line.code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if matches!(c, 'r' | 'b' | 'c')
        && !in_word
        && let Some((length, hashes)) = raw_start(rest)
    {
        line.code.push_str("r\"");
        *state = State::Raw(hashes);
        return length;
    }
    match c {
        '"' => *state = State::String,
        '\'' => {
            if let Some(length) = character(rest) {
                line.code.push_str("''");
                return length;
            }
        }
        _ => {}
    }
    line.code.push(c);
    c.len_utf8()
}

/// `r"`, `br##"`, …: the length of the start and the number of `#`.
fn raw_start(rest: &str) -> Option<(usize, usize)> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix("cr")).or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then(|| (rest.len() - after.len() + hashes + 1, hashes))
}

/// The length of a character literal, none for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = &rest[1..];
    if let Some(escaped) = inner.strip_prefix('\\') {
        let escape = escaped.chars().next()?.len_utf8();
        return Some(1 + 1 + escape + escaped[escape..].find('\'')? + 1);
    }
    let length = inner.chars().next()?.len_utf8();
    inner[length..].starts_with('\'').then_some(1 + length + 1)
}

fn block(rest: &str, c: char, depth: usize, state: &mut State, line: &mut Line) -> usize {
    let (text, next) = if rest.starts_with("/*") {
        ("/*", Some(depth + 1))
    } else if rest.starts_with("*/") {
        ("*/", depth.checked_sub(1))
    } else {
        line.comment.push(c);
        return c.len_utf8();
    };
    line.comment.push_str(text);
    *state = match next {
        Some(depth) if depth > 0 => State::Block(depth),
        _ => State::Code,
    };
    text.len()
}

fn string(rest: &str, c: char, state: &mut State, line: &mut Line) -> usize {
    match c {
        // The escaped character goes with it; at the end of a line there is none.
        '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        '"' => {
            line.code.push('"');
            *state = State::Code;
            1
        }
        _ => c.len_utf8(),
    }
}

fn raw(rest: &str, c: char, hashes: usize, state: &mut State, line: &mut Line) -> usize {
    let closed = c == '"' && rest[1..].len() - rest[1..].trim_start_matches('#').len() >= hashes;
    if !closed {
        return c.len_utf8();
    }
    line.code.push('"');
    *state = State::Code;
    1 + hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> Vec<String> {
        split(text).into_iter().map(|line| line.code.trim_end().to_owned()).collect()
    }

    #[test]
    fn comments_are_apart_from_code() {
        let lines = split("let a = 1; // one\n/* two /* nested */ still */ b();\n/// doc\n");
        assert_eq!(lines[0], Line { code: "let a = 1; ".into(), comment: "// one".into() });
        assert_eq!(lines[1].code, " b();");
        assert_eq!(lines[1].comment, "/* two /* nested */ still */");
        assert_eq!(lines[2].comment, "/// doc");
    }

    #[test]
    fn comments_may_span_lines() {
        let lines = split("/* a\nunsafe { }\n*/ c");
        assert_eq!(lines[1], Line { code: String::new(), comment: "unsafe { }".into() });
        assert_eq!(lines[2].code, " c");
    }

    #[test]
    fn strings_are_empty() {
        assert_eq!(code_of(r#"f("unsafe { // \" x", b"y\\") // z"#), [r#"f("", b"")"#]);
        assert_eq!(code_of("f(\"a\nunsafe {\nb\") + 1"), ["f(\"", "", "\") + 1"]);
        assert_eq!(code_of("f(r#\"a \"quoted\" // b\"#, br\"\\\", 1)"), ["f(r\"\", r\"\", 1)"]);
        assert_eq!(code_of("let number\"\";"), ["let number\"\";"]);
    }

    #[test]
    fn characters_are_no_lifetimes() {
        assert_eq!(code_of("f('\"', '\\'', 'x', '\\u{1F}')"), ["f('', '', '', '')"]);
        assert_eq!(code_of("fn f<'a>(x: &'a str, y: &'static str) {}"), ["fn f<'a>(x: &'a str, y: &'static str) {}"]);
    }
}
