//! How much piles up while a reader stands still, and whether it goes away again.

use std::time::Duration;

use super::lines;
use crate::contenders::ours;
use crate::harness::plan::{Better, Case, Contender, Kind, Options, Pace, Sample};
use crate::limits::FREE_AT_ONCE;
use crate::reclaim::{Stall, stalled};

/// Where a scheme without a bound is stopped: 1 GiB of blocks.
const CAP: u64 = 1 << 24;
const HARD_LIMIT: &str = "limit:hard-limit";

pub(super) fn case(options: &Options) -> Case {
    let length = Duration::from_millis(if options.quick { 100 } else { 2_000 });
    let stall = Stall { length, cap: CAP };
    let mut contenders: Vec<Contender> = lines()
        .into_iter()
        .filter(|line| line.name != FREE_AT_ONCE)
        .map(|line| {
            let is_ours = line.kind == Kind::Ours;
            let mut contender = line.contender(move |make, shot| {
                let sample = stalled(make, stall, shot)?;
                match sample.note {
                    Some(note) if is_ours && !note.contains("all freed") => Err(note),
                    _ => Ok(sample),
                }
            });
            contender.limit = is_ours.then_some(HARD_LIMIT);
            contender
        })
        .collect();
    contenders.push(Contender::new(HARD_LIMIT, Kind::Limit, |_| {
        let limit = ours::deferrals().iter().find_map(|entry| entry.deferral.ok()?.limit);
        let limit = limit.ok_or("there is none")?();
        // Exact: some ten thousand.
        #[allow(clippy::cast_precision_loss)]
        Ok(Sample::figure(limit as f64))
    }));
    Case {
        name: "stalled-reader".into(),
        about: if options.quick {
            "The most unfreed blocks while one reader stands still for 0.1 s and one updater retires at full speed."
        } else {
            "The most unfreed blocks while one reader stands still for 2 s and one updater retires at full speed."
        },
        unit: "blocks",
        better: Better::Lower,
        threads: 2,
        pace: Pace::Times(1, length),
        contenders,
    }
}
