//! From hosts and paths of an Ingress to conditions of rules, in the order in
//! which the load balancer tries them.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressSpec,
};

use super::spec::Condition;

/// One path of an Ingress: what it matches and where it leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PathRule<'a> {
    /// Conditions in the order host, path; at least one.
    pub conditions: Vec<Condition>,
    /// Where requests go.
    pub backend: &'a IngressBackend,
    /// The place in the manifest, for messages.
    pub place: String,
}

/// All paths of an Ingress in order: rules as written; within one rule all
/// `Exact` paths, then `Prefix` paths from long to short, then the rest. Hosts
/// are never reordered. What is wrong with paths is the second part.
pub(super) fn paths(ingress: &Ingress) -> (Vec<PathRule<'_>>, Vec<String>) {
    let mut paths = Vec::new();
    let mut problems = Vec::new();
    for (index, rule) in rules(ingress.spec.as_ref()).enumerate() {
        let Some(http) = &rule.http else { continue };
        let mut sorted: Vec<_> = http.paths.iter().enumerate().collect();
        // A stable sort: within a kind the order of the manifest stays.
        sorted.sort_by_key(|(_, path)| rank(path));
        for (path_index, path) in sorted {
            let place = format!("spec.rules[{index}].http.paths[{path_index}]");
            match patterns(path) {
                Ok(patterns) => paths.push(PathRule {
                    conditions: conditions(rule.host.as_deref(), patterns),
                    backend: &path.backend,
                    place,
                }),
                Err(problem) => problems.push(format!("{place}: {problem}")),
            }
        }
    }
    (paths, problems)
}

/// The rules of a spec.
pub(super) fn rules(spec: Option<&IngressSpec>) -> impl Iterator<Item = &IngressRule> {
    spec.into_iter()
        .flat_map(|spec| spec.rules.iter().flatten())
}

fn rank(path: &HTTPIngressPath) -> (u8, std::cmp::Reverse<usize>) {
    let length = path.path.as_deref().unwrap_or_default().len();
    match path.path_type.as_str() {
        "Exact" => (0, std::cmp::Reverse(0)),
        "Prefix" => (1, std::cmp::Reverse(length)),
        _ => (2, std::cmp::Reverse(0)),
    }
}

/// Values of the path condition; none for a path that matches everything.
fn patterns(path: &HTTPIngressPath) -> Result<Vec<String>, String> {
    let text = path.path.as_deref().unwrap_or_default();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let plain = |kind: &str| {
        if text.contains(['*', '?']) {
            Err(format!(
                "path \"{text}\" of type {kind} has a wildcard: expected a path without \"*\" and \
                 \"?\"; use pathType ImplementationSpecific for wildcards"
            ))
        } else {
            Ok(())
        }
    };
    match path.path_type.as_str() {
        "Exact" => {
            plain("Exact")?;
            Ok(vec![text.to_owned()])
        }
        "Prefix" => {
            plain("Prefix")?;
            if text == "/" {
                return Ok(vec!["/*".to_owned()]);
            }
            let base = text.strip_suffix('/').unwrap_or(text);
            Ok(vec![base.to_owned(), format!("{base}/*")])
        }
        "ImplementationSpecific" | "" => Ok(vec![text.to_owned()]),
        other => Err(format!(
            "pathType is \"{other}\": expected Exact, Prefix or ImplementationSpecific"
        )),
    }
}

fn conditions(host: Option<&str>, patterns: Vec<String>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        conditions.push(Condition::HostHeader(vec![host.to_owned()]));
    }
    if !patterns.is_empty() {
        conditions.push(Condition::PathPattern(patterns));
    }
    if conditions.is_empty() {
        conditions.push(Condition::PathPattern(vec!["/*".to_owned()]));
    }
    conditions
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;
    use crate::model::snapshot::snapshot_from_yaml;

    fn texts(rules: &str) -> (Vec<String>, Vec<String>) {
        let yaml = format!(
            "kind: Ingress\nmetadata: {{name: web, namespace: shop}}\nspec:\n  rules: {rules}\n"
        );
        let snapshot = snapshot_from_yaml(&yaml).unwrap();
        let ingress = snapshot.ingresses.values().next().unwrap().clone();
        let (paths, problems) = paths(&ingress);
        let texts = paths
            .iter()
            .map(|path| {
                let conditions: Vec<_> = path.conditions.iter().map(ToString::to_string).collect();
                conditions.join(", ")
            })
            .collect();
        (texts, problems)
    }

    fn path(path: &str, kind: &str) -> String {
        format!(
            "{{path: '{path}', pathType: {kind}, backend: {{service: {{name: a, port: {{number: 80}}}}}}}}"
        )
    }

    #[test]
    fn exact_comes_before_prefix_and_long_before_short() {
        let rules = format!(
            "[{{host: a.b, http: {{paths: [{}, {}, {}, {}, {}]}}}}]",
            path("/img/*", "ImplementationSpecific"),
            path("/", "Prefix"),
            path("/cart", "Prefix"),
            path("/x", "Exact"),
            path("/a", "Exact"),
        );
        assert_eq!(
            texts(&rules).0,
            [
                "host a.b, path /x",
                "host a.b, path /a",
                "host a.b, path /cart|/cart/*",
                "host a.b, path /*",
                "host a.b, path /img/*",
            ]
        );
    }

    #[test]
    fn hosts_and_rules_keep_their_order() {
        let rules = format!(
            "[{{host: '*.b', http: {{paths: [{}]}}}}, {{host: empty.b}}, {{host: a.b, http: {{paths: [{}]}}}}]",
            path("/", "Prefix"),
            path("/x", "Exact"),
        );
        assert_eq!(texts(&rules).0, ["host *.b, path /*", "host a.b, path /x"]);
    }

    #[test]
    fn one_trailing_slash_of_a_prefix_is_dropped() {
        let rules = format!(
            "[{{http: {{paths: [{}, {}]}}}}]",
            path("/foo/", "Prefix"),
            path("/foo//", "Prefix"),
        );
        assert_eq!(texts(&rules).0, ["path /foo/|/foo//*", "path /foo|/foo/*"]);
    }

    #[test]
    fn a_rule_without_host_and_path_matches_everything() {
        let rules = format!(
            "[{{http: {{paths: [{}]}}}}]",
            path("", "ImplementationSpecific")
        );
        assert_eq!(texts(&rules).0, ["path /*"]);
        let rules = format!(
            "[{{host: a.b, http: {{paths: [{}]}}}}]",
            path("", "ImplementationSpecific")
        );
        assert_eq!(texts(&rules).0, ["host a.b"]);
    }

    #[test]
    fn wildcards_are_refused_where_kubernetes_has_none() {
        let rules = format!(
            "[{{http: {{paths: [{}, {}, {}, {}]}}}}]",
            path("/a*", "Exact"),
            path("/b?", "Prefix"),
            path("/c", "Suffix"),
            path("/d", "Exact"),
        );
        let (texts, problems) = texts(&rules);
        assert_eq!(texts, ["path /d"]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("spec.rules[0].http.paths[0]: path \"/a*\""));
    }
}
