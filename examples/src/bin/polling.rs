//! Recycles buffers without ever waiting: grace periods are asked about.
//!
//! Run it with `cargo run -p urcu-examples --bin polling`.
//!
//! A producer that must not block (audio, a control loop) publishes one frame after the other. A frame that has been
//! replaced may be written again once nobody reads it: `start_poll` starts a grace period, `is_done` is one load. If no
//! frame is free, the producer skips a turn instead of waiting.
//!
//! It also shows how the tiers mix: the frames are published by the raw tier, since they are to come back as boxes, and
//! read inside the sections of the face.
#![expect(clippy::vec_box, reason = "a frame keeps its address while readers look at it")]

use std::collections::VecDeque;
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};
use std::thread;

use rcu::{GracePeriod, raw};

const FRAMES: usize = 8;
const PUBLISHED: u64 = 500;

/// All samples are the same, so that a frame that is written while it is read would be noticed.
struct Frame {
    samples: [u64; 256],
}

/// The latest frame.
static LATEST: AtomicPtr<Frame> = AtomicPtr::new(ptr::null_mut());
static STOP: AtomicBool = AtomicBool::new(false);

struct Producer {
    free: Vec<Box<Frame>>,
    /// Replaced frames, oldest first, each with the grace period after which it is free.
    replaced: VecDeque<(GracePeriod, *mut Frame)>,
}

impl Producer {
    fn new() -> Self {
        Self { free: (0..FRAMES).map(|_| Box::new(Frame { samples: [0; 256] })).collect(), replaced: VecDeque::new() }
    }

    /// Publishes a frame, if one is free.
    fn turn(&mut self, sample: u64) -> bool {
        while let Some(&(period, frame)) = self.replaced.front()
            && period.is_done()
        {
            self.replaced.pop_front();
            // SAFETY: from `Box::into_raw` below; a grace period has passed since it was replaced, so nobody reads it.
            self.free.push(unsafe { Box::from_raw(frame) });
        }
        let Some(mut frame) = self.free.pop() else { return false };
        frame.samples.fill(sample);
        self.publish(Box::into_raw(frame));
        true
    }

    fn publish(&mut self, frame: *mut Frame) {
        let old = raw::exchange_pointer(&LATEST, frame);
        if !old.is_null() {
            // After the exchange: the grace period has to start when new sections cannot find the frame any more.
            self.replaced.push_back((rcu::start_poll(), old));
        }
    }

    /// All frames, when there is time to wait.
    fn finish(mut self) -> Vec<Box<Frame>> {
        self.publish(ptr::null_mut());
        for (period, frame) in self.replaced {
            period.wait();
            // SAFETY: as in `turn`.
            self.free.push(unsafe { Box::from_raw(frame) });
        }
        self.free
    }
}

fn consume(start: &Barrier) -> u64 {
    let me = rcu::register().expect("a new thread can be registered");
    let mut read = 0;
    start.wait();
    while !STOP.load(Relaxed) {
        let section = me.read_lock();
        let frame = raw::dereference(&LATEST);
        // SAFETY: null or published whole; the producer does not touch it before the section has ended.
        if let Some(frame) = unsafe { frame.as_ref() } {
            assert!(frame.samples.iter().all(|sample| *sample == frame.samples[0]), "written while it was read");
            read += 1;
        }
        drop(section);
    }
    read
}

fn main() {
    let mut producer = Producer::new();
    let (mut published, mut skipped) = (0, 0_u64);
    let start = Barrier::new(3);
    let read: u64 = thread::scope(|scope| {
        let consumers = [scope.spawn(|| consume(&start)), scope.spawn(|| consume(&start))];
        start.wait();
        while published < PUBLISHED {
            if producer.turn(published) {
                published += 1;
            } else {
                skipped += 1;
                // Stands for the time until the next turn.
                thread::yield_now();
            }
        }
        STOP.store(true, Relaxed);
        consumers.map(|consumer| consumer.join().expect("the consumer has not panicked")).iter().sum()
    });
    assert_eq!(producer.finish().len(), FRAMES);
    println!("{published} frames published with {FRAMES} buffers, {skipped} turns skipped, {read} frames read");
}
