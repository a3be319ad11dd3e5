//! The committed listing of one function.

use super::listing::Body;

/// One file `urcu-<flavor>/tests/asm/<function>.x86_64.s`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Golden {
    /// `rustc --version` of the compiler that made it.
    pub(crate) rustc: String,
    pub(crate) body: Body,
}

const MADE_BY: &str = "# made by ";

impl Golden {
    pub(crate) fn parse(text: &str) -> Golden {
        let rustc = text.lines().find_map(|line| line.strip_prefix(MADE_BY));
        let instructions = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Golden {
            rustc: rustc.unwrap_or("an unnamed compiler").to_owned(),
            body: instructions.map(str::to_owned).collect(),
        }
    }

    pub(crate) fn render(&self) -> String {
        let mut text = format!("{MADE_BY}{}\n# written by `cargo xtask asm --bless`\n", self.rustc);
        for line in &self.body {
            let indent = if line.ends_with(':') { "" } else { "    " };
            text.push_str(&format!("{indent}{line}\n"));
        }
        text
    }
}

/// The lines of both bodies, in order: `-` is committed only, `+` is compiled only.
pub(crate) fn difference(committed: &[String], compiled: &[String]) -> Vec<String> {
    // Longest common subsequence: lengths[i][j] is that of committed[i..] and compiled[j..].
    let mut lengths = vec![vec![0_usize; compiled.len() + 1]; committed.len() + 1];
    for i in (0..committed.len()).rev() {
        for j in (0..compiled.len()).rev() {
            lengths[i][j] = if committed[i] == compiled[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < committed.len() || j < compiled.len() {
        if i < committed.len() && j < compiled.len() && committed[i] == compiled[j] {
            lines.push(format!("  {}", committed[i]));
            i += 1;
            j += 1;
        } else if j == compiled.len() || (i < committed.len() && lengths[i + 1][j] >= lengths[i][j + 1]) {
            lines.push(format!("- {}", committed[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", compiled[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(';').map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_listing_survives_its_file() {
        let golden = Golden { rustc: "rustc 1.95.0 (x 2026-04-14)".into(), body: lines("je 0; nop; 0:; ret") };
        let text = golden.render();
        assert!(text.contains("\n    je 0\n") && text.contains("\n0:\n"), "{text}");
        assert_eq!(Golden::parse(&text), golden);
    }

    #[test]
    fn a_difference_is_readable() {
        let difference = difference(&lines("push rax; mov a, b; ret"), &lines("mov a, b; nop; ret"));
        assert_eq!(difference, ["- push rax", "  mov a, b", "+ nop", "  ret"]);
    }
}
