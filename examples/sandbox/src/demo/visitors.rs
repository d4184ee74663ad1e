//! Visitors who fetch a page again and again, to see whether one of them ever
//! goes away empty-handed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::web::{self, Listener};

/// Wait between two visits.
const EVERY: Duration = Duration::from_millis(20);

/// What the visitors found.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Visits that were answered with status 200.
    pub served: usize,
    /// What the other visits got.
    pub failures: Vec<String>,
}

/// Visits to a page, until dropped.
pub struct Visitors {
    tally: Arc<Mutex<Tally>>,
    _visiting: AbortOnDropHandle<()>,
}

impl Visitors {
    /// Begins to visit a path of a host at a listener.
    pub fn begin(listener: Listener, host: &'static str, path: &'static str) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let found = tally.clone();
        let visiting = tokio::spawn(async move {
            loop {
                let failure = match web::get(&listener, host, path).await {
                    Ok(answer) if answer.status == 200 => None,
                    Ok(answer) => Some(answer.status.to_string()),
                    Err(error) => Some(format!("{error:#}")),
                };
                {
                    let mut tally = found.lock().unwrap_or_else(PoisonError::into_inner);
                    match failure {
                        None => tally.served += 1,
                        Some(failure) => tally.failures.push(failure),
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Self {
            tally,
            _visiting: AbortOnDropHandle::new(visiting),
        }
    }

    /// What they found so far.
    pub fn tally(&self) -> Tally {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
