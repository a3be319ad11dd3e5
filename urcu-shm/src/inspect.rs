//! What a segment looks like from outside: for people and monitoring.

use core::time::Duration;

use urcu_core::sync::Ordering;

use crate::barrier::Barriers;
use crate::process::ProcessId;
use crate::records::{self, LAYOUT};
use crate::segment::{Access, Segment};
use crate::sys;

/// A segment at a moment, or nearly so: nothing is held while it is looked at.
///
/// Everything in it comes from the segment, so it is only as true as the processes that write there are honest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Who made it.
    pub creator: Option<ProcessId>,
    /// How readers and updaters order their accesses.
    pub barriers: Barriers,
    /// The writer, if there is one that lives.
    pub writer: Option<ProcessId>,
    /// How many writers there have been.
    pub writers: u64,
    /// Grace periods that have started.
    pub grace_periods: u64,
    /// The longest time that one has waited for a reader.
    pub longest_wait: Duration,
    /// Record pages that were taken from processes that had died.
    pub reaped: u64,
    /// Readers that were inside a section then.
    pub reaped_inside: u64,
    /// Record pages that were ever in use.
    pub pages_used: usize,
    /// Record pages that there are.
    pub pages: usize,
    /// Bytes of data.
    pub data_len: usize,
    /// Bytes of the file.
    pub file_len: usize,
    /// The pages that belong to somebody.
    pub processes: Vec<InspectedProcess>,
}

/// One record page that belongs to somebody.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectedProcess {
    /// Which page.
    pub page: usize,
    /// Whose; `None` if the owner makes no sense.
    pub process: Option<ProcessId>,
    /// Its name.
    pub name: Option<String>,
    /// Whether it exists.
    pub alive: bool,
    /// Whether somebody has stopped it.
    pub stopped: bool,
    /// What it says that it may do.
    pub access: Access,
    /// Its registered threads.
    pub threads: Vec<InspectedThread>,
}

/// One registered thread.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InspectedThread {
    /// The system's id of it, as it says itself.
    pub tid: i32,
    /// Whether it is inside a section.
    pub inside: bool,
    /// If so, how many grace periods have started since the section began: what waits for it is older.
    pub behind: u64,
}

impl Segment {
    /// What the segment looks like. Allocates; asks the system about each process. Any access.
    pub fn inspect(&self) -> Inspection {
        let mapping = &*self.mapping;
        let control = mapping.control();
        let current = LAYOUT.number(records::current(mapping).bits());
        let processes = records::pages(mapping).enumerate().filter_map(|(page, words)| {
            let owner = words.owner.load(Ordering::Relaxed);
            if owner == 0 {
                return None;
            }
            let process = records::owner_process(owner);
            let pid = process.map_or(0, ProcessId::pid);
            let threads = records::records(words).map(|record| {
                let word = record.word.load(Ordering::Relaxed);
                let inside = LAYOUT.nesting(word) != 0;
                let behind = if inside { current.saturating_sub(LAYOUT.number(word)) } else { 0 };
                InspectedThread { tid: record.identity.tid.load(Ordering::Relaxed), inside, behind }
            });
            Some(InspectedProcess {
                page,
                process,
                name: sys::process_name(pid),
                alive: process.is_some_and(ProcessId::is_alive),
                stopped: sys::process_status(pid).is_some_and(sys::ProcessStatus::is_stopped),
                access: if words.access.load(Ordering::Relaxed) == 0 { Access::Read } else { Access::Write },
                threads: threads.collect(),
            })
        });
        Inspection {
            creator: self.creator(),
            barriers: self.barriers(),
            writer: self.writer_process(),
            writers: control.writer.generation.load(Ordering::Relaxed),
            grace_periods: control.counters.grace_periods.load(Ordering::Relaxed),
            longest_wait: Duration::from_nanos(control.counters.longest_wait.load(Ordering::Relaxed)),
            reaped: control.counters.reaped.load(Ordering::Relaxed),
            reaped_inside: control.counters.reaped_inside.load(Ordering::Relaxed),
            pages_used: mapping.directory().pages_used.load(Ordering::Relaxed) as usize,
            pages: mapping.record_pages(),
            data_len: self.data_len(),
            file_len: self.file_len(),
            processes: processes.collect(),
        }
    }
}
