//! What threads would otherwise share, once per group of threads.

use std::cell::Cell;
use std::sync::OnceLock;
use std::thread;

use urcu_core::sync::CachePadded;
use urcu_core::sync::{AtomicUsize, Ordering};

/// Stripes of a structure: enough for the processors there are.
#[derive(Debug)]
pub(super) struct Striped<T> {
    /// A power of two of them.
    stripes: Box<[CachePadded<T>]>,
}

/// More do not pay.
const MOST: usize = 64;

fn how_many() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MOST))
}

/// A number of the calling thread; neighbours in age are neighbours in number.
#[inline]
fn thread_number() -> usize {
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    #[cold]
    fn take() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: any number will do.
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(take());
        }
        number.get()
    })
}

impl<T> Striped<T> {
    pub(super) fn new(make: impl Fn() -> T) -> Self {
        Self { stripes: (0..how_many()).map(|_| CachePadded(make())).collect() }
    }

    /// The calling thread's, which it shares with others when there are many threads.
    #[inline]
    pub(super) fn own(&self) -> &T {
        &self.stripes[thread_number() & (self.stripes.len() - 1)]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.stripes.iter().map(|stripe| &stripe.0)
    }
}
