//! Stores that should not have been made, into pages that readers can write.

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use urcu_conformance::OwnProcess;
use urcu_shm::{Access, Barriers, Segment, SegmentOptions};

fn alone<B: FnOnce()>(body: B) {
    let _ = OwnProcess::new().of_test::<B>().run(body).succeeded();
}

fn attached(barriers: Barriers) -> Segment {
    let options = SegmentOptions::new(1 << 12).processes(4).barriers(barriers);
    let segment = options.create_memfd("urcu-shm test").expect("a segment");
    urcu_shm::attach(&segment).expect("the first one");
    segment
}

fn write_zeros(segment: &Segment, page: u64, at: u64) {
    let file = std::fs::File::from(segment.fd().try_clone_to_owned().expect("a descriptor"));
    file.write_all_at(&[0; 8], page * 4096 + at).expect("inside");
}

/// Page 2 says how many record pages there are.
#[test]
fn a_directory_that_says_too_little_hides_no_reader() {
    alone(|| {
        let segment = attached(Barriers::Fences);
        let thread = urcu_shm::register().expect("attached");
        let guard = thread.read_lock();
        write_zeros(&segment, 2, 0);
        let number = segment.start_grace_period();
        assert!(!segment.has_elapsed(number), "there is a section");
        drop(guard);
        assert!(segment.has_elapsed(number));
    });
}

/// Links of the kernel's are followed, and no others behind them.
#[test]
fn a_link_behind_proc_is_a_link() {
    let segment = SegmentOptions::new(1 << 12).processes(4).create_memfd("urcu-shm test").expect("a segment");
    let descriptor = format!("/proc/self/fd/{}", segment.fd().as_raw_fd());
    drop(Segment::open(&descriptor, Access::Read).expect("not planted by anybody"));
    let name = format!("urcu-shm-link-{}", std::process::id());
    let link = std::env::temp_dir().join(&name);
    std::os::unix::fs::symlink(&descriptor, &link).expect("a link");
    let hidden = format!("/proc/self/root{}", link.display());
    let outcome = (Segment::open(&link, Access::Read).is_err(), Segment::open(hidden, Access::Read).is_err());
    std::fs::remove_file(link).expect("ours");
    assert_eq!(outcome, (true, true));
}

/// What a signal handler finds that interrupts a lock between its two stores to the mirror, after another one has interrupted it
/// before: inside, and the mirror cleared.
#[test]
fn a_nested_lock_that_finds_the_mirror_cleared_shows_itself() {
    for barriers in [Barriers::Fences, Barriers::best()] {
        alone(|| {
            let segment = attached(barriers);
            let thread = urcu_shm::register().expect("attached");
            let outer = thread.read_lock();
            for record in 0..31 {
                write_zeros(&segment, 3, 128 + record * 128);
            }
            let number = segment.start_grace_period();
            assert!(segment.has_elapsed(number), "the mirror is cleared");
            let before = segment.start_grace_period();
            let inner = thread.read_lock();
            let number = segment.start_grace_period();
            assert!(segment.has_elapsed(before) && !segment.has_elapsed(number), "the handler's section");
            drop(inner);
            drop(outer);
            assert!(segment.has_elapsed(number));
        });
    }
}
