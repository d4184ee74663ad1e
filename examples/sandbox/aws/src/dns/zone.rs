//! What a name has in the accounts.
//!
//! Pure. A query is answered from the load balancers when it lies in the
//! domain of their names, else from the hosted zone with the longest name that
//! holds it; a public zone goes before a private one of the same name, and all
//! of the machine counts as inside of the VPC. Which of several records with a
//! routing policy answer, and their health, is in `choice`.

use std::borrow::Cow;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use jiff::Timestamp;

use super::choice::{chosen, passes};
use crate::dataplane::{Loopbacks, serves};
use crate::state::dns_name::is_within;
use crate::state::{HostedZone, LoadBalancer, RecordSet, State, regions};

/// Seconds for which the addresses of a load balancer may be remembered.
const LOAD_BALANCER_TTL: u32 = 60;

/// Aliases and CNAMEs are followed this many times.
const MAX_CHAIN: usize = 8;

/// The answer to one question.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
}

/// What an answer depends on besides the question.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// All accounts, the configured one first.
    pub(super) states: &'a [&'a State],
    /// The addresses of the load balancers.
    pub(super) loopbacks: &'a Loopbacks,
    /// The simulated time.
    pub(super) now: Timestamp,
    /// Gives a number below its argument.
    pub(super) draw: &'a dyn Fn(u32) -> u32,
}

/// Answers for `name` and `kind` from the account.
pub(super) fn answer(known: Known<'_>, name: &Name, kind: RecordType) -> Found {
    let asked = Asked { known, kind };
    let mut answers = Vec::new();
    let (mut here, mut owner) = (text(name), name.clone());
    for _ in 0..MAX_CHAIN {
        match asked.at(&here, &owner, MAX_CHAIN) {
            Here::Records(records) => {
                answers.extend(records);
                return found(ResponseCode::NoError, answers, None);
            }
            Here::Elsewhere(record, target) => {
                answers.push(record);
                here = text(&target);
                owner = target;
            }
            Here::Nothing(soa) => return found(ResponseCode::NoError, answers, Some(soa)),
            Here::NoName(soa) => return found(ResponseCode::NXDomain, answers, Some(soa)),
            // What a CNAME of ours names may live anywhere.
            Here::NotOurs if answers.is_empty() => {
                return found(ResponseCode::Refused, answers, None);
            }
            Here::NotOurs => return found(ResponseCode::NoError, answers, None),
        }
    }
    found(ResponseCode::ServFail, Vec::new(), None)
}

fn found(code: ResponseCode, answers: Vec<Record>, soa: Option<Record>) -> Found {
    Found {
        code,
        answers,
        authorities: soa.into_iter().collect(),
    }
}

/// What there is at one name.
enum Here {
    Records(Vec<Record>),
    /// A CNAME and where it leads.
    Elsewhere(Record, Name),
    /// The name exists, but not with this type.
    Nothing(Record),
    NoName(Record),
    NotOurs,
}

struct Asked<'a> {
    known: Known<'a>,
    kind: RecordType,
}

