//! What it costs to look things up in a table that somebody else has made: inside one crate, and across the boundary of
//! a shared object, in both directions.

use std::hint::black_box;
use std::time::Instant;

use libloading::Symbol;
use urcu_bench_cdylib::mixing::{Spread, Table, Walk, fill, lookups, sections, stamp};

use crate::clock::nanoseconds;
use crate::contenders::cdylib;
use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot, Suite};
use crate::harness::stats::median;
use crate::harness::threads::team;

/// The suite.
pub const SUITE: Suite =
    Suite { name: "mixing", about: "lookups in a table that was passed across the boundary of a shared object", cases };

const UNIT: &str = "ns/lookup";
/// Lookups between two looks at the clock; in the case `lookup` they are one section.
const LENGTH: u64 = 16_384;

/// What everything is divided by.
const ONE_CRATE: &str = "limit:one-crate";

/// Runs `length` lookups; how many found the right value.
type Run = dyn Fn(u64, u64) -> u64 + Send + Sync;

/// A table, who looks things up in it, and how.
struct Way {
    /// Its flavor is the one that threads register with.
    table: &'static Table,
    run: Box<Run>,
}

type MakeWay = fn() -> Result<Way, String>;

fn cases(_: &Options) -> Vec<Case> {
    let lookup: [(&str, Kind, MakeWay); 5] = [
        (ONE_CRATE, Kind::Limit, one_crate),
        ("one-crate-pin", Kind::Ours, one_crate_pin),
        ("into-cdylib", Kind::Ours, into_cdylib),
        ("out-of-cdylib", Kind::Ours, out_of_cdylib),
        ("inside-cdylib", Kind::Ours, inside_cdylib),
    ];
    let section: [(&str, Kind, MakeWay); 5] = [
        (ONE_CRATE, Kind::Limit, one_crate_sections),
        ("one-crate-pin", Kind::Ours, one_crate_pin_sections),
        ("into-cdylib", Kind::Ours, into_cdylib_sections),
        ("out-of-cdylib", Kind::Ours, out_of_cdylib_sections),
        ("inside-cdylib", Kind::Ours, inside_cdylib_sections),
    ];
    vec![
        case(
            "lookup",
            "Many lookups in one section: the program's own table in its own code; the same by a vtable's guard; the program's \
             table in a shared object's code; a shared object's table in the program's code; its own table in its own code.",
            &lookup,
        ),
        case(
            "section",
            "A section for each lookup: the thread-local word is found by the program itself, through the table's vtable, or \
             (last) through the call that a shared object makes for it (reported, not compared).",
            &section,
        ),
    ]
}

fn case(name: &str, about: &'static str, rows: &[(&'static str, Kind, MakeWay)]) -> Case {
    let contenders = rows.iter().map(|&(name, kind, make)| {
        let mut contender = Contender::new(name, kind, move |shot| measure(&make()?, shot)).of(Flavor::Membarrier);
        contender.limit = (kind != Kind::Limit).then_some(ONE_CRATE);
        contender
    });
    let contenders = contenders.collect();
    Case { name: name.into(), about, unit: UNIT, better: Better::Lower, threads: 1, pace: Pace::Rounds(1), contenders }
}

/// The median over batches, so that those that an interrupt falls into do not count.
fn measure(way: &Way, shot: &Shot<'_>) -> Result<Sample, String> {
    let budget = shot.budget;
    let batches = team(
        shot.cores,
        1,
        |_| way.table.flavor().register().map_err(|error| error.to_string()),
        |_, _registered| {
            // Exact: a few thousand.
            #[allow(clippy::cast_precision_loss)]
            let length = LENGTH as f64;
            let (start, mut seed) = (Instant::now(), 1);
            let mut batches = Vec::new();
            loop {
                seed += 1;
                let batch = Instant::now();
                let found = (way.run)(black_box(seed), LENGTH);
                let elapsed = batch.elapsed();
                if found != LENGTH {
                    return Err(format!("wrong answer: {found} of {LENGTH} lookups found their value"));
                }
                // The first ones warm the caches up.
                if start.elapsed() > budget / 5 {
                    batches.push(nanoseconds(elapsed) / length);
                }
                if start.elapsed() >= budget + budget / 5 {
                    return Ok(batches);
                }
            }
        },
    )?;
    median(&batches.concat()).map(Sample::figure).ok_or_else(|| "nothing was measured".into())
}

