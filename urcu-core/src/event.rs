//! Sleeping until something has happened: the futex protocol of every queue's `recv`, once.
//!
//! # Protocol
//!
//! One 64-bit word counts *waiters* (announced, nobody has promised them anything) and *tokens* (promises: each lets one
//! thread out of its sleep). The kernel compares the tokens' half of the word.
//!
//! ```text
//! wait                                              wake
//! W1  waiters += 1                                  K1  (the caller has made the condition true)
//! W2  full fence                                    K2  full fence
//! W3  condition? then W6                            K3  waiters == 0? done
//! W4  a token? take it: tokens -= 1, then W7        K4  waiters -= 1, tokens += 1 (one step; wake_all: all of them)
//! W5  sleep while tokens == 0, then W4              K5  futex wake, as many as there are new tokens
//! W6  leave: waiters -= 1; if 0, tokens -= 1
//! W7  condition? else W1
//! ```
//!
//! # Why no wake-up is lost
//!
//! *Announced* threads are those between W1 and the step that takes their unit away again (W4, W6).
//!
//! 1. **waiters + tokens is the number of announced threads**: W1 adds one, W4 and W6 take one away, K4 exchanges.
//! 2. **Nobody stays asleep while there are tokens.** More exactly: unless every announced thread is awake, there are no
//!    more tokens than announced threads that are awake or about to be woken (K5). K4 adds one to both; K5 either makes
//!    a sleeper one that is awake, or finds none. A thread falls asleep only while tokens is 0: the kernel compares and
//!    queues in one step. W4 takes one from both. W6 takes a token only if there are no waiters: with (1) every announced
//!    thread had its token then, so by the statement itself each of them is awake or being woken. And a thread
//!    that K5 has woken comes by W4 before W6, so it does not carry a wake-up away that was another's.
//! 3. **Whoever waits while the condition becomes true looks at it afterwards.** Take a wake whose K3 comes after a
//!    thread's W1 in the order of changes to the word, and before its W4 or W6. If K3 saw no waiters, then with (1)
//!    every announced thread has a token, wakes up by (2) and looks at the condition again in W7, or after W1. Else K4
//!    makes a token, and at least one thread (all, with `wake_all`) does. Such a look, behind W2, sees K1: K3 read a
//!    value that is older than what W1 wrote, hence K2 is before W2 in the order of SeqCst fences. (W7 comes without a
//!    fence: it may find something earlier, nothing rests on it.) If instead K3 comes before W1, K2 is before W2 for
//!    the same reason, and W3 sees K1. PAIR(event)
//!
//! A thread that is let out by a token and leaves in vain (deadline, panic in the condition) looked at the condition after
//! the token; when its condition panics, it wakes another in its place.
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
//! The word is all there is. In a child it counts threads that do not exist; each costs one unneeded look at a
//! condition, at most: statement (1) becomes "at least", which (2) and (3) can live with. So nothing has to be done.

use std::thread;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::sync::modelled::{Ordering, fence};
use crate::util::OnDrop;
use word::{TOKEN, TOKENS, WAITER, Word, waiters};

mod word;

/// Where threads sleep until a condition holds that other threads bring about.
///
/// The condition is whatever the closure looks at: a queue's head, a flag, a counter. Who may have made it true calls
/// [`wake_one`](Self::wake_one) or [`wake_all`](Self::wake_all) afterwards, which costs next to nothing when nobody
/// sleeps. No wake-up is lost: either the waiter sees what happened before the wake, or the wake finds the waiter.
///
/// | | context | progress |
/// |---|---|---|
/// | `wait`, `wait_timeout`, `wait_deadline` | outside of sections; QSBR: offline | blocks |
/// | `wake_one`, `wake_all` | any, signal handlers too | lock-free; wait-free if nobody waits, else a system call |
///
/// **Waiting inside a section holds up every grace period.** So does waiting online in QSBR: use
/// [`Thread::while_offline`](crate::Thread::while_offline).
///
/// Fair to nobody: who arrives while another is being woken may be served first. Works on in a forked child without
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
    word: Word,
}

impl Event {
    /// Nobody waits.
    #[cfg(not(urcu_loom))]
    pub const fn new() -> Self {
        Self { word: Word::new() }
    }

