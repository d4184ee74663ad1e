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
    /// Counts the settings' changes, from 1.
    pub version: u64,
}

/// What UpdateHealthCheck changes; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheckChange {
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
    /// Checks in a row.
    pub failure_threshold: Option<u32>,
    /// Whether the result is inverted.
    pub inverted: Option<bool>,
    /// Whether it is off.
    pub disabled: Option<bool>,
    /// Healthy children that a calculated check needs.
    pub health_threshold: Option<u32>,
    /// Children of a calculated check.
    pub children: Option<Vec<String>>,
    /// Whether TLS sends the name.
    pub enable_sni: Option<bool>,
    /// Regions of the checkers.
    pub regions: Option<Vec<String>>,
    /// Names of settings that go back to their default.
    pub reset: Vec<String>,
}

impl HealthCheckChange {
    /// The settings after the change, or `InvalidInput`.
    fn applied(self, before: &HealthCheckConfig) -> Answer<HealthCheckConfig> {
        if self.ip_address.is_some() && before.ip_address.is_none() {
            return Err(invalid(
                "A health check that was created without an IPAddress cannot get one",
            ));
        }
        let given = [
            (self.domain_name.is_some(), "FullyQualifiedDomainName"),
            (self.regions.is_some(), "Regions"),
            (self.resource_path.is_some(), "ResourcePath"),
            (self.children.is_some(), "ChildHealthChecks"),
        ];
        for (given, name) in given {
            if given && self.reset.iter().any(|reset| reset == name) {
                return Err(invalid(format!(
                    "{name} cannot be set and reset in one request"
                )));
            }
        }
        let mut after = before.clone();
        for name in &self.reset {
            match name.as_str() {
                "FullyQualifiedDomainName" => after.domain_name = None,
                "Regions" => after.regions.clear(),
                "ResourcePath" => after.resource_path = None,
                "ChildHealthChecks" => after.children.clear(),
                _ => {}
            }
        }
        after.ip_address = self.ip_address.or(after.ip_address);
        after.port = self.port.or(after.port);
        after.resource_path = self.resource_path.or(after.resource_path);
        after.domain_name = self.domain_name.or(after.domain_name);
        after.search_string = self.search_string.or(after.search_string);
        after.failure_threshold = self.failure_threshold.or(after.failure_threshold);
        after.inverted = self.inverted.or(after.inverted);
        after.disabled = self.disabled.or(after.disabled);
        after.health_threshold = self.health_threshold.or(after.health_threshold);
        after.children = self.children.unwrap_or(after.children);
        after.enable_sni = self.enable_sni.or(after.enable_sni);
        after.regions = self.regions.unwrap_or(after.regions);
        after.checked()
    }
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
        self.check_children(&config)?;
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
            version: 1,
        };
        self.health_checks.insert(id.clone(), check);
        Ok(id)
    }

    fn check_children(&self, config: &HealthCheckConfig) -> Answer<()> {
        for child in &config.children {
            self.health_check(child)
                .map_err(|refusal| invalid(refusal.message))?;
        }
        Ok(())
    }

    /// UpdateHealthCheck: of the version that the caller means, if it says one.
    pub fn update_health_check(
        &mut self,
        id: &str,
        version: Option<u64>,
        change: HealthCheckChange,
    ) -> Answer<()> {
        let check = self.health_check(id)?;
        if version.is_some_and(|version| version != check.version) {
            return Err(Refusal::new(
                "HealthCheckVersionMismatch",
                format!("The health check {id} is at version {}", check.version),
            ));
        }
        let config = change.applied(&check.config)?;
        self.check_children(&config)?;
        if config.children.iter().any(|child| child == id) {
            return Err(invalid("A health check cannot be its own child"));
        }
        if let Some(check) = self.health_checks.get_mut(id) {
            check.config = config;
            check.version += 1;
        }
        Ok(())
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
    fn an_update_changes_what_it_names() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let first = HealthCheckConfig {
            resource_path: Some("/a".to_owned()),
            ..http()
        };
        let id = state.create_health_check("a", first).unwrap();
        let change = HealthCheckChange {
            port: Some(81),
            reset: vec!["ResourcePath".to_owned()],
            ..HealthCheckChange::default()
        };
        state
            .update_health_check(&id, Some(1), change.clone())
            .unwrap();
        let check = state.health_check(&id).unwrap().clone();
        assert_eq!((check.version, check.config.port), (2, Some(81)));
        assert_eq!(check.config.resource_path, None);
        assert_eq!(check.config.ip_address.as_deref(), Some("192.0.2.1"));
        let refusal = state.update_health_check(&id, Some(1), change).unwrap_err();
        assert_eq!(refusal.code, "HealthCheckVersionMismatch");
        for wrong in [
            HealthCheckChange {
                search_string: Some("x".to_owned()),
                ..HealthCheckChange::default()
            },
            HealthCheckChange {
                children: Some(vec![id.clone()]),
                ..HealthCheckChange::default()
            },
            HealthCheckChange {
                resource_path: Some("/b".to_owned()),
                reset: vec!["ResourcePath".to_owned()],
                ..HealthCheckChange::default()
            },
        ] {
            let refusal = state.update_health_check(&id, None, wrong).unwrap_err();
            assert_eq!(refusal.code, "InvalidInput");
        }
        assert_eq!(state.health_check(&id).unwrap(), &check);
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
