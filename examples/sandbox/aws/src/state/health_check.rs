//! Health checks of Route 53, as far as record sets refer to them: they are
//! kept and counted, but check nothing.

use super::{Answer, Refusal, State, route53::invalid};

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// A UUID.
    pub id: String,
    /// Unique text of the caller.
    pub caller_reference: String,
    /// Settings.
    pub config: HealthCheckConfig,
}

/// The settings of a health check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheckConfig {
    /// `HTTP`, `TCP`, `CALCULATED`, …
    pub kind: String,
    /// Address of the endpoint.
    pub ip_address: Option<String>,
    /// Port of the endpoint.
    pub port: Option<u16>,
    /// Path of HTTP requests.
    pub resource_path: Option<String>,
    /// Name of the endpoint.
    pub domain_name: Option<String>,
    /// Text that has to be in the answer.
    pub search_string: Option<String>,
    /// Seconds, 10 or 30.
    pub request_interval: Option<u32>,
    /// Checks in a row.
    pub failure_threshold: Option<u32>,
    /// Whether latency is measured.
    pub measure_latency: Option<bool>,
    /// Whether the result is inverted.
    pub inverted: Option<bool>,
    /// Whether it is off.
    pub disabled: Option<bool>,
    /// Healthy children that a calculated check needs.
    pub health_threshold: Option<u32>,
    /// Children of a calculated check.
    pub children: Vec<String>,
    /// Whether TLS sends the name.
    pub enable_sni: Option<bool>,
    /// Regions of the checkers.
    pub regions: Vec<String>,
}

impl HealthCheckConfig {
    /// The settings with Route 53's defaults, or `InvalidInput`.
    fn checked(mut self) -> Answer<Self> {
        let endpoint = self.ip_address.is_some() || self.domain_name.is_some();
        match self.kind.as_str() {
            "CALCULATED" => {
                if endpoint || self.port.is_some() || self.search_string.is_some() {
                    return Err(invalid("A calculated health check has no endpoint"));
                }
                if self.health_threshold.is_none() {
                    return Err(invalid("A calculated health check needs HealthThreshold"));
                }
                return Ok(self);
            }
            "CLOUDWATCH_METRIC" | "RECOVERY_CONTROL" => {
                return Err(invalid("What the health check refers to does not exist"));
            }
            _ => {}
        }
        if !endpoint {
            return Err(invalid(
                "A health check needs IPAddress or FullyQualifiedDomainName",
            ));
        }
        if !self.children.is_empty() || self.health_threshold.is_some() {
            return Err(invalid("Only a calculated health check has children"));
        }
        if self.kind.ends_with("_STR_MATCH") != self.search_string.is_some() {
            return Err(invalid(
                "SearchString belongs to the types HTTP_STR_MATCH and HTTPS_STR_MATCH",
            ));
        }
        let port = match self.kind.as_str() {
            "TCP" => None,
            kind if kind.starts_with("HTTPS") => Some(443),
            _ => Some(80),
        };
        self.port = self.port.or(port);
        if self.port.is_none() {
            return Err(invalid("A health check of type TCP needs a port"));
        }
        if self.kind == "TCP" && self.resource_path.is_some() {
            return Err(invalid("A health check of type TCP has no path"));
        }
        if !matches!(self.request_interval, None | Some(10 | 30)) {
            return Err(invalid("RequestInterval must be 10 or 30"));
        }
        self.request_interval.get_or_insert(30);
        self.failure_threshold.get_or_insert(3);
        self.measure_latency.get_or_insert(false);
        self.inverted.get_or_insert(false);
        self.disabled.get_or_insert(false);
        self.enable_sni
            .get_or_insert(self.kind.starts_with("HTTPS"));
        Ok(self)
    }
}

