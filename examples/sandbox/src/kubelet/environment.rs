//! The environment and the arguments of a container, from its Pod alone.
//!
//! Pure. Values are literal or a field of the Pod; a ConfigMap or a Secret as
//! source is refused with a message, as nothing in the sandbox reads them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

/// What a Pod's fields can be asked for besides the Pod itself.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Address of the pod.
    pub pod: Ipv4Addr,
    /// Address of its node.
    pub node: Ipv4Addr,
}

/// The environment that a container's `env` gives, with `$(NAME)` replaced by
/// variables given before it.
///
/// # Errors
/// When a variable has a source that the sandbox does not have.
pub fn variables(
    pod: &Pod,
    container: &Container,
    addresses: Addresses,
) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    if container.env_from.iter().flatten().next().is_some() {
        return Err("envFrom is not played in the sandbox: use env with values".to_owned());
    }
    for variable in container.env.iter().flatten() {
        let value = value(pod, variable, addresses)?;
        let value = expand(&value, &variables);
        variables.insert(variable.name.clone(), value);
    }
    Ok(variables)
}

fn value(pod: &Pod, variable: &EnvVar, addresses: Addresses) -> Result<String, String> {
    let Some(source) = &variable.value_from else {
        return Ok(variable.value.clone().unwrap_or_default());
    };
    let Some(field) = &source.field_ref else {
        return Err(format!(
            "variable {}: only fields of the Pod are played as sources in the sandbox",
            variable.name
        ));
    };
    field_of(pod, &field.field_path, addresses).ok_or_else(|| {
        format!(
            "variable {}: no field {} that the sandbox knows",
            variable.name, field.field_path
        )
    })
}

fn field_of(pod: &Pod, path: &str, addresses: Addresses) -> Option<String> {
    let spec = pod.spec.as_ref();
    let text = |value: Option<&String>| Some(value.cloned().unwrap_or_default());
    match path {
        "metadata.name" => text(pod.metadata.name.as_ref()),
        "metadata.namespace" => text(pod.metadata.namespace.as_ref()),
        "metadata.uid" => text(pod.metadata.uid.as_ref()),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.podIP" | "status.podIPs" => Some(addresses.pod.to_string()),
        "status.hostIP" | "status.hostIPs" => Some(addresses.node.to_string()),
        _ => {
            let (map, key) = path.strip_suffix("']")?.split_once("['")?;
            let map = match map {
                "metadata.labels" => pod.metadata.labels.as_ref(),
                "metadata.annotations" => pod.metadata.annotations.as_ref(),
                _ => return None,
            };
            text(map.and_then(|map| map.get(key)))
        }
    }
}

/// Replaces `$(NAME)` by the variable of that name; a name that is not known
/// stays as it is, and `$$` is a dollar.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix("$(")
            .and_then(|after| after.split_once(')'))
        {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&rest[..name.len() + 3]),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const ADDRESSES: Addresses = Addresses {
        pod: Ipv4Addr::new(10, 0, 48, 11),
        node: Ipv4Addr::new(10, 0, 48, 10),
    };

    fn pod(env: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "env": env}]},
        }))
        .unwrap()
    }

    fn variables_of(pod: &Pod) -> Result<BTreeMap<String, String>, String> {
        variables(pod, &pod.spec.as_ref().unwrap().containers[0], ADDRESSES)
    }

    #[test]
    fn values_fields_and_references() {
        let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
        let pod = pod(json!([
            {"name": "A", "value": "1"},
            {"name": "NAME", "valueFrom": field("metadata.name")},
            {"name": "IP", "valueFrom": field("status.podIP")},
            {"name": "APP", "valueFrom": field("metadata.labels['app']")},
            {"name": "NONE", "valueFrom": field("metadata.annotations['a']")},
            {"name": "ALL", "value": "$(NAME)/$(A) $$(A) $(B) $C"},
        ]));
        let expected = [
            ("A", "1"),
            ("ALL", "web-1/1 $(A) $(B) $C"),
            ("APP", "web"),
            ("IP", "10.0.48.11"),
            ("NAME", "web-1"),
            ("NONE", ""),
        ];
        let variables = variables_of(&pod).unwrap();
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(variables, expected);
    }

    #[test]
    fn a_source_that_is_not_played_is_said() {
        let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        let error = variables_of(&pod(json!([{"name": "A", "valueFrom": secret}]))).unwrap_err();
        assert!(error.contains("variable A"), "{error}");
        let error = variables_of(&pod(json!([
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.odd"}}},
        ])))
        .unwrap_err();
        assert!(error.contains("spec.odd"), "{error}");
    }
}
