//! Where pods came to lately: whoever had the address before may have had other
//! security groups.

use std::net::IpAddr;

use super::map::Map;

/// So many arrivals are remembered.
const REMEMBERED: usize = 1000;

/// The addresses that pods came to, counted.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    last: u64,
    at: Map<u64, IpAddr>,
    /// Arrivals up to this one are forgotten.
    forgotten: u64,
}

impl Arrivals {
    /// A pod came to an address, if it has one.
    pub(super) fn note(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else {
            return;
        };
        self.last += 1;
        self.at.insert(self.last, address);
        if self.at.len() > REMEMBERED {
            self.forgotten += 1;
            self.at.remove(&self.forgotten);
        }
    }

    /// The last of all.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Where pods came to after another arrival; `None` where that is so long
    /// ago that it cannot be told.
    pub fn since(&self, arrival: u64) -> Option<impl Iterator<Item = IpAddr>> {
        if arrival < self.forgotten {
            return None;
        }
        Some(self.at.after(&arrival).map(|(_, address)| *address))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;

    #[test]
    fn what_came_after_another_is_told_until_it_is_long_ago() {
        let mut arrivals = Arrivals::default();
        let address =
            |n: usize| -> IpAddr { format!("10.0.{}.{}", n / 250, n % 250).parse().unwrap() };
        let begin = arrivals.last();
        arrivals.note(None);
        for n in 0..3 {
            arrivals.note(Some(address(n)));
        }
        let since = |arrivals: &Arrivals, at| Some(arrivals.since(at)?.collect::<Vec<_>>());
        let first = begin + 1;
        assert_eq!(since(&arrivals, first).unwrap(), [address(1), address(2)]);
        assert!(since(&arrivals, arrivals.last()).unwrap().is_empty());
        for n in 3..=REMEMBERED {
            arrivals.note(Some(address(n)));
        }
        assert_eq!(since(&arrivals, begin), None);
        assert_eq!(since(&arrivals, first).unwrap().len(), REMEMBERED);
    }
}
