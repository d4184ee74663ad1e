//! Operations on load balancers.

use jiff::Timestamp;

use super::{Paging, at_most_20, nothing, shapes};
use crate::{
    state::{
        Answer, LoadBalancer, LoadBalancerKind, State,
        load_balancer::NewLoadBalancer,
        load_balancer_change::NewSubnets,
        placement::{SubnetMapping, ZoneAddresses},
    },
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
        "ModifyIpPools" => modify_ip_pools(input, state),
        "DescribeLoadBalancerAttributes" => describe_attributes(input, state),
        "ModifyLoadBalancerAttributes" => modify_attributes(input, state),
        _ => return None,
    })
}

fn create(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let new = NewLoadBalancer {
        name: input.need("Name")?,
        kind: input.text("Type"),
        subnets: input.texts("Subnets"),
        mappings: read_mappings(input)?,
        security_groups: input.texts("SecurityGroups"),
        scheme: input.text("Scheme"),
        ip_address_type: input.text("IpAddressType"),
        source_nat: input.text("EnablePrefixForIpv6SourceNat"),
        customer_owned_pool: input.text("CustomerOwnedIpv4Pool"),
        ipam_pool: input.part("IpamPools").text("Ipv4IpamPoolId"),
        tags: input.pairs("Tags")?,
    };
    input.done()?;
    let arn = state.create_load_balancer(new, now)?;
    let balancer = state.load_balancer(&arn)?;
    let mut xml = Xml::default();
    xml.list("LoadBalancers", "member", [balancer], write);
    Ok(xml)
}

fn read_mappings(input: &Input) -> Answer<Vec<SubnetMapping>> {
    input
        .list("SubnetMappings")
        .iter()
        .map(|mapping| {
            Ok(SubnetMapping {
                subnet_id: mapping.need("SubnetId")?,
                allocation_id: mapping.text("AllocationId"),
                private_ipv4: mapping.text("PrivateIPv4Address"),
                ipv6: mapping.text("IPv6Address"),
                source_nat_prefix: mapping.text("SourceNatIpv6Prefix"),
            })
        })
        .collect()
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let arns = input.texts("LoadBalancerArns");
    let names = input.texts("Names");
    let paging = Paging::read(input, 400)?;
    input.done()?;
    at_most_20(&arns)?;
    let wanted = state.described_load_balancers(&arns, &names)?;
    let page = paging.cut(wanted, |balancer| balancer.arn.clone())?;
    let mut xml = Xml::default();
    xml.list("LoadBalancers", "member", page.items, write);
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn write(xml: &mut Xml, balancer: &LoadBalancer) {
    let network = balancer.kind == LoadBalancerKind::Network;
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
    xml.leaf("Type", balancer.kind.as_str());
    write_zones(xml, balancer);
    if !network || !balancer.security_groups.is_empty() {
        xml.texts("SecurityGroups", "member", &balancer.security_groups);
    }
    xml.leaf("IpAddressType", &balancer.ip_address_type)
        .maybe(
            "CustomerOwnedIpv4Pool",
            balancer.customer_owned_pool.as_ref(),
        )
        .maybe(
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
            private_link_rules(balancer),
        )
        .maybe("EnablePrefixForIpv6SourceNat", source_nat(balancer));
    if balancer.ipam_pool.is_some() {
        write_pools(xml, balancer);
    }
}

fn write_pools(xml: &mut Xml, balancer: &LoadBalancer) {
    xml.nest("IpamPools", |xml| {
        xml.maybe("Ipv4IpamPoolId", balancer.ipam_pool.as_ref());
    });
}

/// Shown of a Network Load Balancer that has security groups.
fn private_link_rules(balancer: &LoadBalancer) -> Option<&'static str> {
    let shown = balancer.kind == LoadBalancerKind::Network && !balancer.security_groups.is_empty();
    shown.then(|| on_or_off(balancer.private_link_rules))
}

/// Shown of every Network Load Balancer.
fn source_nat(balancer: &LoadBalancer) -> Option<&'static str> {
    let network = balancer.kind == LoadBalancerKind::Network;
    network.then(|| on_or_off(balancer.source_nat))
}

fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn write_zones(xml: &mut Xml, balancer: &LoadBalancer) {
    xml.list(
        "AvailabilityZones",
        "member",
        &balancer.subnets,
        |xml, (zone, subnet)| {
            xml.leaf("ZoneName", zone).leaf("SubnetId", subnet);
            let addresses = balancer.addresses.get(zone);
            xml.nest("LoadBalancerAddresses", |xml| {
                if let Some(addresses) = addresses {
                    write_addresses(xml, addresses);
                }
            });
            if let Some(prefix) = addresses.and_then(|of| of.source_nat_prefix) {
                xml.texts("SourceNatIpv6Prefixes", "member", [prefix]);
            }
        },
    );
}

fn write_addresses(xml: &mut Xml, addresses: &ZoneAddresses) {
    let allocated = addresses.allocated.as_ref();
    if allocated.is_none() && addresses.private_ipv4.is_none() && addresses.ipv6.is_none() {
        return;
    }
    xml.nest("member", |xml| {
        xml.maybe("IpAddress", allocated.map(|(_, address)| address))
            .maybe("AllocationId", allocated.map(|(id, _)| id))
            .maybe("PrivateIPv4Address", addresses.private_ipv4)
            .maybe("IPv6Address", addresses.ipv6);
    });
}

fn delete(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    input.done()?;
    nothing(state.delete_load_balancer(&arn, now))
}

fn set_subnets(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let new = NewSubnets {
        subnets: input.texts("Subnets"),
        mappings: read_mappings(input)?,
        ip_address_type: input.text("IpAddressType"),
        source_nat: input.text("EnablePrefixForIpv6SourceNat"),
    };
    input.done()?;
    state.set_subnets(&arn, &new, now)?;
    let balancer = state.load_balancer(&arn)?;
    let mut xml = Xml::default();
    write_zones(&mut xml, balancer);
    xml.leaf("IpAddressType", &balancer.ip_address_type)
        .maybe("EnablePrefixForIpv6SourceNat", source_nat(balancer));
    Ok(xml)
}

fn set_security_groups(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let groups = input.texts("SecurityGroups");
    let rules = input.text("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic");
    input.done()?;
    state.set_security_groups(&arn, &groups, rules.as_deref())?;
    let balancer = state.load_balancer(&arn)?;
    let mut xml = Xml::default();
    xml.texts("SecurityGroupIds", "member", &balancer.security_groups)
        .maybe(
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
            private_link_rules(balancer),
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

fn modify_ip_pools(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("LoadBalancerArn")?;
    let pool = input.part("IpamPools").text("Ipv4IpamPoolId");
    let remove = input.texts("RemoveIpamPools");
    input.done()?;
    state.modify_ip_pools(&arn, pool.as_deref(), &remove)?;
    let mut xml = Xml::default();
    write_pools(&mut xml, state.load_balancer(&arn)?);
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
