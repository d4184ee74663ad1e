//! Where all tags are kept, with what the Resource Groups Tagging API knows
//! besides: that a resource once had tags, and the tags of what was deleted a
//! moment ago.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    ops::Deref,
};

use jiff::{SignedDuration, Timestamp};

use super::Tags;

/// Tags by ARN, EC2 id or zone id. It reads like a map; writes go through the
/// methods here, which note what would be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagStore {
    present: BTreeMap<String, Tags>,
    /// Keys whose tags were changed or replaced while there were some.
    once: BTreeSet<String>,
    /// What was deleted, until when it stays listed, with its last tags.
    gone: BTreeMap<String, (Timestamp, Tags)>,
    /// How long deleted things stay listed.
    linger: SignedDuration,
    now: Timestamp,
}

impl Deref for TagStore {
    type Target = BTreeMap<String, Tags>;

    fn deref(&self) -> &Self::Target {
        &self.present
    }
}

impl TagStore {
    /// Sets the tags of a resource.
    pub fn insert(&mut self, key: String, tags: Tags) {
        self.note(&key);
        self.gone.remove(&key);
        self.present.insert(key, tags);
    }

    /// The tags of a resource, to change or to begin with.
    pub fn entry(&mut self, key: String) -> btree_map::Entry<'_, String, Tags> {
        self.note(&key);
        self.gone.remove(&key);
        self.present.entry(key)
    }

    /// The tags of a resource, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Tags> {
        self.note(key);
        self.present.get_mut(key)
    }

    /// Shows other tags of a resource, or none, for the time of a call, and
    /// answers the present ones to be shown again; nothing is noted.
    pub(super) fn show(&mut self, key: &str, tags: Option<Tags>) -> Option<Tags> {
        match tags {
            Some(tags) => self.present.insert(key.to_owned(), tags),
            None => self.present.remove(key),
        }
    }

    /// Forgets a resource; if it ever had tags it stays listed for a while.
    pub fn remove(&mut self, key: &str) {
        let Some(tags) = self.present.remove(key) else {
            return;
        };
        let listed = self.once.remove(key) || !tags.is_empty();
        let until = self.now.checked_add(self.linger);
        if let (true, false, Ok(until)) = (listed, self.linger.is_zero(), until) {
            self.gone.insert(key.to_owned(), (until, tags));
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, now: Timestamp, linger_ms: u64) {
        self.now = now;
        let linger = i64::try_from(linger_ms).unwrap_or(i64::MAX);
        self.linger = SignedDuration::from_millis(linger);
        if !self.gone.is_empty() {
            self.gone.retain(|_, (until, _)| *until > now);
        }
    }

    /// Everything that has tags or had some, deleted things included, by key.
    pub fn ever_tagged(&self) -> impl Iterator<Item = (&str, &Tags)> {
        let present = self
            .present
            .iter()
            .filter(|(key, tags)| !tags.is_empty() || self.once.contains(*key));
        let gone = self.gone.iter().map(|(key, (_, tags))| (key, tags));
        present.chain(gone).map(|(key, tags)| (key.as_str(), tags))
    }

    fn note(&mut self, key: &str) {
        let tagged = self.present.get(key).is_some_and(|tags| !tags.is_empty());
        if tagged && !self.once.contains(key) {
            self.once.insert(key.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn listed(store: &TagStore) -> Vec<&str> {
        store.ever_tagged().map(|(key, _)| key).collect()
    }

    #[test]
    fn what_was_tagged_stays_listed() {
        let mut store = TagStore::default();
        store.pass(Timestamp::UNIX_EPOCH, 1000);
        store.insert("never".to_owned(), Tags::new());
        store.insert("emptied".to_owned(), tags(&[("a", "1")]));
        store.get_mut("emptied").unwrap().clear();
        store.insert("gone".to_owned(), tags(&[("a", "1")]));
        store.remove("gone");
        store.remove("never");
        assert_eq!(listed(&store), ["emptied", "gone"]);
        assert!(store.get("gone").is_none());
        store.pass(
            Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1000),
            1000,
        );
        assert_eq!(listed(&store), ["emptied"]);
    }
}
