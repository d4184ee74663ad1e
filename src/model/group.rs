//! Load balancer groups: which Ingresses share one load balancer.

use std::fmt;

use super::spec::ObjectName;

/// The key of all work: a load balancer group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupId {
    /// Named by the annotation `group.name`; spans namespaces.
    Explicit(String),
    /// One Ingress alone.
    Implicit(ObjectName),
}

impl GroupId {
    /// The finalizer that members carry while AWS may hold something for
    /// them: `group.ingress.k8s.aws/<name>` or `ingress.k8s.aws/resources`.
    pub fn finalizer(&self) -> String {
        match self {
            Self::Explicit(name) => format!("{EXPLICIT_FINALIZER_PREFIX}{name}"),
            Self::Implicit(_) => IMPLICIT_FINALIZER.to_owned(),
        }
    }
}

/// Prefix of the finalizer of an explicit group.
pub const EXPLICIT_FINALIZER_PREFIX: &str = "group.ingress.k8s.aws/";
/// Finalizer of a group of one Ingress.
pub const IMPLICIT_FINALIZER: &str = "ingress.k8s.aws/resources";

impl fmt::Display for GroupId {
    /// The value of the tag `ingress.k8s.aws/stack`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit(name) => f.write_str(name),
            Self::Implicit(ingress) => ingress.fmt(f),
        }
    }
}
