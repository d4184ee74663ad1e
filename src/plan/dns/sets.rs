//! Record sets: what is read out of them and how ours are made.

use super::DnsContext;
use crate::model::group::GroupId;
use crate::model::ownership::{txt_name, txt_value};
use crate::model::records::{AliasTarget, HostRecords, RawAlias, RecordSet};

/// Seconds that resolvers may keep an owner TXT.
const TXT_TTL: i64 = 300;

/// The simple A record at the host, if any; in words what stands in its way.
pub(super) fn address(records: &HostRecords) -> Result<Option<&RecordSet>, String> {
    let mut address = None;
    for record in &records.at_host {
        match (record.kind.as_str(), &record.set_identifier) {
            ("A", None) => address = Some(record),
            ("A", Some(id)) => return Err(format!("an A record with a routing policy ({id})")),
            (kind @ ("CNAME" | "AAAA"), _) => {
                return Err(format!("a record of type {kind} ({})", value(record)));
            }
            _ => {}
        }
    }
    Ok(address)
}

/// The value of a record set, for people.
pub(super) fn value(record: &RecordSet) -> String {
    match &record.alias {
        Some(alias) => format!("alias {}", alias.dns_name.trim_end_matches('.')),
        None => record.values.join(" "),
    }
}

/// The record of a host that leads to a load balancer.
pub(super) fn record(host: &str, target: &AliasTarget) -> RecordSet {
    RecordSet {
        name: host.to_owned(),
        kind: "A".to_owned(),
        ttl: None,
        values: Vec::new(),
        alias: Some(RawAlias {
            dns_name: format!("{}.", target.dns_name),
            hosted_zone_id: target.hosted_zone_id.clone(),
            evaluate_target_health: true,
        }),
        set_identifier: None,
    }
}

/// The TXT record beside it, which says whose it is.
pub(super) fn owner_txt(host: &str, group: &GroupId, cx: &DnsContext) -> RecordSet {
    RecordSet {
        name: txt_name(host),
        kind: "TXT".to_owned(),
        ttl: Some(TXT_TTL),
        values: vec![txt_value(&cx.cluster, cx.cluster_uid.as_deref(), group)],
        alias: None,
        set_identifier: None,
    }
}

/// Whether a live A record leads where it should; Route 53 answers names with
/// a final dot, and the console writes `dualstack.` in front.
pub(super) fn same_address(live: &RecordSet, wished: &RecordSet) -> bool {
    let canonical = |record: &RecordSet| {
        record.alias.as_ref().map(|alias| {
            let name = alias.dns_name.trim_end_matches('.').to_ascii_lowercase();
            let name = name.strip_prefix("dualstack.").unwrap_or(&name).to_owned();
            (
                name,
                alias.hosted_zone_id.clone(),
                alias.evaluate_target_health,
            )
        })
    };
    canonical(live) == canonical(wished)
}
