//! What became of a request, as lines of text.

use sandbox_aws::resources::LoadBalancerView;

use super::{Found, Site, Told};

/// Characters of a body that are told.
const BODY: usize = 2_000;

/// What was asked, for the text.
pub(super) struct Asking {
    pub(super) method: String,
    pub(super) site: Site,
    pub(super) found: Found,
}

/// Lines for a terminal: the way of the request, then the answer.
pub(super) fn text(asking: &Asking, balancer: &LoadBalancerView, told: &Told) -> Vec<String> {
    let Asking {
        method,
        site,
        found,
    } = asking;
    let mut lines = vec![format!("{method} {}", site.url())];
    let mut line = |name: &str, text: String| lines.push(format!("{name:<14} {text}"));
    let group = told.group.as_deref();
    let group = group.map_or(String::new(), |group| format!(", group {group}"));
    line("load balancer", format!("{}{group}", balancer.name));
    if *found == Found::ByRule {
        line(
            "",
            format!(
                "(no record leads {} there yet; one of its rules names it)",
                site.host
            ),
        );
    }
    let protocol = if site.secure { "HTTPS" } else { "HTTP" };
    line("listener", format!("{protocol} {}", site.port));
    for rule in &told.rules {
        let word = if rule.matched {
            "matches"
        } else {
            "does not match"
        };
        line(
            &format!("rule {}", rule.priority),
            format!("{word}: {}", rule.why),
        );
    }
    if !told.action.is_empty() {
        line("action", told.action.clone());
    }
    if let Some(target) = &told.target {
        let pod = target.pod.as_deref();
        let pod = pod.map_or(String::new(), |pod| format!(", Pod {pod}"));
        let why = told.why.as_deref();
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        line("target", format!("{}:{}{pod}{why}", target.id, target.port));
    }
    let status = match told.status {
        Some(status) => status.to_string(),
        None => "none".to_owned(),
    };
    match &told.reason {
        Some(reason) => line("answer", format!("{status}, not by a target: {reason}")),
        None => line("answer", format!("{status}, by the target")),
    }
    lines.push(String::new());
    for (name, value) in &told.headers {
        lines.push(format!("{name}: {value}"));
    }
    if !told.body.is_empty() {
        lines.push(String::new());
        let body: String = told.body.chars().take(BODY).collect();
        lines.extend(body.lines().map(str::to_owned));
        if body.len() < told.body.len() {
            lines.push("…".to_owned());
        }
    }
    lines
}
