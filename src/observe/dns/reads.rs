//! Reads of record sets: of one host, and of a zone.

use aws_sdk_route53::types as sdk;

use crate::aws::{Aws, Error, operations};
use crate::model::ownership;
use crate::model::records::{HostRecords, RawAlias, RecordSet};

/// Lists a zone for the sake of so many hosts, as long as that is cheaper than
/// to ask for each; `None` where it is not, or failed.
pub(super) async fn list(aws: &Aws, zone: &str, hosts: usize) -> Option<Vec<RecordSet>> {
    let mut sets = Vec::new();
    let mut start = Start::default();
    for _ in 0..hosts {
        let page = page(aws, zone, &start).await.ok()?;
        sets.extend(page.resource_record_sets().iter().map(record_set));
        match page.is_truncated().then(|| Start::next(&page)).flatten() {
            Some(next) => start = next,
            None => return Some(sets),
        }
    }
    None
}

/// The record sets of one host out of all of a zone.
pub(super) fn records_of(host: &str, sets: &[RecordSet]) -> HostRecords {
    let owner = ownership::txt_name(host);
    let at = |name: &str| {
        let sets = sets.iter().filter(|set| set.name == name);
        sets.cloned().collect()
    };
    HostRecords {
        at_host: at(host),
        at_owner: at(&owner),
    }
}

/// Reads all record sets at a host and at the name of its owner TXT. Route 53
/// lists a zone by names with their labels reversed, so the TXT's name comes
/// soon after the host's and one page mostly has both.
pub(super) async fn read(aws: &Aws, zone: &str, host: &str) -> Result<HostRecords, Error> {
    let owner = ownership::txt_name(host);
    let mut records = HostRecords::default();
    let mut start = Start::at(host);
    let mut host_done = false;
    loop {
        let page = page(aws, zone, &start).await?;
        let mut last = String::new();
        for set in page.resource_record_sets() {
            let set = record_set(set);
            last.clone_from(&set.name);
            if set.name == owner {
                records.at_owner.push(set);
            } else if set.name == host && !host_done {
                records.at_host.push(set);
            }
        }
        let next = page.is_truncated().then(|| Start::next(&page)).flatten();
        let Some(next) = next else {
            return Ok(records);
        };
        if last == host || last == owner {
            start = next;
        } else if reversed(&last) > reversed(&owner) {
            return Ok(records);
        } else {
            host_done = true;
            start = Start::at(&owner);
        }
    }
}

/// Labels of a name, the last first. All that Route 53 escapes sorts before
/// `_`, escaped or not, so that names compare with an owner's as it does.
fn reversed(name: &str) -> Vec<&str> {
    name.rsplit('.').collect()
}

/// Where a page of records begins; the default is the zone's beginning.
#[derive(Clone, Debug, Default)]
pub(in crate::observe) struct Start {
    name: Option<String>,
    kind: Option<sdk::RrType>,
    identifier: Option<String>,
}

impl Start {
    fn at(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }

    pub(in crate::observe) fn next(page: &Page) -> Option<Self> {
        Some(Self {
            name: Some(page.next_record_name()?.to_owned()),
            kind: page.next_record_type().cloned(),
            identifier: page.next_record_identifier().map(str::to_owned),
        })
    }
}

pub(in crate::observe) type Page =
    aws_sdk_route53::operation::list_resource_record_sets::ListResourceRecordSetsOutput;

pub(in crate::observe) async fn page(aws: &Aws, zone: &str, start: &Start) -> Result<Page, Error> {
    let call = aws
        .route53
        .list_resource_record_sets()
        .hosted_zone_id(zone)
        .set_start_record_name(start.name.clone())
        .set_start_record_type(start.kind.clone())
        .set_start_record_identifier(start.identifier.clone())
        .send();
    aws.call(&operations::LIST_RESOURCE_RECORD_SETS, call).await
}

pub(in crate::observe) fn record_set(set: &sdk::ResourceRecordSet) -> RecordSet {
    RecordSet {
        name: plain_name(set.name()),
        kind: set.r#type().as_str().to_owned(),
        ttl: set.ttl(),
        values: set
            .resource_records()
            .iter()
            .map(|r| r.value().to_owned())
            .collect(),
        alias: set.alias_target().map(|alias| RawAlias {
            dns_name: alias.dns_name().to_owned(),
            hosted_zone_id: alias.hosted_zone_id().to_owned(),
            evaluate_target_health: alias.evaluate_target_health(),
        }),
        set_identifier: set.set_identifier().map(str::to_owned),
    }
}

/// A name as we write it: lower case, no final dot, octal escapes (`\052`)
/// turned into what they stand for.
pub fn plain_name(name: &str) -> String {
    let name = name.trim_end_matches('.');
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.get(..3).and_then(|o| u8::from_str_radix(o, 8).ok());
        if let Some(code) = code.filter(u8::is_ascii) {
            plain.push(char::from(code));
            rest = &after[3..];
        } else {
            plain.push('\\');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain.make_ascii_lowercase();
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(plain_name("\\052.Example.COM."), "*.example.com");
        assert_eq!(plain_name("a.example.com"), "a.example.com");
        assert_eq!(plain_name("a\\9b.example.com."), "a\\9b.example.com");
    }

    #[test]
    fn an_owner_sorts_after_its_host_and_before_other_hosts() {
        let owner = ownership::txt_name("app.example.com");
        assert!(reversed("app.example.com") < reversed(&owner));
        assert!(reversed("api.app.example.com") > reversed(&owner));
        assert!(reversed("zoo.example.com") > reversed(&owner));
        let wildcard = ownership::txt_name("*.example.com");
        assert!(reversed("*.example.com") < reversed(&wildcard));
    }
}
