//! The account-wide listing: which load balancers, target groups and security
//! groups are whose. A few calls for all groups together.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join3;
use tokio::time::Instant;

use super::merge::{self, Depth};
use super::{Groups, Memory, Remembered, ec2, elb, lock, normal};
use crate::aws::Error;
use crate::model::group::GroupId;
use crate::model::ownership;
use crate::model::spec::{
    Arn, Live, LiveTargetGroup, Observed, SecurityGroup, SecurityGroupRef, Tags,
};

/// What a listing has found.
struct Listing {
    groups: BTreeMap<GroupId, Observed>,
    backend: Option<String>,
    tags: BTreeMap<Arn, (Instant, Tags)>,
}

impl Memory {
    /// Makes sure that a complete listing began after `since` (`None`: that
    /// there is one at all).
    pub(super) async fn list_since(&self, since: Option<Instant>) -> Result<(), Error> {
        let _shared = self.listing.lock().await;
        let known_tags = {
            let groups = lock(&self.groups);
            let fresh = groups
                .listed
                .is_some_and(|begun| since.is_none_or(|since| begun > since));
            if fresh {
                return Ok(());
            }
            groups.tags.clone()
        };
        let begun = Instant::now();
        let listing = self.list(known_tags, begun).await?;
        lock(&self.groups).take_in(listing, begun);
        Ok(())
    }

    async fn list(
        &self,
        known_tags: BTreeMap<Arn, (Instant, Tags)>,
        begun: Instant,
    ) -> Result<Listing, Error> {
        let cluster = &self.scope.cluster;
        let (lbs, tgs, sgs) = try_join3(
            elb::load_balancers(&self.aws),
            elb::target_groups(&self.aws),
            ec2::security_groups(
                &self.aws,
                &self.scope.vpc,
                Some((ownership::CLUSTER_TAG, cluster)),
            ),
        )
        .await?;
        let ours = |vpc: Option<&str>| vpc == Some(self.scope.vpc.as_str());
        let lbs: Vec<_> = lbs.iter().filter(|lb| ours(lb.vpc_id())).collect();
        let tgs: Vec<_> = tgs.iter().filter(|tg| ours(tg.vpc_id())).collect();
        let arns = lbs
            .iter()
            .filter_map(|lb| lb.load_balancer_arn())
            .chain(tgs.iter().filter_map(|tg| tg.target_group_arn()))
            .map(Arn::from);
        let tags = self.tags_of(arns, known_tags, begun).await?;

        let mut groups: BTreeMap<GroupId, Observed> = BTreeMap::new();
        let mut backend = None;
        for group in sgs {
            if is_backend(cluster, &group) {
                backend = Some(group.arn.0);
            } else if let Some(id) = owner(cluster, &group.spec.tags)
                && group.spec.tags.contains_key(ownership::RESOURCE_TAG)
            {
                groups.entry(id).or_default().security_groups.push(group);
            }
        }
        for lb in lbs {
            let tags = tags_in(&tags, lb.load_balancer_arn());
            if let Some(id) = owner(cluster, &tags)
                && tags.contains_key(ownership::RESOURCE_TAG)
                && let Some(lb) = normal::load_balancer(lb, tags)
            {
                groups.entry(id).or_default().load_balancers.push(lb);
            }
        }
        for tg in tgs {
            let tags = tags_in(&tags, tg.target_group_arn());
            if let Some(id) = owner(cluster, &tags)
                && let Some((arn, spec)) = normal::target_group(tg, tags)
            {
                groups
                    .entry(id)
                    .or_default()
                    .target_groups
                    .push(LiveTargetGroup {
                        arn,
                        spec,
                        targets: BTreeSet::new(),
                    });
            }
        }
        for observed in groups.values_mut() {
            name_security_groups(observed, backend.as_deref());
        }
        Ok(Listing {
            groups,
            backend,
            tags,
        })
    }

    /// Tags of load balancers and target groups; those that were read within
    /// the verification interval are not read again.
    async fn tags_of(
        &self,
        arns: impl Iterator<Item = Arn>,
        known: BTreeMap<Arn, (Instant, Tags)>,
        begun: Instant,
    ) -> Result<BTreeMap<Arn, (Instant, Tags)>, Error> {
        let mut tags = BTreeMap::new();
        let mut unknown = Vec::new();
        for arn in arns {
            match known.get(&arn) {
                Some((read, value)) if *read + self.scope.verify_interval > begun => {
                    tags.insert(arn, (*read, value.clone()));
                }
                _ => unknown.push(arn),
            }
        }
        let read = elb::tags(&self.aws, &unknown).await?;
        tags.extend(read.into_iter().map(|(arn, value)| (arn, (begun, value))));
        Ok(tags)
    }
}

