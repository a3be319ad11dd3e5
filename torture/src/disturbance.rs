//! What happens to the whole process: forks in the middle of everything, and processors taken away.

use std::mem::size_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use urcu_conformance::seed::Random;
use urcu_conformance::{RaisedAtEnd, c_thread, forked, task};
use urcu_core::{Flavor, Thread, raw};

use crate::object::Object;
use crate::record::REUSED;
use crate::world::{SLOTS, World};

/// Forks until the end; each child goes on for a few grace periods.
pub(crate) fn forks<F: Flavor>(world: &'static World, stream: u64) {
    let mut random = Random::new(stream);
    while !world.ended() {
        let own = random.once_in(2).then(|| Thread::<F>::register().expect("not registered").offline());
        // Without the hooks the child has lost what some thread was emptying; the rest works all the same.
        let hooks = !F::REGISTERS_ITSELF || random.once_in(2);
        if hooks {
            raw::fork_before::<F>();
        }
        let child = forked::start(|| {
            if hooks {
                // SAFETY: follows `fork_before`, on the child's only thread.
                unsafe { raw::fork_after_child::<F>() };
            }
            in_child::<F>(world);
        });
        if hooks {
            // SAFETY: follows `fork_before`.
            unsafe { raw::fork_after_parent::<F>() };
        }
        child.succeeded();
        drop(own);
        world.counts.forks.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(random.below(100)));
    }
}

/// A small world of its own: one reader, some grace periods, and everything that the parent had pending.
fn in_child<F: Flavor>(world: &'static World) {
    static STOP: AtomicBool = AtomicBool::new(false);
    let stop_at_end = RaisedAtEnd(&STOP);
    // Not one of the standard library's: those hang in a child that was forked while another one was starting or ending.
    let reader = c_thread::start(|| {
        let mut thread = Thread::<F>::register().expect("not registered");
        while !STOP.load(Ordering::Acquire) {
            let guard = thread.read_lock();
            for slot in 0..SLOTS {
                let bucket = world.look(slot).bucket();
                assert!(bucket < 2 || bucket == REUSED && world.ended(), "a child found age bucket {bucket}");
            }
            drop(guard);
            thread.quiescent_state();
        }
    });
    let mut unlinked: Vec<&'static Object> = Vec::new();
    for round in 0..5 {
        let fresh = world.pool.hand_out(&mut Vec::new(), u64::MAX).expect("no limit");
        unlinked.push(world.replace(round, fresh));
        urcu_core::synchronize::<F>();
        unlinked.iter().for_each(|object| {
            object.birthday();
        });
    }
    urcu_core::barrier::<F>().expect("not in a deferred call");
    drop(stop_at_end);
    reader.join();
}

/// Takes processors away from all threads, and gives them back.
pub(crate) fn moves(world: &'static World, stream: u64) {
    let mut random = Random::new(stream);
    let all = affinity();
    let allowed: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(|cpu| is_in(*cpu, &all)).collect();
    while !world.ended() {
        let mut chosen = all;
        if random.once_in(2) {
            // All threads on one or two processors.
            // SAFETY: plain data, for which zero is the empty set.
            chosen = unsafe { std::mem::zeroed() };
            for _ in 0..=random.below(2) {
                let cpu = allowed[random.below(allowed.len() as u64) as usize];
                // SAFETY: an index within the set.
                unsafe { libc::CPU_SET(cpu, &mut chosen) };
            }
        }
        set_all(&chosen);
        world.counts.moves.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(20 + random.below(200)));
    }
    set_all(&all);
}

fn is_in(cpu: usize, set: &libc::cpu_set_t) -> bool {
    // SAFETY: an index within the set.
    unsafe { libc::CPU_ISSET(cpu, set) }
}

fn affinity() -> libc::cpu_set_t {
    // SAFETY: plain data that sched_getaffinity overwrites.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: a valid pointer to a local of the given size.
    unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    set
}

/// A thread that has gone meanwhile is no error; nor one whose processor was chosen by somebody else.
fn set_all(set: &libc::cpu_set_t) {
    for tid in task::all() {
        // SAFETY: a valid pointer to a set of the given size.
        unsafe { libc::sched_setaffinity(tid, size_of::<libc::cpu_set_t>(), set) };
    }
}
