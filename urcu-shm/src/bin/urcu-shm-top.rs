//! `urcu-shm-top <segment> [seconds]`: who reads in a segment, what grace periods wait for, how much memory there is.
//!
//! Once, or again every so many seconds. Looks only: opens the segment for reading and attaches nothing.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use urcu_shm::{Access, Inspection, OpenOptions};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), seconds) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: urcu-shm-top <file, or /proc/PID/fd/N> [seconds]");
        return ExitCode::from(2);
    };
    let every = match seconds.map(|text| text.parse::<f64>().map(Duration::try_from_secs_f64)) {
        None => None,
        Some(Ok(Ok(every))) => Some(every),
        Some(_) => {
            eprintln!("the seconds between two looks are a number");
            return ExitCode::from(2);
        }
    };
    let segment = match OpenOptions::new(Access::Read).shared().open(&path) {
        Ok(segment) => segment,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut before = None;
    loop {
        let now = segment.inspect();
        if print(&now, before.zip(every)).is_err() {
            // Nobody reads it any more.
            return ExitCode::SUCCESS;
        }
        let Some(every) = every else { return ExitCode::SUCCESS };
        before = Some(now.grace_periods);
        std::thread::sleep(every);
    }
}

fn print(seen: &Inspection, before: Option<(u64, Duration)>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let pid =
        |process: Option<urcu_shm::ProcessId>| process.map_or("-".to_owned(), |process| process.pid().to_string());
    let threads: usize = seen.processes.iter().map(|process| process.threads.len()).sum();
    let inside = seen.processes.iter().flat_map(|process| &process.threads).filter(|thread| thread.inside).count();
    writeln!(
        out,
        "segment   {} bytes, data {} bytes, made by {}, barriers {:?}",
        seen.file_len,
        seen.data_len,
        pid(seen.creator),
        seen.barriers
    )?;
    writeln!(out, "writer    {} (number {})", pid(seen.writer), seen.writers)?;
    write!(out, "grace     {} started, longest wait for a reader {:?}", seen.grace_periods, seen.longest_wait)?;
    match before {
        Some((before, every)) => {
            let rate = seen.grace_periods.saturating_sub(before) as f64 / every.as_secs_f64();
            writeln!(out, ", {rate:.0} per second")?;
        }
        None => writeln!(out)?,
    }
    writeln!(
        out,
        "readers   {threads} threads, {inside} inside; {} processes; pages {} of {}; {} reaped, {} of their readers inside",
        seen.processes.len(),
        seen.pages_used,
        seen.pages,
        seen.reaped,
        seen.reaped_inside
    )?;
    if !seen.processes.is_empty() {
        writeln!(
            out,
            "{:>6} {:>8} {:16} {:8} {:6} threads (+: inside, and how many grace periods behind)",
            "page", "pid", "name", "state", "access"
        )?;
    }
    for process in &seen.processes {
        let state = match (process.alive, process.stopped) {
            (false, _) => "dead",
            (true, true) => "stopped",
            (true, false) => "alive",
        };
        let threads: Vec<String> = (process.threads.iter())
            .map(
                |thread| {
                    if thread.inside { format!("{}+{}", thread.tid, thread.behind) } else { thread.tid.to_string() }
                },
            )
            .collect();
        let name: String = process.name.as_deref().unwrap_or("?").chars().filter(|c| !c.is_control()).collect();
        writeln!(
            out,
            "{:>6} {:>8} {name:16} {state:8} {:6} {}",
            process.page,
            pid(process.process),
            format!("{:?}", process.access),
            threads.join(" ")
        )?;
    }
    writeln!(out)?;
    out.flush()
}
