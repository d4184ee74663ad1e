//! ChangeResourceRecordSets: a batch is judged change by change against the
//! zone as it evolves, and takes effect as a whole or not at all.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    AliasTarget, Answer, HostedZone, RecordKey, RecordSet, Refusal, State, dns_name,
    record_set::RoutingPolicy, regions,
};

/// `ResourceRecord` elements of one request, aliases included.
const RECORDS: usize = 1000;

/// Characters in all values of one request.
const CHARACTERS: usize = 32_000;

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
    changed: BTreeMap<RecordKey, (ChangeAction, Option<RecordSet>)>,
}

impl Draft<'_> {
    fn get(&self, key: &RecordKey) -> Option<&RecordSet> {
        match self.changed.get(key) {
            Some((_, changed)) => changed.as_ref(),
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
        for (key, (_, changed)) in self
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

    /// How many record sets the zone would have.
    fn len(&self) -> usize {
        let known = |key: &RecordKey| self.zone.records.contains_key(key);
        let changed = self.changed.iter();
        let (added, removed) =
            changed.fold((0, 0), |(added, removed), (key, (_, record))| {
                match (record, known(key)) {
                    (Some(_), false) => (added + 1, removed),
                    (None, true) => (added, removed + 1),
                    _ => (added, removed),
                }
            });
        self.zone.records.len() + added - removed
    }

    /// What every zone has to keep.
    fn delegation(&self) -> Vec<String> {
        let apex = self.of_name(&self.zone.name);
        let has = |kind: &str| apex.iter().any(|record| record.kind == kind);
        let mut faults = Vec::new();
        if !has("SOA") {
            faults.push("A HostedZone must contain exactly one SOA record.".to_owned());
        }
        if !has("NS") {
            faults.push(
                "A HostedZone must contain at least one NS record for the zone itself.".to_owned(),
            );
        }
        faults
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
        zone.check_idle(now)?;
        if changes.is_empty() {
            return Err(Refusal::new(
                "InvalidInput",
                "A change batch must have at least one change",
            ));
        }
        check_size(&changes)?;
        for (action, record) in &changes {
            if *action != ChangeAction::Delete
                && let Some(id) = &record.health_check_id
            {
                self.check_health_check(id)?;
            }
        }
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
                draft.changed.insert(key, (action, after));
            }
            faults.extend(found);
        }
        if faults.is_empty() {
            faults = draft.delegation();
        }
        let most = self.quotas.limit("records-per-hosted-zone");
        if draft.len() > most.max(zone.records.len()) {
            faults.push(format!(
                "The maximum number of resource record sets of the zone, {most}, has been reached"
            ));
        }
        if !faults.is_empty() {
            return Err(batch_fault(&faults.join(", ")));
        }
        let id = zone.id.clone();
        let changed = draft.changed;
        if !zone.private {
            for (key, (_, record)) in changed.iter().filter(|(key, _)| key.kind == "CNAME") {
                let name = dns_name::canonical(&dns_name::reversed(&key.reversed));
                self.note_proof(&id, &name, record.as_ref());
            }
        }
        if let Some(zone) = self.hosted_zones.get_mut(&id) {
            for (key, (_, record)) in changed {
                match record {
                    Some(record) => zone.records.insert(key, record),
                    None => zone.records.remove(&key),
                };
            }
        }
        self.occupy_zone(&id, now);
        self.look_at_validations(now);
        Ok(self.add_change(&id, comment, now))
    }

    /// Everything that is wrong with one change.
    fn judge(&self, draft: &Draft, action: ChangeAction, record: &RecordSet) -> Vec<String> {
        let zone = draft.zone;
        let shown = dns_name::escaped(&record.name);
        let key = HostedZone::key_of(record);
        let names = match &record.routing {
            Some(routing) => format!(
                "[name='{shown}', type='{}', set-identifier='{}']",
                record.kind, routing.set_identifier
            ),
            None => format!("[name='{shown}', type='{}']", record.kind),
        };
        let existing = draft.get(&key);
        if !dns_name::is_within(&record.name, &zone.name) {
            return vec![format!(
                "RRSet with DNS name {shown} is not permitted in zone {}",
                zone.name
            )];
        }
        // Twice the same record set: only to be made anew after its deletion.
        let before = draft.changed.get(&key).map(|(before, _)| *before);
        let invalid_set = match before {
            None | Some(ChangeAction::Delete) => false,
            // Its own refusal says that better.
            Some(ChangeAction::Create) => action != ChangeAction::Create,
            Some(ChangeAction::Upsert) => true,
        };
        if invalid_set {
            return vec![format!(
                "The request contains an invalid set of changes for a resource record set '{} {shown}'",
                record.kind
            )];
        }
        match (action, existing) {
            (ChangeAction::Delete, None) => {
                return vec![format!(
                    "Tried to delete resource record set {names} but it was not found"
                )];
            }
            (ChangeAction::Delete, Some(existing)) if !existing.same(record) => {
                return vec![format!(
                    "Tried to delete resource record set {names} but the values provided do not match the current values"
                )];
            }
            (ChangeAction::Delete, Some(_)) => return Vec::new(),
            (ChangeAction::Create, Some(_)) => {
                return vec![format!(
                    "Tried to create resource record set {names} but it already exists"
                )];
            }
            _ => {}
        }
        let mut faults = record.malformed(self.quotas.limit("values-per-record-set"));
        if !faults.is_empty() {
            return faults;
        }
        faults = neighbours(
            draft,
            record,
            &key,
            self.quotas.limit("record-sets-per-name-and-type"),
        );
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
                .any(|other| other.kind == record.kind && other.name != record.name);
            return if known { Vec::new() } else { vec![missing] };
        }
        let bare = alias
            .dns_name
            .strip_prefix("dualstack.")
            .unwrap_or(&alias.dns_name);
        let address = matches!(record.kind.as_str(), "A" | "AAAA");
        match self.zone_of_balancer(bare) {
            Some(zone) if zone == alias.hosted_zone_id && address => Vec::new(),
            Some(zone) if zone == alias.hosted_zone_id => vec![missing],
            Some(_) => vec![outside, missing],
            None => {
                let within = regions::region_of_zone(&alias.hosted_zone_id).is_none_or(|region| {
                    let suffix = regions::dns_suffix(region);
                    bare.ends_with(&format!(".{region}.elb.{suffix}."))
                        || bare.ends_with(&format!(".elb.{region}.{suffix}."))
                });
                if within {
                    vec![missing]
                } else {
                    vec![outside, missing]
                }
            }
        }
    }

    /// The zone id of the load balancer of a name that aliases can lead to, with or without final dot.
    fn zone_of_balancer(&self, name: &str) -> Option<&str> {
        let name = name.trim_end_matches('.');
        self.load_balancers
            .values()
            .find(|balancer| balancer.dns_name.eq_ignore_ascii_case(name))
            .filter(|balancer| !self.lags.hide_name(&balancer.arn))
            .map(|balancer| balancer.canonical_hosted_zone_id.as_str())
            .or_else(|| {
                let far = self.elsewhere.load_balancer_called(name)?;
                Some(far.canonical_hosted_zone_id.as_str())
            })
    }
}

