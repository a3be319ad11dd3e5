//! Several processes in one segment: grace periods across them, readers and writers that die or stop at any moment.
//!
//! `URCU_SHM_KILLS` sets how many processes the random tests kill (40 and 12 if nothing is said); the ignored test kills 1,000.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::seed::Random;
use urcu_conformance::watchdog;
use urcu_shm::{Access, Barriers, RegisterError, Report, Segment, SegmentOptions, WriterError};

#[path = "processes/cells.rs"]
mod cells;
#[path = "processes/child.rs"]
mod child;

use cells::{CELLS, Replacer};
use child::{Name, Process, order, role, say};

const BOTH: [Barriers; 2] = [Barriers::Membarrier, Barriers::Fences];

/// What the other processes do; in the test program itself, nothing.
#[test]
fn a_role_in_another_process() {
    let Some((role, path)) = role() else { return };
    let access = if role.starts_with("reader") { Access::Read } else { Access::Write };
    let segment = Segment::open(path, access).expect("the segment");
    urcu_shm::attach(&segment).expect("the only one");
    match role.as_str() {
        "reader inside" => inside(),
        "reader" => read_until_told(&segment),
        "reader in threads" => thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| come_and_go(&segment));
            }
            read_until_told(&segment);
            std::process::exit(0);
        }),
        "reader that stores into data" => {
            let at = segment.resolve::<u64>(segment.data_start()).expect("data");
            // SAFETY: deliberately not: the page is not writable, which ends the process.
            unsafe { at.write_volatile(7) };
        }
        "writer" => write_until_killed(&segment),
        other => panic!("no role `{other}`"),
    }
}

fn inside() {
    let thread = urcu_shm::register().expect("room");
    let guard = thread.read_lock();
    say("inside");
    let _ = order();
    drop(guard);
    say("outside");
    let _ = order();
}

fn read_until_told(segment: &Segment) {
    let told = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = order();
            told.store(true, Ordering::Relaxed);
        });
        let thread = urcu_shm::register().expect("room");
        let mut first = true;
        while !told.load(Ordering::Relaxed) {
            let guard = thread.read_lock();
            if let Err(wrong) = cells::check(segment, &guard) {
                eprintln!("a reader found {wrong}");
                std::process::exit(3);
            }
            drop(guard);
            if first {
                say("reading");
                first = false;
            }
        }
    });
}

fn come_and_go(segment: &Segment) -> ! {
    loop {
        let thread = urcu_shm::register().expect("room");
        for _ in 0..10 {
            let guard = thread.read_lock();
            if let Err(wrong) = cells::check(segment, &guard) {
                eprintln!("a reader found {wrong}");
                std::process::exit(3);
            }
            drop(guard);
        }
    }
}

fn write_until_killed(segment: &Segment) {
    let writer = segment.wait_for_writer(watchdog::LIMIT).expect("the last one is dead");
    say(if writer.recovered() { "recovered" } else { "first" });
    let mut cells = Replacer::new(&writer);
    let mut random = Random::new(u64::from(std::process::id()));
    let mut count = 0;
    loop {
        cells.replace(random.below(CELLS as u64) as usize);
        count += 1;
        if count == 100 {
            say("writing");
        }
    }
}

/// A new segment with a name.
fn segment(name: &Name, barriers: Barriers) -> Segment {
    SegmentOptions::new(1 << 16).barriers(barriers).processes(256).create(name.path()).expect("a segment")
}

fn limited(test: &str) -> watchdog::Watch {
    watchdog::guard(test, watchdog::patient(watchdog::LIMIT))
}

fn reader_inside(path: &Path) -> Process {
    let mut reader = Process::start("reader inside", path);
    assert!(reader.says("inside"));
    reader
}

#[test]
fn grace_periods_wait_for_readers_of_other_processes() {
    let _watch = limited("grace_periods_wait_for_readers_of_other_processes");
    for barriers in BOTH {
        let name = Name::new();
        let segment = segment(&name, barriers);
        let mut reader = reader_inside(name.path());
        let number = segment.start_grace_period();
        assert!(!segment.has_elapsed(number));
        let returned = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                segment.wait_for(number);
                returned.store(true, Ordering::Release);
            });
            // Until it sleeps: it has then looked at the reader several times.
            let asleep = || segment.inspect().longest_wait > Duration::from_millis(3);
            while !asleep() {
                thread::yield_now();
            }
            assert!(!returned.load(Ordering::Acquire) && !segment.has_elapsed(number));
            reader.tell("leave");
            assert!(reader.says("outside"));
        });
        assert!(segment.has_elapsed(number));
        segment.wait_for(segment.start_grace_period());
        assert_eq!(segment.inspect().reaped, 0);
        assert!(reader.end().success());
    }
}

