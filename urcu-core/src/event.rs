//! Sleeping until something has happened: the futex protocol of every queue's `recv`, once.
//!
//! # Protocol
//!
//! Two numbers in one word: *waiters*, who are to be woken, and *tokens* for those who have been woken but did not run
//! yet. And the *bell*, a futex that counts how often it was rung.
//!
//! ```text
//! wait                                              wake
//! W1  note the bell's count                         K1  (the caller has made the condition true)
//! W2  at first: waiters += 1                        K2  full fence
//!     if there is a token: tokens -= 1,             K3  waiters == 0? done
//!     waiters += 1 (one step)                       K4  waiters -= 1, tokens += 1 (one step; wake_all: all of them)
//! W3  full fence                                    K5  the bell's count += 1
//! W4  condition? then W7                            K6  futex wake: one sleeper, or all
//! W5  sleep if the bell's count is W1's
//! W6  condition? then W7; else W1
//! W7  tokens -= 1; if there are none, waiters -= 1
//! ```
//!
//! # Why no wake-up is lost
//!
//! A thread is *announced* from its first W2 to W7. It is *settled* between W2 and falling asleep, as long as the bell
//! has not been rung since W1; the other announced threads that are awake come by W2 again, or leave.
//!
//! 1. **waiters + tokens is the number of announced threads**: the first W2 adds one, W7 takes one away, all else
//!    exchanges.
//! 2. **waiters + (wakes between K4 and K5) >= settled + sleepers that no wake between K5 and K6 is about to wake**, where
//!    a `wake_one` counts as one and a `wake_all` as all that it took from the waiters in K4. Each step keeps that. W2: with a token, waiters grows with the settled; without, waiters is all who are announced, by (1).
//!    K4 takes one from waiters and is itself between K4 and K5 then. K5: nobody is settled any more, and one more wake
//!    is about to wake a sleeper, so the right side shrinks by one or is 0. K6 wakes a sleeper, or there is none. W5: who falls asleep
//!    was settled; the kernel compares and queues in one step. W7: takes a token, which the left side does not count, or
//!    waiters is all who are announced.
//! 3. **If K3 finds no waiters, everybody who is announced looks at the condition afterwards**: by (2) the settled
//!    will find the bell rung in W5, and the sleepers are being woken; the others look by themselves. Else K4 to K6 wake a
//!    sleeper, or nobody sleeps, and then all look.
//! 4. **Who looks afterwards, sees.** The look in W4 has a W2 before it that found the word as K3 found it or
//!    later, so K2 is before W3 in the order of SeqCst fences, and W4 sees K1. A thread whose first W2 comes after K3
//!    sees it for the same reason. PAIR(event) (W6 is without a fence: it may find something earlier, and producers see
//!    no waiter meanwhile; nothing rests on it.)
//!
//! The order of W1 and W2 matters: a bell that is rung in between must keep the thread awake. W1 is an Acquire load and
//! K5 a Release, so who has heard the bell finds K4 in W2. PAIR(bell)
//!
//! Who is woken and gives up (deadline, panic in the condition) has looked at the condition, or else wakes another in
//! its place. Only if the bell is rung 2^32 times between W1 and W5 does a thread not notice.
//!
//! # What a wake costs
//!
//! A fence and a load if nobody waits, or if all who wait have been woken already and just do not run yet: a producer that
//! is faster than its consumer makes one system call, not one per element. The fence is needed because K1 is a store and
//! K3 a load of another word. Where K1 is a SeqCst operation itself, as a locked instruction is on x86-64 in any case,
//! [`wake_one_after_seq_cst`](Event::wake_one_after_seq_cst) does without the fence: then K1 and K3 are in the
//! total order of SeqCst operations, and take the part of K2.
//!
//! # `fork`
//!
//! In a child the word counts threads that do not exist; each costs an unneeded ring of the bell now and then: statement
//! (1) becomes "at least", with which the others still hold. So nothing has to be done.

use std::thread;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::sync::modelled::{AtomicU64, Ordering, fence};
use bell::Bell;

mod bell;

