//! Processes that are killed: readers and writers, at random moments, with survivors who check all that they see.
//!
//! `CDS_SHM_CRASHES=1000 cargo test -p cds-shm --release --test crash` is the long run; without, it is a short one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cds_shm::{Bytes, Heap, ListWriter, MapWriter, ShmHashMap, ShmList};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use urcu_conformance::spare::folder_for_mappings;
use urcu_conformance::watchdog::{LIMIT, patient};
use urcu_shm::{Access, Segment};

#[path = "crash/stores.rs"]
mod stores;

/// Keys that are always there; their versions only ever grow.
const STABLE: u64 = 1000;
/// Keys that come and go.
const OTHERS: u64 = 4000;
/// Whose presence ends the readers.
const STOP: u64 = u64::MAX;
/// Fewer lookups than this are none: a survivor goes on until it has made so many.
const LOOKUPS: u64 = 5000;
/// Elements of the list: numbers that grow from the first to the last.
const ELEMENTS: usize = 50;

type Value = [u64; 3];

fn value(key: u64, version: u64) -> Value {
    [key, version, mix(key ^ mix(version))]
}

fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

fn text(key: u64, version: u64) -> Vec<u8> {
    let length = (mix(key ^ version) % 300) as usize;
    core::iter::repeat_n(mix(version ^ key.rotate_left(7)).to_ne_bytes(), length / 8 + 2).flatten().collect()
}

struct Structures {
    numbers: MapWriter<u64, Value>,
    texts: MapWriter<Bytes, Bytes>,
    list: ListWriter<[u64; 2]>,
    heap: Heap,
}

impl Structures {
    /// Takes the role, as soon as it is free, and puts everything right.
    fn open(segment: &Segment) -> Self {
        let writer = segment.wait_for_writer(patient(LIMIT)).expect("the role");
        let heap = Heap::open(writer).expect("what the last writer has left can be put right");
        // On a busy machine a reader may be inside a section for long.
        heap.set_patience(patient(LIMIT));
        let balance = heap.check().expect("a consistent heap");
        assert_eq!(balance.lost, 0, "{balance:?}");
        let numbers = heap.map("numbers").expect("a map");
        let texts = heap.map("texts").expect("a map");
        let list = heap.list("list").expect("a list");
        Self { numbers, texts, list, heap }
    }

    fn fill(&mut self) {
        for key in 0..STABLE {
            if self.numbers.peek(&key).unwrap().is_none() {
                self.numbers.insert(&key, &value(key, 1)).unwrap();
            }
        }
    }

    /// One round of updates.
    fn update(&mut self, rng: &mut SmallRng) {
        let key = rng.random_range(0..STABLE);
        let [_, version, _] = self.numbers.peek(&key).unwrap().expect("always there");
        let old = self.numbers.insert(&key, &value(key, version + 1)).unwrap();
        assert_eq!(old, Some(value(key, version)));
        // In waves, so that the table grows and shrinks.
        let key = STABLE + rng.random_range(0..OTHERS);
        if (version / 8).is_multiple_of(2) {
            self.numbers.insert(&key, &value(key, version)).unwrap();
        } else {
            self.numbers.remove(&key).unwrap();
        }
        let key = rng.random_range(0..200);
        if rng.random_ratio(1, 4) {
            self.texts.remove(&text(key, 0)).unwrap();
        } else {
            let version = version.to_ne_bytes();
            let mut new = version.to_vec();
            new.extend(text(key, u64::from_ne_bytes(version)));
            self.texts.insert(&text(key, 0), &new).unwrap();
        }
        if self.list.len() > ELEMENTS {
            self.list.pop_front().unwrap();
        }
        let last = self.list.to_vec().unwrap().last().map_or(0, |last| last[0]);
        self.list.push_back(&[last + 1, mix(last + 1)]).unwrap();
        if rng.random_ratio(1, 8) {
            let number = last.saturating_sub(rng.random_range(0..20));
            self.list.replace_first(|found| found[0] == number, &[number, mix(number)]).unwrap();
        }
    }