#[test]
fn a_reader_that_is_killed_inside_a_section_is_reaped() {
    let _watch = limited("a_reader_that_is_killed_inside_a_section_is_reaped");
    let name = Name::new();
    let segment = segment(&name, Barriers::best());
    let mut times = Vec::new();
    for round in 1..=10 {
        let reader = reader_inside(name.path());
        let number = segment.start_grace_period();
        assert!(!segment.has_elapsed(number));
        reader.kill();
        let killed = Instant::now();
        segment.wait_for(number);
        times.push(killed.elapsed());
        let seen = segment.inspect();
        assert_eq!((seen.reaped, seen.reaped_inside), (round, round));
    }
    times.sort_unstable();
    println!(
        "from the death of a reader inside to the end of the grace period: median {:?}, longest {:?}",
        times[5], times[9]
    );
}

#[test]
fn a_dead_reader_is_reaped_while_somebody_waits_for_it() {
    let _watch = limited("a_dead_reader_is_reaped_while_somebody_waits_for_it");
    let name = Name::new();
    let segment = segment(&name, Barriers::best());
    let reader = reader_inside(name.path());
    let number = segment.start_grace_period();
    let done = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            segment.wait_for(number);
            Instant::now()
        });
        while segment.inspect().longest_wait < Duration::from_millis(3) {
            thread::yield_now();
        }
        let killed = Instant::now();
        reader.kill();
        waiting.join().expect("no panic").duration_since(killed)
    });
    println!("from the signal to the end of the grace period that was waiting: {done:?}");
    assert_eq!(segment.inspect().processes.len(), 0);
}

#[test]
fn readers_that_die_together_are_found_by_one_wait() {
    const CROWD: u64 = 12;
    let _watch = limited("readers_that_die_together_are_found_by_one_wait");
    let name = Name::new();
    let segment = segment(&name, Barriers::best());
    let crowd: Vec<Process> = (0..CROWD).map(|_| reader_inside(name.path())).collect();
    let number = segment.start_grace_period();
    crowd.into_iter().for_each(Process::kill);
    let begin = Instant::now();
    segment.wait_for(number);
    println!("{CROWD} dead readers inside: a grace period took {:?}", begin.elapsed());
    let seen = segment.inspect();
    assert_eq!((seen.reaped, seen.reaped_inside, seen.processes.len()), (CROWD, CROWD, 0));
}

#[test]
fn a_stopped_reader_only_delays_and_is_named() {
    static NAMED: Mutex<Vec<Report>> = Mutex::new(Vec::new());
    let _watch = limited("a_stopped_reader_only_delays_and_is_named");
    let name = Name::new();
    let segment = segment(&name, Barriers::best());
    let mut reader = reader_inside(name.path());
    urcu_shm::set_report_hook(|report| NAMED.lock().expect("no panic").push(report.clone()));
    urcu_shm::set_stall_limit(Some(Duration::from_millis(20)));
    reader.signal(libc::SIGSTOP);
    let pid = reader.pid();
    let of_reader = |report: &&Report| matches!(report, Report::ProcessStalls { pid: named, .. } if *named == pid);
    let named = |reports: &[Report]| {
        let mut reports = reports.iter().filter(of_reader);
        reports.any(|report| matches!(report, Report::ProcessStalls { stopped: true, tid, .. } if *tid != 0))
    };
    thread::scope(|scope| {
        scope.spawn(|| segment.wait_for(segment.start_grace_period()));
        while !named(&NAMED.lock().expect("no panic")) {
            thread::yield_now();
        }
        assert!(segment.inspect().processes[0].stopped);
        reader.signal(libc::SIGCONT);
        reader.tell("leave");
    });
    let reports = NAMED.lock().expect("no panic");
    let report = reports.iter().find(of_reader).expect("seen above").to_string();
    assert!(report.contains(&format!("process {pid}")), "{report}");
    drop(reports);
    assert_eq!(segment.inspect().reaped, 0);
    assert!(reader.end().success());
}

