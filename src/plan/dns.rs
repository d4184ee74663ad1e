//! Records: for each host, who holds it and what Route 53 is told.
//!
//! A record is written with its owner TXT in one batch. The first write is a
//! CREATE, a change is the DELETE of exactly what was read and a CREATE, so a
//! batch fails as a whole where somebody was faster; nothing is overwritten.
//!
//! A record is ours when its TXT names this cluster and one of its groups. A
//! group that holds a host keeps it while it wants it; when it leaves, one
//! batch hands the record over to the oldest Ingress that wants it. Where that
//! one's load balancer needs another zone (public or private), the record is
//! made there first, and goes from the old zone once it has been spread. All
//! that is not ours is left alone and said.

mod batches;
mod known;
mod sets;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::finding::{Effect, Finding, Reason};
use crate::model::group::GroupId;
use crate::model::ownership::{TxtOwner, record_resource};
use crate::model::records::{
    Claim, DesiredRecords, HostFindings, HostRecords, ObservedRecords, Place, RecordSet,
    RecordState,
};
use crate::model::spec::ObjectName;
pub use known::KnownGroups;
use sets::{address, owner_txt, record, same_address, value};

/// What the records depend on beside claims and record sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DnsContext {
    /// Name of the cluster; part of the owner id.
    pub cluster: String,
    /// UID of the namespace `kube-system`, where it is known: tells apart two
    /// clusters that were given one name.
    pub cluster_uid: Option<String>,
    /// All groups that this controller knows, those that are being removed
    /// included.
    pub groups: KnownGroups,
    /// Whether it sees all Ingresses of the cluster and serves the only class
    /// of its kind: then a record of the cluster that no known group holds is
    /// left over. Else it may be a neighbour's.
    pub sees_all: bool,
    /// Records that Route 53 is still spreading.
    pub spreading: BTreeSet<Place>,
}

/// One record set of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// Delete exactly this.
    Delete(RecordSet),
    /// Create this; fails where something is there.
    Create(RecordSet),
}

impl RecordChange {
    /// The record set that is created or deleted.
    pub fn record(&self) -> &RecordSet {
        let (Self::Delete(record) | Self::Create(record)) = self;
        record
    }
}

/// All changes for one host in one zone; they go into one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostChange {
    /// Where.
    pub place: Place,
    /// The group that holds the host afterwards; `None` where the record
    /// goes.
    pub holder: Option<GroupId>,
    /// The deletes, then the creates.
    pub changes: Vec<RecordChange>,
    /// Why, for people.
    pub why: String,
}

/// What is decided for the records of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsPlan {
    /// What is to be written, by host.
    pub changes: Vec<HostChange>,
    /// For each wished host: the group that holds it or is to get it, and how
    /// its record stands. `Pending` where it is written by this plan, and where
    /// it was not read.
    pub states: BTreeMap<String, (GroupId, RecordState)>,
    /// What is wrong.
    pub findings: HostFindings,
}

impl DnsPlan {
    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many record sets are written: the lines of its text.
    pub fn record_changes(&self) -> usize {
        let changes = self.changes.iter();
        changes.map(|change| change.changes.len()).sum()
    }

    fn find(&mut self, host: &str, finding: Finding) {
        let of_host = self.findings.entry(host.to_owned());
        of_host.or_default().push(finding);
    }
}

