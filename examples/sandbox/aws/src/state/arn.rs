//! ARNs of Elastic Load Balancing: how those of listeners and rules lead back
//! to what they hang on.

/// What an Elastic Load Balancing ARN names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `loadbalancer/app/NAME/ID`.
    LoadBalancer,
    /// `listener/app/NAME/LBID/ID`.
    Listener,
    /// `listener-rule/app/NAME/LBID/LISTENERID/ID`.
    Rule,
    /// `targetgroup/NAME/ID`.
    TargetGroup,
    /// `truststore/NAME/ID`.
    TrustStore,
}

/// Tells what an ARN names; `None` when it is no ARN of Elastic Load Balancing.
pub fn kind(arn: &str) -> Option<Kind> {
    let (prefix, path) = split(arn)?;
    if prefix.split(':').nth(2) != Some("elasticloadbalancing") {
        return None;
    }
    let parts: Vec<&str> = path.split('/').collect();
    match (parts.first().copied()?, parts.len()) {
        ("loadbalancer", 4) => Some(Kind::LoadBalancer),
        ("listener", 5) => Some(Kind::Listener),
        ("listener-rule", 6) => Some(Kind::Rule),
        ("targetgroup", 3) => Some(Kind::TargetGroup),
        ("truststore", 3) => Some(Kind::TrustStore),
        _ => None,
    }
}

/// Whether the ARN of a load balancer, listener or rule is one of a Network
/// Load Balancer.
pub fn is_network(arn: &str) -> bool {
    split(arn).is_some_and(|(_, path)| path.split('/').nth(1) == Some("net"))
}

/// The ARN of the load balancer of a listener or rule.
pub fn load_balancer_of(arn: &str) -> Option<String> {
    let (prefix, path) = split(arn)?;
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [
            "listener" | "listener-rule" | "loadbalancer",
            family,
            name,
            id,
            ..,
        ] => Some(format!("{prefix}:loadbalancer/{family}/{name}/{id}")),
        _ => None,
    }
}

/// The ARN of the listener of a rule.
pub fn listener_of(rule: &str) -> Option<String> {
    let (prefix, path) = split(rule)?;
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["listener-rule", family, name, id, listener, _] => {
            Some(format!("{prefix}:listener/{family}/{name}/{id}/{listener}"))
        }
        _ => None,
    }
}

/// Splits `arn:P:S:R:A:path` before its path.
fn split(arn: &str) -> Option<(&str, &str)> {
    if !arn.starts_with("arn:") {
        return None;
    }
    arn.match_indices(':')
        .nth(4)
        .map(|(at, _)| (&arn[..at], &arn[at + 1..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PREFIX: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012";

    #[test]
    fn rules_lead_to_listener_and_load_balancer() {
        let rule = format!(
            "{PREFIX}:listener-rule/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"
        );
        assert_eq!(kind(&rule), Some(Kind::Rule));
        let listener = listener_of(&rule).unwrap();
        assert_eq!(kind(&listener), Some(Kind::Listener));
        let balancer = load_balancer_of(&listener).unwrap();
        assert_eq!(kind(&balancer), Some(Kind::LoadBalancer));
        assert_eq!(Some(balancer), load_balancer_of(&rule));
    }

    #[test]
    fn strangers_are_told_apart() {
        assert_eq!(
            kind("arn:aws:acm:us-east-1:123456789012:certificate/x"),
            None
        );
        assert_eq!(kind("sg-1"), None);
        assert_eq!(kind(&format!("{PREFIX}:loadbalancer/web")), None);
    }
}
