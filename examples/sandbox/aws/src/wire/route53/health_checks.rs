//! Health checks, as far as record sets refer to them.

use super::{invalid, max_items};
use crate::{
    state::{
        Answer, State,
        health_check::{HealthCheck, HealthCheckChange, HealthCheckConfig},
        route53::bare_id,
    },
    wire::{params::Input, xml::Xml},
};

fn write(xml: &mut Xml, check: &HealthCheck) {
    let config = &check.config;
    xml.nest("HealthCheck", |xml| {
        xml.leaf("Id", &check.id)
            .leaf("CallerReference", &check.caller_reference);
        xml.nest("HealthCheckConfig", |xml| {
            xml.maybe("IPAddress", config.ip_address.as_ref())
                .maybe("Port", config.port)
                .leaf("Type", &config.kind)
                .maybe("ResourcePath", config.resource_path.as_ref())
                .maybe("FullyQualifiedDomainName", config.domain_name.as_ref())
                .maybe("SearchString", config.search_string.as_ref())
                .maybe("RequestInterval", config.request_interval)
                .maybe("FailureThreshold", config.failure_threshold)
                .maybe("MeasureLatency", config.measure_latency)
                .maybe("Inverted", config.inverted)
                .maybe("Disabled", config.disabled)
                .maybe("HealthThreshold", config.health_threshold);
            if !config.children.is_empty() {
                xml.texts("ChildHealthChecks", "ChildHealthCheck", &config.children);
            }
            xml.maybe("EnableSNI", config.enable_sni);
            if !config.regions.is_empty() {
                xml.texts("Regions", "Region", &config.regions);
            }
        });
        xml.leaf("HealthCheckVersion", check.version);
    });
}

pub fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let reference = input.need("CallerReference")?;
    let config = input.part("HealthCheckConfig");
    let new = HealthCheckConfig {
        kind: config.need("Type")?,
        ip_address: config.text("IPAddress"),
        port: config.number("Port")?,
        resource_path: config.text("ResourcePath"),
        domain_name: config.text("FullyQualifiedDomainName"),
        search_string: config.text("SearchString"),
        request_interval: config.number("RequestInterval")?,
        failure_threshold: config.number("FailureThreshold")?,
        measure_latency: config.flag("MeasureLatency")?,
        inverted: config.flag("Inverted")?,
        disabled: config.flag("Disabled")?,
        health_threshold: config.number("HealthThreshold")?,
        children: config.texts("ChildHealthChecks"),
        enable_sni: config.flag("EnableSNI")?,
        regions: config.texts("Regions"),
    };
    input.done()?;
    let id = state.create_health_check(&reference, new)?;
    let mut xml = Xml::default();
    write(&mut xml, state.health_check(&id)?);
    xml.header(
        "location",
        format!("https://route53.amazonaws.com/2013-04-01/healthcheck/{id}"),
    );
    Ok(xml)
}

pub fn update(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("HealthCheckId")?;
    let id = bare_id(&id);
    let version = input.number("HealthCheckVersion")?;
    for name in ["AlarmIdentifier", "InsufficientDataHealthStatus"] {
        if input.has(name) {
            return Err(invalid(format!(
                "{name} belongs to health checks of the type CLOUDWATCH_METRIC"
            )));
        }
    }
    let list = |name: &str| input.has(name).then(|| input.texts(name));
    let change = HealthCheckChange {
        ip_address: input.text("IPAddress"),
        port: input.number("Port")?,
        resource_path: input.text("ResourcePath"),
        domain_name: input.text("FullyQualifiedDomainName"),
        search_string: input.text("SearchString"),
        failure_threshold: input.number("FailureThreshold")?,
        inverted: input.flag("Inverted")?,
        disabled: input.flag("Disabled")?,
        health_threshold: input.number("HealthThreshold")?,
        children: list("ChildHealthChecks"),
        enable_sni: input.flag("EnableSNI")?,
        regions: list("Regions"),
        reset: input.texts("ResetElements"),
    };
    input.done()?;
    state.update_health_check(id, version, change)?;
    let mut xml = Xml::default();
    write(&mut xml, state.health_check(id)?);
    Ok(xml)
}

pub fn get(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("HealthCheckId")?;
    input.done()?;
    let mut xml = Xml::default();
    write(&mut xml, state.health_check(bare_id(&id))?);
    Ok(xml)
}

pub fn count(input: &Input, state: &State) -> Answer<Xml> {
    input.done()?;
    let mut xml = Xml::default();
    xml.leaf("HealthCheckCount", state.health_checks.len());
    Ok(xml)
}

pub fn list(input: &Input, state: &State) -> Answer<Xml> {
    let size = max_items(input, 100)?;
    let marker = input.text("Marker");
    input.done()?;
    let marker = marker.as_deref();
    let mut checks = state
        .health_checks
        .values()
        .skip_while(|check| marker.is_some_and(|marker| check.id != marker));
    let shown: Vec<&HealthCheck> = checks.by_ref().take(size.page).collect();
    if marker.is_some() && shown.is_empty() {
        return Err(invalid("The marker is not valid"));
    }
    let next = checks.next();
    let mut xml = Xml::default();
    xml.nest("HealthChecks", |xml| {
        for check in shown {
            write(xml, check);
        }
    });
    xml.maybe("Marker", marker)
        .leaf("IsTruncated", next.is_some())
        .maybe("NextMarker", next.map(|check| &check.id))
        .leaf("MaxItems", size.asked);
    Ok(xml)
}

pub fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("HealthCheckId")?;
    input.done()?;
    state.delete_health_check(bare_id(&id))?;
    Ok(Xml::default())
}
