//! The members' group-wide wishes made into one, in group order. Who comes
//! first wins: a later member that disagrees is not served, and told why.

use std::collections::{BTreeMap, BTreeSet};

use super::annotations::PREFIX;
use super::finding::{Effect, Finding, Reason};
use super::member::Member;
use super::spec::{Action, Arn, ObjectName, Protocol, Scheme, Tags};

/// A value and the first member that states it.
#[derive(Clone, Debug)]
struct Held<T> {
    value: T,
    by: ObjectName,
}

/// What all served members together wish.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged {
    scheme: Option<Held<Scheme>>,
    subnets: Option<Held<BTreeSet<String>>>,
    security_groups: Option<Held<BTreeSet<String>>>,
    manage_backend_rules: Option<Held<bool>>,
    ssl_redirect: Option<Held<u16>>,
    tags: BTreeMap<String, Held<String>>,
    /// Listeners by port.
    pub ports: BTreeMap<u16, MergedPort>,
}

/// What the members on one port wish.
#[derive(Clone, Debug)]
pub(super) struct MergedPort {
    protocol: Held<Protocol>,
    ssl_policy: Option<Held<String>>,
    default_action: Option<Held<Action>>,
    /// Default certificate first; each once.
    pub certificates: Vec<Arn>,
    /// Tags of all members on the port.
    pub tags: Tags,
}

impl MergedPort {
    /// The protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol.value
    }

    /// The security policy, where a member states one.
    pub fn ssl_policy(&self) -> Option<&String> {
        self.ssl_policy.as_ref().map(|held| &held.value)
    }

    /// What the one member with a default backend wishes.
    pub fn default_action(&self) -> Option<&Action> {
        self.default_action.as_ref().map(|held| &held.value)
    }
}

