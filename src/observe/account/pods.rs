//! The security groups of nodes and pods, on which the rules of the shared
//! backend group stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Account;
use crate::aws::Error;
use crate::model::facts::Facts;
use crate::observe::{Memory, interfaces, lock};

/// An instance that does not have an address is read again for it no sooner
/// than this after it was read.
const INSTANCE_AGE: Duration = Duration::from_mins(10);

/// A pod whose security groups are asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodAddress {
    /// Its IPv4 address.
    pub address: String,
    /// A hash of the uids of all pods that have the address: by another one it
    /// is seen that it has become another pod's.
    pub whose: u64,
    /// The instance that it runs on; `None` where its node is no instance.
    pub instance: Option<String>,
    /// Whether it has an interface of its own (annotation
    /// `vpc.amazonaws.com/pod-eni`), apart from the instance's.
    pub own_interface: bool,
}

/// What was found at an address.
#[derive(Debug)]
pub(super) struct Found {
    /// Whose it was.
    whose: u64,
    groups: Arc<BTreeSet<String>>,
}

impl Memory {
    /// Facts with the security groups of these instances and pods in them.
    /// What is not known yet is read: instances first, then by address what
    /// is on none of their interfaces. All of it is remembered until it is
    /// [forgotten](Self::forget_endpoints).
    pub async fn backend_facts(
        &self,
        instances: &BTreeSet<String>,
        pods: &BTreeSet<PodAddress>,
    ) -> Result<Facts, Error> {
        let mut facts = Facts::clone(&*self.facts().await?);
        let reading = self.reading.begin().await;
        let now = Instant::now();
        let unknown: BTreeSet<String> = {
            let account = lock(&self.account);
            let on_instances = pods.iter().filter_map(|p| p.instance.as_ref());
            let wanted = instances.iter().chain(on_instances);
            let unknown = wanted.filter(|id| !account.instances.contains_key(*id));
            let outdated = account.outdated(pods, now);
            unknown.cloned().chain(outdated).collect()
        };
        if !unknown.is_empty() {
            let read = reading.run(interfaces::instances(&self.aws, &unknown));
            let read = read.await?;
            let mut account = lock(&self.account);
            for id in unknown {
                let instance = read.get(&id).cloned().unwrap_or_default();
                account.instances.insert(id, (now, instance));
            }
        }
        let missing: BTreeMap<&String, u64> = {
            let mut account = lock(&self.account);
            let unknown = pods.iter().filter(|pod| !account.knows(pod));
            let unknown: Vec<&PodAddress> = unknown.collect();
            for pod in &unknown {
                // What is remembered is of a pod that had the address before.
                account.pods.remove(&pod.address);
            }
            let missing = unknown.into_iter().filter(|pod| !account.find(pod));
            missing.map(|pod| (&pod.address, pod.whose)).collect()
        };
        if !missing.is_empty() {
            let addresses = missing.keys().copied().cloned().collect();
            let read = interfaces::groups_by_address(&self.aws, &self.scope.vpc, &addresses);
            let read = reading.run(read).await?;
            let mut account = lock(&self.account);
            for (address, groups) in read {
                if let Some(whose) = missing.get(&address) {
                    account.remember_pod(address, *whose, groups);
                }
            }
        }
        let account = lock(&self.account);
        for id in instances {
            if let Some((_, instance)) = account.instances.get(id) {
                let groups = instance.primary.clone();
                facts.instance_security_groups.insert(id.clone(), groups);
            }
        }
        account.tell_of_pods(pods.iter().map(|pod| &pod.address), &mut facts);
        Ok(facts)
    }

    /// Adds the security groups of pods at these addresses that are remembered:
    /// those of pods that are gone, while something goes to them still.
    pub fn add_remembered_pods(&self, addresses: &BTreeSet<String>, facts: &mut Facts) {
        lock(&self.account).tell_of_pods(addresses, facts);
    }

    /// Nobody asks for these instances and addresses any more: whoever does
    /// next may be another one.
    pub fn forget_endpoints(&self, instances: &BTreeSet<String>, addresses: &BTreeSet<String>) {
        let mut account = lock(&self.account);
        for id in instances {
            account.instances.remove(id);
        }
        for address in addresses {
            account.pods.remove(address);
        }
        // What only the forgotten had.
        account
            .groups_of_pods
            .retain(|groups| Arc::strong_count(groups) > 1);
    }
}

impl Account {
    /// Adds the security groups of pods at these addresses that are remembered.
    fn tell_of_pods<'a>(&self, addresses: impl IntoIterator<Item = &'a String>, facts: &mut Facts) {
        for address in addresses {
            if let Some(Found { groups, .. }) = self.pods.get(address) {
                let groups = BTreeSet::clone(groups);
                facts.pod_security_groups.insert(address.clone(), groups);
            }
        }
    }

    /// Whether the security groups of this very pod were found before.
    fn knows(&self, pod: &PodAddress) -> bool {
        let found = self.pods.get(&pod.address);
        found.is_some_and(|found| found.whose == pod.whose)
    }

    /// Finds the security groups of a pod as far as its instance tells.
    fn find(&mut self, pod: &PodAddress) -> bool {
        let Some(groups) = self.groups_of(pod) else {
            return false;
        };
        self.remember_pod(pod.address.clone(), pod.whose, groups);
        true
    }

    fn remember_pod(&mut self, address: String, whose: u64, groups: BTreeSet<String>) {
        // Most pods have the same.
        let groups = if let Some(known) = self.groups_of_pods.get(&groups) {
            Arc::clone(known)
        } else {
            let groups = Arc::new(groups);
            self.groups_of_pods.insert(Arc::clone(&groups));
            groups
        };
        self.pods.insert(address, Found { whose, groups });
    }

    /// Instances that were read before a pod came to them: whose address they
    /// do not have, if that was long ago; whose address another pod had before,
    /// where their interfaces have different groups.
    fn outdated(&self, pods: &BTreeSet<PodAddress>, now: Instant) -> BTreeSet<String> {
        pods.iter()
            .filter(|pod| !pod.own_interface && !self.knows(pod))
            .filter_map(|pod| {
                let id = pod.instance.as_ref()?;
                let (read, instance) = self.instances.get(id)?;
                let miss = instance.groups_of(&pod.address).is_none();
                let is_old = miss && *read + INSTANCE_AGE <= now;
                let may_move = instance.uniform().is_none();
                let has_moved = may_move && self.pods.contains_key(&pod.address);
                (is_old || has_moved).then(|| id.clone())
            })
            .collect()
    }

    /// Security groups of a pod as far as its instance tells.
    fn groups_of(&self, pod: &PodAddress) -> Option<BTreeSet<String>> {
        if pod.own_interface {
            return None;
        }
        let (_, instance) = self.instances.get(pod.instance.as_ref()?)?;
        instance
            .groups_of(&pod.address)
            .or_else(|| instance.uniform())
            .cloned()
    }
}