    /// Removes everything; every byte must come back.
    fn empty(mut self) {
        self.numbers.clear().unwrap();
        self.texts.clear().unwrap();
        self.list.retain(|_| false).unwrap();
        self.heap.flush();
        let balance = self.heap.check().expect("a consistent heap");
        assert_eq!((balance.lost, balance.retired), (0, 0), "{balance:?}");
        // Three root blocks, and the buckets of two tables.
        assert!(balance.reachable_blocks <= 3 + 2 * 12, "{balance:?}");
        println!("    {balance:?}");
    }
}

/// Looks things up until it is told to stop, and says how often.
fn read(path: &Path, seed: u64) -> Result<u64, String> {
    let segment = Segment::open(path, Access::Read).map_err(|error| error.to_string())?;
    urcu_shm::attach(&segment).map_err(|error| error.to_string())?;
    let thread = urcu_shm::register().map_err(|error| error.to_string())?;
    let numbers = ShmHashMap::<u64, Value>::open(&segment, "numbers").map_err(|error| error.to_string())?;
    let texts = ShmHashMap::<Bytes, Bytes>::open(&segment, "texts").map_err(|error| error.to_string())?;
    let list = ShmList::<[u64; 2]>::open(&segment, "list").map_err(|error| error.to_string())?;
    println!("reading");
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut seen = vec![0; STABLE as usize];
    let mut lookups = 0;
    loop {
        let guard = thread.read_lock();
        for _ in 0..64 {
            let key = rng.random_range(0..STABLE + OTHERS);
            let found = numbers.get(&guard, &key).map_err(|stop| stop.to_string())?;
            lookups += 1;
            match found {
                Some(found) if found != value(key, found[1]) => return Err(format!("key {key}: {found:?}")),
                Some([_, version, _]) if key < STABLE => {
                    let seen = &mut seen[key as usize];
                    if version < *seen {
                        return Err(format!("key {key} went back from {seen} to {version}"));
                    }
                    *seen = version;
                }
                None if key < STABLE => return Err(format!("key {key} is not there")),
                _ => {}
            }
        }
        let key = rng.random_range(0..200);
        if let Some(found) = texts.get(&guard, &text(key, 0)).map_err(|stop| stop.to_string())? {
            let version = u64::from_ne_bytes(found[..8].try_into().expect("eight bytes"));
            if found[8..] != text(key, version) {
                return Err(format!("text {key} of version {version} is {found:?}"));
            }
        }
        if rng.random_ratio(1, 16) {
            let mut last = 0;
            for element in list.iter(&guard) {
                let [number, check] = element.map_err(|stop| stop.to_string())?;
                if number <= last || check != mix(number) {
                    return Err(format!("list: {number} with {check} behind {last}"));
                }
                last = number;
            }
        }
        if rng.random_ratio(1, 256) {
            let mut count = 0;
            for entry in numbers.iter(&guard) {
                let (key, found) = entry.map_err(|stop| stop.to_string())?;
                if found != value(key, found[1]) {
                    return Err(format!("entry {key}: {found:?}"));
                }
                count += u64::from(key < STABLE);
            }
            if count != STABLE {
                return Err(format!("a walk met {count} of {STABLE}"));
            }
        }
        if lookups > LOOKUPS && numbers.contains_key(&guard, &STOP).map_err(|stop| stop.to_string())? {
            return Ok(lookups);
        }
    }
}

/// A child of this test that is killed when it is dropped.
struct Process {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Process {
    /// Starts one, and waits until it has said that it is at work.
    fn start(role: &str, path: &Path, seed: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([role, path.to_str().expect("a name"), &seed.to_string()]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    fn wait_until_it_works(&mut self) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "it ended: {:?}", self.child.wait());
    }

