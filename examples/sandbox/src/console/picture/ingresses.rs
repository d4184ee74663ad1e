//! Ingresses in the picture: their class and group, and whether they are served.

use k8s_openapi::api::networking::v1 as networking;
use sandbox_aws::resources::LoadBalancerView;

use super::Drawing;
use crate::console::model::{Finding, Ingress, Path};
use crate::console::objects::Objects;

/// The controller whose IngressClasses are about load balancers.
pub(super) const CONTROLLER: &str = "ingress.k8s.aws/alb";
/// Prefix of annotations that the controller reads.
const PREFIX: &str = "alb.ingress.kubernetes.io/";
/// The annotation that came before `ingressClassName`.
pub(super) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// The annotation of a class that counts where none is named.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
/// What kubectl keeps in an annotation is not for people.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Drawing<'_> {
    pub(super) fn ingress(
        &self,
        name: &str,
        ingress: &networking::Ingress,
        balancer: Option<&LoadBalancerView>,
        findings: &[Finding],
    ) -> Ingress {
        let (namespace, short) = name.split_once('/').unwrap_or(("", name));
        let own: Vec<Finding> = findings
            .iter()
            .filter(|finding| finding.ingress == name)
            .cloned()
            .collect();
        let address = ingress
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref()?.first())
            .and_then(|entry| entry.hostname.clone().or_else(|| entry.ip.clone()));
        let deleting = ingress.metadata.deletion_timestamp.is_some();
        let paths = paths(ingress);
        let mut hosts: Vec<String> = Vec::new();
        for path in paths.iter().filter(|path| !path.host.is_empty()) {
            if !hosts.contains(&path.host) {
                hosts.push(path.host.clone());
            }
        }
        let (served, served_text) = match balancer {
            // A finding says more.
            Some(balancer)
                if own.is_empty()
                    && !deleting
                    && address.is_some()
                    && balancer.state == "active"
                    && has_no_rule(ingress, &paths, balancer) =>
            {
                (
                    false,
                    format!(
                        "Not served: no rule of load balancer {} is for its hosts. Look at its \
                         listen-ports annotation: a listener that redirects all to HTTPS has no \
                         rules.",
                        balancer.name
                    ),
                )
            }
            _ => served(
                address.as_deref(),
                balancer,
                &own,
                deleting,
                self.has_controller(),
            ),
        };
        let mut annotations = ingress.metadata.annotations.clone().unwrap_or_default();
        annotations.remove(LAST_APPLIED);
        Ingress {
            namespace: namespace.to_owned(),
            name: short.to_owned(),
            class: class_of(ingress, self.objects).map(str::to_owned),
            hosts,
            paths,
            served,
            served_text,
            findings: own,
            address,
            deleting,
            annotations,
        }
    }

    /// Whether a controller has written anything yet.
    fn has_controller(&self) -> bool {
        !self.statuses.is_empty() || !self.resources.load_balancers.is_empty()
    }

    pub(super) fn loose(&self) -> Vec<Ingress> {
        let ingresses = self.objects.ingresses.iter();
        let loose = ingresses.filter(|(name, _)| !self.members.contains_key(name.as_str()));
        loose
            .map(|(name, ingress)| {
                let class = class_of(ingress, self.objects);
                let mut drawn = self.ingress(name, ingress, None, &[]);
                drawn.served = false;
                drawn.served_text = match class {
                    None => "Not served: it names no IngressClass, and no class is the default. \
                             Set spec.ingressClassName to alb."
                        .to_owned(),
                    Some(class) if !self.objects.classes.contains_key(class) => format!(
                        "Not served: there is no IngressClass {class}. Create it, or name another."
                    ),
                    Some(class) => format!(
                        "Not served here: its IngressClass {class} is another controller's."
                    ),
                };
                drawn
            })
            .collect()
    }
}

/// Whether no rule can be one of the Ingress: it has hosts only, and no rule is
/// for any of them.
fn has_no_rule(ingress: &networking::Ingress, paths: &[Path], balancer: &LoadBalancerView) -> bool {
    let spec = ingress.spec.as_ref();
    let rules = balancer.listeners.iter().flat_map(|it| &it.rules);
    let conditions = rules.flat_map(|rule| &rule.conditions);
    let hosts: Vec<&String> = conditions
        .filter(|condition| condition.field == "host-header")
        .flat_map(|condition| &condition.values)
        .collect();
    let is_of = |path: &Path| {
        hosts
            .iter()
            .any(|host| host.eq_ignore_ascii_case(&path.host))
    };
    spec.is_some_and(|spec| spec.default_backend.is_none())
        && !paths.is_empty()
        && paths
            .iter()
            .all(|path| !path.host.is_empty() && !is_of(path))
}

