//! `cargo xtask bench`: runs the suites and prints the tables.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use urcu_benches::cli::{Arguments, Plan};
use urcu_benches::harness::progress::Progress;
use urcu_benches::harness::run::Runs;
use urcu_benches::harness::threads::Cores;
use urcu_benches::harness::watchdog::{STUCK, Watchdog};
use urcu_benches::harness::{interrupt, table};
use urcu_benches::idle_process::idle;
use urcu_benches::machine::Machine;
use urcu_benches::map_process;
use urcu_benches::record::Recorder;
use urcu_benches::suites::map::bytes_per_entry;

/// Wrong arguments, as clap has it.
const USAGE: u8 = 2;
/// Ended by Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        print!("{}", arguments.list());
        return ExitCode::SUCCESS;
    }
    if let Some(name) = &arguments.idle_process {
        return figure(idle(name, Duration::from_millis(arguments.idle_ms)));
    }
    if let Some(name) = &arguments.map_memory {
        return figure(bytes_per_entry(name, arguments.map_entries));
    }
    if let Some(name) = &arguments.map_process {
        return figure(map_process::measure(name, arguments.map_entries));
    }
    let plan = match arguments.plan() {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(USAGE);
        }
    };
    let recorder = match Recorder::create(arguments.json.as_deref()) {
        Ok(recorder) => recorder,
        Err(error) => {
            eprintln!("error: the file for --json cannot be created: {error}");
            return ExitCode::from(USAGE);
        }
    };
    run(plan, recorder)
}

/// What a process that was started by this program says to it.
fn figure(figure: Result<f64, String>) -> ExitCode {
    match figure {
        Ok(figure) => {
            println!("{figure}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: Plan, mut recorder: Recorder) -> ExitCode {
    let cores = Cores::detect();
    let machine = Machine::detect(cores.count());
    let progress = Progress::new(plan.shots(), plan.expected());
    let watchdog = Watchdog::start(|what| {
        eprintln!("error: stuck in {what}; the figures printed so far are complete");
        std::process::exit(STUCK);
    });
    interrupt::install();
    progress.print(&format!(
        "{}, {} cores, {}\ncommit {}, {}, liburcu {}\n{} rounds of {} ms per contender, interleaved",
        machine.machine,
        machine.cores,
        machine.kernel,
        machine.commit,
        machine.rustc,
        machine.liburcu,
        plan.settings.rounds,
        plan.settings.budget.as_millis(),
    ));

    let runs = Runs {
        settings: plan.settings,
        cores: &cores,
        progress: &progress,
        watchdog: &watchdog,
        stop: interrupt::requested,
    };
    let mut tables = Vec::new();
    for (suite, case) in plan.cases {
        if interrupt::requested() {
            break;
        }
        let table = runs.case(suite, case);
        progress.print(table::render(&table).trim_end());
        if let Err(error) = recorder.write(&machine, &table) {
            progress.print(&format!("the record cannot be written: {error}"));
        }
        tables.push(table);
    }
    progress.finish();

    let losses = table::losses(&tables);
    if !losses.is_empty() {
        println!("\nrows where a peer is ahead:");
        for line in losses {
            println!("  {line}");
        }
    }
    if interrupt::requested() {
        println!("\ninterrupted: what is above is what was measured");
        return ExitCode::from(INTERRUPTED);
    }
    ExitCode::SUCCESS
}
