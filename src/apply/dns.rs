//! Changes of records: batches, each of one zone and all or nothing, one
//! after another within a zone.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_route53::types as sdk;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::aws::operations::{self, Operation};
use crate::aws::{Aws, Class, Error};
use crate::model::records::{Place, RecordSet};
use crate::observe::Dns;
use crate::plan::dns::{DnsPlan, HostChange, RecordChange, effect_records};

/// A change that Route 53 took and is spreading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Id, to ask whether it has been spread.
    pub change: String,
    /// What it is about.
    pub places: Vec<Place>,
}

/// What has come of a plan for records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsApplied {
    /// Changes that were taken.
    pub submitted: Vec<Submitted>,
    /// Whose change was not taken, and why. Those that are in doubt are read
    /// before they are planned again.
    pub failed: BTreeMap<Place, Error>,
    /// Whose turn did not come because the process stops.
    pub skipped: Vec<Place>,
}

/// Submits all changes of a plan: zones side by side, the batches of one zone
/// in order. A batch that is refused as a whole is submitted again host by
/// host, so that one cannot hold up its neighbours. What was taken is
/// remembered.
pub async fn run(aws: &Aws, dns: &Dns, plan: &DnsPlan, stop: &CancellationToken) -> DnsApplied {
    let mut zones: BTreeMap<&str, Vec<Vec<&HostChange>>> = BTreeMap::new();
    for batch in plan.batches() {
        if let Some(first) = batch.first() {
            zones.entry(&first.place.zone).or_default().push(batch);
        }
    }
    let zones = zones
        .into_iter()
        .map(|(zone, batches)| zone_changes(aws, dns, zone, batches, stop));
    let mut all = DnsApplied::default();
    for applied in join_all(zones).await {
        all.submitted.extend(applied.submitted);
        all.failed.extend(applied.failed);
        all.skipped.extend(applied.skipped);
    }
    all
}

async fn zone_changes(
    aws: &Aws,
    dns: &Dns,
    zone: &str,
    batches: Vec<Vec<&HostChange>>,
    stop: &CancellationToken,
) -> DnsApplied {
    let mut applied = DnsApplied::default();
    for batch in batches {
        if stop.is_cancelled() {
            applied
                .skipped
                .extend(batch.iter().map(|change| change.place.clone()));
            continue;
        }
        match submit(aws, zone, &batch).await {
            Ok(change) => taken(dns, &batch, change, &mut applied),
            Err(error) if error.class == Class::LostRace && batch.len() > 1 => {
                for one in &batch {
                    let one = std::slice::from_ref(one);
                    match submit(aws, zone, one).await {
                        Ok(change) => taken(dns, one, change, &mut applied),
                        Err(error) => refused(dns, one, &error, &mut applied),
                    }
                }
            }
            Err(error) => refused(dns, &batch, &error, &mut applied),
        }
    }
    applied
}

fn taken(dns: &Dns, batch: &[&HostChange], change: String, applied: &mut DnsApplied) {
    for host in batch {
        dns.remember(&host.place, |records| effect_records(host, records));
        tracing::info!(
            host = host.place.host,
            zone = host.place.zone,
            why = host.why,
            "record changed"
        );
    }
    applied.submitted.push(Submitted {
        change,
        places: batch.iter().map(|host| host.place.clone()).collect(),
    });
}

fn refused(dns: &Dns, batch: &[&HostChange], error: &Error, applied: &mut DnsApplied) {
    for change in batch {
        let Place { host, zone } = &change.place;
        if error.class == Class::Gone {
            dns.zone_is_gone(zone);
        } else if error.class.leaves_doubt() {
            dns.mark_stale(&change.place);
        }
        tracing::warn!(host, zone, %error, "record not changed");
        applied.failed.insert(change.place.clone(), error.clone());
    }
}

/// Submits one batch and answers the id of the change.
async fn submit(aws: &Aws, zone: &str, batch: &[&HostChange]) -> Result<String, Error> {
    let operation = operations::CHANGE_RESOURCE_RECORD_SETS;
    let mut changes = Vec::new();
    // Deletes first over the whole batch, as it is judged in order.
    let all = || batch.iter().flat_map(|host| &host.changes);
    for change in all().filter(|c| matches!(c, RecordChange::Delete(_))) {
        changes.push(one(&operation, sdk::ChangeAction::Delete, change.record())?);
    }
    for change in all().filter(|c| matches!(c, RecordChange::Create(_))) {
        changes.push(one(&operation, sdk::ChangeAction::Create, change.record())?);
    }
    let changes = sdk::ChangeBatch::builder()
        .set_changes(Some(changes))
        .build()
        .map_err(|error| unfit(&operation, &error))?;
    let call = aws
        .route53
        .change_resource_record_sets()
        .hosted_zone_id(zone)
        .change_batch(changes)
        .send();
    let answer = aws.call(&operation, call).await?;
    let id = answer.change_info().map_or("", |info| info.id());
    Ok(id.rsplit('/').next().unwrap_or(id).to_owned())
}

fn one(
    operation: &Operation,
    action: sdk::ChangeAction,
    record: &RecordSet,
) -> Result<sdk::Change, Error> {
    let values = record
        .values
        .iter()
        .map(|value| sdk::ResourceRecord::builder().value(value).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unfit(operation, &error))?;
    let alias = record
        .alias
        .as_ref()
        .map(|alias| {
            sdk::AliasTarget::builder()
                .dns_name(&alias.dns_name)
                .hosted_zone_id(&alias.hosted_zone_id)
                .evaluate_target_health(alias.evaluate_target_health)
                .build()
        })
        .transpose()
        .map_err(|error| unfit(operation, &error))?;
    let set = sdk::ResourceRecordSet::builder()
        .name(&record.name)
        .r#type(sdk::RrType::from(record.kind.as_str()))
        .set_ttl(record.ttl)
        .set_resource_records((!values.is_empty()).then_some(values))
        .set_alias_target(alias)
        .set_set_identifier(record.set_identifier.clone())
        .build()
        .map_err(|error| unfit(operation, &error))?;
    sdk::Change::builder()
        .action(action)
        .resource_record_set(set)
        .build()
        .map_err(|error| unfit(operation, &error))
}

fn unfit(operation: &Operation, error: &impl std::error::Error) -> Error {
    Error::here(operation, Class::Refused, error.to_string())
}

/// Whether a change has been spread to all name servers. One that Route 53
/// does not know any more has been, long ago.
pub async fn in_sync(aws: &Aws, change: &str) -> Result<bool, Error> {
    let call = aws.route53.get_change().id(change).send();
    match aws.call(&operations::GET_CHANGE, call).await {
        Err(error) if error.class == Class::Gone => Ok(true),
        answer => Ok(answer?
            .change_info()
            .is_some_and(|info| *info.status() == sdk::ChangeStatus::Insync)),
    }
}

/// Asks every so often until a change has been spread; `false` when `stop`
/// came first. Faults that pass are waited out.
pub async fn wait_in_sync(
    aws: &Aws,
    change: &str,
    every: Duration,
    stop: &CancellationToken,
) -> Result<bool, Error> {
    loop {
        match in_sync(aws, change).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if matches!(error.class, Class::Throttle | Class::Transient) => {}
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(every) => {}
        }
    }
}
