//! What all groups together need of the shared backend security group, kept up
//! to date from group to group: a change costs what its group has, whatever
//! the number of groups.

use std::collections::{BTreeMap, BTreeSet};

use super::backend::{DesiredBackend, ObservedBackend};
use super::backend_build::{Endpoints, GroupPorts, Ranges, desired_of};
use super::group::GroupId;
use super::settings::Settings;
use super::snapshot::Snapshot;

/// What one group adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What it needs.
    pub needed: GroupPorts,
    /// The nodes and pods that were looked up for it, with the instances that
    /// the pods are on.
    pub endpoints: Endpoints,
    /// The ports that its target groups wait for.
    pub ports: BTreeSet<u16>,
}

/// Things with the number of groups that have them.
#[derive(Debug)]
struct Counts<K>(BTreeMap<K, usize>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord> Counts<K> {
    fn add(&mut self, key: &K) {
        match self.0.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                self.0.insert(key.clone(), 1);
            }
        }
    }

    /// Answers whether it was the last.
    fn take(&mut self, key: &K) -> bool {
        let Some(count) = self.0.get_mut(key) else {
            return false;
        };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.0.remove(key);
        }
        last
    }
}

/// What all groups need.
#[derive(Debug, Default)]
pub struct Union {
    shares: BTreeMap<GroupId, Share>,
    /// By security group of nodes or pods.
    ports: BTreeMap<String, Counts<u16>>,
    instances: Counts<String>,
    addresses: Counts<String>,
    /// Groups by the ports that their target groups wait for.
    waited: BTreeMap<u16, BTreeSet<GroupId>>,
    needing: usize,
    incomplete: usize,
}

impl Union {
    /// Has a group add this and nothing else; `None`: it is gone. Answers the
    /// nodes and pods that nobody has any more.
    pub fn set(&mut self, group: &GroupId, share: Option<Share>) -> Endpoints {
        if let Some(share) = &share {
            self.add(share);
        }
        let ports = share.as_ref().map(|share| share.ports.clone());
        let before = match share {
            Some(share) => self.shares.insert(group.clone(), share),
            None => self.shares.remove(group),
        };
        let had = before.as_ref().map(|before| &before.ports);
        self.wait(group, had, &ports.unwrap_or_default());
        before.map(|before| self.take(&before)).unwrap_or_default()
    }

    /// A group waits for these ports, and not for those that it had any more.
    fn wait(&mut self, group: &GroupId, had: Option<&BTreeSet<u16>>, ports: &BTreeSet<u16>) {
        for gone in had
            .into_iter()
            .flatten()
            .filter(|port| !ports.contains(port))
        {
            if let Some(groups) = self.waited.get_mut(gone) {
                groups.remove(group);
                if groups.is_empty() {
                    self.waited.remove(gone);
                }
            }
        }
        let new = ports
            .iter()
            .filter(|port| had.is_none_or(|had| !had.contains(port)));
        for port in new {
            self.waited.entry(*port).or_default().insert(group.clone());
        }
    }

    fn add(&mut self, share: &Share) {
        for (id, ports) in &share.needed.ports {
            let of_group = self.ports.entry(id.clone()).or_default();
            for port in ports {
                of_group.add(port);
            }
        }
        let Endpoints {
            instances,
            addresses,
        } = &share.endpoints;
        for id in instances {
            self.instances.add(id);
        }
        for id in addresses {
            self.addresses.add(id);
        }
        self.needing += usize::from(share.needed.needs_group);
        self.incomplete += usize::from(share.needed.incomplete);
    }

    fn take(&mut self, share: &Share) -> Endpoints {
        for (id, ports) in &share.needed.ports {
            if let Some(of_group) = self.ports.get_mut(id) {
                for port in ports {
                    of_group.take(port);
                }
                if of_group.0.is_empty() {
                    self.ports.remove(id);
                }
            }
        }
        self.needing -= usize::from(share.needed.needs_group);
        self.incomplete -= usize::from(share.needed.incomplete);
        let Endpoints {
            instances,
            addresses,
        } = &share.endpoints;
        let instances = instances.iter().filter(|id| self.instances.take(id));
        let addresses = addresses.iter().filter(|id| self.addresses.take(id));
        Endpoints {
            instances: instances.cloned().collect(),
            addresses: addresses.cloned().collect(),
        }
    }

    /// Those of these nodes and pods that no group has.
    pub fn without(&self, endpoints: Endpoints) -> Endpoints {
        let Endpoints {
            mut instances,
            mut addresses,
        } = endpoints;
        instances.retain(|id| !self.instances.0.contains_key(id));
        addresses.retain(|id| !self.addresses.0.contains_key(id));
        Endpoints {
            instances,
            addresses,
        }
    }

