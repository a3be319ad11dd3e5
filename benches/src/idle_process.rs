//! Processes that do nothing but have a worker, and the processor time that they use.
//!
//! The program starts itself once more for each: in one process the workers of all implementations would be counted.

use std::env;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::blocks::Manner;
use crate::contenders;

/// The name of a process without any worker: what looking at the clock and sleeping take.
pub const NO_WORKER: &str = "limit:no-worker";
/// Deferred before it idles, so that the worker exists.
const BLOCKS: u64 = 2_000;
/// Until whatever the worker does after its last batch is over.
const CALM: Duration = Duration::from_millis(200);

/// A process that idles; ended when it is dropped.
#[derive(Debug)]
pub struct IdleProcess(Child);

impl IdleProcess {
    /// Starts this program once more, to idle with the worker of the implementation `name`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(name: &str, length: Duration) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        Command::new(program)
            .args(["--idle-process", name, "--idle-ms", &length.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map(Self)
            .map_err(|error| format!("an idle process does not start: {error}"))
    }

    /// Waits for its end; the processor time that it used while idle, in microseconds.
    ///
    /// # Errors
    /// When it failed.
    pub fn finish(mut self) -> Result<f64, String> {
        let mut text = String::new();
        let read = self.0.stdout.take().ok_or("it has no output")?.read_to_string(&mut text);
        read.map_err(|error| format!("its output: {error}"))?;
        let status = self.0.wait().map_err(|error| format!("its end: {error}"))?;
        match text.trim().parse() {
            Ok(micros) if status.success() => Ok(micros),
            _ => Err(format!("the idle process ended with {status} and said {:?}", text.trim())),
        }
    }
}

impl Drop for IdleProcess {
    fn drop(&mut self) {
        // Fails when it has ended, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What such a process does: processor time of the whole process in microseconds, over the given time.
///
/// # Errors
/// When the implementation is not there.
pub fn idle(name: &str, length: Duration) -> Result<f64, String> {
    if name == NO_WORKER {
        return sleep(length);
    }
    let entry = contenders::with_callbacks()
        .find(|entry| entry.name == name)
        .ok_or_else(|| format!("there is no implementation `{name}`"))?;
    let deferral = entry.deferral?;
    deferral.api.ready()?;
    let mut updater = deferral.enlist(true)?;
    updater.retire(Manner::Dropping, BLOCKS);
    let _offline = updater.offline();
    (deferral.barrier)()?;
    sleep(length)
}

fn sleep(length: Duration) -> Result<f64, String> {
    thread::sleep(CALM);
    let before = processor_time()?;
    thread::sleep(length);
    Ok((processor_time()?.saturating_sub(before)).as_secs_f64() * 1e6)
}

/// User and system time of all threads of this process.
fn processor_time() -> Result<Duration, String> {
    // SAFETY: all-zero is a valid value of this C structure.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live structure.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return Err(format!("getrusage: {}", std::io::Error::last_os_error()));
    }
    let duration = |time: libc::timeval| {
        let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
        seconds + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    Ok(duration(usage.ru_utime) + duration(usage.ru_stime))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::watchdog::watched;

    #[test]
    fn an_implementation_idles_and_an_unknown_one_is_named() {
        watched("an idle process", || {
            let micros = idle("urcu-mb", Duration::from_millis(20));
            assert!(micros.as_ref().is_ok_and(|micros| *micros >= 0.0), "{micros:?}");
        });
        assert!(idle(NO_WORKER, Duration::ZERO).is_ok());
        assert_eq!(idle("nobody", Duration::ZERO), Err("there is no implementation `nobody`".into()));
    }
}
