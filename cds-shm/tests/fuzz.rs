//! Bytes that change under the feet of readers, in another process, and of the next writer: wrong answers and errors, but no
//! access outside of the segment, no panic and no loop without an end.
//!
//! `CDS_SHM_FUZZ=60` makes it go on for so many seconds; two if nothing is said.

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cds_shm::{Bytes, Heap, ShmError, ShmHashMap, ShmList};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use urcu_conformance::spare::folder_for_mappings;
use urcu_conformance::watchdog::{self, LIMIT, patient};
use urcu_shm::{Access, Offset, Segment};

const KEYS: u64 = 3000;
const BYTES: usize = 1 << 20;

fn fill(heap: &Heap, rng: &mut SmallRng) -> Result<(), ShmError> {
    let mut numbers = heap.map::<u64, u64>("numbers")?;
    let mut texts = heap.map::<Bytes, Bytes>("texts")?;
    let mut list = heap.list::<Bytes>("list")?;
    let mut outcome = Ok(());
    for key in 0..KEYS {
        if rng.random() {
            outcome = outcome.and(numbers.insert(&key, &rng.random()).map(drop));
        } else {
            outcome = outcome.and(numbers.remove(&key).map(drop));
        }
    }
    for key in 0..300_u16 {
        outcome = outcome.and(texts.insert(&key.to_ne_bytes(), &vec![7; rng.random_range(0..200)]).map(drop));
        outcome = outcome.and(list.push_back(&vec![8; rng.random_range(0..50)]));
    }
    if rng.random() {
        outcome = outcome.and(numbers.clear()).and(texts.clear()).and(list.retain(|_| false).map(drop));
    }
    outcome
}

/// Changes some bytes of the data.
fn damage(segment: &Segment, rng: &mut SmallRng, count: usize) {
    let length = segment.data_len() as u64;
    for _ in 0..count {
        if rng.random() {
            let at = segment.resolve::<AtomicU8>(Offset::new(rng.random_range(0..length))).expect("inside");
            // SAFETY: inside the segment's data, which the handle keeps.
            unsafe { at.as_ref() }.fetch_xor(1 << rng.random_range(0..8), Ordering::Relaxed);
        } else {
            // Whole words, with values that might be taken for something.
            let at = segment.resolve::<AtomicU64>(Offset::new(rng.random_range(0..length / 8) * 8)).expect("inside");
            let there = rng.random_range(0..length / 8) * 8;
            let value = match rng.random_range(0..6) {
                0 => rng.random(),
                1 => there,
                2 => there | 4,
                3 => there | 7 | rng.random::<u64>() << 48,
                4 => length - 8,
                _ => 1 << rng.random_range(0..64),
            };
            // SAFETY: as above.
            unsafe { at.as_ref() }.store(value, Ordering::Relaxed);
        }
    }
}

/// Looks at everything, again and again, until the time is over.
fn read(path: &Path, until: Instant, seed: u64) {
    let segment = Segment::open(path, Access::Read).expect("control pages are left alone");
    urcu_shm::attach(&segment).expect("the one segment");
    let thread = urcu_shm::register().expect("a thread");
    let mut rng = SmallRng::seed_from_u64(seed);
    let (mut good, mut bad) = (0_u64, 0_u64);
    let mut count = |outcome: bool| if outcome { good += 1 } else { bad += 1 };
    // Once at least, however busy the machine is.
    loop {
        // Roots are data, too.
        let numbers = ShmHashMap::<u64, u64>::open(&segment, "numbers");
        let texts = ShmHashMap::<Bytes, Bytes>::open(&segment, "texts");
        let list = ShmList::<Bytes>::open(&segment, "list");
        count(numbers.is_ok());
        for _ in 0..20 {
            let guard = thread.read_lock();
            if let Ok(numbers) = &numbers {
                for _ in 0..200 {
                    count(numbers.get(&guard, &rng.random_range(0..KEYS)).is_ok());
                }
                count(numbers.iter(&guard).all(|entry| entry.is_ok()));
            }
            if let Ok(texts) = &texts {
                for _ in 0..50 {
                    let key = rng.random_range(0..300_u16);
                    count(texts.get(&guard, &key.to_ne_bytes()).is_ok());
                }
                count(texts.iter(&guard).all(|entry| entry.is_ok()));
            }
            if let Ok(list) = &list {
                count(list.iter(&guard).all(|entry| entry.is_ok()));
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    println!("    a reader: {good} answers, {bad} errors");
}

fn start(path: &Path, seconds: u64, seed: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["read", path.to_str().expect("a name"), &seconds.to_string(), &seed.to_string()]);
    command.stdin(Stdio::null()).spawn().expect("a process")
}

fn finish(mut child: Child) {
    let until = Instant::now() + patient(LIMIT);
    let status = loop {
        if let Some(status) = child.try_wait().expect("ours") {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("a reader hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "a reader ended with {status}");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|role| role == "read") {
        let seconds = arguments[3].parse().expect("seconds");
        read(
            Path::new(&arguments[2]),
            Instant::now() + Duration::from_secs(seconds),
            arguments[4].parse().expect("a seed"),
        );
        return ExitCode::SUCCESS;
    }
    let _watch = watchdog::guard("fuzz", 2 * patient(LIMIT));
    let seconds: u64 = std::env::var("CDS_SHM_FUZZ").map_or(2, |seconds| seconds.parse().expect("seconds"));
    let seed = std::env::var("CDS_SHM_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("seed {seed}: CDS_SHM_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let path = folder_for_mappings(2 * BYTES as u64).join(format!("cds-shm-fuzz-{}", std::process::id()));
    let segment = Segment::create(&path, BYTES).expect("a segment");
    let readers: Vec<_> = (0..2).map(|number| start(&path, seconds, seed ^ number)).collect();
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut rounds, mut refused, mut errors) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < until || rounds <= 3 || errors == 0 {
        // A fresh start: all that is in the data goes.
        for word in 0..segment.data_len() as u64 / 8 {
            let at = segment.resolve::<AtomicU64>(Offset::new(word * 8)).expect("inside");
            // SAFETY: inside the segment's data.
            unsafe { at.as_ref() }.store(0, Ordering::Relaxed);
        }
        let heap = Heap::open(segment.writer().expect("the role")).expect("a fresh heap");
        heap.set_patience(Duration::from_millis(5));
        fill(&heap, &mut rng).expect("there is room");
        for _ in 0..rng.random_range(1..8) {
            let count = rng.random_range(1..40);
            damage(&segment, &mut rng, count);
            // A writer under whose feet it changes.
            errors += u64::from(fill(&heap, &mut rng).is_err());
            errors += u64::from(heap.check().is_err());
        }
        drop(heap);
        // And one that finds it.
        match Heap::open(segment.writer().expect("the role")) {
            Ok(heap) => {
                heap.set_patience(Duration::from_millis(5));
                errors += u64::from(fill(&heap, &mut rng).is_err());
            }
            Err(_) => refused += 1,
        }
        rounds += 1;
    }
    readers.into_iter().for_each(finish);
    std::fs::remove_file(path).expect("ours");
    println!("    {rounds} segments damaged; {refused} takeovers refused, {errors} operations reported corruption");
    println!("test fuzz ... ok");
    ExitCode::SUCCESS
}
