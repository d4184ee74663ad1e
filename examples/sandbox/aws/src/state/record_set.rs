//! Record sets: what is stored, and what a change may ask for.

use super::{Answer, Refusal, dns_name, places, record_value};

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
    /// Where the resource is, with the bias of its area.
    Geoproximity(Geoproximity),
}

impl RoutingPolicy {
    /// The word for the policy in Route 53's messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Weighted(_) => "weighted",
            Self::Latency(_) => "latency",
            Self::Failover(_) => "failover",
            Self::MultiValue => "multivalue answer",
            Self::Geolocation { .. } => "geolocation",
            Self::Geoproximity(_) => "geoproximity",
        }
    }
}

/// The place of a geoproximity record set: a region, a group of local zones or
/// coordinates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Geoproximity {
    /// Region.
    pub region: Option<String>,
    /// Group of local zones.
    pub local_zone_group: Option<String>,
    /// Latitude and longitude as sent.
    pub coordinates: Option<(String, String)>,
    /// -99 to 99.
    pub bias: Option<i8>,
}

/// Codes of a geolocation as sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Geolocation {
    /// Continent code.
    pub continent: Option<String>,
    /// Country code.
    pub country: Option<String>,
    /// Subdivision code.
    pub subdivision: Option<String>,
}

/// A record set as a change asks for it, before its parts are known to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRecordSet {
    /// Name as sent.
    pub name: String,
    /// Type.
    pub kind: String,
    /// Seconds.
    pub ttl: Option<u32>,
    /// Values.
    pub values: Option<Vec<String>>,
    /// Alias target.
    pub alias: Option<AliasTarget>,
    /// Set identifier.
    pub set_identifier: Option<String>,
    /// Weight.
    pub weight: Option<u8>,
    /// Region of latency routing.
    pub region: Option<String>,
    /// Role of failover.
    pub failover: Option<String>,
    /// Multivalue answer.
    pub multi_value: Option<bool>,
    /// Geolocation.
    pub geolocation: Option<Geolocation>,
    /// Geoproximity.
    pub geoproximity: Option<Geoproximity>,
    /// Id of a CIDR collection; none exist here.
    pub cidr_collection: Option<String>,
    /// Id of a traffic policy instance; none exist here.
    pub traffic_policy_instance: Option<String>,
    /// Health check id.
    pub health_check_id: Option<String>,
}

impl NewRecordSet {
    /// The record set in stored form, or `InvalidInput` when its parts exclude
    /// each other. `action` is the word on the wire, for the message.
    pub fn checked(self, action: &str) -> Answer<RecordSet> {
        let place = format!(
            "in Change with [Action={action}, Name={}, Type={}, SetIdentifier={}]",
            self.name,
            self.kind,
            self.set_identifier.as_deref().unwrap_or("null")
        );
        let invalid = |text: String| Err(invalid(format!("Invalid request: {text} {place}")));
        let contents = [
            self.alias.is_some(),
            self.ttl.is_some() || self.values.is_some(),
            self.traffic_policy_instance.is_some(),
        ];
        let whole = self.alias.is_some()
            || self.traffic_policy_instance.is_some()
            || (self.ttl.is_some() && self.values.as_ref().is_some_and(|all| !all.is_empty()));
        let expected = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId], but found";
        match contents.iter().filter(|given| **given).count() {
            1 if whole => {}
            0 | 1 => return invalid(format!("{expected} none")),
            _ => return invalid(format!("{expected} more than one")),
        }
        if let Some(instance) = &self.traffic_policy_instance {
            return invalid(format!(
                "No traffic policy instance found with ID: {instance}"
            ));
        }
        if let Some(collection) = &self.cidr_collection {
            return invalid(format!("No CIDR collection found with ID: {collection}"));
        }
        let policies = self.policies()?;
        let expected = "Expected exactly one of [Weight, Region, Failover, GeoLocation, MultiValueAnswer, GeoProximityLocation, or CidrRoutingConfig], but found";
        let mut policies = policies.into_iter();
        let policy = policies.next();
        if policies.next().is_some() {
            return invalid(format!("{expected} more than one"));
        }
        let routing = match (policy, self.set_identifier.clone()) {
            (None, None) => None,
            (None, Some(_)) => return invalid(format!("{expected} none")),
            (Some(_), None) => return invalid("Missing field 'SetIdentifier'".to_owned()),
            (Some(RoutingPolicy::MultiValue), Some(_)) if self.alias.is_some() => {
                return invalid(
                    "MultiValueAnswer cannot be specified together with AliasTarget".to_owned(),
                );
            }
            (Some(policy), Some(set_identifier)) => Some(Routing {
                set_identifier,
                policy,
            }),
        };
        Ok(RecordSet {
            name: dns_name::canonical(&self.name),
            kind: self.kind,
            ttl: self.ttl,
            values: self.values.unwrap_or_default(),
            alias: self.alias.map(|alias| AliasTarget {
                dns_name: dns_name::canonical(&alias.dns_name),
                ..alias
            }),
            routing,
            health_check_id: self.health_check_id,
        })
    }

    /// All policies that were asked for.
    fn policies(&self) -> Answer<Vec<RoutingPolicy>> {
        let geolocation = match &self.geolocation {
            None => None,
            Some(location) => Some(places::checked(location)?),
        };
        if let Some(place) = &self.geoproximity {
            let given = [
                place.region.is_some(),
                place.local_zone_group.is_some(),
                place.coordinates.is_some(),
            ];
            if given.iter().filter(|given| **given).count() != 1 {
                return Err(invalid(
                    "Invalid request: Expected exactly one of [AWSRegion, LocalZoneGroup, or Coordinates] in GeoProximityLocation",
                ));
            }
            if let Some((latitude, longitude)) = &place.coordinates {
                let within = |text: &str, most: f64| {
                    text.parse::<f64>()
                        .is_ok_and(|degrees| degrees.abs() <= most)
                };
                if !within(latitude, 90.0) || !within(longitude, 180.0) {
                    return Err(invalid("The coordinates are not valid"));
                }
            }
        }
        Ok([
            self.weight.map(RoutingPolicy::Weighted),
            self.region.clone().map(RoutingPolicy::Latency),
            self.failover.clone().map(RoutingPolicy::Failover),
            self.multi_value
                .filter(|wanted| *wanted)
                .map(|_| RoutingPolicy::MultiValue),
            geolocation,
            self.geoproximity.clone().map(RoutingPolicy::Geoproximity),
        ]
        .into_iter()
        .flatten()
        .collect())
    }
}

