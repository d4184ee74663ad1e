//! A sorted map that is cheap to copy: what two copies have in common they
//! share, so that a reader may keep one while it goes on changing.
//!
//! The entries stand in chunks. A copy is one reference count; a change of a
//! map that somebody else has a copy of copies one chunk and the list of
//! chunks, whatever the size of the map.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

/// The most entries of a chunk; a full one is divided.
const CHUNK: usize = 64;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// A sorted map with cheap copies.
pub struct Map<K, V> {
    /// In order, none of them empty.
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

impl<K, V> Map<K, V> {
    /// A map with nothing in it.
    pub fn new() -> Self {
        Self {
            chunks: Arc::default(),
            len: 0,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter());
        entries.map(|(key, value)| (key, value))
    }

    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The chunk that has a key or would have it, and the place in it.
    fn place<Q>(&self, key: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let after = self.chunks.partition_point(|chunk| {
            let first = chunk.first();
            first.is_some_and(|(first, _)| first.borrow() <= key)
        });
        let at = after.saturating_sub(1);
        let place = match self.chunks.get(at) {
            Some(chunk) => chunk.binary_search_by(|(other, _)| other.borrow().cmp(key)),
            None => Err(0),
        };
        (at, place)
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        match self.place(key) {
            (at, Ok(place)) => Some(&self.chunks[at][place].1),
            (_, Err(_)) => None,
        }
    }

    /// Whether there is a key.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.get(key).is_some()
    }

    /// The entries that come after a key, in order.
    pub fn after<'a, Q>(
        &'a self,
        key: &Q,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, Q, K, V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (at, place) = self.place(key);
        let skipped = place.map_or_else(|place| place, |place| place + 1);
        let chunks = self.chunks.get(at..).unwrap_or_default();
        let entries = chunks.iter().flat_map(|chunk| chunk.iter()).skip(skipped);
        entries.map(|(key, value)| (key, value))
    }
}

impl<K: Clone + Ord, V: Clone> Map<K, V> {
    /// Has a key stand for a value; answers the one that it stood for before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (at, place) = self.place(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at).map(Arc::make_mut) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return None;
        };
        match place {
            Ok(place) => Some(std::mem::replace(&mut chunk[place].1, value)),
            Err(place) => {
                chunk.insert(place, (key, value));
                self.len += 1;
                if chunk.len() > CHUNK {
                    let rest = chunk.split_off(CHUNK / 2);
                    chunk.shrink_to_fit();
                    chunks.insert(at + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// Takes a key out; answers what it stood for.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (at, Ok(place)) = self.place(key) else {
            return None;
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let (_, value) = chunk.remove(place);
        self.len -= 1;
        let left = chunk.len();
        if left == 0 {
            chunks.remove(at);
        } else if let Some(next) = chunks.get(at + 1)
            && left + next.len() <= CHUNK / 2
        {
            let next = chunks.remove(at + 1);
            Arc::make_mut(&mut chunks[at]).extend(next.iter().cloned());
        }
        Some(value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (at, Ok(place)) = self.place(key) else {
            return None;
        };
        let chunk = Arc::make_mut(&mut self.chunks).get_mut(at)?;
        Some(&mut Arc::make_mut(chunk)[place].1)
    }

    /// Changes the value of a key, which is the default one where there is
    /// none.
    pub fn change(&mut self, key: K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        if let Some(value) = self.get_mut(&key) {
            change(value);
            return;
        }
        let mut value = V::default();
        change(&mut value);
        self.insert(key, value);
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self {
            chunks: Arc::clone(&self.chunks),
            len: self.len,
        }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        // Copies have the same chunks.
        Arc::ptr_eq(&self.chunks, &other.chunks)
            || (self.len == other.len && self.iter().eq(other.iter()))
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V, Q> Index<&Q> for Map<K, V>
where
    K: Borrow<Q>,
    Q: Ord + ?Sized,
{
    type Output = V;

    /// The value of a key that is there.
    #[allow(clippy::expect_used)] // as of every other collection
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("a key of the map")
    }
}

impl<K: Clone, V: Clone> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        let chunks = self.chunks.iter().flat_map(|chunk| chunk.iter().cloned());
        chunks.collect::<Vec<_>>().into_iter()
    }
}

impl<K: Clone + Ord, V: Clone> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Clone + Ord, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What is done to a map: a key with a value, or without one to be gone.
    fn changes() -> impl Strategy<Value = Vec<(u16, Option<u8>)>> {
        // Mostly insertions, so that chunks are divided.
        let value = prop_oneof![3 => any::<u8>().prop_map(Some), 2 => Just(None)];
        prop::collection::vec((0..400_u16, value), 0..1200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_the_map_that_the_standard_library_makes(changes in changes()) {
            let mut map = Map::new();
            let mut expected = BTreeMap::new();
            let half = changes.len() / 2;
            let mut copy = (map.clone(), expected.clone());
            for (at, (key, value)) in changes.into_iter().enumerate() {
                let (before, was) = match value {
                    Some(value) => (map.insert(key, value), expected.insert(key, value)),
                    None => (map.remove(&key), expected.remove(&key)),
                };
                prop_assert_eq!(before, was);
                prop_assert_eq!(map.len(), expected.len());
                prop_assert_eq!(map.get(&key), expected.get(&key));
                if at == half {
                    copy = (map.clone(), expected.clone());
                }
            }
            prop_assert!(map.iter().eq(expected.iter()));
            prop_assert!(map.iter().rev().eq(expected.iter().rev()));
            for key in 0..400 {
                prop_assert!(map.after(&key).eq(expected.range(key + 1..)));
            }
            // The copy is as it was.
            prop_assert!(copy.0.iter().eq(copy.1.iter()));
        }
    }

    #[test]
    fn a_change_leaves_the_other_chunks_shared() {
        let mut map: Map<u32, u32> = (0..1000).map(|key| (key, key)).collect();
        let copy = map.clone();
        map.insert(500, 0);
        let shared = map
            .chunks
            .iter()
            .filter(|chunk| Arc::strong_count(chunk) > 1);
        assert_eq!(shared.count() + 1, map.chunks.len());
        assert_eq!((copy[&500], map[&500]), (500, 0));
        map.change(2000, |value| *value += 1);
        map.change(2000, |value| *value += 1);
        assert_eq!((map.get(&2000), copy.get(&2000)), (Some(&2), None));
    }
}
