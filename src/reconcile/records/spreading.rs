//! Changes that Route 53 is about to bring to all its servers.

use tokio::time::Instant;

use super::super::{Reconciler, lock};
use super::{Parting, Records};
use crate::apply;

impl Records {
    /// Asks whether the changes under way have been spread.
    pub(super) async fn poll(&self, cx: &Reconciler) {
        let changes: Vec<String> = lock(&self.book).spreading.keys().cloned().collect();
        for change in changes {
            match apply::dns::in_sync(&cx.aws, &change).await {
                Ok(true) => self.spread(&change),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot ask whether a change is in sync"),
            }
        }
    }

    fn spread(&self, change: &str) {
        let mut book = lock(&self.book);
        let Some(places) = book.spreading.remove(change) else {
            return;
        };
        let until = Instant::now() + self.grace;
        for ((_, place), parting) in &mut book.given_up {
            if places.contains(place) && *parting == Parting::Spreading {
                *parting = Parting::Remembered(until);
            }
        }
    }
}
