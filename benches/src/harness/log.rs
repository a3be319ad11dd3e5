//! What a run has measured so far, for those who end it early: Ctrl-C, and the watchdog on its own thread.

use super::run::{Outcome, Table};

/// The tables.
#[derive(Debug, Default)]
pub struct Log {
    tables: Vec<Table>,
    /// The case at hand, with the rounds that have ended.
    current: Option<Table>,
    /// The row that is being measured.
    running: usize,
}

impl Log {
    /// The case at hand, as it is after another round.
    pub fn update(&mut self, table: Table) {
        self.current = Some(table);
    }

    /// A row is going to be measured.
    pub fn running(&mut self, row: usize) {
        self.running = row;
    }

    /// A case is over.
    pub fn end(&mut self, table: Table) {
        self.current = None;
        self.tables.push(table);
    }

    /// The row at hand will never end, for this reason: ends its case.
    pub fn hung(&mut self, reason: &str) {
        if let Some(mut table) = self.current.take() {
            if let Some(row) = table.rows.get_mut(self.running) {
                row.outcome = Outcome::Failed(reason.to_owned());
            }
            self.tables.push(table);
        }
    }

    /// What there is, the case at hand left out.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Better, Kind};
    use super::super::run::Row;
    use super::*;

    fn table(case: &str) -> Table {
        let row = |name: &str| Row {
            name: name.into(),
            kind: Kind::Peer,
            flavor: None,
            limit: None,
            took: std::time::Duration::ZERO,
            outcome: Outcome::NotReached,
        };
        Table {
            suite: "suite".into(),
            case: case.into(),
            about: String::new(),
            unit: "ns".into(),
            better: Better::Lower,
            threads: 1,
            rows: vec![row("fine"), row("hangs")],
        }
    }

    #[test]
    fn a_hanging_row_fails_and_its_case_is_kept_with_those_before_it() {
        let mut log = Log::default();
        log.update(table("first"));
        log.end(table("first"));
        log.update(table("second"));
        log.running(1);
        log.hung("no end");
        assert_eq!(log.tables().len(), 2);
        assert_eq!(log.tables()[1].rows[0].outcome, Outcome::NotReached);
        assert_eq!(log.tables()[1].rows[1].outcome, Outcome::Failed("no end".into()));
    }

    #[test]
    fn between_two_cases_nothing_hangs() {
        let mut log = Log::default();
        log.end(table("first"));
        log.hung("no end");
        assert_eq!(log.tables().len(), 1);
        assert_eq!(log.tables()[0].rows[1].outcome, Outcome::NotReached);
    }
}
