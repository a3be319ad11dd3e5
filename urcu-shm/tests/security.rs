//! Who may open a segment, and what becomes of a process when somebody writes nonsense into one.

use std::fs::{self, File, Permissions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::seed::Random;
use urcu_conformance::watchdog;
use urcu_shm::{
    Access, GraceNumber, Offset, OpenOptions, RootName, Segment, SegmentError, SegmentOptions, recv_fd, send_fd,
};

#[path = "processes/cells.rs"]
mod cells;
#[path = "processes/child.rs"]
mod child;

use cells::{CELLS, Replacer};
use child::{Name, Process, role, say};

/// What the other processes do; in the test program itself, nothing.
#[test]
fn a_role_in_another_process() {
    let Some((role, path)) = role() else { return };
    let access = if role == "reader" { Access::Read } else { Access::Write };
    let segment = Segment::open(path, access).expect("the segment");
    urcu_shm::attach(&segment).expect("the only one");
    let mut rounds = 0_u64;
    loop {
        match role.as_str() {
            "reader" => read(&segment),
            "updater" => update(&segment, rounds),
            other => panic!("no role `{other}`"),
        }
        rounds += 1;
        if rounds.is_multiple_of(100) {
            say("alive");
        }
    }
}

/// Whatever it finds, it goes on.
fn read(segment: &Segment) {
    let Ok(thread) = urcu_shm::register() else { return };
    for _ in 0..20 {
        let guard = thread.read_lock();
        let nested = thread.read_lock();
        let _ = cells::check(segment, &nested);
        drop(nested);
        segment.assert_guard(&guard);
        drop(guard);
    }
    let _ = segment.inspect();
}

/// Everything that an updater does and that does not wait for others.
fn update(segment: &Segment, round: u64) {
    let number = segment.start_grace_period();
    let _ = segment.has_elapsed(number);
    let _ = segment.has_elapsed(GraceNumber::from_bits(round.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let _ = segment.reap();
    let _ = segment.inspect();
    if let Ok(writer) = segment.writer() {
        let name = RootName::new(&format!("root {}", round % 40), 7);
        let _ = writer.set_root(name, Offset::new(round));
        let _ = segment.root(name);
    }
    read(segment);
}

#[test]
fn nonsense_in_a_segment_ends_nobody() {
    let _watch = watchdog::guard("nonsense_in_a_segment_ends_nobody", watchdog::patient(watchdog::LIMIT));
    let name = Name::new();
    let segment = SegmentOptions::new(1 << 14).processes(16).create(name.path()).expect("a segment");
    {
        let writer = segment.writer().expect("nobody else");
        let mut cells = Replacer::new(&writer);
        (0..CELLS).for_each(|cell| cells.replace(cell));
    }
    let file = File::options().write(true).read(true).open(name.path()).expect("ours");
    let mut others: Vec<Process> =
        ["reader", "reader", "updater", "updater"].map(|role| Process::start(role, name.path())).into();
    for process in &mut others {
        assert!(process.says("alive"), "before anything was changed");
    }
    let mut random = Random::new(4);
    let length = file.metadata().expect("a file").len();
    let until = Instant::now() + Duration::from_secs(4);
    let mut flips = 0_u64;
    while Instant::now() < until || flips <= 1000 {
        // Whole words as often as single bits, and mostly where something is.
        let near = if random.once_in(2) { length.min(5 * 4096) } else { length };
        let at = random.below(near - 8);
        if random.once_in(2) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("within the file");
            file.write_all_at(&[byte[0] ^ (1 << random.below(8))], at).expect("within the file");
        } else {
            let word = if random.once_in(4) { u64::MAX } else { random.next() >> random.below(64) };
            file.write_all_at(&word.to_ne_bytes(), at & !7).expect("within the file");
        }
        flips += 1;
        if flips.is_multiple_of(16) {
            thread::yield_now();
        }
    }
    println!("{flips} changes");
    for mut process in others {
        // Twice, so that it went on after the last change.
        assert!(process.says("alive") && process.says("alive"), "a process has ended: {:?}", process.end());
        process.kill();
    }
}

#[test]
fn every_damaged_header_is_refused() {
    let name = Name::new();
    drop(Segment::create(name.path(), 1 << 12).expect("a segment"));
    assert!(Segment::open(name.path(), Access::Write).is_ok());
    let file = File::options().write(true).read(true).open(name.path()).expect("ours");
    let mut header = [0; 88];
    file.read_exact_at(&mut header, 0).expect("a header");
    for at in 0..header.len() {
        for bit in 0..8 {
            file.write_all_at(&[header[at] ^ (1 << bit)], at as u64).expect("room");
            let opened = Segment::open(name.path(), Access::Read);
            assert!(matches!(opened, Err(SegmentError::NotASegment { .. })), "byte {at}, bit {bit}: {opened:?}");
        }
        file.write_all_at(&header[at..=at], at as u64).expect("room");
    }
    assert!(Segment::open(name.path(), Access::Read).is_ok());
    file.set_len(8192).expect("smaller");
    assert!(matches!(Segment::open(name.path(), Access::Read), Err(SegmentError::NotASegment { .. })));
    file.set_len(7).expect("smaller");
    assert!(matches!(Segment::open(name.path(), Access::Read), Err(SegmentError::NotASegment { .. })));
}

#[test]
fn what_others_may_open_is_refused_unless_asked_for() {
    let name = Name::new();
    drop(Segment::create(name.path(), 1 << 12).expect("a segment"));
    assert_eq!(fs::metadata(name.path()).expect("a file").permissions().mode() & 0o7777, 0o600);
    for mode in [0o640, 0o620, 0o604, 0o602, 0o601] {
        fs::set_permissions(name.path(), Permissions::from_mode(mode)).expect("ours");
        let opened = Segment::open(name.path(), Access::Read);
        assert!(matches!(opened, Err(SegmentError::TooOpen { mode: found }) if found == mode), "{opened:?}");
        assert!(OpenOptions::new(Access::Read).shared().open(name.path()).is_ok());
    }
    fs::set_permissions(name.path(), Permissions::from_mode(0o600)).expect("ours");
    assert!(Segment::open(name.path(), Access::Read).is_ok());
    // Only root can give files away.
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } == 0 {
        if let Err(error) = std::os::unix::fs::chown(name.path(), Some(12345), None) {
            return println!("skipped: root of a container may not give files away ({error})");
        }
        let opened = Segment::open(name.path(), Access::Read);
        assert!(matches!(opened, Err(SegmentError::WrongOwner { user: 12345 })), "{opened:?}");
    }
}

#[test]
fn a_segment_is_made_once_by_all_who_want_it() {
    let name = Name::new();
    let root = RootName::new("who was there", 1);
    let count = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let segment = SegmentOptions::new(1 << 12).open_or_create(name.path()).expect("made by somebody");
                    let writer =
                        segment.wait_for_writer(watchdog::patient(watchdog::LIMIT)).expect("the others give it up");
                    let was_there = segment.root(root).expect("this layout").is_some();
                    writer.set_root(root, segment.data_start()).expect("room");
                    usize::from(!was_there)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>()
    });
    assert_eq!(count, 1, "each has its own");
    fs::write(name.path(), "something else").expect("ours");
    let opened = SegmentOptions::new(1 << 12).open_or_create(name.path());
    assert!(matches!(opened, Err(SegmentError::NotASegment { .. })), "{opened:?}");
    assert_eq!(fs::read(name.path()).expect("ours"), b"something else");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (name, link) = (Name::new(), Name::new());
    drop(Segment::create(name.path(), 1 << 12).expect("a segment"));
    symlink(name.path(), link.path()).expect("a link");
    assert!(matches!(Segment::open(link.path(), Access::Read), Err(SegmentError::System { .. })));
    // Nor is a name used that exists, or that is a link to nowhere.
    assert!(matches!(Segment::create(name.path(), 1 << 12), Err(SegmentError::System { .. })));
    fs::remove_file(name.path()).expect("ours");
    assert!(matches!(Segment::create(link.path(), 1 << 12), Err(SegmentError::System { .. })));
    assert!(!name.path().exists());
    assert!(matches!(Segment::open("/dev/null", Access::Read), Err(SegmentError::NotASegment { .. })));
    assert!(matches!(SegmentOptions::new(0).create_memfd("none"), Err(SegmentError::BadSize)));
    assert!(matches!(SegmentOptions::new(usize::MAX - 4096).create_memfd("none"), Err(SegmentError::BadSize)));
}

