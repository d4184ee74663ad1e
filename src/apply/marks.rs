//! Marks of what a plan deletes, read once more right before: what somebody
//! else has taken over meanwhile is not deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Work};
use crate::aws::operations::{self, Operation};
use crate::aws::{Class, Error};
use crate::model::ownership;
use crate::model::spec::{Arn, Live, SecurityGroup, Tags};
use crate::observe::{ec2, elb, is_backend};
use crate::plan::step::{Plan, Step};

/// What a step deletes, named by the resource whose marks count: a listener
/// and a rule belong to whom their load balancer belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deleted {
    /// A load balancer or target group.
    Resource(Arn),
    /// A security group, by id.
    SecurityGroup(String),
}

/// What a step deletes, if it deletes anything.
pub fn deleted(step: &Step) -> Option<Deleted> {
    match step {
        Step::DeleteLoadBalancer { arn, .. } | Step::DeleteTargetGroup { arn, .. } => {
            Some(Deleted::Resource(arn.clone()))
        }
        Step::DeleteListener { arn, .. } | Step::DeleteRule { arn, .. } => {
            Some(Deleted::Resource(load_balancer_of(arn)))
        }
        Step::DeleteSecurityGroup { id, .. } => Some(Deleted::SecurityGroup(id.clone())),
        _ => None,
    }
}

/// The load balancer of a listener or a rule: its ARN is spelled in theirs.
/// `…:listener/app/<name>/<id>/<listener>`,
/// `…:listener-rule/app/<name>/<id>/<listener>/<rule>`.
fn load_balancer_of(arn: &Arn) -> Arn {
    let Some((prefix, path)) = arn.as_str().rsplit_once(':') else {
        return arn.clone();
    };
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("listener" | "listener-rule"), Some(kind), Some(name), Some(id)) => {
            Arn::from(format!("{prefix}:loadbalancer/{kind}/{name}/{id}"))
        }
        _ => arn.clone(),
    }
}

/// The marks, as they are now; what is gone is missing.
#[derive(Debug)]
pub struct Marks {
    tags: BTreeMap<Arn, Tags>,
    groups: BTreeMap<String, Live<SecurityGroup>>,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    Group {
        cluster: String,
        group: crate::model::group::GroupId,
    },
    Backend {
        cluster: String,
    },
}

impl Marks {
    /// Reads the marks of all that a plan deletes now: one call for 20 load
    /// balancers and target groups, one for security groups.
    pub async fn read(cx: &Context<'_>, work: Work<'_>, plan: &Plan) -> Result<Self, Error> {
        let steps = plan.steps.iter().enumerate();
        let steps = steps.filter(|(id, _)| !cx.deferred.contains_key(id));
        let all: BTreeSet<Deleted> = steps.filter_map(|(_, p)| deleted(&p.step)).collect();
        let mut arns = Vec::new();
        let mut ids = Vec::new();
        for deleted in all {
            match deleted {
                Deleted::Resource(arn) => arns.push(arn),
                Deleted::SecurityGroup(id) => ids.push(id),
            }
        }
        let (tags, groups) = futures::future::try_join(
            elb::tags(cx.aws, &arns),
            ec2::security_groups_by_id(cx.aws, &ids),
        )
        .await?;
        let cluster = cx.memory.scope().cluster.clone();
        let owner = match work {
            Work::Group(group) => Owner::Group {
                cluster,
                group: group.clone(),
            },
            Work::Backend => Owner::Backend { cluster },
        };
        Ok(Self {
            tags,
            groups: groups.into_iter().map(|g| (g.arn.to_string(), g)).collect(),
            owner,
        })
    }

    /// Whether a step is to be run: not when what it deletes is gone already;
    /// an error when it does not carry our marks.
    pub fn allow(&self, step: &Step, deleted: &Deleted) -> Result<bool, Error> {
        let (name, operation, ours) = match deleted {
            Deleted::Resource(arn) => {
                let Some(tags) = self.tags.get(arn) else {
                    return Ok(false);
                };
                (arn.as_str(), &operations::DESCRIBE_TAGS, self.owns(tags))
            }
            Deleted::SecurityGroup(id) => {
                let Some(group) = self.groups.get(id) else {
                    return Ok(false);
                };
                let ours = match &self.owner {
                    Owner::Group { .. } => self.owns(&group.spec.tags),
                    Owner::Backend { cluster } => is_backend(cluster, group),
                };
                (id.as_str(), &operations::DESCRIBE_SECURITY_GROUPS, ours)
            }
        };
        if ours {
            Ok(true)
        } else {
            Err(not_ours(operation, step, name))
        }
    }

    fn owns(&self, tags: &Tags) -> bool {
        match &self.owner {
            Owner::Group { cluster, group } => {
                ownership::group_of_tags(cluster, tags).as_ref() == Some(group)
            }
            Owner::Backend { .. } => false,
        }
    }
}

fn not_ours(operation: &Operation, step: &Step, name: &str) -> Error {
    let message = format!(
        "{name} does not carry the tags of this group any more, so it is left alone (step: {step})"
    );
    // What is remembered is wrong: it is read again, and then it is not seen.
    Error::here(operation, Class::LostRace, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_and_a_listener_name_their_load_balancer() {
        let lb = Arn::from("arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/k8s-x/50dc");
        for arn in [
            "arn:aws:elasticloadbalancing:eu-west-1:1:listener/app/k8s-x/50dc/f2f7",
            "arn:aws:elasticloadbalancing:eu-west-1:1:listener-rule/app/k8s-x/50dc/f2f7/9683",
        ] {
            assert_eq!(load_balancer_of(&Arn::from(arn)), lb);
        }
        let group = Arn::from("arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/k8s-x/73e2");
        assert_eq!(load_balancer_of(&group), group);
    }
}
