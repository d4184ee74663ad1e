//! Which Ingresses are ours, and which load balancer group each belongs to.
//!
//! Membership is read from what an Ingress says (its class, its group name)
//! and remembered in its finalizers. What it says may be unreadable: then an
//! Ingress with finalizers stays where these put it, frozen, so that a deleted
//! IngressClass or a misspelt group name takes nothing down.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use super::annotations::{self, CLASS_ANNOTATION, PREFIX};
use super::desired::Leaver;
use super::finding::{Effect, Finding, Reason};
use super::group::{EXPLICIT_FINALIZER_PREFIX, GroupId, IMPLICIT_FINALIZER};
use super::settings::Settings;
use super::snapshot::{Snapshot, TargetGroupBinding, named};
use super::spec::ObjectName;
use super::values;

/// `spec.controller` of the IngressClasses that are ours.
pub const CONTROLLER: &str = "ingress.k8s.aws/alb";
/// Annotation that makes an IngressClass the default.
const DEFAULT_CLASS_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";
/// API group and kind of the parameters that a class may have.
const PARAMETERS: (&str, &str) = ("elbv2.k8s.aws", "IngressClassParams");

/// Prefix of the labels that say which group a TargetGroupBinding is of.
pub const STACK_LABEL: &str = "ingress.k8s.aws/stack";
const STACK_NAMESPACE_LABEL: &str = "ingress.k8s.aws/stack-namespace";
const STACK_NAME_LABEL: &str = "ingress.k8s.aws/stack-name";

/// All groups of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Every group that has a member or a leaver; those known only from
    /// finalizers included.
    pub groups: BTreeMap<GroupId, GroupMembers>,
    /// What is wrong with how Ingresses say where they belong; of members and
    /// of Ingresses that are in no group (`Membership::strays`).
    pub findings: Vec<Finding>,
    /// Groups that another controller manages with TargetGroupBindings. They
    /// need not have members.
    pub left_alone: BTreeSet<GroupId>,
}

/// The Ingresses of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupMembers {
    /// Active members, by `group.order`, then by `namespace/name`.
    pub members: Vec<ObjectName>,
    /// Those on their way out.
    pub leavers: Vec<Leaver>,
}

impl Membership {
    /// Findings of Ingresses that are in no group: nobody else reports them.
    /// The index has [the same](super::index::Index::strays), kept up to date.
    pub fn strays(&self) -> impl Iterator<Item = &Finding> {
        let in_a_group: BTreeSet<&ObjectName> = self
            .groups
            .values()
            .flat_map(|group| &group.members)
            .collect();
        self.findings
            .iter()
            .filter(move |finding| !in_a_group.contains(&finding.ingress))
    }

    /// Ingresses of ours that are in no group because the name of theirs
    /// cannot be read, each by the group that it would have alone.
    pub fn lost(&self) -> BTreeMap<GroupId, &Finding> {
        self.strays()
            .filter(|finding| finding.reason == Reason::InvalidGroup)
            .map(|finding| (GroupId::Implicit(finding.ingress.clone()), finding))
            .collect()
    }
}

/// Where an Ingress belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is not ours, or it is being deleted.
    Nowhere,
    /// It is a member, with what is wrong with its order or its class.
    Member(GroupId, Vec<Finding>),
    /// It cannot be said: it stays in the groups of its finalizers.
    Unreadable(Finding),
}

/// Where an Ingress belongs, going by what it says. An Ingress that is being
/// deleted belongs nowhere.
pub fn group_of(ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) -> Place {
    let name = named(&ingress.metadata);
    if ingress.metadata.deletion_timestamp.is_some() {
        return Place::Nowhere;
    }
    let mut findings = Vec::new();
    match class_of(ingress, snapshot, settings) {
        Class::Ours => {}
        Class::Foreign => return Place::Nowhere,
        Class::Invalid(message) => {
            return Place::Unreadable(frozen(&name, Reason::InvalidIngressClass, message));
        }
        Class::WithParameters(message) => {
            // The parameters may name a group of their own, so an Ingress that
            // is somewhere already stays there.
            let finding = frozen(&name, Reason::NotSupportedYet, message);
            if !finalizer_groups(ingress).is_empty() {
                return Place::Unreadable(finding);
            }
            findings.push(finding);
        }
    }
    let annotations = ingress.metadata.annotations.as_ref();
    let group = match annotations::value(annotations, "group.name") {
        None => GroupId::Implicit(name.clone()),
        Some(raw) => match values::group_name(raw) {
            Ok(group) => GroupId::Explicit(group),
            Err(expected) => {
                let raw = annotations::shown(raw);
                let message = format!(
                    "annotation {PREFIX}group.name is \"{raw}\": expected {expected}; correct the \
                     name, or remove the annotation to give the Ingress a load balancer of its own"
                );
                return Place::Unreadable(frozen(&name, Reason::InvalidGroup, message));
            }
        },
    };
    if let (GroupId::Explicit(_), Some(raw)) =
        (&group, annotations::value(annotations, "group.order"))
        && let Err(expected) = values::group_order(raw)
    {
        let message = format!(
            "annotation {PREFIX}group.order is \"{raw}\": expected {expected}; correct the number, \
             or remove the annotation for order 0"
        );
        findings.push(frozen(&name, Reason::InvalidGroup, message));
    }
    Place::Member(group, findings)
}

