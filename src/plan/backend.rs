//! The shared backend security group and its rules on the groups of nodes and
//! pods.
//!
//! Only what is marked as ours is ever taken away; foreign tags and rules on
//! the shared group stay. Access is added before it is taken away, and the
//! group goes last. While `add_only` holds, nothing is taken away at all.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::effect::Made;
use super::step::{Plan, Step};
use super::tags::{Carrier, missing};
use crate::model::backend::{DesiredBackend, ObservedBackend};
use crate::model::spec::{Live, Permission, SecurityGroupRef};

/// Decides what makes AWS hold the shared group and its rules.
pub fn diff_backend(desired: &DesiredBackend, observed: &ObservedBackend) -> Plan {
    let mut draft = Draft::default();
    let mut made = None;
    match (&desired.group, &observed.group) {
        (Some(wished), None) => {
            let step = Step::CreateSecurityGroup {
                group: SecurityGroupRef::Backend,
                spec: wished.clone(),
            };
            made = Some(draft.add(step, []));
        }
        (Some(wished), Some(live)) => {
            let tags = missing(Carrier::SecurityGroup, &live.spec.tags, &wished.tags);
            if !tags.is_empty() {
                let id = live.arn.0.clone();
                draft.add(Step::TagSecurityGroup { id, tags }, []);
            }
        }
        (None, _) => {}
    }
    let none = BTreeSet::new();
    let ids: BTreeSet<&String> = desired.rules.keys().chain(observed.rules.keys()).collect();
    let mut revokes = Vec::new();
    for id in ids {
        let wished = desired.rules.get(id).unwrap_or(&none);
        let live = observed.rules.get(id).unwrap_or(&none);
        // A rule that stays anyway, and lets in all that is wished, is enough.
        let stays = |wished: &&Permission| {
            desired.add_only && live.iter().any(|permission| permission.covers(wished))
        };
        let missing = wished.difference(live).filter(|wished| !stays(wished));
        let add: BTreeSet<Permission> = missing.cloned().collect();
        let remove: BTreeSet<Permission> = live.difference(wished).cloned().collect();
        let group = || SecurityGroupRef::Id(id.clone());
        let opened = (!add.is_empty()).then(|| {
            let step = Step::AuthorizeIngress {
                group: group(),
                permissions: add,
            };
            draft.add(step, made)
        });
        if !remove.is_empty() && !desired.add_only {
            let step = Step::RevokeIngress {
                group: group(),
                permissions: remove,
            };
            revokes.push((step, opened));
        }
    }
    let closed: Vec<_> = revokes
        .into_iter()
        .map(|(step, opened)| draft.add(step, opened))
        .collect();
    if let (None, Some(live), false) = (&desired.group, &observed.group, desired.add_only) {
        let step = Step::DeleteSecurityGroup {
            id: live.arn.0.clone(),
            name: live.spec.name.clone(),
        };
        draft.add(step, closed);
    }
    draft.finish(BTreeMap::new())
}