/// Conflicts with other record sets of the same name.
fn neighbours(draft: &Draft, record: &RecordSet, key: &RecordKey, most: usize) -> Vec<String> {
    let zone = draft.zone;
    let shown = dns_name::escaped(&record.name);
    if record.kind == "CNAME" && record.name == zone.name {
        return vec![format!(
            "RRSet of type CNAME with DNS name {shown} is not permitted at apex in zone {}",
            zone.name
        )];
    }
    if record.kind == "SOA" && record.name != zone.name {
        return vec!["A HostedZone must contain exactly one SOA record.".to_owned()];
    }
    let others: Vec<&RecordSet> = draft
        .of_name(&record.name)
        .into_iter()
        .filter(|other| HostedZone::key_of(other) != *key)
        .collect();
    if record.kind == "CNAME" && others.iter().any(|other| other.kind != "CNAME") {
        return vec![format!(
            "RRSet of type CNAME with DNS name {shown} is not permitted as it conflicts with other records with the same DNS name in zone {}",
            zone.name
        )];
    }
    if record.kind != "CNAME" && others.iter().any(|other| other.kind == "CNAME") {
        return vec![format!(
            "RRSet of type {} with DNS name {shown} is not permitted because a conflicting RRSet of type  CNAME with the same DNS name already exists in zone {}",
            record.kind, zone.name
        )];
    }
    let of_kind: Vec<&RecordSet> = others
        .into_iter()
        .filter(|other| other.kind == record.kind)
        .collect();
    if of_kind.is_empty() {
        return Vec::new();
    }
    let Some(routing) = &record.routing else {
        return vec![format!(
            "RRSet with DNS name {shown}, type {} cannot be created as other RRSets exist with the same name and type.",
            record.kind
        )];
    };
    let whole = match &routing.policy {
        RoutingPolicy::Latency(region) => format!(", and Region Name={region}"),
        RoutingPolicy::Failover(role) => format!(", and Failover={role}"),
        _ => String::new(),
    };
    let fault = |reason: String| {
        vec![format!(
            "RRSet with DNS name {shown}, type {}, SetIdentifier {}{whole} cannot be created {reason}",
            record.kind, routing.set_identifier
        )]
    };
    let word = routing.policy.word();
    for other in &of_kind {
        let same_policy = other.routing.as_ref().is_some_and(|other| {
            std::mem::discriminant(&other.policy) == std::mem::discriminant(&routing.policy)
        });
        if !same_policy {
            return fault(format!(
                "as a non-{word} set exists with the same name and type."
            ));
        }
        let unequal_ttl = matches!(routing.policy, RoutingPolicy::Weighted(_))
            && record.alias.is_none()
            && other.alias.is_none()
            && record.ttl != other.ttl;
        if unequal_ttl {
            return fault("as weighted sets must contain the same TTL.".to_owned());
        }
        let one_of_each = matches!(
            routing.policy,
            RoutingPolicy::Latency(_)
                | RoutingPolicy::Failover(_)
                | RoutingPolicy::Geolocation { .. }
                | RoutingPolicy::Geoproximity(_)
        );
        let what = match routing.policy {
            RoutingPolicy::Latency(_) => "region",
            RoutingPolicy::Failover(_) => "failover value",
            _ => "location",
        };
        if one_of_each && other.routing.as_ref().map(|other| &other.policy) == Some(&routing.policy)
        {
            return fault(format!(
                "because a {word} RRSet with the same name, type and {what} already exists."
            ));
        }
    }
    if of_kind.len() >= most {
        return fault(format!(
            "as more than {most} {word} RRSets would exist with the same name and type."
        ));
    }
    Vec::new()
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
        let lengths: usize = record
            .values
            .iter()
            .map(|value| value.chars().count())
            .sum();
        values += times * record.values.len().max(1);
        characters += times * lengths;
    }
    if values > RECORDS {
        return Err(batch_fault("Number of records limit of 1000 exceeded."));
    }
    if characters > CHARACTERS {
        return Err(batch_fault("RDATA character limit of 32000 exceeded."));
    }
    Ok(())
}

/// All faults stand in one message, in brackets.
fn batch_fault(text: &str) -> Refusal {
    Refusal::new("InvalidChangeBatch", format!("[{text}]"))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
