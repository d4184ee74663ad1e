//! Who has to do with what, kept so that a change of one pair costs the same
//! however many pairs there are.

use super::map::Map;
use super::spec::ObjectName;

/// Objects by what they have to do with; cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation<K> {
    pairs: Map<(K, ObjectName), ()>,
}

impl<K> Default for Relation<K> {
    fn default() -> Self {
        Self {
            pairs: Map::default(),
        }
    }
}

/// Before every name that an object has.
fn before_all() -> ObjectName {
    ObjectName::new("", "")
}

impl<K: Clone + Ord> Relation<K> {
    /// An object has to do with this.
    pub fn add(&mut self, key: K, name: ObjectName) {
        self.pairs.insert((key, name), ());
    }

    /// An object has nothing to do with this any more.
    pub fn take(&mut self, key: K, name: ObjectName) {
        self.pairs.remove(&(key, name));
    }

    /// All that have to do with this, in the order of their names.
    pub fn of(&self, key: &K) -> impl Iterator<Item = &ObjectName> + use<'_, K> {
        let first = (key.clone(), before_all());
        let from_here = self.pairs.after(&first).map(|(pair, ())| pair);
        let here = from_here.take_while(move |(of, _)| *of == first.0);
        here.map(|(_, name)| name)
    }

    /// The first of all things, this one and those after it, that somebody has
    /// to do with.
    pub fn next_from(&self, key: K) -> Option<&K> {
        let first = (key, before_all());
        self.pairs.after(&first).next().map(|((key, _), ())| key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_the_set_of_all_pairs(
            steps in prop::collection::vec((any::<bool>(), 0..4_u8, 0..4_u8), 0..60)
        ) {
            let mut relation = Relation::default();
            let mut expected = BTreeSet::new();
            let name = |of: u8| ObjectName::new("shop", of.to_string());
            for (comes, key, of) in steps {
                if comes {
                    relation.add(key, name(of));
                    expected.insert((key, name(of)));
                } else {
                    relation.take(key, name(of));
                    expected.remove(&(key, name(of)));
                }
                for key in 0..4 {
                    let of_key = expected.iter().filter(|(of, _)| *of == key);
                    prop_assert!(relation.of(&key).eq(of_key.map(|(_, name)| name)));
                    let next = expected.iter().map(|(of, _)| of).find(|of| **of >= key);
                    prop_assert_eq!(relation.next_from(key), next);
                }
            }
        }
    }
}
