//! ChangeResourceRecordSets: a batch is judged change by change against the
//! zone as it evolves, and takes effect as a whole or not at all.

use std::{collections::BTreeMap, net::Ipv4Addr, net::Ipv6Addr};

use jiff::Timestamp;

use super::{
    AliasTarget, Answer, HostedZone, RecordKey, RecordSet, Refusal, State, dns_name,
    regions::canonical_zone,
};

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeAction {
    /// Refused if the record set exists.
    Create,
    /// Refused unless the record set is exactly as given.
    Delete,
    /// Sets the record set whatever is there.
    Upsert,
}

impl ChangeAction {
    /// Reads the word on the wire.
    pub fn parse(text: &str) -> Answer<Self> {
        match text {
            "CREATE" => Ok(Self::Create),
            "DELETE" => Ok(Self::Delete),
            "UPSERT" => Ok(Self::Upsert),
            other => Err(Refusal::new(
                "InvalidInput",
                format!(
                    "Value '{other}' at 'changeBatch.changes.action' failed to satisfy constraint: Member must satisfy enum value set: [CREATE, DELETE, UPSERT]"
                ),
            )),
        }
    }
}

/// A zone with the changes of a batch on top.
struct Draft<'a> {
    zone: &'a HostedZone,
    changed: BTreeMap<RecordKey, Option<RecordSet>>,
}

impl Draft<'_> {
    fn get(&self, key: &RecordKey) -> Option<&RecordSet> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.zone.records.get(key),
        }
    }

    /// Record sets of one name.
    fn of_name(&self, name: &str) -> Vec<&RecordSet> {
        let first = RecordKey {
            reversed: dns_name::reversed(name),
            kind: String::new(),
            set_identifier: String::new(),
        };
        let mut found: BTreeMap<&RecordKey, &RecordSet> = self
            .zone
            .records
            .range(first.clone()..)
            .take_while(|(key, _)| key.reversed == first.reversed)
            .collect();
        for (key, changed) in self
            .changed
            .range(first.clone()..)
            .take_while(|(key, _)| key.reversed == first.reversed)
        {
            match changed {
                Some(record) => found.insert(key, record),
                None => found.remove(key),
            };
        }
        found.into_values().collect()
    }
}

impl State {
    /// Applies a batch; answers the change id.
    pub fn change_record_sets(
        &mut self,
        zone_id: &str,
        changes: Vec<(ChangeAction, RecordSet)>,
        comment: Option<String>,
        now: Timestamp,
    ) -> Answer<String> {
        let zone = self.hosted_zone(zone_id)?;
        if changes.is_empty() {
            return Err(Refusal::new(
                "InvalidInput",
                "A change batch must have at least one change",
            ));
        }
        check_size(&changes)?;
        let mut draft = Draft {
            zone,
            changed: BTreeMap::new(),
        };
        let mut faults = Vec::new();
        for (action, record) in changes {
            let found = self.judge(&draft, action, &record);
            if found.is_empty() {
                let key = HostedZone::key_of(&record);
                let after = (action != ChangeAction::Delete).then_some(record);
                draft.changed.insert(key, after);
            }
            faults.extend(found);
        }
        let known = |key: &RecordKey| zone.records.contains_key(key);
        let added = draft
            .changed
            .iter()
            .filter(|(k, r)| r.is_some() && !known(k))
            .count();
        let removed = draft
            .changed
            .iter()
            .filter(|(k, r)| r.is_none() && known(k))
            .count();
        let most = self.quotas.limit("records-per-hosted-zone");
        if added > removed && zone.records.len() + added - removed > most {
            faults.push(format!(
                "The maximum number of resource record sets of the zone, {most}, has been reached"
            ));
        }
        if !faults.is_empty() {
            return Err(Refusal::new(
                "InvalidChangeBatch",
                format!("[{}]", faults.join(", ")),
            ));
        }
        let id = zone.id.clone();
        let changed = draft.changed;
        if let Some(zone) = self.hosted_zones.get_mut(&id) {
            for (key, record) in changed {
                match record {
                    Some(record) => zone.records.insert(key, record),
                    None => zone.records.remove(&key),
                };
            }
        }
        Ok(self.add_change(&id, comment, now))
    }

