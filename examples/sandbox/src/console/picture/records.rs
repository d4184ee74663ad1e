//! DNS records in the picture: where each leads, and who owns it.

use alb_ingress_controller::model::ownership::{STACK_TAG, TxtOwner, record_owner, txt_name};
use sandbox_aws::resources::{LoadBalancerView, RecordView, ZoneView};

use super::Drawing;
use super::ingresses::paths;
use crate::console::model::Record;

impl Drawing<'_> {
    pub(super) fn records(&self) -> Vec<Record> {
        let zones = self.resources.zones.iter();
        zones
            .flat_map(|zone| zone.records.iter().map(move |record| (zone, record)))
            .filter(|(_, record)| record.kind != "TXT")
            .map(|(zone, record)| self.record(zone, record))
            .collect()
    }

    fn record(&self, zone: &ZoneView, record: &RecordView) -> Record {
        let host = bare(&record.name).replace("\\052", "*");
        let owner = owner(zone, &host);
        let ours = owner
            .as_ref()
            .is_some_and(|owner| owner.owner == record_owner(&self.place.cluster));
        let resource = owner.as_ref().and_then(|owner| owner.resource.as_deref());
        let group = resource.and_then(|it| {
            it.strip_prefix("ingressgroup/")
                .or_else(|| it.strip_prefix("ingress/"))
        });
        let mut balancers = self.resources.load_balancers.iter();
        let balancer = balancers.find(|balancer| leads_to(record, balancer));
        let stack = balancer.and_then(|balancer| balancer.tags.get(STACK_TAG));
        let group = group
            .or(stack.map(String::as_str))
            .filter(|key| self.keys.contains(*key));
        let mut members = self
            .members
            .iter()
            .filter(|(_, key)| Some(key.as_str()) == group);
        let ingress = members.find_map(|(name, _)| {
            let paths = paths(self.objects.ingresses.get(*name)?);
            let has = paths
                .iter()
                .any(|path| path.host.eq_ignore_ascii_case(&host));
            has.then(|| (*name).to_owned())
        });
        let value = match &record.alias {
            Some(alias) => bare(alias).to_owned(),
            None => record.values.join(", "),
        };
        let leads = match balancer {
            Some(balancer) => format!("leads to load balancer {}", balancer.name),
            None if record.alias.is_some() => {
                format!("leads to {value}, which is no load balancer here")
            }
            None => format!("leads to {value}"),
        };
        let whose = match (&owner, group) {
            (None, _) => {
                "nobody has marked it as theirs, so the controller leaves it alone".to_owned()
            }
            (Some(_), Some(group)) if ours => {
                format!("this cluster's controller owns it, for the group {group}")
            }
            (Some(owner), _) if ours => format!(
                "this cluster's controller owns it, for {}",
                owner.resource.as_deref().unwrap_or("no group that is here")
            ),
            (Some(owner), _) => format!(
                "{} owns it by its TXT record, so this cluster's controller leaves it alone",
                owner.owner
            ),
        };
        Record {
            zone: bare(&zone.name).to_owned(),
            name: host.clone(),
            kind: record.kind.clone(),
            value,
            owner: owner
                .as_ref()
                .map_or("nobody has marked it", |owner| &owner.owner)
                .to_owned(),
            ingress,
            group: group.map(str::to_owned),
            ours,
            text: format!("{host} {leads}; {whose}."),
        }
    }
}

/// Who a TXT record beside a name says that owns it: of this controller, or as
/// external-dns names such records.
fn owner(zone: &ZoneView, host: &str) -> Option<TxtOwner> {
    let names = [
        txt_name(host),
        format!("a-{host}"),
        format!("cname-{host}"),
        host.to_owned(),
    ];
    let texts = zone.records.iter().filter(|record| record.kind == "TXT");
    let owner_of = |name: &String| {
        let mut named = texts
            .clone()
            .filter(|record| bare(&record.name).replace("\\052", "*") == *name);
        named.find_map(|record| record.values.iter().find_map(|it| TxtOwner::parse(it)))
    };
    names.iter().find_map(owner_of)
}

pub(super) fn leads_to(record: &RecordView, balancer: &LoadBalancerView) -> bool {
    let alias = record.alias.as_deref().map(bare);
    alias.is_some_and(|alias| {
        let alias = alias.strip_prefix("dualstack.").unwrap_or(alias);
        alias.eq_ignore_ascii_case(&balancer.dns_name)
    })
}

/// A name without the dot at its end.
pub(super) fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
