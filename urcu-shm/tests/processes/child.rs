//! Other processes: this test program again, told by its environment what to do.

#![allow(dead_code, reason = "no test program needs all of it")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use urcu_conformance::spare::folder_for_mappings;

const ROLE: &str = "URCU_SHM_ROLE";
const SEGMENT: &str = "URCU_SHM_SEGMENT";

/// A process with a role in a segment. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    words: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(role: &str, segment: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["a_role_in_another_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(SEGMENT, segment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let (orders, words) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        Self { child, orders, words: BufReader::new(words) }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// Waits until it says `word`; `false` if it ends before. What else it prints (the test harness does) is passed over.
    pub(crate) fn says(&mut self, word: &str) -> bool {
        let mut line = String::new();
        loop {
            line.clear();
            if self.words.read_line(&mut line).unwrap_or(0) == 0 {
                return false;
            }
            if line.trim_end().ends_with(word) {
                return true;
            }
        }
    }

    pub(crate) fn tell(&mut self, word: &str) {
        let orders = self.orders.as_mut().expect("not told to end");
        // It may have been killed.
        let _ = writeln!(orders, "{word}");
        let _ = orders.flush();
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: a child that has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    /// Ends its orders and waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.orders.take());
        self.child.wait().expect("ours")
    }

    pub(crate) fn kill(mut self) {
        self.signal(libc::SIGKILL);
        let status = self.child.wait().expect("ours");
        // It may have found something wrong just before.
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this process was started for, and in which segment; `None` in the test program itself.
pub(crate) fn role() -> Option<(String, PathBuf)> {
    let role = std::env::var(ROLE).ok()?;
    // SAFETY: plain integers. Does not outlive the test.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    Some((role, std::env::var_os(SEGMENT)?.into()))
}

/// Tells the test something.
pub(crate) fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{word}");
    let _ = out.flush();
}

/// The next order; `None` at their end.
pub(crate) fn order() -> Option<String> {
    let mut line = String::new();
    let count = std::io::stdin().lock().read_line(&mut line).ok()?;
    (count != 0).then(|| line.trim_end().to_owned())
}

/// A name for a segment that nobody else uses; the file is removed at the end.
#[derive(Debug)]
pub(crate) struct Name(PathBuf);

impl Name {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(folder_for_mappings(32 << 20).join(format!("urcu-shm-test-{}-{number}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
