//! The account-wide listing: which load balancers, target groups and security
//! groups are whose. A few calls for all groups together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_elasticloadbalancingv2::types as sdk;
use futures::future::try_join3;
use tokio::time::Instant;

use super::found::{Found, differences};
use super::known::Remembered;
use super::merge::{self, Depth, Kind};
use super::schedule::Tier;
use super::{Groups, Memory, Names, ec2, elb, lock, normal};
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
    /// All security groups of the VPC.
    security_groups: Vec<Live<SecurityGroup>>,
    tags: BTreeMap<Arn, Tags>,
    /// Those whose tags were not read, but go with their names.
    by_name: BTreeSet<Arn>,
}

/// What is known of whose things are, before a listing.
struct Known {
    tags: BTreeMap<Arn, Tags>,
    by_name: BTreeSet<Arn>,
}

/// What is remembered and did not come up in a listing.
#[derive(Default)]
struct Missing {
    load_balancers: Vec<Arn>,
    target_groups: Vec<Arn>,
    security_groups: Vec<String>,
}

impl Memory {
    /// Makes sure that a complete listing began after `since` (`None`: that
    /// there is one at all).
    pub(super) async fn list_since(&self, since: Option<Instant>) -> Result<(), Error> {
        self.list_with(since, &Names::default(), Tier::Fast).await
    }

    /// As `list_since`. Whose a thing of one of these names is, is not read
    /// where it is not known. What differs from what is remembered is noted as
    /// found by `tier`.
    pub(super) async fn list_with(
        &self,
        since: Option<Instant>,
        names: &Names,
        tier: Tier,
    ) -> Result<(), Error> {
        let is_fresh = || {
            let listed = lock(&self.groups).listed;
            listed.is_some_and(|begun| since.is_none_or(|since| begun > since))
        };
        if is_fresh() {
            return Ok(());
        }
        let reading = self.listing.begin().await;
        if is_fresh() {
            return Ok(());
        }
        let known = {
            let groups = lock(&self.groups);
            Known {
                tags: groups.tags.clone(),
                by_name: groups.by_name.clone(),
            }
        };
        let begun = Instant::now();
        let mut listing = reading.run(self.list(known, names, begun)).await?;
        let security_groups = std::mem::take(&mut listing.security_groups);
        lock(&self.groups).take_in(listing, begun, tier);
        self.take_in_security_groups(&security_groups, begun);
        Ok(())
    }

    async fn list(&self, known: Known, names: &Names, begun: Instant) -> Result<Listing, Error> {
        let cluster = &self.scope.cluster;
        let (mut lbs, mut tgs, mut sgs) = try_join3(
            elb::load_balancers(&self.aws),
            elb::target_groups(&self.aws),
            ec2::security_groups(&self.aws, &self.scope.vpc, None),
        )
        .await?;
        // A page may leave something out that is there: what is remembered is
        // missing only when it is not there by its name either.
        let missing = {
            let lbs = lbs.iter().filter_map(sdk::LoadBalancer::load_balancer_arn);
            let tgs = tgs.iter().filter_map(sdk::TargetGroup::target_group_arn);
            let sgs = sgs.iter().map(|group| group.arn.0.as_str());
            let seen = lbs.chain(tgs).chain(sgs).collect();
            lock(&self.groups).missing(&seen, begun)
        };
        let (more_lbs, more_tgs, more_sgs) = try_join3(
            elb::existing_load_balancers(&self.aws, &missing.load_balancers),
            elb::existing_target_groups(&self.aws, &missing.target_groups),
            ec2::security_groups_by_id(&self.aws, &missing.security_groups),
        )
        .await?;
        lbs.extend(more_lbs);
        tgs.extend(more_tgs);
        sgs.extend(more_sgs);

        let ours = |vpc: Option<&str>| vpc == Some(self.scope.vpc.as_str());
        let lbs: Vec<_> = lbs.iter().filter(|lb| ours(lb.vpc_id())).collect();
        let tgs: Vec<_> = tgs.iter().filter(|tg| ours(tg.vpc_id())).collect();
        let lb_names = lbs.iter().map(|lb| {
            let tags = names.of_load_balancer(lb.load_balancer_name());
            (lb.load_balancer_arn(), tags)
        });
        let tg_names = tgs.iter().map(|tg| {
            let tags = names.of_target_group(tg.target_group_name());
            (tg.target_group_arn(), tags)
        });
        let things = lb_names.chain(tg_names);
        let things = things.filter_map(|(arn, by_name)| Some((Arn::from(arn?), by_name)));
        let Known { tags, by_name } = self.tags_of(things, known).await?;

        let mut groups: BTreeMap<GroupId, Observed> = BTreeMap::new();
        let mut backend = None;
        for group in &sgs {
            if is_backend(cluster, group) {
                backend = Some(group.arn.0.clone());
            } else if let Some(id) = owner(cluster, &group.spec.tags)
                && group.spec.tags.contains_key(ownership::RESOURCE_TAG)
            {
                let observed = groups.entry(id).or_default();
                observed.security_groups.push(group.clone());
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
            security_groups: sgs,
            tags,
            by_name,
        })
    }

