//! serde: a map is written as a map, a set as a sequence.
//!
//! Reading needs a flavor, which no deserializer knows: [`InFlavor`] brings it along.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use urcu_core::FlavorVtable;

use super::face::LfHashMap;
use super::pinned::Pinned;
use super::set::{LfHashSet, PinnedSet};

/// More is not believed before it has come: the length comes from the input.
const MOST_RESERVED: usize = 4096;

impl<K: Serialize + Hash + Eq, V: Serialize, S: BuildHasher> Serialize for Pinned<'_, K, V, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self)
    }
}

impl<K: Serialize + Hash + Eq, V: Serialize, S: BuildHasher> Serialize for LfHashMap<K, V, S> {
    /// Inside a section of its own: the thread has to be registered with the flavor.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.pin().serialize(serializer)
    }
}

impl<T: Serialize + Hash + Eq, S: BuildHasher> Serialize for PinnedSet<'_, T, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_seq(self)
    }
}

impl<T: Serialize + Hash + Eq, S: BuildHasher> Serialize for LfHashSet<T, S> {
    /// Inside a section of its own: the thread has to be registered with the flavor.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.pin().serialize(serializer)
    }
}

/// Reads an [`LfHashMap`] or an [`LfHashSet`] of a flavor.
pub struct InFlavor<M> {
    flavor: &'static FlavorVtable,
    marker: PhantomData<fn() -> M>,
}

impl<M> InFlavor<M> {
    /// Of this one.
    pub fn new(flavor: &'static FlavorVtable) -> Self {
        Self { flavor, marker: PhantomData }
    }
}

impl<M> fmt::Debug for InFlavor<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InFlavor({})", self.flavor.name())
    }
}

impl<'de, K, V, S> DeserializeSeed<'de> for InFlavor<LfHashMap<K, V, S>>
where
    K: serde::Deserialize<'de> + Hash + Eq + Send + 'static,
    V: serde::Deserialize<'de> + Send + 'static,
    S: BuildHasher + Default,
{
    type Value = LfHashMap<K, V, S>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, K, V, S> Visitor<'de> for InFlavor<LfHashMap<K, V, S>>
where
    K: serde::Deserialize<'de> + Hash + Eq + Send + 'static,
    V: serde::Deserialize<'de> + Send + 'static,
    S: BuildHasher + Default,
{
    type Value = LfHashMap<K, V, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let capacity = entries.size_hint().unwrap_or(0).min(MOST_RESERVED);
        let mut map = LfHashMap::with_capacity_and_hasher(capacity, S::default(), self.flavor);
        while let Some((key, value)) = entries.next_entry()? {
            map.insert_mut(key, value);
        }
        Ok(map)
    }
}

impl<'de, T, S> DeserializeSeed<'de> for InFlavor<LfHashSet<T, S>>
where
    T: serde::Deserialize<'de> + Hash + Eq + Send + 'static,
    S: BuildHasher + Default,
{
    type Value = LfHashSet<T, S>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T, S> Visitor<'de> for InFlavor<LfHashSet<T, S>>
where
    T: serde::Deserialize<'de> + Hash + Eq + Send + 'static,
    S: BuildHasher + Default,
{
    type Value = LfHashSet<T, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let capacity = values.size_hint().unwrap_or(0).min(MOST_RESERVED);
        let mut set = LfHashSet::with_capacity_and_hasher(capacity, S::default(), self.flavor);
        while let Some(value) = values.next_element()? {
            set.extend([value]);
        }
        Ok(set)
    }
}