fn kills(default: u64) -> u64 {
    std::env::var("URCU_SHM_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Kills readers at random moments, with a writer at full speed and survivors that check what they see.
fn kill_readers(count: u64) {
    let name = Name::new();
    let segment = segment(&name, Barriers::best());
    let mut random = Random::new(1);
    let survivors: Vec<Process> = (0..2)
        .map(|_| {
            let mut process = Process::start("reader", name.path());
            assert!(process.says("reading"));
            process
        })
        .collect();
    let stop = AtomicBool::new(false);
    let replaced = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let writer = segment.writer().expect("nobody else");
            let mut cells = Replacer::new(&writer);
            let mut random = Random::new(2);
            while !stop.load(Ordering::Relaxed) {
                cells.replace(random.below(CELLS as u64) as usize);
                replaced.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut alive: Vec<Process> = Vec::new();
        for _ in 0..count {
            let role = if random.once_in(2) { "reader in threads" } else { "reader" };
            let mut process = Process::start(role, name.path());
            // Mostly while it reads, sometimes while it starts or registers.
            if !random.once_in(4) {
                assert!(process.says("reading"));
            }
            for _ in 0..random.below(2000) {
                std::hint::spin_loop();
            }
            alive.push(process);
            if alive.len() >= 4 {
                alive.swap_remove(random.below(4) as usize).kill();
            }
        }
        alive.into_iter().for_each(Process::kill);
        let before = replaced.load(Ordering::Relaxed);
        while replaced.load(Ordering::Relaxed) < before + 1000 {
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    for mut survivor in survivors {
        survivor.tell("end");
        let status = survivor.end();
        assert!(status.success(), "{status}");
    }
    segment.reap();
    let seen = segment.inspect();
    println!(
        "{count} readers killed: {} pages reaped, {} readers were inside, {} replacements, {} grace periods, longest wait {:?}, {} pages used",
        seen.reaped,
        seen.reaped_inside,
        replaced.load(Ordering::Relaxed),
        seen.grace_periods,
        seen.longest_wait,
        seen.pages_used
    );
    assert_eq!(seen.processes.len(), 0, "nobody is left");
}

#[test]
fn readers_may_die_at_any_moment() {
    let _watch = limited("readers_may_die_at_any_moment");
    kill_readers(kills(40));
}

#[test]
#[ignore = "takes minutes; the same with 40 readers always runs"]
fn a_thousand_readers_may_die_at_any_moment() {
    let _watch = limited("a_thousand_readers_may_die_at_any_moment");
    kill_readers(kills(1000));
}

#[test]
fn writers_may_die_at_any_moment() {
    let _watch = limited("writers_may_die_at_any_moment");
    let name = Name::new();
    let segment = segment(&name, Barriers::best());
    let mut survivor = Process::start("reader", name.path());
    assert!(survivor.says("reading"));
    let mut random = Random::new(3);
    let count = kills(12);
    for round in 0..count {
        let mut writer = Process::start("writer", name.path());
        if !random.once_in(4) {
            assert!(writer.says("writing"));
        } else {
            assert!(writer.says(if round == 0 { "first" } else { "recovered" }));
        }
        assert!(matches!(segment.writer(), Err(WriterError::Held { pid }) if pid == writer.pid()));
        for _ in 0..random.below(5000) {
            std::hint::spin_loop();
        }
        writer.kill();
    }
    let writer = segment.writer().expect("they are dead");
    assert!(writer.recovered());
    assert_eq!(writer.generation(), count + 1);
    let mut cells = Replacer::new(&writer);
    (0..1000).for_each(|at| cells.replace(at % CELLS));
    drop(writer);
    assert!(!segment.writer().expect("given back").recovered());
    survivor.tell("end");
    assert!(survivor.end().success());
}

#[test]
fn a_full_registry_reaps_before_it_refuses() {
    let _watch = limited("a_full_registry_reaps_before_it_refuses");
    let name = Name::new();
    let made = SegmentOptions::new(1 << 12).processes(2).create(name.path()).expect("a segment");
    let first = reader_inside(name.path());
    let second = reader_inside(name.path());
    urcu_shm::attach(&made).expect("the only one in this program's tests");
    assert!(matches!(urcu_shm::register(), Err(RegisterError::OutOfMemory)));
    first.kill();
    // Without anybody having waited for it.
    let thread = urcu_shm::register().expect("the dead one's place");
    let seen = made.inspect();
    assert_eq!(seen.processes.len(), 2);
    assert_eq!(seen.reaped, 1);
    drop(thread);
    second.kill();
    // This process's own threads are waited for, too.
    let thread = urcu_shm::register().expect("again");
    let guard = thread.read_lock();
    let number = made.start_grace_period();
    assert!(!made.has_elapsed(number));
    drop(guard);
    made.reap();
    assert!(made.has_elapsed(number));
}

#[test]
fn a_stray_store_of_a_reader_hits_a_wall() {
    let _watch = limited("a_stray_store_of_a_reader_hits_a_wall");
    let name = Name::new();
    let segment = segment(&name, Barriers::best());
    let status = Process::start("reader that stores into data", name.path()).end();
    // A sanitizer turns the signal into its report.
    assert!(status.signal() == Some(libc::SIGSEGV) || cfg!(sanitized) && !status.success(), "{status}");
    let at = segment.resolve::<u64>(segment.data_start()).expect("data");
    // SAFETY: mapped, and nobody writes to it.
    assert_eq!(unsafe { at.read_volatile() }, 0);
    assert!(matches!(Segment::open(name.path(), Access::Read).expect("ours").writer(), Err(WriterError::ReadOnly)));
}
