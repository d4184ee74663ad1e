//! Every annotation `alb.ingress.kubernetes.io/…`, in one table: which this
//! version knows, which it does not know yet, where each may stand.
//!
//! An annotation that is not built yet is never ignored: it freezes the
//! Ingress, since serving it without what it asks for (a login page, an
//! allow-list) could be worse than not serving it.

use std::collections::BTreeMap;

use super::ownership;
use super::settings::Settings;
use super::spec::Tags;

/// Prefix of all annotations of this controller.
pub const PREFIX: &str = "alb.ingress.kubernetes.io/";
/// The annotation that selects a class the old way.
pub const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Whether this version does what an annotation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Built,
    /// It does not yet; whoever uses it is frozen.
    NotYet,
}

/// What a value decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What all members of the group share: the load balancer, its listeners,
    /// its security groups.
    Group,
    /// The Ingress's own rules.
    Rules,
    /// The target groups of a backend; may stand on the Service too, where it
    /// wins over the Ingress's.
    Backend,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// Name without `PREFIX`; one that ends in `.` stands for all that begin
    /// so.
    pub name: &'static str,
    /// What it decides about.
    pub reach: Reach,
    /// Whether it is also read on a Service.
    pub on_service: bool,
    /// Whether this version does it.
    pub support: Support,
    /// What it may say, for people; empty where it is not built yet.
    pub value: &'static str,
    /// What counts where nobody says anything, for people.
    pub default: &'static str,
}

const fn built(
    name: &'static str,
    reach: Reach,
    on_service: bool,
    value: &'static str,
    default: &'static str,
) -> Annotation {
    Annotation {
        name,
        reach,
        on_service,
        support: Support::Built,
        value,
        default,
    }
}

const fn later(name: &'static str, reach: Reach, on_service: bool) -> Annotation {
    Annotation {
        name,
        reach,
        on_service,
        support: Support::NotYet,
        value: "",
        default: "",
    }
}

/// A group-wide annotation that is built.
const fn group(name: &'static str, value: &'static str, default: &'static str) -> Annotation {
    built(name, Reach::Group, false, value, default)
}

/// A group-wide annotation that is not built yet.
const fn later_group(name: &'static str) -> Annotation {
    later(name, Reach::Group, false)
}

/// An annotation about rules that is not built yet.
const fn later_rules(name: &'static str) -> Annotation {
    later(name, Reach::Rules, false)
}

/// The login annotations: about rules, read on Services too, not built yet.
const fn later_auth(name: &'static str) -> Annotation {
    later(name, Reach::Rules, true)
}

/// A backend annotation that is built.
const fn backend(name: &'static str, value: &'static str, default: &'static str) -> Annotation {
    built(name, Reach::Backend, true, value, default)
}

/// A backend annotation that is not built yet.
const fn later_backend(name: &'static str) -> Annotation {
    later(name, Reach::Backend, true)
}

