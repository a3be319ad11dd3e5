//! Forks a process with several threads, in which callbacks are pending; parent and child both go on.
//!
//! Run it with `cargo run -p urcu-examples --bin fork`.
//!
//! Who forks and then uses RCU in both processes calls three hooks: `fork_before`, then `fork_after_parent` or
//! `fork_after_child`. (A child that calls `exec` or `_exit` needs none.)
//!
//! A callback that is pending when the process forks is pending in both, like everything else in memory: it runs in the
//! parent and in the child, once in each, and frees each one's copy. One that should take effect outside of the
//! process (delete a file, send a message) has to look where it is.
//!
//! In the child only the thread that forked exists. Its registration goes on; the other threads' sections do not hold
//! up the child's grace periods; a new worker runs the callbacks.

use std::error::Error;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use rcu::raw;

const CALLBACKS: u32 = 1000;
/// So many of them are pending at the fork for certain.
const LATE: u32 = 10;

static CONFIG: rcu::Rcu<String> = rcu::Rcu::empty();
static RAN: AtomicU32 = AtomicU32::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

fn read() {
    let me = rcu::register().expect("a new thread can be registered");
    while !STOP.load(Relaxed) {
        let section = me.read_lock();
        assert!(CONFIG.load(&section).is_some());
    }
}

fn defer_callbacks(count: u32) {
    for _ in 0..count {
        rcu::defer(|| {
            RAN.fetch_add(1, Relaxed);
        });
    }
}

/// What either process does after the fork: everything that RCU is.
fn go_on(me: &mut rcu::Thread, who: &str, ran_before: u32) {
    rcu::barrier().expect("not in a callback");
    assert_eq!(RAN.load(Relaxed), CALLBACKS, "{who}");
    println!("{who}: {ran_before} callbacks ran before the fork, {} here", CALLBACKS - ran_before);

    let old = CONFIG.publish(format!("of the {who}")).expect("there was one");
    assert_eq!(old.synchronize_with(me), "of both");
    let section = me.read_lock();
    println!("{who}: the configuration {}", CONFIG.load(&section).expect("just published"));
}

fn main() -> Result<(), Box<dyn Error>> {
    CONFIG.publish("of both".to_owned());
    let mut me = rcu::register()?;
    let reader = thread::spawn(read);
    defer_callbacks(CALLBACKS - LATE);

    // Waits for the running grace period; no other one starts, and no callback runs, until after the fork.
    raw::fork_before();
    defer_callbacks(LATE);
    let ran_before = RAN.load(Relaxed);
    assert!(ran_before <= CALLBACKS - LATE);

    // SAFETY: the child goes on with the C library, whose `fork` prepares its allocator for that, with this library,
    // which has been prepared, and with what this thread alone uses.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            // SAFETY: follows `fork_before` on this thread, before the child has another one.
            unsafe { raw::fork_after_child() };
            go_on(&mut me, "child", ran_before);
            // Not through the rest of `main`: there is no reader to join here.
            process::exit(0);
        }
        Ok(ForkResult::Parent { child }) => {
            // SAFETY: follows `fork_before` on this thread.
            unsafe { raw::fork_after_parent() };
            go_on(&mut me, "parent", ran_before);
            let status = waitpid(child, None)?;
            assert_eq!(status, WaitStatus::Exited(child, 0));
        }
        Err(error) => {
            // SAFETY: as in the parent: no fork has happened, and the hooks come in pairs.
            unsafe { raw::fork_after_parent() };
            return Err(error.into());
        }
    }
    STOP.store(true, Relaxed);
    reader.join().expect("the reader has not panicked");
    println!("both have ended");
    Ok(())
}
