//! A plan of records as batches for Route 53, and as text.

use std::collections::BTreeMap;
use std::fmt;

use super::{DnsPlan, HostChange, RecordChange, value};

/// Changes of a batch; Route 53 takes 1,000, and 32,000 characters of values.
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html>
const CHANGES_OF_A_BATCH: usize = 500;
const CHARACTERS_OF_A_BATCH: usize = 32_000;

impl DnsPlan {
    /// The changes in batches, each of one zone and within Route 53's limits;
    /// the changes of a host stay together.
    pub fn batches(&self) -> Vec<Vec<&HostChange>> {
        let mut by_zone: BTreeMap<&str, Vec<&HostChange>> = BTreeMap::new();
        for change in &self.changes {
            by_zone.entry(&change.place.zone).or_default().push(change);
        }
        let mut batches: Vec<Vec<&HostChange>> = Vec::new();
        for changes in by_zone.into_values() {
            let mut batch: Vec<&HostChange> = Vec::new();
            let (mut count, mut characters) = (0, 0);
            for change in changes {
                let (more, longer) = (change.changes.len(), change.characters());
                if !batch.is_empty()
                    && (count + more > CHANGES_OF_A_BATCH
                        || characters + longer > CHARACTERS_OF_A_BATCH)
                {
                    batches.push(std::mem::take(&mut batch));
                    (count, characters) = (0, 0);
                }
                batch.push(change);
                count += more;
                characters += longer;
            }
            batches.push(batch);
        }
        batches
    }
}

impl HostChange {
    /// Characters of all values in it.
    fn characters(&self) -> usize {
        let records = self.changes.iter().map(RecordChange::record);
        records.flat_map(|r| &r.values).map(String::len).sum()
    }
}

impl fmt::Display for DnsPlan {
    /// Numbered lines, as of any other plan; the first of a host says why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = 0;
        for change in &self.changes {
            let mut why = format!("; {}", change.why);
            for record_change in &change.changes {
                number += 1;
                let sign = match record_change {
                    RecordChange::Delete(_) => '-',
                    RecordChange::Create(_) => '+',
                };
                let record = record_change.record();
                let (name, kind) = (&record.name, &record.kind);
                let value = value(record);
                let zone = &change.place.zone;
                writeln!(
                    f,
                    "{number}. {sign} record {name} {kind} {value} (zone {zone}{why})"
                )?;
                why.clear();
            }
        }
        Ok(())
    }
}