/// Decides for all hosts that were read. A host that was not read where its
/// record goes is left for the next time. What is decided for a host depends on
/// nothing that is said of another one.
///
/// A record of ours goes when nobody wants its host any more; when the record
/// in another zone serves the host; and when the group that held it has left
/// and nobody is about to follow, as one that leads nowhere helps no one.
pub fn diff_records(
    desired: &DesiredRecords,
    observed: &ObservedRecords,
    cx: &DnsContext,
) -> DnsPlan {
    let owned: BTreeMap<&Place, (&HostRecords, Owner)> = observed
        .iter()
        .map(|(place, records)| (place, (records, Owner::of(records, cx))))
        .collect();
    let mut plan = DnsPlan::default();
    let mut followers: BTreeMap<&str, Follower<'_>> = BTreeMap::new();
    for (host, claims) in desired {
        let held: Vec<&str> = owned
            .range::<Place, _>(Place::new(host, "")..)
            .take_while(|(place, _)| place.host == *host)
            .filter_map(|(_, (_, owner))| owner.resource())
            .collect();
        let Some(holder) = holder(claims, &held) else {
            continue;
        };
        lose(host, holder, claims, &mut plan);
        let Some(zone) = &holder.zone else {
            continue;
        };
        let place = Place::new(host, zone);
        let mut follower = Follower {
            zone,
            serves: false,
            comes: holder.target.is_some() || holder.comes,
        };
        if let Some((records, owner)) = owned.get(&place) {
            claimed(&place, claims, holder, records, owner, cx, &mut plan);
            let is_theirs = owner.resource() == Some(&record_resource(&holder.group));
            let has_address = matches!(address(records), Ok(Some(_)));
            follower.serves = is_theirs && has_address && !cx.spreading.contains(&place);
        } else {
            let state = (holder.group.clone(), RecordState::Pending);
            plan.states.insert(host.clone(), state);
        }
        followers.insert(host, follower);
    }
    for (place, (records, owner)) in &owned {
        let Some(resource) = owner.resource() else {
            continue;
        };
        let Some(claims) = desired.get(&place.host) else {
            unclaimed(place, records, "no Ingress wants it", cx, &mut plan);
            continue;
        };
        let wanted = |claim: &Claim| record_resource(&claim.group) == resource;
        match followers.get(place.host.as_str()) {
            Some(follower) if follower.serves && follower.zone != place.zone => {
                let why = format!("zone {} has the record now", follower.zone);
                unclaimed(place, records, &why, cx, &mut plan);
            }
            Some(follower) if follower.comes => {}
            _ if claims
                .iter()
                .any(|c| wanted(c) && !is_stranded(&place.host, records, c)) => {}
            _ if claims.iter().any(wanted) => {
                let why = "no zone is for the load balancer that replaces the one it leads to";
                unclaimed(place, records, why, cx, &mut plan);
            }
            _ => unclaimed(
                place,
                records,
                "the group that held it has left",
                cx,
                &mut plan,
            ),
        }
    }
    plan
}

/// Who has the record of a host, or is to get it.
struct Follower<'a> {
    zone: &'a str,
    /// Whether its record is there and has been spread.
    serves: bool,
    /// Whether it is about to be written, if it is not there.
    comes: bool,
}

/// The hosts whose records are ours, with the group that each is held for as
/// far as it is known: a group that is being removed waits until it is not in
/// here any more.
pub fn held(observed: &ObservedRecords, cx: &DnsContext) -> BTreeMap<Place, GroupId> {
    observed
        .iter()
        .filter_map(|(place, records)| match Owner::of(records, cx) {
            Owner::Ours { resource, .. } => {
                let group = cx.groups.of(&resource)?;
                Some((place.clone(), group.clone()))
            }
            Owner::Nobody | Owner::Other(_) => None,
        })
        .collect()
}

/// Whether the owner record of a host names a group of this cluster that is not
/// known: it means something else as soon as that one is.
pub fn names_unknown(records: &HostRecords, cx: &DnsContext) -> bool {
    let values = records.at_owner.iter().flat_map(|txt| &txt.values);
    let owners = values.filter_map(|value| TxtOwner::parse(value));
    let mut ours = owners.filter(|owner| owner.is_ours(&cx.cluster));
    ours.any(|owner| cx.groups.of(&owner.resource.unwrap_or_default()).is_none())
}

/// Writes the effect of a change that Route 53 took into what it holds at that
/// place.
pub fn effect_records(change: &HostChange, records: &mut HostRecords) {
    for change_of in &change.changes {
        let place = if change_of.record().name == change.place.host {
            &mut records.at_host
        } else {
            &mut records.at_owner
        };
        match change_of {
            RecordChange::Delete(record) => place.retain(|live| live != record),
            RecordChange::Create(record) => place.push(record.clone()),
        }
    }
}

