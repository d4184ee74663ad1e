//! Which host goes into which hosted zone and points at which load balancer.

use std::collections::{BTreeMap, BTreeSet};

use super::desired::{Desired, Intent, Stack};
use super::finding::{Effect, Finding, Reason};
use super::group::GroupId;
use super::membership::Membership;
use super::records::{AliasTarget, Claim, DesiredRecords, HostFindings, Zone};
use super::rules;
use super::settings::{DnsSettings, Settings};
use super::snapshot::Snapshot;
use super::spec::{Condition, LiveLoadBalancer, ObjectName, Observed, Scheme};

/// What records are made from, besides the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct RecordSources<'a> {
    /// Hosted zones of the account.
    pub zones: &'a [Zone],
    /// Load balancers that are active and have listeners and rules.
    pub targets: &'a BTreeMap<GroupId, AliasTarget>,
    /// How far the rules for each host are.
    pub rules: &'a BTreeMap<GroupId, BTreeMap<String, HostRules>>,
    /// Load balancers that are about to replace the one of their group. Where
    /// no zone is for one, its group's records go, while the old one serves.
    pub successors: &'a BTreeMap<GroupId, (Scheme, AliasTarget)>,
    /// Scheme of each group's load balancer, as live or else as desired; the
    /// default of the settings where it is missing.
    pub schemes: &'a BTreeMap<GroupId, Scheme>,
    /// Ingresses that are frozen, or deleted in a group that is left alone: no
    /// record is made or moved for them, and what is live for them stays.
    pub frozen: &'a BTreeSet<ObjectName>,
    /// Hosts that live rules of groups with frozen members serve.
    pub live_hosts: &'a BTreeMap<GroupId, BTreeSet<String>>,
}

/// How far the rules for a host are; a host that is in neither state has none
/// and gets none, as when AWS refused them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRules {
    /// On the load balancer that records lead to.
    Live,
    /// Desired, and not made yet.
    Desired,
}

/// The hosts of a group whose rules are live on its load balancer, and those
/// that are to get some.
pub fn host_rules(
    desired: &Desired,
    live: Option<&LiveLoadBalancer>,
) -> BTreeMap<String, HostRules> {
    let listeners = |stack: &Stack| -> Vec<Condition> {
        let rules = stack
            .listeners
            .values()
            .flat_map(|listener| &listener.rules);
        rules
            .flat_map(|rule| rule.rule.conditions.clone())
            .collect()
    };
    let wished = match &desired.intent {
        Intent::Serve(stack) => listeners(stack),
        Intent::Remove | Intent::Hold | Intent::LeaveAlone => Vec::new(),
    };
    let mut rules: BTreeMap<String, HostRules> = hosts_in(&wished)
        .map(|host| (host, HostRules::Desired))
        .collect();
    let listeners = live.into_iter().flat_map(|lb| lb.listeners.values());
    let conditions = listeners.flat_map(|listener| listener.rules.values());
    let conditions = conditions.flat_map(|rule| &rule.spec.conditions);
    rules.extend(hosts_in(conditions).map(|host| (host, HostRules::Live)));
    rules
}

/// Hosts that conditions name.
fn hosts_in<'a>(
    conditions: impl IntoIterator<Item = &'a Condition>,
) -> impl Iterator<Item = String> {
    let hosts = conditions
        .into_iter()
        .filter_map(|condition| match condition {
            Condition::HostHeader(hosts) => Some(hosts),
            _ => None,
        });
    hosts.flatten().map(|host| plain_host(host))
}

