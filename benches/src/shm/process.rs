//! The parent's side of a reader process.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A process that was started; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program once more, in a role; returns when it is ready.
    ///
    /// # Errors
    /// When it does not start, or says something else.
    pub fn start(role: &str, path: &str, core: Option<usize>) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let core = core.map_or_else(|| "any".into(), |core| core.to_string());
        let mut child = Command::new(program)
            .args(["--shm-process", role, "--shm-path", path, "--shm-core", &core])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("a process does not start: {error}"))?;
        let input = child.stdin.take().ok_or("it has no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("it has no output")?);
        let mut process = Self { child, input, output };
        match process.line()?.as_str() {
            "ready" => Ok(process),
            other => Err(format!("a process said {other:?}")),
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| format!("its output: {error}"))?;
        Ok(line.trim().to_owned())
    }

    /// Has it work for so long.
    ///
    /// # Errors
    /// When it is gone.
    pub fn begin(&mut self, length: Duration) -> Result<(), String> {
        writeln!(self.input, "{}", length.as_millis()).map_err(|error| format!("its input: {error}"))
    }

    /// The figures that it says at the end.
    ///
    /// # Errors
    /// When it has seen a wrong answer, or ended.
    pub fn figures(&mut self) -> Result<Vec<f64>, String> {
        let line = self.line()?;
        let figures: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        figures.map_err(|_| format!("a process said {line:?}"))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // Fails when it has ended, which is as good.
        let _ = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}