impl Merged {
    /// The scheme, where a member states one.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme.as_ref().map(|held| held.value)
    }

    /// Ids of subnets, where a member states them.
    pub fn subnets(&self) -> Option<&BTreeSet<String>> {
        self.subnets.as_ref().map(|held| &held.value)
    }

    /// Ids of security groups, where a member states them.
    pub fn security_groups(&self) -> Option<&BTreeSet<String>> {
        self.security_groups.as_ref().map(|held| &held.value)
    }

    /// Whether rules for given security groups are to be managed.
    pub fn manages_backend_rules(&self) -> bool {
        self.manage_backend_rules
            .as_ref()
            .is_some_and(|held| held.value)
    }

    /// The HTTPS port that HTTP listeners redirect to.
    pub fn ssl_redirect(&self) -> Option<u16> {
        self.ssl_redirect.as_ref().map(|held| held.value)
    }

    /// Tags of all members; of two values for a key the first stated.
    pub fn tags(&self) -> Tags {
        self.tags
            .iter()
            .map(|(key, held)| (key, &held.value))
            .collect()
    }

    /// Takes in the next member in group order. Where it disagrees with one
    /// before, nothing of it is taken in and the findings that freeze it are
    /// the error; what is merely worth knowing is the answer.
    pub fn admit(&mut self, member: &Member) -> Result<Vec<Finding>, Vec<Finding>> {
        let conflicts = self.conflicts(member);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let wishes = &member.wishes;
        let by = &member.name;
        hold(&mut self.scheme, wishes.scheme.as_ref(), by);
        hold(&mut self.subnets, wishes.subnets.as_ref(), by);
        hold(
            &mut self.security_groups,
            wishes.security_groups.as_ref(),
            by,
        );
        hold(
            &mut self.manage_backend_rules,
            wishes.manage_backend_rules.as_ref(),
            by,
        );
        hold(&mut self.ssl_redirect, wishes.ssl_redirect.as_ref(), by);
        let notes = self.take_tags(member);
        for (port, protocol) in &wishes.ports {
            let merged = self.ports.entry(*port).or_insert_with(|| MergedPort {
                protocol: Held {
                    value: *protocol,
                    by: by.clone(),
                },
                ssl_policy: None,
                default_action: None,
                certificates: Vec::new(),
                tags: Tags::new(),
            });
            hold(
                &mut merged.default_action,
                member.default_action.as_ref(),
                by,
            );
            let mut tags = wishes.tags.clone();
            tags.extend(&merged.tags);
            merged.tags = tags;
            if *protocol == Protocol::Https {
                hold(&mut merged.ssl_policy, wishes.ssl_policy.as_ref(), by);
                for certificate in &wishes.certificates {
                    if !merged.certificates.contains(certificate) {
                        merged.certificates.push(certificate.clone());
                    }
                }
            }
        }
        Ok(notes)
    }

    fn take_tags(&mut self, member: &Member) -> Vec<Finding> {
        let mut notes = Vec::new();
        for (key, value) in &member.wishes.tags {
            let held = self.tags.entry(key.to_owned()).or_insert_with(|| Held {
                value: value.to_owned(),
                by: member.name.clone(),
            });
            if held.value != *value {
                notes.push(Finding {
                    ingress: member.name.clone(),
                    effect: Effect::Note,
                    reason: Reason::ConflictingAnnotation,
                    message: format!(
                        "annotation {PREFIX}tags gives {key} the value \"{value}\", and Ingress \
                         {}, earlier in the group, \"{}\": what members share keeps the earlier \
                         value; expected one value for each key in a group, so give both the same",
                        held.by, held.value
                    ),
                });
            }
        }
        notes
    }

    fn conflicts(&self, member: &Member) -> Vec<Finding> {
        let wishes = &member.wishes;
        let mut found = Vec::new();
        let mut conflict = |annotation: &str, own: String, by: &ObjectName, earlier: String| {
            found.push(Finding {
                ingress: member.name.clone(),
                effect: Effect::Frozen,
                reason: Reason::ConflictingAnnotation,
                message: format!(
                    "annotation {PREFIX}{annotation} asks for {own}, and Ingress {by}, earlier in \
                     the group, for {earlier}: expected one value in a group; give both the same, \
                     or put this Ingress into another group"
                ),
            });
        };
        if let Some((held, own)) = differ(self.scheme.as_ref(), wishes.scheme.as_ref()) {
            conflict("scheme", own.to_string(), &held.by, held.value.to_string());
        }
        if let Some((held, own)) = differ(self.subnets.as_ref(), wishes.subnets.as_ref()) {
            conflict("subnets", listed(own), &held.by, listed(&held.value));
        }
        if let Some((held, own)) = differ(
            self.security_groups.as_ref(),
            wishes.security_groups.as_ref(),
        ) {
            conflict(
                "security-groups",
                listed(own),
                &held.by,
                listed(&held.value),
            );
        }
        if let Some((held, own)) = differ(
            self.manage_backend_rules.as_ref(),
            wishes.manage_backend_rules.as_ref(),
        ) {
            conflict(
                "manage-backend-security-group-rules",
                own.to_string(),
                &held.by,
                held.value.to_string(),
            );
        }
        if let Some((held, own)) = differ(self.ssl_redirect.as_ref(), wishes.ssl_redirect.as_ref())
        {
            conflict(
                "ssl-redirect",
                own.to_string(),
                &held.by,
                held.value.to_string(),
            );
        }
        for (port, protocol) in &wishes.ports {
            let Some(merged) = self.ports.get(port) else {
                continue;
            };
            if let Some((held, own)) = differ(Some(&merged.protocol), Some(protocol)) {
                conflict(
                    "listen-ports",
                    format!("{own} on port {port}"),
                    &held.by,
                    held.value.to_string(),
                );
            }
            let policy = (*protocol == Protocol::Https)
                .then_some(wishes.ssl_policy.as_ref())
                .flatten();
            if let Some((held, own)) = differ(merged.ssl_policy.as_ref(), policy) {
                conflict(
                    "ssl-policy",
                    format!("{own} on port {port}"),
                    &held.by,
                    held.value.clone(),
                );
            }
        }
        let with_default = wishes.ports.keys().find_map(|port| {
            let held = self.ports.get(port)?.default_action.as_ref()?;
            member.default_action.as_ref().map(|_| (port, &held.by))
        });
        if let Some((port, by)) = with_default {
            found.push(Finding {
                ingress: member.name.clone(),
                effect: Effect::Frozen,
                reason: Reason::InvalidSpec,
                message: format!(
                    "spec.defaultBackend is set, and Ingress {by}, earlier in the group, has one on \
                     port {port} too: expected one default backend for each port; make it a rule \
                     with path \"/\", or put this Ingress into another group"
                ),
            });
        }
        found
    }
}

fn hold<T: Clone>(slot: &mut Option<Held<T>>, value: Option<&T>, by: &ObjectName) {
    if let (None, Some(value)) = (&slot, value) {
        *slot = Some(Held {
            value: value.clone(),
            by: by.clone(),
        });
    }
}

fn differ<'h, 'o, T: PartialEq>(
    held: Option<&'h Held<T>>,
    own: Option<&'o T>,
) -> Option<(&'h Held<T>, &'o T)> {
    let (held, own) = (held?, own?);
    (held.value != *own).then_some((held, own))
}

fn listed(set: &BTreeSet<String>) -> String {
    set.iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
