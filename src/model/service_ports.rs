//! Ports of Services, by the number or the name that Ingresses and
//! annotations use.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::services::{Service, ServicePort};
use super::spec::TargetType;
use super::values::{self, Expected};

/// Health check port that is the port of each target.
pub(super) const TRAFFIC_PORT: &str = "traffic-port";

/// The port that a backend means: by number, else by name.
pub(super) fn find<'s>(service: &'s Service, spelled: &str) -> Option<&'s ServicePort> {
    match spelled.parse::<i32>() {
        Ok(number) => service.ports.iter().find(|port| port.port == number),
        Err(_) => named(service, spelled),
    }
}

fn named<'s>(service: &'s Service, name: &str) -> Option<&'s ServicePort> {
    let mut ports = service.ports.iter();
    ports.find(|port| port.name.as_deref() == Some(name))
}

/// A port in words.
pub(super) fn describe(port: &ServicePort) -> String {
    match &port.name {
        Some(name) => format!("{} \"{name}\"", port.port),
        None => port.port.to_string(),
    }
}

/// `traffic-port`, a number, or the name of a Service port as what targets of
/// this type listen on.
pub(super) fn health_check_port(
    raw: &str,
    service: &Service,
    target_type: TargetType,
) -> Result<String, Expected> {
    if raw == TRAFFIC_PORT || values::port(raw).is_ok() {
        return Ok(raw.to_owned());
    }
    let expected = || {
        let ports = service.ports.iter();
        let names: Vec<_> = ports.filter_map(|port| port.name.as_deref()).collect();
        format!(
            "\"{TRAFFIC_PORT}\", a port number from 1 to 65535, or the name of a port of the \
             Service (it has: {})",
            if names.is_empty() {
                "none with a name".to_owned()
            } else {
                names.join(", ")
            }
        )
    };
    let port = named(service, raw).ok_or_else(expected)?;
    let number = match (target_type, &port.target_port) {
        (TargetType::Instance, _) => port.node_port,
        (TargetType::Ip, Some(IntOrString::Int(number))) => Some(*number),
        (TargetType::Ip, None) => Some(port.port),
        (TargetType::Ip, Some(IntOrString::String(name))) => {
            return Err(format!(
                "the name of a port whose targetPort is a number, for targets of type ip \
                 (it is the name \"{name}\")"
            ));
        }
    };
    number
        .filter(|number| *number > 0)
        .map(|number| number.to_string())
        .ok_or_else(|| "a port of the Service that has a NodePort".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;
    use crate::model::snapshot::snapshot_from_yaml;

    fn service() -> Service {
        let snapshot = snapshot_from_yaml(
            r"
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  ports:
  - {name: http, port: 80, targetPort: web, nodePort: 30080}
  - {name: probe, port: 81, targetPort: 9102, nodePort: 30081}
  - {name: plain, port: 82}
",
        )
        .unwrap();
        let service = snapshot.services.values().next().unwrap();
        Service::clone(service)
    }

    #[test]
    fn by_number_and_by_name() {
        let service = service();
        assert_eq!(find(&service, "81").map(describe).unwrap(), "81 \"probe\"");
        assert_eq!(find(&service, "http").map(|port| port.port), Some(80));
        assert_eq!(find(&service, "30080"), None);
        assert_eq!(find(&service, "web"), None);
    }

    #[test]
    fn health_check_ports() {
        let service = service();
        let port = |raw, kind| health_check_port(raw, &service, kind);
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(port(TRAFFIC_PORT, TargetType::Ip), ok(TRAFFIC_PORT));
        assert_eq!(port("8081", TargetType::Ip), ok("8081"));
        assert_eq!(port("probe", TargetType::Ip), ok("9102"));
        assert_eq!(port("probe", TargetType::Instance), ok("30081"));
        assert_eq!(port("plain", TargetType::Ip), ok("82"));
        assert!(port("plain", TargetType::Instance).is_err());
        assert!(port("http", TargetType::Ip).is_err_and(|e| e.contains("targetPort is a number")));
        assert!(port("ghost", TargetType::Ip).is_err_and(|e| e.contains("http, probe, plain")));
        assert!(port("70000", TargetType::Ip).is_err());
    }
}
