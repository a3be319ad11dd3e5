//! A task, and what it waits for. Nothing else orders them.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use urcu_core::Completion;
use urcu_core::sync::explore;

struct Task {
    wakes: AtomicUsize,
    /// What happened before the completion.
    value: AtomicUsize,
    completion: Completion,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Release);
    }
}

fn task() -> Arc<Task> {
    Arc::new(Task { wakes: AtomicUsize::new(0), value: AtomicUsize::new(0), completion: Completion::new() })
}

/// Each poll has a waker of its own: each writes it.
fn poll(task: &Arc<Task>) -> Poll<()> {
    struct Passing(Arc<Task>);
    impl Wake for Passing {
        fn wake(self: Arc<Self>) {
            Arc::clone(&self.0).wake();
        }
    }
    let waker = Waker::from(Arc::new(Passing(Arc::clone(task))));
    // SAFETY: the model's main thread alone polls.
    let answer = unsafe { task.completion.poll(&mut Context::from_waker(&waker)) };
    if answer.is_ready() {
        // Relaxed: the completion orders it.
        assert_eq!(task.value.load(Ordering::Relaxed), 1, "ready, but it has not happened yet");
    }
    answer
}

#[test]
fn a_task_that_waits_is_woken() {
    explore(3, || {
        let task = task();
        let other = Arc::clone(&task);
        let completes = thread::spawn(move || {
            other.value.store(1, Ordering::Relaxed);
            other.completion.complete();
        });
        let pending = poll(&task).is_pending() && poll(&task).is_pending();
        completes.join().unwrap();
        if pending {
            assert_eq!(task.wakes.load(Ordering::Acquire), 1, "pending, and not woken");
            assert!(poll(&task).is_ready());
        }
    });
}