/// Whether an Ingress is of a class that is not ours, deleted or not. It may
/// have been ours before; or its finalizer, which has the same name
/// everywhere, is that of another controller in the cluster.
pub fn is_of_another(ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) -> bool {
    matches!(class_of(ingress, snapshot, settings), Class::Foreign)
}

/// The groups whose finalizer an Ingress carries.
pub fn finalizer_groups(ingress: &Ingress) -> Vec<GroupId> {
    ingress
        .metadata
        .finalizers
        .iter()
        .flatten()
        .filter_map(|finalizer| {
            if finalizer == IMPLICIT_FINALIZER {
                Some(GroupId::Implicit(named(&ingress.metadata)))
            } else {
                finalizer
                    .strip_prefix(EXPLICIT_FINALIZER_PREFIX)
                    .map(|group| GroupId::Explicit(group.to_owned()))
            }
        })
        .collect()
}

/// Every group that an Ingress has to do with: where it is a member and where
/// it is a leaver. What changes about the Ingress concerns these.
pub fn groups_of(ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) -> BTreeSet<GroupId> {
    let placed = place(ingress, snapshot, settings);
    placed.member_of.into_iter().chain(placed.leaves).collect()
}

/// All groups with their members and leavers.
pub fn groups(snapshot: &Snapshot, settings: &Settings) -> Membership {
    let mut membership = Membership {
        left_alone: groups_of_bindings(snapshot),
        ..Membership::default()
    };
    for (name, ingress) in snapshot.ingresses.iter() {
        let placed = place(ingress, snapshot, settings);
        for group in placed.member_of {
            membership
                .groups
                .entry(group)
                .or_default()
                .members
                .push(name.clone());
        }
        for group in placed.leaves {
            membership
                .groups
                .entry(group)
                .or_default()
                .leavers
                .push(Leaver {
                    ingress: name.clone(),
                    deleted: ingress.metadata.deletion_timestamp.is_some(),
                });
        }
        membership.findings.extend(placed.findings);
    }
    for group in membership.groups.values_mut() {
        sort(&mut group.members, snapshot);
    }
    membership
}

/// One group with its members and leavers, and what is wrong with how they say
/// where they belong.
pub fn of_group(
    group: &GroupId,
    snapshot: &Snapshot,
    settings: &Settings,
) -> (GroupMembers, Vec<Finding>) {
    of_group_among(group, snapshot.ingresses.keys(), snapshot, settings)
}

/// As [`of_group`], where it is known that nobody else has to do with the
/// group than these, which come in order.
pub fn of_group_among<'a>(
    group: &GroupId,
    ingresses: impl Iterator<Item = &'a ObjectName>,
    snapshot: &Snapshot,
    settings: &Settings,
) -> (GroupMembers, Vec<Finding>) {
    let mut found = GroupMembers::default();
    let mut findings = Vec::new();
    for name in ingresses {
        let Some(ingress) = snapshot.ingresses.get(name) else {
            continue;
        };
        let placed = place(ingress, snapshot, settings);
        if placed.member_of.contains(group) {
            found.members.push(name.clone());
            findings.extend(placed.findings);
        } else if placed.leaves.contains(group) {
            found.leavers.push(Leaver {
                ingress: name.clone(),
                deleted: ingress.metadata.deletion_timestamp.is_some(),
            });
        }
    }
    sort(&mut found.members, snapshot);
    (found, findings)
}

/// Groups that have TargetGroupBindings of another controller.
pub fn groups_of_bindings(snapshot: &Snapshot) -> BTreeSet<GroupId> {
    snapshot
        .target_group_bindings
        .values()
        .filter_map(|binding| group_of_binding(binding))
        .collect()
}

/// The group that a TargetGroupBinding is of.
pub fn group_of_binding(binding: &TargetGroupBinding) -> Option<GroupId> {
    let label = |key: &str| binding.labels.get(key).cloned();
    if let Some(stack) = label(STACK_LABEL) {
        return Some(GroupId::Explicit(stack));
    }
    Some(GroupId::Implicit(ObjectName::new(
        label(STACK_NAMESPACE_LABEL)?,
        label(STACK_NAME_LABEL)?,
    )))
}

/// What one Ingress means for groups.
struct Placed {
    member_of: Vec<GroupId>,
    leaves: Vec<GroupId>,
    findings: Vec<Finding>,
}

