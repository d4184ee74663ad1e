//! The managed frontend security group: access is added before it is taken
//! away, and every inbound rule that is not wished goes.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::step::{Step, StepId};
use super::tags::{Carrier, missing, surplus};
use super::{Current, PlanContext};
use crate::model::spec::{Live, Observed, Permission, SecurityGroup, SecurityGroupRef, Source};

/// The frontend group in use: the first one, as its tags make all alike.
pub(super) fn frontend(observed: &Observed) -> Option<&Live<SecurityGroup>> {
    observed.security_groups.first()
}

/// The name by which steps speak of a group: ids of the two groups that we
/// manage become their logical names, so that what is wished and what is live
/// compare equal.
pub(super) fn logical(
    group: &SecurityGroupRef,
    frontend: Option<&Live<SecurityGroup>>,
    cx: &PlanContext,
) -> SecurityGroupRef {
    match group {
        SecurityGroupRef::Id(id) if frontend.is_some_and(|live| live.arn.as_str() == *id) => {
            SecurityGroupRef::Frontend
        }
        SecurityGroupRef::Id(id) if cx.backend.as_ref() == Some(id) => SecurityGroupRef::Backend,
        other => other.clone(),
    }
}

/// Adds what makes and changes the frontend group. What takes access away is
/// handed back with the step that it comes after, to stand at the end.
pub(super) fn diff(
    wished: Option<&SecurityGroup>,
    current: &Current<'_>,
    cx: &PlanContext,
    draft: &mut Draft,
) -> Option<(Step, Option<StepId>)> {
    let wished = wished?;
    let Some(live) = current.frontend else {
        let made = draft.add(
            Step::CreateSecurityGroup {
                group: SecurityGroupRef::Frontend,
                spec: wished.clone(),
            },
            [],
        );
        draft.frontend = Some(made);
        if !wished.ingress.is_empty() {
            draft.add(
                Step::AuthorizeIngress {
                    group: SecurityGroupRef::Frontend,
                    permissions: wished.ingress.clone(),
                },
                [made],
            );
        }
        return None;
    };
    let tags = missing(Carrier::SecurityGroup, &live.spec.tags, &wished.tags);
    if !tags.is_empty() {
        draft.add(
            Step::TagSecurityGroup {
                id: live.arn.to_string(),
                tags,
            },
            [],
        );
    }
    let keys = surplus(Carrier::SecurityGroup, &live.spec.tags, &wished.tags);
    if !keys.is_empty() {
        draft.add(
            Step::UntagSecurityGroup {
                id: live.arn.to_string(),
                keys,
            },
            [],
        );
    }
    let wished_keys = by_access(&wished.ingress, current, cx);
    let live_keys = by_access(&live.spec.ingress, current, cx);
    let add = difference(&wished_keys, &live_keys);
    let remove = difference(&live_keys, &wished_keys);
    let opened = (!add.is_empty()).then(|| {
        draft.add(
            Step::AuthorizeIngress {
                group: SecurityGroupRef::Frontend,
                permissions: add,
            },
            [],
        )
    });
    if remove.is_empty() {
        return None;
    }
    let revoke = Step::RevokeIngress {
        group: SecurityGroupRef::Frontend,
        permissions: remove,
    };
    Some((revoke, opened))
}

/// What an inbound rule allows, its description aside: AWS holds no two rules
/// that differ in the description alone.
type Access = (String, Option<(u16, u16)>, Source);

fn by_access(
    permissions: &BTreeSet<Permission>,
    current: &Current<'_>,
    cx: &PlanContext,
) -> BTreeMap<Access, Permission> {
    permissions
        .iter()
        .map(|permission| {
            let source = match &permission.source {
                Source::Group(group) => Source::Group(logical(group, current.frontend, cx)),
                other => other.clone(),
            };
            let access = (permission.protocol.clone(), permission.ports, source);
            (access, permission.clone())
        })
        .collect()
}

fn difference(
    a: &BTreeMap<Access, Permission>,
    b: &BTreeMap<Access, Permission>,
) -> BTreeSet<Permission> {
    a.iter()
        .filter(|(access, _)| !b.contains_key(*access))
        .map(|(_, permission)| permission.clone())
        .collect()
}
