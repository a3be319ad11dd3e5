//! Stacks of values, allocation included: ours, and what else a program would take.

use cds_lfstack::{Consumer, Kind, LfStack, LockedStack, Serial, Stack, WfStack};
use urcu_core::sync::CachePadded;
use urcu_core::{Flavor, FlavorVtable, Thread};

use super::{Looped, Member, Ops, Subject, Tally};
use crate::peers::treiber::Treiber;

fn tally(values: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    values.for_each(|value| {
        tally.popped += 1;
        tally.sum += value;
    });
    tally
}

/// Makes a subject of anything whose reference is [`Ops`].
struct Shared<S>(CachePadded<S>);

impl<S: Sync> Subject for Shared<S>
where
    for<'s> &'s S: Ops,
{
    fn member(&self) -> Result<Box<dyn Member + '_>, String> {
        Ok(Box::new(Looped(&self.0.0)))
    }
}

fn shared<S: Sync + 'static>(stack: S) -> Box<dyn Subject>
where
    for<'s> &'s S: Ops,
{
    Box::new(Shared(CachePadded(stack)))
}

struct Reading<'s, S, F: Flavor> {
    stack: &'s S,
    thread: Thread<F>,
}

struct Guarded<S, F> {
    stack: S,
    flavor: &'static FlavorVtable,
    marker: std::marker::PhantomData<fn() -> F>,
}

impl<S, F> Drop for Guarded<S, F> {
    fn drop(&mut self) {
        // The next contender starts without this one's backlog.
        self.flavor.wait_for_retired().expect("outside of sections");
    }
}

macro_rules! guarded {
    ($function:ident, $stack:ident) => {
        /// Ours, with a section per pop.
        pub fn $function<F: Flavor>(flavor: &'static FlavorVtable) -> Box<dyn Subject> {
            Box::new(Guarded::<_, F> { stack: $stack::<u64>::new(flavor), flavor, marker: std::marker::PhantomData })
        }

        impl<F: Flavor> Subject for Guarded<$stack<u64>, F> {
            fn member(&self) -> Result<Box<dyn Member + '_>, String> {
                let thread = Thread::<F>::register().map_err(|error| error.to_string())?;
                Ok(Box::new(Looped(Reading { stack: &self.stack, thread })))
            }
        }

        impl<F: Flavor> Ops for Reading<'_, $stack<u64>, F> {
            #[inline(always)]
            fn push(&mut self, value: u64) {
                self.stack.push(value);
            }
            #[inline(always)]
            fn pop(&mut self) -> Option<u64> {
                self.stack.pop(&self.thread.read_lock())
            }
            #[inline(always)]
            fn pop_all(&mut self) -> Tally {
                tally(self.stack.pop_all())
            }
            fn rest(&mut self) {
                self.thread.quiescent_state();
            }
        }
    };
}

guarded!(lf, LfStack);
guarded!(wf, WfStack);

/// Ours, whose consumers take turns.
pub fn serial<K: Kind + 'static>() -> Box<dyn Subject> {
    shared(Stack::<K, u64, Serial>::default())
}

impl<K: Kind> Ops for &Stack<K, u64, Serial> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        Stack::push(self, value);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        (**self).pop()
    }
    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        tally((**self).pop_all())
    }
}

/// Ours, with one consumer, who is the first to come.
pub fn consumer<K: Kind + 'static>() -> Box<dyn Subject> {
    Box::new(Single(Stack::<K, u64, Serial>::default()))
}

struct Single<K: Kind>(Stack<K, u64, Serial>);

struct Consuming<'s, K: Kind> {
    stack: &'s Stack<K, u64, Serial>,
    consumer: Option<Consumer<'s, K, u64>>,
}

impl<K: Kind> Subject for Single<K> {
    fn member(&self) -> Result<Box<dyn Member + '_>, String> {
        Ok(Box::new(Looped(Consuming { stack: &self.0, consumer: None })))
    }
}

impl<'s, K: Kind> Consuming<'s, K> {
    #[inline(always)]
    fn consumer(&mut self) -> &mut Consumer<'s, K, u64> {
        let stack = self.stack;
        self.consumer.get_or_insert_with(|| stack.consumer())
    }
}

impl<K: Kind> Ops for Consuming<'_, K> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        self.stack.push(value);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.consumer().pop()
    }
    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        tally(self.consumer().pop_all())
    }
}

/// Ours, a vector behind a lock.
pub fn locked() -> Box<dyn Subject> {
    shared(LockedStack::<u64>::new())
}

impl Ops for &LockedStack<u64> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        LockedStack::push(self, value);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        LockedStack::pop(self)
    }
    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        tally(LockedStack::pop_all(self))
    }
}

/// `parking_lot::Mutex<Vec<u64>>`.
pub fn parking_lot() -> Box<dyn Subject> {
    shared(parking_lot::Mutex::new(Vec::<u64>::new()))
}

impl Ops for &parking_lot::Mutex<Vec<u64>> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        self.lock().push(value);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.lock().pop()
    }
    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        let values = std::mem::take(&mut *self.lock());
        tally(values.into_iter().rev())
    }
}

/// `std::sync::Mutex<Vec<u64>>`.
pub fn std_mutex() -> Box<dyn Subject> {
    shared(std::sync::Mutex::new(Vec::<u64>::new()))
}

impl Ops for &std::sync::Mutex<Vec<u64>> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        self.lock().expect("no panic under it").push(value);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.lock().expect("no panic under it").pop()
    }
    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        let values = std::mem::take(&mut *self.lock().expect("no panic under it"));
        tally(values.into_iter().rev())
    }
}

/// A Treiber stack over crossbeam-epoch.
pub fn treiber() -> Box<dyn Subject> {
    shared(Treiber::<u64>::new())
}

impl Ops for &Treiber<u64> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        Treiber::push(self, value);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        Treiber::pop(self)
    }
    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        let mut tally = Tally::default();
        Treiber::pop_all(self, |value| {
            tally.popped += 1;
            tally.sum += value;
        });
        tally
    }
}

/// `crossbeam_queue::SegQueue`: first in, first out.
pub fn seg_queue() -> Box<dyn Subject> {
    shared(crossbeam_queue::SegQueue::<u64>::new())
}

impl Ops for &crossbeam_queue::SegQueue<u64> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        crossbeam_queue::SegQueue::push(self, value);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        crossbeam_queue::SegQueue::pop(self)
    }
    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        let queue = *self;
        tally(std::iter::from_fn(|| queue.pop()))
    }
}