/// One who has been woken, in the low half of the word.
const TOKEN: u64 = 1;
const TOKENS: u64 = u32::MAX as u64;
/// One who is to be woken.
const WAITER: u64 = 1 << 32;

fn waiters(word: u64) -> u64 {
    word / WAITER
}

/// Where threads sleep until a condition holds that other threads bring about.
///
/// The condition is whatever the closure looks at: a queue's head, a flag, a counter. Who may have made it true calls
/// [`wake_one`](Self::wake_one) or [`wake_all`](Self::wake_all) afterwards, which costs next to nothing when nobody
/// sleeps. No wake-up is lost: either the waiter sees what happened before the wake, or the wake finds the waiter. What
/// threads wait for may differ, if they are woken by `wake_all`.
///
/// | | context | progress |
/// |---|---|---|
/// | `wait`, `wait_timeout`, `wait_deadline` | outside of sections; QSBR: offline | blocks |
/// | `wake_one`, `wake_all` | any, signal handlers too | lock-free; wait-free if nobody waits, else a system call |
///
/// **Waiting inside a section holds up every grace period.** So does waiting online in QSBR: use
/// [`Thread::while_offline`](crate::Thread::while_offline).
///
/// Not fair: who arrives while another is being woken may be served first. Works on in a forked child without
/// preparation, for the threads that there are; not between processes.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use urcu_core::Event;
///
/// static TICKETS: AtomicU64 = AtomicU64::new(0);
/// static PRINTED: Event = Event::new();
///
/// fn take() -> Option<u64> {
///     TICKETS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |there| there.checked_sub(1)).ok()
/// }
///
/// std::thread::scope(|scope| {
///     let visitor = scope.spawn(|| PRINTED.wait(take));
///     TICKETS.fetch_add(1, Ordering::Release);
///     PRINTED.wake_one();
///     assert_eq!(visitor.join().unwrap(), 1);
/// });
/// ```
///
/// Not in the C library, whose structures leave waiting to their users and poll.
#[derive(Debug)]
pub struct Event {
    /// Waiters and tokens.
    word: AtomicU64,
    bell: Bell,
}

impl Event {
    /// Nobody waits.
    #[cfg(not(urcu_loom))]
    pub const fn new() -> Self {
        Self { word: AtomicU64::new(0), bell: Bell::new() }
    }