    /// Everything that is wrong with one change.
    fn judge(&self, draft: &Draft, action: ChangeAction, record: &RecordSet) -> Vec<String> {
        let zone = draft.zone;
        let shown = dns_name::escaped(&record.name);
        if !dns_name::is_within(&record.name, &zone.name) {
            return vec![format!(
                "RRSet with DNS name {shown} is not permitted in zone {}",
                zone.name
            )];
        }
        if let Some(fault) = malformed(record) {
            return vec![fault];
        }
        let key = HostedZone::key_of(record);
        let names = match &record.routing {
            Some(routing) => format!(
                "[name='{shown}', type='{}', set-identifier='{}']",
                record.kind, routing.set_identifier
            ),
            None => format!("[name='{shown}', type='{}']", record.kind),
        };
        let existing = draft.get(&key);
        match (action, existing) {
            (ChangeAction::Create, Some(_)) => {
                return vec![format!(
                    "Tried to create resource record set {names} but it already exists"
                )];
            }
            (ChangeAction::Delete, None) => {
                return vec![format!(
                    "Tried to delete resource record set {names} but it was not found"
                )];
            }
            (ChangeAction::Delete, Some(existing)) if !same(existing, record) => {
                return vec![format!(
                    "Tried to delete resource record set {names} but the values provided do not match the current values"
                )];
            }
            (ChangeAction::Delete, Some(_)) => {
                if record.name == zone.name && record.kind == "SOA" {
                    return vec!["A HostedZone must contain exactly one SOA record.".to_owned()];
                }
                if record.name == zone.name && record.kind == "NS" {
                    return vec![
                        "A HostedZone must contain at least one NS record for the zone itself."
                            .to_owned(),
                    ];
                }
                return Vec::new();
            }
            _ => {}
        }
        let mut faults = neighbours(draft, record, &key);
        if let Some(alias) = &record.alias {
            faults.extend(self.judge_alias(draft, record, alias));
        }
        faults
    }

    fn judge_alias(&self, draft: &Draft, record: &RecordSet, alias: &AliasTarget) -> Vec<String> {
        let target = format!(
            "Tried to create an alias that targets {}, type {} in zone {}, but ",
            dns_name::escaped(&alias.dns_name),
            record.kind,
            alias.hosted_zone_id
        );
        let outside = format!("{target}the alias target name does not lie within the target zone");
        let missing = format!("{target}that target was not found");
        if alias.hosted_zone_id == draft.zone.id {
            if !dns_name::is_within(&alias.dns_name, &draft.zone.name) {
                return vec![outside, missing];
            }
            let known = draft
                .of_name(&alias.dns_name)
                .iter()
                .any(|other| other.kind == record.kind);
            return if known { Vec::new() } else { vec![missing] };
        }
        let bare = alias
            .dns_name
            .strip_prefix("dualstack.")
            .unwrap_or(&alias.dns_name);
        let balancer = self.load_balancers.values().find(|balancer| {
            balancer
                .dns_name
                .eq_ignore_ascii_case(bare.trim_end_matches('.'))
        });
        let domain = format!(".{}.elb.{}.", self.region, self.dns_suffix());
        let of_region = canonical_zone(&self.region) == alias.hosted_zone_id;
        match balancer {
            Some(balancer) if balancer.canonical_hosted_zone_id == alias.hosted_zone_id => {
                if matches!(record.kind.as_str(), "A" | "AAAA") {
                    Vec::new()
                } else {
                    vec![missing]
                }
            }
            Some(_) => vec![outside, missing],
            None if of_region && !bare.ends_with(&domain) => vec![outside, missing],
            None => vec![missing],
        }
    }
}

/// Conflicts with other record sets of the same name.
fn neighbours(draft: &Draft, record: &RecordSet, key: &RecordKey) -> Vec<String> {
    let zone = draft.zone;
    let shown = dns_name::escaped(&record.name);
    if record.kind == "CNAME" && record.name == zone.name {
        return vec![format!(
            "RRSet of type CNAME with DNS name {shown} is not permitted at apex in zone {}",
            zone.name
        )];
    }
    let mut faults = Vec::new();
    for other in draft.of_name(&record.name) {
        if HostedZone::key_of(other) == *key {
            continue;
        }
        let one_is_cname = (record.kind == "CNAME") != (other.kind == "CNAME");
        if one_is_cname {
            faults.push(format!(
                "RRSet of type {} with DNS name {shown} is not permitted because a conflicting RRSet of type  {} with the same DNS name already exists in zone {}",
                record.kind, other.kind, zone.name
            ));
        } else if record.kind == other.kind {
            let policy = |record: &RecordSet| {
                record
                    .routing
                    .as_ref()
                    .map(|routing| std::mem::discriminant(&routing.policy))
            };
            if policy(record) != policy(other) {
                faults.push(format!(
                    "RRSet with DNS name {shown}, type {} cannot be created as other RRSets exist with the same name and type and another routing policy",
                    record.kind
                ));
            }
        }
    }
    faults
}

