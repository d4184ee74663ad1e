//! What AWS and Kubernetes hold, in words. Pure.

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use sandbox_aws::resources::{
    ActionView, ConditionView, HealthCheckView, TargetGroupView, TargetView,
};

/// Operations of AWS that change nothing begin so.
const READS: [&str; 5] = ["Describe", "List", "Get", "AssumeRole", "Decode"];

/// Whether an operation of AWS changes something.
pub fn writes(action: &str) -> bool {
    !READS.iter().any(|verb| action.starts_with(verb))
}

/// A condition of a rule.
pub fn condition(condition: &ConditionView) -> String {
    let what = match (condition.field.as_str(), &condition.header) {
        ("host-header", _) => "host".to_owned(),
        ("path-pattern", _) => "path".to_owned(),
        ("http-header", Some(name)) => format!("header {name}"),
        ("http-request-method", _) => "method".to_owned(),
        ("query-string", _) => "query".to_owned(),
        ("source-ip", _) => "source".to_owned(),
        (field, _) => field.to_owned(),
    };
    let like = if condition.regex { " like" } else { "" };
    format!("{what}{like} {}", condition.values.join(" or "))
}

/// The actions of a rule; `group` says what a target group is called.
pub fn actions(actions: &[ActionView], group: impl Fn(&str) -> String) -> String {
    let all: Vec<String> = actions.iter().map(|it| action(it, &group)).collect();
    all.join(", then ")
}

fn action(action: &ActionView, group: &impl Fn(&str) -> String) -> String {
    let status = action.status.unwrap_or_default();
    match action.kind.as_str() {
        "forward" => {
            let parts = action.target_groups.as_slice();
            let names: Vec<String> = parts
                .iter()
                .map(|part| match parts.len() {
                    1 => group(&part.arn),
                    _ => format!("{} (weight {})", group(&part.arn), part.weight),
                })
                .collect();
            format!("forward to {}", names.join(" and "))
        }
        "redirect" => {
            let location = action.location.as_deref().unwrap_or_default();
            format!("redirect to {}, {status}", redirected(location))
        }
        "fixed-response" => match action.body.as_deref().filter(|body| !body.is_empty()) {
            Some(body) => format!("answer {status} \"{}\"", shortened(body, 60)),
            None => format!("answer {status}"),
        },
        other => other.to_owned(),
    }
}

/// Where a redirect leads: what stays as it is is not said.
fn redirected(location: &str) -> String {
    let kept = "://#{host}:443/#{path}?#{query}";
    if location
        .strip_prefix("HTTPS")
        .is_some_and(|rest| rest == kept)
    {
        return "HTTPS".to_owned();
    }
    let port = location
        .strip_prefix("HTTPS://#{host}:")
        .and_then(|rest| rest.strip_suffix("/#{path}?#{query}"));
    match port {
        Some(port) => format!("HTTPS on port {port}"),
        None => location.to_owned(),
    }
}

/// A text, cut where it is long.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{cut}…")
}

/// How targets are probed.
pub fn health_check(check: &HealthCheckView) -> String {
    if !check.enabled {
        return "no health check".to_owned();
    }
    let path = check.path.as_deref().unwrap_or_default();
    let port = match check.port.as_str() {
        "traffic-port" => "the port of the target".to_owned(),
        port => format!("port {port}"),
    };
    let codes = match &check.codes {
        Some(codes) => format!(", expects {codes}"),
        None => String::new(),
    };
    format!(
        "{} {path} on {port} every {} s, timeout {} s{codes}; healthy after {}, unhealthy after {} in a row",
        check.protocol,
        check.interval_seconds,
        check.timeout_seconds,
        check.healthy_threshold,
        check.unhealthy_threshold,
    )
    .replace("  ", " ")
}

/// How a target is, why, and what to look at.
pub fn target(target: &TargetView, group: &TargetGroupView, pod: Option<&str>) -> String {
    let held = if target.held {
        " Its health is held by POST /_sim/health."
    } else {
        ""
    };
    format!("{}{held}", health(target, group, pod))
}