    /// Nobody waits.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { word: AtomicU64::new(0), bell: Bell::new() }
    }

    /// Returns what `condition` returns as soon as that is something.
    ///
    /// Looks at it a few times first, for some ten microseconds, and then whenever woken; also when nothing has happened.
    /// What the condition reads has to be synchronised by itself (Acquire), and what it takes is its own: waiters
    /// may be in `condition` at the same time. It may wake this event, but not wait for it.
    ///
    /// Outside of sections, and QSBR: offline. Blocks.
    pub fn wait<R>(&self, condition: impl FnMut() -> Option<R>) -> R {
        self.wait_until(None, condition).expect("without a deadline only the condition ends it")
    }

    /// [`wait`](Self::wait), for about `timeout` at the longest. Zero looks once.
    ///
    /// `None`: the condition did not hold when the time was over.
    pub fn wait_timeout<R>(&self, timeout: Duration, mut condition: impl FnMut() -> Option<R>) -> Option<R> {
        if timeout.is_zero() {
            return condition();
        }
        // What no clock can show is no limit.
        self.wait_until(Instant::now().checked_add(timeout), condition)
    }

    /// [`wait`](Self::wait), until `deadline` at the latest.
    ///
    /// `None`: the condition did not hold then.
    pub fn wait_deadline<R>(&self, deadline: Instant, condition: impl FnMut() -> Option<R>) -> Option<R> {
        self.wait_until(Some(deadline), condition)
    }

    /// Has at least one of those who wait look at its condition, if there are any.
    ///
    /// For conditions of which one waiter makes use, such as an element in a queue: one wake for each. All waiters have
    /// to wait for the same then; else use [`wake_all`](Self::wake_all).
    ///
    /// What the caller did before is visible to that look. Any context, signal handlers included. A full fence and a load
    /// when nobody has to be woken, else a system call.
    #[inline]
    pub fn wake_one(&self) {
        // K2. PAIR(event)
        fence(Ordering::SeqCst);
        if waiters(self.word.load(Ordering::Relaxed)) != 0 {
            self.ring(1);
        }
    }

    /// Has all waiters look at their conditions. Otherwise as [`wake_one`](Self::wake_one).
    #[inline]
    pub fn wake_all(&self) {
        // K2. PAIR(event)
        fence(Ordering::SeqCst);
        if waiters(self.word.load(Ordering::Relaxed)) != 0 {
            self.ring(u64::MAX);
        }
    }

    /// [`wake_one`](Self::wake_one) without its fence: one load when nobody has to be woken.
    ///
    /// Correct if the operation that made the condition true was `SeqCst` (on x86-64 that is what every
    /// read-modify-write costs anyway), or the caller has a `fence(SeqCst)` behind it. Otherwise a waiter may sleep on, and
    /// nothing worse.
    #[inline]
    pub fn wake_one_after_seq_cst(&self) {
        // SeqCst: K3 without K2. PAIR(event)
        if waiters(self.word.load(Ordering::SeqCst)) != 0 {
            self.ring(1);
        }
    }

    /// [`wake_all`](Self::wake_all) without its fence: see [`wake_one_after_seq_cst`](Self::wake_one_after_seq_cst).
    #[inline]
    pub fn wake_all_after_seq_cst(&self) {
        // SeqCst: K3 without K2. PAIR(event)
        if waiters(self.word.load(Ordering::SeqCst)) != 0 {
            self.ring(u64::MAX);
        }
    }

    /// All deadlines of those who wait pass: what a model checker has instead of a clock.
    #[cfg(urcu_loom)]
    #[doc(hidden)]
    pub fn pass_deadlines(&self) {
        self.bell.pass_deadlines();
    }

    /// Steps K4 to K6, for `most` waiters.
    #[cold]
    fn ring(&self, most: u64) {
        let exchange = |word| {
            let chosen = waiters(word).min(most);
            (chosen != 0).then(|| word - chosen * WAITER + chosen * TOKEN)
        };
        // Relaxed: K5 publishes it, K2 has ordered it.
        if self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, exchange).is_ok() {
            self.bell.ring(i32::try_from(most).unwrap_or(i32::MAX));
        }
    }

    fn wait_until<R>(&self, deadline: Option<Instant>, mut condition: impl FnMut() -> Option<R>) -> Option<R> {
        // The model checker has nothing to learn from spinning.
        let mut backoff = Backoff::spinning();
        while !cfg!(urcu_loom) {
            if let found @ Some(_) = condition() {
                return found;
            }
            if !backoff.snooze() {
                break;
            }
        }
        let (mut rings, announced) = Announced::new(self);
        loop {
            // W3, then W4. PAIR(event)
            fence(Ordering::SeqCst);
            if let found @ Some(_) = condition() {
                return found;
            }
            let is_late = self.bell.sleep_until_rung(rings, deadline);
            // W6: before the thread counts as a waiter again.
            let found = condition();
            if found.is_some() || is_late {
                return found;
            }
            rings = announced.again();
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

/// One in the word, from the first W2 to W7.
struct Announced<'e>(&'e Event);

impl<'e> Announced<'e> {
    /// The first W1 and W2; the bell's count with it.
    fn new(event: &'e Event) -> (u32, Self) {
        let rings = event.bell.rings();
        // SeqCst: for those who wake without a fence. PAIR(event)
        let _ = event
            .word
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |word| Some(exchanged(word).unwrap_or(word) + WAITER));
        (rings, Self(event))
    }

    /// W1 and W2 again: the bell's count.
    fn again(&self) -> u32 {
        let rings = self.0.bell.rings();
        // SeqCst as above, also where nothing is to be exchanged.
        let _ = self.0.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, exchanged);
        rings
    }
}

/// A token turned into a waiter, if there is one.
fn exchanged(word: u64) -> Option<u64> {
    (word & TOKENS != 0).then(|| word - TOKEN + WAITER)
}

