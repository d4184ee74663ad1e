//! Operations on load balancers.

use jiff::Timestamp;

use super::{Paging, at_most_20, nothing, shapes};
use crate::{
    state::{Answer, LoadBalancer, Refusal, State, load_balancer::NewLoadBalancer},
    wire::{
        params::Input,
        xml::{Xml, time},
    },
};

pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateLoadBalancer" => create(input, state, now),
        "DescribeLoadBalancers" => describe(input, state),
        "DeleteLoadBalancer" => delete(input, state, now),
        "SetSubnets" => set_subnets(input, state, now),
        "SetSecurityGroups" => set_security_groups(input, state),
        "SetIpAddressType" => set_ip_address_type(input, state),
        "DescribeLoadBalancerAttributes" => describe_attributes(input, state),
        "ModifyLoadBalancerAttributes" => modify_attributes(input, state),
        _ => return None,
    })
}

fn create(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let new = NewLoadBalancer {
        name: input.need("Name")?,
        subnets: read_subnets(input)?,
        security_groups: input.texts("SecurityGroups"),
        scheme: input.text("Scheme"),
        ip_address_type: input.text("IpAddressType"),
        tags: input.pairs("Tags")?,
    };
    if let Some(kind) = input.text("Type")
        && kind != "application"
    {
        return Err(Refusal::validation(format!(
            "The load balancer type '{kind}' is not valid or not simulated"
        )));
    }
    input.done()?;
    let arn = state.create_load_balancer(new, now)?;
    let balancer = state.load_balancer(&arn)?;
    let mut xml = Xml::default();
    xml.list("LoadBalancers", "member", [balancer], write);
    Ok(xml)
}

/// `Subnets`, or `SubnetMappings` with nothing but a subnet in each.
fn read_subnets(input: &Input) -> Answer<Vec<String>> {
    let subnets = input.texts("Subnets");
    let mut mapped = Vec::new();
    for mapping in input.list("SubnetMappings") {
        mapped.push(mapping.need("SubnetId")?);
        if mapping.has("AllocationId") || mapping.has("PrivateIPv4Address") {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                "Addresses cannot be specified for load balancers of type 'application'",
            ));
        }
    }
    match (subnets.is_empty(), mapped.is_empty()) {
        (false, false) => Err(Refusal::validation(
            "You must specify either subnets or subnet mappings, but not both",
        )),
        (true, true) => Err(Refusal::validation(
            "You must specify either subnets or subnet mappings",
        )),
        (false, true) => Ok(subnets),
        (true, false) => Ok(mapped),
    }
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let arns = input.texts("LoadBalancerArns");
    let names = input.texts("Names");
    let paging = Paging::read(input, 400)?;
    input.done()?;
    at_most_20(&arns)?;
    if !arns.is_empty() && !names.is_empty() {
        return Err(Refusal::validation(
            "Load balancer names and load balancer ARNs cannot be specified at the same time",
        ));
    }
    let missing = || {
        Refusal::new(
            "LoadBalancerNotFound",
            "One or more load balancers not found",
        )
    };
    for arn in &arns {
        state.load_balancer(arn).map_err(|refusal| {
            if refusal.code == "LoadBalancerNotFound" {
                missing()
            } else {
                refusal
            }
        })?;
    }
    let named = |name: &String| state.load_balancers.values().any(|b| b.name == *name);
    if !names.iter().all(named) {
        return Err(missing());
    }
    let wanted = state.load_balancers.values().filter(|balancer| {
        (arns.is_empty() || arns.contains(&balancer.arn))
            && (names.is_empty() || names.contains(&balancer.name))
    });
    let page = paging.cut(wanted, |balancer| balancer.arn.clone())?;
    let mut xml = Xml::default();
    xml.list("LoadBalancers", "member", page.items, write);
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn write(xml: &mut Xml, balancer: &LoadBalancer) {
    xml.leaf("LoadBalancerArn", &balancer.arn)
        .leaf("DNSName", &balancer.dns_name)
        .leaf("CanonicalHostedZoneId", &balancer.canonical_hosted_zone_id)
        .leaf("CreatedTime", time(balancer.created))
        .leaf("LoadBalancerName", &balancer.name)
        .leaf("Scheme", balancer.scheme.as_str())
        .leaf("VpcId", &balancer.vpc_id);
    xml.nest("State", |xml| {
        xml.leaf("Code", balancer.state.as_str());
    });
    xml.leaf("Type", "application");
    write_zones(xml, balancer);
    xml.texts("SecurityGroups", "member", &balancer.security_groups);
    xml.leaf("IpAddressType", &balancer.ip_address_type);
}

fn write_zones(xml: &mut Xml, balancer: &LoadBalancer) {
    xml.list(
        "AvailabilityZones",
        "member",
        &balancer.subnets,
        |xml, (zone, subnet)| {
            xml.leaf("ZoneName", zone).leaf("SubnetId", subnet);
            xml.nest("LoadBalancerAddresses", |_| {});
        },
    );
}

fn delete(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    input.done()?;
    nothing(state.delete_load_balancer(&arn, now))
}

fn set_subnets(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let subnets = read_subnets(input)?;
    let address_type = input.text("IpAddressType");
    input.done()?;
    state.set_subnets(&arn, &subnets, address_type.as_deref(), now)?;
    let balancer = state.load_balancer(&arn)?;
    let mut xml = Xml::default();
    write_zones(&mut xml, balancer);
    xml.leaf("IpAddressType", &balancer.ip_address_type);
    Ok(xml)
}

fn set_security_groups(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let groups = input.texts("SecurityGroups");
    input.done()?;
    state.set_security_groups(&arn, &groups)?;
    let mut xml = Xml::default();
    xml.texts(
        "SecurityGroupIds",
        "member",
        &state.load_balancer(&arn)?.security_groups,
    );
    Ok(xml)
}

fn set_ip_address_type(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let address_type = input.need("IpAddressType")?;
    input.done()?;
    state.set_ip_address_type(&arn, &address_type)?;
    let mut xml = Xml::default();
    xml.leaf("IpAddressType", address_type);
    Ok(xml)
}

fn describe_attributes(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    input.done()?;
    let mut xml = Xml::default();
    shapes::write_attributes(&mut xml, &state.load_balancer(&arn)?.attributes);
    Ok(xml)
}

fn modify_attributes(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let changes = shapes::read_attributes(input)?;
    input.done()?;
    state.modify_load_balancer_attributes(&arn, &changes)?;
    let mut xml = Xml::default();
    shapes::write_attributes(&mut xml, &state.load_balancer(&arn)?.attributes);
    Ok(xml)
}