/// Whether an Ingress is served, in a sentence.
fn served(
    address: Option<&str>,
    balancer: Option<&LoadBalancerView>,
    findings: &[Finding],
    deleting: bool,
    has_controller: bool,
) -> (bool, String) {
    let bad = findings.iter().find(|finding| finding.effect != "Note");
    let active = balancer.filter(|it| it.state == "active");
    match (active, bad) {
        _ if deleting => (
            false,
            "Being deleted: it goes when nothing of it is left in AWS.".to_owned(),
        ),
        (Some(balancer), Some(finding)) if address.is_some() => (
            finding.effect != "Frozen",
            format!(
                "{}: {} ({}). What load balancer {} has of it is served on.",
                if finding.effect == "Frozen" {
                    "Frozen"
                } else {
                    "Served in part"
                },
                finding.message,
                finding.reason,
                balancer.name
            ),
        ),
        (_, Some(finding)) => (
            false,
            format!("Not served: {} ({}).", finding.message, finding.reason),
        ),
        (Some(balancer), None) if address.is_some() => {
            (true, format!("Served by load balancer {}.", balancer.name))
        }
        (Some(balancer), None) => (
            false,
            format!(
                "Not served yet: load balancer {} is active, its address is not in the status yet.",
                balancer.name
            ),
        ),
        (None, None) if balancer.is_some() => (
            false,
            "Not served yet: the load balancer is being provisioned.".to_owned(),
        ),
        (None, None) if has_controller => (
            false,
            "Not served yet: there is no load balancer for it.".to_owned(),
        ),
        (None, None) => (
            false,
            "Not served: no controller has done anything yet. Is one running?".to_owned(),
        ),
    }
}

/// The class that an Ingress names, or the default one.
fn class_of<'a>(ingress: &'a networking::Ingress, objects: &'a Objects) -> Option<&'a str> {
    let named = ingress
        .spec
        .as_ref()
        .and_then(|it| it.ingress_class_name.as_deref());
    let annotations = ingress.metadata.annotations.as_ref();
    let old = || annotations?.get(CLASS_ANNOTATION).map(String::as_str);
    let default = || {
        let mut classes = objects.classes.iter();
        let (name, _) = classes.find(|(_, class)| {
            let annotations = class.metadata.annotations.as_ref();
            annotations.is_some_and(|it| it.get(DEFAULT_CLASS).is_some_and(|v| v == "true"))
        })?;
        Some(name.as_str())
    };
    named.or_else(old).or_else(default)
}

/// The group of an Ingress by what it says; none if it is of another class.
pub(super) fn group_of(
    name: &str,
    ingress: &networking::Ingress,
    objects: &Objects,
) -> Option<String> {
    let class = class_of(ingress, objects)?;
    let ours = match objects.classes.get(class) {
        Some(class) => class
            .spec
            .as_ref()
            .is_some_and(|spec| spec.controller.as_deref() == Some(CONTROLLER)),
        // The old annotation needs no class.
        None => class == "alb" && ingress.spec.as_ref()?.ingress_class_name.is_none(),
    };
    if !ours {
        return None;
    }
    let annotations = ingress.metadata.annotations.as_ref();
    let named = annotations.and_then(|it| it.get(&format!("{PREFIX}group.name")));
    Some(named.map_or_else(|| name.to_owned(), |named| named.trim().to_owned()))
}

pub(super) fn paths(ingress: &networking::Ingress) -> Vec<Path> {
    let Some(spec) = &ingress.spec else {
        return Vec::new();
    };
    let path = |host: &str, path: &str, backend: &networking::IngressBackend| {
        let service = backend.service.as_ref();
        let port = service.and_then(|service| service.port.as_ref());
        Path {
            host: host.to_owned(),
            path: path.to_owned(),
            service: service.map(|it| it.name.clone()).unwrap_or_default(),
            port: port
                .and_then(|port| {
                    let number = port.number.map(|number| number.to_string());
                    number.or_else(|| port.name.clone())
                })
                .unwrap_or_default(),
        }
    };
    let mut paths = Vec::new();
    for rule in spec.rules.iter().flatten() {
        let host = rule.host.as_deref().unwrap_or_default();
        for it in rule.http.iter().flat_map(|http| &http.paths) {
            let text = it.path.as_deref().unwrap_or("/");
            paths.push(path(host, text, &it.backend));
        }
    }
    if let Some(backend) = &spec.default_backend {
        paths.push(path("", "(everything else)", backend));
    }
    paths
}
