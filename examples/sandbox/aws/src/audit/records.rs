//! Records that point to load balancers that are gone, and records that tell
//! whose others are where there are no others.

use super::{Finding, Naming, Problem, note};
use crate::state::{HostedZone, RecordSet, State};

/// How an owner record begins, by the grammar of external-dns.
const HERITAGE: &str = "\"heritage=external-dns,";

/// What stands in names of owner records for the star of a wildcard.
const STARS: [&str; 4] = ["*", "_wildcard", "wildcard", "any"];

/// Audits the zones of an account.
pub(super) fn audit(state: &State, states: &[&State], naming: &Naming, found: &mut Vec<Finding>) {
    for zone in state.hosted_zones.values() {
        for record in zone.records.values() {
            let shown = format!("{} {}", record.name, record.kind);
            for target in targets(record) {
                if is_of_load_balancers(target) && !is_there(states, target) {
                    let detail = format!("the load balancer {target} is gone");
                    note(found, Problem::Dangling, ("record", &shown), detail);
                }
            }
            if is_owner(record) && !has_record(zone, record, naming) {
                let detail = format!("the zone {} has no record that it owns", zone.name);
                note(found, Problem::LeftOver, ("owner-record", &shown), detail);
            }
        }
    }
}

/// Names that a record leads to.
fn targets(record: &RecordSet) -> impl Iterator<Item = &str> {
    let values = record.values.iter().filter(|_| record.kind == "CNAME");
    let alias = record.alias.iter().map(|alias| &alias.dns_name);
    alias.chain(values).map(String::as_str)
}

/// Whether a name is one that Elastic Load Balancing gives.
fn is_of_load_balancers(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ours = [".amazonaws.com", ".amazonaws.com.cn"];
    name.contains(".elb.") && ours.iter().any(|end| name.ends_with(end))
}

fn is_there(states: &[&State], name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let name = name.strip_prefix("dualstack.").unwrap_or(&name);
    states
        .iter()
        .flat_map(|state| state.load_balancers.values())
        .any(|balancer| balancer.dns_name.eq_ignore_ascii_case(name))
}

fn is_owner(record: &RecordSet) -> bool {
    record.kind == "TXT"
        && record
            .values
            .iter()
            .any(|value| value.starts_with(HERITAGE))
}

/// Whether a zone has a record whose owner this record tells.
fn has_record(zone: &HostedZone, owner: &RecordSet, naming: &Naming) -> bool {
    let identifier = |record: &RecordSet| {
        let routing = record.routing.as_ref();
        routing.map(|routing| routing.set_identifier.clone())
    };
    let of_zone = |record: &RecordSet| {
        record.kind == "SOA" || record.kind == "NS" && record.name == zone.name
    };
    zone.records.values().any(|record| {
        !is_owner(record)
            && !of_zone(record)
            && identifier(record) == identifier(owner)
            && owns(&owner.name, record, &naming.txt_suffix)
    })
}

/// Whether this is a name for the owner record of a record: its name, in which
/// the suffix follows the first label, alone or after its type with any prefix.
fn owns(name: &str, record: &RecordSet, suffix: &str) -> bool {
    let kind = record.kind.to_ascii_lowercase();
    // Aliases once counted as what they stand for.
    let kinds = [Some(kind.as_str()), record.alias.as_ref().map(|_| "cname")];
    let (first, rest) = record.name.split_once('.').unwrap_or((&record.name, ""));
    let alone = [first];
    let labels = if first == "*" { &STARS[..] } else { &alone[..] };
    labels.iter().any(|label| {
        let Some(before) = name.strip_suffix(&format!("{label}{suffix}.{rest}")) else {
            return false;
        };
        let kinds = kinds.iter().flatten();
        before.is_empty()
            || kinds.into_iter().any(|kind| {
                let prefix = before
                    .strip_suffix(['-', '.', '_'])
                    .and_then(|before| before.strip_suffix(kind));
                prefix.is_some_and(|prefix| !prefix.ends_with(|c: char| c.is_alphanumeric()))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::AliasTarget;

    fn record(name: &str, kind: &str, alias: bool) -> RecordSet {
        RecordSet {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ttl: None,
            values: Vec::new(),
            alias: alias.then(|| AliasTarget {
                hosted_zone_id: "Z1".to_owned(),
                dns_name: "x.us-east-1.elb.amazonaws.com.".to_owned(),
                evaluate_target_health: true,
            }),
            routing: None,
            health_check_id: None,
        }
    }

    #[test]
    fn owner_records_lead_to_their_record() {
        for (owner, name, kind, suffix, owns_it) in [
            ("a-app.example.com.", "app.example.com.", "A", "", true),
            ("cname-app.example.com.", "app.example.com.", "A", "", true),
            (
                "cname-app.example.com.",
                "app.example.com.",
                "AAAA",
                "",
                true,
            ),
            ("app.example.com.", "app.example.com.", "A", "", true),
            ("_x-a.app.example.com.", "app.example.com.", "A", "", true),
            ("_x-a.example.com.", "example.com.", "A", "", true),
            ("p-a-*.example.com.", "*.example.com.", "A", "", true),
            (
                "_x-a._wildcard.example.com.",
                "*.example.com.",
                "A",
                "",
                true,
            ),
            ("a-app-s.example.com.", "app.example.com.", "A", "-s", true),
            ("a-app-s.example.com.", "app.example.com.", "A", "", false),
            ("aaaa-app.example.com.", "app.example.com.", "A", "", false),
            ("a-my-app.example.com.", "app.example.com.", "A", "", false),
            ("a-app.example.com.", "app.b.example.com.", "A", "", false),
            ("a-app.example.com.", "*.example.com.", "A", "", false),
        ] {
            let found = owns(owner, &record(name, kind, true), suffix);
            assert_eq!(found, owns_it, "{owner} {name} {kind}");
        }
        let plain = record("app.example.com.", "A", false);
        assert!(!owns("cname-app.example.com.", &plain, ""));
    }

    #[test]
    fn names_of_load_balancers() {
        for (name, is_one) in [
            ("web-1.us-east-1.elb.amazonaws.com.", true),
            ("dualstack.web-1.us-east-1.elb.amazonaws.com.", true),
            ("web-1.elb.us-east-1.amazonaws.com", true),
            ("web-1.cn-north-1.elb.amazonaws.com.cn.", true),
            ("d111.cloudfront.net.", false),
            ("www.elb.example.com.", false),
        ] {
            assert_eq!(is_of_load_balancers(name), is_one, "{name}");
        }
    }
}
