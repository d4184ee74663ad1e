//! Settings that decisions depend on, as plain values.

use std::collections::BTreeSet;

use super::spec::{Scheme, Tags, TargetType};

/// The pure part of the settings: `config` makes it from flags and
/// environment, tests write it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Part of names and tags; cannot change without new resources.
    pub cluster_name: String,
    /// The VPC.
    pub vpc_id: String,
    /// Value of the annotation `kubernetes.io/ingress.class` that is ours.
    pub ingress_class: String,
    /// Scheme where no annotation states one.
    pub default_scheme: Scheme,
    /// Target type where no annotation states one.
    pub default_target_type: TargetType,
    /// Security policy of HTTPS listeners where no annotation states one.
    pub default_ssl_policy: String,
    /// Tags of every resource.
    pub default_tags: Tags,
    /// DNS settings; `None` switches records off.
    pub dns: Option<DnsSettings>,
}

impl Settings {
    /// The settings of a controller that was given nothing but the name of
    /// the cluster and the VPC; no records.
    pub fn new(cluster_name: impl Into<String>, vpc_id: impl Into<String>) -> Self {
        Self {
            cluster_name: cluster_name.into(),
            vpc_id: vpc_id.into(),
            ingress_class: DEFAULT_INGRESS_CLASS.to_owned(),
            default_scheme: Scheme::Internal,
            default_target_type: TargetType::Instance,
            default_ssl_policy: DEFAULT_SSL_POLICY.to_owned(),
            default_tags: Tags::new(),
            dns: None,
        }
    }
}

/// Value of the class annotation that is ours where no flag says otherwise.
pub const DEFAULT_INGRESS_CLASS: &str = "alb";
/// Security policy of HTTPS listeners where neither an annotation nor a flag
/// states one.
pub const DEFAULT_SSL_POLICY: &str = "ELBSecurityPolicy-2016-08";

/// Which records are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// Only hosts that are one of these or end in `.` and one of these; empty
    /// allows all.
    pub domain_filter: BTreeSet<String>,
    /// Only zones with these ids; empty allows all.
    pub zone_id_filter: BTreeSet<String>,
}