    /// Tags of load balancers and target groups; those that are known are not
    /// read again, nor those that go with a name.
    async fn tags_of<'a>(
        &self,
        things: impl Iterator<Item = (Arn, Option<&'a Tags>)>,
        mut known: Known,
    ) -> Result<Known, Error> {
        let mut now = Known {
            tags: BTreeMap::new(),
            by_name: BTreeSet::new(),
        };
        let mut unknown = Vec::new();
        for (arn, by_name) in things {
            match (known.tags.remove(&arn), by_name) {
                (Some(value), _) => {
                    if known.by_name.contains(&arn) {
                        now.by_name.insert(arn.clone());
                    }
                    now.tags.insert(arn, value);
                }
                (None, Some(value)) => {
                    now.by_name.insert(arn.clone());
                    now.tags.insert(arn, value.clone());
                }
                (None, None) => unknown.push(arn),
            }
        }
        now.tags.extend(elb::tags(&self.aws, &unknown).await?);
        Ok(now)
    }
}

fn owner(cluster: &str, tags: &Tags) -> Option<GroupId> {
    ownership::group_of_tags(cluster, tags)
}

fn tags_in(tags: &BTreeMap<Arn, Tags>, arn: Option<&str>) -> Tags {
    arn.and_then(|arn| tags.get(&Arn::from(arn)))
        .cloned()
        .unwrap_or_default()
}

