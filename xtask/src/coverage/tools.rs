//! LLVM's readers of profiles. They have to be as new as the LLVM of the compiler that wrote the profile: the format
//! changes with each major version.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::job::Job;

pub(crate) struct Tools {
    pub(crate) profdata: PathBuf,
    pub(crate) cov: PathBuf,
}

const SHORT: Duration = Duration::from_secs(20);

impl Tools {
    /// The tools that rustup installs beside the compiler, else the system's own of the compiler's version. Says what to
    /// install where there are neither.
    pub(crate) fn find(job: &Job<'_>) -> Result<Tools, String> {
        let version = answer("rustc", &["-vV"]).unwrap_or_default();
        let Some(major) = llvm_of(&version) else {
            return Err("this compiler has no LLVM".to_owned());
        };
        let sysroot = answer("rustc", &["--print", "sysroot"]).unwrap_or_default();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let beside = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
        let all = [
            Tools { profdata: beside.join("llvm-profdata"), cov: beside.join("llvm-cov") },
            Tools { profdata: format!("llvm-profdata-{major}").into(), cov: format!("llvm-cov-{major}").into() },
        ];
        let works = |tool: &Path| {
            let mut command = Command::new(tool);
            command.arg("--version");
            job.probe(command, SHORT)
        };
        all.into_iter().find(|tools| works(&tools.profdata) && works(&tools.cov)).ok_or_else(|| {
            format!(
                "llvm-profdata and llvm-cov are missing; `rustup component add llvm-tools`, or the system's package of \
                 LLVM {major} (Debian: `apt-get install llvm-{major}`)"
            )
        })
    }
}

fn answer(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The major version of the LLVM in `rustc -vV`.
fn llvm_of(version: &str) -> Option<u32> {
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_names_its_llvm() {
        assert_eq!(llvm_of("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.2\n"), Some(22));
        assert_eq!(llvm_of("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\n"), None);
    }
}
