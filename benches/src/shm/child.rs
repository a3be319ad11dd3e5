//! What a reader process does.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use urcu_core::Flavor;

use super::segment::Lookups;
use super::single::{OneProcess, View};
use super::{ENTRIES, Reader, Writer, belongs, key, lmdb, mix, rwlock, socket, value};
use crate::harness::stats::median;

/// Reads between two looks at the clock.
const BATCH: u64 = 512;

/// Plays the role and ends.
///
/// # Errors
/// When something is not there, or an answer is wrong.
pub fn play(role: &str, path: &str, core: &str) -> Result<(), String> {
    if let Ok(core) = core.parse() {
        pin(core);
    }
    match role {
        "cds-shm" => read(&mut Lookups::open(path)?),
        "lmdb" => read(&mut lmdb::Lookups::open(path)?),
        "rwlock" => read(&mut rwlock::Locked::open(path)?),
        "socket" => read(&mut socket::Client::open(path)?),
        "urcu-mb" => single::<urcu_mb::Flavor>(urcu_mb::vtable(), false),
        "urcu-membarrier" => single::<urcu_membarrier::Flavor>(urcu_membarrier::vtable(), false),
        "urcu-mb-updated" => single::<urcu_mb::Flavor>(urcu_mb::vtable(), true),
        "urcu-membarrier-updated" => single::<urcu_membarrier::Flavor>(urcu_membarrier::vtable(), true),
        "stay" => stay(path),
        "come-and-go" => come_and_go(path),
        "back-to-back" => back_to_back(path),
        _ => Err(format!("no role {role:?}")),
    }
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    if set.set(core).is_ok() {
        // A refusal makes the measurement noisier.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

/// Ready; how long to work, or `None`: never.
fn wait() -> Result<Option<Duration>, String> {
    say("ready")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim().parse().ok().map(Duration::from_millis))
}

/// Nanoseconds per read (median over batches), and reads per second.
fn measure(reader: &mut impl Reader, length: Duration) -> Result<(f64, f64), String> {
    let (mut batches, mut seed, mut reads) = (Vec::new(), 1_u64, 0_u64);
    let start = Instant::now();
    while start.elapsed() < length {
        let begin = Instant::now();
        for _ in 0..BATCH {
            seed = mix(seed.wrapping_add(0x1234_5677));
            let key = key(seed);
            let found = black_box(reader.get(black_box(key)));
            if !found.is_some_and(|found| belongs(key, found)) {
                return Err(format!("wrong answer: {found:?} for {key}"));
            }
        }
        // Exact: a few hundred.
        batches.push(begin.elapsed().as_nanos() as f64 / BATCH as f64);
        reads += BATCH;
    }
    let each = median(&batches).ok_or("nothing was measured")?;
    Ok((each, reads as f64 / start.elapsed().as_secs_f64()))
}

fn read(reader: &mut impl Reader) -> Result<(), String> {
    let Some(length) = wait()? else { return Ok(()) };
    // Caches.
    measure(reader, length / 5)?;
    let (each, rate) = measure(reader, length)?;
    say(&format!("{each} {rate}"))
}

/// One process for both: the table, its reader, and its updater if there is one. The third figure is nanoseconds per update.
fn single<F: Flavor>(vtable: &'static urcu_core::FlavorVtable, updated: bool) -> Result<(), String> {
    let register = || urcu_core::Thread::<F>::register().map_err(|error| error.to_string());
    let thread = register()?;
    let table = OneProcess::<F>::fill(vtable, &thread)?;
    let Some(length) = wait()? else { return Ok(()) };
    let (stop, each) = (AtomicBool::new(false), AtomicU64::new(0));
    let figures = std::thread::scope(|scope| {
        if updated {
            scope.spawn(|| {
                let thread = register().expect("not registered yet");
                let mut view = View { table: table.table(), thread };
                let nanos = update_until(&mut view, || stop.load(Ordering::Relaxed));
                each.store(nanos.to_bits(), Ordering::Relaxed);
            });
        }
        let mut view = View { table: table.table(), thread };
        let figures = measure(&mut view, length / 5).and_then(|_| measure(&mut view, length));
        stop.store(true, Ordering::Relaxed);
        figures
    })?;
    say(&format!("{} {} {}", figures.0, figures.1, f64::from_bits(each.into_inner())))?;
    // Faster than freeing each entry.
    std::process::exit(0);
}

/// Updates at full speed; nanoseconds per update.
pub fn update_until(writer: &mut impl Writer, stop: impl Fn() -> bool) -> f64 {
    let (start, mut count) = (Instant::now(), 0_u64);
    while !stop() {
        for _ in 0..64 {
            count += 1;
            let key = key(mix(count) % ENTRIES);
            writer.update(key, value(key, count));
        }
    }
    start.elapsed().as_nanos() as f64 / count.max(1) as f64
}

/// Enters a section and stays there.
fn stay(path: &str) -> Result<(), String> {
    let segment = urcu_shm::Segment::open(path, urcu_shm::Access::Read).map_err(|error| error.to_string())?;
    urcu_shm::attach(&segment).map_err(|error| error.to_string())?;
    let thread = urcu_shm::register().map_err(|error| error.to_string())?;
    let _guard = thread.read_lock();
    wait().map(drop)
}

/// One lookup per section, without a pause, until it is killed.
fn back_to_back(path: &str) -> Result<(), String> {
    let mut reader = Lookups::open(path)?;
    say("ready")?;
    for number in 0.. {
        black_box(reader.get(super::key(mix(number) % ENTRIES)));
    }
    Ok(())
}

/// Short sections, ten thousand times eight in a second at the most, until it is killed.
fn come_and_go(path: &str) -> Result<(), String> {
    let mut reader = Lookups::open(path)?;
    say("ready")?;
    for number in 0.. {
        for key in 0..8 {
            black_box(reader.get(super::key(number + key)));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}
