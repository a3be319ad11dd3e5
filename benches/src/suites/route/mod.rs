//! Suite `route`: the public IPv4 routing table, looked up and changed at the same time.
//!
//! One exact-match table per prefix length in use, from the longest to the shortest, is the simplest longest-prefix match. An
//! updater withdraws prefixes and announces them again, with another value each time, as fast as it can.
//!
//! Every answer is checked. A prefix has a generation, which the updater makes odd before it touches the table and even
//! afterwards. A lookup during which the generation was even and did not change must find exactly that generation's value; any
//! other lookup may also find nothing, or the value of the generation before or after.

mod peers;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use cds_lfht::LfHashMap;
use flate2::read::GzDecoder;
use urcu_core::Thread;

use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot, Suite};
use crate::harness::threads::team;
use crate::maps::{Hasher, hasher, processor_time};

/// The suite.
pub const SUITE: Suite =
    Suite { name: "route", about: "Longest-prefix match in the public IPv4 routing table, while it changes.", cases };

/// The table's file.
const ROUTES: &[u8] = include_bytes!("../../../data/ipv4-routes.csv.gz");
/// Lookups between two looks at the clock, and under one guard.
const BATCH: usize = 256;

/// A prefix and who announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    address: u32,
    length: u8,
    system: u32,
}

/// The routes in the order of their addresses, each once.
fn routes() -> Result<&'static [Route], String> {
    static ALL: OnceLock<Result<Vec<Route>, String>> = OnceLock::new();
    ALL.get_or_init(read).as_deref().map_err(Clone::clone)
}

fn read() -> Result<Vec<Route>, String> {
    let mut all = Vec::new();
    for line in BufReader::new(GzDecoder::new(ROUTES)).lines() {
        let line = line.map_err(|error| format!("the routing table: {error}"))?;
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        all.push(parse(&line).ok_or_else(|| format!("the routing table: {line}"))?);
    }
    // One row is there twice.
    all.dedup_by_key(|route| route.address);
    Ok(all)
}

fn parse(line: &str) -> Option<Route> {
    let (prefix, system) = line.split_once(',')?;
    let (address, length) = prefix.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    Some(Route { address: address.into(), length: length.parse().ok()?, system: system.parse().ok()? })
}

/// The lowest address of the prefix of this length that an address is in.
#[inline]
fn prefix_of(address: u32, length: u8) -> u32 {
    address & (u32::MAX << (32 - length))
}

/// The route of an address, the slow and obvious way: the last one that begins before it.
fn model(routes: &[Route], address: u32) -> Option<usize> {
    let number = routes.partition_point(|route| route.address <= address).checked_sub(1)?;
    let route = routes[number];
    (prefix_of(address, route.length) == route.address).then_some(number)
}

/// What a table says of a route: the system, the low bits of its generation, so that no two that follow each other are equal.
#[inline]
fn value_of(system: u32, generation: u32) -> u64 {
    u64::from(system) << 32 | u64::from(generation)
}

/// Tables of all lengths in use, and how to use them from one thread.
trait Tables: Send + Sync {
    /// Looks addresses up, longest prefix first.
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]);
    /// Announces a prefix.
    fn announce(&self, address: u32, length: u8, value: u64);
    /// Withdraws a prefix.
    fn withdraw(&self, address: u32, length: u8);
    /// Many routes at once, before anybody looks.
    fn fill(&self, routes: &[Route]) {
        for route in routes {
            self.announce(route.address, route.length, value_of(route.system, 0));
        }
    }
}

/// By length; nothing for lengths that no prefix has.
type ByLength<M> = Vec<(u8, M)>;