impl Asked<'_> {
    fn at(&self, name: &str, owner: &Name, depth: usize) -> Here {
        if let Some(here) = self.load_balancer(name, owner) {
            return here;
        }
        let Some(zone) = zone_of(self.known.states, name) else {
            return Here::NotOurs;
        };
        let zone = zone.as_ref();
        let Some(sets) = closest(zone, name) else {
            return Here::NoName(soa_of(zone));
        };
        let kind = self.kind.to_string();
        let of_kind: Vec<&RecordSet> = sets
            .iter()
            .copied()
            .filter(|set| set.kind == kind)
            .collect();
        if !of_kind.is_empty() {
            let records: Vec<Record> = self
                .chosen(&of_kind, depth)
                .into_iter()
                .flat_map(|set| self.records(set, owner, depth))
                .collect();
            return if records.is_empty() {
                Here::Nothing(soa_of(zone))
            } else {
                Here::Records(records)
            };
        }
        let cname = sets
            .into_iter()
            .filter(|set| set.kind == "CNAME")
            .flat_map(|set| values(set, RecordType::CNAME, owner))
            .next();
        match cname {
            Some(record) => match &record.data {
                RData::CNAME(target) => {
                    let target = target.0.clone();
                    Here::Elsewhere(record, target)
                }
                _ => Here::Nothing(soa_of(zone)),
            },
            None => Here::Nothing(soa_of(zone)),
        }
    }

    /// Of several sets of one name and type, those that answer now.
    fn chosen<'s>(&self, sets: &[&'s RecordSet], depth: usize) -> Vec<&'s RecordSet> {
        let Known { states, draw, .. } = self.known;
        let region = states.first().map_or("", |home| home.region.as_str());
        chosen(sets, region, |set| self.is_healthy(set, depth), draw)
    }

    /// Whether a set may answer: its health check is passed, and what an alias
    /// leads to is healthy where that is to be evaluated.
    fn is_healthy(&self, set: &RecordSet, depth: usize) -> bool {
        let states = self.known.states;
        let check = set.health_check_id.as_deref();
        if !check.is_none_or(|id| passes(states, id, MAX_CHAIN)) {
            return false;
        }
        let Some(depth) = depth.checked_sub(1) else {
            return true;
        };
        let alias = set.alias.as_ref();
        alias
            .filter(|alias| alias.evaluate_target_health)
            .is_none_or(|alias| self.leads_to_health(&alias.dns_name, &set.kind, depth))
    }

    /// Whether a load balancer, or one of the sets of a name and type, is healthy.
    fn leads_to_health(&self, name: &str, kind: &str, depth: usize) -> bool {
        let Known { states, now, .. } = self.known;
        if let Some((state, balancer)) = load_balancer_called(states, name) {
            return serves(state, balancer, now);
        }
        let zone = zone_of(states, name);
        let sets = zone.as_deref().and_then(|zone| closest(zone, name));
        let mut sets = sets.into_iter().flatten().filter(|set| set.kind == kind);
        sets.any(|set| self.is_healthy(set, depth))
    }

    /// The records of a set under the name of `owner`.
    fn records(&self, set: &RecordSet, owner: &Name, depth: usize) -> Vec<Record> {
        let Some(alias) = &set.alias else {
            return values(set, self.kind, owner);
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Vec::new();
        };
        match self.at(&alias.dns_name, owner, depth) {
            Here::Records(records) => records,
            // Route 53 refuses an alias to a CNAME except of type CNAME.
            Here::Elsewhere(..) | Here::Nothing(_) | Here::NoName(_) | Here::NotOurs => Vec::new(),
        }
    }

    /// `None` when the name is not in the domain of load balancers.
    fn load_balancer(&self, name: &str, owner: &Name) -> Option<Here> {
        let states = self.known.states;
        let domains = states.iter().flat_map(|state| domains(&state.region));
        let domain = domains.into_iter().find(|domain| is_within(name, domain))?;
        let soa = || soa_of_load_balancers(&domain);
        Some(match load_balancer_called(states, name) {
            None => Here::NoName(soa()),
            Some((_, balancer)) if self.kind == RecordType::A => {
                let address = self.known.loopbacks.of(&balancer.arn);
                let data = RData::A(A(address));
                Here::Records(vec![Record::from_rdata(
                    owner.clone(),
                    LOAD_BALANCER_TTL,
                    data,
                )])
            }
            Some(_) => Here::Nothing(soa()),
        })
    }
}

/// A name in the form in which the account holds names: lower case, final dot.
fn text(name: &Name) -> String {
    let mut text = String::new();
    for label in name {
        text.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
        text.push('.');
    }
    text
}

/// The domains of the load balancers of a region: of Application and of
/// Network Load Balancers.
fn domains(region: &str) -> [String; 2] {
    let suffix = match regions::partition(region) {
        "aws-cn" => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    [
        format!("{region}.elb.{suffix}."),
        format!("elb.{region}.{suffix}."),
    ]
}

fn load_balancer_called<'a>(
    states: &[&'a State],
    name: &str,
) -> Option<(&'a State, &'a LoadBalancer)> {
    let name = name.trim_end_matches('.');
    let name = name.strip_prefix("dualstack.").unwrap_or(name);
    states
        .iter()
        .flat_map(|state| {
            let balancers = state.load_balancers.values();
            balancers.map(move |balancer| (*state, balancer))
        })
        .find(|(_, balancer)| balancer.dns_name.eq_ignore_ascii_case(name))
}

/// The zone that answers for a name, as the name servers know it.
fn zone_of<'a>(states: &[&'a State], name: &str) -> Option<Cow<'a, HostedZone>> {
    let zones = states.iter().flat_map(|state| {
        let zones = state.hosted_zones.values();
        zones.map(move |zone| (state, zone))
    });
    let (state, zone) = zones
        .filter(|(_, zone)| is_within(name, &zone.name))
        .min_by_key(|(_, zone)| (std::cmp::Reverse(zone.name.len()), zone.private))?;
    Some(state.served_zone(zone))
}

