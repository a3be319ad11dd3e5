//! The process of one flavor: makes the threads, tells how it goes, and judges at the end.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::{until, watchdog};
use urcu_core::{Flavor, FlavorVtable};

use crate::flags::{Flags, FlavorName, Mode};
use crate::record::Record;
use crate::updater::Updater;
use crate::world::World;
use crate::{disturbance, flood, race, reader, signals};

/// How often it tells.
const TICK: Duration = Duration::from_millis(250);
/// How long the end of all threads and the execution of all calls may take; `URCU_PATIENCE` multiplies it.
const CLOSING: Duration = Duration::from_secs(1200);

pub(crate) fn run(flags: &Flags) -> ExitCode {
    match flags.flavor[0] {
        FlavorName::Qsbr => torture::<urcu_qsbr::Flavor>(flags, urcu_qsbr::vtable()),
        FlavorName::Mb => torture::<urcu_mb::Flavor>(flags, urcu_mb::vtable()),
        FlavorName::Membarrier => torture::<urcu_membarrier::Flavor>(flags, urcu_membarrier::vtable()),
        FlavorName::Signal => torture::<urcu_signal::Flavor>(flags, urcu_signal::vtable()),
        FlavorName::Bp => torture::<urcu_bp::Flavor>(flags, urcu_bp::vtable()),
    }
}

/// One line to the parent, whether or not it still reads.
fn tell(record: &Record) {
    let line = serde_json::to_string(record).expect("plain numbers and text");
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn torture<F: Flavor>(flags: &Flags, vtable: &'static FlavorVtable) -> ExitCode {
    let begin = Instant::now();
    watchdog::start(F::NAME, flags.duration() + watchdog::patient(CLOSING));
    let world = World::make(flags, vtable);
    let mut threads = Vec::new();
    let mut spawn = |name: &str, life: Box<dyn FnOnce() + Send>| threads.push(world.spawn(name, life));
    for stream in 0..flags.readers() {
        spawn("readers", Box::new(move || reader::run::<F>(world, stream)));
    }
    if world.does(Mode::Synchronize) {
        for stream in 100..103 {
            spawn("synchronize", Box::new(move || Updater::<F>::new(world, stream).synchronize()));
        }
    }
    if world.does(Mode::CallRcu) {
        spawn("call_rcu", Box::new(move || Updater::<F>::new(world, 200).call_rcu()));
    }
    if world.does(Mode::Defer) {
        spawn("defer", Box::new(move || Updater::<F>::new(world, 300).defer()));
    }
    if world.does(Mode::Poll) {
        spawn("poll", Box::new(move || Updater::<F>::new(world, 400).poll()));
    }
    if world.does(Mode::Flood) {
        spawn("flood", Box::new(move || flood::run::<F>(world, 500)));
    }
    if world.does(Mode::Signals) {
        spawn("signals", Box::new(move || signals::run::<F>(world, 600)));
    }
    if world.does(Mode::Fork) {
        spawn("forks", Box::new(move || disturbance::forks::<F>(world, 700)));
    }
    if world.does(Mode::Affinity) {
        spawn("moves", Box::new(move || disturbance::moves(world, 800)));
    }
    if world.does(Mode::Race) {
        threads.extend(race::start::<F>(world));
    }
    let mut record = Record::default();
    // On a busy machine the time may be over before everything has happened once.
    while (begin.elapsed() < flags.duration() || missing(world, &record).next().is_some()) && !world.ended() {
        thread::sleep(TICK);
        record = world.record::<F>(begin.elapsed().as_secs_f64());
        if record.too_old() != 0 {
            world.end();
        }
        tell(&record);
    }
    world.end();
    watchdog::step("joining all threads");
    for thread in threads {
        // A panic has been noted.
        let _ = thread.join();
    }
    watchdog::step("running what is left");
    // Twice: a call that was running when the end came may have deferred another.
    for _ in 0..2 {
        urcu_core::barrier::<F>().expect("not in a deferred call");
    }
    judge::<F>(world);
    let mut record = world.record::<F>(begin.elapsed().as_secs_f64());
    record.ended = true;
    tell(&record);
    if record.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What has to hold when all threads have ended.
fn judge<F: Flavor>(world: &World) {
    let record = world.record::<F>(0.0);
    if record.too_old() != 0 {
        world.fail(format!("{} objects were found in sections after a grace period", record.too_old()));
    }
    let count = |what: &std::sync::atomic::AtomicU64| what.load(Ordering::Relaxed);
    let (flooded, executed) = (count(&world.counts.flooded), count(&world.counts.flood_executed));
    if flooded != executed {
        world.fail(format!("{executed} of {flooded} flooded calls were executed"));
    }
    let stats = urcu_core::stats::<F>();
    if stats.pending != 0 {
        world.fail(format!("{} calls are pending after the last barrier", stats.pending));
    }
    // The current objects are still out.
    let (out, back) = (count(&world.pool.handed_out), count(&world.pool.given_back));
    if out != back + crate::world::SLOTS as u64 {
        world.fail(format!("{out} objects were handed out and {back} came back"));
    }
    until("the last reader has gone", || F::domain().registry().is_empty());
    // A run in which nothing happened has proved nothing.
    missing(world, &record).for_each(|what| world.fail(what.into()));
}

/// What should have happened by the end, and has not yet.
fn missing(world: &World, record: &Record) -> impl Iterator<Item = &'static str> {
    let happened = [
        ("no section", true, record.sections),
        ("no grace period", true, record.grace_periods),
        ("nothing current was found", !world.flags.is_race_alone(), record.ages[0]),
        ("no callback", world.does(Mode::CallRcu) || world.does(Mode::Defer), record.callbacks),
        ("no flood", world.does(Mode::Flood), record.flooded),
        ("no signal", world.does(Mode::Signals), record.signals),
        ("no fork", world.does(Mode::Fork), record.forks),
    ];
    happened.into_iter().filter(|(_, wanted, count)| *wanted && *count == 0).map(|(what, ..)| what)
}