    /// Nobody waits.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { word: Word::new() }
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

    /// Has at least one waiter look at its condition, if there are any.
    ///
    /// For conditions of which one waiter makes use, such as an element in a queue: one wake for each. All waiters have
    /// to wait for the same; else use [`wake_all`](Self::wake_all).
    ///
    /// What the caller did before is visible to that look. Any context, signal handlers included. A full fence and a load
    /// when nobody has to be woken, else a system call.
    #[inline]
    pub fn wake_one(&self) {
        // K2. PAIR(event)
        fence(Ordering::SeqCst);
        if waiters(self.word.load(Ordering::Relaxed)) != 0 {
            self.let_out(1);
        }
    }

    /// Has all waiters look at their conditions. Otherwise as [`wake_one`](Self::wake_one).
    #[inline]
    pub fn wake_all(&self) {
        // K2. PAIR(event)
        fence(Ordering::SeqCst);
        if waiters(self.word.load(Ordering::Relaxed)) != 0 {
            self.let_out(u64::MAX);
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
            self.let_out(1);
        }
    }

    /// [`wake_all`](Self::wake_all) without its fence: see [`wake_one_after_seq_cst`](Self::wake_one_after_seq_cst).
    #[inline]
    pub fn wake_all_after_seq_cst(&self) {
        // SeqCst: K3 without K2. PAIR(event)
        if waiters(self.word.load(Ordering::SeqCst)) != 0 {
            self.let_out(u64::MAX);
        }
    }

    /// All deadlines of those who wait pass: what a model checker has instead of a clock.
    #[cfg(urcu_loom)]
    #[doc(hidden)]
    pub fn pass_deadlines(&self) {
        self.word.pass_deadlines();
    }

    /// Steps K4 and K5, for `most` waiters.
    #[cold]
    fn let_out(&self, most: u64) {
        let exchange = |word| {
            let chosen = waiters(word).min(most);
            (chosen != 0).then(|| word - chosen * WAITER + chosen * TOKEN)
        };
        // Release: what the caller did is visible to the one who takes the token, without a fence too. PAIR(token)
        if let Ok(before) = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, exchange) {
            let tokens = waiters(before).min(most);
            self.word.wake(i32::try_from(tokens).unwrap_or(i32::MAX));
        }
    }

    fn wait_until<R>(&self, deadline: Option<Instant>, mut condition: impl FnMut() -> Option<R>) -> Option<R> {
        // The model checker has nothing to learn from spinning.
        let mut backoff = Backoff::new();
        while !cfg!(urcu_loom) {
            if let found @ Some(_) = condition() {
                return found;
            }
            if !backoff.snooze() {
                break;
            }
        }
        loop {
            let announced = Announced::new(self);
            if let found @ Some(_) = condition() {
                return found;
            }
            while !announced.take_token() {
                if self.word.sleep_while_no_tokens(deadline) {
                    return condition();
                }
            }
            announced.has_left();
            // W7. The token was meant for whoever can use it.
            let _passes_on = OnDrop(|| {
                if thread::panicking() {
                    self.wake_one();
                }
            });
            if let found @ Some(_) = condition() {
                return found;
            }
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

/// A unit of the word, from W1 to W4 or W6.
struct Announced<'e>(&'e Event);

impl<'e> Announced<'e> {
    /// Steps W1 and W2.
    fn new(event: &'e Event) -> Self {
        // SeqCst: for those who wake without a fence. PAIR(event)
        event.word.fetch_add(WAITER, Ordering::SeqCst);
        // W2: this, then the look at the condition. PAIR(event)
        fence(Ordering::SeqCst);
        Self(event)
    }

    /// Step W4. With success the unit is gone.
    fn take_token(&self) -> bool {
        let take = |word| (word & TOKENS != 0).then(|| word - TOKEN);
        // Acquire: what was done before the wake. PAIR(token)
        self.0.word.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    fn has_left(self) {
        core::mem::forget(self);
    }
}

impl Drop for Announced<'_> {
    /// Step W6.
    fn drop(&mut self) {
        let leave = |word| Some(if waiters(word) != 0 { word - WAITER } else { word - TOKEN });
        // Relaxed: whoever looks at the word is interested in the number alone.
        let _ = self.0.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, leave);
    }
}
