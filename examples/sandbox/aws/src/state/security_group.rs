//! Security groups and their rules.

use ipnet::{Ipv4Net, Ipv6Net};

/// A security group of a VPC.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Name, unique in the VPC without regard to letter case.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// VPC that it belongs to.
    pub vpc_id: String,
    /// Ingress and egress rules, one source each.
    pub rules: Vec<SecurityGroupRule>,
}

/// One rule of a security group: one protocol, one range of ports, one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroupRule {
    /// `sgr-…`.
    pub id: String,
    /// What it allows.
    pub permission: Permission,
    /// Free text; takes no part in equality of rules.
    pub description: Option<String>,
}

/// What a rule allows; two rules with equal permissions are duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Direction.
    pub egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `-1`, or a protocol number.
    pub protocol: String,
    /// First port (or ICMP type); none for protocol `-1`.
    pub from_port: Option<i32>,
    /// Last port (or ICMP code).
    pub to_port: Option<i32>,
    /// The other end.
    pub peer: Peer,
}

/// The other end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// IPv4 range in canonical form.
    Ipv4(Ipv4Net),
    /// IPv6 range in canonical form.
    Ipv6(Ipv6Net),
    /// Members of a security group.
    Group(String),
    /// A managed prefix list.
    PrefixList(String),
}
