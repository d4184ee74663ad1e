//! The account behind a lock, with a signal for those who follow its changes.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::state::State;

/// A cheap handle on the account. The lock is held for one closure at a time
/// and never across an `.await`.
#[derive(Debug, Clone)]
pub struct SharedState {
    state: Arc<Mutex<State>>,
    version: Arc<watch::Sender<u64>>,
}

impl SharedState {
    /// Puts an account behind a lock.
    pub fn new(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
            version: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Looks at the account.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the account at the present time, after what was due, and tells the followers.
    pub fn write<T>(&self, change: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let answer = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Timestamp::now();
            state.advance(now);
            change(&mut state, now)
        };
        self.version.send_modify(|version| *version += 1);
        answer
    }

    /// Changes the account; tells the followers only when `change` says that it did.
    pub fn update(&self, change: impl FnOnce(&mut State, Timestamp) -> bool) {
        let changed = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Timestamp::now();
            let due = state.advance(now);
            change(&mut state, now) || due
        };
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// Makes the transitions that are due; tells the followers if there were any.
    pub fn advance(&self) {
        let changed = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .advance(Timestamp::now());
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// A number that grows with every change; wait on it to follow the account.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}
