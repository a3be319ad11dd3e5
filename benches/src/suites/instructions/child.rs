//! What runs under valgrind.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::workloads::{Operations, Workload, counted as contenders};

/// Operations before those that count: what is made once has been made then.
const WARM_UP: u64 = 4096;
/// The same, where two threads take turns.
const WARM_UP_TURNS: u64 = 200;

/// What callgrind counts is executed in here.
#[unsafe(no_mangle)]
#[inline(never)]
fn urcu_bench_counted(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

std::thread_local! {
    /// Whether the operations at hand count.
    static COUNTS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs a part of an operation that counts, if the operation does; for workloads that prepare each.
pub(super) fn counted<R>(part: impl FnOnce() -> R) -> R {
    if !COUNTS.get() {
        return part();
    }
    let (mut part, mut answer) = (Some(part), None);
    bracketed(&mut || answer = part.take().map(|part| part()));
    answer.expect("it has run")
}

/// Which thread's operation is going on: the accesses between two stores of these are its own.
pub(super) static MARK: AtomicU64 = AtomicU64::new(0);

std::thread_local! {
    /// The value of the mark that stands for the calling thread.
    static OWN_MARK: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn bracketed(work: &mut dyn FnMut()) {
    let own = OWN_MARK.get();
    // What counts for callgrind begins in the function, what counts for lackey between the two stores. Relaxed: for the trace.
    if own == 0 {
        urcu_bench_counted(work);
    } else {
        mark(own);
        work();
        mark(0);
    }
}

/// A store whose size says which thread it stands for: one, two or four bytes, where the trace has no values.
#[inline(never)]
fn mark(own: u64) {
    let base = MARK.as_ptr();
    match own {
        // SAFETY: inside the static, aligned; nobody reads it, and threads that take turns do not race.
        1 => unsafe { base.cast::<u8>().write_volatile(1) },
        // SAFETY: as above.
        2 => unsafe { base.cast::<u16>().write_volatile(1) },
        // SAFETY: as above.
        _ => unsafe { base.cast::<u32>().write_volatile(1) },
    }
}

/// Does the operations of one contender: `<workload>/<name>` on one thread, `turns:<workload>/<name>` on two.
///
/// # Errors
/// When it is not there or gives a wrong answer.
pub fn child(name: &str, operations: u64) -> Result<f64, String> {
    let (in_turns, name) = name.strip_prefix("turns:").map_or((false, name), |name| (true, name));
    let (workload, contender) = name.split_once('/').ok_or("a name is a workload and a contender")?;
    let line = contenders()
        .into_iter()
        .find(|line| line.workload == workload && line.name == contender)
        .ok_or_else(|| format!("there is no contender `{name}`"))?;
    let made = (line.make?)()?;
    // Relaxed: for the parent, which reads it on the other side of a pipe.
    println!("mark {:x}", std::ptr::from_ref(&MARK).addr());
    MARK.store(0, Ordering::Relaxed);
    if in_turns { take_turns(&*made, operations, workload) } else { alone(&*made, operations, workload) }?;
    made.end()?;
    Ok(0.0)
}

/// Where a workload brackets its operations itself, since it prepares each.
fn brackets_itself(workload: &str) -> bool {
    workload == "map"
}

fn alone(made: &dyn Workload, operations: u64, workload: &str) -> Result<(), String> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            made.thread(0, &mut |run| {
                run(WARM_UP)?;
                COUNTS.set(true);
                if brackets_itself(workload) {
                    return run(operations);
                }
                let mut answer = Ok(());
                bracketed(&mut || answer = run(operations));
                answer
            })
        });
        thread.join().map_err(|_| "it panicked")?
    })
}

/// Two threads, an operation each in turn; a thread that is not having its turn sleeps.
fn take_turns(made: &dyn Workload, operations: u64, workload: &str) -> Result<(), String> {
    let turns = Turns::default();
    std::thread::scope(|scope| {
        let threads = [0, 1].map(|index| {
            let turns = &turns;
            scope.spawn(move || {
                let _over = Over(turns);
                made.thread(index, &mut |run| {
                    COUNTS.set(true);
                    for turn in 0..WARM_UP_TURNS + operations {
                        turns.wait(index)?;
                        OWN_MARK.set(if turn < WARM_UP_TURNS { 4 } else { index as u64 + 1 });
                        let answer = if brackets_itself(workload) { run(1) } else { one(run) };
                        turns.pass(1 - index);
                        answer?;
                    }
                    Ok(())
                })
            })
        });
        let mut answer = Ok(());
        for thread in threads {
            answer = answer.and(thread.join().map_err(|_| "it panicked")?);
        }
        answer
    })
}

fn one(run: &mut Operations<'_>) -> Result<(), String> {
    let mut answer = Ok(());
    bracketed(&mut || answer = run(1));
    answer
}

#[derive(Debug, Default)]
struct Turns {
    /// Whose it is, and whether somebody has left.
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Turns {
    fn wait(&self, index: usize) -> Result<(), String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_not_mine = |state: &mut (usize, bool)| state.0 != index && !state.1;
        let state = self.changed.wait_while(state, is_not_mine).unwrap_or_else(PoisonError::into_inner);
        if state.0 == index { Ok(()) } else { Err("the other thread has left".into()) }
    }

    fn pass(&self, index: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = index;
        self.changed.notify_all();
    }
}

/// Lets the other thread go when one leaves, also by a panic.
struct Over<'t>(&'t Turns);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.0.changed.notify_all();
    }
}
