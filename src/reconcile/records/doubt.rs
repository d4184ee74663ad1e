//! Hosts whose records may not be as they are remembered.

use super::super::lock;
use super::Records;
use crate::plan::dns::DnsPlan;

impl Records {
    /// What is about to be written is looked at again before anybody may take
    /// it for gone: its answer may be lost, or come after the question.
    pub(super) fn in_doubt(&self, plan: &DnsPlan) {
        let mut book = lock(&self.book);
        for change in &plan.changes {
            book.looked_at.remove(&change.place.host);
        }
    }

    /// How many hosts were looked at and are not in doubt.
    pub(super) fn looked_at(&self) -> usize {
        lock(&self.book).looked_at.len()
    }
}
