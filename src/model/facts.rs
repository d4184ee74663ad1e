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

impl Facts {
    /// The Ingresses for which decisions may come out otherwise than by other
    /// facts; `None`: all of them may.
    pub fn concern(&self, other: &Self) -> Option<BTreeSet<ObjectName>> {
        let same = self.vpc_cidrs == other.vpc_cidrs
            && self.subnets == other.subnets
            && self.security_groups == other.security_groups;
        let (ours, theirs) = (&self.verdicts, &other.verdicts);
        let new = ours.iter().filter(|verdict| !theirs.contains(verdict));
        let old = theirs.iter().filter(|verdict| !ours.contains(verdict));
        let ingresses = new.chain(old).map(|verdict| verdict.ingress.clone());
        same.then(|| ingresses.collect())
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
