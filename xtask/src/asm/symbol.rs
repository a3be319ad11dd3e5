//! Names that stay the same from build to build.

/// Rewrites every symbol in one operand text: mangled Rust names lose their hashes.
pub(crate) fn rename(text: &str) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_symbol_char) {
        renamed.push_str(&rest[..start]);
        let tail = &rest[start..];
        let end = tail.find(|c| !is_symbol_char(c)).unwrap_or(tail.len());
        renamed.push_str(&rename_one(&tail[..end]));
        rest = &tail[end..];
    }
    renamed.push_str(rest);
    renamed
}

fn is_symbol_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

fn rename_one(symbol: &str) -> String {
    // LLVM's mark of a symbol that it made local, with a number of its own.
    let symbol = symbol.split(".llvm.").next().unwrap_or(symbol);
    if let Some(path) = legacy(symbol) {
        path
    } else if symbol.starts_with("_R") {
        without_disambiguators(symbol)
    } else if symbol.starts_with(".L") {
        // Constants; branch targets were renamed before.
        ".Lconstant".to_owned()
    } else {
        symbol.to_owned()
    }
}

/// `_ZN5crate4name17h0123456789abcdefE` as `crate::name`.
fn legacy(symbol: &str) -> Option<String> {
    let mut rest = symbol.strip_prefix("_ZN")?;
    let mut path = Vec::new();
    while !rest.starts_with('E') {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let length: usize = rest[..digits].parse().ok()?;
        let part = rest.get(digits..digits + length)?;
        rest = &rest[digits + length..];
        let is_hash = rest.starts_with('E') && length == 17 && part.starts_with('h');
        if !is_hash {
            path.push(unescape(part));
        }
    }
    Some(path.join("::"))
}

/// The legacy mangling's spellings of characters that assemblers refuse.
fn unescape(part: &str) -> String {
    const SPELLINGS: [(&str, &str); 10] = [
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$RF$", "&"),
        ("$BP$", "*"),
        ("$C$", ","),
        ("$u20$", " "),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("$u23$", "#"),
        ("..", "::"),
    ];
    let part = part.strip_prefix("_$").map_or(part.to_owned(), |rest| format!("${rest}"));
    SPELLINGS.iter().fold(part, |part, (spelling, meant)| part.replace(spelling, meant))
}

/// A v0 name keeps its form; only the disambiguators of crates (`Cs<digits>_`) go.
fn without_disambiguators(symbol: &str) -> String {
    let mut kept = String::with_capacity(symbol.len());
    let mut rest = symbol;
    while let Some(at) = rest.find("Cs") {
        let digits = rest[at + 2..].find(|c: char| !c.is_ascii_alphanumeric());
        kept.push_str(&rest[..=at]);
        rest = match digits {
            Some(end) if rest[at + 2 + end..].starts_with('_') => &rest[at + 3 + end..],
            _ => &rest[at + 1..],
        };
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_names_become_paths() {
        assert_eq!(rename("call _ZN9urcu_core3bad17h7af862104efaebcaE"), "call urcu_core::bad");
        assert_eq!(
            rename("fs:[_ZN5dummy1W29_$u7b$$u7b$constant$u7d$$u7d$17hf4b2d75d0c7858ccE@TPOFF], rax"),
            "fs:[dummy::W::{{constant}}@TPOFF], rax"
        );
    }

    #[test]
    fn v0_names_lose_the_crate_hash() {
        assert_eq!(
            rename("[rip + _RNvNtCsjrHSEGnQ3l9_3std2rt10lang_start@GOTPCREL]"),
            "[rip + _RNvNtC3std2rt10lang_start@GOTPCREL]"
        );
    }

    #[test]
    fn other_words_stay() {
        assert_eq!(rename("mov qword ptr [rsi + 8], 0x10"), "mov qword ptr [rsi + 8], 0x10");
        assert_eq!(rename("lea rdi, [rip + .Lanon.00f3.1]"), "lea rdi, [rip + .Lconstant]");
        assert_eq!(rename("call helper.llvm.123456"), "call helper");
    }
}
