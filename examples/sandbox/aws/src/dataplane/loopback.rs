//! Loopback addresses of the load balancers, out of 127.64.0.0/10.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

/// Which loopback address stands for which load balancer.
///
/// An address is given on the first ask and stays for the life of the load
/// balancer. Addresses are drawn at random, so that several simulators on one
/// machine do not meet on a port. Cheap to clone; all clones are one table.
#[derive(Clone, Debug, Default)]
pub struct Loopbacks {
    table: Arc<Mutex<BTreeMap<String, Ipv4Addr>>>,
}

impl Loopbacks {
    /// The address of the load balancer with this ARN.
    pub fn of(&self, load_balancer: &str) -> Ipv4Addr {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = table.get(load_balancer) {
            return *address;
        }
        let address = loop {
            let drawn = draw();
            if !table.values().any(|taken| *taken == drawn) {
                break drawn;
            }
        };
        table.insert(load_balancer.to_owned(), address);
        address
    }

    /// Forgets every load balancer that `lives` does not know.
    pub(crate) fn retain(&self, lives: impl Fn(&str) -> bool) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|load_balancer, _| lives(load_balancer));
    }
}

fn draw() -> Ipv4Addr {
    let bits: u32 = rand::random();
    let [_, b, c, d] = bits.to_be_bytes();
    // 127.64.0.0/10 fixes the two upper bits of the second octet. Last octets
    // that look like a network or a broadcast address only confuse readers.
    Ipv4Addr::new(127, 64 | (b & 0x3f), c, d.clamp(1, 254))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_distinct_and_in_range() {
        let loopbacks = Loopbacks::default();
        let first = loopbacks.of("a");
        assert_eq!(loopbacks.of("a"), first);
        for n in 0..200 {
            let address = loopbacks.of(&n.to_string());
            assert_ne!(address, first);
            assert_eq!(u32::from(address) & 0xffc0_0000, 0x7f40_0000, "{address}");
        }
        loopbacks.retain(|arn| arn == "a");
        assert_eq!(loopbacks.of("a"), first);
    }
}
