//! The group that the budgets are stated for, and what is counted of it.

use sandbox_aws::journal::Call;

use crate::support::{Controller, Scene};

/// Its Services.
pub const SERVICES: [&str; 5] = ["s0", "s1", "s2", "s3", "s4"];

/// One Ingress: a redirect and HTTPS, `rules` rules, five target groups.
/// `more` follows the certificate.
pub fn ingress(rules: &[usize], more: &str) -> String {
    let path = |rule: &usize| {
        format!(
            "      - path: /p{rule:02}
        pathType: Prefix
        backend: {{service: {{name: {}, port: {{number: 80}}}}}}
",
            SERVICES[rule % SERVICES.len()]
        )
    };
    let paths: String = rules.iter().map(path).collect();
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: {{ns}}
  annotations:
    kubernetes.io/ingress.class: '{{class}}'
    alb.ingress.kubernetes.io/target-type: ip
    alb.ingress.kubernetes.io/scheme: internet-facing
    alb.ingress.kubernetes.io/listen-ports: '[{{\"HTTP\": 80}}, {{\"HTTPS\": 443}}]'
    alb.ingress.kubernetes.io/ssl-redirect: '443'
    alb.ingress.kubernetes.io/certificate-arn: '{{certificate}}{more}'
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
{paths}"
    )
}

/// Ten rules.
pub const TEN: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// Makes the Services with two pods each.
pub async fn services(scene: &Scene, namespace: &str) {
    for (index, service) in SERVICES.iter().enumerate() {
        let addresses = [
            format!("10.0.48.{}", 20 + index),
            format!("10.0.64.{}", 20 + index),
        ];
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        scene.service(namespace, service, &addresses).await;
    }
}

/// What a budget counts a call under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A group's own.
    Group,
    /// A record's.
    Dns,
    /// Once for each process or cluster.
    Once,
    /// Asking for what AWS takes time for: not counted.
    Polling,
    /// Resource tags of rules that moved: counted apart.
    MovedTags,
}

/// Tells what a call is counted under. `shared` are the ids of the security
/// groups that all groups share.
pub fn of(call: &Call, shared: &[String]) -> Of {
    let has = |prefix: &str| call.parameters.keys().any(|key| key.starts_with(prefix));
    let value = |key: &str| call.parameters.get(key).map(String::as_str);
    match (call.service.as_str(), call.action.as_str()) {
        ("route53", "GetChange") => Of::Polling,
        ("route53", action) if action.starts_with("ListHostedZones") => Of::Once,
        ("route53", _) => Of::Dns,
        ("elasticloadbalancing", "DescribeLoadBalancers") if has("LoadBalancerArns") => Of::Polling,
        ("elasticloadbalancing", "AddTags")
            if call.parameters.values().all(|value| {
                !value.contains(":loadbalancer/") && !value.contains(":targetgroup/")
            }) =>
        {
            Of::MovedTags
        }
        ("ec2", action) if action.starts_with("Describe") => Of::Once,
        ("ec2", "CreateSecurityGroup")
            if value("GroupName").is_some_and(|name| name.starts_with("k8s-traffic-")) =>
        {
            Of::Once
        }
        ("ec2", _) if value("GroupId").is_some_and(|id| shared.iter().any(|s| s == id)) => Of::Once,
        _ => Of::Group,
    }
}

/// Ids of the security groups that all groups share: the nodes' and the
/// backend group.
pub fn shared(scene: &Scene) -> Vec<String> {
    let backend = scene.account(|state| {
        let groups = state.security_groups.iter();
        let backend = groups.filter(|(_, group)| group.name.starts_with("k8s-traffic-"));
        backend.map(|(id, _)| id.clone()).collect::<Vec<_>>()
    });
    let mut shared = vec![scene.ids.node_security_group.clone()];
    shared.extend(backend);
    shared
}

/// The calls that are counted under one budget, as `action` in order.
pub fn counted(scene: &Scene, shared: &[String], what: Of) -> Vec<String> {
    let calls = scene.calls();
    let counted = calls.iter().filter(|call| of(call, shared) == what);
    counted.map(|call| call.action.clone()).collect()
}

/// The longest chain of calls of which each began after the one before had
/// been answered.
pub fn depth(calls: &[&Call]) -> usize {
    let mut depths: Vec<usize> = Vec::new();
    for call in calls {
        let earlier = calls.iter().zip(&depths);
        let before = earlier.filter(|(earlier, _)| earlier.ended <= call.started);
        depths.push(1 + before.map(|(_, depth)| *depth).max().unwrap_or(0));
    }
    depths.into_iter().max().unwrap_or(0)
}

/// Writes to Kubernetes that a controller has counted.
pub async fn kubernetes_writes(controller: &Controller) -> u64 {
    let (_, text) = controller.page("/metrics").await.unwrap();
    let values = text
        .lines()
        .filter(|line| line.starts_with("alb_ingress_kubernetes_writes_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}
