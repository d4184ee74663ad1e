//! Which tags change: add what differs, take away what is not wished.
//!
//! Keys that `ownership` says are kept stay. The tag that names the cluster is
//! never sent again for load balancers and target groups: policies made for
//! aws-load-balancer-controller refuse a request that has it.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::step::{Step, StepId};
use crate::model::ownership::{CLUSTER_TAG, RESOURCE_TAG, is_kept};
use crate::model::spec::{Arn, Tags};

/// AWS takes at most this many resources in one `AddTags` or `RemoveTags`.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddTags.html>
const RESOURCES_OF_A_CALL: usize = 20;

/// What carries the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Carrier {
    LoadBalancer,
    TargetGroup,
    Listener,
    Rule,
    SecurityGroup,
}

impl Carrier {
    fn keeps_tracking(self) -> bool {
        matches!(self, Self::LoadBalancer | Self::TargetGroup)
    }

    fn noun(self) -> &'static str {
        match self {
            Self::LoadBalancer => "load balancer",
            Self::TargetGroup => "target group",
            Self::Listener => "listener",
            Self::Rule => "rule",
            Self::SecurityGroup => "security group",
        }
    }
}

/// Tags to add or overwrite.
pub(super) fn missing(carrier: Carrier, live: &Tags, wished: &Tags) -> Tags {
    wished
        .iter()
        .filter(|(key, value)| live.get(key) != Some(value))
        .filter(|(key, _)| !(carrier.keeps_tracking() && *key == CLUSTER_TAG))
        .collect()
}

/// Keys to take away.
pub(super) fn surplus(carrier: Carrier, live: &Tags, wished: &Tags) -> BTreeSet<String> {
    live.keys()
        .filter(|key| !wished.contains_key(key))
        .filter(|key| !is_kept(key))
        .filter(|key| !(carrier.keeps_tracking() && *key == CLUSTER_TAG))
        .map(str::to_owned)
        .collect()
}

/// Tag changes of one plan, gathered so that resources which get the same
/// tags share a call.
#[derive(Debug, Default)]
pub(super) struct TagChanges {
    add: BTreeMap<(Carrier, Tags), BTreeMap<Arn, String>>,
    remove: BTreeMap<(Carrier, BTreeSet<String>), BTreeMap<Arn, String>>,
    /// New value of a rule's tag that holds its priority, with the step that
    /// moves it.
    moved: Vec<(Arn, String, String, Option<StepId>)>,
}

impl TagChanges {
    /// Notes what differs on one resource.
    pub(super) fn compare(
        &mut self,
        carrier: Carrier,
        arn: &Arn,
        name: &str,
        live: &Tags,
        wished: &Tags,
    ) {
        let add = missing(carrier, live, wished);
        let remove = surplus(carrier, live, wished);
        if !add.is_empty() {
            self.add
                .entry((carrier, add))
                .or_default()
                .insert(arn.clone(), name.to_owned());
        }
        if !remove.is_empty() {
            self.remove
                .entry((carrier, remove))
                .or_default()
                .insert(arn.clone(), name.to_owned());
        }
    }

    /// Notes what differs on a rule; the tag that holds its priority follows
    /// at low priority, after `moved_by`.
    pub(super) fn compare_rule(
        &mut self,
        arn: &Arn,
        name: &str,
        live: &Tags,
        wished: &Tags,
        moved_by: Option<StepId>,
    ) {
        let mut settled = live.clone();
        if let Some(value) = wished.get(RESOURCE_TAG) {
            if live.get(RESOURCE_TAG) != Some(value) {
                self.moved
                    .push((arn.clone(), name.to_owned(), value.to_owned(), moved_by));
            }
            settled.insert(RESOURCE_TAG, value);
        }
        self.compare(Carrier::Rule, arn, name, &settled, wished);
    }

    /// Adds the steps that write and remove tags.
    pub(super) fn write(&mut self, draft: &mut Draft) {
        for ((carrier, tags), resources) in std::mem::take(&mut self.add) {
            for (resources, what) in batches(carrier, resources) {
                draft.add(
                    Step::AddTags {
                        resources,
                        tags: tags.clone(),
                        what,
                    },
                    [],
                );
            }
        }
        for ((carrier, keys), resources) in std::mem::take(&mut self.remove) {
            for (resources, what) in batches(carrier, resources) {
                draft.add(
                    Step::RemoveTags {
                        resources,
                        keys: keys.clone(),
                        what,
                    },
                    [],
                );
            }
        }
    }

    /// Adds the steps that make the tags of moved rules follow.
    pub(super) fn write_moved(&mut self, draft: &mut Draft) {
        for (arn, name, value, moved_by) in std::mem::take(&mut self.moved) {
            draft.add_late(
                Step::AddTags {
                    resources: BTreeSet::from([arn]),
                    tags: Tags::from([(RESOURCE_TAG, value)]),
                    what: format!("{} {name}", Carrier::Rule.noun()),
                },
                moved_by,
            );
        }
    }
}

/// Resources in groups that fit into one call, each with a text for people.
fn batches(carrier: Carrier, resources: BTreeMap<Arn, String>) -> Vec<(BTreeSet<Arn>, String)> {
    let resources: Vec<(Arn, String)> = resources.into_iter().collect();
    resources
        .chunks(RESOURCES_OF_A_CALL)
        .map(|chunk| {
            let mut names: Vec<&str> = chunk.iter().map(|(_, name)| name.as_str()).collect();
            names.sort_unstable();
            (
                chunk.iter().map(|(arn, _)| arn.clone()).collect(),
                format!("{} {}", carrier.noun(), names.join(", ")),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn only_differences_are_sent_and_the_cluster_tag_never_again() {
        let live = tags(&[("a", "1"), ("b", "2")]);
        let wished = tags(&[("a", "1"), ("b", "3"), (CLUSTER_TAG, "prod"), ("c", "4")]);
        assert_eq!(
            missing(Carrier::TargetGroup, &live, &wished),
            tags(&[("b", "3"), ("c", "4")])
        );
        assert_eq!(
            missing(Carrier::Rule, &live, &wished),
            tags(&[("b", "3"), ("c", "4"), (CLUSTER_TAG, "prod")])
        );
    }

    #[test]
    fn tags_of_aws_and_of_version_one_stay() {
        let live = tags(&[
            ("aws:cloudformation:stack-name", "x"),
            ("kubernetes.io/cluster/prod", "owned"),
            ("ingress.k8s.aws/cluster", "prod"),
            ("team", "a"),
        ]);
        let none = Tags::new();
        assert_eq!(
            surplus(Carrier::LoadBalancer, &live, &none),
            BTreeSet::from(["team".to_owned()])
        );
    }

    #[test]
    fn resources_that_get_the_same_tags_share_calls_of_twenty() {
        let mut changes = TagChanges::default();
        for n in 0..21 {
            changes.compare(
                Carrier::Rule,
                &Arn(format!("arn:{n}")),
                &format!("80/{n}"),
                &Tags::new(),
                &tags(&[("team", "a")]),
            );
        }
        let mut draft = Draft::default();
        changes.write(&mut draft);
        assert_eq!(draft.finish(BTreeMap::new()).steps.len(), 2);
    }
}
