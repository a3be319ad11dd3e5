//! A C program, compiled by the system's compiler against the generated headers, that uses a table of each flavor.

mod run;

use std::path::Path;
use std::process::Command;

use run::run;
use urcu_example_interface::shared_object;

/// What cargo gives to tests of this package to write into.
const OUTPUT: &str = env!("CARGO_TARGET_TMPDIR");

/// Compiles it, with whatever warnings there are as errors; where the program is.
fn compile(library: &Path) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = here.join("mixing/directory");
    let program = Path::new(OUTPUT).join("c_program");
    let folder = library.parent().expect("a file stands in a folder");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    cc.arg("-I").arg(here.join("../urcu-core/include")).arg("-I").arg(directory.join("include"));
    cc.arg(directory.join("program.c")).arg("-o").arg(&program).arg("-L").arg(folder);
    cc.arg("-lurcu_example_directory").arg(format!("-Wl,-rpath,{}", folder.display()));
    let output = cc.output().expect("a C compiler called cc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_c_program_uses_tables_of_every_flavor() {
    let library = shared_object("urcu-example-directory").expect("built beside this program");
    if cfg!(sanitized) {
        println!("skipped: what cc compiles has no part in a sanitized program");
        return;
    }
    let output = run(&compile(&library));
    for flavor in ["urcu-qsbr", "urcu-mb", "urcu-membarrier", "urcu-signal", "urcu-bp"] {
        let line = |what: &str| {
            let found = output.lines().find(|line| line.starts_with(&format!("{flavor}: ")) && line.contains(what));
            found.unwrap_or_else(|| panic!("no `{what}` of {flavor} in: {output}")).to_owned()
        };
        assert!(line("all freed").contains("6000 items made"));
        assert!(!line("all freed").contains(": 0 reads"));
        let _ = line("are refused");
    }
    assert_eq!(output.lines().count(), 10, "{output}");
}
