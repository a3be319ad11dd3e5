//! The maps: ours by single lookups and by batches, and the peers.

use cds_lfht::LfHashMap;
use urcu_core::Thread;
use urcu_membarrier::Flavor;

use super::{Entrant, Found, Hasher, Kind, Make, Map, Session, Step, hasher, value_of};

/// All of them.
pub const FACE: [Entrant; 8] = [
    entrant("cds-lfht", Kind::Ours, |capacity| Box::new(Ours(ours(capacity)))),
    Entrant { batched: true, ..entrant("cds-lfht:get_many", Kind::Ours, |capacity| Box::new(Batched(ours(capacity)))) },
    entrant("papaya", Kind::Other, |capacity| {
        Box::new(papaya::HashMap::<u64, u64, Hasher>::with_capacity_and_hasher(capacity, hasher()))
    }),
    entrant("dashmap", Kind::Other, |capacity| {
        Box::new(dashmap::DashMap::<u64, u64, Hasher>::with_capacity_and_hasher(capacity, hasher()))
    }),
    entrant("scc:HashMap", Kind::Other, |capacity| {
        Box::new(scc::HashMap::<u64, u64, Hasher>::with_capacity_and_hasher(capacity, hasher()))
    }),
    entrant("scc:HashIndex", Kind::Other, |capacity| {
        Box::new(scc::HashIndex::<u64, u64, Hasher>::with_capacity_and_hasher(capacity, hasher()))
    }),
    entrant("flurry", Kind::Other, |capacity| {
        Box::new(flurry::HashMap::<u64, u64, Hasher>::with_capacity_and_hasher(capacity, hasher()))
    }),
    entrant("RwLock<HashMap>", Kind::Other, super::locked::make),
];

const fn entrant(name: &'static str, kind: Kind, make: Make) -> Entrant {
    Entrant { name, kind, batched: false, presized: false, stalls: false, make: Ok(make) }
}

fn ours(capacity: usize) -> LfHashMap<u64, u64, Hasher> {
    LfHashMap::with_capacity_and_hasher(capacity, hasher(), urcu_membarrier::vtable())
}

struct Ours(LfHashMap<u64, u64, Hasher>);
struct Batched(LfHashMap<u64, u64, Hasher>);

/// A thread's access to ours.
struct Registered<'m> {
    map: &'m LfHashMap<u64, u64, Hasher>,
    thread: Thread<Flavor>,
}

struct InBatches<'m>(Registered<'m>);

/// A session with a guard, or whatever `$guard` is, for each batch.
macro_rules! session {
    (
        impl for $type:ty;
        guard($self:ident) $guard:expr;
        get($get_guard:ident, $get_key:ident) $get:expr;
        insert($insert_guard:ident, $insert_key:ident, $insert_value:ident) $insert:expr;
        remove($remove_guard:ident, $remove_key:ident) $remove:expr;
    ) => {
        impl Session for $type {
            #[inline(never)]
            fn get(&mut self, keys: &[u64]) -> Found {
                let $self = self;
                let $get_guard = &$guard;
                let mut found = Found::default();
                for $get_key in keys {
                    found.add($get);
                }
                found
            }

            #[inline(never)]
            fn insert(&mut self, keys: &[u64]) {
                let $self = self;
                let $insert_guard = &$guard;
                for &$insert_key in keys {
                    let $insert_value = value_of($insert_key);
                    assert!($insert, "it was there");
                }
            }

            #[inline(never)]
            fn remove(&mut self, keys: &[u64]) {
                let $self = self;
                let $remove_guard = &$guard;
                for $remove_key in keys {
                    assert!($remove, "it was not there");
                }
            }

            #[inline(never)]
            fn mixed(&mut self, steps: &[Step]) -> Found {
                let $self = self;
                let guard = &$guard;
                let mut found = Found::default();
                for step in steps {
                    match step {
                        Step::Get($get_key) => {
                            let $get_guard = guard;
                            found.add($get);
                        }
                        &Step::Insert($insert_key) => {
                            let $insert_guard = guard;
                            let $insert_value = value_of($insert_key);
                            assert!($insert, "it was there");
                        }
                        Step::Remove($remove_key) => {
                            let $remove_guard = guard;
                            assert!($remove, "it was not there");
                        }
                    }
                }
                found
            }
        }
    };
}

impl Map for Ours {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(Registered { map: &self.0, thread: register() })
    }
}

impl Map for Batched {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(InBatches(Registered { map: &self.0, thread: register() }))
    }
}

fn register() -> Thread<Flavor> {
    urcu_membarrier::register().expect("not registered yet")
}

session! {
    impl for Registered<'_>;
    guard(session) (session.map, session.thread.read_lock());
    get(guard, key) guard.0.get(key, &guard.1).copied();
    insert(guard, key, value) guard.0.insert(key, value, &guard.1).is_none();
    remove(guard, key) guard.0.remove(key, &guard.1).is_some();
}

/// Keys that are looked up together.
const TOGETHER: usize = 16;

impl Session for InBatches<'_> {
    #[inline(never)]
    fn get(&mut self, keys: &[u64]) -> Found {
        let guard = self.0.thread.read_lock();
        let mut found = Found::default();
        let (batches, rest) = keys.as_chunks::<TOGETHER>();
        for batch in batches {
            for value in self.0.map.get_many(batch.each_ref(), &guard) {
                found.add(value.copied());
            }
        }
        for key in rest {
            found.add(self.0.map.get(key, &guard).copied());
        }
        found
    }

    fn insert(&mut self, keys: &[u64]) {
        self.0.insert(keys);
    }

    fn remove(&mut self, keys: &[u64]) {
        self.0.remove(keys);
    }

    fn mixed(&mut self, steps: &[Step]) -> Found {
        self.0.mixed(steps)
    }
}

type Papaya = papaya::HashMap<u64, u64, Hasher>;

impl Map for Papaya {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

session! {
    impl for &Papaya;
    guard(map) map.pin();
    get(guard, key) guard.get(key).copied();
    insert(guard, key, value) guard.insert(key, value).is_none();
    remove(guard, key) guard.remove(key).is_some();
}

type Dash = dashmap::DashMap<u64, u64, Hasher>;

impl Map for Dash {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

session! {
    impl for &Dash;
    guard(map) map;
    get(guard, key) Dash::get(guard, key).map(|value| *value);
    insert(guard, key, value) Dash::insert(guard, key, value).is_none();
    remove(guard, key) Dash::remove(guard, key).is_some();
}

type SccMap = scc::HashMap<u64, u64, Hasher>;

impl Map for SccMap {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

session! {
    impl for &SccMap;
    guard(map) map;
    get(guard, key) guard.read_sync(key, |_, value| *value);
    insert(guard, key, value) guard.insert_sync(key, value).is_ok();
    remove(guard, key) guard.remove_sync(key).is_some();
}

type SccIndex = scc::HashIndex<u64, u64, Hasher>;

impl Map for SccIndex {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

session! {
    impl for &SccIndex;
    guard(map) (map, sdd::Guard::new());
    get(guard, key) guard.0.peek(key, &guard.1).copied();
    insert(guard, key, value) guard.0.insert_sync(key, value).is_ok();
    remove(guard, key) guard.0.remove_sync(key);
}

type Flurry = flurry::HashMap<u64, u64, Hasher>;

impl Map for Flurry {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

session! {
    impl for &Flurry;
    guard(map) map.pin();
    get(guard, key) guard.get(key).copied();
    insert(guard, key, value) guard.insert(key, value).is_none();
    remove(guard, key) guard.remove(key).is_some();
}
