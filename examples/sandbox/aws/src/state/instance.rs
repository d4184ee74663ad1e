//! Instances and network interfaces.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::Ipv4Net;
use jiff::Timestamp;

use super::State;

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Runs.
    Running,
    /// Gone; shown for about an hour.
    Terminated,
}

impl InstanceState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Terminated => "terminated",
        }
    }

    /// The number that goes with the word.
    pub fn code(self) -> u16 {
        match self {
            Self::Running => 16,
            Self::Terminated => 48,
        }
    }
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// `r-…`, the call that made it.
    pub reservation_id: String,
    /// Running or terminated.
    pub state: InstanceState,
    /// Such as `m5.large`.
    pub instance_type: String,
    /// `ami-…`.
    pub image_id: String,
    /// Subnet of its first interface.
    pub subnet_id: String,
    /// VPC of that subnet.
    pub vpc_id: String,
    /// Zone of that subnet.
    pub availability_zone: String,
    /// Primary address of its first interface.
    pub private_ip: Ipv4Addr,
    /// `ip-10-0-1-2.REGION.compute.internal`.
    pub private_dns_name: String,
    /// When it was started.
    pub launched: Timestamp,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkInterface {
    /// `eni-…`.
    pub id: String,
    /// Subnet.
    pub subnet_id: String,
    /// VPC of the subnet.
    pub vpc_id: String,
    /// Zone of the subnet.
    pub availability_zone: String,
    /// Free text; `ELB app/NAME/ID` for those of load balancers.
    pub description: String,
    /// Security groups.
    pub security_groups: BTreeSet<String>,
    /// Addresses, the primary one first.
    pub private_ips: Vec<Ipv4Addr>,
    /// Delegated /28 prefixes.
    pub ipv4_prefixes: Vec<Ipv4Net>,
    /// IPv6 addresses.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// Public address, if any.
    pub public_ip: Option<Ipv4Addr>,
    /// To what it is attached.
    pub attachment: Option<Attachment>,
    /// `amazon-elb` for those of load balancers.
    pub requester: Option<String>,
}

/// An attachment of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `eni-attach-…`.
    pub id: String,
    /// The instance; none for those of load balancers.
    pub instance_id: Option<String>,
    /// 0 is the primary interface.
    pub device_index: u32,
}

impl State {
    /// Removes a network interface and gives its addresses back to the subnet.
    pub(super) fn release_interface(&mut self, id: &str) {
        let Some(interface) = self.network_interfaces.remove(id) else {
            return;
        };
        self.tags.remove(id);
        if let Some(subnet) = self.subnets.get_mut(&interface.subnet_id) {
            subnet.taken.retain(|_, holder| holder != id);
        }
    }
}
