//! VPCs, subnets, internet gateways, route tables.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};

use super::State;

/// A VPC.
#[derive(Debug, Clone, PartialEq)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Primary range.
    pub cidr: Ipv4Net,
    /// IPv6 range, if any.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Id of its `default` security group.
    pub default_security_group: String,
    /// Id of its main route table.
    pub main_route_table: String,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// VPC that it belongs to.
    pub vpc_id: String,
    /// Zone name, such as `us-east-1a`.
    pub availability_zone: String,
    /// Range.
    pub cidr: Ipv4Net,
    /// IPv6 range, if any.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Addresses in use, prefixes included, with the network interface that has them.
    pub taken: BTreeMap<Ipv4Addr, String>,
}

/// An internet gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternetGateway {
    /// `igw-…`.
    pub id: String,
    /// VPC to which it is attached.
    pub vpc_id: Option<String>,
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// VPC that it belongs to.
    pub vpc_id: String,
    /// Routes besides the local one.
    pub routes: Vec<Route>,
    /// Associations with subnets: association id and subnet id.
    pub associations: Vec<(String, String)>,
}

/// A route of a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: Ipv4Net,
    /// Gateway id (`igw-…`, `nat-…`).
    pub gateway_id: String,
}

/// An availability zone of the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailabilityZone {
    /// Name, such as `us-east-1a`.
    pub name: String,
    /// Id, such as `use1-az1`; differs between accounts for one name.
    pub id: String,
}

/// The zones of a region: three of them, with ids as AWS abbreviates them
/// (`us-east-1` gives `use1-az1` and so on).
pub(super) fn zones_of(region: &str) -> Vec<AvailabilityZone> {
    let mut parts = region.split('-');
    let mut short: String = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part {
            "northeast" => short.push_str("ne"),
            "northwest" => short.push_str("nw"),
            "southeast" => short.push_str("se"),
            "southwest" => short.push_str("sw"),
            other => short.extend(other.chars().next()),
        }
    }
    ["a", "b", "c"]
        .iter()
        .zip(1..)
        .map(|(letter, number)| AvailabilityZone {
            name: format!("{region}{letter}"),
            id: format!("{short}-az{number}"),
        })
        .collect()
}

impl State {
    /// The subnet of a VPC whose range holds an address.
    pub fn subnet_of_address(&self, vpc_id: &str, address: &str) -> Option<&Subnet> {
        let address: IpAddr = address.parse().ok()?;
        self.subnets.values().find(|subnet| {
            subnet.vpc_id == vpc_id
                && match address {
                    IpAddr::V4(v4) => subnet.cidr.contains(&v4),
                    IpAddr::V6(v6) => subnet.ipv6_cidr.is_some_and(|range| range.contains(&v6)),
                }
        })
    }
}