/// The table.
pub const ANNOTATIONS: &[Annotation] = &[
    // Group and identity.
    group(
        "group.name",
        "name of a group; its Ingresses share one load balancer",
        "each Ingress alone",
    ),
    group(
        "group.order",
        "-1000 to 1000; place of its rules in the group",
        "`0`",
    ),
    later_group("load-balancer-name"),
    built(
        "tags",
        Reach::Group,
        true,
        "`key=value`, comma separated; of all that is made for it",
        "none",
    ),
    // Load balancer.
    group(
        "scheme",
        "`internal`, `internet-facing`",
        "`--default-load-balancer-scheme`",
    ),
    later_group("ip-address-type"),
    group(
        "subnets",
        "ids or `Name` tags, comma separated, one for each zone",
        "by role tags",
    ),
    later_group("customer-owned-ipv4-pool"),
    later_group("load-balancer-attributes"),
    later_group("minimum-load-balancer-capacity"),
    later_group("ipam-ipv4-pool-id"),
    group(
        "security-groups",
        "ids or `Name` tags, comma separated",
        "one made for the load balancer",
    ),
    group(
        "manage-backend-security-group-rules",
        "`true`, `false`; with `security-groups`: whether nodes and pods are opened too",
        "`false`",
    ),
    later_group("wafv2-acl-arn"),
    later_group("wafv2-acl-name"),
    later_group("waf-acl-id"),
    later_group("web-acl-id"),
    later_group("shield-advanced-protection"),
    later_group("dry-run-plan"),
    // Listeners.
    group(
        "listen-ports",
        "JSON, as `[{\"HTTP\": 80}, {\"HTTPS\": 443}]`",
        "HTTP 80; HTTPS 443 with `certificate-arn`",
    ),
    group(
        "ssl-redirect",
        "an HTTPS port; HTTP listeners redirect to it",
        "no redirect",
    ),
    group(
        "certificate-arn",
        "ARNs, comma separated; the first is the default",
        "none",
    ),
    group(
        "ssl-policy",
        "name of a security policy",
        "`--default-ssl-policy`",
    ),
    later_group("inbound-cidrs"),
    later_group("security-group-prefix-lists"),
    later_group("mutual-authentication"),
    later_group("listener-attributes."),
    later_group("create-acm-cert"),
    later_group("acm-pca-arn"),
    // Rules and login.
    later_rules("actions."),
    later_rules("conditions."),
    later_rules("transforms."),
    later_rules("use-regex-path-match"),
    later_rules("jwt-validation"),
    later_auth("auth-type"),
    later_auth("auth-idp-cognito"),
    later_auth("auth-idp-oidc"),
    later_auth("auth-on-unauthenticated-request"),
    later_auth("auth-scope"),
    later_auth("auth-session-cookie"),
    later_auth("auth-session-timeout"),
    // Target groups.
    backend("target-type", "`instance`, `ip`", "`--default-target-type`"),
    later_backend("target-node-labels"),
    backend("backend-protocol", "`HTTP`, `HTTPS`", "`HTTP`"),
    later_backend("backend-protocol-version"),
    later_backend("target-group-attributes"),
    backend(
        "healthcheck-port",
        "`traffic-port`, a number, or the name of a Service port",
        "`traffic-port`",
    ),
    backend(
        "healthcheck-protocol",
        "`HTTP`, `HTTPS`",
        "as `backend-protocol`",
    ),
    backend("healthcheck-path", "a path", "`/`"),
    backend("healthcheck-interval-seconds", "seconds", "`15`"),
    backend("healthcheck-timeout-seconds", "seconds", "`5`"),
    backend("healthy-threshold-count", "checks in a row", "`2`"),
    backend("unhealthy-threshold-count", "checks in a row", "`2`"),
    backend("success-codes", "as `200`, `200,201`, `200-299`", "`200`"),
    later_backend("multi-cluster-target-group"),
    later_backend("target-control-port."),
    // A network load balancer in front.
    later_group("enable-frontend-nlb"),
    later_group("frontend-nlb-scheme"),
    later_group("frontend-nlb-subnets"),
    later_group("frontend-nlb-security-groups"),
    later_group("frontend-nlb-listener-port-mapping"),
    later_group("frontend-nlb-eip-allocations"),
    later_group("frontend-nlb-healthcheck-port"),
    later_group("frontend-nlb-healthcheck-protocol"),
    later_group("frontend-nlb-healthcheck-path"),
    later_group("frontend-nlb-healthcheck-interval-seconds"),
    later_group("frontend-nlb-healthcheck-timeout-seconds"),
    later_group("frontend-nlb-healthcheck-healthy-threshold-count"),
    later_group("frontend-nlb-healthcheck-unhealthy-threshold-count"),
    later_group("frontend-nlb-healthcheck-success-codes"),
    later_group("frontend-nlb-attributes"),
    later_group("frontend-nlb-tags"),
];

