//! Hosted zones, record sets, changes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Answer, Refusal, State, Transition, dns_name, tags::check_tag};

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

/// What CreateHostedZone asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewZone {
    /// Name.
    pub name: String,
    /// Unique text.
    pub caller_reference: String,
    /// Comment.
    pub comment: Option<String>,
    /// VPC and region of a private zone.
    pub vpc: Option<(String, String)>,
}

impl HostedZone {
    /// Where a record set stands in the listing.
    pub fn key_of(record: &RecordSet) -> RecordKey {
        RecordKey {
            reversed: dns_name::reversed(&record.name),
            kind: record.kind.clone(),
            set_identifier: record
                .routing
                .as_ref()
                .map(|routing| routing.set_identifier.clone())
                .unwrap_or_default(),
        }
    }
}

impl State {
    /// A hosted zone by id, with or without its prefix, or `NoSuchHostedZone`.
    pub fn hosted_zone(&self, id: &str) -> Answer<&HostedZone> {
        let bare = bare_id(id);
        self.hosted_zones.get(bare).ok_or_else(|| {
            Refusal::new(
                "NoSuchHostedZone",
                format!("No hosted zone found with ID: {bare}"),
            )
        })
    }

    /// CreateHostedZone: answers zone id and change id.
    pub fn create_hosted_zone(&mut self, new: NewZone, now: Timestamp) -> Answer<(String, String)> {
        let name = dns_name::canonical(&new.name);
        if !dns_name::is_legal(&name) {
            return Err(Refusal::new(
                "InvalidDomainName",
                format!("{} is not a valid domain name", new.name),
            ));
        }
        if new.caller_reference.is_empty() {
            return Err(Refusal::new("InvalidInput", "A caller reference is needed"));
        }
        let repeated = self
            .hosted_zones
            .values()
            .any(|zone| zone.caller_reference == new.caller_reference);
        if repeated {
            return Err(Refusal::new(
                "HostedZoneAlreadyExists",
                format!(
                    "A hosted zone has already been created with the specified caller reference: {}",
                    new.caller_reference
                ),
            ));
        }
        if let Some((vpc, _)) = &new.vpc
            && !self.vpcs.contains_key(vpc)
        {
            return Err(Refusal::new(
                "InvalidVPCId",
                format!("The VPC: {vpc} does not exist"),
            ));
        }
        if self.hosted_zones.len() >= self.quotas.limit("hosted-zones") {
            return Err(Refusal::new(
                "TooManyHostedZones",
                "The maximum number of hosted zones has been reached",
            ));
        }
        let id = format!("Z{}", self.ids.capitals(20));
        let name_servers: Vec<String> = ["com", "net", "org", "co.uk"]
            .iter()
            .zip([11, 523, 1040, 1536])
            .map(|(ending, number)| format!("ns-{number}.awsdns-{:02}.{ending}", number % 64))
            .collect();
        let mut zone = HostedZone {
            id: id.clone(),
            name: name.clone(),
            caller_reference: new.caller_reference,
            comment: new.comment,
            private: new.vpc.is_some(),
            vpcs: new.vpc.into_iter().collect(),
            name_servers: name_servers.clone(),
            records: BTreeMap::new(),
        };
        let soa = format!(
            "{}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
            name_servers[0]
        );
        let servers = name_servers
            .iter()
            .map(|server| format!("{server}."))
            .collect();
        for (kind, ttl, values) in [("NS", 172_800, servers), ("SOA", 900, vec![soa])] {
            let record = RecordSet {
                name: name.clone(),
                kind: kind.to_owned(),
                ttl: Some(ttl),
                values,
                alias: None,
                routing: None,
                health_check_id: None,
            };
            zone.records.insert(HostedZone::key_of(&record), record);
        }
        self.hosted_zones.insert(id.clone(), zone);
        let change = self.add_change(&id, None, now);
        Ok((id, change))
    }

    /// DeleteHostedZone: refused while it has records of its own; answers the change id.
    pub fn delete_hosted_zone(&mut self, id: &str, now: Timestamp) -> Answer<String> {
        let zone = self.hosted_zone(id)?;
        let (id, name) = (zone.id.clone(), zone.name.clone());
        let foreign = zone
            .records
            .values()
            .any(|record| record.name != name || !matches!(record.kind.as_str(), "NS" | "SOA"));
        if foreign {
            return Err(Refusal::new(
                "HostedZoneNotEmpty",
                "The specified hosted zone contains non-required resource record sets and so cannot be deleted.",
            ));
        }
        self.hosted_zones.remove(&id);
        self.tags.remove(&id);
        Ok(self.add_change(&id, None, now))
    }

    /// A change by id, with or without its prefix, or `NoSuchChange`.
    pub fn change(&self, id: &str) -> Answer<&Change> {
        let bare = bare_id(id);
        self.changes.get(bare).ok_or_else(|| {
            Refusal::new(
                "NoSuchChange",
                format!("Could not find resource with ID: {bare}"),
            )
        })
    }

    /// Begins a change that will be `INSYNC` after a while.
    pub(crate) fn add_change(
        &mut self,
        zone_id: &str,
        comment: Option<String>,
        now: Timestamp,
    ) -> String {
        let id = format!("C{}", self.ids.capitals(20));
        let change = Change {
            id: id.clone(),
            zone_id: zone_id.to_owned(),
            submitted: now,
            insync: false,
            comment,
        };
        self.changes.insert(id.clone(), change);
        self.schedule(
            now,
            self.timing.insync_ms,
            Transition::ChangeInsync(id.clone()),
        );
        id
    }

    /// ChangeTagsForResource of a hosted zone.
    pub fn change_zone_tags(
        &mut self,
        id: &str,
        add: &[(String, String)],
        remove: &[String],
    ) -> Answer<()> {
        let id = self.hosted_zone(id)?.id.clone();
        for (key, value) in add {
            check_tag(key, value).map_err(|text| Refusal::new("InvalidInput", text))?;
        }
        let tags = self.tags.entry(id).or_default();
        tags.retain(|key, _| !remove.contains(key));
        tags.extend(add.iter().cloned());
        Ok(())
    }
}

/// An id without `/hostedzone/` or `/change/`.
pub fn bare_id(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}