/// The desired state of all records of these groups, and what is worth knowing
/// about hosts that get none, by host. A host's is complete where every group
/// that states it is among them.
///
/// The claims on a host are ordered oldest Ingress first, then by name. A
/// frozen Ingress comes after all others and points nowhere: it keeps a record
/// that it has, and gets none. So does one whose host lies in no zone, or in
/// two of one name. A host that is live and that no member states any more is
/// counted as one of the group's first frozen Ingress, for it may be that one's.
pub fn build_records(
    snapshot: &Snapshot,
    membership: &Membership,
    settings: &Settings,
    sources: RecordSources<'_>,
) -> (DesiredRecords, HostFindings) {
    let mut findings = HostFindings::new();
    let Some(dns) = &settings.dns else {
        return (DesiredRecords::new(), findings);
    };
    let mut hosts: BTreeMap<String, Vec<(Order, Claim)>> = BTreeMap::new();
    for (group, members) in &membership.groups {
        let scheme = sources
            .schemes
            .get(group)
            .copied()
            .unwrap_or(settings.default_scheme);
        let mut unstated = sources.live_hosts.get(group).cloned().unwrap_or_default();
        let leavers = members.leavers.iter().map(|leaver| &leaver.ingress);
        for name in members.members.iter().chain(leavers) {
            let stated = hosts_of(name, snapshot);
            unstated.retain(|host| !stated.contains(host));
        }
        let leavers = members.leavers.iter().map(|leaver| &leaver.ingress);
        let left_alone = leavers.filter(|name| sources.frozen.contains(name));
        for name in members.members.iter().chain(left_alone) {
            let frozen = sources.frozen.contains(name);
            let mut claimed = hosts_of(name, snapshot);
            if frozen {
                claimed.append(&mut unstated);
            }
            for host in claimed {
                if !is_allowed(&host, dns) {
                    continue;
                }
                let zone_for =
                    |scheme| zone_of(&host, scheme, sources.zones, dns, &settings.vpc_id);
                let successor = sources.successors.get(group);
                let homeless = successor.and_then(|(scheme, target)| {
                    let error = zone_for(*scheme).err()?;
                    Some((error, target.clone()))
                });
                let (zone, stranded) = match homeless {
                    Some((error, target)) => (Err(error), Some(target)),
                    None => (zone_for(scheme), None),
                };
                let zone = zone.map_err(|(reason, message)| {
                    // A frozen Ingress gets no record wherever its zone is.
                    if !frozen {
                        let of_host = findings.entry(host.clone()).or_default();
                        of_host.push(Finding {
                            ingress: name.clone(),
                            effect: Effect::Note,
                            reason,
                            message,
                        });
                    }
                });
                let rules = if has_paths(name, &host, snapshot) {
                    let of_group = sources.rules.get(group);
                    of_group.and_then(|hosts| hosts.get(&host))
                } else {
                    // What has no rule of its own is answered by default.
                    Some(&HostRules::Live)
                };
                let rules = rules.filter(|_| !frozen);
                let live = rules == Some(&HostRules::Live);
                let claim = Claim {
                    ingress: name.clone(),
                    group: group.clone(),
                    zone: zone.ok(),
                    target: stranded
                        .or_else(|| sources.targets.get(group).filter(|_| live).cloned())
                        .filter(|_| !frozen),
                    comes: rules.is_some(),
                    frozen,
                };
                let claims = hosts.entry(host).or_default();
                claims.push((order(name, frozen, snapshot), claim));
            }
        }
    }
    let records = hosts.into_iter().map(|(host, mut claims)| {
        claims.sort_by(|a, b| a.0.cmp(&b.0));
        (host, claims.into_iter().map(|(_, claim)| claim).collect())
    });
    let records = records.collect();
    for findings in findings.values_mut() {
        findings.sort();
        findings.dedup();
    }
    (records, findings)
}

/// Frozen last, then by age, then by name.
type Order = (bool, Option<i128>, ObjectName);

fn order(name: &ObjectName, frozen: bool, snapshot: &Snapshot) -> Order {
    let created = snapshot
        .ingresses
        .get(name)
        .and_then(|ingress| ingress.metadata.creation_timestamp.as_ref())
        .map(|time| time.0.as_nanosecond());
    (frozen, created, name.clone())
}

/// Hosts of the rules of an Ingress, in lower case, without final dots.
pub fn hosts_of(name: &ObjectName, snapshot: &Snapshot) -> BTreeSet<String> {
    let spec = snapshot
        .ingresses
        .get(name)
        .and_then(|ingress| ingress.spec.as_ref());
    rules::rules(spec)
        .filter_map(|rule| rule.host.as_deref())
        .map(plain_host)
        .filter(|host| !host.is_empty())
        .collect()
}

/// Hosts of the rules that AWS holds for a group, spelled alike.
pub fn live_hosts(observed: &Observed) -> BTreeSet<String> {
    let load_balancers = observed.load_balancers.iter();
    load_balancers.flat_map(hosts_of_load_balancer).collect()
}

/// Hosts of the rules of one load balancer, spelled alike.
pub fn hosts_of_load_balancer(live: &LiveLoadBalancer) -> impl Iterator<Item = String> {
    let rules = live.listeners.values().flat_map(|l| l.rules.values());
    hosts_in(rules.flat_map(|rule| &rule.spec.conditions))
}

/// Whether a text is a host as an Ingress can state it, spelled as records
/// are: what is read elsewhere may be anything.
pub fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let fits = (1..=63).contains(&label.len());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        fits && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| plain(byte) || byte == b'-')
    };
    let labels = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= 253 && labels.split('.').all(is_label)
}

