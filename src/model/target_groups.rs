//! From a backend of an Ingress to a target group with its targets.
//!
//! There is one target group for each Ingress, Service and port as spelled:
//! two Ingresses that share a Service have two. Settings are read from the
//! Service's annotations first, then from the Ingress's, one by one.

mod health_check;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::annotations::{self, PREFIX, Support};
use super::context::Context;
use super::desired::DesiredTargetGroup;
use super::finding::{Effect, Finding, Reason};
use super::names::{self, TargetGroupIdentity};
use super::ownership;
use super::service_ports;
use super::snapshot::named;
use super::spec::{
    Action, ObjectName, Protocol, Tags, TargetGroup, TargetGroupKey, TargetGroupRef, TargetType,
};
use super::targets;
use super::values::{self, Expected};

/// Port name of a backend that stands for an annotation.
const USE_ANNOTATION: &str = "use-annotation";
/// The only version that is built.
const PROTOCOL_VERSION: &str = "HTTP1";
/// A target group of pods whose port has a name has to have some number.
const NAMED_TARGET_PORT: u16 = 1;

/// Reads the backends of one Ingress and collects their target groups and
/// what is wrong with them.
pub(super) struct Backends<'a> {
    cx: &'a Context<'a>,
    ingress: &'a Ingress,
    name: ObjectName,
    /// Target groups so far.
    pub target_groups: BTreeMap<TargetGroupKey, DesiredTargetGroup>,
    /// What is wrong so far, each thing once.
    pub findings: BTreeSet<Finding>,
    scanned: BTreeSet<ObjectName>,
}

/// A value of an annotation and where it stands.
struct Stated<'a> {
    name: &'static str,
    raw: &'a str,
    on_service: Option<&'a ObjectName>,
}

impl<'a> Backends<'a> {
    /// For the backends of `ingress`.
    pub fn new(cx: &'a Context<'a>, ingress: &'a Ingress) -> Self {
        Self {
            cx,
            ingress,
            name: named(&ingress.metadata),
            target_groups: BTreeMap::new(),
            findings: BTreeSet::new(),
            scanned: BTreeSet::new(),
        }
    }

