//! How soon a receiver that sleeps has a value.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use cds_wfqueue::{SegmentQueue, WfcQueue};
use parking_lot::{Condvar, Mutex};

use crate::harness::plan::{Better, Case, Contender, Kind, Pace, Sample, Shot};
use crate::harness::stats::median;
use crate::harness::threads::team;

/// Long enough for a receiver to stop spinning and fall asleep.
const REST: Duration = Duration::from_micros(300);

/// Sends when it was sent.
type Send = Box<dyn FnMut(u64) + std::marker::Send>;
/// Sleeps until something was sent; none at the end.
type Receive = Box<dyn FnMut() -> Option<u64> + std::marker::Send>;

pub(super) fn case() -> Case {
    let line =
        |name: &str, kind, ends: fn() -> (Send, Receive)| Contender::new(name, kind, move |shot| measure(ends, shot));
    Case {
        name: "recv".into(),
        about: "From sending a value until a receiver that was asleep has it.",
        unit: "ns/value",
        better: Better::Lower,
        threads: 2,
        pace: Pace::Rounds(1),
        contenders: vec![
            line("WfcQueue-split", Kind::Ours, || {
                let (mut producer, mut consumer) = WfcQueue::new().split();
                (
                    Box::new(move |sent| {
                        let _ = producer.enqueue(sent);
                    }),
                    Box::new(move || consumer.recv().ok()),
                )
            }),
            line("SegmentQueue-split", Kind::Ours, || {
                let (mut producer, mut consumer) = SegmentQueue::new().split();
                (
                    Box::new(move |sent| {
                        let _ = producer.enqueue(sent);
                    }),
                    Box::new(move || consumer.recv().ok()),
                )
            }),
            line("std-mpsc", Kind::Peer, || {
                let (sender, receiver) = mpsc::channel();
                (
                    Box::new(move |sent| {
                        let _ = sender.send(sent);
                    }),
                    Box::new(move || receiver.recv().ok()),
                )
            }),
            line("mutex-condvar", Kind::Peer, || {
                let shared = Arc::new((Mutex::new(std::collections::VecDeque::new()), Condvar::new()));
                let receiving = Arc::clone(&shared);
                let send = move |sent| {
                    shared.0.lock().push_back(sent);
                    shared.1.notify_one();
                };
                let receive = move || {
                    let mut values = receiving.0.lock();
                    loop {
                        if let Some(value) = values.pop_front() {
                            return Some(value);
                        }
                        receiving.1.wait(&mut values);
                    }
                };
                (Box::new(send), Box::new(receive))
            }),
        ],
    }
}

fn now() -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(ORIGIN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The last value.
const END: u64 = u64::MAX;

fn measure(ends: fn() -> (Send, Receive), shot: &Shot<'_>) -> Result<Sample, String> {
    let (send, receive) = ends();
    let (send, receive) = (Mutex::new(Some(send)), Mutex::new(Some(receive)));
    let received = AtomicBool::new(true);
    let budget = shot.budget;
    let times = team(
        shot.cores,
        2,
        |_| Ok(()),
        |index, ()| {
            let mut times = Vec::new();
            if index == 0 {
                let mut receive = receive.lock().take().ok_or("no receiver")?;
                loop {
                    let sent = receive().ok_or("the sender is gone")?;
                    let arrived = now();
                    if sent == END {
                        return Ok(times);
                    }
                    times.push(exact(arrived.saturating_sub(sent)));
                    received.store(true, Ordering::Release);
                }
            }
            let mut send = send.lock().take().ok_or("no sender")?;
            let start = Instant::now();
            while start.elapsed() < budget {
                thread::sleep(REST);
                if received.swap(false, Ordering::AcqRel) {
                    send(now());
                }
            }
            send(END);
            Ok(times)
        },
    )?
    .concat();
    let value = median(&times).ok_or("nothing was measured")?;
    Ok(Sample { single: times, ..Sample::figure(value) })
}

// Exact: seconds.
#[allow(clippy::cast_precision_loss)]
fn exact(nanos: u64) -> f64 {
    nanos as f64
}