fn health(target: &TargetView, group: &TargetGroupView, pod: Option<&str>) -> String {
    let check = &group.health_check;
    let who = pod.map_or_else(
        || format!("{}:{}", target.id, target.port),
        |pod| format!("Pod {pod}"),
    );
    let logs = pod
        .and_then(|pod| pod.split_once('/'))
        .map_or(String::new(), |(namespace, name)| {
            format!(" Its log: kubectl logs -n {namespace} {name}.")
        });
    let described = target.description.as_deref().unwrap_or_default();
    let probe = format!(
        "{} {}",
        check.protocol,
        check.path.as_deref().unwrap_or_default()
    );
    let probe = probe.trim_end();
    match (target.health.as_str(), target.reason.as_deref()) {
        ("healthy", _) => format!("Healthy: {who} answers the health check and gets requests."),
        ("unhealthy", Some("Target.ResponseCodeMismatch")) => format!(
            "Unhealthy: {who} answers the health check {probe} with another code than {} ({described}). \
             Look at what it answers there, or at the success-codes annotation.{logs}",
            check.codes.as_deref().unwrap_or("expected")
        ),
        ("unhealthy", Some("Target.Timeout")) => format!(
            "Unhealthy: {who} does not answer the health check {probe} within {} s. Look at whether it \
             listens on port {}, and at the security groups between.{logs}",
            check.timeout_seconds, target.port
        ),
        ("unhealthy", reason) => format!(
            "Unhealthy: {who} fails the health check {probe} ({}). Look at whether it listens on port \
             {}.{logs}",
            if described.is_empty() {
                reason.unwrap_or("no reason given")
            } else {
                described
            },
            target.port
        ),
        ("initial", Some("Elb.InitialHealthChecking")) => format!(
            "Not yet healthy: {who} is being probed; it takes {} good answers in a row, one every {} s.",
            check.healthy_threshold, check.interval_seconds
        ),
        ("initial", _) => format!(
            "Not yet healthy: {who} is being registered; the load balancer may still be provisioning."
        ),
        ("draining", _) => format!(
            "Draining: {who} was deregistered; it finishes its requests and gets no new ones."
        ),
        ("unused", Some("Target.NotInUse")) => format!(
            "Unused: {who} gets no requests ({}).",
            if described.is_empty() {
                "no rule leads to its target group"
            } else {
                described
            }
        ),
        ("unused", reason) => format!(
            "Unused: {who} gets no requests ({}).",
            if described.is_empty() {
                reason.unwrap_or("no reason given")
            } else {
                described
            }
        ),
        ("unavailable", _) => {
            format!("Unknown: health checks are switched off, so {who} counts as healthy.")
        }
        (health, _) => format!("{health}: {described}"),
    }
}

/// How the containers of a Pod are.
pub fn containers(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    if pod.metadata.deletion_timestamp.is_some() {
        return "terminating".to_owned();
    }
    let containers = status.and_then(|status| status.container_statuses.as_deref());
    let containers = containers.unwrap_or_default();
    if containers.is_empty() {
        let phase = status.and_then(|status| status.phase.as_deref());
        return phase.unwrap_or("Pending").to_lowercase();
    }
    let texts: Vec<String> = containers
        .iter()
        .map(|container| {
            let mut text = container
                .state
                .as_ref()
                .map_or_else(|| "unknown".to_owned(), state);
            if text == "running" && !container.ready {
                "running, not ready".clone_into(&mut text);
            }
            if container.restart_count > 0 {
                text = format!("{text}, restarts: {}", container.restart_count);
            }
            match containers.len() {
                1 => text,
                _ => format!("{}: {text}", container.name),
            }
        })
        .collect();
    texts.join("; ")
}

fn state(state: &ContainerState) -> String {
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("no reason given");
        return format!("waiting: {reason}");
    }
    if let Some(ended) = &state.terminated {
        return format!("ended with code {}", ended.exit_code);
    }
    "running".to_owned()
}

