//! Addresses and prefixes that network interfaces get and give back.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{done, interfaces::count, parse_all, ready};
use crate::{
    state::{Answer, Refusal, State, interface_addresses::Addresses},
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "AssignPrivateIpAddresses" => assign_ipv4(input, state),
        "UnassignPrivateIpAddresses" => unassign_ipv4(input, state),
        "AssignIpv6Addresses" => assign_ipv6(input, state),
        "UnassignIpv6Addresses" => unassign_ipv6(input, state),
        _ => return None,
    })
}

/// Refuses a call that asks for no address at all.
fn need_some(addresses: &Addresses) -> Answer<()> {
    addresses.check()?;
    if *addresses == Addresses::default() {
        return Err(Refusal::new(
            "MissingParameter",
            "The request must contain addresses, prefixes, or a number of either",
        ));
    }
    Ok(())
}

fn assign_ipv4(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let texts = input.texts("PrivateIpAddress");
    let prefixes = input.texts("Ipv4Prefix");
    let addresses = Addresses {
        ipv4: parse_all("privateIpAddress", &texts)?,
        ipv4_count: count(input, "SecondaryPrivateIpAddressCount")?,
        ipv4_prefixes: parse_all("ipv4Prefix", &prefixes)?,
        ipv4_prefix_count: count(input, "Ipv4PrefixCount")?,
        ..Addresses::default()
    };
    let reassign = input.flag("AllowReassignment")?.unwrap_or(false);
    ready(input)?;
    need_some(&addresses)?;
    if reassign {
        take_over(state, &id, &addresses.ipv4)?;
    }
    let got = state.assign_addresses(&id, &addresses)?;
    let mut xml = Xml::default();
    xml.leaf("networkInterfaceId", &id);
    xml.list(
        "assignedPrivateIpAddressesSet",
        "item",
        got.ipv4,
        |xml, address| {
            xml.leaf("privateIpAddress", address);
        },
    );
    xml.list(
        "assignedIpv4PrefixSet",
        "item",
        got.ipv4_prefixes,
        |xml, prefix| {
            xml.leaf("ipv4Prefix", prefix);
        },
    );
    xml.leaf("return", true);
    Ok(xml)
}

/// Takes secondary addresses from other interfaces of the same subnet.
fn take_over(state: &mut State, id: &str, addresses: &[Ipv4Addr]) -> Answer<()> {
    let subnet = state.network_interface(id)?.subnet_id.clone();
    for address in addresses {
        let holder = state
            .network_interfaces
            .values()
            .find(|other| {
                other.id != id
                    && other.subnet_id == subnet
                    && other.private_ips.iter().skip(1).any(|own| own == address)
            })
            .map(|other| other.id.clone());
        if let Some(holder) = holder {
            state.unassign_ipv4(&holder, &[*address], &[])?;
        }
    }
    Ok(())
}

fn unassign_ipv4(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let addresses: Vec<Ipv4Addr> = parse_all("privateIpAddress", &input.texts("PrivateIpAddress"))?;
    let prefixes: Vec<Ipv4Net> = parse_all("ipv4Prefix", &input.texts("Ipv4Prefix"))?;
    ready(input)?;
    if addresses.is_empty() && prefixes.is_empty() {
        return Err(Refusal::new(
            "MissingParameter",
            "The request must contain the parameter privateIpAddress or ipv4Prefix",
        ));
    }
    state.unassign_ipv4(&id, &addresses, &prefixes)?;
    Ok(done())
}

fn assign_ipv6(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let addresses = Addresses {
        ipv6: parse_all("ipv6Address", &input.texts("Ipv6Addresses"))?,
        ipv6_count: count(input, "Ipv6AddressCount")?,
        ipv6_prefixes: parse_all("ipv6Prefix", &input.texts("Ipv6Prefix"))?,
        ipv6_prefix_count: count(input, "Ipv6PrefixCount")?,
        ..Addresses::default()
    };
    ready(input)?;
    need_some(&addresses)?;
    let got = state.assign_addresses(&id, &addresses)?;
    let mut xml = Xml::default();
    xml.leaf("networkInterfaceId", &id)
        .texts("assignedIpv6Addresses", "item", got.ipv6)
        .texts("assignedIpv6PrefixSet", "item", got.ipv6_prefixes);
    Ok(xml)
}

fn unassign_ipv6(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("NetworkInterfaceId")?;
    let addresses: Vec<Ipv6Addr> = parse_all("ipv6Address", &input.texts("Ipv6Addresses"))?;
    let prefixes: Vec<Ipv6Net> = parse_all("ipv6Prefix", &input.texts("Ipv6Prefix"))?;
    ready(input)?;
    if addresses.is_empty() && prefixes.is_empty() {
        return Err(Refusal::new(
            "MissingParameter",
            "The request must contain the parameter ipv6Addresses or ipv6Prefix",
        ));
    }
    state.unassign_ipv6(&id, &addresses, &prefixes)?;
    let mut xml = Xml::default();
    xml.leaf("networkInterfaceId", &id)
        .texts("unassignedIpv6Addresses", "item", addresses)
        .texts("unassignedIpv6PrefixSet", "item", prefixes);
    Ok(xml)
}
