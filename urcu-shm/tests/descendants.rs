//! A process that has got the id of a dead ancestor, whose memory it has: it is neither the writer nor the reader that one was.

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use urcu_conformance::OwnProcess;
use urcu_shm::{Access, Barriers, Segment, SegmentOptions};

/// Forks; what `child` returns becomes the exit status.
fn fork(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the only thread of the process that does anything.
    match unsafe { libc::fork() } {
        0 => exit(child()),
        pid => pid,
    }
}

fn exit(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a child; a local.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "{status:#x}");
    libc::WEXITSTATUS(status)
}

/// Forks a child with this process id; `None` if the system does not allow it.
fn fork_as(wanted: i32, child: impl FnOnce() -> i32) -> Option<i32> {
    // SAFETY: plain integers, for which zero is "nothing".
    let mut how: libc::clone_args = unsafe { core::mem::zeroed() };
    how.exit_signal = libc::SIGCHLD as u64;
    how.set_tid = (&raw const wanted) as u64;
    how.set_tid_size = 1;
    // SAFETY: a fork, in a process with no other thread that does anything.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const how, size_of_val(&how)) } {
        0 => exit(child()),
        -1 => None,
        pid => i32::try_from(pid).ok(),
    }
}

fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    // SAFETY: a local.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    ends
}

fn tell(pipe: [i32; 2], what: u8) {
    // SAFETY: one byte.
    assert_eq!(unsafe { libc::write(pipe[1], (&raw const what).cast(), 1) }, 1);
}

fn hear(pipe: [i32; 2]) -> u8 {
    let mut what = 0_u8;
    // SAFETY: one byte.
    assert_eq!(unsafe { libc::read(pipe[0], (&raw mut what).cast(), 1) }, 1);
    what
}

const CANNOT: i32 = 77;

/// Where the writer's words are: whether there is one.
fn is_open(segment: &Segment) -> bool {
    let file = std::fs::File::from(segment.fd().try_clone_to_owned().expect("a descriptor"));
    let mut word = [0; 4];
    file.read_exact_at(&mut word, urcu_core::sys::page_size() as u64 + 128 + 20).expect("inside");
    word != [0; 4]
}

#[test]
fn a_descendant_with_the_id_of_a_dead_ancestor_is_somebody_else() {
    let _ = OwnProcess::new()
        .run(|| {
            let options = SegmentOptions::new(1 << 12).processes(4).barriers(Barriers::Fences);
            let segment = options.create_memfd("urcu-shm test").expect("a segment");
            let path = format!("/proc/{}/fd/{}", std::process::id(), segment.fd().as_raw_fd());
            let (ancestor_gone, descendant_done) = (pipe(), pipe());
            let ancestor = fork(|| {
                let segment = Segment::open(&path, Access::Write).expect("the parent's");
                urcu_shm::attach(&segment).expect("the first one");
                let writer = segment.writer().expect("nobody else");
                // It has a page from now on, and no section.
                let thread = urcu_shm::register().expect("attached");
                let own = urcu_core::sys::process_id();
                fork(|| {
                    hear(ancestor_gone);
                    // Ids are used again after a while: later than the clock ticks that start times are counted in.
                    std::thread::sleep(std::time::Duration::from_millis(30));
                    let descendant = fork_as(own, || {
                        assert_eq!(urcu_core::sys::process_id(), own);
                        drop(thread);
                        drop(writer);
                        // Without the hooks around forks, which builds with debug assertions insist on.
                        if !cfg!(debug_assertions) {
                            drop(urcu_shm::register().expect("a page of its own"));
                        }
                        0
                    });
                    let outcome = descendant.map_or(CANNOT, wait_for);
                    tell(descendant_done, u8::try_from(outcome).expect("a status"));
                    0
                });
                0
            });
            assert_eq!(wait_for(ancestor), 0);
            // The dead one's role, and its page.
            let _writer = segment.writer().expect("it is dead");
            assert!(is_open(&segment));
            assert_eq!(segment.reap(), 1);
            urcu_shm::attach(&segment).expect("the first one");
            let thread = urcu_shm::register().expect("the dead one's page");
            let guard = thread.read_lock();
            let number = segment.start_grace_period();
            tell(ancestor_gone, 0);
            let outcome = i32::from(hear(descendant_done));
            if outcome == CANNOT {
                println!("skipped: process ids cannot be chosen here");
                return;
            }
            assert_eq!(outcome, 0, "it could not register");
            assert!(!segment.has_elapsed(number), "it ended a section of ours");
            assert!(is_open(&segment), "it gave up a role of ours");
            drop(guard);
            assert!(segment.has_elapsed(number));
        })
        .succeeded();
}