/// The record sets that answer for a name of a zone: its own, else those of the
/// wildcard at its closest ancestor that exists (RFC 4592). `None` when there is
/// no such name; empty when it exists only because something is below it.
fn closest<'a>(zone: &'a HostedZone, name: &str) -> Option<Vec<&'a RecordSet>> {
    if exists(zone, name) {
        return Some(sets_of(zone, name));
    }
    let mut ancestor = name;
    while let Some((_, parent)) = ancestor.split_once('.') {
        if exists(zone, parent) || parent == zone.name {
            let wildcard = sets_of(zone, &format!("*.{parent}"));
            return (!wildcard.is_empty()).then_some(wildcard);
        }
        ancestor = parent;
    }
    None
}

fn exists(zone: &HostedZone, name: &str) -> bool {
    name == zone.name || zone.records.values().any(|set| is_within(&set.name, name))
}

fn sets_of<'a>(zone: &'a HostedZone, name: &str) -> Vec<&'a RecordSet> {
    zone.records
        .values()
        .filter(|set| set.name == name)
        .collect()
}

/// The values of a set as records; a value that cannot be read is left out.
fn values(set: &RecordSet, kind: RecordType, owner: &Name) -> Vec<Record> {
    set.values
        .iter()
        .filter_map(|value| data(kind, value))
        .map(|data| Record::from_rdata(owner.clone(), set.ttl.unwrap_or_default(), data))
        .collect()
}

fn data(kind: RecordType, value: &str) -> Option<RData> {
    match kind {
        RecordType::TXT => {
            let strings = quoted(value);
            let strings = strings.iter().map(Vec::as_slice).collect();
            Some(RData::TXT(TXT::from_bytes(strings)))
        }
        // Names in values are absolute, whether or not they end in a dot.
        RecordType::CNAME | RecordType::NS if !value.ends_with('.') => {
            RData::try_from_str(kind, &format!("{value}.")).ok()
        }
        _ => RData::try_from_str(kind, value).ok(),
    }
}

/// The character strings of a TXT value: in quotes or single words, with `\"`,
/// `\\` and `\ooo` (octal).
fn quoted(value: &str) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut inside = false;
    let mut bytes = value.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                if inside {
                    strings.extend(current.take());
                } else {
                    current = Some(Vec::new());
                }
                inside = !inside;
            }
            b' ' | b'\t' if !inside => strings.extend(current.take()),
            b'\\' => {
                let string = current.get_or_insert_default();
                let mut octal = None;
                for _ in 0..3 {
                    let Some(digit) = bytes.next_if(|next| (b'0'..=b'7').contains(next)) else {
                        break;
                    };
                    let so_far: u32 = octal.unwrap_or_default();
                    octal = Some(so_far * 8 + u32::from(digit - b'0'));
                }
                match octal {
                    Some(code) => string.push(u8::try_from(code).unwrap_or(b'?')),
                    None => string.extend(bytes.next()),
                }
            }
            other => current.get_or_insert_default().push(other),
        }
    }
    strings.extend(current);
    strings
}

/// The SOA record of a zone, for answers that say that there is nothing.
fn soa_of(zone: &HostedZone) -> Record {
    let owner = Name::from_ascii(&zone.name).unwrap_or_default();
    sets_of(zone, &zone.name)
        .into_iter()
        .filter(|set| set.kind == "SOA")
        .flat_map(|set| values(set, RecordType::SOA, &owner))
        .next()
        .unwrap_or_else(|| soa(owner, "ns-1.awsdns-00.com."))
}

fn soa_of_load_balancers(domain: &str) -> Record {
    soa(
        Name::from_ascii(domain).unwrap_or_default(),
        &format!("ns-1.{domain}"),
    )
}

fn soa(owner: Name, server: &str) -> Record {
    let server = Name::from_ascii(server).unwrap_or_default();
    let person = Name::from_ascii("awsdns-hostmaster.amazon.com.").unwrap_or_default();
    let soa = SOA::new(server, person, 1, 7200, 900, 1_209_600, 60);
    Record::from_rdata(owner, 60, RData::SOA(soa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_strings() {
        let read = |value: &str| -> Vec<String> {
            quoted(value)
                .iter()
                .map(|string| String::from_utf8_lossy(string).into_owned())
                .collect()
        };
        assert_eq!(read(r#""a b" "c""#), ["a b", "c"]);
        assert_eq!(read(r#""say \"hi\" \\ \052""#), [r#"say "hi" \ *"#]);
        assert_eq!(read("bare words"), ["bare", "words"]);
        assert_eq!(read(r#""""#), [""]);
        assert_eq!(read(r#""a""b""#), ["a", "b"]);
    }
}
