//! What was read from AWS and a desired state depends on: the second input of
//! `model`, filled by `observe`.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::finding::Verdict;
use super::map::Map;
use super::spec::{ObjectName, Tags};

/// The account as far as decisions depend on it; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// IPv4 ranges of the VPC.
    pub vpc_cidrs: Vec<Ipv4Net>,
    /// Subnets of the VPC.
    pub subnets: Vec<Subnet>,
    /// Security groups of the VPC by id, foreign ones included.
    pub security_groups: Map<String, KnownSecurityGroup>,
    /// Security groups of each instance's primary interface, by instance id;
    /// of those that were asked for.
    pub instance_security_groups: BTreeMap<String, BTreeSet<String>>,
    /// Security groups of the interface that holds a pod's address, by pod
    /// address; pods on an instance's own interface included. Of those that
    /// were asked for.
    pub pod_security_groups: BTreeMap<String, BTreeSet<String>>,
    /// Refusals that AWS gave, remembered.
    pub verdicts: Vec<Verdict>,
}

/// Prefix of the tag that says which cluster a subnet or a security group is
/// for.
pub const CLUSTER_TAG_PREFIX: &str = "kubernetes.io/cluster/";
/// A load balancer needs this many free addresses in a subnet to grow.
pub const MINIMUM_ADDRESSES: i32 = 8;

/// For whom decisions may come out otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// These Ingresses.
    pub ingresses: BTreeSet<ObjectName>,
    /// All Ingresses that name security groups.
    pub security_groups: bool,
}

impl Facts {
    /// For whom decisions may come out otherwise than by other facts; `None`:
    /// for all.
    pub fn concern(&self, other: &Self) -> Option<Concerned> {
        let same = |(ours, theirs): (&Subnet, &Subnet)| ours.decides_as(theirs);
        let same_network = self.vpc_cidrs == other.vpc_cidrs
            && self.subnets.len() == other.subnets.len()
            && self.subnets.iter().zip(&other.subnets).all(same);
        // By such a tag one of a target's security groups is chosen.
        let of_cluster = |group: &KnownSecurityGroup| {
            let mut keys = group.tags.keys();
            keys.any(|key| key.starts_with(CLUSTER_TAG_PREFIX))
        };
        let changed = self.other_security_groups(other);
        if !same_network || changed.iter().any(|group| of_cluster(group)) {
            return None;
        }
        let (ours, theirs) = (&self.verdicts, &other.verdicts);
        let new = ours.iter().filter(|verdict| !theirs.contains(verdict));
        let old = theirs.iter().filter(|verdict| !ours.contains(verdict));
        let ingresses = new.chain(old).map(|verdict| verdict.ingress.clone());
        Some(Concerned {
            ingresses: ingresses.collect(),
            security_groups: !changed.is_empty(),
        })
    }

    /// The security groups that are not the same by other facts, as they are by
    /// each.
    fn other_security_groups<'a>(&'a self, other: &'a Self) -> Vec<&'a KnownSecurityGroup> {
        let (ours, theirs) = (&self.security_groups, &other.security_groups);
        if ours == theirs {
            return Vec::new();
        }
        let new = ours
            .iter()
            .filter(|(id, group)| theirs.get(*id) != Some(group));
        let old = theirs
            .iter()
            .filter(|(id, group)| ours.get(*id) != Some(group));
        new.chain(old).map(|(_, group)| group).collect()
    }
}

/// A subnet of the VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Availability Zone name.
    pub availability_zone: String,
    /// `availability-zone`, `local-zone`, `wavelength-zone` or `outpost`.
    pub locale: String,
    /// Free IPv4 addresses.
    pub available_addresses: i32,
    /// Whether its route table (its own, else the VPC's main one) has a route
    /// to an internet gateway.
    pub routed_to_internet: bool,
    /// Tags.
    pub tags: Tags,
}

/// A security group of the VPC, as far as it must be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSecurityGroup {
    /// Its name.
    pub name: String,
    /// Tags; `Name` is what annotations may use.
    pub tags: Tags,
}

impl Subnet {
    /// Whether there is no room for a load balancer.
    pub fn is_full(&self) -> bool {
        self.available_addresses < MINIMUM_ADDRESSES
    }

    /// Whether decisions come out as by another subnet. Of free addresses it
    /// only matters whether they are enough.
    fn decides_as(&self, other: &Self) -> bool {
        let settled = |subnet: &Self| Self {
            available_addresses: i32::from(subnet.is_full()),
            ..subnet.clone()
        };
        settled(self) == settled(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(available_addresses: i32) -> Subnet {
        Subnet {
            id: "subnet-a".to_owned(),
            availability_zone: "a".to_owned(),
            locale: "availability-zone".to_owned(),
            available_addresses,
            routed_to_internet: true,
            tags: Tags::default(),
        }
    }

    fn group(tag: &str) -> KnownSecurityGroup {
        KnownSecurityGroup {
            name: "sg".to_owned(),
            tags: [(tag.to_owned(), "x".to_owned())].into(),
        }
    }

    fn verdict(ingress: &str) -> Verdict {
        Verdict {
            ingress: ObjectName::new("shop", ingress),
            subject: "spec".to_owned(),
            value: "target group".to_owned(),
            code: "TooMany".to_owned(),
            message: "no".to_owned(),
        }
    }

    #[test]
    fn a_change_concerns_those_who_decide_by_it() {
        let facts = Facts {
            subnets: vec![subnet(100)],
            security_groups: [("sg-1".to_owned(), group("Name"))].into_iter().collect(),
            verdicts: vec![verdict("a")],
            ..Facts::default()
        };
        let after = |change: &dyn Fn(&mut Facts)| {
            let mut after = facts.clone();
            change(&mut after);
            assert_eq!(after.concern(&facts), facts.concern(&after));
            after.concern(&facts)
        };
        let nobody = Concerned::default();
        assert_eq!(after(&|_| ()), Some(nobody.clone()));
        // Some addresses fewer, but enough.
        assert_eq!(after(&|f| f.subnets = vec![subnet(8)]), Some(nobody));
        assert_eq!(after(&|f| f.subnets = vec![subnet(7)]), None);
        assert_eq!(after(&|f| f.subnets.clear()), None);
        // A load balancer's own security group came, or went.
        let naming = Concerned {
            security_groups: true,
            ..Concerned::default()
        };
        let put = |f: &mut Facts, id: &str, tag: &str| {
            f.security_groups.insert(id.to_owned(), group(tag));
        };
        assert_eq!(after(&|f| put(f, "sg-2", "Name")), Some(naming.clone()));
        assert_eq!(after(&|f| put(f, "sg-1", "Other")), Some(naming));
        let node = "kubernetes.io/cluster/demo";
        assert_eq!(after(&|f| put(f, "sg-2", node)), None);
        assert_eq!(after(&|f| put(f, "sg-1", node)), None);
        let of = Concerned {
            ingresses: [ObjectName::new("shop", "b")].into(),
            security_groups: false,
        };
        assert_eq!(after(&|f| f.verdicts.push(verdict("b"))), Some(of));
    }
}
