//! Hosted zones, record sets, changes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Refusal, State, Transition, dns_name, tags::check_tag};

pub use super::record_set::{AliasTarget, RecordSet, Routing, RoutingPolicy};

/// Tags that one call may add, and keys that it may remove.
const TAGS_PER_CALL: usize = 10;

/// The most octets of a comment.
const COMMENT: usize = 256;

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
    /// VPCs of other accounts that may be associated: VPC id and region.
    pub authorized: BTreeSet<(String, String)>,
    /// Until when a change of the zone is being processed.
    pub busy_until: Option<Timestamp>,
    /// Record sets in the order of the listing.
    pub records: BTreeMap<RecordKey, RecordSet>,
}

/// Identity of a record set; its order is the order of listings (labels
/// reversed, then type, then set identifier).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// Labels from the root downwards, as `dns_name::reversed` joins them.
    pub reversed: String,
    /// `A`, `TXT`, …
    pub kind: String,
    /// Set identifier of routed records, empty for simple ones.
    pub set_identifier: String,
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
    /// Whether the zone is to be private; as the VPC says if absent.
    pub private: Option<bool>,
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
        self.hosted_zones
            .get(bare)
            .ok_or_else(|| no_such_zone(bare))
    }

    /// CreateHostedZone: answers zone id and change id.
    pub fn create_hosted_zone(&mut self, new: NewZone, now: Timestamp) -> Answer<(String, String)> {
        let name = dns_name::canonical(&new.name);
        check_zone_name(&new.name, new.vpc.is_some())?;
        if new.caller_reference.is_empty() {
            return Err(invalid("A caller reference is needed"));
        }
        check_comment(new.comment.as_deref())?;
        match (new.private, &new.vpc) {
            (Some(true), None) => {
                return Err(invalid(
                    "When you create a private hosted zone, you must also specify a VPC",
                ));
            }
            (Some(false), Some(_)) => {
                return Err(invalid(
                    "A VPC can be specified for private hosted zones only",
                ));
            }
            _ => {}
        }
        // A reference stays taken when its zone is gone.
        if self.caller_references.contains(&new.caller_reference) {
            return Err(Refusal::new(
                "HostedZoneAlreadyExists",
                format!(
                    "A hosted zone has already been created with the specified caller reference: {}",
                    new.caller_reference
                ),
            ));
        }
        if let Some((vpc, region)) = &new.vpc {
            self.check_zone_vpc(vpc, region)?;
            self.check_no_namesake(&name, vpc, region)?;
        }
        if self.hosted_zones.len() >= self.quotas.limit("hosted-zones") {
            return Err(Refusal::new(
                "TooManyHostedZones",
                "Limits Exceeded: MAX_HOSTED_ZONES_BY_OWNER - Cannot create more hosted zones.",
            ));
        }
        let id = format!("Z{}", self.ids.capitals(20));
        let name_servers = self.name_servers(new.vpc.is_some());
        let mut zone = HostedZone {
            id: id.clone(),
            name: name.clone(),
            caller_reference: new.caller_reference.clone(),
            comment: new.comment,
            private: new.vpc.is_some(),
            vpcs: new.vpc.into_iter().collect(),
            name_servers: name_servers.clone(),
            authorized: BTreeSet::new(),
            busy_until: None,
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
        self.caller_references.insert(new.caller_reference);
        self.hosted_zones.insert(id.clone(), zone);
        let change = self.add_change(&id, None, now);
        Ok((id, change))
    }

    /// Four name servers: those of a public zone are its own, so that zones of
    /// one name share none; private zones all have the same.
    fn name_servers(&mut self, private: bool) -> Vec<String> {
        [("com", 0), ("net", 512), ("org", 1024), ("co.uk", 1536)]
            .into_iter()
            .map(|(ending, base)| {
                let (number, group) = if private {
                    (base, 0)
                } else {
                    let drawn = self.ids.below(511) + 1;
                    (base + drawn, drawn / 8)
                };
                format!("ns-{number}.awsdns-{group:02}.{ending}")
            })
            .collect()
    }

    /// UpdateHostedZoneComment: without a comment there is none any more.
    pub fn update_zone_comment(
        &mut self,
        id: &str,
        comment: Option<String>,
        now: Timestamp,
    ) -> Answer<()> {
        check_comment(comment.as_deref())?;
        let zone = self.zone_to_change(id, now)?;
        zone.comment = comment;
        Ok(())
    }

    /// A zone that no other change is being processed for.
    pub(super) fn zone_to_change(&mut self, id: &str, now: Timestamp) -> Answer<&mut HostedZone> {
        let zone = self.hosted_zone(id)?;
        zone.check_idle(now)?;
        let id = zone.id.clone();
        self.hosted_zones
            .get_mut(&id)
            .ok_or_else(|| no_such_zone(&id))
    }

    /// A change of the zone is being processed for a while: at least until it is
    /// answered, so that changes side by side meet each other.
    pub(super) fn occupy_zone(&mut self, id: &str, now: Timestamp) {
        let knob = self.timing.zone_busy_ms;
        // Nothing is drawn where nothing takes time, so that draws stay as they are.
        let busy = match knob {
            0 => 0,
            _ => self.timing.duration_ms(knob, self.draws.fraction()),
        };
        let busy = busy.max(self.timing.latency_ms);
        if busy > 0
            && let Some(zone) = self.hosted_zones.get_mut(id)
        {
            let busy = SignedDuration::from_millis(i64::try_from(busy).unwrap_or(i64::MAX));
            zone.busy_until = now.checked_add(busy).ok();
        }
    }

    /// DeleteHostedZone: refused while it has records of its own; answers the change id.
    pub fn delete_hosted_zone(&mut self, id: &str, now: Timestamp) -> Answer<String> {
        let zone = self.hosted_zone(id)?;
        zone.check_idle(now)?;
        let (id, name) = (zone.id.clone(), zone.name.clone());
        let foreign = zone
            .records
            .values()
            .any(|record| record.name != name || !matches!(record.kind.as_str(), "NS" | "SOA"));
        if foreign {
            return Err(Refusal::new(
                "HostedZoneNotEmpty",
                "The specified hosted zone contains non-required resource record sets  and so cannot be deleted.",
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

    /// ChangeTagsForResource of a hosted zone or health check, by the id under
    /// which its tags are kept.
    pub fn change_route53_tags(
        &mut self,
        id: &str,
        add: &[(String, String)],
        remove: &[String],
    ) -> Answer<()> {
        if add.is_empty() && remove.is_empty() {
            return Err(invalid(
                "You must specify at least one of AddTags and RemoveTagKeys",
            ));
        }
        if add.len() > TAGS_PER_CALL || remove.len() > TAGS_PER_CALL {
            return Err(invalid(format!(
                "At most {TAGS_PER_CALL} tags can be added and {TAGS_PER_CALL} keys removed in one call"
            )));
        }
        let mut after = self.tags.get(id).cloned().unwrap_or_default();
        after.retain(|key, _| !remove.contains(key));
        let mut keys = BTreeSet::new();
        for (key, value) in add {
            check_tag(key, value).map_err(invalid)?;
            if !keys.insert(key) || remove.contains(key) {
                return Err(invalid(format!(
                    "The tag key '{key}' was specified more than once"
                )));
            }
            after.insert(key.clone(), value.clone());
        }
        let most = self.quotas.limit("tags-per-resource");
        if after.len() > most {
            return Err(invalid(format!("A resource can have at most {most} tags")));
        }
        self.tags.insert(id.to_owned(), after);
        Ok(())
    }
}

impl HostedZone {
    /// `PriorRequestNotComplete` while another change of the zone is being processed.
    pub(super) fn check_idle(&self, now: Timestamp) -> Answer<()> {
        if self.busy_until.is_some_and(|until| now < until) {
            return Err(Refusal::new(
                "PriorRequestNotComplete",
                "The request was rejected because Route 53 was still processing a prior request.",
            ));
        }
        Ok(())
    }
}

/// An id without `/hostedzone/` or `/change/`.
pub fn bare_id(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// A public zone is no top-level domain, and no zone is a wildcard.
fn check_zone_name(name: &str, private: bool) -> Answer<()> {
    let stored = dns_name::canonical(name);
    let top_level = !private && !stored.trim_end_matches('.').contains('.');
    if dns_name::fault(name).is_some() || stored.starts_with("*.") || top_level {
        return Err(Refusal::new(
            "InvalidDomainName",
            format!("{name} is not a valid domain name"),
        ));
    }
    Ok(())
}

fn check_comment(comment: Option<&str>) -> Answer<()> {
    if comment.is_some_and(|comment| comment.chars().count() > COMMENT) {
        return Err(invalid(format!(
            "The comment must have at most {COMMENT} characters"
        )));
    }
    Ok(())
}

fn no_such_zone(id: &str) -> Refusal {
    Refusal::new(
        "NoSuchHostedZone",
        format!("No hosted zone found with ID: {id}"),
    )
}

pub(super) fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidInput", text)
}

#[cfg(test)]
mod tests;
