//! `GET /_sim/audit`: what is left over, what points to nothing, and what
//! carries no tags, in all accounts and regions.
//!
//! Pure. What AWS itself made and takes away again is passed over: default
//! security groups and the network interfaces of its services.

mod records;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::state::{
    CertificateStatus, LoadBalancer, Peer, SecurityGroup, State, web_acl::AssociatedAcl,
};

/// What is wrong with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// Nothing uses it.
    LeftOver,
    /// What it names does not exist, or is of no use.
    Dangling,
    /// It has no tags that say whose it is.
    Unowned,
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// `target-group`, `security-group`, `record`, …
    pub kind: String,
    /// ARN, id of EC2, or name and type of a record.
    pub resource: String,
    /// What is wrong.
    pub problem: Problem,
    /// The same for people.
    pub detail: String,
}

/// How the records are named that tell whose others are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Naming {
    /// What follows the first label in names of owner records.
    pub txt_suffix: String,
}

/// Everything that is wrong in these accounts, in order.
pub fn audit(states: &[&State], naming: &Naming) -> Vec<Finding> {
    let mut found = Vec::new();
    for state in states {
        audit_load_balancing(state, &mut found);
        audit_network(state, states, &mut found);
        audit_web_acls(state, &mut found);
        audit_tags(state, &mut found);
        records::audit(state, states, naming, &mut found);
    }
    found.sort();
    found
}

/// Notes something.
fn note(
    found: &mut Vec<Finding>,
    problem: Problem,
    (kind, resource): (&str, &str),
    detail: impl Into<String>,
) {
    found.push(Finding {
        kind: kind.to_owned(),
        resource: resource.to_owned(),
        problem,
        detail: detail.into(),
    });
}

fn audit_load_balancing(state: &State, found: &mut Vec<Finding>) {
    for group in state.target_groups.values() {
        if group.references.is_empty() {
            let what = ("target-group", group.arn.as_str());
            note(
                found,
                Problem::LeftOver,
                what,
                "no listener and no rule names it",
            );
        }
    }
    for balancer in state.load_balancers.values() {
        if balancer.listeners.is_empty() {
            let what = ("load-balancer", balancer.arn.as_str());
            note(found, Problem::LeftOver, what, "it has no listener");
        }
        audit_certificates(state, balancer, found);
    }
}

fn audit_certificates(state: &State, balancer: &LoadBalancer, found: &mut Vec<Finding>) {
    for listener in balancer.listeners.values() {
        let named: BTreeSet<&String> = listener
            .certificate
            .iter()
            .chain(&listener.sni_certificates)
            .collect();
        for certificate in named {
            let why = match state.certificates.get(certificate) {
                Some(one) if one.status == CertificateStatus::Issued => continue,
                Some(_) => "is not issued",
                None => {
                    let mut of_iam = state.server_certificates.values();
                    if of_iam.any(|one| one.arn == *certificate) {
                        continue;
                    }
                    "does not exist"
                }
            };
            let what = ("listener", listener.arn.as_str());
            let detail = format!("its certificate {certificate} {why}");
            note(found, Problem::Dangling, what, detail);
        }
    }
}

fn audit_network(state: &State, states: &[&State], found: &mut Vec<Finding>) {
    for group in state.security_groups.values() {
        if !is_used(state, group) {
            let what = ("security-group", group.id.as_str());
            let detail = "no network interface has it and no other group names it";
            note(found, Problem::LeftOver, what, detail);
        }
        for rule in &group.rules {
            let (source, there) = match &rule.permission.peer {
                Peer::Group(id) => (id, state.security_groups.contains_key(id)),
                Peer::ForeignGroup { id, owner } => {
                    let mut theirs = states.iter().filter(|state| state.account == *owner);
                    (
                        id,
                        theirs.any(|state| state.security_groups.contains_key(id)),
                    )
                }
                _ => continue,
            };
            if !there {
                let what = ("security-group-rule", rule.id.as_str());
                let detail = format!("it is a rule of {} for {source}, which is gone", group.id);
                note(found, Problem::Dangling, what, detail);
            }
        }
    }
    for interface in state.network_interfaces.values() {
        if interface.attachment.is_none() && interface.requester.is_none() {
            let what = ("network-interface", interface.id.as_str());
            note(found, Problem::LeftOver, what, "it is attached to nothing");
        }
    }
    for address in state.addresses.values() {
        if address.association.is_none() {
            let what = ("elastic-ip", address.id.as_str());
            let detail = format!("{} is associated with nothing", address.public_ip);
            note(found, Problem::LeftOver, what, detail);
        }
    }
}

/// Whether something needs a security group, or it belongs to its VPC.
fn is_used(state: &State, group: &SecurityGroup) -> bool {
    is_default(state, group)
        || state
            .network_interfaces
            .values()
            .any(|interface| interface.security_groups.contains(&group.id))
        || state
            .namers_of_group(&group.id)
            .any(|other| other.id != group.id)
}

fn is_default(state: &State, group: &SecurityGroup) -> bool {
    state
        .vpcs
        .get(&group.vpc_id)
        .is_some_and(|vpc| vpc.default_security_group == group.id)
}

fn audit_web_acls(state: &State, found: &mut Vec<Finding>) {
    for (balancer, acl) in &state.web_acl_associations {
        let what = ("web-acl-association", balancer.as_str());
        if !state.load_balancers.contains_key(balancer) {
            note(found, Problem::Dangling, what, "the load balancer is gone");
        }
        let (there, acl) = match acl {
            AssociatedAcl::V2(arn) => {
                let mut acls = state.wafv2.web_acls.values();
                (acls.any(|acl| acl.entity.arn == *arn), arn)
            }
            AssociatedAcl::Classic(id) => (state.waf_regional.web_acls.contains_key(id), id),
        };
        if !there {
            let detail = format!("the web ACL {acl} is gone");
            note(found, Problem::Dangling, what, detail);
        }
    }
}

/// What a controller makes and tags.
fn audit_tags(state: &State, found: &mut Vec<Finding>) {
    let mut check = |kind: &str, resource: &str| {
        let tagged = state
            .tags
            .get(resource)
            .is_some_and(|tags| !tags.is_empty());
        if !tagged {
            note(found, Problem::Unowned, (kind, resource), "it has no tags");
        }
    };
    for balancer in state.load_balancers.values() {
        check("load-balancer", &balancer.arn);
        for listener in balancer.listeners.values() {
            check("listener", &listener.arn);
            for rule in listener.rules.values() {
                check("listener-rule", &rule.arn);
            }
        }
    }
    for group in state.target_groups.keys() {
        check("target-group", group);
    }
    for store in state.trust_stores.keys() {
        check("trust-store", store);
    }
    for group in state.security_groups.values() {
        if !is_default(state, group) {
            check("security-group", &group.id);
        }
    }
    for interface in state.network_interfaces.values() {
        // Those of instances and services are theirs.
        let of_instance = interface
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.instance_id.is_some());
        if interface.requester.is_none() && !of_instance {
            check("network-interface", &interface.id);
        }
    }
    for address in state.addresses.keys() {
        check("elastic-ip", address);
    }
    for acl in state.wafv2.web_acls.values() {
        check("web-acl", &acl.entity.arn);
    }
}

#[cfg(test)]
mod tests;
