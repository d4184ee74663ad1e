//! Where pods and node ports really listen: the one table that the probes,
//! the node ports and the data plane of the AWS simulator go by.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cloud::Cloud;

/// The loopback sockets of pods, by address in the VPC and port. Every change
/// goes to the simulator too. Cheap to clone; clones are one table.
#[derive(Debug, Clone)]
pub struct Sockets {
    table: Arc<Mutex<HashMap<(Ipv4Addr, u16), SocketAddr>>>,
    cloud: Cloud,
}

impl Sockets {
    /// An empty table beside the simulator's.
    pub fn new(cloud: Cloud) -> Self {
        Self {
            table: Arc::default(),
            cloud,
        }
    }

    /// Says that a port of a pod listens at a loopback socket.
    pub fn open(&self, pod: Ipv4Addr, port: u16, socket: SocketAddr) {
        self.table().insert((pod, port), socket);
        self.cloud.open(&format!("{pod}:{port}"), socket);
    }

    /// Says that a port of a pod refuses connections.
    pub fn close(&self, pod: Ipv4Addr, port: u16) {
        self.table().remove(&(pod, port));
        self.cloud.close(&format!("{pod}:{port}"));
    }

    /// Where a port of a pod listens.
    pub fn of(&self, pod: Ipv4Addr, port: u16) -> Option<SocketAddr> {
        self.table().get(&(pod, port)).copied()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<(Ipv4Addr, u16), SocketAddr>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A loopback address for a process that brings its own ports. Drawn out of
/// 127.128.0.0/9, so that two of them on one machine do not meet.
pub fn draw_loopback() -> IpAddr {
    let [_, b, c, d] = rand::random::<u32>().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 128 | b, c, d.clamp(1, 254)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_addresses_are_apart_from_those_of_load_balancers() {
        for _ in 0..200 {
            let IpAddr::V4(address) = draw_loopback() else {
                continue;
            };
            let [a, b, _, d] = address.octets();
            assert!(a == 127 && b >= 128 && d != 0 && d != 255, "{address}");
        }
    }
}
