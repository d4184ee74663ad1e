//! `status.loadBalancer` of Ingresses: one entry with the load balancer's name
//! in lower case and the ports of all its listeners.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::{Error, GroupReport, NOT_FOUND, Reporter, WRITER, is_older};
use crate::model::desired::Intent;
use crate::model::snapshot::Snapshot;
use crate::model::spec::ObjectName;

/// What a status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    hostname: String,
    ports: Vec<u16>,
}

impl Address {
    /// Of the load balancer that serves the group. `None` until it has a
    /// listener: an address at which nothing listens is none.
    fn of(report: &GroupReport<'_>) -> Option<Self> {
        let live = report.load_balancer()?;
        if live.listeners.is_empty() {
            return None;
        }
        Some(Self {
            hostname: live.dns_name.to_ascii_lowercase(),
            ports: live.listeners.keys().copied().collect(),
        })
    }

    /// Whether an Ingress's status says exactly this, in whatever order.
    fn is_in(&self, ingress: &Ingress) -> bool {
        let entries = ingress
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref())
            .and_then(|load_balancer| load_balancer.ingress.as_deref());
        let Some([entry]) = entries else {
            return false;
        };
        let mut ports: Vec<i32> = entry.ports.iter().flatten().map(|port| port.port).collect();
        ports.sort_unstable();
        entry.hostname.as_deref() == Some(self.hostname.as_str())
            && ports
                == self
                    .ports
                    .iter()
                    .copied()
                    .map(i32::from)
                    .collect::<Vec<_>>()
    }

    /// The merge patch that makes a status say this. The protocol is left
    /// empty, as aws-load-balancer-controller leaves it.
    fn patch(&self) -> serde_json::Value {
        let ports: Vec<_> = self
            .ports
            .iter()
            .map(|port| json!({ "port": port, "protocol": "" }))
            .collect();
        json!({ "status": { "loadBalancer": {
            "ingress": [{ "hostname": self.hostname, "ports": ports }]
        } } })
    }
}

/// Members whose status names the load balancer that serves the group.
pub(super) fn addressed(report: &GroupReport<'_>, snapshot: &Snapshot) -> BTreeSet<ObjectName> {
    let Some(live) = report.load_balancer() else {
        return BTreeSet::new();
    };
    let hostname = live.dns_name.to_ascii_lowercase();
    let names_it = |name: &&ObjectName| {
        let ingress = snapshot.ingresses.get(name);
        let status = ingress.and_then(|ingress| ingress.status.as_ref());
        let entries = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_deref());
        let mut entries = entries.unwrap_or_default().iter();
        entries.any(|entry| entry.hostname.as_ref() == Some(&hostname))
    };
    let members = report.desired.members.iter();
    members.filter(names_it).cloned().collect()
}

impl Reporter {
    /// Writes the status of all members that are served and whose status says
    /// something else. A frozen member's status stays as it is, like all that
    /// is live for it.
    pub(super) async fn publish_statuses(
        &self,
        report: &GroupReport<'_>,
        snapshot: &Snapshot,
    ) -> Result<usize, Error> {
        let (Intent::Serve(_), Some(address)) = (&report.desired.intent, Address::of(report))
        else {
            return Ok(0);
        };
        let mut writes = 0;
        for name in &report.desired.members {
            let Some(ingress) = snapshot.ingresses.get(name) else {
                continue;
            };
            if report.desired.frozen.contains(name) || address.is_in(ingress) {
                continue;
            }
            let written = self.memory().statuses.get(name).cloned();
            if written.is_some_and(|(version, said)| {
                said == address && is_older(ingress, version.as_ref())
            }) {
                continue;
            }
            if let Some(version) = self.write_status(name, &address).await? {
                let written = (Some(version), address.clone());
                self.memory().statuses.insert(name.clone(), written);
                writes += 1;
            }
        }
        Ok(writes)
    }

    /// Answers the version of the Ingress with it; `None` when it is gone.
    async fn write_status(
        &self,
        name: &ObjectName,
        address: &Address,
    ) -> Result<Option<String>, Error> {
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &name.namespace);
        let parameters = PatchParams {
            field_manager: Some(WRITER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(address.patch());
        match api.patch_status(&name.name, &parameters, &patch).await {
            Ok(ingress) => {
                self.wrote("status");
                Ok(Some(ingress.resource_version().unwrap_or_default()))
            }
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => Ok(None),
            Err(error) => Err(Error::write("write the status", name, error)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{live, report, served};
    use super::*;
    use crate::model::spec::{Action, Listener, LiveListener, LoadBalancerState, Protocol};

    pub(in super::super) fn listener(port: u16) -> LiveListener {
        LiveListener {
            arn: "arn:listener".into(),
            spec: Listener {
                port,
                protocol: Protocol::Http,
                default_certificate: None,
                sni_certificates: std::collections::BTreeSet::new(),
                ssl_policy: None,
                default_action: Action::Other("none".to_owned()),
                tags: crate::model::spec::Tags::new(),
            },
            rules: BTreeMap::new(),
        }
    }

    #[test]
    fn the_status_is_spelled_as_the_peer_spells_it() {
        let desired = served();
        let mut observed = live(LoadBalancerState::Provisioning);
        assert_eq!(Address::of(&report(&desired, &observed, &observed)), None);
        for port in [443, 80] {
            observed.load_balancers[0]
                .listeners
                .insert(port, listener(port));
        }
        let address = Address::of(&report(&desired, &observed, &observed)).unwrap();
        assert_eq!(
            address.patch().to_string(),
            r#"{"status":{"loadBalancer":{"ingress":[{"hostname":"web-1.eu-west-1.elb.amazonaws.com","ports":[{"port":80,"protocol":""},{"port":443,"protocol":""}]}]}}}"#
        );
        let mut ingress: Ingress =
            serde_json::from_value(serde_json::json!({ "metadata": {}, "status": {} })).unwrap();
        assert!(!address.is_in(&ingress));
        let mut patch = address.patch();
        patch["metadata"] = serde_json::json!({});
        ingress = serde_json::from_value(patch).unwrap();
        assert!(address.is_in(&ingress));
        observed.load_balancers[0].listeners.remove(&80);
        let fewer = Address::of(&report(&desired, &observed, &observed)).unwrap();
        assert!(!fewer.is_in(&ingress));
    }
}