/// The annotations that are built, as a table for the README, in Markdown.
pub fn annotations_markdown() -> String {
    let rows = ANNOTATIONS
        .iter()
        .filter(|row| row.support == Support::Built)
        .map(|row| {
            let reach = match row.reach {
                Reach::Group => "group",
                Reach::Rules => "rules",
                Reach::Backend => "backend",
            };
            let service = if row.on_service { "yes" } else { "" };
            let (name, value, default) = (row.name, row.value, row.default);
            format!("| `{name}` | {value} | {default} | {reach} | {service} |\n")
        });
    let head = "| Annotation | Value | Default | Decides about | On a Service too |\n\
                |---|---|---|---|---|\n";
    std::iter::once(head.to_owned()).chain(rows).collect()
}

/// The row of an annotation, by its name without `PREFIX`.
pub fn lookup(name: &str) -> Option<&'static Annotation> {
    ANNOTATIONS.iter().find(|row| {
        if row.name.ends_with('.') {
            name.starts_with(row.name)
        } else {
            name == row.name
        }
    })
}

/// The annotations of this controller on an object, by name without
/// `PREFIX`.
pub fn ours(annotations: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = (&str, &str)> {
    annotations
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value.as_str())))
}

/// The value of one annotation, by its name without `PREFIX`.
pub fn value<'a>(annotations: Option<&'a BTreeMap<String, String>>, name: &str) -> Option<&'a str> {
    ours(annotations).find_map(|(key, value)| (key == name).then_some(value))
}

/// A value as messages show it: in full, or its beginning where it is long.
pub(super) fn shown(value: &str) -> String {
    const LONGEST: usize = 100;
    if value.chars().count() <= LONGEST {
        value.to_owned()
    } else {
        let beginning: String = value.chars().take(LONGEST).collect();
        format!("{beginning}...")
    }
}

/// What is to be said about tags that have no effect. `place` is behind the
/// annotation's name.
pub(super) fn overruled_tags(settings: &Settings, tags: &Tags, place: &str) -> Vec<String> {
    let defaults = &settings.default_tags;
    let why = |(key, value): (&str, &str)| {
        let why = ownership::overruled(&settings.cluster_name, defaults, key, value)?;
        Some(format!(
            "annotation {PREFIX}tags{place} gives {key} the value \"{}\", which has no effect: \
             {why}; expected other keys, so take this one out",
            shown(value)
        ))
    };
    tags.iter().filter_map(why).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_these_are_built() {
        let built: Vec<_> = ANNOTATIONS
            .iter()
            .filter(|row| row.support == Support::Built)
            .map(|row| row.name)
            .collect();
        assert_eq!(
            built,
            [
                "group.name",
                "group.order",
                "tags",
                "scheme",
                "subnets",
                "security-groups",
                "manage-backend-security-group-rules",
                "listen-ports",
                "ssl-redirect",
                "certificate-arn",
                "ssl-policy",
                "target-type",
                "backend-protocol",
                "healthcheck-port",
                "healthcheck-protocol",
                "healthcheck-path",
                "healthcheck-interval-seconds",
                "healthcheck-timeout-seconds",
                "healthy-threshold-count",
                "unhealthy-threshold-count",
                "success-codes",
            ]
        );
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        assert_eq!(shown("internal"), "internal");
        assert_eq!(shown(&"é".repeat(101)), "é".repeat(100) + "...");
    }

    #[test]
    fn names_stand_once() {
        let mut names: Vec<_> = ANNOTATIONS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn open_ended_names_are_found_by_their_beginning() {
        let name = |name| lookup(name).map(|row| row.name);
        assert_eq!(name("actions.pay"), Some("actions."));
        assert_eq!(
            name("listener-attributes.HTTP-80"),
            Some("listener-attributes.")
        );
        assert_eq!(name("actions"), None);
        assert_eq!(name("scheme"), Some("scheme"));
        assert_eq!(name("schema"), None);
    }
}
