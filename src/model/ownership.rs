//! Whose a thing is: tags of AWS objects and TXT records in Route 53.
//!
//! # Tags
//!
//! | On | Key | Value |
//! |---|---|---|
//! | all that a group owns | `elbv2.k8s.aws/cluster` | name of the cluster |
//! | all that a group owns | `ingress.k8s.aws/stack` | group name, or `namespace/ingress` |
//! | load balancer | `ingress.k8s.aws/resource` | `LoadBalancer` |
//! | frontend security group | `ingress.k8s.aws/resource` | `ManagedLBSecurityGroup` |
//! | target group | `ingress.k8s.aws/resource` | `namespace/ingress-service:port` |
//! | listener | `ingress.k8s.aws/resource` | `port` |
//! | rule | `ingress.k8s.aws/resource` | `port:priority` |
//! | shared backend security group | `elbv2.k8s.aws/cluster` | name of the cluster |
//! | shared backend security group | `elbv2.k8s.aws/resource` | `backend-sg` |
//!
//! These are the tags of aws-load-balancer-controller, to the letter. On one
//! key, tracking tags win over the default tags of the settings, those over a
//! Service's annotation and that over an Ingress's.
//!
//! All other tags of an object of ours are removed, except those that
//! [`is_kept`] names: AWS's own, and those of the first controller of this
//! line, by which its objects may still be found. On the shared backend group
//! every foreign tag stays.
//!
//! # Rules of security groups that are not ours
//!
//! A rule on the security group of a node or pod is ours when its description
//! is [`BACKEND_RULE_DESCRIPTION`]. No other rule is touched.
//!
//! # Records
//!
//! An alias record is ours when a TXT record beside it, written in the same
//! batch, names our owner id (`albc/<cluster>`) and the group as resource. The
//! TXT's name is `_albc-a.<host>`; `*` is written `_wildcard` there. Its text
//! follows external-dns's grammar, so that its tools and people read it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::group::GroupId;
use super::spec::{ObjectName, Tags, TargetGroupKey};

/// Key of the tag that names the cluster.
pub const CLUSTER_TAG: &str = "elbv2.k8s.aws/cluster";
/// Key of the tag that names the load balancer group.
pub const STACK_TAG: &str = "ingress.k8s.aws/stack";
/// Key of the tag that says what an object is within its group.
pub const RESOURCE_TAG: &str = "ingress.k8s.aws/resource";
/// Key of the tag that marks what the cluster shares.
pub const SHARED_RESOURCE_TAG: &str = "elbv2.k8s.aws/resource";
/// Whether a tag says whose an object is.
pub fn is_mark(key: &str) -> bool {
    matches!(
        key,
        CLUSTER_TAG | STACK_TAG | RESOURCE_TAG | SHARED_RESOURCE_TAG
    )
}

/// `RESOURCE_TAG` of a load balancer.
pub const LOAD_BALANCER_RESOURCE: &str = "LoadBalancer";
/// `RESOURCE_TAG` of a managed frontend security group.
pub const FRONTEND_RESOURCE: &str = "ManagedLBSecurityGroup";
/// `SHARED_RESOURCE_TAG` of the shared backend security group.
pub const BACKEND_RESOURCE: &str = "backend-sg";
/// Description of the managed frontend security group.
pub const FRONTEND_DESCRIPTION: &str = "[k8s] Managed SecurityGroup for LoadBalancer";
/// Description of the shared backend security group.
pub const BACKEND_DESCRIPTION: &str = "[k8s] Shared Backend SecurityGroup for LoadBalancer";
/// Description of the rules that let load balancers reach nodes and pods.
pub const BACKEND_RULE_DESCRIPTION: &str = "elbv2.k8s.aws/targetGroupBinding=shared";

/// Keys that the first controller of this line wrote.
const LEGACY_KEYS: [&str; 6] = [
    "kubernetes.io/cluster-name",
    "kubernetes.io/namespace",
    "kubernetes.io/ingress-name",
    "kubernetes.io/service-name",
    "kubernetes.io/service-port",
    "ingress.k8s.aws/cluster",
];
const LEGACY_CLUSTER_PREFIX: &str = "kubernetes.io/cluster/";

/// All tags of an object of a group. `annotated` are those that annotations
/// ask for, `defaults` those of the settings.
pub fn tags(
    cluster: &str,
    group: &GroupId,
    resource: &str,
    defaults: &Tags,
    annotated: &Tags,
) -> Tags {
    let mut tags = annotated.clone();
    tags.extend(defaults);
    tags.extend([
        (CLUSTER_TAG, cluster),
        (STACK_TAG, &group.to_string()),
        (RESOURCE_TAG, resource),
    ]);
    tags
}

/// What stands over a tag that an annotation asks for, in words, where
/// [`tags`] writes another value.
pub fn overruled(cluster: &str, defaults: &Tags, key: &str, value: &str) -> Option<String> {
    match key {
        CLUSTER_TAG if value == cluster => None,
        CLUSTER_TAG | STACK_TAG | RESOURCE_TAG => {
            Some("the controller marks with this tag whose a thing is".to_owned())
        }
        _ => {
            let default = defaults.get(key).filter(|default| *default != value)?;
            Some(format!(
                "--default-tags gives it the value \"{default}\" everywhere"
            ))
        }
    }
}

