//! Starts one process per flavor, shows how they go, ends those that hang, and prints the summary.

use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use urcu_conformance::watchdog;

use crate::flags::{Flags, FlavorName};
use crate::record::Record;

/// A process that says nothing for so long hangs. (Its own watchdog ends it before, if that still runs.) `URCU_PATIENCE`
/// multiplies it, as it does the watchdog's limit.
const SILENCE: Duration = Duration::from_secs(1200);
/// Where there is no terminal, a line so often.
const PLAIN: Duration = Duration::from_secs(30);

/// One flavor's process.
struct Run {
    flavor: FlavorName,
    child: Child,
    lines: Receiver<String>,
    bar: Option<ProgressBar>,
    last: Record,
    heard: Instant,
    shown: Instant,
    /// How it ended; none while it runs.
    outcome: Option<Result<(), String>>,
}

pub(crate) fn run(flags: &Flags) -> Result<ExitCode> {
    let seed = flags.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    println!("seed {seed}, {} s, {} readers per flavor", flags.duration, flags.readers());
    let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
    let mut done = Vec::new();
    let batches: Vec<&[FlavorName]> =
        if flags.one_by_one { flags.flavor.chunks(1).collect() } else { vec![&flags.flavor] };
    for batch in batches {
        let mut runs = Vec::new();
        for flavor in batch {
            runs.push(start(flags, *flavor, seed, bars.as_ref())?);
        }
        while runs.iter().any(|run| run.outcome.is_none()) {
            runs.iter_mut().filter(|run| run.outcome.is_none()).for_each(Run::attend);
        }
        done.extend(runs);
    }
    if let Some(bars) = bars {
        let _ = bars.clear();
    }
    Ok(close(&done, seed))
}

fn start(flags: &Flags, flavor: FlavorName, seed: u64, bars: Option<&MultiProgress>) -> Result<Run> {
    let mut words = vec!["--child".to_owned(), format!("--flavor={}", flavor.name())];
    words.push(format!("--duration={}", flags.duration));
    if let Some(readers) = flags.readers {
        words.push(format!("--readers={readers}"));
    }
    for mode in &flags.mode {
        words.push(format!("--mode={}", mode.to_possible_value().expect("no mode is hidden").get_name()));
    }
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(words).env("URCU_SEED", seed.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start this program again")?;
    let pipe = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in pipe.lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let bar = bars.map(|bars| {
        let style = ProgressStyle::with_template("{spinner} {prefix:>10.bold} {bar:16} {wide_msg}");
        let bar = ProgressBar::new(flags.duration * 10).with_style(style.expect("a valid template"));
        bar.set_prefix(flavor.name());
        bars.add(bar)
    });
    let now = Instant::now();
    Ok(Run { flavor, child, lines, bar, last: Record::default(), heard: now, shown: now, outcome: None })
}

impl Run {
    /// Looks at what it says, for a moment.
    fn attend(&mut self) {
        match self.lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => self.hear(&line),
            Err(RecvTimeoutError::Timeout) if self.heard.elapsed() > watchdog::patient(SILENCE) => {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let silence = self.heard.elapsed().as_secs();
                self.outcome = Some(Err(format!("said nothing for {silence} s and was ended")));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.outcome = Some(self.end()),
        }
    }

    fn hear(&mut self, line: &str) {
        let Ok(record) = serde_json::from_str::<Record>(line) else { return };
        self.heard = Instant::now();
        if let Some(bar) = &self.bar {
            bar.set_position((record.seconds * 10.0) as u64);
            bar.set_message(record.line());
        } else if self.shown.elapsed() >= PLAIN {
            self.shown = Instant::now();
            println!("{:>10}: {}", self.flavor.name(), record.line());
        }
        self.last = record;
    }

    fn end(&mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        match (status.success(), self.last.ended) {
            (true, true) => Ok(()),
            (false, true) => Err("it failed, for the reasons above".into()),
            _ => Err(format!("it did not come to its end: {status}")),
        }
    }
}

fn close(runs: &[Run], seed: u64) -> ExitCode {
    let mut failed = Vec::new();
    for run in runs {
        let outcome = run.outcome.as_ref().expect("all have ended");
        let verdict = if outcome.is_ok() { "passed" } else { "FAILED" };
        println!("{:<10} {verdict} after {:.1} s", run.flavor.name(), run.last.seconds);
        print!("{}", run.last.summary());
        if let Err(why) = outcome {
            println!("    FAILED       {why}");
            failed.push(run.flavor.name());
        }
    }
    if failed.is_empty() {
        println!("torture: all passed (seed {seed})");
        ExitCode::SUCCESS
    } else {
        println!("torture: FAILED: {} (seed {seed})", failed.join(", "));
        ExitCode::FAILURE
    }
}