fn by_length<M>(routes: &[Route], make: impl Fn() -> M) -> ByLength<M> {
    let mut lengths: Vec<u8> = routes.iter().map(|route| route.length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths.into_iter().rev().map(|length| (length, make())).collect()
}

#[inline]
fn of_length<M>(tables: &ByLength<M>, length: u8) -> &M {
    let table = tables.iter().find(|(other, _)| *other == length);
    &table.expect("a length that is in use").1
}

/// The first answer, from the longest prefix to the shortest.
#[inline]
fn longest<M>(tables: &ByLength<M>, address: u32, get: impl Fn(&M, &u32) -> Option<u64>) -> Option<u64> {
    tables.iter().find_map(|(length, table)| get(table, &prefix_of(address, *length)))
}

struct Ours(ByLength<LfHashMap<u32, u64, Hasher>>);

thread_local! {
    static THREAD: Thread<urcu_membarrier::Flavor> = urcu_membarrier::register().expect("not registered yet");
}

impl Tables for Ours {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        THREAD.with(|thread| {
            let guard = thread.read_lock();
            for ((address, _), answer) in addresses.iter().zip(answers) {
                *answer = longest(&self.0, *address, |table, prefix| table.get(prefix, &guard).copied());
            }
        });
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        THREAD.with(|thread| assert!(of_length(&self.0, length).insert(address, value, &thread.read_lock()).is_none()));
    }

    fn withdraw(&self, address: u32, length: u8) {
        THREAD.with(|thread| assert!(of_length(&self.0, length).remove(&address, &thread.read_lock()).is_some()));
    }
}

struct Papaya(ByLength<papaya::HashMap<u32, u64, Hasher>>);

impl Tables for Papaya {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        // One guard per table, which are all entered before the lookups.
        let pinned: Vec<_> = self.0.iter().map(|(length, table)| (*length, table.pin())).collect();
        for ((address, _), answer) in addresses.iter().zip(answers) {
            *answer = longest(&pinned, *address, |table, prefix| table.get(prefix).copied());
        }
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        assert!(of_length(&self.0, length).pin().insert(address, value).is_none());
    }

    fn withdraw(&self, address: u32, length: u8) {
        assert!(of_length(&self.0, length).pin().remove(&address).is_some());
    }
}

struct Dash(ByLength<dashmap::DashMap<u32, u64, Hasher>>);

impl Tables for Dash {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        for ((address, _), answer) in addresses.iter().zip(answers) {
            *answer = longest(&self.0, *address, |table, prefix| table.get(prefix).map(|value| *value));
        }
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        assert!(of_length(&self.0, length).insert(address, value).is_none());
    }

    fn withdraw(&self, address: u32, length: u8) {
        assert!(of_length(&self.0, length).remove(&address).is_some());
    }
}

type Plain = HashMap<u32, u64, Hasher>;

fn plain() -> Plain {
    HashMap::with_hasher(hasher())
}

struct Locked(ByLength<RwLock<Plain>>);

impl Tables for Locked {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        // A lock that is held for a batch keeps the updater out for so long: one per lookup and table.
        for ((address, _), answer) in addresses.iter().zip(answers) {
            *answer = longest(&self.0, *address, |table, prefix| table.read().ok()?.get(prefix).copied());
        }
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        let mut table = of_length(&self.0, length).write().expect("nobody panics with it");
        assert!(table.insert(address, value).is_none());
    }

    fn withdraw(&self, address: u32, length: u8) {
        let mut table = of_length(&self.0, length).write().expect("nobody panics with it");
        assert!(table.remove(&address).is_some());
    }
}

struct Copied(ByLength<ArcSwap<Plain>>);

impl Tables for Copied {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        for ((address, _), answer) in addresses.iter().zip(answers) {
            *answer = longest(&self.0, *address, |table, prefix| table.load().get(prefix).copied());
        }
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        let table = of_length(&self.0, length);
        // There is one updater.
        let mut copy = Plain::clone(&table.load());
        assert!(copy.insert(address, value).is_none());
        table.store(Arc::new(copy));
    }

    fn withdraw(&self, address: u32, length: u8) {
        let table = of_length(&self.0, length);
        let mut copy = Plain::clone(&table.load());
        assert!(copy.remove(&address).is_some());
        table.store(Arc::new(copy));
    }

    fn fill(&self, routes: &[Route]) {
        for (length, table) in &self.0 {
            let mut filled = plain();
            let own = routes.iter().filter(|route| route.length == *length);
            filled.extend(own.map(|route| (route.address, value_of(route.system, 0))));
            table.store(Arc::new(filled));
        }
    }
}