/// What the TXT beside a record says.
#[derive(Debug)]
enum Owner {
    /// There is none.
    Nobody,
    /// This cluster, and the group that is called so.
    Ours { txt: RecordSet, resource: String },
    /// Someone else; who, for people.
    Other(String),
}

impl Owner {
    /// The resource that a TXT of ours names.
    fn resource(&self) -> Option<&str> {
        match self {
            Self::Ours { resource, .. } => Some(resource),
            Self::Nobody | Self::Other(_) => None,
        }
    }

    fn of(records: &HostRecords, cx: &DnsContext) -> Self {
        let [txt] = records.at_owner.as_slice() else {
            return match records.at_owner.first() {
                None => Self::Nobody,
                Some(first) => Self::Other(format!("several record sets at {}", first.name)),
            };
        };
        let foreign = || Self::Other(format!("the {} record at {}", txt.kind, txt.name));
        let [value] = txt.values.as_slice() else {
            return foreign();
        };
        let read = TxtOwner::parse(value).filter(|_| txt.kind == "TXT");
        let Some(read) = read.filter(|_| txt.set_identifier.is_none()) else {
            return foreign();
        };
        if !read.is_ours(&cx.cluster) {
            return Self::Other(format!("owner {}", read.owner));
        }
        if let (Some(theirs), Some(ours)) = (&read.cluster_uid, &cx.cluster_uid)
            && theirs != ours
        {
            return Self::Other(format!(
                "another cluster named {} (its kube-system has the UID {theirs})",
                cx.cluster
            ));
        }
        let resource = read.resource.unwrap_or_default();
        if !cx.sees_all && cx.groups.of(&resource).is_none() {
            return Self::Other(format!("{resource}, which this controller does not serve"));
        }
        Self::Ours {
            txt: txt.clone(),
            resource,
        }
    }
}

/// Whose the host is: the group that holds a record of it (`held`: their
/// resources) while it wants the host; else the oldest claim that can be
/// served; else the oldest one.
fn holder<'a>(claims: &'a [Claim], held: &[&str]) -> Option<&'a Claim> {
    let holds = |claim: &&Claim| held.contains(&record_resource(&claim.group).as_str());
    let has_zone = |claim: &&Claim| claim.zone.is_some();
    let comes = |claim: &&Claim| claim.target.is_some() || claim.comes;
    let claims = claims.iter();
    let mut placed = claims.clone().filter(has_zone);
    (claims.clone().find(holds))
        .or_else(|| placed.clone().find(comes))
        .or_else(|| placed.next())
}

/// Says to the claims of other groups that they do not get the host.
fn lose(host: &str, holder: &Claim, claims: &[Claim], plan: &mut DnsPlan) {
    for claim in claims.iter().filter(|claim| claim.group != holder.group) {
        plan.find(
            host,
            Finding {
                ingress: claim.ingress.clone(),
                effect: Effect::Degraded,
                reason: Reason::HostClaimedByOther,
                message: format!(
                    "the DNS record of host {host} belongs to group {} (Ingress {}); expected one \
                 group to a host: take the host out of one of the two, or put both Ingresses into \
                 one group",
                    holder.group, holder.ingress
                ),
            },
        );
    }
}

/// Refuses: a finding on each Ingress of the holding group that wants the
/// host, and the state.
fn refuse(place: &Place, claims: &[Claim], holder: &Claim, why: String, plan: &mut DnsPlan) {
    let Place { host, zone } = place;
    let ingresses: BTreeSet<&ObjectName> = claims
        .iter()
        .filter(|claim| claim.group == holder.group)
        .map(|claim| &claim.ingress)
        .collect();
    for ingress in ingresses {
        plan.find(
            host,
            Finding {
                ingress: ingress.clone(),
                effect: Effect::Degraded,
                reason: Reason::RecordConflict,
                message: format!(
                    "the DNS record of host {host} is not written: zone {zone} has {why}; expected \
                 nothing there that is not ours: delete it, or take the host out of the Ingress"
                ),
            },
        );
    }
    let state = (holder.group.clone(), RecordState::Refused(why));
    plan.states.insert(host.clone(), state);
}

