//! What is wrong with records, and with whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{Class, Error};
use crate::model::finding::{Effect, Finding, Reason};
use crate::model::group::GroupId;
use crate::model::membership::Membership;
use crate::model::records::{HostFindings, Place};
use crate::model::records_build::hosts_of;
use crate::model::snapshot::Snapshot;
use crate::model::spec::ObjectName;
use crate::plan::dns::DnsPlan;

/// What is wrong with hosts, and with whom.
pub(super) type Found = BTreeMap<String, BTreeSet<(GroupId, Finding)>>;

/// Findings with the groups that their Ingresses are members of.
pub(super) fn by_group(membership: &Membership, findings: HostFindings) -> Found {
    let members: BTreeMap<&ObjectName, &GroupId> = membership
        .groups
        .iter()
        .flat_map(|(id, group)| group.members.iter().map(move |member| (member, id)))
        .collect();
    let with_group = |finding: Finding| {
        let group = members.get(&finding.ingress)?;
        Some((GroupId::clone(group), finding))
    };
    let findings = findings.into_iter();
    findings
        .map(|(host, of_host)| (host, of_host.into_iter().filter_map(with_group).collect()))
        .collect()
}

/// A note on every Ingress with a host, since no record can be written.
pub(super) fn denied(membership: &Membership, snapshot: &Snapshot, error: &Error) -> HostFindings {
    let mut findings = HostFindings::new();
    for member in membership.groups.values().flat_map(|group| &group.members) {
        for host in hosts_of(member, snapshot) {
            findings.entry(host).or_default().push(Finding {
                ingress: member.clone(),
                effect: Effect::Note,
                reason: Reason::DnsDenied,
                message: format!(
                    "no DNS records are written: AWS answered {} to {}; allow the route53 actions \
                     of deploy/iam-policy.json to the controller's role, or switch records off \
                     with DISABLE_ROUTE53=true",
                    error.code, error.operation
                ),
            });
        }
    }
    findings
}

/// The Ingresses that a record is for, by host, with their groups: members,
/// and those that leave.
#[derive(Debug)]
pub(super) struct Owners {
    members: BTreeSet<(String, GroupId, ObjectName)>,
    leavers: BTreeSet<(String, GroupId, ObjectName)>,
}

impl Owners {
    pub(super) fn new(membership: &Membership, snapshot: &Snapshot) -> Self {
        let mut owners = Self {
            members: BTreeSet::new(),
            leavers: BTreeSet::new(),
        };
        let of = |group: &GroupId, ingress: &ObjectName| {
            let hosts = hosts_of(ingress, snapshot).into_iter();
            let owner = (group.clone(), ingress.clone());
            hosts.map(move |host| (host, owner.0.clone(), owner.1.clone()))
        };
        for (group, placed) in &membership.groups {
            for member in &placed.members {
                owners.members.extend(of(group, member));
            }
            for leaver in &placed.leavers {
                owners.leavers.extend(of(group, &leaver.ingress));
            }
        }
        owners
    }

    /// The Ingresses that a host is of, or was.
    pub(super) fn of(&self, host: &str) -> Vec<ObjectName> {
        let all = self.members.iter().chain(&self.leavers);
        let all = all.filter(|(of, ..)| of == host);
        let all: BTreeSet<&ObjectName> = all.map(|(_, _, ingress)| ingress).collect();
        all.into_iter().cloned().collect()
    }

    /// What AWS does not allow to read or to change, on the members of the
    /// group that the record is for and on those that leave it behind. The
    /// same words each time, so that it is said once.
    pub(super) fn not_allowed(&self, failed: &BTreeMap<Place, Error>, plan: &DnsPlan) -> Found {
        let mut found = Found::new();
        let denied = failed.iter().filter(|(_, e)| e.class == Class::Denied);
        for (place, error) in denied {
            let Place { host, zone } = place;
            let holder = plan.states.get(host).map(|(group, _)| group);
            let members = self.members.iter();
            let members = members.filter(|(_, group, _)| holder.is_none_or(|h| h == group));
            let owners = members.chain(&self.leavers).filter(|(of, ..)| of == host);
            let of_host = found.entry(host.clone()).or_default();
            of_host.extend(owners.map(|(_, group, ingress)| {
                let finding = Finding {
                    ingress: ingress.clone(),
                    effect: Effect::Degraded,
                    reason: Reason::DnsDenied,
                    message: format!(
                        "the DNS record of host {host} cannot be kept: AWS answered {} to {} in \
                         hosted zone {zone}; expected the controller's role to be allowed the \
                         route53 actions of deploy/iam-policy.json there: allow them, or leave \
                         the zone out with --dns-zone-id-filter; it is tried again with growing \
                         pauses",
                        error.code, error.operation
                    ),
                };
                (group.clone(), finding)
            }));
        }
        found
    }
}

/// An error as the state of a record: the same words each time, so that a
/// retry that fails alike is no news.
pub(super) fn in_words(error: &Error) -> String {
    let code = if error.code.is_empty() {
        "nothing"
    } else {
        &error.code
    };
    format!(
        "AWS answered {code} to {}: {}; tried again with growing pauses",
        error.operation, error.message
    )
}