type Make = fn(&[Route]) -> Box<dyn Tables>;

const ENTRANTS: [(&str, Make); 8] = [
    ("cds-lfht", |routes| {
        Box::new(Ours(by_length(routes, || LfHashMap::with_hasher(hasher(), urcu_membarrier::vtable()))))
    }),
    ("papaya", |routes| Box::new(Papaya(by_length(routes, || papaya::HashMap::with_hasher(hasher()))))),
    ("dashmap", |routes| Box::new(Dash(by_length(routes, || dashmap::DashMap::with_hasher(hasher()))))),
    ("RwLock<HashMap>", |routes| Box::new(Locked(by_length(routes, || RwLock::new(plain()))))),
    ("arc-swap", |routes| Box::new(Copied(by_length(routes, || ArcSwap::from_pointee(plain()))))),
    ("scc:HashMap", peers::scc_map),
    ("scc:HashIndex", peers::scc_index),
    ("flurry", peers::flurry),
];

/// A filled table with its generations.
struct Network {
    tables: Box<dyn Tables>,
    generations: Vec<AtomicU32>,
}

/// What one round has measured.
struct Round {
    lookups: f64,
    updates: f64,
}

#[derive(Clone, Default)]
struct Filled(Rc<RefCell<Vec<Named>>>);

type Named = (&'static str, Rc<Network>);

impl Filled {
    fn get(&self, name: &'static str, make: Make, routes: &[Route]) -> Rc<Network> {
        if let Some((_, network)) = self.0.borrow().iter().find(|(other, _)| *other == name) {
            return Rc::clone(network);
        }
        let tables = make(routes);
        // On a thread of its own: the main thread is not registered with anything.
        std::thread::scope(|scope| scope.spawn(|| tables.fill(routes)).join()).expect("it does not panic");
        let generations = routes.iter().map(|_| AtomicU32::new(0)).collect();
        let network = Rc::new(Network { tables, generations });
        self.0.borrow_mut().push((name, Rc::clone(&network)));
        network
    }
}

fn cases(_: &Options) -> Vec<Case> {
    let filled = Filled::default();
    let case = |name: &str,
                about,
                unit,
                pick: fn(&Round) -> f64,
                other: fn(&Round) -> f64,
                other_unit: &'static str| {
        let contenders = ENTRANTS
            .into_iter()
            .map(|(name, make)| {
                let filled = filled.clone();
                let mut seed = 0;
                let measure = move |shot: &Shot<'_>| {
                    seed += 1;
                    let routes = routes()?;
                    let network = filled.get(name, make, routes);
                    let round = measure(&network, routes, seed, shot)?;
                    let note = format!("{:.0} {other_unit}, 0 wrong answers", other(&round));
                    Ok(Sample::figure(pick(&round)).with_note(Some(note)))
                };
                if name == "cds-lfht" {
                    Contender::new(name, Kind::Ours, measure).of(Flavor::Membarrier)
                } else {
                    Contender::new(name, Kind::Peer, measure)
                }
            })
            .collect();
        Case { name: name.into(), about, unit, better: Better::Higher, threads: 2, pace: Pace::Rounds(1), contenders }
    };
    vec![
        case(
            "lookups",
            "Addresses looked up by one thread, while another one withdraws and announces prefixes.",
            "lookups/s",
            |round| round.lookups,
            |round| round.updates,
            "updates/s",
        ),
        case(
            "updates",
            "Prefixes withdrawn and announced again by one thread, while another one looks addresses up.",
            "updates/s",
            |round| round.updates,
            |round| round.lookups,
            "lookups/s",
        ),
    ]
}

/// A generator of addresses: most have a route.
fn addresses(routes: &[Route], seed: u64) -> Vec<(u32, Option<usize>)> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..32 * BATCH)
        .map(|_| {
            let (one, two) = (random(), random());
            let address = if one.is_multiple_of(8) {
                two as u32
            } else {
                let route = routes[(two % routes.len() as u64) as usize];
                route.address | (one >> 32) as u32 & !(u32::MAX << (32 - route.length))
            };
            (address, model(routes, address))
        })
        .collect()
}

