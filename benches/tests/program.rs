//! The program as its users meet it: what it says, what it writes, how it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("urcu-benches-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_urcu-benches"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A short run: two rows and two limits.
fn short(report: &Path, more: &[&str]) -> Output {
    let report = report.to_str().unwrap();
    let mut arguments = vec!["--quick", "--case", "thread", "--threads", "1", "--flavor", "qsbr", "--minutes", "0"];
    arguments.extend(["--report", report]);
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn what_is_unknown_is_answered_with_what_is_known() {
    for (arguments, says) in [
        (&["--only", "reed"][..], "there is no suite `reed`; the suites are: read, grace, "),
        (&["--flavor", "mbx"], "there is no flavor `mbx`; the flavors are: qsbr, mb, membarrier, signal, bp"),
        (&["--peer", "kovann"], "there is no peer `kovann`; the peers are: "),
        (&["--case", "retire-9"], "there is no case `retire-9`; the cases are: thread, "),
        (&["--baseline", "/nowhere/run.jsonl"], "--baseline: /nowhere/run.jsonl: No such file"),
        (&["--from", "/nowhere/run.jsonl"], "--from: /nowhere/run.jsonl: No such file"),
        (&["--json", "/proc/nothing/run.jsonl"], "/proc/nothing/run.jsonl: "),
    ] {
        let folder = Folder::new("unknown");
        let output = program(arguments).arg("--report").arg(&folder.0).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with(&format!("error: {says}")), "{arguments:?}: {said}");
    }
}

#[test]
fn a_run_writes_its_report_and_its_records_and_can_be_shown_and_compared_again() {
    let folder = Folder::new("report");
    let output = short(&folder.0, &[]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("read/thread, 1 thread [ns/section, lower is better]"), "{said}");
    assert!(said.contains(&format!("report: {}", folder.0.join("index.html").display())), "{said}");
    let page = fs::read_to_string(folder.0.join("index.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("urcu-qsbr") && page.ends_with("</html>\n"));
    let records = folder.0.join("run.jsonl");
    for line in fs::read_to_string(&records).unwrap().lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&record["suite"], &record["case"]), (&"read".into(), &"thread".into()));
    }

    let again = Folder::new("again");
    let (records, to) = (records.to_str().unwrap(), again.0.to_str().unwrap());
    let output = run(&["--from", records, "--baseline", records, "--report", to]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    for part in ["slower beyond the noise: 0", "new: 0", "missing: 0", "within the noise: 1"] {
        assert!(said.contains(part), "`{part}` is missing:\n{said}");
    }
    assert!(again.0.join("index.html").exists());
}

#[test]
fn an_interrupt_keeps_what_was_measured() {
    let folder = Folder::new("interrupt");
    let mut child = program(&["--only", "read", "--report"])
        .arg(&folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let begun = said.by_ref().filter(|line| line.starts_with("measuring ")).nth(1);
    assert!(begun.is_some(), "it ended before its second case");
    let start = Instant::now();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    said.for_each(drop);
    let output = child.wait_with_output().unwrap();
    let text = text(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted: what is above is what was measured"), "{text}");
    assert!(text.contains("read/thread, 1 thread [ns/section") && text.contains("report: "), "{text}");
    assert!(folder.0.join("index.html").exists());
    assert!(fs::read_to_string(folder.0.join("run.jsonl")).unwrap().contains("\"status\":\"ok\""));
    // All of it would take hours.
    assert!(start.elapsed() < Duration::from_secs(900), "it went on for {:?}", start.elapsed());
}

#[test]
fn the_list_needs_no_measuring() {
    let output = run(&["--list"]);
    let said = text(&output.stdout);
    for name in [
        "read ",
        "retire-drop-1",
        "registered@10000",
        "(not by --quick)",
        "liburcu-bp",
        "parking_lot-rwlock",
        "arc-swap",
    ] {
        assert!(said.contains(name), "{name} is missing:\n{said}");
    }
}