impl State {
    /// A health check by id, or `NoSuchHealthCheck`.
    pub fn health_check(&self, id: &str) -> Answer<&HealthCheck> {
        self.health_checks.get(id).ok_or_else(|| {
            Refusal::new(
                "NoSuchHealthCheck",
                format!("No health check exists with the specified ID: {id}"),
            )
        })
    }

    /// Whether a record set may refer to a health check.
    pub(super) fn check_health_check(&self, id: &str) -> Answer<()> {
        self.health_check(id).map(|_| ())
    }

    /// CreateHealthCheck: answers the id. A repeat of the same call answers what
    /// is there; a reference that was used otherwise is refused for ever.
    pub fn create_health_check(
        &mut self,
        caller_reference: &str,
        config: HealthCheckConfig,
    ) -> Answer<String> {
        let config = config.checked()?;
        let taken = |text: &str| {
            Refusal::new(
                "HealthCheckAlreadyExists",
                format!("A health check with the caller reference {caller_reference} {text}"),
            )
        };
        let before = self
            .health_checks
            .values()
            .find(|check| check.caller_reference == caller_reference);
        match before {
            Some(before) if before.config == config => return Ok(before.id.clone()),
            Some(_) => return Err(taken("already exists")),
            None => {}
        }
        let reference = format!("healthcheck {caller_reference}");
        if self.caller_references.contains(&reference) {
            return Err(taken("was deleted"));
        }
        for child in &config.children {
            self.health_check(child)
                .map_err(|refusal| invalid(refusal.message))?;
        }
        if self.health_checks.len() >= self.quotas.limit("health-checks") {
            return Err(Refusal::new(
                "TooManyHealthChecks",
                "The maximum number of health checks has been reached",
            ));
        }
        let id = self.ids.uuid();
        self.caller_references.insert(reference);
        let check = HealthCheck {
            id: id.clone(),
            caller_reference: caller_reference.to_owned(),
            config,
        };
        self.health_checks.insert(id.clone(), check);
        Ok(id)
    }

    /// DeleteHealthCheck: what refers to it goes on naming it.
    pub fn delete_health_check(&mut self, id: &str) -> Answer<()> {
        self.health_check(id)?;
        self.health_checks.remove(id);
        self.tags.remove(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    fn http() -> HealthCheckConfig {
        HealthCheckConfig {
            kind: "HTTP".to_owned(),
            ip_address: Some("192.0.2.1".to_owned()),
            ..HealthCheckConfig::default()
        }
    }

    #[test]
    fn a_reference_makes_one_health_check() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let id = state.create_health_check("a", http()).unwrap();
        assert_eq!(state.create_health_check("a", http()).unwrap(), id);
        assert_eq!(state.health_check(&id).unwrap().config.port, Some(80));
        let other = HealthCheckConfig {
            port: Some(8080),
            ..http()
        };
        let refusal = state.create_health_check("a", other).unwrap_err();
        assert_eq!(refusal.code, "HealthCheckAlreadyExists");
        state.delete_health_check(&id).unwrap();
        let refusal = state.create_health_check("a", http()).unwrap_err();
        assert_eq!(refusal.code, "HealthCheckAlreadyExists");
        let refusal = state.delete_health_check(&id).unwrap_err();
        assert_eq!(refusal.code, "NoSuchHealthCheck");
    }

    #[test]
    fn settings_fit_the_type() {
        let kind = |kind: &str| HealthCheckConfig {
            kind: kind.to_owned(),
            ..http()
        };
        for wrong in [
            HealthCheckConfig {
                ip_address: None,
                ..http()
            },
            HealthCheckConfig {
                request_interval: Some(20),
                ..http()
            },
            kind("TCP"),
            kind("HTTP_STR_MATCH"),
            kind("CALCULATED"),
            kind("CLOUDWATCH_METRIC"),
        ] {
            assert_eq!(wrong.checked().unwrap_err().code, "InvalidInput");
        }
        let https = kind("HTTPS").checked().unwrap();
        assert_eq!((https.port, https.enable_sni), (Some(443), Some(true)));
    }
}