fn place(ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) -> Placed {
    let carried = finalizer_groups(ingress);
    match group_of(ingress, snapshot, settings) {
        Place::Nowhere => Placed {
            member_of: Vec::new(),
            leaves: carried,
            findings: Vec::new(),
        },
        Place::Member(group, findings) => Placed {
            leaves: carried.into_iter().filter(|left| *left != group).collect(),
            member_of: vec![group],
            findings,
        },
        Place::Unreadable(finding) => Placed {
            member_of: carried,
            leaves: Vec::new(),
            findings: vec![finding],
        },
    }
}

fn sort(members: &mut [ObjectName], snapshot: &Snapshot) {
    members.sort_by_cached_key(|name| {
        let order = snapshot
            .ingresses
            .get(name)
            .and_then(|ingress| {
                annotations::value(ingress.metadata.annotations.as_ref(), "group.order")
            })
            .and_then(|raw| values::group_order(raw).ok())
            .unwrap_or(0);
        (order, name.clone())
    });
}

enum Class {
    Ours,
    Foreign,
    Invalid(String),
    WithParameters(String),
}

/// The IngressClass that tells whose an Ingress is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClassOf {
    /// The default one.
    Default,
    /// The one of this name.
    Named(String),
}

/// The IngressClass that tells whose an Ingress is; `None` where an annotation
/// does.
pub fn asked_class(ingress: &Ingress) -> Option<ClassOf> {
    if class_annotation(ingress).is_some() {
        return None;
    }
    let spec = ingress.spec.as_ref();
    let named = spec.and_then(|spec| spec.ingress_class_name.clone());
    Some(named.map_or(ClassOf::Default, ClassOf::Named))
}

fn class_annotation(ingress: &Ingress) -> Option<&String> {
    let annotations = ingress.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION))
}

fn class_of(ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) -> Class {
    if let Some(class) = class_annotation(ingress) {
        // An empty setting stands for the class that everybody writes, too.
        let ours = *class == settings.ingress_class
            || (settings.ingress_class.is_empty() && class == "alb");
        return if ours { Class::Ours } else { Class::Foreign };
    }
    let stated = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.ingress_class_name.as_deref());
    let Some(name) = stated else {
        return default_class(snapshot, settings);
    };
    match snapshot.ingress_classes.get(name) {
        Some(class) => judge(name, class),
        None => Class::Invalid(format!(
            "spec.ingressClassName is \"{name}\", and there is no such IngressClass: create it, or \
             name one that exists"
        )),
    }
}

/// The class of an Ingress that names none.
fn default_class(snapshot: &Snapshot, settings: &Settings) -> Class {
    let defaults: Vec<_> = snapshot
        .ingress_classes
        .iter()
        .filter(|(_, class)| is_default_class(class))
        .collect();
    match defaults.as_slice() {
        [] if settings.ingress_class.is_empty() => Class::Ours,
        [] => Class::Foreign,
        [(name, class)] => judge(name, class),
        several if several.iter().any(|(_, class)| is_ours(class)) => {
            let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
            Class::Invalid(format!(
                "the Ingress names no class, and several IngressClasses are the default ({}): set \
                 spec.ingressClassName, or leave {DEFAULT_CLASS_ANNOTATION} on one of them only",
                names.join(", ")
            ))
        }
        _ => Class::Foreign,
    }
}

/// Whether a class is that of the Ingresses that name none.
pub fn is_default_class(class: &IngressClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    let value = annotations.and_then(|annotations| annotations.get(DEFAULT_CLASS_ANNOTATION));
    value.is_some_and(|value| value == "true")
}

fn is_ours(class: &IngressClass) -> bool {
    class
        .spec
        .as_ref()
        .and_then(|spec| spec.controller.as_deref())
        == Some(CONTROLLER)
}

fn judge(name: &str, class: &IngressClass) -> Class {
    if !is_ours(class) {
        return Class::Foreign;
    }
    let parameters = class
        .spec
        .as_ref()
        .and_then(|spec| spec.parameters.as_ref());
    match parameters {
        None => Class::Ours,
        Some(parameters)
            if parameters.api_group.as_deref() == Some(PARAMETERS.0)
                && parameters.kind == PARAMETERS.1 =>
        {
            Class::WithParameters(format!(
                "IngressClass {name} has parameters ({} {}), which this version does not read yet: \
                 use a class without parameters and state the settings as annotations",
                parameters.kind, parameters.name
            ))
        }
        Some(parameters) => Class::Invalid(format!(
            "IngressClass {name} has parameters of an unknown kind ({}): expected kind {} of {}, \
             or no parameters",
            parameters.kind, PARAMETERS.1, PARAMETERS.0
        )),
    }
}

fn frozen(ingress: &ObjectName, reason: Reason, message: String) -> Finding {
    Finding {
        ingress: ingress.clone(),
        effect: Effect::Frozen,
        reason,
        message,
    }
}

#[cfg(test)]
mod tests;
