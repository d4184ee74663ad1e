//! Hostnames to alias records with their owner TXT records.

use std::collections::BTreeMap;
use std::fmt;

use super::finding::Finding;
use super::group::GroupId;
use super::spec::ObjectName;

/// A hosted zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Id without the prefix `/hostedzone/`.
    pub id: String,
    /// Name in lower case without the final dot.
    pub name: String,
    /// Private zones, and the VPCs that they are associated with.
    pub private_vpcs: Option<Vec<String>>,
}

/// Where an alias record points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasTarget {
    /// DNS name of the load balancer: lower case, no final dot, no
    /// `dualstack.` in front.
    pub dns_name: String,
    /// Hosted zone id of the load balancer.
    pub hosted_zone_id: String,
}

/// One Ingress's wish for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The Ingress.
    pub ingress: ObjectName,
    /// Its group; the record belongs to the group.
    pub group: GroupId,
    /// Id of the zone that the record would go into; it depends on the scheme
    /// of the group's load balancer. `None` where none can be named now: no
    /// record is made for this claim, and one that is there stays.
    pub zone: Option<String>,
    /// Where the record should point; `None` until the group's load balancer
    /// is active and has the rules for the host.
    pub target: Option<AliasTarget>,
    /// Whether that is about to come: a record that is to go to this claim
    /// waits for it, rather than go and come back.
    pub comes: bool,
    /// Whether the Ingress is frozen: no record is made for it, and one that
    /// is there stays.
    pub frozen: bool,
}

/// The desired state of all records: host (lower case, no final dot, `*.` for
/// a wildcard) to the claims on it, oldest Ingress first, then by name; never
/// empty.
pub type DesiredRecords = BTreeMap<String, Vec<Claim>>;

/// What is wrong with the records of hosts, or worth knowing, by host.
pub type HostFindings = BTreeMap<String, Vec<Finding>>;

/// A host in a zone: public and private zones may have one name, and hold the
/// same host for different load balancers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The host.
    pub host: String,
    /// Id of the hosted zone.
    pub zone: String,
}

impl Place {
    /// A host in a zone.
    pub fn new(host: impl Into<String>, zone: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            zone: zone.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in zone {}", self.host, self.zone)
    }
}

/// A record set as Route 53 holds it: exact, since a DELETE must repeat it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordSet {
    /// Name in lower case without final dot; `*.` for a wildcard.
    pub name: String,
    /// `A`, `TXT`, `CNAME`, …
    pub kind: String,
    /// Seconds; `None` for an alias.
    pub ttl: Option<i64>,
    /// Values; empty for an alias.
    pub values: Vec<String>,
    /// Alias target, exactly as answered.
    pub alias: Option<RawAlias>,
    /// Set identifier of a routed record.
    pub set_identifier: Option<String>,
}

/// An alias target exactly as Route 53 answers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawAlias {
    /// DNS name as answered (lower case, final dot).
    pub dns_name: String,
    /// Hosted zone id.
    pub hosted_zone_id: String,
    /// Whether Route 53 looks at the target's health.
    pub evaluate_target_health: bool,
}

/// What Route 53 holds for the hosts that we look at: the record sets of each
/// and those at the name of its owner TXT. A host that was read and has none
/// is there with empty lists; one that was not read is missing.
pub type ObservedRecords = BTreeMap<Place, HostRecords>;

/// The record sets of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRecords {
    /// All record sets at the host's name.
    pub at_host: Vec<RecordSet>,
    /// All record sets at the name of its owner TXT.
    pub at_owner: Vec<RecordSet>,
}

/// State of one host's record, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// Written, and Route 53 has spread it.
    InSync,
    /// Written, not yet spread.
    Pending,
    /// Waits for the load balancer.
    WaitingForLoadBalancer,
    /// Nobody states the host any more; the record, if it is the group's, is
    /// still to be deleted.
    Leaving,
    /// Not written while everyone who wants it is frozen; one of those.
    Frozen(ObjectName),
    /// Not written, as the load balancer gets no rule for the host: AWS takes
    /// no more.
    WithoutRule,
    /// Not written; why, in words.
    Refused(String),
}

impl fmt::Display for RecordState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InSync => f.write_str("in sync"),
            Self::Pending => f.write_str("pending"),
            Self::WaitingForLoadBalancer => f.write_str("waits for the load balancer"),
            Self::Leaving => f.write_str("to be deleted"),
            Self::Frozen(ingress) => write!(f, "not made while Ingress {ingress} is frozen"),
            Self::WithoutRule => {
                f.write_str("not made: the load balancer gets no rule for the host")
            }
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}
