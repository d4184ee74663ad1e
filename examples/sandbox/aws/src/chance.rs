//! What is left to chance while the account is served, all from one seed.
//!
//! Each purpose has a sequence of its own, so that the draws of the one do not
//! depend on how often the other draws. What the account itself leaves to chance
//! is drawn by `State::draws`, which begins by the same seed. Secrets, and the
//! ids of requests, are no draws: they stay unpredictable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::state::ids::Ids;

/// For what is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The node that a connection comes to.
    Node,
    /// Groups by their weights, targets by the algorithm of their group.
    Target,
    /// Record sets by their weights, and what resolvers remember.
    Dns,
    /// Whether a call meets a fault.
    Fault,
}

/// The sequences. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Arc<Mutex<Sequences>>);

#[derive(Debug)]
struct Sequences {
    seed: u64,
    of: [Ids; 4],
}

impl Sequences {
    fn of(seed: u64) -> Self {
        let of = ["nodes", "targets", "dns", "faults"].map(|name| Ids::seeded(seed, name));
        Self { seed, of }
    }
}

impl Chance {
    /// Begins by a seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Sequences::of(seed))))
    }

    /// The seed.
    pub(crate) fn seed(&self) -> u64 {
        self.lock().seed
    }

    /// Begins anew by a seed.
    pub(crate) fn begin(&self, seed: u64) {
        *self.lock() = Sequences::of(seed);
    }

    /// A number below `bound`; 0 where that is 0.
    pub(crate) fn below(&self, purpose: Purpose, bound: u64) -> u64 {
        self.lock().of[purpose as usize].below(bound)
    }

    /// The same in 32 bits.
    pub(crate) fn below_u32(&self, purpose: Purpose, bound: u32) -> u32 {
        // Below a number of 32 bits is one of 32 bits.
        u32::try_from(self.below(purpose, bound.into())).unwrap_or_default()
    }

    /// A number from 0 up to 1.
    pub(crate) fn fraction(&self, purpose: Purpose) -> f64 {
        self.lock().of[purpose as usize].fraction()
    }

    fn lock(&self) -> MutexGuard<'_, Sequences> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_draws_whatever_else_is_drawn() {
        let targets = |chance: &Chance| -> Vec<u64> {
            (0..20)
                .map(|_| chance.below(Purpose::Target, 1_000))
                .collect()
        };
        let (one, two) = (Chance::of(7), Chance::of(7));
        two.fraction(Purpose::Dns);
        two.below(Purpose::Node, 3);
        let drawn = targets(&one);
        assert_eq!(drawn, targets(&two));
        assert_ne!(drawn, targets(&one), "they go on");
        one.begin(7);
        assert_eq!(drawn, targets(&one));
        one.begin(8);
        assert_ne!(drawn, targets(&one));
        assert_eq!(one.seed(), 8);
        assert_eq!(one.below(Purpose::Fault, 0), 0);
    }
}
