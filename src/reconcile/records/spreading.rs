//! Changes that Route 53 is about to bring to all its servers.

use tokio::time::Instant;

use super::super::{Reconciler, lock};
use super::{Book, Parting, Records};
use crate::apply;

impl Records {
    /// Asks whether the changes under way have been spread.
    pub(super) async fn poll(&self, cx: &Reconciler) {
        let changes: Vec<String> = lock(&self.book).spreading.keys().cloned().collect();
        for change in changes {
            match apply::dns::in_sync(&cx.aws, &change).await {
                Ok(true) => lock(&self.book).spread(&change, Instant::now() + self.grace),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot ask whether a change is in sync"),
            }
        }
    }
}

impl Book {
    /// A change has been spread; resolvers may remember until then what was
    /// before.
    pub(super) fn spread(&mut self, change: &str, until: Instant) {
        let Some(places) = self.spreading.remove(change) else {
            return;
        };
        for ((_, place), parting) in &mut self.given_up {
            if places.contains(place) && *parting == Parting::Spreading {
                *parting = Parting::Remembered(until);
            }
        }
    }
}
