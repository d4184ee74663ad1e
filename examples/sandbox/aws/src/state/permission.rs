//! What rules of security groups allow: as callers spell it, and as it is kept.

use ipnet::{Ipv4Net, Ipv6Net};

use super::{Answer, Refusal};

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
    /// Members of a security group of this account.
    Group(String),
    /// Members of a security group of another account, reached by peering.
    ForeignGroup {
        /// `sg-…`.
        id: String,
        /// The account.
        owner: String,
    },
    /// A managed prefix list.
    PrefixList(String),
}

/// A permission as a caller spells it: one range of ports with many peers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewPermission {
    /// Protocol name or number.
    pub protocol: String,
    /// First port.
    pub from_port: Option<i32>,
    /// Last port.
    pub to_port: Option<i32>,
    /// IPv4 ranges with descriptions.
    pub ipv4: Vec<(String, Option<String>)>,
    /// IPv6 ranges with descriptions.
    pub ipv6: Vec<(String, Option<String>)>,
    /// Security groups with descriptions.
    pub groups: Vec<(String, Option<String>)>,
    /// Security groups of other accounts: ids, accounts, descriptions.
    pub foreign_groups: Vec<(String, String, Option<String>)>,
    /// Prefix lists with descriptions.
    pub prefix_lists: Vec<(String, Option<String>)>,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ipv4(range) => range.fmt(f),
            Self::Ipv6(range) => range.fmt(f),
            Self::Group(id) | Self::ForeignGroup { id, .. } | Self::PrefixList(id) => id.fmt(f),
        }
    }
}

/// A number for each kind of source, which a rule keeps.
pub(super) fn kind_of(peer: &Peer) -> u8 {
    match peer {
        Peer::Ipv4(_) => 0,
        Peer::Ipv6(_) => 1,
        Peer::Group(_) | Peer::ForeignGroup { .. } => 2,
        Peer::PrefixList(_) => 3,
    }
}

/// One rule for each peer, in canonical form.
pub(super) fn expand(
    egress: bool,
    permissions: &[NewPermission],
) -> Answer<Vec<(Permission, Option<String>)>> {
    let mut rules = Vec::new();
    for new in permissions {
        let (protocol, from_port, to_port) = normalised(new)?;
        let before = rules.len();
        let mut add = |peer, description: &Option<String>| {
            let permission = Permission {
                egress,
                protocol: protocol.clone(),
                from_port,
                to_port,
                peer,
            };
            rules.push((
                permission,
                description.clone().filter(|text| !text.is_empty()),
            ));
        };
        for (range, description) in &new.ipv4 {
            let net: Ipv4Net = range.parse().map_err(|_| malformed(range))?;
            add(Peer::Ipv4(net.trunc()), description);
        }
        for (range, description) in &new.ipv6 {
            let net: Ipv6Net = range.parse().map_err(|_| malformed(range))?;
            add(Peer::Ipv6(net.trunc()), description);
        }
        for (id, description) in &new.groups {
            add(Peer::Group(id.clone()), description);
        }
        for (id, owner, description) in &new.foreign_groups {
            let peer = Peer::ForeignGroup {
                id: id.clone(),
                owner: owner.clone(),
            };
            add(peer, description);
        }
        for (id, description) in &new.prefix_lists {
            add(Peer::PrefixList(id.clone()), description);
        }
        if rules.len() == before {
            return Err(Refusal::new(
                "InvalidPermission.Malformed",
                "A permission must have at least one source or destination",
            ));
        }
    }
    Ok(rules)
}

/// Protocol by name and ports as AWS stores them.
fn normalised(new: &NewPermission) -> Answer<(String, Option<i32>, Option<i32>)> {
    let protocol = match new.protocol.to_ascii_lowercase().as_str() {
        "6" | "tcp" => "tcp",
        "17" | "udp" => "udp",
        "1" | "icmp" => "icmp",
        "58" | "icmpv6" => "icmpv6",
        "-1" | "all" => return Ok(("-1".to_owned(), None, None)),
        number if number.parse::<u8>().is_ok() => {
            let number = number.parse::<u8>().unwrap_or_default();
            return Ok((number.to_string(), None, None));
        }
        other => {
            return Err(Refusal::parameter(format!(
                "Invalid value '{other}' for IP protocol. Unknown protocol."
            )));
        }
    };
    if matches!(protocol, "icmp" | "icmpv6") {
        return icmp(protocol, new);
    }
    let port = |port: i32| (0..=65535).contains(&port);
    match (new.from_port, new.to_port) {
        (Some(from), Some(to)) if port(from) && port(to) && from <= to => {
            Ok((protocol.to_owned(), Some(from), Some(to)))
        }
        (Some(from), Some(to)) if port(from) && port(to) => Err(Refusal::parameter(format!(
            "Invalid TCP/UDP port range ({from}:{to})"
        ))),
        (Some(from), Some(to)) => Err(Refusal::parameter(format!(
            "Invalid value '{}' for portRange. Invalid TCP/UDP port number.",
            if port(from) { to } else { from }
        ))),
        _ => Err(Refusal::parameter(
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
        )),
    }
}

/// Type and code of ICMP: -1 means all, and all types have all codes.
fn icmp(protocol: &str, new: &NewPermission) -> Answer<(String, Option<i32>, Option<i32>)> {
    let kind = new.from_port.unwrap_or(-1);
    let code = new.to_port.unwrap_or(-1);
    let number = |value: i32| (-1..=255).contains(&value);
    if !number(kind) || !number(code) {
        return Err(Refusal::parameter(format!(
            "Invalid value '{}' for portRange. Invalid ICMP type or code.",
            if number(kind) { code } else { kind }
        )));
    }
    if kind == -1 && code != -1 {
        return Err(Refusal::parameter(format!(
            "ICMP code ({code}) must be -1 if ICMP type is -1."
        )));
    }
    Ok((protocol.to_owned(), Some(kind), Some(code)))
}

fn malformed(range: &str) -> Refusal {
    Refusal::parameter(format!("CIDR block {range} is malformed"))
}
