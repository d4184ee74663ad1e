//! Names of AWS objects, byte for byte as aws-load-balancer-controller forms
//! them, so that either controller finds and keeps what the other made.
//!
//! Every name is a readable part cut to a fixed length and the first ten hex
//! digits of a SHA-256 over what makes the object unique. The inputs of a hash
//! are joined without separators.

use sha2::{Digest, Sha256};

use super::group::GroupId;
use super::spec::{ObjectName, Protocol, Scheme, TargetType};

/// Name of a group's load balancer; at most 32 characters. The scheme is part
/// of the hash, so that a load balancer of another scheme can be made beside
/// it.
pub fn load_balancer(cluster: &str, group: &GroupId, scheme: Scheme) -> String {
    let hash = hash(&[cluster, &group.to_string(), scheme.as_str()]);
    readable(group, &hash)
}

/// Name of a group's managed frontend security group: as the load balancer's,
/// without the scheme.
pub fn frontend_security_group(cluster: &str, group: &GroupId) -> String {
    let hash = hash(&[cluster, &group.to_string()]);
    readable(group, &hash)
}

/// Name of the security group that all load balancers of a cluster share; at
/// most 255 characters.
pub fn backend_security_group(cluster: &str) -> String {
    format!("k8s-traffic-{}-{}", cut(cluster, 232), hash(&[cluster]))
}

/// What makes a target group's name unique.
#[derive(Clone, Copy, Debug)]
pub struct TargetGroupIdentity<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// The load balancer group.
    pub group: &'a GroupId,
    /// The Ingress that refers to the Service.
    pub ingress: &'a ObjectName,
    /// The Service; in the namespace of the Ingress.
    pub service: &'a str,
    /// `metadata.uid` of the Service.
    pub service_uid: &'a str,
    /// The Service's port as the Ingress spells it.
    pub port_as_spelled: &'a str,
    /// Port of the target group.
    pub port: u16,
    /// What the targets are.
    pub target_type: TargetType,
    /// Protocol to the targets.
    pub protocol: Protocol,
    /// `HTTP1`, `HTTP2` or `GRPC`.
    pub protocol_version: &'a str,
}

/// Name of a target group; at most 32 characters. It changes with everything
/// that can only be changed by replacing the group.
pub fn target_group(id: &TargetGroupIdentity<'_>) -> String {
    let hash = hash(&[
        id.cluster,
        &id.group.to_string(),
        &id.ingress.namespace,
        &id.ingress.name,
        id.service_uid,
        id.port_as_spelled,
        &id.port.to_string(),
        id.target_type.as_str(),
        id.protocol.as_str(),
        id.protocol_version,
    ]);
    format!(
        "k8s-{}-{}-{hash}",
        cut(&id.ingress.namespace, 8),
        cut(id.service, 8)
    )
}

fn readable(group: &GroupId, hash: &str) -> String {
    match group {
        GroupId::Explicit(name) => format!("k8s-{}-{hash}", cut(name, 17)),
        GroupId::Implicit(ingress) => format!(
            "k8s-{}-{}-{hash}",
            cut(&ingress.namespace, 8),
            cut(&ingress.name, 8)
        ),
    }
}

/// The first characters of a text after all but ASCII letters and digits were
/// dropped.
fn cut(text: &str, length: usize) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(length)
        .collect()
}

/// Ten hex digits of the SHA-256 of some text in parts.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.as_bytes());
    }
    let mut digits = hex::encode(sha.finalize());
    digits.truncate(10);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finance() -> GroupId {
        GroupId::Explicit("finance".into())
    }

    fn ring() -> GroupId {
        GroupId::Implicit(ObjectName::new("jeweller", "ring"))
    }

    // The expected names were recorded from aws-load-balancer-controller with
    // a cluster called `harbor`.

    #[test]
    fn explicit_groups_are_named_by_their_name() {
        assert_eq!(
            load_balancer("harbor", &finance(), Scheme::Internal),
            "k8s-finance-4f74a2081a"
        );
        assert_eq!(
            frontend_security_group("harbor", &finance()),
            "k8s-finance-d798a9f512"
        );
    }

    #[test]
    fn implicit_groups_are_named_by_namespace_and_ingress() {
        assert_eq!(
            load_balancer("harbor", &ring(), Scheme::InternetFacing),
            "k8s-jeweller-ring-96e7f551a2"
        );
        assert_eq!(
            frontend_security_group("harbor", &ring()),
            "k8s-jeweller-ring-c63ae2534f"
        );
    }

    #[test]
    fn the_backend_group_is_named_by_the_cluster() {
        assert_eq!(
            backend_security_group("harbor"),
            "k8s-traffic-harbor-c1d64b2d4c"
        );
    }

    #[test]
    fn names_hold_only_letters_and_digits_and_fit() {
        let group = GroupId::Explicit("very-long.group-name-of-a-team".into());
        let name = load_balancer("harbor", &group, Scheme::Internal);
        assert!(name.starts_with("k8s-verylonggroupname-"));
        assert_eq!(name.len(), 32);
        let ingress = ObjectName::new("acct-payable-eu", "invoice-service");
        let name = target_group(&TargetGroupIdentity {
            cluster: "harbor",
            group: &group,
            ingress: &ingress,
            service: "invoice-service",
            service_uid: "u",
            port_as_spelled: "http",
            port: 8080,
            target_type: TargetType::Ip,
            protocol: Protocol::Http,
            protocol_version: "HTTP1",
        });
        assert!(name.starts_with("k8s-acctpaya-invoices-"), "{name}");
        assert_eq!(name.len(), 32);
    }

    #[test]
    fn a_target_groups_name_follows_what_replaces_it() {
        let ingress = ObjectName::new("jeweller", "ring");
        let group = ring();
        let id = TargetGroupIdentity {
            cluster: "harbor",
            group: &group,
            ingress: &ingress,
            service: "ring",
            service_uid: "0001",
            port_as_spelled: "80",
            port: 8080,
            target_type: TargetType::Ip,
            protocol: Protocol::Http,
            protocol_version: "HTTP1",
        };
        let text = "harborjeweller/ringjewellerring0001808080ipHTTPHTTP1";
        let expected = &hex::encode(Sha256::digest(text))[..10];
        assert_eq!(target_group(&id), format!("k8s-jeweller-ring-{expected}"));
        let other = TargetGroupIdentity {
            target_type: TargetType::Instance,
            ..id
        };
        assert_ne!(target_group(&id), target_group(&other));
    }
}
