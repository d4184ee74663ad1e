//! Hosted zones, record sets, changes.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// A hosted zone.
#[derive(Debug, Clone, PartialEq)]
pub struct HostedZone {
    /// `Z…`, without prefix.
    pub id: String,
    /// Name in lower case with the final dot.
    pub name: String,
    /// Unique text of the caller.
    pub caller_reference: String,
    /// Comment.
    pub comment: Option<String>,
    /// Private zones answer only in their VPCs.
    pub private: bool,
    /// VPCs of a private zone: VPC id and region.
    pub vpcs: Vec<(String, String)>,
    /// Name servers of a public zone, without final dot.
    pub name_servers: Vec<String>,
    /// Record sets in the order of the listing.
    pub records: BTreeMap<RecordKey, RecordSet>,
}

/// Identity of a record set; its order is the order of listings (labels
/// reversed, then type, then set identifier).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// Labels from the root downwards.
    pub reversed: Vec<String>,
    /// `A`, `TXT`, …
    pub kind: String,
    /// Set identifier of routed records, empty for simple ones.
    pub set_identifier: String,
}

/// A record set in stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Name in lower case with the final dot, not escaped (`*.example.com.`).
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `TXT`, `NS`, `SOA`, …
    pub kind: String,
    /// Seconds; none for aliases.
    pub ttl: Option<u32>,
    /// Values as sent (TXT in quotes); empty for aliases.
    pub values: Vec<String>,
    /// Alias target.
    pub alias: Option<AliasTarget>,
    /// Routing of records that share name and type.
    pub routing: Option<Routing>,
    /// Health check id.
    pub health_check_id: Option<String>,
}

/// Where an alias points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasTarget {
    /// Zone id of the target.
    pub hosted_zone_id: String,
    /// Name in lower case with the final dot, a `dualstack.` prefix kept.
    pub dns_name: String,
    /// Whether the target's health counts.
    pub evaluate_target_health: bool,
}

/// A routing policy with its set identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// 1 to 128 characters.
    pub set_identifier: String,
    /// The policy.
    pub policy: RoutingPolicy,
}

/// Routing policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutingPolicy {
    /// Share, 0 to 255.
    Weighted(u8),
    /// Region of the resource.
    Latency(String),
    /// `PRIMARY` or `SECONDARY`.
    Failover(String),
    /// Up to eight healthy values.
    MultiValue,
    /// Continent, country and subdivision codes as sent.
    Geolocation {
        /// Continent code.
        continent: Option<String>,
        /// Country code.
        country: Option<String>,
        /// Subdivision code.
        subdivision: Option<String>,
    },
}

/// A change batch on its way to the name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `C…`, without prefix.
    pub id: String,
    /// Zone that was changed.
    pub zone_id: String,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// `PENDING` until it is `INSYNC`.
    pub insync: bool,
    /// Comment of the batch.
    pub comment: Option<String>,
}
