//! The shared backend security group and its rules on the groups of nodes and
//! pods: one more key of work beside the load balancer groups, with a desired
//! state of its own (the union over all groups).

use std::collections::{BTreeMap, BTreeSet};

use super::spec::{Live, Permission, SecurityGroup};

/// What should be, for the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredBackend {
    /// The shared group; `None` when no group needs it and it may go.
    pub group: Option<SecurityGroup>,
    /// Rules on the groups of nodes and pods, by security group id.
    pub rules: BTreeMap<String, BTreeSet<Permission>>,
    /// Whether rules may only be added and the group may not be deleted: a
    /// TargetGroupBinding that is not ours exists, or some group's ports are
    /// not known.
    pub add_only: bool,
}

/// What AWS holds of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedBackend {
    /// The shared group, by its tags.
    pub group: Option<Live<SecurityGroup>>,
    /// Our marked rules (by their description) on security groups of the VPC,
    /// by security group id; sources that are the shared group are `Backend`.
    pub rules: BTreeMap<String, BTreeSet<Permission>>,
}