fn owner(cluster: &str, tags: &Tags) -> Option<GroupId> {
    ownership::group_of_tags(cluster, tags)
}

fn tags_in(tags: &BTreeMap<Arn, (Instant, Tags)>, arn: Option<&str>) -> Tags {
    arn.and_then(|arn| tags.get(&Arn::from(arn)))
        .map(|(_, tags)| tags.clone())
        .unwrap_or_default()
}

/// Whether a security group is the one that the cluster's load balancers
/// share. One of a group is not, whatever tags its Ingresses ask for.
pub fn is_backend(cluster: &str, group: &Live<SecurityGroup>) -> bool {
    let tag = |key| group.spec.tags.get(key).map(String::as_str);
    tag(ownership::CLUSTER_TAG) == Some(cluster)
        && tag(ownership::SHARED_RESOURCE_TAG) == Some(ownership::BACKEND_RESOURCE)
        && tag(ownership::STACK_TAG).is_none()
}

/// Security groups of load balancers by their role, where they have one.
fn name_security_groups(observed: &mut Observed, backend: Option<&str>) {
    let frontend = observed.security_groups.first().map(|g| g.arn.0.clone());
    for lb in &mut observed.load_balancers {
        let groups = std::mem::take(&mut lb.spec.security_groups);
        lb.spec.security_groups = groups
            .into_iter()
            .map(|group| match group {
                SecurityGroupRef::Id(id) if Some(&id) == frontend.as_ref() => {
                    SecurityGroupRef::Frontend
                }
                SecurityGroupRef::Id(id) if Some(id.as_str()) == backend => {
                    SecurityGroupRef::Backend
                }
                group => group,
            })
            .collect();
    }
}

impl Groups {
    /// Puts a listing beside what is remembered; groups that differ are
    /// noted as drifted.
    fn take_in(&mut self, listing: Listing, begun: Instant) {
        let first = self.listed.is_none();
        let ids: BTreeSet<GroupId> = listing
            .groups
            .keys()
            .chain(self.known.keys())
            .cloned()
            .collect();
        let nothing = Observed::default();
        for id in ids {
            let listed = listing.groups.get(&id).unwrap_or(&nothing);
            let known = self.known.entry(id.clone()).or_insert_with(|| Remembered {
                read: (!first).then_some(begun),
                ..Remembered::default()
            });
            let merged = merge::merge(
                &known.observed,
                listed,
                Depth::Listing,
                &known.stamps,
                begun,
            );
            if !merge::same(&merged, &known.observed) {
                if !first {
                    self.drifted.insert(id.clone());
                }
                if has_more(&merged, &known.observed) {
                    known.read = None;
                }
            }
            if merge::other_state(&merged, &known.observed) {
                self.other_state.insert(id);
            }
            known.observed = merged;
        }
        self.forget_gone(begun);
        self.backend = listing.backend.or_else(|| self.backend.take());
        self.tags = listing.tags;
        self.listed = Some(begun);
    }

    /// Drops what is remembered of groups that AWS holds nothing for any more,
    /// once a read cannot show what this process has deleted.
    pub(super) fn forget_gone(&mut self, now: Instant) {
        self.known.retain(|_, known| {
            !known.observed.is_empty() || known.doubt.is_some() || !known.stamps.are_old(now)
        });
    }
}

/// Whether there is a load balancer or target group whose inside is not known.
fn has_more(merged: &Observed, known: &Observed) -> bool {
    let new_lb = |arn: &Arn| known.load_balancers.iter().all(|lb| lb.arn != *arn);
    let new_tg = |arn: &Arn| known.target_groups.iter().all(|tg| tg.arn != *arn);
    merged.load_balancers.iter().any(|lb| new_lb(&lb.arn))
        || merged.target_groups.iter().any(|tg| new_tg(&tg.arn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_of_an_ingress_passes_for_the_shared_one() {
        let mut group = Live {
            arn: "sg-1".into(),
            spec: SecurityGroup {
                name: "k8s-traffic-prod".to_owned(),
                description: String::new(),
                tags: ownership::backend_tags("prod", &Tags::new()),
                ingress: BTreeSet::new(),
            },
        };
        assert!(is_backend("prod", &group));
        assert!(!is_backend("other", &group));
        // An annotation asks for the tag of the shared one.
        let id = GroupId::Explicit("shop".to_owned());
        let asked = group.spec.tags.clone();
        group.spec.tags = ownership::tags(
            "prod",
            &id,
            ownership::FRONTEND_RESOURCE,
            &Tags::new(),
            &asked,
        );
        assert!(!is_backend("prod", &group));
    }
}