/// What makes a record set invalid by itself.
fn malformed(record: &RecordSet) -> Option<String> {
    let shown = dns_name::escaped(&record.name);
    if !dns_name::is_legal(&record.name) {
        return Some(format!("The DNS name {shown} is not valid"));
    }
    if record.alias.is_some() {
        if record.ttl.is_some() || !record.values.is_empty() {
            return Some(format!(
                "The alias {shown} cannot have a TTL or resource records"
            ));
        }
        return None;
    }
    if record.ttl.is_none() || record.values.is_empty() {
        return Some(format!(
            "The resource record set {shown} needs a TTL and at least one resource record"
        ));
    }
    for value in &record.values {
        let good = match record.kind.as_str() {
            "A" => value.parse::<Ipv4Addr>().is_ok(),
            "AAAA" => value.parse::<Ipv6Addr>().is_ok(),
            "TXT" | "SPF" => is_quoted(value),
            _ => !value.is_empty(),
        };
        if !good && matches!(record.kind.as_str(), "TXT" | "SPF") {
            return Some(format!(
                "Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '{value}''"
            ));
        }
        if !good {
            return Some(format!(
                "Invalid Resource Record: 'FATAL problem: ARRDATAIllegal{} encountered with '{value}''",
                record.kind
            ));
        }
    }
    None
}

/// One or more strings in quotation marks of at most 255 characters each.
fn is_quoted(value: &str) -> bool {
    let mut inside = false;
    let mut length = 0;
    let mut strings = 0;
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' if inside => inside = false,
            '"' => {
                inside = true;
                length = 0;
                strings += 1;
            }
            '\\' if inside => {
                characters.next();
                length += 1;
            }
            _ if inside => length += 1,
            ' ' | '\t' => {}
            _ => return false,
        }
        if length > 255 {
            return false;
        }
    }
    !inside && strings > 0
}

/// Equality for DELETE: everything counts but the order of values.
fn same(a: &RecordSet, b: &RecordSet) -> bool {
    let sorted = |record: &RecordSet| {
        let mut record = record.clone();
        record.values.sort();
        record
    };
    sorted(a) == sorted(b)
}

/// Limits of one request: 1000 values and 32000 characters, UPSERT counts twice.
fn check_size(changes: &[(ChangeAction, RecordSet)]) -> Answer<()> {
    let (mut values, mut characters) = (0, 0);
    for (action, record) in changes {
        let times = if *action == ChangeAction::Upsert {
            2
        } else {
            1
        };
        let lengths: usize = record.values.iter().map(String::len).sum();
        let alias = record
            .alias
            .as_ref()
            .map_or(0, |alias| alias.dns_name.len());
        values += times * record.values.len().max(1);
        characters += times * (lengths + alias);
    }
    if values > 1000 {
        return Err(Refusal::new(
            "InvalidChangeBatch",
            "[Number of records limit of 1000 exceeded.]",
        ));
    }
    if characters > 32_000 {
        return Err(Refusal::new(
            "InvalidChangeBatch",
            "[RDATA character limit of 32000 exceeded.]",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Timing, World};

    fn text(name: &str, value: String) -> RecordSet {
        RecordSet {
            name: name.to_owned(),
            kind: "TXT".to_owned(),
            ttl: Some(300),
            values: vec![value],
            alias: None,
            routing: None,
            health_check_id: None,
        }
    }

    #[test]
    fn a_batch_has_a_size_and_an_upsert_counts_twice() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let ids = World::default()
            .build(&mut state, Timestamp::UNIX_EPOCH)
            .unwrap();
        let zone = &ids.hosted_zones[0];
        let batch = |action: ChangeAction, count: usize, length: usize| {
            (0..count)
                .map(|n| {
                    let value = format!("\"{}\"", "x".repeat(length - 2));
                    (action, text(&format!("h{n}.example.com."), value))
                })
                .collect::<Vec<_>>()
        };
        for (action, count, length, fits) in [
            (ChangeAction::Create, 1000, 32, true),
            (ChangeAction::Upsert, 500, 32, true),
            (ChangeAction::Upsert, 501, 4, false),
            (ChangeAction::Create, 1001, 4, false),
            (ChangeAction::Upsert, 500, 33, false),
        ] {
            let mut state = state.clone();
            let changes = batch(action, count, length);
            let answer = state.change_record_sets(zone, changes, None, Timestamp::UNIX_EPOCH);
            assert_eq!(answer.is_ok(), fits, "{action:?} {count} {length}");
        }
        state.quotas.set("records-per-hosted-zone", 3);
        let changes = batch(ChangeAction::Create, 2, 4);
        let refused = state.change_record_sets(zone, changes, None, Timestamp::UNIX_EPOCH);
        assert_eq!(refused.unwrap_err().code, "InvalidChangeBatch");
    }
}