/// Whether a security group is the one that the cluster's load balancers
/// share. One of a group is not, whatever tags its Ingresses ask for.
pub fn is_backend(cluster: &str, group: &Live<SecurityGroup>) -> bool {
    let tag = |key| group.spec.tags.get(key);
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

/// How what was remembered of a group differs from a listing.
struct Taken {
    /// How it differs; `None`: not at all.
    found: Option<BTreeSet<Found>>,
    /// Whether a load balancer is in another provisioning state.
    other_state: bool,
}

impl Remembered {
    /// Puts what is listed of a group beside what is remembered.
    fn take_in_listed(&mut self, listed: &Observed, begun: Instant, tier: Tier) -> Taken {
        if merge::is_as_listed(&self.observed, listed) {
            // So it is with most of them most of the time.
            return Taken {
                found: None,
                other_state: false,
            };
        }
        let merged = merge::merge(&self.observed, listed, Depth::Listing, &self.stamps, begun);
        let found = (!merge::same(&merged, &self.observed)).then(|| match self.doubt {
            None => differences(tier, &self.observed, &merged),
            // This process did it itself, maybe.
            Some(_) => BTreeSet::new(),
        });
        if found.is_some() && has_more(&merged, &self.observed) {
            self.read = None;
            self.belief = None;
        }
        let other_state = merge::other_state(&merged, &self.observed);
        // Who works with it need not look at the same again.
        if *self.observed != merged {
            self.observed = Arc::new(merged);
        }
        Taken { found, other_state }
    }
}

impl Groups {
    /// What is remembered and is not among these ARNs and ids, what this
    /// process wrote a moment ago left out.
    fn missing(&self, seen: &BTreeSet<&str>, begun: Instant) -> Missing {
        let mut missing = Missing::default();
        for known in self.known.values() {
            let is_missing = |kind, arn: &&Arn| {
                !seen.contains(arn.0.as_str()) && !known.stamps.beats(kind, arn, begun)
            };
            let observed = &known.observed;
            let lbs = observed.load_balancers.iter().map(|lb| &lb.arn);
            let lbs = lbs.filter(|arn| is_missing(Kind::LoadBalancer, arn));
            missing.load_balancers.extend(lbs.cloned());
            let tgs = observed.target_groups.iter().map(|tg| &tg.arn);
            let tgs = tgs.filter(|arn| is_missing(Kind::TargetGroup, arn));
            missing.target_groups.extend(tgs.cloned());
            let sgs = observed.security_groups.iter().map(|group| &group.arn);
            let sgs = sgs.filter(|arn| is_missing(Kind::SecurityGroup, arn));
            missing.security_groups.extend(sgs.map(|id| id.0.clone()));
        }
        let backend = self.backend.iter();
        let backend = backend.filter(|id| !seen.contains(id.as_str()));
        missing.security_groups.extend(backend.cloned());
        missing
    }

    /// Puts a listing beside what is remembered; groups that differ are
    /// noted as drifted.
    fn take_in(&mut self, listing: Listing, begun: Instant, tier: Tier) {
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
            let unknown = || Remembered {
                read: (!first).then_some(begun),
                ..Remembered::default()
            };
            let taken = |known: &mut Remembered| known.take_in_listed(listed, begun, tier);
            let taken = self.known.change_or(&id, unknown, taken);
            if let Some(found) = taken.found.filter(|_| !first) {
                self.drifted.entry(id.clone()).or_default().extend(found);
            }
            if taken.other_state {
                self.other_state.insert(id);
            }
        }
        self.forget_gone(begun);
        self.backend = listing.backend.or_else(|| self.backend.take());
        self.tags = listing.tags;
        self.by_name = listing.by_name;
        self.listed = Some(begun);
    }

    /// Those of a group's load balancers and target groups whose tags were not
    /// read.
    pub(super) fn of_those_by_name(&self, held: &Observed) -> BTreeSet<Arn> {
        let arns = marked(held).map(|(arn, _)| arn);
        let by_name = arns.filter(|arn| self.by_name.contains(*arn));
        by_name.cloned().collect()
    }

    /// Takes in the tags that a read of a group has found on what it has by
    /// name. Answers whether all of that is its own.
    pub(super) fn names_were_right(
        &mut self,
        cluster: &str,
        group: &GroupId,
        held: &Observed,
        read: &Observed,
    ) -> bool {
        let mut right = true;
        let found: BTreeMap<&Arn, &Tags> = marked(read).collect();
        for (arn, _) in marked(held) {
            if !self.by_name.remove(arn) {
                continue;
            }
            // What is gone meanwhile is nobody's.
            let Some(tags) = found.get(arn) else {
                self.tags.remove(arn);
                continue;
            };
            let before = self.tags.insert(arn.clone(), (*tags).clone());
            let resource = |tags: &Tags| tags.get(ownership::RESOURCE_TAG).map(str::to_owned);
            let same = before.is_some_and(|before| resource(&before) == resource(tags));
            right &= same && owner(cluster, tags).as_ref() == Some(group);
        }
        right
    }

    /// Drops what is remembered of groups that AWS holds nothing for any more,
    /// once a read cannot show what this process has deleted.
    pub(super) fn forget_gone(&mut self, now: Instant) {
        self.known.retain(|known| {
            !known.observed.is_empty() || known.doubt.is_some() || !known.stamps.are_old(now)
        });
    }
}

/// Load balancers and target groups with their tags.
fn marked(observed: &Observed) -> impl Iterator<Item = (&Arn, &Tags)> {
    let lbs = observed.load_balancers.iter();
    let tgs = observed.target_groups.iter();
    lbs.map(|lb| (&lb.arn, &lb.spec.tags))
        .chain(tgs.map(|tg| (&tg.arn, &tg.spec.tags)))
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
