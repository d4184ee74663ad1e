//! States of instances: stopped, started, terminated, and on the way there.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Answer, InstanceState, Refusal, State, Transition, instance::Settings};

impl State {
    /// Lets the interfaces of an instance go or stay, as each says.
    pub(super) fn free_interfaces(&mut self, id: &str) {
        let interfaces: Vec<(String, bool)> = self
            .interfaces_of(id)
            .map(|interface| (interface.id.clone(), interface.delete_on_termination))
            .collect();
        for (interface, goes) in interfaces {
            if goes {
                self.release_interface(&interface);
            } else if let Some(interface) = self.network_interfaces.get_mut(&interface) {
                interface.attachment = None;
                interface.attached_at = None;
            }
        }
    }

    /// Makes every instance that starts run at once.
    pub fn instances_at_once(&mut self) {
        for instance in self.instances.values_mut() {
            if instance.state == InstanceState::Pending {
                instance.state = InstanceState::Running;
            }
        }
    }

    /// The next state of an instance.
    pub(super) fn move_instance(&mut self, id: &str, from: InstanceState, now: Timestamp) {
        let Some(instance) = self.instances.get_mut(id) else {
            return;
        };
        // What has moved on by another call since is not on this way any more.
        if instance.state != from {
            return;
        }
        match instance.state {
            InstanceState::Pending => instance.state = InstanceState::Running,
            InstanceState::Stopping => {
                instance.state = InstanceState::Stopped;
                // A public address that is not allocated goes when it stops.
                for interface in self.network_interfaces.values_mut() {
                    let own = interface
                        .attachment
                        .as_ref()
                        .is_some_and(|attached| attached.instance_id.as_deref() == Some(id));
                    if own {
                        interface.public_ip = None;
                    }
                }
            }
            InstanceState::ShuttingDown => {
                instance.state = InstanceState::Terminated;
                let volume = instance.volume_id.clone();
                self.tags.remove(&volume);
                self.free_interfaces(id);
                let forget = Transition::Instance(id.to_owned(), InstanceState::Terminated);
                self.schedule(now, super::SHOWN_MS, forget);
            }
            InstanceState::Terminated => {
                self.instances.remove(id);
                self.tags.remove(id);
                self.forget_target(id);
            }
            InstanceState::Running | InstanceState::Stopped => {}
        }
    }

    /// Gives an instance that starts again a public address, unless its first
    /// interface has an allocated one.
    fn give_public_address(&mut self, id: &str) {
        let address = self.invent_public_address();
        let first = self
            .interfaces_of(id)
            .find(|interface| {
                interface
                    .attachment
                    .as_ref()
                    .is_some_and(|attachment| attachment.device_index == 0)
            })
            .map(|interface| (interface.id.clone(), interface.private_ips[0]));
        let Some((first, private)) = first else {
            return;
        };
        if self.address_at(&first, private).is_some() {
            return;
        }
        if let Some(interface) = self.network_interfaces.get_mut(&first) {
            interface.public_ip = Some(address);
        }
    }

    /// Checks instances before a change of state: they exist, and each is in
    /// a state from which it can be `done`.
    fn check_states(&self, ids: &[String], done: &str, allowed: &[InstanceState]) -> Answer<()> {
        for id in ids {
            let instance = self.instance(id)?;
            if !allowed.contains(&instance.state) {
                return Err(Refusal::new(
                    "IncorrectInstanceState",
                    format!("The instance '{id}' is not in a state from which it can be {done}."),
                ));
            }
        }
        Ok(())
    }

    /// Puts instances into a passing state; answers the states before.
    fn pass(
        &mut self,
        ids: &[String],
        state: InstanceState,
        keep: &[InstanceState],
        now: Timestamp,
    ) -> Vec<(String, InstanceState)> {
        let mut before = BTreeMap::new();
        let delay = self.timing.instance_ms;
        for id in ids {
            let Some(instance) = self.instances.get_mut(id) else {
                continue;
            };
            if before.contains_key(id) {
                continue;
            }
            before.insert(id.clone(), instance.state);
            if keep.contains(&instance.state) {
                continue;
            }
            instance.state = state;
            instance.reason = match state {
                InstanceState::Pending => None,
                _ => Some("Client.UserInitiatedShutdown"),
            };
            let starts = state == InstanceState::Pending;
            if starts {
                instance.launched = now;
            }
            if starts && instance.public {
                self.give_public_address(id);
            }
            if !starts {
                self.forget_probes_of_instance(id);
            }
            self.schedule(now, delay, Transition::Instance(id.clone(), state));
        }
        before.into_iter().collect()
    }

    /// StopInstances; answers the states before.
    pub fn stop_instances(
        &mut self,
        ids: &[String],
        now: Timestamp,
    ) -> Answer<Vec<(String, InstanceState)>> {
        let passing = [InstanceState::Stopping, InstanceState::Stopped];
        let mut allowed = vec![InstanceState::Running, InstanceState::Pending];
        allowed.extend(passing);
        self.check_states(ids, "stopped", &allowed)?;
        if let Some(id) = self.protected(ids, |settings| settings.stop_protected) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "The instance '{id}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."
                ),
            ));
        }
        Ok(self.pass(ids, InstanceState::Stopping, &passing, now))
    }

    /// StartInstances; answers the states before.
    pub fn start_instances(
        &mut self,
        ids: &[String],
        now: Timestamp,
    ) -> Answer<Vec<(String, InstanceState)>> {
        let passing = [InstanceState::Pending, InstanceState::Running];
        let mut allowed = vec![InstanceState::Stopped];
        allowed.extend(passing);
        self.check_states(ids, "started", &allowed)?;
        Ok(self.pass(ids, InstanceState::Pending, &passing, now))
    }

    /// RebootInstances: nothing of it shows.
    pub fn reboot_instances(&self, ids: &[String]) -> Answer<()> {
        let allowed = [InstanceState::Running, InstanceState::Pending];
        self.check_states(ids, "rebooted", &allowed)
    }

    /// TerminateInstances, all or none; answers the states before.
    pub fn terminate_instances(
        &mut self,
        ids: &[String],
        now: Timestamp,
    ) -> Answer<Vec<(String, InstanceState)>> {
        for id in ids {
            self.instance(id)?;
        }
        if let Some(id) = self.protected(ids, |settings| settings.termination_protected) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
                ),
            ));
        }
        let passing = [InstanceState::ShuttingDown, InstanceState::Terminated];
        Ok(self.pass(ids, InstanceState::ShuttingDown, &passing, now))
    }

    fn protected(&self, ids: &[String], is: impl Fn(&Settings) -> bool) -> Option<String> {
        ids.iter()
            .find(|id| {
                self.instances
                    .get(*id)
                    .is_some_and(|instance| is(&instance.settings))
            })
            .cloned()
    }
}