#[test]
fn a_memfd_cannot_shrink_and_goes_through_sockets() {
    let segment = Segment::create_memfd("urcu-shm test", 1 << 14).expect("a segment");
    assert!(segment.is_sealed());
    // SAFETY: plain integers.
    assert_eq!(unsafe { libc::ftruncate(segment.fd().as_raw_fd(), 4096) }, -1);
    let (here, there) = UnixStream::pair().expect("sockets");
    send_fd(&here, segment.fd()).expect("sent");
    let other = Segment::from_fd(recv_fd(&there).expect("received"), Access::Read).expect("the same");
    let name = RootName::new("a", 1);
    let writer = segment.writer().expect("the first");
    writer.set_root(name, segment.data_start()).expect("room");
    assert_eq!(other.root(name).expect("this layout"), Some(segment.data_start()));
    assert!(other.root(RootName::new("a", 2)).is_err());
    assert_eq!(other.root(RootName::new("b", 1)).expect("nothing"), None);
    // Mapped twice, at two addresses; the same places in it.
    let at = segment.resolve::<u64>(segment.data_start()).expect("data");
    let same = other.resolve::<u64>(segment.data_start()).expect("data");
    assert_ne!(at, same);
    assert_eq!(segment.offset_of(at.as_ptr()), other.offset_of(same.as_ptr()));
    let path = format!("/proc/{}/fd/{}", std::process::id(), segment.fd().as_fd().as_raw_fd());
    let third = Segment::open(path, Access::Read).expect("the same");
    assert_eq!(third.root(name).expect("this layout"), Some(segment.data_start()));
}

