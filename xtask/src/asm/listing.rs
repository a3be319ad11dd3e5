//! From a compiler's assembly output to the instructions of each function.

use std::collections::BTreeMap;

use super::symbol;

/// A function's instructions and branch labels, in order, one per line.
pub(crate) type Body = Vec<String>;

/// The instructions of every function in `text` (x86-64, Intel syntax) without anything that changes
/// from build to build: directives, comments, hashes, the compiler's numbering of labels.
pub(crate) fn functions(text: &str) -> BTreeMap<String, Body> {
    let mut raw: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut same: Vec<(&str, &str)> = Vec::new();
    let mut current: Option<&str> = None;
    for line in text.lines().map(without_comment) {
        if let Some((new, old)) = alias(line) {
            same.push((new, old));
        } else if let Some(label) = line.strip_suffix(':') {
            if label.starts_with(".Lfunc_end") {
                current = None;
            } else if label.starts_with(".L") {
                if let Some(name) = current {
                    raw.entry(name).or_default().push(line);
                }
            } else {
                current = Some(label);
                raw.entry(label).or_default();
            }
        } else if line.starts_with(".size") || line.starts_with(".section") {
            current = None;
        } else if let Some(name) = current
            && !line.is_empty()
            && !line.starts_with('.')
        {
            raw.entry(name).or_default().push(line);
        }
    }
    let mut bodies: BTreeMap<String, Body> =
        raw.into_iter().map(|(name, lines)| (name.to_owned(), normalised(&lines))).collect();
    resolve(&mut bodies, &same);
    bodies
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or("").trim()
}

/// `.set new, old` or `new = old`: LLVM folds equal functions into one.
fn alias(line: &str) -> Option<(&str, &str)> {
    let (new, old) = match line.strip_prefix(".set") {
        Some(pair) => pair.split_once(',')?,
        None => line.split_once(" = ")?,
    };
    Some((new.trim(), old.trim()))
}

/// Folded functions, by alias or by a single jump, get the body that they share.
fn resolve(bodies: &mut BTreeMap<String, Body>, same: &[(&str, &str)]) {
    for (new, old) in same {
        if let Some(body) = bodies.get(*old).cloned() {
            bodies.insert((*new).to_owned(), body);
        }
    }
    let thunks: Vec<(String, Body)> = bodies
        .iter()
        .filter_map(|(name, body)| {
            let [only] = body.as_slice() else { return None };
            Some((name.clone(), bodies.get(only.strip_prefix("jmp ")?)?.clone()))
        })
        .collect();
    bodies.extend(thunks);
}

fn normalised(lines: &[&str]) -> Body {
    let is_used = |label: &str| lines.iter().any(|line| !line.ends_with(':') && words(line).any(|word| word == label));
    // Labels that nothing jumps to tell where the compiler's blocks begin, no more.
    let labels: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_suffix(':')).filter(|label| is_used(label)).collect();
    let number = |label: &str| labels.iter().position(|known| *known == label);
    let mut body = Body::new();
    for line in lines {
        if let Some(label) = line.strip_suffix(':') {
            body.extend(number(label).map(|number| format!("{number}:")));
            continue;
        }
        let mut instruction = line.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words(line).filter(|word| word.starts_with(".L")) {
            if let Some(number) = number(word) {
                instruction = instruction.replace(word, &number.to_string());
            }
        }
        body.push(symbol::rename(&instruction));
    }
    // Padding after the last instruction.
    while body.last().is_some_and(|last| last == "nop" || last == "int3") {
        body.pop();
    }
    body
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
\t.file\t\"x.rs\"
\t.section\t.text.read,\"ax\",@progbits
\t.globl\tread
\t.type\tread,@function
read:
.Lfunc_begin3:
\t.cfi_startproc
\tpush\trax
\tmov\trdi, qword ptr fs:[_ZN5dummy1W17hf4b2d75d0c7858ccE@TPOFF]
\tje\t.LBB7_13
.LBB7_2:
\t#MEMBARRIER
\tlock\t\tor\tdword ptr [rsp - 64], 0
\tjmp\t.LBB7_1
.LBB7_13:
\t.loc 1 2 3
\tcall\t_ZN5dummy3bad17h7af862104efaebcaE
.LBB7_1:
\tret
.Lfunc_end7:
\t.size\tread, .Lfunc_end7-read

\t.type\tplain,@function
plain:
\tmov\trax, qword ptr [rsi] # a comment
\tret
.Lfunc_end8:
\t.size\tplain, .Lfunc_end8-plain
\t.globl\tfolded
folded = plain
\t.set\ttwice, plain
thunk:
\tjmp\tplain
.Lfunc_end9:
\t.section\t.rodata
.Lanon.1:
\t.asciz\t\"x\"
";

    #[test]
    fn functions_are_found_and_normalised() {
        let functions = functions(TEXT);
        let names: Vec<&str> = functions.keys().map(String::as_str).collect();
        assert_eq!(names, ["folded", "plain", "read", "thunk", "twice"]);
        assert_eq!(
            functions["read"],
            [
                "push rax",
                "mov rdi, qword ptr fs:[dummy::W@TPOFF]",
                "je 0",
                "lock or dword ptr [rsp - 64], 0",
                "jmp 1",
                "0:",
                "call dummy::bad",
                "1:",
                "ret",
            ]
        );
    }

    #[test]
    fn folded_functions_have_the_shared_body() {
        let functions = functions(TEXT);
        let plain = ["mov rax, qword ptr [rsi]", "ret"];
        assert_eq!(functions["plain"], plain);
        assert_eq!(functions["folded"], plain);
        assert_eq!(functions["twice"], plain);
        assert_eq!(functions["thunk"], plain);
    }

    #[test]
    fn numbering_of_labels_does_not_matter() {
        let renumbered = TEXT.replace(".LBB7_13", ".LBB99_5").replace("7af862104efaebca", "0000000000000000");
        assert_eq!(functions(TEXT), functions(&renumbered));
    }
}
