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

/// Which records are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// Only hosts that are one of these or end in `.` and one of these; empty
    /// allows all.
    pub domain_filter: BTreeSet<String>,
    /// Only zones with these ids; empty allows all.
    pub zone_id_filter: BTreeSet<String>,
}
