//! One Ingress on its own: what it wishes for the group as a whole, its rules
//! and its target groups, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::Ingress;

use super::annotations::{self, PREFIX, Reach, Support};
use super::context::Context;
use super::desired::{DesiredTargetGroup, Origin};
use super::finding::{Effect, Finding, Reason};
use super::rules;
use super::security_groups;
use super::snapshot::named;
use super::spec::{Action, Arn, Condition, ObjectName, Protocol, Scheme, Tags, TargetGroupKey};
use super::subnets;
use super::target_groups::Backends;
use super::values::{self, Expected};
use super::verdicts;

/// What an Ingress states about what all members share. `None` and empty mean
/// that it leaves the value to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub scheme: Option<Scheme>,
    /// Ids.
    pub subnets: Option<BTreeSet<String>>,
    /// Ids.
    pub security_groups: Option<BTreeSet<String>>,
    pub manage_backend_rules: Option<bool>,
    pub tags: Tags,
    /// Ports that the Ingress takes part in; never empty once read.
    pub ports: BTreeMap<u16, Protocol>,
    /// In the order stated, each once.
    pub certificates: Vec<Arn>,
    pub ssl_policy: Option<String>,
    pub ssl_redirect: Option<u16>,
}

/// A rule of an Ingress, before it has a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberRule {
    pub conditions: Vec<Condition>,
    pub action: Action,
}

/// An Ingress as a member of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub name: ObjectName,
    pub wishes: Wishes,
    /// What states group-wide values, readable or not, in words.
    pub states_group_wide: Vec<String>,
    /// Whether its ports are as it wishes, rather than unreadable.
    pub ports_are_known: bool,
    /// Whether an annotation states its ports.
    pub ports_are_stated: bool,
    pub rules: Vec<MemberRule>,
    pub default_action: Option<Action>,
    pub target_groups: BTreeMap<TargetGroupKey, DesiredTargetGroup>,
    /// Values that AWS may refuse.
    pub origins: Vec<Origin>,
    /// What is wrong, verdicts included.
    pub findings: Vec<Finding>,
}

impl Member {
    /// Whether nothing new may be made for it, going by itself alone.
    pub fn is_frozen(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.effect == Effect::Frozen)
    }

    /// Reads an Ingress. `earlier` are the findings that its membership gave.
    pub fn read(cx: &Context<'_>, ingress: &Ingress, earlier: Vec<Finding>) -> Self {
        let mut states_group_wide: Vec<String> =
            annotations::ours(ingress.metadata.annotations.as_ref())
                .filter(|(name, _)| {
                    annotations::lookup(name).is_some_and(|row| {
                        row.reach == Reach::Group && !row.name.starts_with("group.")
                    })
                })
                .map(|(name, _)| name.to_owned())
                .collect();
        if earlier.iter().any(|f| f.reason == Reason::NotSupportedYet) {
            states_group_wide.push("the parameters of its IngressClass".to_owned());
        }
        let mut reader = Reader {
            cx,
            ingress,
            name: named(&ingress.metadata),
            findings: earlier,
            origins: Vec::new(),
        };
        reader.look_at_all();
        let (wishes, ports_are_known) = reader.wishes();
        let mut backends = Backends::new(cx, ingress);
        let (paths, problems) = rules::paths(ingress);
        for problem in problems {
            reader.find(Effect::Frozen, Reason::InvalidSpec, problem);
        }
        let mut member_rules = Vec::new();
        for path in paths {
            if let Some(action) = backends.action(path.backend, &path.place) {
                member_rules.push(MemberRule {
                    conditions: path.conditions,
                    action,
                });
            }
        }
        let default_action = ingress
            .spec
            .as_ref()
            .and_then(|spec| spec.default_backend.as_ref())
            .and_then(|backend| backends.action(backend, "spec.defaultBackend"));
        let ports_are_stated = reader.value("listen-ports").is_some();
        let mut member = Self {
            name: reader.name,
            wishes,
            states_group_wide,
            ports_are_known,
            ports_are_stated,
            rules: member_rules,
            default_action,
            target_groups: backends.target_groups,
            origins: reader.origins,
            findings: reader.findings,
        };
        member.findings.extend(backends.findings);
        for group in member.target_groups.values_mut() {
            let found = verdicts::fit_targets(group, &cx.facts.verdicts);
            member.findings.extend(found);
        }
        for (port, protocol) in &member.wishes.ports {
            let stated = member.ports_are_stated;
            let origin = verdicts::listener_origin(&member.name, *port, *protocol, stated);
            member.origins.push(origin);
        }
        for group in member.target_groups.values() {
            let origin = verdicts::target_group_origin(&member.name, &group.target_group);
            member.origins.push(origin);
        }
        member
            .origins
            .push(verdicts::load_balancer_origin(&member.name, cx.group));
        for rule in &member.rules {
            let rule = super::spec::Rule {
                conditions: rule.conditions.clone(),
                action: rule.action.clone(),
                tags: Tags::new(),
            };
            member
                .origins
                .push(verdicts::rule_origin(&member.name, &rule));
        }
        member
            .findings
            .extend(verdicts::findings(&member.origins, &cx.facts.verdicts));
        member
    }
}

struct Reader<'a> {
    cx: &'a Context<'a>,
    ingress: &'a Ingress,
    name: ObjectName,
    findings: Vec<Finding>,
    origins: Vec<Origin>,
}

