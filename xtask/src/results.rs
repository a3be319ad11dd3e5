//! Sums the closing lines of test programs.

/// What test programs reported in their lines `test result: …`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Results {
    /// Test programs that reported.
    pub(crate) programs: u64,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Results {
    /// Adds one line of output; other lines than closing lines change nothing.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(more) = closing_line(line) {
            self.add(&more);
        }
    }

    pub(crate) fn add(&mut self, more: &Results) {
        self.programs += more.programs;
        self.passed += more.passed;
        self.failed += more.failed;
        self.ignored += more.ignored;
    }

    /// The one line that sums up a whole run.
    pub(crate) fn summary(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn closing_line(line: &str) -> Option<Results> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut results = Results { programs: 1, ..Results::default() };
    for count in counts.split(';') {
        let Some((number, what)) = count.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        match what {
            "passed" => results.passed = number,
            "failed" => results.failed = number,
            "ignored" => results.ignored = number,
            _ => {}
        }
    }
    Some(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed() {
        let output = "\
running 3 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
   Doc-tests urcu_core
test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.20s
    test result: ok. 99 passed; 0 failed; 0 ignored; indented: the output of a test
all doctests ran in 0.84s; merged doctests compilation took 0.53s
test result: what is this";
        let mut results = Results::default();
        output.lines().for_each(|line| results.read(line));
        let expected = Results { programs: 2, passed: 12, failed: 3, ignored: 1 };
        assert_eq!(results, expected);
        assert_eq!(results.summary(), "12 passed, 3 failed");
    }
}