/// Writes the effect of a successful step of such a plan into what AWS holds.
pub fn effect_backend(step: &Step, made: &Made, observed: &mut ObservedBackend) {
    match step {
        Step::CreateSecurityGroup { spec, .. } => {
            if let Some(arn) = made.arn.clone() {
                let spec = spec.clone();
                observed.group = Some(Live { arn, spec });
            }
        }
        Step::TagSecurityGroup { tags, .. } => {
            if let Some(live) = &mut observed.group {
                live.spec.tags.extend(tags);
            }
        }
        Step::AuthorizeIngress {
            group: SecurityGroupRef::Id(id),
            permissions,
        } => {
            let live = observed.rules.entry(id.clone()).or_default();
            live.extend(permissions.iter().cloned());
        }
        Step::RevokeIngress {
            group: SecurityGroupRef::Id(id),
            permissions,
        } => {
            if let Some(live) = observed.rules.get_mut(id) {
                live.retain(|permission| !permissions.contains(permission));
                if live.is_empty() {
                    observed.rules.remove(id);
                }
            }
        }
        Step::DeleteSecurityGroup { .. } => observed.group = None,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{Arn, SecurityGroup, Source, Tags};

    fn group() -> SecurityGroup {
        SecurityGroup {
            name: "k8s-traffic-prod".to_owned(),
            description: "shared".to_owned(),
            tags: Tags::from([("elbv2.k8s.aws/cluster".to_owned(), "prod".to_owned())]),
            ingress: BTreeSet::new(),
        }
    }

    fn port(port: u16) -> Permission {
        Permission {
            protocol: "tcp".to_owned(),
            ports: Some((port, port)),
            source: Source::Group(SecurityGroupRef::Backend),
            description: "ours".to_owned(),
        }
    }

    fn rules(ports: &[u16]) -> BTreeMap<String, BTreeSet<Permission>> {
        BTreeMap::from([(
            "sg-node".to_owned(),
            ports.iter().map(|p| port(*p)).collect(),
        )])
    }

    fn run(desired: &DesiredBackend, observed: &mut ObservedBackend) -> Vec<String> {
        let plan = diff_backend(desired, observed);
        let made = Made {
            arn: Some(Arn::from("sg-shared")),
            ..Made::default()
        };
        for planned in &plan.steps {
            effect_backend(&planned.step, &made, observed);
        }
        assert!(diff_backend(desired, observed).is_empty(), "converges");
        plan.steps.iter().map(|p| p.step.to_string()).collect()
    }

    #[test]
    fn made_changed_and_taken_away() {
        let mut observed = ObservedBackend::default();
        let mut desired = DesiredBackend {
            group: Some(group()),
            rules: rules(&[30080]),
            add_only: false,
        };
        assert_eq!(
            run(&desired, &mut observed),
            [
                "+ security group k8s-traffic-prod (backend)",
                "+ access to security group sg-node: tcp 30080 from backend"
            ]
        );
        desired.rules = rules(&[30081]);
        assert_eq!(
            run(&desired, &mut observed),
            [
                "+ access to security group sg-node: tcp 30081 from backend",
                "- access to security group sg-node: tcp 30080 from backend"
            ]
        );
        desired.group = None;
        desired.rules.clear();
        assert_eq!(
            run(&desired, &mut observed),
            [
                "- access to security group sg-node: tcp 30081 from backend",
                "- security group k8s-traffic-prod (sg-shared)"
            ]
        );
        assert_eq!(observed, ObservedBackend::default());
    }

    #[test]
    fn add_only_takes_nothing_away() {
        let mut observed = ObservedBackend {
            group: Some(Live {
                arn: Arn::from("sg-shared"),
                spec: group(),
            }),
            rules: rules(&[1]),
        };
        let desired = DesiredBackend {
            group: None,
            rules: rules(&[2]),
            add_only: true,
        };
        assert_eq!(diff_backend(&desired, &observed).steps.len(), 1);
        let step = &diff_backend(&desired, &observed).steps[0].step;
        effect_backend(step, &Made::default(), &mut observed);
        assert_eq!(observed.rules, rules(&[1, 2]));
    }

    #[test]
    fn while_nothing_is_taken_away_a_wider_rule_is_enough() {
        let wide = |from, to| Permission {
            ports: Some((from, to)),
            ..port(1)
        };
        let of = |rule: Permission| BTreeMap::from([("sg-node".to_owned(), [rule].into())]);
        let observed = ObservedBackend {
            group: None,
            rules: of(wide(80, 30101)),
        };
        let mut desired = DesiredBackend {
            group: None,
            rules: of(wide(8080, 30101)),
            add_only: true,
        };
        assert!(diff_backend(&desired, &observed).is_empty());
        desired.rules = of(wide(8080, 30102));
        assert_eq!(diff_backend(&desired, &observed).steps.len(), 1);
        desired.rules = of(wide(8080, 30101));
        desired.add_only = false;
        assert_eq!(diff_backend(&desired, &observed).steps.len(), 2);
    }

    #[test]
    fn foreign_tags_stay() {
        let mut spec = group();
        spec.tags.insert("team", "net");
        let observed = ObservedBackend {
            group: Some(Live {
                arn: Arn::from("sg-shared"),
                spec,
            }),
            rules: BTreeMap::new(),
        };
        let desired = DesiredBackend {
            group: Some(group()),
            rules: BTreeMap::new(),
            add_only: false,
        };
        assert!(diff_backend(&desired, &observed).is_empty());
    }
}
