//! `cargo xtask bench`: runs the suites and prints the tables.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use urcu_benches::cli::{Arguments, Plan};
use urcu_benches::harness::log::Log;
use urcu_benches::harness::progress::Progress;
use urcu_benches::harness::run::{Runs, title};
use urcu_benches::harness::share::Shares;
use urcu_benches::harness::threads::Cores;
use urcu_benches::harness::watchdog::{STUCK, Watchdog};
use urcu_benches::harness::{interrupt, table};
use urcu_benches::idle_process::idle;
use urcu_benches::machine::Machine;
use urcu_benches::map_process;
use urcu_benches::output::{Output, default_report, prepare};
use urcu_benches::record::{Recorder, Run};
use urcu_benches::shm;
use urcu_benches::suites::instructions;
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
    if let Some(name) = &arguments.counted {
        return figure(instructions::child(name, arguments.operations));
    }
    if let Some(role) = &arguments.shm_process {
        return match shm::child::play(role, &arguments.shm_path, &arguments.shm_core) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("error: {role}: {reason}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(name) = &arguments.map_process {
        return figure(map_process::measure(name, arguments.map_entries));
    }
    match outcome(&arguments) {
        Ok(status) => ExitCode::from(status),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(USAGE)
        }
    }
}

/// Everything that can be wrong with the arguments is said before anything is measured.
fn outcome(arguments: &Arguments) -> Result<u8, String> {
    let baseline = arguments.baseline.as_deref().map(|file| Ok((file.to_owned(), Run::read(file)?)));
    let baseline = baseline.transpose().map_err(|error: String| format!("--baseline: {error}"))?;
    let report = arguments.report.clone().unwrap_or_else(default_report);
    prepare(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));

    if let Some(file) = &arguments.from {
        let run = Run::read(file).map_err(|error| format!("--from: {error}"))?;
        let nothing = Recorder::create(None).map_err(|error| error.to_string())?;
        let mut output = Output::new(run.machine, nothing, report);
        output.baseline = baseline;
        output.publish = arguments.publish.then_some(folder);
        run.tables.iter().for_each(|table| print!("{}", table::render(table)));
        output.finish(&run.tables);
        return Ok(0);
    }

    let plan = arguments.plan()?;
    let json = arguments.json.clone().unwrap_or_else(|| report.join("run.jsonl"));
    let recorder = Recorder::create(Some(&json)).map_err(|error| format!("{}: {error}", json.display()))?;
    let cores = Cores::detect();
    let mut output = Output::new(Machine::detect(cores.count()), recorder, report);
    output.baseline = baseline;
    output.publish = arguments.publish.then_some(folder);
    output.left_out.clone_from(&plan.left_out);
    Ok(run(plan, &cores, output))
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

/// What the main thread and the watchdog share.
struct Session {
    log: Mutex<Log>,
    output: Mutex<Output>,
}

impl Session {
    /// Says and writes what there is.
    fn finish(&self) {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.output.lock().unwrap_or_else(PoisonError::into_inner).finish(log.tables());
    }
}

fn run(plan: Plan, cores: &Cores, output: Output) -> u8 {
    let machine = output.machine.clone();
    let session = Arc::new(Session { log: Mutex::default(), output: Mutex::new(output) });
    let wanted = plan.wanted();
    let expected = plan.settings.limit.map_or(wanted.sum(), |limit| wanted.sum().min(limit));
    let progress = Progress::new(plan.cases.len(), expected);
    let watchdog = {
        let (session, progress) = (Arc::clone(&session), progress.clone());
        let seconds = plan.settings.stuck.as_secs();
        Watchdog::start(move |what| {
            progress.finish();
            let mut log = session.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.hung(&format!("hung: it did not end within {seconds} s, which ended the run"));
            if let Some(table) = log.tables().last() {
                print!("{}", table::render(table));
            }
            drop(log);
            session.finish();
            eprintln!("\nerror: stuck in {what}; what is above was measured before");
            std::process::exit(STUCK);
        })
    };
    interrupt::install();
    progress.print(&format!(
        "{}, {} cores, {}\ncommit {}, {}, liburcu {}\n{} cases, up to {} rounds of {} ms per contender, interleaved",
        machine.machine,
        machine.cores,
        machine.kernel,
        machine.commit,
        machine.rustc,
        machine.liburcu,
        plan.cases.len(),
        plan.settings.rounds,
        plan.settings.budget.as_millis(),
    ));

    let runs = Runs {
        cores,
        progress: &progress,
        watchdog: &watchdog,
        stuck: plan.settings.stuck,
        log: &session.log,
        stop: interrupt::requested,
    };
    let mut shares = Shares::new(plan.settings, wanted);
    let mut seen = BTreeSet::new();
    for (suite, case) in plan.cases {
        if interrupt::requested() {
            break;
        }
        // Each suite has one case at least, however slow the machine is.
        let is_first = seen.insert(suite);
        let Some(share) = shares.next(suite, &case, is_first) else {
            let why = format!("{}: the time was over", title(suite, &case.name, case.threads));
            progress.print(&format!("\n{why}"));
            session.output.lock().unwrap_or_else(PoisonError::into_inner).left_out.push(why);
            continue;
        };
        let table = runs.case(suite, case, share, shares.left());
        progress.print(table::render(&table).trim_end());
        let mut log = session.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.end(table);
        let recorded = session.output.lock().unwrap_or_else(PoisonError::into_inner).record(log.tables());
        if let Err(error) = recorded {
            progress.print(&format!("the records cannot be written: {error}"));
        }
    }
    progress.finish();
    session.finish();
    println!("measured in {:.0} s", progress.elapsed().as_secs_f64());
    if interrupt::requested() {
        println!("\ninterrupted: what is above is what was measured");
        return INTERRUPTED;
    }
    0
}
