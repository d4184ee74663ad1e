//! What changed when, counted in changes: who looks again at what has changed
//! since the last look need not look at all there is.

use super::map::Map;

/// So many more changes are remembered than there are things to change.
const MORE: usize = 1000;

/// What changed when; cheap to clone.
#[derive(Clone, Debug)]
pub struct Changes<K> {
    last: u64,
    of: Map<K, u64>,
    order: Map<u64, K>,
    /// Changes up to this one are forgotten.
    forgotten: u64,
}

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self {
            last: 0,
            of: Map::default(),
            order: Map::default(),
            forgotten: 0,
        }
    }
}

impl<K: Clone + Ord> Changes<K> {
    /// Notes a change of one thing. `there` are about as many as there are;
    /// those that go leave the oldest changes to be forgotten.
    pub fn note(&mut self, key: &K, there: usize) {
        self.last += 1;
        if let Some(before) = self.of.insert(key.clone(), self.last) {
            self.order.remove(&before);
        }
        self.order.insert(self.last, key.clone());
        if self.order.len() > there + MORE {
            let first = self.order.iter().next();
            if let Some((first, gone)) = first.map(|(at, key)| (*at, key.clone())) {
                self.forgotten = first;
                self.order.remove(&first);
                self.of.remove(&gone);
            }
        }
    }

    /// The last change of all.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The last change of one thing, or one that it did not come after.
    pub fn of(&self, key: &K) -> u64 {
        self.of.get(key).copied().unwrap_or(self.forgotten)
    }

    /// What changed after another change; `None` where that is so long ago
    /// that it cannot be told.
    pub fn since(&self, change: u64) -> Option<impl Iterator<Item = &K> + use<'_, K>> {
        if change < self.forgotten {
            return None;
        }
        Some(self.order.after(&change).map(|(_, key)| key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_since_is_told_until_it_is_forgotten() {
        let mut changes = Changes::default();
        let since = |changes: &Changes<u32>, change| {
            let changed = changes.since(change)?;
            Some(changed.copied().collect::<Vec<_>>())
        };
        assert_eq!(since(&changes, 0), Some(vec![]));
        for key in [1, 2, 1, 3] {
            changes.note(&key, 3);
        }
        assert_eq!(since(&changes, 0), Some(vec![2, 1, 3]));
        assert_eq!(since(&changes, 3), Some(vec![3]));
        assert_eq!((changes.of(&1), changes.of(&9)), (3, 0));
        // Things that come and go: no more is remembered than is bounded.
        for key in 10..5000 {
            changes.note(&key, 3);
        }
        assert_eq!(since(&changes, 4), None);
        let remembered = since(&changes, changes.last() - 100);
        assert_eq!(remembered.map(|keys| keys.len()), Some(100));
        assert_eq!(changes.order.len(), 3 + MORE);
        assert_eq!(changes.of.len(), 3 + MORE);
        assert!(changes.of(&1) >= 4);
    }
}