impl RecordSet {
    /// What makes the record set wrong by itself, in Route 53's words.
    pub(super) fn malformed(&self, most_values: usize) -> Vec<String> {
        let shown = dns_name::escaped(&self.name);
        let mut faults: Vec<String> = dns_name::fault(&self.name).into_iter().collect();
        if self.kind == "NS" && self.name.starts_with("*.") {
            faults.push(format!(
                "RRSet of type NS with DNS name {shown} is not permitted: the wildcard * cannot be used with NS"
            ));
        }
        if let Some(routing) = &self.routing {
            let cname = routing.policy == RoutingPolicy::MultiValue && self.kind == "CNAME";
            if cname || matches!(self.kind.as_str(), "NS" | "SOA" | "DS") {
                faults.push(format!(
                    "RRSet with DNS name {shown}, type {}, SetIdentifier {} cannot be created as the type is not permitted for {} RRSets.",
                    self.kind,
                    routing.set_identifier,
                    routing.policy.word()
                ));
            }
            let one = matches!(
                routing.policy,
                RoutingPolicy::Weighted(_) | RoutingPolicy::Latency(_)
            );
            if one && self.values.len() > 1 {
                faults.push(format!(
                    "RRSet with DNS name {shown}, type {}, SetIdentifier {} cannot be created as {} RRSets must contain exactly one resource record.",
                    self.kind,
                    routing.set_identifier,
                    routing.policy.word()
                ));
            }
        }
        if let Some(alias) = &self.alias {
            faults.extend(dns_name::fault(&alias.dns_name));
            if matches!(self.kind.as_str(), "NS" | "SOA") {
                faults.push(format!(
                    "RRSet of type {} with DNS name {shown} cannot be an alias.",
                    self.kind
                ));
            }
            let primary = self.routing.as_ref().is_some_and(
                |routing| matches!(&routing.policy, RoutingPolicy::Failover(role) if role == "PRIMARY"),
            );
            if primary && !alias.evaluate_target_health && self.health_check_id.is_none() {
                faults.push(format!(
                    "RRSet with DNS name {shown}, type {} is a primary failover alias and must evaluate the health of its target.",
                    self.kind
                ));
            }
        }
        if self.values.len() > most_values {
            faults.push(format!(
                "Cannot have more than {most_values} records in a RRSet."
            ));
        }
        if self.values.len() > 1 && matches!(self.kind.as_str(), "CNAME" | "SOA") {
            faults.push(format!(
                "RRSet of type {} with DNS name {shown} must have exactly one resource record.",
                self.kind
            ));
        }
        let mut seen: Vec<String> = Vec::new();
        for value in &self.values {
            if let Some(fault) = record_value::fault(&self.kind, value) {
                faults.push(fault);
                continue;
            }
            let comparable = record_value::comparable(&self.kind, value);
            if seen.contains(&comparable) {
                faults.push(format!("Duplicate Resource Record: '{value}'"));
            }
            seen.push(comparable);
        }
        faults
    }

    /// Equality for DELETE: everything counts but the order and the spelling of values.
    pub(super) fn same(&self, other: &Self) -> bool {
        let comparable = |record: &Self| {
            let mut values: Vec<String> = record
                .values
                .iter()
                .map(|value| record_value::comparable(&record.kind, value))
                .collect();
            values.sort();
            Self {
                values,
                ..record.clone()
            }
        };
        comparable(self) == comparable(other)
    }
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidInput", text)
}

#[cfg(test)]
mod tests;