    /// What a rule with this backend does. `None` when that cannot be said;
    /// then a finding freezes the Ingress.
    pub fn action(&mut self, backend: &IngressBackend, place: &str) -> Option<Action> {
        let Some(reference) = &backend.service else {
            self.freeze(
                Reason::InvalidSpec,
                format!(
                    "{place}.backend names no Service: expected backend.service with a name and a \
                     port; change the backend, or remove the path"
                ),
            );
            return None;
        };
        let port = reference.port.as_ref();
        let spelled = match (
            port.and_then(|port| port.number),
            port.and_then(|port| port.name.as_deref()),
        ) {
            (_, Some(USE_ANNOTATION)) => {
                self.freeze(
                    Reason::NotSupportedYet,
                    format!(
                        "{place}.backend has the port name {USE_ANNOTATION}, which this version \
                         does not support yet: expected a Service with one of its ports"
                    ),
                );
                return None;
            }
            (Some(number), _) => number.to_string(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => {
                self.freeze(
                    Reason::InvalidSpec,
                    format!("{place}.backend.service has no port: expected a number or a name"),
                );
                return None;
            }
        };
        let service_name = ObjectName::new(&self.name.namespace, &reference.name);
        let cx = self.cx;
        let Some(service) = cx.snapshot.services.get(&service_name) else {
            self.find(
                Effect::Degraded,
                Reason::ServiceNotFound,
                format!(
                    "Service {service_name} does not exist: requests for it are answered with 503; \
                     create it, or change the backend at {place}"
                ),
            );
            let frozen_before = self.is_frozen();
            self.check_values(&service_name);
            if !frozen_before && self.is_frozen() {
                return None;
            }
            return Some(Action::FixedResponse {
                status_code: "503".to_owned(),
                content_type: Some("text/plain".to_owned()),
                body: Some("Backend service does not exist".to_owned()),
            });
        };
        self.scan(service, &service_name);
        let key = ownership::target_group_key(&self.name, &reference.name, &spelled);
        if !self.target_groups.contains_key(&key) {
            let made = self.target_group(&key, service, &service_name, &spelled)?;
            self.target_groups.insert(key.clone(), made);
        }
        Some(Action::Forward(TargetGroupRef::Key(key)))
    }

    fn target_group(
        &mut self,
        key: &TargetGroupKey,
        service: &Service,
        service_name: &ObjectName,
        spelled: &str,
    ) -> Option<DesiredTargetGroup> {
        let Some(port) = service_ports::find(service, spelled) else {
            let ports: Vec<_> = service_ports::all(service)
                .map(service_ports::describe)
                .collect();
            self.freeze(
                Reason::ServicePortNotFound,
                format!(
                    "Service {service_name} has no port {spelled}: expected one of its ports ({}); \
                     add the port to the Service, or change the backend",
                    ports.join(", ")
                ),
            );
            return None;
        };
        let frozen_before = self.is_frozen();
        let target_type = self
            .read(service, service_name, "target-type", values::target_type)
            .unwrap_or(self.cx.settings.default_target_type);
        let protocol = self
            .read(service, service_name, "backend-protocol", values::protocol)
            .unwrap_or(Protocol::Http);
        // Without the type it cannot be said which port is the right one.
        let group_port = if self.is_frozen() && !frozen_before {
            None
        } else {
            self.group_port(service, service_name, port, target_type)
        };
        let health_check = self.health_check(service, service_name, target_type, protocol);
        let tags = self.tags(service, service_name);
        if frozen_before || self.is_frozen() {
            return None;
        }
        let (group_port, health_check) = (group_port?, health_check?);
        let targets = match target_type {
            TargetType::Ip => targets::pods(service_name, port, self.cx.snapshot, self.cx.facts),
            TargetType::Instance => {
                let nodes = self.cx.nodes();
                if let Some(first) = nodes.unsuitable.first() {
                    let more = match nodes.unsuitable.len() - 1 {
                        0 => String::new(),
                        more => format!(", and {more} more like it"),
                    };
                    self.find(
                        Effect::Note,
                        Reason::NodeNotSuitable,
                        format!("{first}{more}; requests go to the other nodes"),
                    );
                }
                nodes.targets(group_port)
            }
        };
        let mut backend_ports: BTreeSet<u16> = match (target_type, &port.target_port) {
            // A named port has the numbers that the pods give it.
            (TargetType::Ip, Some(IntOrString::String(_))) => {
                targets.iter().map(|target| target.port).collect()
            }
            _ => BTreeSet::from([group_port]),
        };
        backend_ports.extend(health_check.port.parse::<u16>().ok());
        let identity = TargetGroupIdentity {
            cluster: &self.cx.settings.cluster_name,
            group: self.cx.group,
            ingress: &self.name,
            service: &service_name.name,
            service_uid: service.metadata.uid.as_deref().unwrap_or_default(),
            port_as_spelled: spelled,
            port: group_port,
            target_type,
            protocol,
            protocol_version: PROTOCOL_VERSION,
        };
        Some(DesiredTargetGroup {
            owner: self.name.clone(),
            service: service_name.clone(),
            target_group: TargetGroup {
                key: key.clone(),
                name: names::target_group(&identity),
                target_type,
                protocol,
                protocol_version: PROTOCOL_VERSION.to_owned(),
                port: group_port,
                health_check,
                tags: ownership::tags(
                    &self.cx.settings.cluster_name,
                    self.cx.group,
                    &key.0,
                    &self.cx.settings.default_tags,
                    &tags,
                ),
            },
            targets,
            backend_ports,
        })
    }

    /// The port of the target group: the NodePort, or the pods' port.
    fn group_port(
        &mut self,
        service: &Service,
        service_name: &ObjectName,
        port: &ServicePort,
        target_type: TargetType,
    ) -> Option<u16> {
        let spec = service.spec.as_ref();
        if spec
            .and_then(|spec| spec.ip_families.as_ref())
            .is_some_and(|families| families.iter().any(|family| family == "IPv6"))
        {
            self.freeze(
                Reason::NotSupportedYet,
                format!(
                    "Service {service_name} has the address family IPv6, which this version does \
                     not support yet: expected spec.ipFamilies to be [IPv4]"
                ),
            );
            return None;
        }
        match target_type {
            TargetType::Ip => match &port.target_port {
                Some(IntOrString::String(_)) => Some(NAMED_TARGET_PORT),
                Some(IntOrString::Int(number)) => self.fitting(*number, service_name, port),
                None => self.fitting(port.port, service_name, port),
            },
            TargetType::Instance => {
                let kind = spec.and_then(|spec| spec.type_.as_deref());
                let node_port = port.node_port.and_then(|number| u16::try_from(number).ok());
                match node_port.filter(|number| *number != 0) {
                    Some(number) if matches!(kind, Some("NodePort" | "LoadBalancer")) => {
                        Some(number)
                    }
                    _ => {
                        self.freeze(
                            Reason::ServiceNotSuitable,
                            format!(
                                "Service {service_name} is of type {} and has no NodePort for port \
                                 {}: targets of type instance expect a Service of type NodePort or \
                                 LoadBalancer; change the type, or set {PREFIX}target-type to ip",
                                kind.unwrap_or("ClusterIP"),
                                service_ports::describe(port),
                            ),
                        );
                        None
                    }
                }
            }
        }
    }

    fn fitting(
        &mut self,
        number: i32,
        service_name: &ObjectName,
        port: &ServicePort,
    ) -> Option<u16> {
        let fitting = u16::try_from(number).ok().filter(|number| *number != 0);
        if fitting.is_none() {
            self.freeze(
                Reason::ServiceNotSuitable,
                format!(
                    "Service {service_name} has no usable target port for port {}: expected a \
                     number from 1 to 65535 or a name",
                    service_ports::describe(port)
                ),
            );
        }
        fitting
    }

    /// Tags of the Ingress, and over them those of the Service.
    fn tags(&mut self, service: &Service, service_name: &ObjectName) -> Tags {
        let name = "tags";
        // Those of the Ingress are read, and refused, with its group-wide
        // values.
        let own = annotations::value(self.ingress.metadata.annotations.as_ref(), name);
        let mut tags = own
            .and_then(|raw| values::string_map(raw).ok())
            .unwrap_or_default();
        let of_service = annotations::value(service.metadata.annotations.as_ref(), name);
        if let Some(raw) = of_service {
            match values::string_map(raw) {
                Ok(more) => {
                    let place = format!(" of Service {service_name}");
                    for message in annotations::overruled_tags(self.cx.settings, &more, &place) {
                        self.find(Effect::Note, Reason::InvalidAnnotation, message);
                    }
                    tags.extend(&more);
                }
                Err(expected) => self.invalid(
                    &Stated {
                        name,
                        raw,
                        on_service: Some(service_name),
                    },
                    &expected,
                ),
            }
        }
        tags
    }

    /// The value of a backend annotation, on the Service or else on the
    /// Ingress.
    fn stated<'s>(
        &self,
        service: &'s Service,
        service_name: &'s ObjectName,
        name: &'static str,
    ) -> Option<Stated<'s>>
    where
        'a: 's,
    {
        let on = |object: Option<&'s BTreeMap<String, String>>, on_service| {
            annotations::value(object, name).map(|raw| Stated {
                name,
                raw,
                on_service,
            })
        };
        on(service.metadata.annotations.as_ref(), Some(service_name))
            .or_else(|| on(self.ingress.metadata.annotations.as_ref(), None))
    }

    /// Like `stated`, read; a value that cannot be read is a finding.
    fn read<T>(
        &mut self,
        service: &Service,
        service_name: &ObjectName,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let stated = self.stated(service, service_name, name)?;
        match parse(stated.raw) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.invalid(&stated, &expected);
                None
            }
        }
    }

    /// Looks once at all annotations of a Service for what is not built yet
    /// and for what nobody knows.
    fn scan(&mut self, service: &Service, service_name: &ObjectName) {
        if !self.scanned.insert(service_name.clone()) {
            return;
        }
        for (name, value) in annotations::ours(service.metadata.annotations.as_ref()) {
            match annotations::lookup(name) {
                Some(row) if row.on_service && row.support == Support::NotYet => self.freeze(
                    Reason::NotSupportedYet,
                    format!(
                        "annotation {PREFIX}{name} of Service {service_name} (\"{}\") is not \
                         supported in this version: remove it",
                        annotations::shown(value)
                    ),
                ),
                // Built, or read on an Ingress only.
                Some(_) => {}
                None => self.find(
                    Effect::Note,
                    Reason::InvalidAnnotation,
                    format!(
                        "annotation {PREFIX}{name} of Service {service_name} is unknown and has no \
                         effect: check its spelling, or remove it"
                    ),
                ),
            }
        }
    }

    fn invalid(&mut self, stated: &Stated<'_>, expected: &str) {
        let place = stated
            .on_service
            .map_or(String::new(), |service| format!(" of Service {service}"));
        self.freeze(
            Reason::InvalidAnnotation,
            format!(
                "annotation {PREFIX}{}{place} is \"{}\": expected {expected}; correct the value, or \
                 remove the annotation",
                stated.name,
                annotations::shown(stated.raw)
            ),
        );
    }

    fn is_frozen(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.effect == Effect::Frozen)
    }

    fn freeze(&mut self, reason: Reason, message: String) {
        self.find(Effect::Frozen, reason, message);
    }

    fn find(&mut self, effect: Effect, reason: Reason, message: String) {
        self.findings.insert(Finding {
            ingress: self.name.clone(),
            effect,
            reason,
            message,
        });
    }
}

#[cfg(test)]
mod tests;
