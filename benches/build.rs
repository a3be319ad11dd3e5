//! Finds liburcu and compiles one small shim per flavor; what is missing is left out, never an error.

use std::env;
use std::process::Command;

/// The C library's flavors, by the suffix of their pkg-config names.
const FLAVORS: [&str; 5] = ["memb", "mb", "qsbr", "signal", "bp"];

fn main() {
    println!("cargo:rerun-if-changed=shims");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(liburcu_cds, values(\"stack\", \"wfcq\"))");
    println!("cargo:rustc-check-cfg=cfg(liburcu, values(\"memb\", \"mb\", \"qsbr\", \"signal\", \"bp\"))");

    let outcomes: Vec<Result<(), String>> = FLAVORS.into_iter().map(build).collect();
    let failures: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    if failures.len() == FLAVORS.len() {
        println!(
            "cargo:warning=the C library's rows are skipped ({}); \
             on Debian or Ubuntu: apt install liburcu-dev pkg-config gcc",
            failures[0]
        );
    } else {
        for failure in failures {
            println!("cargo:warning=the C library's row of one flavor is skipped: {failure}");
        }
    }
    for shim in ["stack", "wfcq"] {
        if let Err(failure) = build_cds(shim) {
            println!("cargo:warning=some rows of the C library are skipped: {failure}");
        }
    }
    let version = pkg_config::Config::new()
        .cargo_metadata(false)
        .probe("liburcu-memb")
        .map_or_else(|_| String::from("absent"), |library| library.version);
    println!("cargo:rustc-env=URCU_BENCH_LIBURCU={version}");
    println!("cargo:rustc-env=URCU_BENCH_RUSTC={}", rustc_version());
}

/// Compiles the shim of one flavor and links the flavor, or says why there will be no row for it.
fn build(flavor: &str) -> Result<(), String> {
    let package = format!("liburcu-{flavor}");
    let library = pkg_config::Config::new()
        .cargo_metadata(false)
        .probe(&package)
        .map_err(|_| format!("pkg-config does not find {package}"))?;

    let mut shim = cc::Build::new();
    shim.file(format!("shims/{flavor}.c")).includes(&library.include_paths);
    settings(&mut shim);
    shim.try_compile(&format!("urcu_bench_{flavor}")).map_err(|error| {
        let reason = format!("the shim for {package} does not compile: {error}");
        reason.chars().take(120).collect::<String>()
    })?;

    // After the shim, so that a linker that drops libraries nobody has asked for yet keeps these.
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    for name in &library.libs {
        println!("cargo:rustc-link-lib={name}");
    }
    println!("cargo:rustc-cfg=liburcu=\"{flavor}\"");
    Ok(())
}

/// How all shims are compiled.
fn settings(shim: &mut cc::Build) {
    shim.define("_LGPL_SOURCE", None)
        .std("gnu11")
        // What is inlined gets measured: optimised whatever the profile is.
        .opt_level(3)
        // Position-independent *executable* code, so that the library's thread-local words are
        // reached without a call, as in a program that links liburcu directly.
        .pic(false)
        .flag("-fPIE")
        .warnings(true)
        .cargo_warnings(false);
}

/// Compiles one shim of structures that know no flavor, and links their library.
fn build_cds(shim_name: &str) -> Result<(), String> {
    let library = pkg_config::Config::new()
        .cargo_metadata(false)
        .probe("liburcu-cds")
        .map_err(|_| String::from("pkg-config does not find liburcu-cds"))?;
    let mut shim = cc::Build::new();
    shim.file(format!("shims/{shim_name}.c")).includes(&library.include_paths);
    settings(&mut shim);
    shim.try_compile(&format!("urcu_bench_{shim_name}"))
        .map_err(|error| error.to_string().chars().take(120).collect::<String>())?;
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    println!("cargo:rustc-link-lib=urcu-common");
    for name in &library.libs {
        println!("cargo:rustc-link-lib={name}");
    }
    println!("cargo:rustc-cfg=liburcu_cds=\"{shim_name}\"");
    Ok(())
}

/// One line that names the compiler, for the record.
fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| String::from("unknown"), |version| version.trim().to_owned())
}