    /// What it has done.
    fn join(mut self) -> u64 {
        // For busy machines; far beyond what it takes.
        let until = Instant::now() + patient(LIMIT);
        while self.child.try_wait().expect("ours").is_none() {
            assert!(Instant::now() < until, "a process hangs");
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        assert!(self.child.wait().expect("ours").success(), "a survivor saw a wrong answer");
        line.trim().parse().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path(name: &str) -> PathBuf {
    folder_for_mappings(32 << 20).join(format!("cds-shm-{name}-{}", std::process::id()))
}

/// Readers die at random moments, the writer is at full speed.
fn readers_die(count: u64, seed: u64) {
    let path = path("readers");
    let segment = urcu_shm::SegmentOptions::new(16 << 20).processes(256).create(&path).expect("a segment");
    let mut structures = Structures::open(&segment);
    structures.fill();
    let (stop, updates) = (AtomicBool::new(false), AtomicU64::new(0));
    let lookups = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rng = SmallRng::seed_from_u64(seed);
            while !stop.load(Ordering::Relaxed) {
                structures.update(&mut rng);
                updates.fetch_add(1, Ordering::Relaxed);
            }
            structures.numbers.insert(&STOP, &value(STOP, 0)).unwrap();
            structures
        });
        let mut survivors: Vec<_> = (0..3).map(|number| Process::start("read", &path, number)).collect();
        survivors.iter_mut().for_each(Process::wait_until_it_works);
        let mut rng = SmallRng::seed_from_u64(seed ^ 1);
        let mut victims = std::collections::VecDeque::new();
        for number in 0..count {
            victims.push_back(Process::start("read", &path, seed ^ number));
            // Some are killed while they start, most while they read.
            std::thread::sleep(Duration::from_micros(rng.random_range(0..4000)));
            while victims.len() > rng.random_range(0..8) {
                victims.pop_front();
            }
        }
        drop(victims);
        stop.store(true, Ordering::Relaxed);
        let structures = writer.join().expect("the writer saw nothing wrong");
        let lookups: u64 = survivors.into_iter().map(Process::join).sum();
        structures.empty();
        lookups
    });
    println!("    {count} readers killed; {} rounds of updates; survivors looked up {lookups}", updates.into_inner());
    assert!(lookups > 3 * LOOKUPS, "{lookups}");
    std::fs::remove_file(path).expect("ours");
}

/// Writers die at random moments, the next one takes over, readers go on.
fn writers_die(count: u64, seed: u64) {
    let path = path("writers");
    let segment = urcu_shm::SegmentOptions::new(16 << 20).processes(256).create(&path).expect("a segment");
    Structures::open(&segment).fill();
    let mut survivors: Vec<_> = (0..2).map(|number| Process::start("read", &path, number)).collect();
    survivors.iter_mut().for_each(Process::wait_until_it_works);
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut longest = Duration::ZERO;
    for number in 0..count {
        let mut writer = Process::start("write", &path, seed ^ number);
        // One in eight dies while it takes over.
        if number % 8 != 0 {
            let start = Instant::now();
            writer.wait_until_it_works();
            longest = longest.max(start.elapsed());
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..15_000)));
    }
    let start = Instant::now();
    let mut structures = Structures::open(&segment);
    let taken = start.elapsed();
    structures.numbers.insert(&STOP, &value(STOP, 0)).unwrap();
    let lookups: u64 = survivors.into_iter().map(Process::join).sum();
    structures.empty();
    println!(
        "    {count} writers killed; from the start of a process to its first update at most {longest:?}, the last takeover \
         {taken:?}; survivors looked up {lookups}"
    );
    std::fs::remove_file(path).expect("ours");
}

/// A copy of the writer's lists in another process would give out what the writer gives out.
fn a_forked_child_is_no_writer(_: u64, _: u64) {
    let segment = Segment::create_memfd("forked", 1 << 20).expect("a segment");
    let mut structures = Structures::open(&segment);
    structures.fill();
    structures.list.push_back(&[1, mix(1)]).unwrap();
    // SAFETY: no other thread.
    match unsafe { libc::fork() } {
        0 => {
            std::panic::set_hook(Box::new(|_| {}));
            let mut refused = 0;
            let mut count = |act: &mut dyn FnMut(&mut Structures)| {
                let act = std::panic::AssertUnwindSafe(|| act(&mut structures));
                refused += i32::from(std::panic::catch_unwind(act).is_err());
            };
            count(&mut |it| _ = it.numbers.insert(&0, &value(0, 9)));
            count(&mut |it| _ = it.numbers.remove(&0));
            count(&mut |it| _ = it.numbers.clear());
            count(&mut |it| _ = it.list.pop_front());
            count(&mut |it| _ = it.list.push_front(&[0, 0]));
            count(&mut |it| it.heap.flush());
            count(&mut |it| _ = it.heap.map::<u64, u64>("of the child"));
            drop(structures);
            // SAFETY: ends the process.
            unsafe { libc::_exit(refused) };
        }
        child => {
            let mut status = 0;
            // SAFETY: our child; a local.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:#x}");
        }
    }
    assert!(segment.writer().is_err(), "the role is still ours");
    assert_eq!(structures.numbers.peek(&0).unwrap(), Some(value(0, 1)));
    structures.empty();
}

