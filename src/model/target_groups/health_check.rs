//! Health checks of target groups, within the ranges that AWS takes. They are
//! the same for HTTP and HTTPS, instances and pods.
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html>

use std::ops::RangeInclusive;

use super::Backends;
use crate::model::annotations::{PREFIX, shown};
use crate::model::finding::Reason;
use crate::model::service_ports::{self, TRAFFIC_PORT};
use crate::model::services::Service;
use crate::model::spec::{HealthCheck, ObjectName, Protocol, TargetType};
use crate::model::values;

/// A number of a health check: its annotation, what AWS takes, and what it is
/// where no annotation states it.
struct Number {
    annotation: &'static str,
    range: RangeInclusive<i32>,
    default: i32,
}

const INTERVAL: Number = Number {
    annotation: "healthcheck-interval-seconds",
    range: 5..=300,
    default: 15,
};
const TIMEOUT: Number = Number {
    annotation: "healthcheck-timeout-seconds",
    range: 2..=120,
    default: 5,
};
const HEALTHY: Number = Number {
    annotation: "healthy-threshold-count",
    range: 2..=10,
    default: 2,
};
const UNHEALTHY: Number = Number {
    annotation: "unhealthy-threshold-count",
    range: 2..=10,
    default: 2,
};

/// The numbers of a health check, read.
struct Numbers {
    interval_seconds: i32,
    timeout_seconds: i32,
    healthy_threshold: i32,
    unhealthy_threshold: i32,
}

impl Backends<'_> {
    /// The health check of a target group; `None` where it cannot be read,
    /// then a finding freezes the Ingress.
    pub(super) fn health_check(
        &mut self,
        service: &Service,
        service_name: &ObjectName,
        target_type: TargetType,
        backend_protocol: Protocol,
    ) -> Option<HealthCheck> {
        let port = match self.stated(service, service_name, "healthcheck-port") {
            None => TRAFFIC_PORT.to_owned(),
            Some(stated) => {
                match service_ports::health_check_port(stated.raw, service, target_type) {
                    Ok(port) => port,
                    Err(expected) => {
                        self.invalid(&stated, &expected);
                        return None;
                    }
                }
            }
        };
        let numbers = self.numbers(service, service_name);
        let text = |raw: &str| Ok(raw.to_owned());
        Some(HealthCheck {
            protocol: self
                .read(
                    service,
                    service_name,
                    "healthcheck-protocol",
                    values::protocol,
                )
                .unwrap_or(backend_protocol),
            port,
            path: self
                .read(service, service_name, "healthcheck-path", text)
                .unwrap_or_else(|| "/".to_owned()),
            interval_seconds: numbers.interval_seconds,
            timeout_seconds: numbers.timeout_seconds,
            healthy_threshold: numbers.healthy_threshold,
            unhealthy_threshold: numbers.unhealthy_threshold,
            success_codes: self
                .success_codes(service, service_name)
                .unwrap_or_else(|| "200".to_owned()),
        })
    }

    /// Reads what an Ingress states for a Service that is not there: what is
    /// wrong with it is wrong whatever the Service will be.
    pub(super) fn check_values(&mut self, service_name: &ObjectName) {
        let absent = Service::default();
        self.read(&absent, service_name, "target-type", values::target_type);
        for name in ["backend-protocol", "healthcheck-protocol"] {
            self.read(&absent, service_name, name, values::protocol);
        }
        self.numbers(&absent, service_name);
        self.success_codes(&absent, service_name);
    }

    fn numbers(&mut self, service: &Service, service_name: &ObjectName) -> Numbers {
        let found = self.findings.len();
        let mut number = |number: Number| {
            let within = |raw: &str| values::within(raw, &number.range);
            self.read(service, service_name, number.annotation, within)
                .unwrap_or(number.default)
        };
        let interval_seconds = number(INTERVAL);
        let timeout_seconds = number(TIMEOUT);
        let healthy_threshold = number(HEALTHY);
        let unhealthy_threshold = number(UNHEALTHY);
        let all_fit = self.findings.len() == found;
        if all_fit && timeout_seconds >= interval_seconds {
            self.times_do_not_fit(service, service_name, interval_seconds, timeout_seconds);
        }
        Numbers {
            interval_seconds,
            timeout_seconds,
            healthy_threshold,
            unhealthy_threshold,
        }
    }

    fn success_codes(&mut self, service: &Service, service_name: &ObjectName) -> Option<String> {
        // What another version of the protocol takes is not built yet, and said.
        let version = "backend-protocol-version";
        let read = match self.stated(service, service_name, version) {
            Some(_) => |raw: &str| Ok(raw.to_owned()),
            None => values::success_codes,
        };
        self.read(service, service_name, "success-codes", read)
    }

    fn times_do_not_fit(
        &mut self,
        service: &Service,
        service_name: &ObjectName,
        interval: i32,
        timeout: i32,
    ) {
        let spoken = |number: &Number, value: i32| match self.stated(
            service,
            service_name,
            number.annotation,
        ) {
            Some(stated) => {
                let place = stated
                    .on_service
                    .map_or(String::new(), |service| format!(" of Service {service}"));
                let raw = shown(stated.raw);
                format!(
                    "annotation {PREFIX}{}{place} is \"{raw}\"",
                    number.annotation
                )
            }
            None => format!("{PREFIX}{} is {value} by default", number.annotation),
        };
        let message = format!(
            "{} and {}: expected a timeout that is shorter than the interval; make one of them fit",
            spoken(&TIMEOUT, timeout),
            spoken(&INTERVAL, interval),
        );
        self.freeze(Reason::InvalidAnnotation, message);
    }
}