/// All tags of the shared backend security group.
pub fn backend_tags(cluster: &str, defaults: &Tags) -> Tags {
    let mut tags = defaults.clone();
    tags.extend([
        (CLUSTER_TAG, cluster),
        (SHARED_RESOURCE_TAG, BACKEND_RESOURCE),
    ]);
    tags
}

/// `RESOURCE_TAG` of a rule.
pub fn rule_resource(port: u16, priority: u32) -> String {
    format!("{port}:{priority}")
}

/// `RESOURCE_TAG` of a target group. `port` is spelled as in the Ingress.
pub fn target_group_key(ingress: &ObjectName, service: &str, port: &str) -> TargetGroupKey {
    TargetGroupKey(format!("{ingress}-{service}:{port}"))
}

/// Whether a target group may have been made for an Ingress. The key alone
/// does not say where the Ingress's name ends, so the answer can be yes for
/// two Ingresses (`shop/web` and `shop/web-api`).
pub fn may_belong_to(key: &TargetGroupKey, ingress: &ObjectName) -> bool {
    key.0
        .strip_prefix(&ingress.to_string())
        .is_some_and(|rest| rest.starts_with('-'))
}

/// Whether a tag stays on an object of ours though it is not desired.
pub fn is_kept(key: &str) -> bool {
    key.starts_with("aws:") || key.starts_with(LEGACY_CLUSTER_PREFIX) || LEGACY_KEYS.contains(&key)
}

/// The group whose tags these are; `None` when they are another cluster's or
/// nobody's. The group is the value of `ingress.k8s.aws/stack`: with a slash
/// it is an Ingress alone, for group names have none.
pub fn group_of_tags(cluster: &str, tags: &Tags) -> Option<GroupId> {
    if tags.get(CLUSTER_TAG) != Some(cluster) {
        return None;
    }
    let stack = tags.get(STACK_TAG)?;
    Some(match stack.split_once('/') {
        Some((namespace, name)) => GroupId::Implicit(ObjectName::new(namespace, name)),
        None => GroupId::Explicit(stack.to_owned()),
    })
}

/// Our owner id in TXT records.
pub fn record_owner(cluster: &str) -> String {
    format!("albc/{cluster}")
}

/// What a TXT record calls a group: `ingress/<namespace>/<name>` or
/// `ingressgroup/<name>`. One that would not fit into a TXT string is cut and
/// given a hash.
pub fn record_resource(group: &GroupId) -> String {
    let resource = match group {
        GroupId::Explicit(name) => format!("ingressgroup/{name}"),
        GroupId::Implicit(ingress) => format!("ingress/{ingress}"),
    };
    if resource.len() <= RESOURCE_LIMIT {
        return resource;
    }
    let hash = hex::encode(Sha256::digest(&resource));
    let readable: String = resource.chars().take(RESOURCE_LIMIT - 11).collect();
    format!("{readable}~{}", &hash[..10])
}

/// With the longest owner id and without the cluster's UID the whole text
/// stays below 255 bytes.
const RESOURCE_LIMIT: usize = 120;
/// Longest string of a TXT record, in bytes.
const TXT_LIMIT: usize = 255;

/// Name of the TXT record that says whose the A record of a host is. `host` is
/// in lower case, without final dot, `*.` first for a wildcard.
pub fn txt_name(host: &str) -> String {
    match host.strip_prefix("*.") {
        Some(rest) => format!("_albc-a._wildcard.{rest}"),
        None => format!("_albc-a.{host}"),
    }
}

/// Text of the TXT record, in the quotes that Route 53 wants. `cluster_uid` is
/// the UID of the namespace `kube-system`; it is left out where the text would
/// be too long.
pub fn txt_value(cluster: &str, cluster_uid: Option<&str>, group: &GroupId) -> String {
    let owner = record_owner(cluster);
    let resource = record_resource(group);
    let text = |uid: Option<&str>| {
        let uid = uid.map_or(String::new(), |uid| {
            format!(",external-dns/cluster-uid={uid}")
        });
        format!(
            "heritage=external-dns{uid},external-dns/owner={owner},external-dns/resource={resource}"
        )
    };
    let long = text(cluster_uid);
    if long.len() <= TXT_LIMIT {
        format!("\"{long}\"")
    } else {
        format!("\"{}\"", text(None))
    }
}

/// What a TXT record says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxtOwner {
    /// Owner id.
    pub owner: String,
    /// Resource, where one is named.
    pub resource: Option<String>,
    /// UID of the cluster, where one is named.
    pub cluster_uid: Option<String>,
}

