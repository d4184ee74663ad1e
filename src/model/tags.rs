//! Tags of an AWS resource.

use std::fmt;
use std::sync::Arc;

/// What stands after each key and each value: no tag has it, for no answer of
/// AWS and no object of Kubernetes can spell it.
const END: char = '\0';

/// Tags of an AWS resource, key to value, each key once, in the order of the
/// keys.
///
/// A thousand groups have tens of thousands of them, and most are the same or
/// nearly so: each is one allocation, and a copy is a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(Arc<str>);

impl Tags {
    /// No tags.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// All tags, by key.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut tags = self.iter();
        tags.find(|(other, _)| *other == key)
            .map(|(_, value)| value)
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets one tag.
    pub fn insert(&mut self, key: &str, value: &str) {
        self.extend([(key, value)]);
    }

    /// Sets all these tags; of one key, the last counts.
    pub fn extend<K: AsRef<str>, V: AsRef<str>>(&mut self, tags: impl IntoIterator<Item = (K, V)>) {
        let tags: Vec<(K, V)> = tags.into_iter().collect();
        let more = tags
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()));
        *self = self.iter().chain(more).collect();
    }

    /// Takes out those that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        *self = self
            .iter()
            .filter(|(key, value)| keep(key, value))
            .collect();
    }
}

impl Default for Tags {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Tags {
    /// Of one key, the last counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(tags: I) -> Self {
        let mut tags: Vec<(K, V)> = tags.into_iter().collect();
        tags.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let mut text = String::new();
        for (place, (key, value)) in tags.iter().enumerate() {
            let key = key.as_ref();
            let next = tags.get(place + 1);
            if next.is_some_and(|(next, _)| next.as_ref() == key) {
                continue;
            }
            for part in [key, value.as_ref()] {
                text.extend(part.chars().filter(|c| *c != END));
                text.push(END);
            }
        }
        Self(text.into())
    }
}

impl<K: AsRef<str>, V: AsRef<str>, const N: usize> From<[(K, V); N]> for Tags {
    fn from(tags: [(K, V); N]) -> Self {
        tags.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The tags of [`Tags`], by key.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.rest.split_once(END)?;
        let (value, rest) = rest.split_once(END)?;
        self.rest = rest;
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        proptest::collection::vec(("[a-c]{0,2}", "[a-c:/]{0,3}"), 0..6)
    }

    proptest! {
        #[test]
        fn they_are_a_sorted_map(one in pairs(), two in pairs(), key in "[a-c]{0,2}") {
            let mut map: BTreeMap<String, String> = one.iter().cloned().collect();
            let mut tags: Tags = one.into_iter().collect();
            tags.extend(two.iter().map(|(key, value)| (key, value)));
            map.extend(two);
            let as_map = |tags: &Tags| -> BTreeMap<String, String> {
                tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
            };
            prop_assert_eq!(&as_map(&tags), &map);
            prop_assert!(tags.iter().eq(map.iter().map(|(k, v)| (k.as_str(), v.as_str()))));
            prop_assert_eq!(tags.get(&key), map.get(&key).map(String::as_str));
            prop_assert_eq!(tags.len(), map.len());
            prop_assert_eq!(tags.is_empty(), map.is_empty());
            prop_assert_eq!(&map.iter().collect::<Tags>(), &tags);
            tags.retain(|other, _| other != key);
            map.remove(&key);
            prop_assert_eq!(&as_map(&tags), &map);
        }

        #[test]
        fn they_are_ordered_as_maps_are(one in pairs(), two in pairs()) {
            let map = |pairs: &[(String, String)]| -> BTreeMap<String, String> {
                pairs.iter().cloned().collect()
            };
            let maps = (map(&one), map(&two));
            let tags: (Tags, Tags) = (maps.0.iter().collect(), maps.1.iter().collect());
            prop_assert_eq!(tags.0.cmp(&tags.1), maps.0.cmp(&maps.1));
        }
    }

    #[test]
    fn they_are_read_as_a_map() {
        let tags = Tags::from([("b", "2"), ("a", "1"), ("b", "3")]);
        assert_eq!(format!("{tags:?}"), r#"{"a": "1", "b": "3"}"#);
    }
}
