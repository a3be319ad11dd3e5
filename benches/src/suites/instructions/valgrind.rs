//! Starts this program once more, under valgrind.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::transfers::Caches;

/// Operations that callgrind counts.
const COUNTED: u64 = 16_384;
/// Operations of each of two threads that lackey lists.
const LISTED: u64 = 1_500;

/// Whether there is a valgrind.
pub(super) fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|folder| folder.join("valgrind").is_file())
    })
}

fn command(tool: &[&str], name: &str, operations: u64) -> Result<Command, String> {
    let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let mut command = Command::new("valgrind");
    command.args(tool).arg(program).args(["--counted", name, "--operations", &operations.to_string()]);
    Ok(command)
}

/// Instructions per operation.
pub(super) fn instructions(name: &str) -> Result<f64, String> {
    let tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=urcu_bench_counted"];
    let output = command(&tool, name, COUNTED)?.output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind ended with {}: {}", output.status, last_line(&text)));
    }
    let collected: u64 = collected(&text).ok_or_else(|| format!("valgrind said: {}", last_line(&text)))?;
    // Exact: some millions.
    #[allow(clippy::cast_precision_loss)]
    Ok(collected as f64 / COUNTED as f64)
}

fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected : "))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| line.contains("error")).or_else(|| text.lines().next_back());
    line.unwrap_or_default().chars().take(160).collect()
}

/// Cache lines that go from one of two threads to the other, per operation.
pub(super) fn transfers(name: &str) -> Result<f64, String> {
    let name = format!("turns:{name}");
    let tool = ["--tool=lackey", "--trace-mem=yes", "--basic-counts=no"];
    let mut child = command(&tool, &name, LISTED)?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("valgrind: {error}"))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("valgrind has no output".into());
    };
    // Said before the first operation; the trace up to there is passed over.
    let mark = OnceLock::new();
    let caches = std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("mark ") {
                    let _ = mark.set(u64::from_str_radix(address, 16).unwrap_or(0));
                }
            }
        });
        let mut trace = BufReader::with_capacity(1 << 18, stderr);
        let mut caches: Option<Caches> = None;
        let mut line = Vec::new();
        while trace.read_until(b'\n', &mut line).is_ok_and(|length| length != 0) {
            if let Some(caches) = &mut caches {
                caches.line(&line);
            } else if let Some(mark) = mark.get() {
                caches = Some(Caches::new(*mark));
            }
            line.clear();
        }
        caches
    });
    let status = child.wait().map_err(|error| format!("valgrind: {error}"))?;
    if !status.success() {
        return Err(format!("valgrind ended with {status}"));
    }
    caches.ok_or("it never began")?.per_operation()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callgrind_says_is_understood() {
        let text = "==1== Events    : Ir\n==1== Collected : 123456\n==1==\n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("==1== nothing"), None);
    }
}
