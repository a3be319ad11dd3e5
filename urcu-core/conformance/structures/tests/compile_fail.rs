//! The rules that the structures' types enforce: programs that break one do not compile, and say why. The flavors' own rules
//! are tested with them.
//!
//! Messages differ between compilers: they are compared under the one of `tests/compile_fail/rustc` only. `TRYBUILD=overwrite`
//! takes what this compiler says for the new truth.

use std::process::Command;

#[test]
fn broken_rules_do_not_compile() {
    let version = Command::new("rustc").arg("--version").output().expect("a compiler");
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let recorded = include_str!("compile_fail/rustc").trim();
    if version != recorded {
        println!("skipped: {version} is not the compiler of the recorded messages, {recorded}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
