//! One writer process and several reader processes share the public IPv4 routing table; the writer changes it at full speed.
//!
//! Run it with `cargo run -p urcu-examples --bin routes_shm` (`--release` for speed), and with numbers behind it for more readers or
//! more seconds: `routes_shm 8 10`.
//!
//! The table is one hash map in a shared segment, by prefix. Readers map its data read-only, and look an address up by trying the
//! lengths that prefixes have, from the longest to the shortest. They check each answer: who announces a route is known from
//! the file; routes with even numbers are always there, the others come and go.
//!
//! The table's data: `benches/data/README.md`.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cds_shm::{Heap, ShmHashMap};
use flate2::read::GzDecoder;
use urcu_shm::{Access, Segment, SegmentError};

const ROUTES: &[u8] = include_bytes!("../../../benches/data/ipv4-routes.csv.gz");

/// Addresses looked up in one section.
const SECTION: usize = 64;

struct Route {
    address: u32,
    length: u8,
    system: u32,
}

impl Route {
    fn key(&self) -> u64 {
        key(self.address, self.length)
    }

    /// Who announces it, and a number that says which announcement that is.
    fn value(&self, generation: u32) -> u64 {
        u64::from(self.system) << 32 | u64::from(generation)
    }
}

fn key(address: u32, length: u8) -> u64 {
    u64::from(length) << 32 | u64::from(address & (u32::MAX << (32 - length)))
}

fn routes() -> Result<Vec<Route>, Box<dyn Error>> {
    let mut routes = Vec::new();
    for line in BufReader::new(GzDecoder::new(ROUTES)).lines() {
        let line = line?;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (prefix, system) = line.split_once(',').ok_or("no comma")?;
        let (address, length) = prefix.split_once('/').ok_or("no slash")?;
        let address: Ipv4Addr = address.parse()?;
        routes.push(Route { address: address.into(), length: length.parse()?, system: system.parse()? });
    }
    routes.dedup_by_key(|route| route.address);
    Ok(routes)
}

fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// A segment and its file, which is in memory; elsewhere where there is too little of that, as in many containers.
fn create(bytes: usize) -> Result<(PathBuf, Segment), SegmentError> {
    let name = format!("urcu-routes-{}", std::process::id());
    let (in_memory, elsewhere) = (Path::new("/dev/shm").join(&name), std::env::temp_dir().join(&name));
    match Segment::create(&in_memory, bytes) {
        Err(SegmentError::System { .. }) => Ok((elsewhere.clone(), Segment::create(elsewhere, bytes)?)),
        made => Ok((in_memory, made?)),
    }
}

fn writer(readers: usize, time: Duration) -> Result<(), Box<dyn Error>> {
    let routes = routes()?;
    let (path, segment) = create(128 << 20)?;
    let heap = Heap::open(segment.writer()?)?;
    // For memory that a reader still holds, which on a busy machine may not run for a while.
    heap.set_patience(Duration::from_secs(60));
    let mut table = heap.map::<u64, u64>("routes")?;
    for route in &routes {
        table.insert(&route.key(), &route.value(0))?;
    }
    println!("{} routes in a segment of {} MiB", routes.len(), segment.file_len() >> 20);

    let program = std::env::current_exe()?;
    let mut processes = Vec::new();
    for number in 0..readers {
        let mut command = Command::new(&program);
        command.arg("reader").arg(&path).args([number.to_string(), time.as_millis().to_string()]);
        processes.push(command.stdout(Stdio::piped()).spawn()?);
    }
    // Full speed, until the first reader has ended.
    let (start, mut seed, mut updates) = (Instant::now(), 1, 0_u64);
    while processes[0].try_wait()?.is_none() {
        for _ in 0..256 {
            let number = random(&mut seed) % routes.len();
            let route = &routes[number];
            updates += 1;
            if number % 2 == 1 && updates % 2 == 1 {
                table.remove(&route.key())?;
            } else {
                table.insert(&route.key(), &route.value(updates as u32))?;
            }
        }
    }
    let elapsed = start.elapsed();
    let mut lookups = 0;
    for process in processes {
        let output = process.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("a reader ended with {}", output.status).into());
        }
        lookups += String::from_utf8(output.stdout)?.trim().parse::<u64>()?;
    }
    std::fs::remove_file(&path)?;
    heap.flush();
    let balance = heap.check()?;
    println!("{updates} updates meanwhile, {:.0} per second", updates as f64 / elapsed.as_secs_f64());
    println!("{lookups} lookups by {readers} processes, {:.0} per second", lookups as f64 / time.as_secs_f64());
    println!("0 wrong answers, {} bytes lost", balance.lost);
    Ok(())
}

fn reader(path: &str, number: u64, time: Duration) -> Result<u64, Box<dyn Error>> {
    let routes = routes()?;
    let segment = Segment::open(path, Access::Read)?;
    urcu_shm::attach(&segment)?;
    let table = ShmHashMap::<u64, u64>::open(&segment, "routes")?;
    let thread = urcu_shm::register()?;
    let mut lengths: Vec<u8> = routes.iter().map(|route| route.length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths.reverse();

    let (start, mut seed, mut lookups) = (Instant::now(), number, 0);
    loop {
        let guard = thread.read_lock();
        for _ in 0..SECTION {
            let number = random(&mut seed) % routes.len();
            let route = &routes[number];
            let address = route.address | (random(&mut seed) as u32 & !(u32::MAX << (32 - route.length)));
            let mut found = None;
            for &length in &lengths {
                found = table.get(&guard, &key(address, length))?;
                if found.is_some() {
                    break;
                }
            }
            match found {
                Some(value) if (value >> 32) as u32 == route.system => {}
                None if number % 2 == 1 => {}
                wrong => return Err(format!("wrong answer for {}: {wrong:?}", Ipv4Addr::from(address)).into()),
            }
        }
        drop(guard);
        lookups += SECTION as u64;
        if start.elapsed() >= time {
            return Ok(lookups);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["reader", path, number, milliseconds] => {
            let lookups = reader(path, number.parse()?, Duration::from_millis(milliseconds.parse()?))?;
            writeln!(std::io::stdout(), "{lookups}")?;
            Ok(())
        }
        [] => writer(3, Duration::from_secs(1)),
        [readers] => writer(readers.parse()?, Duration::from_secs(3)),
        [readers, seconds, ..] => writer(readers.parse()?, Duration::from_secs(seconds.parse()?)),
    }
}