fn claimed(
    place: &Place,
    claims: &[Claim],
    holder: &Claim,
    records: &HostRecords,
    owner: &Owner,
    cx: &DnsContext,
    plan: &mut DnsPlan,
) {
    let host = place.host.as_str();
    let refuse = |why: String, plan: &mut DnsPlan| refuse(place, claims, holder, why, plan);
    if let Owner::Other(who) = owner {
        return refuse(format!("an owner record of {who}"), plan);
    }
    let address = match address(records) {
        Ok(address) => address,
        Err(why) => return refuse(why, plan),
    };
    if let (Owner::Nobody, Some(address)) = (owner, address) {
        let value = value(address);
        return refuse(format!("an A record ({value}) that is not ours"), plan);
    }
    let resource = record_resource(&holder.group);
    let Some(target) = &holder.target else {
        let is_theirs = owner.resource() == Some(&resource);
        let state = if is_theirs && address.is_some() {
            RecordState::InSync
        } else if holder.frozen {
            RecordState::Frozen(holder.ingress.clone())
        } else if holder.comes {
            RecordState::WaitingForLoadBalancer
        } else {
            RecordState::WithoutRule
        };
        let state = (holder.group.clone(), state);
        plan.states.insert(host.to_owned(), state);
        return;
    };
    let wished = record(host, target);
    let same = address.is_some_and(|live| same_address(live, &wished));
    let mut changes = Vec::new();
    if let Some(address) = address.filter(|_| !same) {
        changes.push(RecordChange::Delete(address.clone()));
    }
    let (txt_stays, why) = match owner {
        Owner::Ours {
            txt,
            resource: held,
        } => {
            let stays = *held == resource && address.is_some();
            if !stays {
                changes.push(RecordChange::Delete(txt.clone()));
            }
            let why = match (address, *held == resource) {
                (None, _) => "the record was gone",
                (Some(_), true) => "it leads elsewhere",
                (Some(_), false) => "the group that held it has left",
            };
            (stays, why)
        }
        Owner::Nobody | Owner::Other(_) => (false, "a new host"),
    };
    if !same {
        changes.push(RecordChange::Create(wished));
    }
    if !txt_stays {
        changes.push(RecordChange::Create(owner_txt(host, &holder.group, cx)));
    }
    let state = if changes.is_empty() {
        RecordState::InSync
    } else {
        plan.changes.push(HostChange {
            place: place.clone(),
            holder: Some(holder.group.clone()),
            changes,
            why: why.to_owned(),
        });
        RecordState::Pending
    };
    plan.states
        .insert(host.to_owned(), (holder.group.clone(), state));
}

/// Whether a record of ours leads to a load balancer that its group replaces
/// by one for which there is no zone, such as an internal one where
/// all zones are public: it would lead nowhere.
fn is_stranded(host: &str, records: &HostRecords, claim: &Claim) -> bool {
    let (None, Some(target)) = (&claim.zone, &claim.target) else {
        return false;
    };
    let wished = record(host, target);
    matches!(address(records), Ok(Some(live)) if !same_address(live, &wished))
}

/// Takes away a record of ours that nobody wants; the TXT alone where the
/// record is gone or has become someone else's.
fn unclaimed(place: &Place, records: &HostRecords, why: &str, cx: &DnsContext, plan: &mut DnsPlan) {
    let Owner::Ours { txt, .. } = Owner::of(records, cx) else {
        return;
    };
    let mut changes = Vec::new();
    if let Ok(Some(address)) = address(records) {
        changes.push(RecordChange::Delete(address.clone()));
    }
    changes.push(RecordChange::Delete(txt));
    plan.changes.push(HostChange {
        place: place.clone(),
        holder: None,
        changes,
        why: why.to_owned(),
    });
}

#[cfg(test)]
mod tests;
