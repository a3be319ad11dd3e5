//! Test programs: built once by cargo, then run several at a time, since many tests mostly wait.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::workspace::{self, Workspace};

/// One test program as cargo has built it.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) package: String,
    /// `lib` for the library's own tests.
    pub(crate) target: String,
    pub(crate) path: PathBuf,
    /// Where it is to run: its package's folder.
    pub(crate) folder: PathBuf,
}

#[derive(Deserialize)]
struct Artifact {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// What cargo's messages say of test programs.
pub(crate) fn read(workspace: &Workspace, messages: &[String]) -> Vec<Program> {
    messages.iter().filter_map(|message| program(workspace, message)).collect()
}

fn program(workspace: &Workspace, message: &str) -> Option<Program> {
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    let (manifest, target, path) = (artifact.manifest_path?, artifact.target?, artifact.executable?);
    // Programs that tests start, and examples, are built, too.
    if !artifact.profile?.test {
        return None;
    }
    let package = workspace.packages.iter().find(|package| package.manifest() == manifest)?;
    let is = |kind: &str| target.kind.iter().any(|it| it == kind);
    let name = if is("test") || is("bin") || is("example") || is("bench") { target.name.clone() } else { "lib".into() };
    Some(Program { package: package.name.clone(), target: name, path, folder: package.folder().to_owned() })
}

impl Program {
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.package, self.target)
    }

    /// As `cargo test` would run it.
    pub(crate) fn command(&self, workspace: &Workspace, libraries: &[PathBuf]) -> Command {
        let mut command = Command::new(&self.path);
        // What `cargo run` has set for this program.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_") {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.folder).env("CARGO", workspace::cargo().get_program());
        command.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_MANIFEST_PATH", self.folder.join("Cargo.toml"));
        command.env("CARGO_PKG_NAME", &self.package);
        command.env("LD_LIBRARY_PATH", self.library_path(workspace, libraries));
        command
    }

    fn library_path(&self, workspace: &Workspace, libraries: &[PathBuf]) -> OsString {
        let beside = self.path.parent().unwrap_or(&workspace.target);
        let above = beside.parent().unwrap_or(&workspace.target);
        let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let own = [beside.to_owned(), above.to_owned()];
        let all = own.into_iter().chain(libraries.iter().cloned()).chain(std::env::split_paths(&before));
        std::env::join_paths(all).unwrap_or(before)
    }
}

/// As many test programs run at the same time. Each runs as many tests at a time as there are processors; most of them wait.
pub(crate) fn at_a_time() -> usize {
    std::thread::available_parallelism().map_or(2, |all| all.get().div_ceil(2)).max(2)
}

/// In an order in which none of the long ones is left alone at the end.
pub(crate) fn long_ones_first(mut commands: Vec<(String, Command)>) -> Vec<(String, Command)> {
    const LONG: [&str; 3] = ["/conformance", "cds-shm/crash", "urcu-benches/"];
    let is_long = |name: &str| LONG.iter().any(|part| name.contains(part));
    commands.sort_by_key(|(name, _)| (!is_long(name), name.clone()));
    commands
}

/// The libraries of the compiler itself.
pub(crate) fn compiler_libraries() -> Vec<PathBuf> {
    let output = Command::new("rustc").args(["--print", "target-libdir"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { Vec::new() } else { vec![Path::new(&text).to_owned()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_told_from_what_they_start() {
        let package = serde_json::from_str(
            r#"{"name": "a", "manifest_path": "/w/a/Cargo.toml", "publish": null, "features": {}, "dependencies": [], "targets": []}"#,
        )
        .expect("valid metadata");
        let workspace = Workspace { root: "/w".into(), target: "/w/target".into(), packages: vec![package] };
        let message = |kind: &str, test: bool, program: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{{"name":"n","kind":["{kind}"]}},
                    "profile":{{"test":{test}}},"executable":{program}}}"#
            )
        };
        let messages = [
            message("lib", true, "\"/t/a-1\""),
            message("test", true, "\"/t/n-1\""),
            message("bin", false, "\"/t/n\""),
            message("lib", false, "null"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let found = read(&workspace, &messages);
        assert_eq!(found.iter().map(Program::name).collect::<Vec<_>>(), ["a/lib", "a/n"]);
        assert_eq!(found[0].folder, Path::new("/w/a"));
    }
}