fn measure(network: &Network, routes: &[Route], seed: u64, shot: &Shot<'_>) -> Result<Round, String> {
    let stop = AtomicBool::new(false);
    let rates = team(
        shot.cores,
        2,
        |_| Ok(addresses(routes, seed)),
        |index, addresses| {
            let answer = if index == 0 {
                look_up(network, routes, &addresses, shot)
            } else {
                update(network, routes, seed, &stop)
            };
            if index == 0 {
                // Relaxed: joining orders what the threads have done.
                stop.store(true, Ordering::Relaxed);
            }
            answer
        },
    )?;
    Ok(Round { lookups: rates[0], updates: rates[1] })
}

fn look_up(
    network: &Network,
    routes: &[Route],
    addresses: &[(u32, Option<usize>)],
    shot: &Shot<'_>,
) -> Result<f64, String> {
    let (mut done, start, used) = (0_u64, Instant::now(), processor_time());
    let mut before = [0; BATCH];
    let mut answers = [None; BATCH];
    'measured: loop {
        for batch in addresses.chunks_exact(BATCH) {
            let generation =
                |number: &Option<usize>| number.map_or(0, |number| network.generations[number].load(Ordering::SeqCst));
            for (before, (_, number)) in before.iter_mut().zip(batch) {
                *before = generation(number);
            }
            network.tables.look_up(batch, &mut answers);
            for ((before, (_, number)), answer) in before.iter().zip(batch).zip(&answers) {
                let after = generation(number);
                let is_right = match number {
                    None => answer.is_none(),
                    Some(number) => {
                        let system = routes[*number].system;
                        if *before == after && before.is_multiple_of(2) {
                            *answer == Some(value_of(system, after))
                        } else {
                            // One of those that were there in between, or none.
                            answer.is_none_or(|answer| {
                                answer >> 32 == u64::from(system)
                                    && (u64::from(before & !1)..=u64::from(after) + 1).contains(&(answer & 0xffff_ffff))
                            })
                        }
                    }
                };
                if !is_right {
                    return Err(format!(
                        "wrong answer: {answer:?} for route {number:?}, generations {before} to {after}"
                    ));
                }
            }
            done += BATCH as u64;
            if start.elapsed() >= shot.budget {
                break 'measured;
            }
        }
    }
    Ok(done as f64 / (processor_time() - used).max(1e-9))
}

fn update(network: &Network, routes: &[Route], seed: u64, stop: &AtomicBool) -> Result<f64, String> {
    let mut number = seed.wrapping_mul(0x9E37_79B9) as usize;
    let (mut done, used) = (0_u64, processor_time());
    loop {
        // A stride that shares no factor with the number of routes visits all of them.
        number = (number + 7_368_787) % routes.len();
        let (route, generation) = (routes[number], &network.generations[number]);
        let before = generation.load(Ordering::Relaxed);
        generation.store(before + 1, Ordering::SeqCst);
        network.tables.withdraw(route.address, route.length);
        network.tables.announce(route.address, route.length, value_of(route.system, before + 2));
        generation.store(before + 2, Ordering::SeqCst);
        done += 2;
        if stop.load(Ordering::Relaxed) {
            return Ok(done as f64 / (processor_time() - used).max(1e-9));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_routes_that_its_page_says() {
        let routes = routes().unwrap();
        assert_eq!(routes.len(), 564_579);
        assert!(routes.windows(2).all(|pair| pair[0].address < pair[1].address));
        assert!(routes.iter().all(|route| prefix_of(route.address, route.length) == route.address));
    }

    #[test]
    fn the_model_knows_both_ends_of_a_prefix() {
        let routes = [
            Route { address: 0x0100_0000, length: 24, system: 1 },
            Route { address: 0x0100_0200, length: 23, system: 2 },
        ];
        let expected = [(0x00ff_ffff, None), (0x0100_0000, Some(0)), (0x0100_00ff, Some(0)), (0x0100_0100, None)];
        expected.iter().for_each(|(address, route)| assert_eq!(model(&routes, *address), *route));
        assert_eq!(model(&routes, 0x0100_03ff), Some(1));
        assert_eq!(model(&routes, 0x0100_0400), None);
    }
}
