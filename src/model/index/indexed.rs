//! A snapshot with its index, changed together.

use std::ops::Deref;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use super::super::arrivals::Arrivals;
use super::super::changes::Changes;
use super::super::endpoints::Pod;
use super::super::group::GroupId;
use super::super::membership;
use super::super::settings::Settings;
use super::super::snapshot::{Snapshot, TargetGroupBinding, named};
use super::super::spec::ObjectName;
use super::Index;

/// A snapshot with its index; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Indexed {
    /// What Kubernetes says.
    pub snapshot: Snapshot,
    index: Index,
    changes: Changes<GroupId>,
    arrivals: Arrivals,
    /// Ingresses that have gone.
    removed: Changes<ObjectName>,
}

impl Deref for Indexed {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Indexed {
    /// A snapshot with an index that is made from scratch.
    pub fn of(snapshot: Snapshot, settings: &Settings) -> Self {
        let index = Index::of(&snapshot, settings);
        Self {
            snapshot,
            index,
            changes: Changes::default(),
            arrivals: Arrivals::default(),
            removed: Changes::default(),
        }
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// When which group changed.
    pub fn changes(&self) -> &Changes<GroupId> {
        &self.changes
    }

    /// The addresses that pods came to.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Which Ingresses have gone since the process began, and when. One of the
    /// same name may have come since.
    pub fn removed(&self) -> &Changes<ObjectName> {
        &self.removed
    }

    /// Notes that what a group is built from has changed.
    pub fn changed(&mut self, group: &GroupId) {
        self.changes.note(group, self.index.groups.len());
    }

    /// An Ingress came, went or changed, and the snapshot has it so.
    pub fn ingress_changed(
        &mut self,
        old: Option<&Ingress>,
        new: Option<&Ingress>,
        settings: &Settings,
    ) {
        if let Some(old) = old {
            self.index.leave(old);
        }
        if let Some(new) = new {
            self.index.enter(new, &self.snapshot, settings);
        } else if let Some(old) = old {
            self.removed.note(&named(&old.metadata), 0);
        }
    }

    /// An IngressClass changed: whose the Ingresses of it are may be another
    /// now.
    pub fn class_changed(
        &mut self,
        old: Option<&IngressClass>,
        new: Option<&IngressClass>,
        settings: &Settings,
    ) {
        let concerned = self.index.of_classes(old, new);
        let concerned: Vec<ObjectName> = concerned.cloned().collect();
        for name in concerned {
            if let Some(ingress) = self.snapshot.ingresses.get(&name) {
                self.index.leave(ingress);
                self.index.enter(ingress, &self.snapshot, settings);
            }
        }
    }

    /// A Service came, went or changed: what the targets of its users are may
    /// be another now.
    pub fn service_changed(&mut self, service: &ObjectName, settings: &Settings) {
        let users: Vec<ObjectName> = self.index.users.of(service).cloned().collect();
        for name in users {
            if let Some(ingress) = self.snapshot.ingresses.get(&name) {
                let index = &mut self.index;
                index.look_at_nodes(name, ingress, &self.snapshot, settings);
            }
        }
    }

    /// EndpointSlices of a Service changed.
    pub fn endpoints_changed(&mut self, service: &ObjectName) {
        let slices = self.snapshot.endpoint_slices.get(service);
        let slices = slices.map(Vec::as_slice).unwrap_or_default();
        self.index.endpoints(service, slices, &self.snapshot);
    }

    /// A pod came, went or changed, and the snapshot has it so.
    pub fn pod_changed(&mut self, name: &ObjectName, old: Option<&Pod>, new: Option<&Pod>) {
        let node = |pod: Option<&Pod>| pod.and_then(|pod| pod.node.clone());
        if node(old) != node(new) {
            let waiting: Vec<_> = self.index.waiting_for_pod(name).cloned().collect();
            for service in waiting {
                self.endpoints_changed(&service);
            }
        }
        if let Some(new) = new.filter(|new| new.has_come(old)) {
            self.arrivals.note(new.address);
        }
        let address = |pod: Option<&Pod>| pod.and_then(|pod| pod.address);
        let (old, new) = (address(old), address(new));
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.index.addresses.take(old, name.clone());
        }
        if let Some(new) = new {
            self.index.addresses.add(new, name.clone());
        }
    }

    /// A TargetGroupBinding came, went or changed.
    pub fn binding_changed(
        &mut self,
        old: Option<&TargetGroupBinding>,
        new: Option<&TargetGroupBinding>,
    ) {
        if let Some(group) = new.and_then(membership::group_of_binding) {
            self.index.left_alone.change(group, |count| *count += 1);
        }
        if let Some(group) = old.and_then(membership::group_of_binding)
            && let Some(count) = self.index.left_alone.get_mut(&group)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.index.left_alone.remove(&group);
            }
        }
    }
}