impl Drop for Announced<'_> {
    /// Step W7.
    fn drop(&mut self) {
        let leave = |word| Some(if word & TOKENS != 0 { word - TOKEN } else { word - WAITER });
        // Relaxed: whoever looks at the word is interested in the numbers alone.
        let _ = self.0.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, leave);
        if thread::panicking() {
            // The condition panicked, so nobody may have looked whom a wake was meant for.
            self.0.wake_one();
        }
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;
    use crate::sync::{AtomicBool, AtomicU32};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn nobody_is_left(event: &Event) -> bool {
        event.word.load(Ordering::Relaxed) == 0
    }

    fn until_asleep(event: &Event, threads: u64) {
        while waiters(event.word.load(Ordering::Relaxed)) != threads {
            thread::yield_now();
        }
    }

    #[test]
    fn every_way_out_takes_its_unit_away() {
        let event = Event::new();
        let done = AtomicBool::new(false);
        assert_eq!(event.wait(|| Some(1)), 1);
        assert_eq!(event.wait_timeout(Duration::ZERO, || None::<()>), None);
        assert_eq!(event.wait_timeout(Duration::from_millis(1), || None::<()>), None);
        assert_eq!(event.wait_deadline(Instant::now(), || None::<()>), None);
        let mut looks = 0;
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            event.wait(|| {
                looks += 1;
                assert!(waiters(event.word.load(Ordering::Relaxed)) == 0, "announced");
                None::<()>
            })
        }));
        assert!(panicked.is_err() && looks > 1);
        assert!(nobody_is_left(&event));
        thread::scope(|scope| {
            let waiter = || event.wait(|| done.load(Ordering::Acquire).then_some(()));
            scope.spawn(waiter);
            scope.spawn(waiter);
            until_asleep(&event, 2);
            done.store(true, Ordering::Release);
            event.wake_all();
        });
        assert!(nobody_is_left(&event));
    }

    /// A wake while the one waiter has been woken already, but has not run.
    #[test]
    fn a_second_wake_finds_nobody_to_wake() {
        let event = Event::new();
        event.word.store(2 * WAITER, Ordering::Relaxed);
        event.wake_one();
        assert_eq!(event.word.load(Ordering::Relaxed), WAITER + TOKEN);
        event.wake_one_after_seq_cst();
        let rings = event.bell.rings();
        event.wake_one();
        event.wake_all();
        assert_eq!(event.word.load(Ordering::Relaxed), 2 * TOKEN);
        assert_eq!(event.bell.rings(), rings);
    }

    /// The condition of the one who was chosen panics: another has to be chosen.
    #[test]
    fn a_panic_passes_the_wake_up_on() {
        let event = Event::new();
        let brought = AtomicU32::new(0);
        let one_panics = AtomicBool::new(true);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let take = || {
                        if brought.load(Ordering::Acquire) == 0 {
                            return None;
                        }
                        if one_panics.swap(false, Ordering::AcqRel) {
                            std::panic::resume_unwind(Box::new("as the test wants it"));
                        }
                        Some(())
                    };
                    let _ = catch_unwind(AssertUnwindSafe(|| event.wait(take)));
                });
            }
            until_asleep(&event, 2);
            brought.store(1, Ordering::Release);
            event.wake_one();
        });
        assert!(nobody_is_left(&event));
    }

    /// What a child inherits: counts of threads that are not there.
    #[test]
    fn stale_counts_cost_looks_and_nothing_else() {
        let event = Event::new();
        event.word.store(3 * WAITER + 2 * TOKEN, Ordering::Relaxed);
        let elements = AtomicU32::new(0);
        let take = || elements.fetch_update(Ordering::AcqRel, Ordering::Acquire, |there| there.checked_sub(1)).ok();
        thread::scope(|scope| {
            let takers = [(); 3].map(|()| scope.spawn(|| (0..1000).for_each(|_| assert_ne!(event.wait(take), 0))));
            for _ in 0..3000 {
                elements.fetch_add(1, Ordering::Release);
                event.wake_one();
            }
            takers.into_iter().for_each(|taker| taker.join().expect("no panic"));
        });
        assert_eq!(elements.load(Ordering::Relaxed), 0);
    }
}
