//! What is worked on: the key of the queue, of logs and of metrics.

use std::fmt;

use crate::model::group::GroupId;

/// One unit of work; never worked on twice at the same time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A load balancer group with all that belongs to it, records aside.
    Group(GroupId),
    /// The backend security group that all groups of the cluster share, and
    /// its rules on the groups of nodes and pods.
    Backend,
    /// All DNS records of the cluster.
    Dns,
}

impl Key {
    /// The kind of work, as metrics label it: `group`, `backend` or `dns`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Group(_) => "group",
            Self::Backend => "backend",
            Self::Dns => "dns",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "group {group}"),
            Self::Backend => f.write_str("backend security group"),
            Self::Dns => f.write_str("DNS records"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::ObjectName;

    #[test]
    fn a_key_reads_as_what_is_worked_on() {
        let alone = Key::Group(GroupId::Implicit(ObjectName::new("shop", "web")));
        assert_eq!(alone.to_string(), "group shop/web");
        assert_eq!(
            Key::Group(GroupId::Explicit("public".into())).to_string(),
            "group public"
        );
        assert_eq!(Key::Backend.kind(), "backend");
    }
}
