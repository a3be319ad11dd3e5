//! Suite `shm`: one writer process and many reader processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use urcu_shm::Barriers;

use crate::harness::plan::{Better, Case, Contender, Kind, Options, Pace, Sample, Shot, Suite};
use crate::shm::child::update_until;
use crate::shm::process::Process;
use crate::shm::{Place, Writer, lmdb, rwlock, segment, socket};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "shm",
    about: "One writer process, many reader processes: a table in shared memory, and what one would do instead.",
    cases,
};

/// What reads in another process are divided by.
const ONE_PROCESS: &str = "limit:urcu-mb-one-process";

/// Starts a table in this process; its writer, and where readers find it.
type Start = fn(&Place) -> Result<(Box<dyn Writer + Send>, String), String>;

/// A table, and what its readers are called.
const SHARED: [(&str, Kind, &str, Start); 5] = [
    ("cds-shm", Kind::Ours, "cds-shm", |place| start_segment(place, Barriers::Membarrier)),
    ("cds-shm-fences", Kind::Ours, "cds-shm", |place| start_segment(place, Barriers::Fences)),
    ("lmdb", Kind::Peer, "lmdb", |place| {
        let path = place.file("lmdb");
        Ok((Box::new(lmdb::Map::fill(&path)?), path))
    }),
    ("pthread-rwlock", Kind::Peer, "rwlock", |place| {
        let path = place.file("table");
        Ok((Box::new(SendLocked(rwlock::Locked::fill(&path)?)), path))
    }),
    ("unix-socket", Kind::Peer, "socket", |place| {
        let path = place.file("socket");
        Ok((Box::new(socket::Server::fill(&path)?), path))
    }),
];

/// Goes to the thread that updates, with all that is used of it.
struct SendLocked(rwlock::Locked);

// SAFETY: a mapping, which belongs to the process; what is in it is touched under its lock.
unsafe impl Send for SendLocked {}

impl Writer for SendLocked {
    fn update(&mut self, key: u64, value: u64) {
        self.0.update(key, value);
    }
}

fn start_segment(place: &Place, barriers: Barriers) -> Result<(Box<dyn Writer + Send>, String), String> {
    let path = place.file("segment");
    let segment = segment::create(&path, Some(barriers))?;
    Ok((Box::new(segment::Map::fill(&segment)?), path))
}

struct Dynamic<'w>(&'w mut dyn Writer);

impl Writer for Dynamic<'_> {
    fn update(&mut self, key: u64, value: u64) {
        self.0.update(key, value);
    }
}

fn cases(_: &Options) -> Vec<Case> {
    let case = |name: &str, about, unit, better, threads, contenders| Case {
        name: name.into(),
        about,
        unit,
        better,
        threads,
        pace: Pace::Rounds(2),
        contenders,
    };
    let single = |name: &'static str, kind, role: &'static str, pick: fn(&[f64]) -> f64| {
        Contender::new(name, kind, move |shot: &Shot<'_>| {
            let figures = child(role, "", shot)?;
            Ok(Sample::figure(pick(&figures)))
        })
    };
    let quiet = [
        single(ONE_PROCESS, Kind::Limit, "urcu-mb", |figures| figures[0]),
        single("urcu-membarrier-one-process", Kind::Ours, "urcu-membarrier", |figures| figures[0]),
    ];
    let lookups = SHARED.into_iter().map(|(name, kind, role, start)| {
        let contender = Contender::new(name, kind, move |shot: &Shot<'_>| {
            let place = Place::new(name)?;
            let (mut writer, path) = start(&place)?;
            Ok(Sample::figure(beside(&mut *writer, role, &path, shot, role == "socket")?.0[0]))
        });
        contender.against(ONE_PROCESS)
    });
    let (reads, updates) = (both(|figures| figures.0[1], Some(1)), both(|figures| figures.1, Some(2)));
    vec![
        case(
            "lookup",
            "A section (transaction, lock, message) and one lookup by a process that reads only, while nobody updates. The limit \
             is urcu-mb and the raw hash table within one process.",
            "ns/lookup",
            Better::Lower,
            1,
            quiet.into_iter().chain(lookups).collect(),
        ),
        case(
            "reads",
            "Lookups per second of one reader process, beside a writer process at full speed. The socket's server looks for a \
             question between two updates.",
            "lookups/s",
            Better::Higher,
            2,
            reads,
        ),
        case(
            "update",
            "What an update (a transaction of one update) takes the writer, beside a reader process at full speed.",
            "ns/update",
            Better::Lower,
            2,
            updates,
        ),
        grace(
            "grace@1".into(),
            1,
            Readers::Busy,
            "A grace period over 1 reader process that runs sections back to back.",
        ),
        grace(
            "grace@10".into(),
            10,
            Readers::Busy,
            "A grace period over 10 reader processes that run sections back to back: more than there are processors, so some are \
             inside and do not run.",
        ),
        grace(
            "grace-asleep@100".into(),
            100,
            Readers::MostlyAsleep,
            "A grace period over 100 reader processes that run a section now and then.",
        ),
        case(
            "reap",
            "From the SIGKILL of a reader process inside a section to the end of the grace period that had to wait for it. At most \
             10 ms.",
            "ms",
            Better::Bounded,
            1,
            vec![Contender::new("urcu-shm", Kind::Ours, |_| reap())],
        ),
    ]
}

