//! Rules that no compiler checks, as functions from text to findings.

mod labels;
mod lines;
mod manifests;
mod sources;
mod words;

use std::fmt;

pub(crate) use labels::Labels;
pub(crate) use lines::{Line, split};
pub(crate) use manifests::{Manifest, check_count, check_direction, check_fields, check_reasons};
pub(crate) use sources::{check_leaks, check_length, check_module_page, check_unsafe};
pub(crate) use words::{check_lock, check_words};

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) file: String,
    /// Counts from one; zero when the whole file is meant.
    pub(crate) line: usize,
    pub(crate) message: String,
    /// A warning is shown and fails nothing.
    pub(crate) warning: bool,
}

impl Finding {
    fn error(file: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { file: file.to_owned(), line, message: message.into(), warning: false }
    }

    fn warning(file: &str, message: impl Into<String>) -> Finding {
        Finding { file: file.to_owned(), line: 0, message: message.into(), warning: true }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning" } else { "error" };
        match self.line {
            0 => write!(f, "{kind}: {}: {}", self.file, self.message),
            line => write!(f, "{kind}: {}:{line}: {}", self.file, self.message),
        }
    }
}
