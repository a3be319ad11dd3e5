//! Runs a program to its end, for a limited time.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Generous: it is there to end what hangs, not to measure. `URCU_PATIENCE` multiplies it.
const LIMIT: Duration = Duration::from_secs(900);

/// What the program has printed. Panics, with its output, unless it succeeds.
#[track_caller]
pub(crate) fn run(program: &str) -> String {
    // A process group of its own, to which its children belong as well.
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("the program can be started");
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));

    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let (ended, end) = mpsc::channel::<()>();
    let patience = std::env::var("URCU_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let limit = LIMIT.mul_f64(patience);
    let watchdog = thread::spawn(move || {
        let late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            // It may just have ended; nobody has waited for it, so the id is still its own.
            let _ = killpg(group, Signal::SIGKILL);
        }
        late
    });
    // Both end when the last process that writes there has ended.
    let (stdout, stderr) = (finish(stdout), finish(stderr));
    drop(ended);
    let late = watchdog.join().expect("the watchdog does not panic");
    let status = child.wait().expect("the program was started here");

    let printed = format!("{status}\n--- output\n{stdout}--- errors\n{stderr}---");
    assert!(!late, "{program} has not ended within {limit:?}: {printed}");
    assert!(status.success(), "{program} failed: {printed}");
    println!("{printed}");
    stdout
}

type Collected = thread::JoinHandle<io::Result<Vec<u8>>>;

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map(|_| bytes)
    })
}

fn finish(collected: Collected) -> String {
    let bytes = collected.join().expect("reading does not panic").expect("a pipe can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