/// One reader process beside the writer.
fn both(pick: fn(&(Vec<f64>, f64)) -> f64, of_one_process: Option<usize>) -> Vec<Contender> {
    let shared = SHARED.into_iter().map(move |(name, kind, role, start)| {
        Contender::new(name, kind, move |shot: &Shot<'_>| {
            let place = Place::new(name)?;
            let (mut writer, path) = start(&place)?;
            Ok(Sample::figure(pick(&beside(&mut *writer, role, &path, shot, true)?)))
        })
    });
    let single = of_one_process.into_iter().flat_map(|at| {
        [("urcu-mb-one-process", "urcu-mb-updated"), ("urcu-membarrier-one-process", "urcu-membarrier-updated")].map(
            |(name, role)| {
                Contender::new(name, Kind::Limit, move |shot: &Shot<'_>| {
                    Ok(Sample::figure(child(role, "", shot)?[at]).with_note(Some("one process".into())))
                })
            },
        )
    });
    shared.chain(single).collect()
}

/// A process that plays a role, alone.
fn child(role: &str, path: &str, shot: &Shot<'_>) -> Result<Vec<f64>, String> {
    // Of one process with two threads, neither can be pinned.
    let core = if role.ends_with("updated") { None } else { shot.cores.assign(1, 2) };
    let mut process = Process::start(role, path, core)?;
    process.begin(shot.budget)?;
    process.figures()
}

/// A reader process's figures, and nanoseconds per update of this process's writer (if it has to work).
fn beside(
    writer: &mut (dyn Writer + Send),
    role: &str,
    path: &str,
    shot: &Shot<'_>,
    updating: bool,
) -> Result<(Vec<f64>, f64), String> {
    let stop = AtomicBool::new(false);
    let cores = shot.cores;
    std::thread::scope(|scope| {
        let stop = &stop;
        let updater = updating.then(|| {
            scope.spawn(move || {
                cores.pin(0, 2);
                update_until(&mut Dynamic(writer), || stop.load(Ordering::Relaxed))
            })
        });
        let figures = Process::start(role, path, cores.assign(1, 2)).and_then(|mut process| {
            process.begin(shot.budget)?;
            process.figures()
        });
        stop.store(true, Ordering::Relaxed);
        let each = updater.map_or(Ok(0.0), |updater| updater.join().map_err(|_| "the updater died".to_owned()))?;
        Ok((figures?, each))
    })
}

/// What the readers of a case are doing.
#[derive(Clone, Copy)]
enum Readers {
    /// One lookup per section, back to back: as in the suite `grace`.
    Busy,
    /// A few sections, and sleeps in between.
    MostlyAsleep,
}

