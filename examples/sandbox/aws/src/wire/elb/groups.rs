//! Operations on target groups.

use std::collections::BTreeSet;

use super::{Paging, nothing, shapes};
use crate::{
    state::{
        Answer, Matcher, Protocol, Refusal, State, TargetGroup, TargetType,
        target_group::NewTargetGroup, target_health_check::NewHealthCheck,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateTargetGroup" => create(input, state),
        "DescribeTargetGroups" => describe(input, state),
        "ModifyTargetGroup" => modify(input, state),
        "DeleteTargetGroup" => delete(input, state),
        "DescribeTargetGroupAttributes" => describe_attributes(input, state),
        "ModifyTargetGroupAttributes" => modify_attributes(input, state),
        _ => return None,
    })
}

fn read_check(input: &Input) -> Answer<NewHealthCheck> {
    let matcher = input.part("Matcher");
    Ok(NewHealthCheck {
        enabled: input.flag("HealthCheckEnabled")?,
        protocol: input.text("HealthCheckProtocol"),
        port: input.text("HealthCheckPort"),
        path: input.text("HealthCheckPath"),
        interval_seconds: input.number("HealthCheckIntervalSeconds")?,
        timeout_seconds: input.number("HealthCheckTimeoutSeconds")?,
        healthy_threshold: input.number("HealthyThresholdCount")?,
        unhealthy_threshold: input.number("UnhealthyThresholdCount")?,
        http_code: matcher.text("HttpCode"),
        grpc_code: matcher.text("GrpcCode"),
    })
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let new = NewTargetGroup {
        name: input.need("Name")?,
        protocol: input.text("Protocol"),
        port: input.number("Port")?,
        protocol_version: input.text("ProtocolVersion"),
        vpc_id: input.text("VpcId"),
        target_type: input.text("TargetType"),
        ip_address_type: input.text("IpAddressType"),
        target_control_port: input.number("TargetControlPort")?,
        health_check: read_check(input)?,
        tags: input.pairs("Tags")?,
    };
    input.done()?;
    let arn = state.create_target_group(&new)?;
    answer(state, &arn)
}

fn answer(state: &State, arn: &str) -> Answer<Xml> {
    let group = state.target_group(arn)?;
    let mut xml = Xml::default();
    xml.list("TargetGroups", "member", [group], |xml, group| {
        write(xml, state, group);
    });
    Ok(xml)
}

fn write(xml: &mut Xml, state: &State, group: &TargetGroup) {
    let check = &group.health_check;
    xml.leaf("TargetGroupArn", &group.arn)
        .leaf("TargetGroupName", &group.name)
        .maybe("Protocol", group.protocol.map(Protocol::as_str))
        .maybe("Port", group.port)
        .maybe("VpcId", group.vpc_id.as_ref());
    // Functions are not reached by a protocol on a port.
    if group.target_type != TargetType::Lambda {
        let port = check.port.map(|port| port.to_string());
        xml.leaf("HealthCheckProtocol", check.protocol.as_str())
            .leaf("HealthCheckPort", port.as_deref().unwrap_or("traffic-port"));
    }
    xml.leaf("HealthCheckEnabled", check.enabled)
        .leaf("HealthCheckIntervalSeconds", check.interval_seconds)
        .leaf("HealthCheckTimeoutSeconds", check.timeout_seconds)
        .leaf("HealthyThresholdCount", check.healthy_threshold)
        .leaf("UnhealthyThresholdCount", check.unhealthy_threshold)
        .maybe("HealthCheckPath", check.path.as_ref());
    if let Some(matcher) = &check.matcher {
        xml.nest("Matcher", |xml| {
            match matcher {
                Matcher::Http(codes) => xml.leaf("HttpCode", codes),
                Matcher::Grpc(codes) => xml.leaf("GrpcCode", codes),
            };
        });
    }
    let balancer = state.load_balancer_of(group).map(|balancer| &balancer.arn);
    xml.texts("LoadBalancerArns", "member", balancer);
    xml.leaf("TargetType", group.target_type.as_str())
        .maybe("ProtocolVersion", group.protocol_version.as_ref())
        .leaf("IpAddressType", &group.ip_address_type)
        .maybe("TargetControlPort", group.target_control_port);
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let balancer = input.text("LoadBalancerArn");
    let arns = input.texts("TargetGroupArns");
    let names = input.texts("Names");
    let paging = Paging::read(input, 400)?;
    input.done()?;
    let given = [balancer.is_some(), !arns.is_empty(), !names.is_empty()];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(Refusal::validation(
            "Only one of a load balancer ARN, target group ARNs and target group names can be specified",
        ));
    }
    let missing = || Refusal::new("TargetGroupNotFound", "One or more target groups not found");
    for arn in &arns {
        state.target_group(arn).map_err(|refusal| {
            if refusal.code == "TargetGroupNotFound" {
                missing()
            } else {
                refusal
            }
        })?;
    }
    let named = |name: &String| {
        state
            .target_groups
            .values()
            .any(|group| group.name == *name)
    };
    if !names.iter().all(named) {
        return Err(missing());
    }
    // Those that are named by ARN are not looked for among all others.
    let picked: Option<BTreeSet<&str>> = match &balancer {
        Some(arn) => Some(state.load_balancer(arn)?.target_groups(None)),
        None if arns.is_empty() => None,
        None => Some(arns.iter().map(String::as_str).collect()),
    };
    let groups = &state.target_groups;
    let wanted: Vec<&TargetGroup> = match picked {
        Some(picked) => picked.iter().filter_map(|arn| groups.get(*arn)).collect(),
        None if names.is_empty() => groups.values().collect(),
        None => groups
            .values()
            .filter(|group| names.contains(&group.name))
            .collect(),
    };
    let page = paging.cut(wanted, |group| group.arn.clone())?;
    let mut xml = Xml::default();
    xml.list("TargetGroups", "member", page.items, |xml, group| {
        write(xml, state, group);
    });
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("TargetGroupArn")?;
    let check = read_check(input)?;
    input.done()?;
    state.modify_target_group(&arn, &check)?;
    answer(state, &arn)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("TargetGroupArn")?;
    input.done()?;
    nothing(state.delete_target_group(&arn))
}

fn describe_attributes(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("TargetGroupArn")?;
    input.done()?;
    let mut xml = Xml::default();
    shapes::write_attributes(&mut xml, &state.target_group(&arn)?.attributes);
    Ok(xml)
}

fn modify_attributes(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("TargetGroupArn")?;
    let changes = shapes::read_attributes(input)?;
    input.done()?;
    state.modify_target_group_attributes(&arn, &changes)?;
    let mut xml = Xml::default();
    shapes::write_attributes(&mut xml, &state.target_group(&arn)?.attributes);
    Ok(xml)
}