impl TxtOwner {
    /// Reads a TXT value as Route 53 holds it; `None` where it is no owner
    /// record.
    pub fn parse(value: &str) -> Option<Self> {
        let text = value.trim().trim_matches('"');
        let mut labels = BTreeMap::new();
        for label in text.split(',') {
            let (key, value) = label.split_once('=')?;
            labels.insert(key, value);
        }
        if labels.get("heritage") != Some(&"external-dns") {
            return None;
        }
        let label = |key: &str| labels.get(key).map(|value| (*value).to_owned());
        Some(Self {
            owner: label("external-dns/owner")?,
            resource: label("external-dns/resource"),
            cluster_uid: label("external-dns/cluster-uid"),
        })
    }

    /// Whether the record is this cluster's and this group's.
    pub fn is_of(&self, cluster: &str, group: &GroupId) -> bool {
        self.is_ours(cluster) && self.resource.as_deref() == Some(&record_resource(group))
    }

    /// Whether the record is this cluster's, whatever its group.
    pub fn is_ours(&self, cluster: &str) -> bool {
        self.owner == record_owner(cluster)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)] // a test may fail loudly
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn tracking_tags_win_over_defaults_and_those_over_annotations() {
        let group = GroupId::Explicit("finance".into());
        let tags = tags(
            "harbor",
            &group,
            "80:1",
            &map(&[("env", "prod"), ("owner", "platform")]),
            &map(&[("owner", "x"), ("dept", "fin"), (CLUSTER_TAG, "rival")]),
        );
        assert_eq!(
            tags,
            map(&[
                ("dept", "fin"),
                (CLUSTER_TAG, "harbor"),
                ("env", "prod"),
                (RESOURCE_TAG, "80:1"),
                (STACK_TAG, "finance"),
                ("owner", "platform"),
            ])
        );
    }

    #[test]
    fn foreign_tags_that_stay() {
        assert!(is_kept("aws:cloudformation:stack-name"));
        assert!(is_kept("kubernetes.io/cluster/harbor"));
        assert!(is_kept("kubernetes.io/service-name"));
        assert!(!is_kept("team"));
        assert!(!is_kept(STACK_TAG));
    }

    #[test]
    fn a_group_is_read_back_from_its_tags() {
        let implicit = GroupId::Implicit(ObjectName::new("shop", "web"));
        let explicit = GroupId::Explicit("finance".into());
        for group in [implicit, explicit] {
            let tags = tags("harbor", &group, "x", &Tags::new(), &Tags::new());
            assert_eq!(group_of_tags("harbor", &tags), Some(group));
            assert_eq!(group_of_tags("rival", &tags), None);
        }
    }

    #[test]
    fn a_target_group_may_be_of_two_ingresses() {
        let key = target_group_key(&ObjectName::new("shop", "web-api"), "cart", "80");
        assert_eq!(key.0, "shop/web-api-cart:80");
        assert!(may_belong_to(&key, &ObjectName::new("shop", "web-api")));
        assert!(may_belong_to(&key, &ObjectName::new("shop", "web")));
        assert!(!may_belong_to(&key, &ObjectName::new("shop", "we")));
    }

    #[test]
    fn txt_names() {
        assert_eq!(txt_name("app.example.com"), "_albc-a.app.example.com");
        assert_eq!(txt_name("*.example.com"), "_albc-a._wildcard.example.com");
    }

    #[test]
    fn txt_text_is_sorted_quoted_and_read_back() {
        let group = GroupId::Implicit(ObjectName::new("shop", "web"));
        let text = txt_value("prod-1", Some("0f4c"), &group);
        assert_eq!(
            text,
            "\"heritage=external-dns,external-dns/cluster-uid=0f4c,\
             external-dns/owner=albc/prod-1,external-dns/resource=ingress/shop/web\""
        );
        let read = TxtOwner::parse(&text).expect("an owner record");
        assert!(read.is_of("prod-1", &group));
        assert!(!read.is_of("prod-2", &group));
        assert!(!read.is_of("prod-1", &GroupId::Explicit("web".into())));
        assert_eq!(read.cluster_uid.as_deref(), Some("0f4c"));
    }

    #[test]
    fn other_texts_are_no_owner_records() {
        assert_eq!(TxtOwner::parse("\"v=spf1 -all\""), None);
        assert_eq!(TxtOwner::parse("\"hello\""), None);
        assert_eq!(
            TxtOwner::parse("\"heritage=external-dns,external-dns/owner=default\"")
                .and_then(|owner| owner.resource),
            None
        );
    }

    #[test]
    fn long_names_still_fit_one_txt_string() {
        let group = GroupId::Implicit(ObjectName::new("n".repeat(63), "i".repeat(253)));
        let cluster = "c".repeat(59);
        let text = txt_value(&cluster, Some(&"u".repeat(36)), &group);
        assert!(text.len() <= TXT_LIMIT + 2, "{}", text.len());
        let read = TxtOwner::parse(&text).expect("an owner record");
        assert!(read.is_of(&cluster, &group));
        let neighbour = GroupId::Implicit(ObjectName::new("n".repeat(63), "i".repeat(252)));
        assert!(!read.is_of(&cluster, &neighbour));
    }
}