fn grace(name: String, readers: usize, doing: Readers, about: &'static str) -> Case {
    let contenders = [("urcu-shm-membarrier", Barriers::Membarrier), ("urcu-shm-fences", Barriers::Fences)];
    let mut contenders = Vec::from(contenders.map(|(name, barriers)| {
        Contender::new(name, Kind::Ours, move |shot: &Shot<'_>| {
            // Gone at the end: the next contender is not to be measured beside them.
            let running = Running::start(readers, doing, barriers, shot)?;
            grace_periods(shot, || running.segment.wait_for(running.segment.start_grace_period()))
        })
    }));
    if matches!(doing, Readers::Busy) {
        contenders.extend([
            Contender::new(ONE_PROCESS, Kind::Limit, move |shot| threads::<urcu_mb::Flavor>(readers, shot)),
            Contender::new("urcu-membarrier-one-process", Kind::Ours, move |shot| {
                threads::<urcu_membarrier::Flavor>(readers, shot)
            }),
        ]);
    }
    Case { name, about, unit: "us", better: Better::Lower, threads: 1, pace: Pace::Rounds(1), contenders }
}

/// Times in microseconds, on a core of its own where there is a reader for the other one.
fn grace_periods(shot: &Shot<'_>, wait: impl Fn() + Sync) -> Result<Sample, String> {
    std::thread::scope(|scope| {
        let updater = scope.spawn(|| {
            shot.cores.pin(0, 2);
            let (mut single, start) = (Vec::new(), Instant::now());
            while start.elapsed() < shot.budget {
                let begin = Instant::now();
                wait();
                single.push(begin.elapsed().as_nanos() as f64 / 1000.0);
            }
            single
        });
        updater.join().map_err(|_| "the updater died".to_owned()).and_then(Sample::singles)
    })
}

/// A reader that is alone has the core beside the updater's; several are where the system puts them.
fn core_of_reader(readers: usize, shot: &Shot<'_>) -> Option<usize> {
    if readers == 1 { shot.cores.assign(1, 2) } else { None }
}

/// The same with threads of one process.
fn threads<F: urcu_core::Flavor>(readers: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let (stop, ready) = (AtomicBool::new(false), std::sync::Barrier::new(readers + 1));
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..readers)
            .map(|_| {
                scope.spawn(|| {
                    if readers == 1 {
                        shot.cores.pin(1, 2);
                    }
                    let thread = urcu_core::Thread::<F>::register().map_err(|error| error.to_string());
                    ready.wait();
                    let thread = thread?;
                    while !stop.load(Ordering::Relaxed) {
                        for number in 0..512_u64 {
                            let _guard = thread.read_lock();
                            std::hint::black_box(number);
                        }
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        ready.wait();
        let sample = grace_periods(shot, urcu_core::synchronize::<F>);
        stop.store(true, Ordering::Relaxed);
        for handle in handles {
            handle.join().map_err(|_| "a reader died")??;
        }
        sample
    })
}

struct Running {
    segment: urcu_shm::Segment,
    _map: segment::Map,
    _processes: Vec<Process>,
    _place: Place,
}

impl Running {
    fn start(readers: usize, doing: Readers, barriers: Barriers, shot: &Shot<'_>) -> Result<Self, String> {
        let place = Place::new("grace")?;
        let path = place.file("segment");
        let segment = segment::create(&path, Some(barriers))?;
        let map = segment::Map::fill(&segment)?;
        let role = match doing {
            Readers::Busy => "back-to-back",
            Readers::MostlyAsleep => "come-and-go",
        };
        let core = core_of_reader(readers, shot);
        let processes: Result<_, _> = (0..readers).map(|_| Process::start(role, &path, core)).collect();
        Ok(Self { segment, _map: map, _processes: processes?, _place: place })
    }
}

fn reap() -> Result<Sample, String> {
    let place = Place::new("reap")?;
    let path = place.file("segment");
    let segment = segment::create(&path, None)?;
    let mut single = Vec::new();
    for _ in 0..5 {
        let mut process = Process::start("stay", &path, None)?;
        let number = segment.start_grace_period();
        std::thread::sleep(Duration::from_millis(1));
        if segment.has_elapsed(number) {
            return Err("wrong answer: a grace period ended before its reader".into());
        }
        let begin = Instant::now();
        process.kill();
        segment.wait_for(number);
        single.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    Sample::singles(single)
}