impl Reader<'_> {
    /// Looks at every annotation for what is not built yet and for what
    /// nobody knows.
    fn look_at_all(&mut self) {
        for (name, value) in annotations::ours(self.ingress.metadata.annotations.as_ref()) {
            match annotations::lookup(name) {
                Some(row) if row.support == Support::Built => {}
                Some(_) => self.find(
                    Effect::Frozen,
                    Reason::NotSupportedYet,
                    format!(
                        "annotation {PREFIX}{name} (\"{}\") is not supported in this version: \
                         remove it, or leave the Ingress to a controller that supports it",
                        annotations::shown(value)
                    ),
                ),
                None => self.find(
                    Effect::Note,
                    Reason::InvalidAnnotation,
                    format!(
                        "annotation {PREFIX}{name} is unknown and has no effect: check its \
                         spelling, or remove it"
                    ),
                ),
            }
        }
    }

    /// The group-wide values, and whether the ports could be read.
    fn wishes(&mut self) -> (Wishes, bool) {
        let mut wishes = Wishes {
            scheme: self.read("scheme", values::scheme),
            manage_backend_rules: self.read("manage-backend-security-group-rules", values::boolean),
            tags: self.read("tags", values::string_map).unwrap_or_default(),
            ssl_policy: self.read("ssl-policy", policy),
            ssl_redirect: self.read("ssl-redirect", values::port),
            ..Wishes::default()
        };
        if let Some(scheme) = wishes.scheme {
            self.state("scheme", scheme.as_str());
        }
        if let Some(policy) = &wishes.ssl_policy {
            self.state("ssl-policy", policy);
        }
        if let Some(port) = wishes.ssl_redirect {
            self.state("ssl-redirect", &port.to_string());
        }
        for (key, value) in &wishes.tags {
            self.state("tags", &format!("{key}={value}"));
        }
        for message in annotations::overruled_tags(self.cx.settings, &wishes.tags, "") {
            self.find(Effect::Note, Reason::InvalidAnnotation, message);
        }
        for certificate in self.list("certificate-arn") {
            self.state("certificate-arn", &certificate);
            let certificate = Arn::from(certificate);
            if !wishes.certificates.contains(&certificate) {
                wishes.certificates.push(certificate);
            }
        }
        wishes.subnets = self.subnets();
        wishes.security_groups = self.security_groups();
        let ports = match self.value("listen-ports") {
            Some(_) => self.read("listen-ports", values::listen_ports),
            None if wishes.certificates.is_empty() => Some(BTreeMap::from([(80, Protocol::Http)])),
            None => Some(BTreeMap::from([(443, Protocol::Https)])),
        };
        let ports_are_known = ports.is_some();
        wishes.ports = ports.unwrap_or_default();
        let https = wishes
            .ports
            .iter()
            .find(|(_, protocol)| **protocol == Protocol::Https);
        if let (Some((port, _)), true) = (https, wishes.certificates.is_empty()) {
            let message = format!(
                "the Ingress listens with HTTPS on port {port} and has no annotation \
                 {PREFIX}certificate-arn; certificates are not looked for by host in this version: \
                 state the ARN of a certificate"
            );
            self.find(Effect::Frozen, Reason::NotSupportedYet, message);
        }
        (wishes, ports_are_known)
    }

    fn subnets(&mut self) -> Option<BTreeSet<String>> {
        let raw = self.value("subnets")?;
        let names = values::string_list(raw);
        if names.is_empty() {
            self.invalid("subnets", "at least two subnets, by id or by tag Name");
            return None;
        }
        match subnets::given(&names, self.cx.facts) {
            Ok(ids) => {
                for id in &ids {
                    self.state("subnets", id);
                }
                Some(ids)
            }
            Err(problem) => {
                self.unresolved("subnets", Reason::SubnetsNotFound, &problem);
                None
            }
        }
    }

    fn security_groups(&mut self) -> Option<BTreeSet<String>> {
        let names = self.list("security-groups");
        if names.is_empty() {
            return None;
        }
        match security_groups::given(&names, self.cx.facts) {
            Ok(ids) => {
                for id in &ids {
                    self.state("security-groups", id);
                }
                Some(ids)
            }
            Err(problem) => {
                self.unresolved("security-groups", Reason::SecurityGroupNotFound, &problem);
                None
            }
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        annotations::value(self.ingress.metadata.annotations.as_ref(), name)
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.value(name)
            .map(values::string_list)
            .unwrap_or_default()
    }

    fn read<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Expected>) -> Option<T> {
        match parse(self.value(name)?) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.invalid(name, &expected);
                None
            }
        }
    }

    fn state(&mut self, subject: &str, value: &str) {
        self.origins.push(Origin {
            ingress: self.name.clone(),
            subject: subject.to_owned(),
            value: value.to_owned(),
        });
    }

    fn invalid(&mut self, name: &str, expected: &str) {
        let raw = annotations::shown(self.value(name).unwrap_or_default());
        let message = format!(
            "annotation {PREFIX}{name} is \"{raw}\": expected {expected}; correct the value, or \
             remove the annotation"
        );
        self.find(Effect::Frozen, Reason::InvalidAnnotation, message);
    }

    fn unresolved(&mut self, name: &str, reason: Reason, problem: &str) {
        let raw = annotations::shown(self.value(name).unwrap_or_default());
        let message = format!(
            "annotation {PREFIX}{name} is \"{raw}\": {problem}; correct the value, or make what it \
             names"
        );
        self.find(Effect::Frozen, reason, message);
    }

    fn find(&mut self, effect: Effect, reason: Reason, message: String) {
        self.findings.push(Finding {
            ingress: self.name.clone(),
            effect,
            reason,
            message,
        });
    }
}

fn policy(raw: &str) -> Result<String, Expected> {
    if raw.is_empty() {
        Err("the name of a security policy, such as ELBSecurityPolicy-TLS13-1-2-2021-06".into())
    } else {
        Ok(raw.to_owned())
    }
}
