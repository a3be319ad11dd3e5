//! Every program runs to its end and says what it has promised. What they show is asserted inside of them.

mod run;

use run::run;

/// The number in front of `what`.
#[track_caller]
fn number(output: &str, what: &str) -> u64 {
    let end = output.find(what).unwrap_or_else(|| panic!("no `{what}` in: {output}"));
    let before = output[..end].trim_end();
    let digits = before.rfind(|c: char| !c.is_ascii_digit()).map_or(before, |at| &before[at + 1..]);
    digits.parse().unwrap_or_else(|_| panic!("no number before `{what}` in: {output}"))
}

#[test]
fn first() {
    let output = run(env!("CARGO_BIN_EXE_first"));
    let freed: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("freed: ")).collect();
    assert_eq!(freed, ["version 1", "version 2", "version 3", "version 4"]);
    assert_ne!(number(&output, "reads meanwhile"), 0);
}

#[test]
fn tokio_qsbr() {
    let output = run(env!("CARGO_BIN_EXE_tokio_qsbr"));
    assert_eq!(number(&output, "updates"), 50);
    assert_eq!(number(&output, "old versions dropped"), 50);
    // Three tasks for four workers.
    assert_ne!(number(&output, "times"), 0);
}

#[test]
fn tokio_membarrier() {
    let output = run(env!("CARGO_BIN_EXE_tokio_membarrier"));
    assert_eq!(number(&output, "updates"), 50);
    assert_eq!(number(&output, "old versions dropped"), 50);
}

#[test]
fn rayon_qsbr() {
    let output = run(env!("CARGO_BIN_EXE_rayon_qsbr"));
    assert!(number(&output, "updates") >= 20);
    assert_eq!(number(&output, "updates"), number(&output, "old versions dropped"));
    assert!(output.contains("ended while the pool was idle"), "{output}");
}

#[test]
fn epoll_qsbr() {
    let output = run(env!("CARGO_BIN_EXE_epoll_qsbr"));
    assert_eq!(number(&output, "old tables freed"), 29);
    // Three clients have seen each of them replaced.
    assert!(number(&output, "requests answered") >= 3 * 29);
}

#[test]
fn workers() {
    let output = run(env!("CARGO_BIN_EXE_workers"));
    assert!(output.contains("by default: urcu-membarrier"), "{output}");
    assert!(output.contains("own worker: tidy-up"), "{output}");
    assert!(output.contains("this processor: urcu/"), "{output}");
    assert!(number(&output, "workers for processors") >= 1);
    assert_eq!(number(&output, "sessions dropped"), 101_000);
    assert!(output.contains("pending: 0,"), "{output}");
}

#[test]
fn routes_shm() {
    let output = run(env!("CARGO_BIN_EXE_routes_shm"));
    assert_eq!(number(&output, "routes in a segment"), 564_579);
    assert_ne!(number(&output, "updates meanwhile"), 0);
    assert_ne!(number(&output, "lookups by"), 0);
    assert_eq!(number(&output, "wrong answers"), 0);
    assert_eq!(number(&output, "bytes lost"), 0);
}

#[test]
fn polling() {
    let output = run(env!("CARGO_BIN_EXE_polling"));
    assert_eq!(number(&output, "frames published"), 500);
}

#[test]
fn fork() {
    let output = run(env!("CARGO_BIN_EXE_fork"));
    for who in ["parent", "child"] {
        let line = output.lines().find(|line| line.starts_with(&format!("{who}: ")) && line.contains("callbacks"));
        let line = line.unwrap_or_else(|| panic!("nothing of the {who} in: {output}"));
        let (before, here) = (number(line, "callbacks ran before"), number(line, "here"));
        assert_eq!(before + here, 1000, "{line}");
        assert!(here >= 10, "{line}");
        assert!(output.contains(&format!("{who}: the configuration of the {who}")), "{output}");
    }
    assert!(output.ends_with("both have ended\n"), "{output}");
}

#[test]
fn mixing() {
    let output = run(env!("CARGO_BIN_EXE_mixing"));
    for flavor in ["urcu-qsbr", "urcu-membarrier", "urcu-bp"] {
        assert!(output.contains(&format!("a table of {flavor}: ")), "{output}");
    }
    assert_eq!(number(&output, "entries made"), 380_000);
    assert_eq!(number(&output, "not dropped"), 0);
}

#[test]
fn plugin() {
    let output = run(env!("CARGO_BIN_EXE_plugin"));
    assert!(output.contains("urcu-example-tracer: 100 loads"), "{output}");
    assert!(output.contains("stays mapped, one copy"), "{output}");
    assert!(output.contains("urcu-example-guest: 100 loads"), "{output}");
    assert!(output.contains("unmapped each time"), "{output}");
    assert!(number(&output, "visits by threads") >= 2 * 100 * 100);
    assert_eq!(number(&output, "not dropped"), 0);
}
