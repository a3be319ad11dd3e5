//! Programs that must not compile, and what the compiler has to say about them.
//!
//! The cases are written once, in `compile_fail/cases`, with `urcu_flavor` for the flavor's crate and `Marker` for its
//! marker type. For each flavor they are copied into the target directory, under its names, next to a small package
//! that depends on it, and `trybuild` does the rest. Where a message is different for one flavor (`Membarrier` is also
//! the name of something else, so the compiler spells it out), `cases/<flavor>` has that.
//!
//! Messages differ between compilers: they are compared only under the one that `compile_fail/rustc` names. Under
//! any other, the cases still have to fail, with the same error codes. `URCU_BLESS=1` in the environment takes what
//! this compiler says for the new truth.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::{OwnProcess, note};

const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compile_fail");

/// The cases, for one flavor.
#[derive(Debug)]
pub struct Cases {
    package: &'static str,
    marker: &'static str,
    /// Where the copies are.
    scratch: PathBuf,
    /// What `rustc --version` says, where it is not the compiler that the messages are from.
    other_compiler: Option<String>,
    bless: bool,
}

impl Cases {
    /// Copies the cases for the flavor crate `package`, in `folder`, whose marker type is `marker`, to a folder under
    /// `target`.
    pub fn prepare(package: &'static str, marker: &'static str, folder: &str, target: &str) -> Self {
        let marker = marker.rsplit("::").next().unwrap_or(marker);
        let compiler = rustc_version();
        let bless = env::var_os("URCU_BLESS").is_some();
        let recorded = read(&Path::new(HOME).join("rustc"));
        let cases = Self {
            package,
            marker,
            scratch: Path::new(target).join("compile_fail").join(package),
            other_compiler: (recorded.trim() != compiler).then_some(compiler),
            bless,
        };
        cases.copy(Path::new(folder));
        cases
    }

    /// The process to call [`compile`](Self::compile) in.
    pub fn process(&self) -> OwnProcess {
        let process = OwnProcess::new()
            .env("CARGO_MANIFEST_DIR", &self.scratch)
            .env("CARGO_TARGET_DIR", self.scratch.with_file_name("target"))
            .directory(&self.scratch);
        if self.bless || self.other_compiler.is_some() { process.env("TRYBUILD", "overwrite") } else { process }
    }

    /// Compiles all of them.
    pub fn compile(&self) {
        trybuild::TestCases::new().compile_fail("cases/*.rs");
    }

    /// What remains to be done after that.
    pub fn conclude(&self) {
        if self.bless {
            return self.record();
        }
        let Some(compiler) = &self.other_compiler else {
            return;
        };
        note(&format!("{compiler} is not the compiler of the recorded messages: only error codes are compared"));
        for case in files(&self.scratch.join("cases"), "stderr") {
            let recorded = codes(&read(&self.original(&case)));
            assert_eq!(codes(&read(&case)), recorded, "error codes of {}", case.display());
        }
    }

    fn copy(&self, folder: &Path) {
        let cases = self.scratch.join("cases");
        // What an earlier run left there may be the copy of a case that is no more.
        let _ = fs::remove_dir_all(&cases);
        fs::create_dir_all(&cases).expect("a folder under the target directory");
        let core = folder.with_file_name("urcu-core");
        let manifest = format!(
            "[workspace]\n\n[package]\nname = \"broken-rules-of-{package}\"\nedition = \"2024\"\n\n[[bin]]\nname = \
             \"main\"\npath = \"main.rs\"\n\n[dependencies]\n{package} = {{ path = {folder:?} }}\nurcu-core = {{ path = \
             {core:?} }}\n",
            package = self.package,
        );
        write(&self.scratch.join("Cargo.toml"), &manifest);
        write(&self.scratch.join("main.rs"), "fn main() {}\n");
        // The same versions as everywhere else, so that nothing has to be fetched.
        let lock = folder.with_file_name("Cargo.lock");
        if lock.exists() {
            write(&self.scratch.join("Cargo.lock"), &read(&lock));
        }
        for case in files(&Path::new(HOME).join("cases"), "rs") {
            let copy = cases.join(case.file_name().expect("a file has a name"));
            write(&copy, &self.with_names(&read(&case)));
            let copy = copy.with_extension("stderr");
            let message = self.original(&copy);
            if message.exists() {
                write(&copy, &self.with_names(&read(&message)));
            }
        }
    }

    /// Where the message in a copied file is from.
    fn original(&self, copy: &Path) -> PathBuf {
        let (cases, name) = (Path::new(HOME).join("cases"), copy.file_name().expect("a file has a name"));
        let own = cases.join(self.package).join(name);
        if own.exists() { own } else { cases.join(name) }
    }

    /// Writes the messages back under the neutral names.
    fn record(&self) {
        for case in files(&self.scratch.join("cases"), "stderr") {
            write(&self.original(&case), &self.without_names(&read(&case)));
        }
        write(&Path::new(HOME).join("rustc"), &(rustc_version() + "\n"));
    }

    fn with_names(&self, text: &str) -> String {
        replace_words(&self.in_crate_names(text, "urcu_flavor", self.package), "Marker", self.marker)
    }

    fn without_names(&self, text: &str) -> String {
        replace_words(&self.in_crate_names(text, &self.package.replace('-', "_"), "urcu-flavor"), self.marker, "Marker")
    }

    /// Renames crate `from` (an identifier) to that of package `to`.
    fn in_crate_names(&self, text: &str, from: &str, to: &str) -> String {
        let text = replace_words(text, from, &to.replace('-', "_"));
        replace_words(&text, &from.replace('_', "-"), to)
    }
}

/// Replaces `from` where it is not part of a longer word.
fn replace_words(text: &str, from: &str, to: &str) -> String {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let whole = !before.ends_with(in_word) && !after.starts_with(in_word);
        replaced += before;
        replaced += if whole { to } else { from };
        rest = after;
    }
    replaced + rest
}

fn codes(messages: &str) -> BTreeSet<String> {
    let codes = messages.lines().filter_map(|line| line.strip_prefix("error[")?.split(']').next());
    codes.map(str::to_owned).collect()
}

fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc can be run");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths.filter(|path| path.extension().is_some_and(|it| it == extension)).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_whole() {
        assert_eq!(replace_words("Mb, Mbx, xMb, (Mb)", "Mb", "Marker"), "Marker, Mbx, xMb, (Marker)");
    }

    #[test]
    fn codes_are_those_of_errors() {
        let text = "error[E0505]: a\n --> b\nerror: c\nwarning[E0001]: d\nerror[E0277]: e\n";
        assert_eq!(codes(text).into_iter().collect::<Vec<_>>(), ["E0277", "E0505"]);
    }
}