/// The state of a group in a sentence.
pub fn group_state(state: &str) -> &'static str {
    match state {
        "Serving" => "All Ingresses of the group are served as they wish.",
        "Waiting" => "The load balancer is not active yet, or a step waits for something.",
        "Degraded" => "Something of the group is not as wished; the rest is served.",
        "Failing" => "Something failed and is tried again.",
        "Held" => "Nothing is made: every Ingress of the group is frozen, or one holds it up.",
        "LeftAlone" => "Another controller's: this one touches nothing of it.",
        "Deleting" => "The group is on its way out.",
        "Unserved" => "AWS has no load balancer for the group.",
        _ => "The controller has not said yet how the group is.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_aws::resources::WeightView;

    #[test]
    fn conditions_and_actions() {
        let host = ConditionView {
            field: "host-header".to_owned(),
            values: vec!["a.com".to_owned(), "b.com".to_owned()],
            ..ConditionView::default()
        };
        assert_eq!(condition(&host), "host a.com or b.com");
        let header = ConditionView {
            field: "http-header".to_owned(),
            header: Some("X-Beta".to_owned()),
            values: vec!["^1".to_owned()],
            regex: true,
        };
        assert_eq!(condition(&header), "header X-Beta like ^1");
        let weight = |arn: &str, weight| WeightView {
            arn: arn.to_owned(),
            weight,
        };
        let mut forward = ActionView {
            kind: "forward".to_owned(),
            target_groups: vec![weight("a", 1)],
            ..ActionView::default()
        };
        let name = |arn: &str| format!("k8s-{arn}");
        let said = |action: &ActionView| actions(std::slice::from_ref(action), name);
        assert_eq!(said(&forward), "forward to k8s-a");
        forward.target_groups.push(weight("b", 3));
        assert_eq!(
            said(&forward),
            "forward to k8s-a (weight 1) and k8s-b (weight 3)"
        );
        let redirect = |location: &str| ActionView {
            kind: "redirect".to_owned(),
            status: Some(301),
            location: Some(location.to_owned()),
            ..ActionView::default()
        };
        for (location, words) in [
            ("HTTPS://#{host}:443/#{path}?#{query}", "HTTPS"),
            (
                "HTTPS://#{host}:8443/#{path}?#{query}",
                "HTTPS on port 8443",
            ),
            (
                "HTTPS://a.com:443/x?#{query}",
                "HTTPS://a.com:443/x?#{query}",
            ),
        ] {
            assert_eq!(
                said(&redirect(location)),
                format!("redirect to {words}, 301")
            );
        }
    }

    #[test]
    fn a_target_says_why_it_is_not_healthy_and_what_to_look_at() {
        let group = TargetGroupView {
            health_check: HealthCheckView {
                enabled: true,
                protocol: "HTTP".to_owned(),
                port: "traffic-port".to_owned(),
                path: Some("/healthz".to_owned()),
                interval_seconds: 15,
                timeout_seconds: 5,
                healthy_threshold: 2,
                unhealthy_threshold: 3,
                codes: Some("200".to_owned()),
            },
            ..TargetGroupView::default()
        };
        let mut view = TargetView {
            id: "10.0.0.1".to_owned(),
            port: 80,
            health: "unhealthy".to_owned(),
            reason: Some("Target.Timeout".to_owned()),
            ..TargetView::default()
        };
        assert_eq!(
            target(&view, &group, Some("shop/web-1")),
            "Unhealthy: Pod shop/web-1 does not answer the health check HTTP /healthz within 5 s. \
             Look at whether it listens on port 80, and at the security groups between. Its log: \
             kubectl logs -n shop web-1."
        );
        view.health = "draining".to_owned();
        assert!(target(&view, &group, None).starts_with("Draining: 10.0.0.1:80 "));
        assert_eq!(
            health_check(&group.health_check),
            "HTTP /healthz on the port of the target every 15 s, timeout 5 s, expects 200; healthy \
             after 2, unhealthy after 3 in a row"
        );
    }

    #[test]
    fn operations_that_write() {
        assert!(writes("CreateRule") && writes("ChangeResourceRecordSets"));
        assert!(!writes("DescribeRules") && !writes("AssumeRoleWithWebIdentity"));
    }
}