/// Whether an Ingress states paths for a host, which become rules.
fn has_paths(name: &ObjectName, host: &str, snapshot: &Snapshot) -> bool {
    let ingress = snapshot.ingresses.get(name);
    let spec = ingress.and_then(|ingress| ingress.spec.as_ref());
    rules::rules(spec).any(|rule| {
        let paths = rule
            .http
            .as_ref()
            .is_some_and(|http| !http.paths.is_empty());
        paths && rule.host.as_deref().map(plain_host).as_deref() == Some(host)
    })
}

fn plain_host(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn is_allowed(host: &str, dns: &DnsSettings) -> bool {
    dns.domain_filter.is_empty() || dns.domain_filter.iter().any(|domain| is_in(host, domain))
}

/// Whether a name is a domain or below it. The `*` of a wildcard host is a
/// label like others.
fn is_in(host: &str, domain: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// Ids of all zones that may hold a record of ours for a host, whatever the
/// scheme of its load balancer was.
pub fn zones_that_may_hold(host: &str, settings: &Settings, zones: &[Zone]) -> BTreeSet<String> {
    let Some(dns) = settings.dns.as_ref().filter(|dns| is_allowed(host, dns)) else {
        return BTreeSet::new();
    };
    [Scheme::InternetFacing, Scheme::Internal]
        .into_iter()
        .flat_map(|scheme| longest(host, scheme, zones, dns, &settings.vpc_id))
        .map(|zone| zone.id.clone())
        .collect()
}

/// Whether a zone may hold records of ours at all.
pub fn may_be_ours(zone: &Zone, settings: &Settings) -> bool {
    let Some(dns) = settings.dns.as_ref() else {
        return false;
    };
    let chosen = dns.zone_id_filter.is_empty() || dns.zone_id_filter.contains(&zone.id);
    let overlaps = |domain: &String| is_in(&zone.name, domain) || is_in(domain, &zone.name);
    chosen && (dns.domain_filter.is_empty() || dns.domain_filter.iter().any(overlaps))
}

/// Whether a host is of the domains in which records are ours to write.
pub fn is_of_our_domains(host: &str, settings: &Settings) -> bool {
    let dns = settings.dns.as_ref();
    dns.is_some_and(|dns| is_allowed(host, dns))
}

/// The zone of a host, or why there is none.
fn zone_of(
    host: &str,
    scheme: Scheme,
    zones: &[Zone],
    dns: &DnsSettings,
    vpc: &str,
) -> Result<String, (Reason, String)> {
    let (kind, advice) = match scheme {
        Scheme::InternetFacing => ("public", "create one".to_owned()),
        Scheme::Internal => (
            "private",
            format!("create one and associate it with the VPC {vpc}"),
        ),
    };
    let best = longest(host, scheme, zones, dns, vpc);
    match best.as_slice() {
        [] => Err((
            Reason::NoHostedZone,
            format!(
                "host {host} gets no DNS record: there is no {kind} hosted zone for it, which a \
                 load balancer of scheme {scheme} needs; {advice}, or make the record elsewhere. \
                 All else goes on"
            ),
        )),
        [zone] => Ok(zone.id.clone()),
        several => {
            let mut ids: Vec<_> = several.iter().map(|zone| zone.id.as_str()).collect();
            ids.sort_unstable();
            Err((
                Reason::AmbiguousZone,
                format!(
                    "host {host} gets no DNS record: {kind} hosted zones {} have the same name; \
                     expected one; name it with --dns-zone-id-filter, or delete the other",
                    ids.join(" and ")
                ),
            ))
        }
    }
}

/// Of the zones that fit a host and the scheme of its load balancer, those with
/// the longest name.
fn longest<'a>(
    host: &str,
    scheme: Scheme,
    zones: &'a [Zone],
    dns: &DnsSettings,
    vpc: &str,
) -> Vec<&'a Zone> {
    let candidates = zones.iter().filter(|zone| {
        let fits = match (scheme, &zone.private_vpcs) {
            (Scheme::InternetFacing, None) => true,
            (Scheme::Internal, Some(vpcs)) => vpcs.iter().any(|id| id == vpc),
            _ => false,
        };
        fits && is_in(host, &zone.name)
            && (dns.zone_id_filter.is_empty() || dns.zone_id_filter.contains(&zone.id))
    });
    let mut best: Vec<&Zone> = Vec::new();
    for zone in candidates {
        match best.first().map(|b| zone.name.len().cmp(&b.name.len())) {
            None | Some(std::cmp::Ordering::Greater) => best = vec![zone],
            Some(std::cmp::Ordering::Equal) => best.push(zone),
            Some(std::cmp::Ordering::Less) => {}
        }
    }
    best
}

#[cfg(test)]
mod tests;