/// The program's own table.
fn own_table() -> Result<&'static Table, String> {
    static TABLE: std::sync::OnceLock<Result<Table, String>> = std::sync::OnceLock::new();
    let made = TABLE.get_or_init(|| {
        let table = Table::with_hasher(Spread, urcu_membarrier::vtable());
        fill(&table).map(|()| table)
    });
    made.as_ref().map_err(Clone::clone)
}

type Loop = unsafe extern "C" fn(*const Table, u64, u64) -> u64;

fn exported<T>(name: &str) -> Result<Symbol<'static, T>, String> {
    // SAFETY: the type that the shared object's source gives this name.
    let theirs = unsafe { cdylib::exported::<extern "C" fn() -> u64>("urcu_bench_cdylib_mixing_stamp") }?;
    if theirs() != stamp() {
        return Err("the shared object is of another build: its tables are laid out differently".into());
    }
    // SAFETY: as above.
    unsafe { cdylib::exported(&format!("urcu_bench_cdylib_mixing_{name}")) }
}

/// The shared object's table.
fn their_table() -> Result<&'static Table, String> {
    let make = exported::<extern "C" fn() -> *const Table>("table")?;
    // SAFETY: null or a static of an object that is never unloaded, laid out as here (`exported` has looked).
    unsafe { make().as_ref() }.ok_or_else(|| "the shared object cannot make a table".into())
}

fn in_cdylib(table: &'static Table, name: &str) -> Result<Way, String> {
    let function = exported::<Loop>(name)?;
    // SAFETY: the table is static; `measure` has registered the thread with its flavor.
    let run = move |seed, length| unsafe { function(table, seed, length) };
    Ok(Way { table, run: Box::new(run) })
}

fn one_crate() -> Result<Way, String> {
    let table = own_table()?;
    let run = |seed, length| lookups(table, &mut Walk(seed), length, &urcu_membarrier::read_lock());
    Ok(Way { table, run: Box::new(run) })
}

fn one_crate_pin() -> Result<Way, String> {
    pinned(own_table()?)
}

fn pinned(table: &'static Table) -> Result<Way, String> {
    let run = |seed, length| lookups(table, &mut Walk(seed), length, &table.flavor().pin());
    Ok(Way { table, run: Box::new(run) })
}

fn into_cdylib() -> Result<Way, String> {
    in_cdylib(own_table()?, "lookups")
}

fn out_of_cdylib() -> Result<Way, String> {
    pinned(their_table()?)
}

fn inside_cdylib() -> Result<Way, String> {
    in_cdylib(their_table()?, "lookups")
}

fn one_crate_sections() -> Result<Way, String> {
    let table = own_table()?;
    let run = |seed, length| sections(table, &mut Walk(seed), length, |_| urcu_membarrier::read_lock());
    Ok(Way { table, run: Box::new(run) })
}

fn one_crate_pin_sections() -> Result<Way, String> {
    pinned_sections(own_table()?)
}

fn pinned_sections(table: &'static Table) -> Result<Way, String> {
    let run = |seed, length| sections(table, &mut Walk(seed), length, |table| table.flavor().pin());
    Ok(Way { table, run: Box::new(run) })
}

fn into_cdylib_sections() -> Result<Way, String> {
    in_cdylib(own_table()?, "sections")
}

fn out_of_cdylib_sections() -> Result<Way, String> {
    pinned_sections(their_table()?)
}

fn inside_cdylib_sections() -> Result<Way, String> {
    in_cdylib(their_table()?, "own_sections")
}