    /// The groups that add something.
    pub fn groups(&self) -> impl Iterator<Item = &GroupId> {
        self.shares.keys()
    }

    /// The groups whose target groups wait for one of these ports.
    pub fn waiting_for(&self, ports: &BTreeSet<u16>) -> BTreeSet<GroupId> {
        let waiting = ports.iter().filter_map(|port| self.waited.get(port));
        waiting.flatten().cloned().collect()
    }

    /// What should be.
    pub fn desired(&self, snapshot: &Snapshot, settings: &Settings) -> DesiredBackend {
        let ranges = self.ports.iter().filter_map(|(id, ports)| {
            let (first, _) = ports.0.first_key_value()?;
            let (last, _) = ports.0.last_key_value()?;
            Some((id.clone(), (*first, *last)))
        });
        let ranges: Ranges = ranges.collect();
        let (needed, incomplete) = (self.needing > 0, self.incomplete > 0);
        desired_of(needed, incomplete, ranges, snapshot, settings)
    }

    /// The ports that nothing is missing for any more: each is open wherever
    /// it should be.
    pub fn open_ports(&self, observed: &ObservedBackend) -> BTreeSet<u16> {
        let mut open: BTreeSet<u16> = self.waited.keys().copied().collect();
        for (id, ports) in &self.ports {
            let rules = observed.rules.get(id);
            let ranges: Vec<(u16, u16)> = rules
                .into_iter()
                .flatten()
                .filter_map(|rule| rule.ports)
                .collect();
            for port in ports.0.keys() {
                if !ranges.iter().any(|(from, to)| (from..=to).contains(&port)) {
                    open.remove(port);
                }
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::backend_build::build_backend;
    use crate::model::fixtures::settings;

    fn share() -> impl Strategy<Value = Share> {
        let id = || prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
        let ids = || prop::collection::btree_set(id(), 0..3);
        let ports = || prop::collection::btree_set(1..6_u16, 1..4);
        let needed = prop::collection::btree_map(id(), ports(), 0..3);
        (needed, ids(), ids(), ports(), any::<(bool, bool)>()).prop_map(
            |(needed, instances, addresses, waited, (needs_group, incomplete))| Share {
                needed: GroupPorts {
                    ports: needed,
                    needs_group,
                    incomplete,
                },
                endpoints: Endpoints {
                    instances,
                    addresses,
                },
                ports: waited,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn it_is_what_all_groups_need_whatever_came_before(
            steps in prop::collection::vec((0..4_u8, prop::option::of(share())), 1..20)
        ) {
            let mut union = Union::default();
            let mut shares: BTreeMap<GroupId, Share> = BTreeMap::new();
            let had = |shares: &BTreeMap<GroupId, Share>| {
                let mut all = Endpoints::default();
                for share in shares.values() {
                    all.instances.extend(share.endpoints.instances.clone());
                    all.addresses.extend(share.endpoints.addresses.clone());
                }
                all
            };
            for (group, share) in steps {
                let group = GroupId::Explicit(group.to_string());
                let before = had(&shares);
                match &share {
                    Some(share) => drop(shares.insert(group.clone(), share.clone())),
                    None => drop(shares.remove(&group)),
                }
                let after = had(&shares);
                let gone = union.set(&group, share);
                prop_assert!(before.instances.difference(&after.instances).eq(&gone.instances));
                prop_assert!(before.addresses.difference(&after.addresses).eq(&gone.addresses));
                let snapshot = Snapshot::default();
                let needed: Vec<GroupPorts> =
                    shares.values().map(|share| share.needed.clone()).collect();
                let expected = build_backend(&needed, &snapshot, &settings());
                prop_assert_eq!(union.desired(&snapshot, &settings()), expected.clone());
                // All that is wished is open, and nothing where there is no rule.
                let observed = ObservedBackend { group: None, rules: expected.rules };
                let waited: BTreeSet<u16> =
                    shares.values().flat_map(|share| share.ports.clone()).collect();
                prop_assert_eq!(union.open_ports(&observed), waited.clone());
                let closed = needed.iter().flat_map(|needed| needed.ports.values().flatten());
                let closed: BTreeSet<u16> = closed.copied().collect();
                let open = waited.difference(&closed).copied().collect();
                prop_assert_eq!(union.open_ports(&ObservedBackend::default()), open);
                for port in 1..6 {
                    let waiting = shares.iter().filter(|(_, share)| share.ports.contains(&port));
                    let waiting: BTreeSet<GroupId> = waiting.map(|(group, _)| group.clone()).collect();
                    prop_assert_eq!(union.waiting_for(&[port].into()), waiting);
                }
            }
        }
    }
}
