//! What failed, read from the output of test programs, to be said again at the very end: of a long log only the end may be left.

/// One test that failed, or one program that came to no end of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Where it was: the test program, or what was done.
    pub(crate) place: String,
    /// Which test; empty where it was none.
    pub(crate) test: String,
    /// What it said, in few lines.
    pub(crate) message: Vec<String>,
}

/// Lines of a message that are kept.
const MOST: usize = 14;
/// Lines behind one that says what is wrong.
const BEHIND: usize = 4;
/// Characters of a line that are kept.
const WIDTH: usize = 240;

#[derive(Debug, Default)]
pub(crate) struct Failures {
    found: Vec<Failure>,
    /// The test program that is running, as cargo names it.
    place: String,
    /// The failure whose output is being read, and that output.
    open: Option<(usize, Vec<String>)>,
}

impl Failures {
    /// From now on, `place` is running.
    pub(crate) fn enter(&mut self, place: &str) {
        self.close();
        place.clone_into(&mut self.place);
    }

    /// Reads one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let heading = line.trim_start();
        let announced = heading.strip_prefix("Running ").and_then(|rest| rest.split_once(" (")).map(|it| it.0);
        if let Some(place) = announced.or_else(|| heading.strip_prefix("Doc-tests ")) {
            self.enter(place);
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.add(name, Vec::new());
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.close();
            let known = |failure: &Failure| {
                failure.place == self.place && failure.test.split(" - should panic").next() == Some(name)
            };
            let index = match self.found.iter().position(known) {
                Some(index) => index,
                None => {
                    self.add(name, Vec::new());
                    self.found.len() - 1
                }
            };
            self.open = Some((index, Vec::new()));
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.close();
        } else if heading.starts_with("process didn't exit successfully") && line.contains("(signal") {
            self.add("", vec![heading.to_owned()]);
        } else if let Some((_, output)) = &mut self.open {
            output.push(line);
        }
    }

    /// Adds what no line of output says.
    pub(crate) fn add(&mut self, test: &str, message: Vec<String>) {
        self.found.push(Failure { place: self.place.clone(), test: test.to_owned(), message });
    }

    /// The message of the failure that was read is complete.
    fn close(&mut self) {
        if let Some((index, output)) = self.open.take() {
            self.found[index].message = essence(&output);
        }
    }

    pub(crate) fn all(&mut self) -> &[Failure] {
        self.close();
        &self.found
    }

    pub(crate) fn take_over(&mut self, mut other: Failures) {
        other.close();
        self.close();
        self.found.append(&mut other.found);
    }
}

impl Failure {
    /// As it stands at the end of a run.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let space = if self.test.is_empty() { "" } else { " " };
        let first = format!("failed: {}{space}{}", self.place, self.test);
        std::iter::once(first).chain(self.message.iter().map(|line| format!("    {line}")))
    }
}

/// The lines that say what is wrong, with what follows them; the last ones, where none says so.
pub(crate) fn essence(output: &[String]) -> Vec<String> {
    let says = |line: &str| {
        line.contains("panicked at ")
            || line.starts_with("watchdog: ")
            || line.starts_with("error")
            || line.starts_with("ERROR")
    };
    let idle =
        |line: &str| line.trim().is_empty() || line.starts_with("note: ") || line.starts_with("stack backtrace:");
    let mut chosen = Vec::new();
    let mut behind = 0;
    for line in output {
        if says(line) {
            behind = BEHIND + 1;
        } else if idle(line) {
            behind = 0;
        }
        if behind > 0 {
            behind -= 1;
            chosen.push(line);
        }
    }
    if chosen.is_empty() {
        chosen = output.iter().filter(|line| !idle(line)).collect();
        chosen.drain(..chosen.len().saturating_sub(MOST / 2));
    }
    chosen.truncate(MOST);
    chosen.into_iter().map(|line| line.chars().take(WIDTH).collect()).collect()
}

/// Without what terminals take for colours.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Vec<Failure> {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        failures.all().to_vec()
    }

    #[test]
    fn a_test_is_named_with_its_program_and_its_panic() {
        let found = read(
            "\u{1b}[1m\u{1b}[32m     Running\u{1b}[0m tests/suite.rs (target/debug/deps/suite-1f)
running 2 tests
test a::fine ... ok
test b::bad ... FAILED

failures:

---- b::bad stdout ----

thread 'b::bad' (77) panicked at tests/suite.rs:4:5:
assertion `left == right` failed: sums
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    b::bad

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
",
        );
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].place, &*found[0].test), ("tests/suite.rs", "b::bad"));
        let message =
            ["thread 'b::bad' (77) panicked at tests/suite.rs:4:5:", "assertion `left == right` failed: sums"];
        assert_eq!(found[0].message[..2], message);
        assert_eq!(found[0].message.len(), 4);
        assert_eq!(found[0].lines().next().as_deref(), Some("failed: tests/suite.rs b::bad"));
    }

    #[test]
    fn panics_of_a_process_of_its_own_are_found_behind_its_output() {
        let noise = (0..100).map(|line| format!("line {line}\n")).collect::<String>();
        let found = read(&format!(
            "test b ... FAILED\n---- b stdout ----\nthread 'b' panicked at own_process.rs:1:1:\nthe process of b did not \
             succeed: exit status: 101\n--- its output\n\n{noise}--- its errors\n\
             thread 'reader' panicked at shelf.rs:3:3:\nan old object\nnote: run\nfailures:\n"
        ));
        assert_eq!(found[0].message.last().map(String::as_str), Some("an old object"));
        assert!(found[0].message.len() <= MOST);
    }

    #[test]
    fn what_did_not_come_to_its_end_is_named() {
        let found = read(
            "     Running tests/loom.rs (x)\nerror: test failed\n\nCaused by:\n  process didn't exit successfully: `/x/loom-1` (signal: 9, SIGKILL: kill)\n",
        );
        assert_eq!(found[0].place, "tests/loom.rs");
        assert!(found[0].message[0].ends_with("SIGKILL: kill)"));
    }

    #[test]
    fn without_a_panic_the_last_lines_have_to_do() {
        let output: Vec<String> = (0..30).map(|line| line.to_string()).collect();
        assert_eq!(essence(&output), ["23", "24", "25", "26", "27", "28", "29"]);
    }
}
