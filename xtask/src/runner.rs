//! Child processes under a watchdog.
//!
//! A child leads a process group of its own. Whatever ends it (its own exit, the time limit, a signal
//! to this program) ends the whole group, so that a hanging test cannot outlive the command that ran it.

use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

/// How a child came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// It exited, or a signal that is not ours ended it.
    Exited(ExitStatus),
    /// The watchdog ended it and its whole process group.
    TimedOut(Duration),
}

impl End {
    pub(crate) fn success(&self) -> bool {
        matches!(self, End::Exited(status) if status.success())
    }
}

/// What a running child reports.
pub(crate) enum Event<'a> {
    /// One line of its output, stdout and stderr in the order in which they were written.
    Line(&'a str),
    /// Nothing new; comes several times a second so that a display can move.
    Tick,
}

/// How often a silent child is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long the pipe may stay open in silence after the child itself has gone.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs `command` to its end, or for `limit` at most, with closed standard input.
pub(crate) fn run(mut command: Command, limit: Duration, mut report: impl FnMut(Event<'_>)) -> Result<End> {
    let name = command.get_program().to_string_lossy().into_owned();
    // One pipe for both streams keeps their order.
    let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("cannot duplicate a pipe")?)
        .stderr(writer)
        .process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
    // The command holds the write ends; the pipe closes only when the child's copies are the last.
    drop(command);

    let group = Group::lead_by(&child);
    let lines = read_lines(reader);
    let started = Instant::now();
    let mut open = true;
    let timed_out = loop {
        if open {
            match lines.recv_timeout(TICK) {
                Ok(line) => report(Event::Line(&line)),
                Err(RecvTimeoutError::Timeout) => report(Event::Tick),
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
        } else {
            thread::sleep(TICK);
            report(Event::Tick);
        }
        if group.leader_has_exited()? {
            break false;
        }
        if started.elapsed() >= limit {
            break true;
        }
    };
    if timed_out {
        group.kill();
    }
    if open && !drain(&lines, &mut report) {
        report(Event::Line("warning: processes were left running; they are being ended"));
    }
    let status = group.finish(child)?;
    Ok(if timed_out { End::TimedOut(limit) } else { End::Exited(status) })
}

/// Passes on what is still in the pipe. False when somebody keeps it open.
fn drain(lines: &Receiver<String>, report: &mut impl FnMut(Event<'_>)) -> bool {
    loop {
        match lines.recv_timeout(DRAIN) {
            Ok(line) => report(Event::Line(&line)),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

fn read_lines(pipe: PipeReader) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while let Ok(1..) = pipe.read_until(b'\n', &mut bytes) {
            let line = String::from_utf8_lossy(&bytes);
            if sender.send(line.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
                break;
            }
            bytes.clear();
        }
    });
    receiver
}

/// As many children run at the same time at most.
pub(crate) const MOST: usize = 16;

/// The process groups of the children that run now, zero where none does.
static RUNNING: [AtomicI32; MOST] = [const { AtomicI32::new(0) }; MOST];

struct Group(Pid);

impl Group {
    fn lead_by(child: &Child) -> Group {
        let pid = child.id().cast_signed();
        // Relaxed: the handler reads these words and nothing that they would publish. One beyond the most is not ended by it.
        let enter = |word: &AtomicI32| word.compare_exchange(0, pid, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let _ = RUNNING.iter().any(enter);
        Group(Pid::from_raw(pid))
    }

    /// Looks without reaping: while the leader is not reaped, its number cannot name another group.
    fn leader_has_exited(&self) -> Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match nix::sys::wait::waitid(Id::Pid(self.0), flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) => Err(error).context("cannot wait for a child process"),
        }
    }

    fn kill(&self) {
        // An error means that nobody is left to be ended.
        let _ = signal::killpg(self.0, Signal::SIGKILL);
    }

    /// Ends what is left of the group, then reaps its leader.
    fn finish(self, mut child: Child) -> Result<ExitStatus> {
        self.kill();
        for word in &RUNNING {
            // Relaxed: as in `lead_by`.
            let _ = word.compare_exchange(self.0.as_raw(), 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        child.wait().context("cannot reap a child process")
    }
}

/// Makes an interrupt of this program end the groups of running children too: the terminal sends
/// its signals to our own group only.
pub(crate) fn end_children_with_us() {
    extern "C" fn pass_on(number: std::ffi::c_int) {
        for word in &RUNNING {
            // Relaxed: as in `Group::lead_by`.
            let group = word.load(Ordering::Relaxed);
            if group > 0 {
                let _ = signal::killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
        }
        // The handler was reset on entry (SA_RESETHAND): the second delivery ends this program as
        // the signal would have done without us.
        if let Ok(number) = Signal::try_from(number) {
            let _ = signal::raise(number);
        }
    }

    let action = SigAction::new(SigHandler::Handler(pass_on), SaFlags::SA_RESETHAND, SigSet::empty());
    for number in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler calls kill(2) and raise(3) only, which are async-signal-safe, and reads an
        // atomic. No other part of this program handles these signals.
        let installed = unsafe { signal::sigaction(number, &action) };
        installed.expect("the signal numbers are valid");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (End, Vec<String>) {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let end = run(command, limit, |event| {
            if let Event::Line(line) = event {
                lines.push(line.to_owned());
            }
        })
        .expect("sh runs");
        (end, lines)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn children_are_watched() {
        let (end, lines) = shell("echo a; echo b >&2; echo c; exit 3", LONG);
        assert_eq!(lines, ["a", "b", "c"], "both streams in order");
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)));

        let (end, lines) = shell("cat; printf last", LONG);
        assert!(end.success(), "standard input is closed, cat ends at once");
        assert_eq!(lines, ["last"], "a last line without its newline counts");

        // The grandchild holds the pipe open far beyond the limit and beyond this test.
        // On a busy machine it takes its time to say something.
        let mut limit = Duration::from_millis(300);
        let lines = loop {
            let (end, lines) = shell("sleep 1000 & echo up; wait", limit);
            assert!(matches!(end, End::TimedOut(_)));
            limit *= 4;
            if !lines.is_empty() || limit > LONG {
                break lines;
            }
        };
        assert_eq!(lines, ["up"]);

        let (end, lines) = shell("sleep 1000 & echo $!", LONG);
        assert!(end.success(), "the child itself went well");
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("warning: processes were left running"));
        let stray = Pid::from_raw(lines[0].parse().expect("a process id"));
        let gone = Instant::now() + LONG;
        // Orphans are reaped by init, some time after they died.
        while signal::kill(stray, None).is_ok() && !is_zombie(stray) {
            assert!(Instant::now() < gone, "the stray process lives");
            thread::yield_now();
        }
    }

    fn is_zombie(pid: Pid) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    }

    #[test]
    fn a_missing_program_is_an_error_with_its_name() {
        let error = run(Command::new("no-such-program-anywhere"), LONG, |_| ()).unwrap_err();
        assert!(error.to_string().contains("no-such-program-anywhere"));
    }
}