/// What a writer does for [`stores::any_store`]; every store of it may be its last.
fn scene(name: &str, structures: &mut Structures) {
    match name {
        "update" => {
            let Structures { numbers, texts, list, heap } = structures;
            // A key that is there, one that is not, and none of them again.
            let [_, version, _] = numbers.peek(&1).unwrap().expect("always there");
            numbers.insert(&1, &value(1, version + 1)).unwrap();
            numbers.insert(&STABLE, &value(STABLE, version)).unwrap();
            numbers.remove(&STABLE).unwrap();
            texts.insert(b"key", &text(1, version)).unwrap();
            texts.remove(b"key").unwrap();
            list.push_back(&[version + 1, mix(version + 1)]).unwrap();
            list.replace_first(|found| found[0] == version, &[version, mix(version)]).unwrap();
            list.pop_front().unwrap();
            // A number is drawn, and everything is freed.
            heap.flush();
        }
        "grow" => {
            let mut new = structures.heap.map::<u64, u64>("new").unwrap();
            (0..20).for_each(|key| _ = new.insert(&key, &key).unwrap());
        }
        "shrink" => {
            for key in 0..STABLE {
                structures.numbers.remove(&(STABLE + key)).unwrap();
            }
        }
        _ => unreachable!(),
    }
}

/// Before a scene.
fn prepare(segment: &Segment, name: &str) {
    let mut structures = Structures::open(segment);
    match name {
        "grow" => {
            // As many as there is room for in the first buckets, after what an earlier growth has left was given back.
            let mut new = structures.heap.map::<u64, u64>("new").unwrap();
            new.clear().unwrap();
            let mut version = 0;
            while new.buckets() > 64 || new.is_empty() {
                new.insert(&0, &version).unwrap();
                if new.buckets() > 64 {
                    new.remove(&0).unwrap();
                }
                version += 1;
            }
        }
        "shrink" => {
            for key in 0..STABLE {
                structures.numbers.insert(&(STABLE + key), &value(STABLE + key, 0)).unwrap();
            }
        }
        _ => {}
    }
}

/// Takes over, and looks at everything.
fn put_right(segment: &Segment) {
    let structures = Structures::open(segment);
    for key in 0..STABLE {
        let found = structures.numbers.peek(&key).unwrap().expect("always there");
        assert_eq!(found, value(key, found[1]), "key {key}");
    }
    let mut last = 0;
    for [number, check] in structures.list.to_vec().unwrap() {
        assert!(number > last && check == mix(number), "{number} with {check} behind {last}");
        last = number;
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let role = arguments.get(1).map_or("", String::as_str);
    if ["read", "write", "update", "grow", "shrink"].contains(&role) {
        let path = Path::new(&arguments[2]);
        let seed = arguments[3].parse().expect("a seed");
        if role == "read" {
            match read(path, seed) {
                Ok(lookups) => println!("{lookups}"),
                Err(wrong) => {
                    eprintln!("WRONG: {wrong}");
                    return ExitCode::FAILURE;
                }
            }
        } else if role != "write" {
            stores::play(path, role);
        } else {
            let segment = Segment::open(path, Access::Write).expect("a segment");
            let mut structures = Structures::open(&segment);
            println!("writing");
            let mut rng = SmallRng::seed_from_u64(seed);
            loop {
                structures.update(&mut rng);
            }
        }
        return ExitCode::SUCCESS;
    }
    let count = std::env::var("CDS_SHM_CRASHES").map_or(30, |count| count.parse().expect("a number"));
    let seed = std::env::var("CDS_SHM_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("seed {seed}: CDS_SHM_SEED={seed}");
    let tests = [
        ("a_forked_child_is_no_writer", a_forked_child_is_no_writer as fn(u64, u64)),
        ("readers_die", readers_die),
        ("writers_die", writers_die),
        ("any_store", stores::any_store),
    ];
    for (name, test) in tests {
        if !role.is_empty() && !role.starts_with('-') && !name.contains(role) {
            continue;
        }
        let start = Instant::now();
        test(count, seed);
        println!("test {name} ... ok ({:.1?})", start.elapsed());
    }
    ExitCode::SUCCESS
}
