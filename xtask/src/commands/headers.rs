//! `cargo xtask headers`: the committed C headers are what the source declares.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};

use crate::asm;
use crate::flags::HeadersFlags;
use crate::job::{self, Job, Verdict};

/// A header and what it is made of. Names are from the top of the workspace.
struct Header {
    file: &'static str,
    config: &'static str,
    sources: &'static [&'static str],
}

const HEADERS: &[Header] = &[
    Header {
        file: "urcu-core/include/urcu/flavor.h",
        config: "urcu-core/cbindgen.toml",
        sources: &["urcu-core/src/vtable.rs", "urcu-core/src/head.rs", "urcu-core/src/domain.rs"],
    },
    Header {
        file: "examples/mixing/directory/include/directory.h",
        config: "examples/mixing/directory/cbindgen.toml",
        sources: &["examples/mixing/directory/src/lib.rs"],
    },
];

pub(crate) fn run(flags: &HeadersFlags) -> Result<ExitCode> {
    job::alone("headers", "C headers as committed", |job| check(job, flags.bless))
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    check(job, false)
}

fn check(job: &mut Job<'_>, bless: bool) -> Result<Verdict> {
    let root = job.workspace.root.clone();
    let mut passed = true;
    for header in HEADERS {
        let text = generate(&root, header).with_context(|| format!("cannot generate {}", header.file))?;
        let file = root.join(header.file);
        if bless {
            fs::create_dir_all(file.parent().context("a header stands in a folder")?)?;
            fs::write(&file, text).with_context(|| format!("cannot write {}", header.file))?;
            job.say(format!("{}: written", header.file));
            continue;
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        if committed == text {
            job.say(format!("{}: as committed", header.file));
            continue;
        }
        passed = false;
        job.say(format!(
            "error: {} is out of date (- committed, + generated); cargo xtask headers --bless",
            header.file
        ));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        asm::difference(&lines(&committed), &lines(&text)).into_iter().for_each(|line| job.say(format!("    {line}")));
    }
    Ok(Verdict::of(passed))
}

fn generate(root: &Path, header: &Header) -> Result<String> {
    let config = cbindgen::Config::from_file(root.join(header.config)).map_err(|error| anyhow!(error))?;
    let renamed = config.export.rename.clone();
    let builder = header
        .sources
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |builder, source| builder.with_src(root.join(source)));
    let mut text = Vec::new();
    builder.generate()?.write(&mut text);
    Ok(for_c_programmers(&String::from_utf8(text)?, &renamed))
}

/// Comments with C's names, and without the brackets of rustdoc's links.
fn for_c_programmers(text: &str, renamed: &HashMap<String, String>) -> String {
    let mut text = text.replace("[`", "`").replace("`]", "`");
    for (rust, c) in renamed {
        text = text.replace(&format!("`{rust}`"), &format!("`{c}`"));
    }
    text.trim().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_speak_of_what_c_has() {
        let renamed = HashMap::from([("FlavorVtable".to_owned(), "urcu_flavor".to_owned())]);
        let text = for_c_programmers("\n// Of [`FlavorVtable`].\nint FlavorVtable;\n\n", &renamed);
        assert_eq!(text, "// Of `urcu_flavor`.\nint FlavorVtable;\n");
    }
}
