//! What is wrong with records, and with whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::Error;
use crate::model::finding::{Effect, Finding, Reason};
use crate::model::group::GroupId;
use crate::model::membership::Membership;
use crate::model::records_build::hosts_of;
use crate::model::snapshot::Snapshot;
use crate::model::spec::ObjectName;

/// Findings with the groups that their Ingresses are members of.
pub(super) fn by_group(
    membership: &Membership,
    findings: Vec<Finding>,
) -> BTreeSet<(GroupId, Finding)> {
    let members: BTreeMap<&ObjectName, &GroupId> = membership
        .groups
        .iter()
        .flat_map(|(id, group)| group.members.iter().map(move |member| (member, id)))
        .collect();
    findings
        .into_iter()
        .filter_map(|finding| Some(((*members.get(&finding.ingress)?).clone(), finding)))
        .collect()
}

/// A note on every Ingress with a host, since no record can be written.
pub(super) fn denied(membership: &Membership, snapshot: &Snapshot, error: &Error) -> Vec<Finding> {
    let members = membership.groups.values().flat_map(|group| &group.members);
    members
        .filter(|member| !hosts_of(member, snapshot).is_empty())
        .map(|member| Finding {
            ingress: member.clone(),
            effect: Effect::Note,
            reason: Reason::DnsDenied,
            message: format!(
                "no DNS records are written: AWS answered {} to {}; allow the route53 actions of \
                 deploy/iam-policy.json to the controller's role, or switch records off with \
                 DISABLE_ROUTE53=true",
                error.code, error.operation
            ),
        })
        .collect()
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