#[test]
fn places_are_checked() {
    let segment = Segment::create_memfd("urcu-shm test", 1 << 14).expect("a segment");
    let end = segment.data_len() as u64;
    assert!(segment.resolve::<u64>(Offset::new(end - 8)).is_some());
    for offset in [end - 7, end - 4, end, end + 8, u64::MAX, u64::MAX - 7, 1, 4] {
        assert_eq!(segment.resolve::<u64>(Offset::new(offset)), None, "{offset}");
    }
    assert!(segment.resolve_slice::<u64>(Offset::new(0), segment.data_len() / 8).is_some());
    assert!(segment.resolve_slice::<u64>(Offset::new(8), segment.data_len() / 8).is_none());
    assert!(segment.resolve_slice::<u64>(Offset::new(0), usize::MAX / 4).is_none());
    assert!(segment.resolve_slice::<u64>(Offset::new(end), 0).is_some());
}

#[test]
#[should_panic(expected = "has not attached it")]
fn a_guard_of_another_segment_is_refused() {
    let attached = Segment::create_memfd("urcu-shm test", 1 << 12).expect("a segment");
    let other = Segment::create_memfd("urcu-shm test", 1 << 12).expect("a segment");
    urcu_shm::attach(&attached).expect("the only test here that attaches");
    urcu_shm::attach(&attached).expect("the same again");
    assert!(matches!(urcu_shm::attach(&other), Err(SegmentError::AlreadyAttached)));
    let thread = urcu_shm::register().expect("room");
    let guard = thread.read_lock();
    attached.assert_guard(&guard);
    other.assert_guard(&guard);
}
