//! The project's own commands, run as `cargo xtask <command>`.
//!
//! `flags` declares every command, `commands` holds one file for each. What is worth testing without
//! a compiler at hand stands apart: `asm`, `api`, `coverage` and `tidy` are mostly pure functions from text to findings.

mod api;
mod asm;
mod commands;
mod coverage;
mod failures;
mod flags;
mod job;
mod mutants;
mod programs;
mod progress;
mod results;
mod runner;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use flags::{Command, Flags};

fn main() -> ExitCode {
    runner::end_children_with_us();
    let outcome = match Flags::parse().command {
        Command::Test(flags) => commands::test::run(&flags),
        Command::Bench(flags) => commands::bench::run(&flags),
        Command::Asm(flags) => commands::asm::run(&flags),
        Command::Api(flags) => commands::api::run(&flags),
        Command::Headers(flags) => commands::headers::run(&flags),
        Command::Portable => commands::portable::run(),
        Command::Sanitize(flags) => commands::sanitize::run(&flags),
        Command::Stutter(flags) => commands::stutter::run(&flags),
        Command::Loom(flags) => commands::loom::run(&flags),
        Command::Mutants(flags) => commands::mutants::run(&flags),
        Command::Spin(flags) => commands::spin::run(&flags),
        Command::Torture(flags) => commands::torture::run(&flags),
        Command::Fuzz(flags) => commands::fuzz::run(&flags),
        Command::Coverage(flags) => commands::coverage::run(&flags),
        Command::Deny => commands::deny::run(),
        Command::Tidy => commands::tidy::run(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
