//! Finds liburcu and compiles one small shim per flavor; what is missing is left out, never an error.

use std::env;
use std::path::Path;
use std::process::Command;

/// The C library's flavors, by the suffix of their pkg-config names.
const FLAVORS: [&str; 5] = ["memb", "mb", "qsbr", "signal", "bp"];

fn main() {
    println!("cargo:rerun-if-changed=shims");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(liburcu_cds, values(\"stack\", \"wfcq\", \"lfht\"))");
    println!("cargo:rustc-check-cfg=cfg(liburcu, values(\"memb\", \"mb\", \"qsbr\", \"signal\", \"bp\"))");

    let mut failures: Vec<String> = FLAVORS.into_iter().filter_map(|flavor| build(flavor).err()).collect();
    let is_absent = failures.len() == FLAVORS.len();
    // The hash table is used with one flavor, the other structures with none.
    for (shim, packages) in
        [("stack", &["liburcu-cds"][..]), ("wfcq", &["liburcu-cds"]), ("lfht", &["liburcu-cds", "liburcu-memb"])]
    {
        failures.extend(build_cds(shim, packages).err());
    }
    if is_absent {
        println!(
            "cargo:warning=the C library's rows are skipped ({}); on Debian or Ubuntu: apt install liburcu-dev pkg-config gcc",
            failures[0]
        );
    } else {
        for failure in &failures {
            println!("cargo:warning=some rows of the C library are skipped: {failure}");
        }
    }
    if !failures.is_empty() {
        look_again();
    }
    let version = pkg_config::Config::new()
        .cargo_metadata(false)
        .probe("liburcu-memb")
        .map_or_else(|_| String::from("absent"), |library| library.version);
    println!("cargo:rustc-env=URCU_BENCH_LIBURCU={version}");
    println!("cargo:rustc-env=URCU_BENCH_RUSTC={}", rustc_version());
}

/// Whoever takes the advice does not want to clean first: the build looks again when packages have been installed.
fn look_again() {
    for variable in ["PATH", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let of_the_packages = [
        "/var/lib/dpkg/status",
        "/lib/apk/db/installed",
        "/var/lib/pacman/local",
        "/usr/lib/sysimage/rpm",
        "/var/lib/rpm",
    ];
    for file in of_the_packages.into_iter().filter(|file| Path::new(file).exists()) {
        println!("cargo:rerun-if-changed={file}");
    }
}

/// Compiles the shim of one flavor and links the flavor, or says why there will be no row for it.
fn build(flavor: &str) -> Result<(), String> {
    let library = probe(&format!("liburcu-{flavor}"))?;
    compile(flavor, &library)?;
    link(&library);
    println!("cargo:rustc-cfg=liburcu=\"{flavor}\"");
    Ok(())
}

/// The same for one shim of structures.
fn build_cds(shim: &str, packages: &[&str]) -> Result<(), String> {
    let libraries = packages.iter().map(|package| probe(package)).collect::<Result<Vec<_>, _>>()?;
    compile(shim, &libraries[0])?;
    libraries.iter().for_each(link);
    println!("cargo:rustc-link-lib=urcu-common");
    println!("cargo:rustc-cfg=liburcu_cds=\"{shim}\"");
    Ok(())
}

fn probe(package: &str) -> Result<pkg_config::Library, String> {
    let mut config = pkg_config::Config::new();
    config.cargo_metadata(false).probe(package).map_err(|_| format!("pkg-config does not find {package}"))
}

fn compile(name: &str, library: &pkg_config::Library) -> Result<(), String> {
    let file = format!("shims/{name}.c");
    cc::Build::new()
        .file(&file)
        .includes(&library.include_paths)
        .define("_LGPL_SOURCE", None)
        .std("gnu11")
        // What is inlined gets measured: optimised whatever the profile is.
        .opt_level(3)
        // Position-independent *executable* code, so that the library's thread-local words are
        // reached without a call, as in a program that links liburcu directly.
        .pic(false)
        .flag("-fPIE")
        .warnings(true)
        .cargo_warnings(false)
        .try_compile(&format!("urcu_bench_{name}"))
        .map_err(|error| format!("{file} does not compile: {error}").chars().take(120).collect())
}

fn link(library: &pkg_config::Library) {
    // After the shim, so that a linker that drops libraries nobody has asked for yet keeps these.
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    for name in &library.libs {
        println!("cargo:rustc-link-lib={name}");
    }
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
