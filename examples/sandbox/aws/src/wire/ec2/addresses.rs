//! Allocated (Elastic) addresses.

use super::{
    done,
    filter::{Filters, Known},
    listing::{Paging, read_tags, write_tags},
    parse, ready,
};
use crate::{
    state::{
        Address, Answer, NetworkInterface, Refusal, State,
        address::{AddressPool, BindTo},
        ec2_id::{Kind, combination},
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "AllocateAddress" => allocate(input, state),
        "DescribeAddresses" => describe(input, state),
        "DescribeAddressesAttribute" => describe_attribute(input, state),
        "AssociateAddress" => associate(input, state),
        "DisassociateAddress" => disassociate(input, state),
        "ReleaseAddress" => release(input, state),
        _ => return None,
    })
}

/// Filters of DescribeAddresses.
const FILTERS: &Known = &[
    ("allocation-id", "allocationId"),
    ("association-id", "associationId"),
    ("domain", "domain"),
    ("instance-id", "instanceId"),
    ("network-border-group", "networkBorderGroup"),
    ("network-interface-id", "networkInterfaceId"),
    ("network-interface-owner-id", "networkInterfaceOwnerId"),
    ("private-ip-address", "privateIpAddress"),
    ("public-ip", "publicIp"),
];

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("AllocationId");
    let addresses = input.texts("PublicIp");
    let filters = Filters::read(input, FILTERS, true)?;
    ready(input)?;
    for id in &ids {
        state.address(id)?;
    }
    let shown = |address: &Address| address.public_ip.to_string();
    for wanted in &addresses {
        parse_ip(wanted)?;
        if !state.addresses.values().any(|own| shown(own) == *wanted) {
            return Err(not_found(wanted));
        }
    }
    let wanted = state.addresses.values().filter(|address| {
        let named = ids.is_empty() && addresses.is_empty()
            || ids.contains(&address.id)
            || addresses.contains(&shown(address));
        named
            && filters.pass(state.tags.get(&address.id), || {
                let mut xml = Xml::default();
                write(&mut xml, state, address);
                xml.into_text()
            })
    });
    let mut xml = Xml::default();
    xml.list("addressesSet", "item", wanted, |xml, address| {
        write(xml, state, address);
    });
    Ok(xml)
}

fn parse_ip(text: &str) -> Answer<std::net::Ipv4Addr> {
    text.parse().map_err(|_| {
        Refusal::new(
            "InvalidAddress.Malformed",
            format!("The IP address '{text}' is not valid."),
        )
    })
}

fn not_found(address: &str) -> Refusal {
    Refusal::new(
        "InvalidAddress.NotFound",
        format!("Address '{address}' not found."),
    )
}

fn write(xml: &mut Xml, state: &State, address: &Address) {
    write_allocation(xml, state, address);
    if let Some(association) = &address.association {
        let interface = state.network_interfaces.get(&association.interface_id);
        let instance = interface
            .and_then(|interface| interface.attachment.as_ref())
            .and_then(|attachment| attachment.instance_id.as_ref());
        xml.leaf("associationId", &association.id)
            .leaf("networkInterfaceId", &association.interface_id)
            .leaf("networkInterfaceOwnerId", &state.account)
            .leaf("privateIpAddress", association.private_ip)
            .maybe("instanceId", instance)
            .maybe("serviceManaged", interface.and_then(service_of));
    }
    write_tags(xml, state.tags.get(&address.id));
}

/// The service that has made a network interface, as its addresses name it.
/// Zonal NAT gateways have no name there: `rnat` are regional ones.
fn service_of(interface: &NetworkInterface) -> Option<&'static str> {
    match (interface.requester.as_deref()?, interface.kind.as_str()) {
        ("amazon-elb", "network_load_balancer") => Some("nlb"),
        ("amazon-elb", _) => Some("alb"),
        _ => None,
    }
}

/// What AllocateAddress and DescribeAddresses both tell.
fn write_allocation(xml: &mut Xml, state: &State, address: &Address) {
    match &address.pool {
        AddressPool::CustomerOwned(pool) => xml
            .leaf("customerOwnedIp", address.public_ip)
            .leaf("customerOwnedIpv4Pool", pool),
        AddressPool::Ipam(pool) => xml
            .leaf("publicIp", address.public_ip)
            .leaf("publicIpv4Pool", pool),
        AddressPool::Amazon => xml
            .leaf("publicIp", address.public_ip)
            .leaf("publicIpv4Pool", "amazon"),
    };
    xml.leaf("allocationId", &address.id)
        .leaf("domain", "vpc")
        .leaf("networkBorderGroup", &state.region);
}

fn allocate(input: &Input, state: &mut State) -> Answer<Xml> {
    let domain = input.text("Domain");
    let group = input.text("NetworkBorderGroup");
    if let Some(text) = input.text("Address") {
        parse_ip(&text)?;
        return Err(not_found(&text));
    }
    // Address ranges of one's own are brought along only through IPAM here.
    if let Some(pool) = input.text("PublicIpv4Pool").filter(|pool| pool != "amazon") {
        return Err(Refusal::new(
            "InvalidPublicIpv4PoolID.NotFound",
            format!("The pool ID '{pool}' does not exist"),
        ));
    }
    let pool = match (
        input.text("IpamPoolId"),
        input.text("CustomerOwnedIpv4Pool"),
    ) {
        (Some(_), Some(_)) => {
            return Err(combination(
                "You may specify an IPAM pool or a customer-owned pool, but not both in the same call",
            ));
        }
        (Some(pool), None) => AddressPool::Ipam(pool),
        (None, Some(pool)) => AddressPool::CustomerOwned(pool),
        (None, None) => AddressPool::Amazon,
    };
    let tags = read_tags(input, "elastic-ip")?;
    ready(input)?;
    if let Some(domain) = domain.filter(|domain| domain != "vpc") {
        return Err(Refusal::parameter(format!(
            "Value ({domain}) for parameter domain is invalid. It must be 'vpc'."
        )));
    }
    if let Some(group) = group.filter(|group| *group != state.region) {
        return Err(Refusal::parameter(format!(
            "Value ({group}) for parameter networkBorderGroup is invalid."
        )));
    }
    let id = state.allocate_from_pool(pool, &tags)?;
    let mut xml = Xml::default();
    write_allocation(&mut xml, state, state.address(&id)?);
    Ok(xml)
}

/// The allocation that a call names by its id, or by the address.
fn read_allocation(input: &Input, state: &State) -> Answer<Option<String>> {
    let id = input.text("AllocationId");
    let text = input.text("PublicIp");
    match (id, text) {
        (Some(_), Some(_)) => Err(combination(
            "You may specify public IP or allocation id, but not both in the same call",
        )),
        (Some(id), None) => Ok(Some(id)),
        (None, Some(text)) => {
            let address = parse_ip(&text)?;
            state
                .addresses
                .values()
                .find(|own| own.public_ip == address)
                .map(|own| Some(own.id.clone()))
                .ok_or_else(|| not_found(&text))
        }
        (None, None) => Ok(None),
    }
}

fn associate(input: &Input, state: &mut State) -> Answer<Xml> {
    let allocation_id = read_allocation(input, state)?.ok_or_else(|| {
        Refusal::new(
            "MissingParameter",
            "Either public IP or allocation id must be specified",
        )
    })?;
    let bind = BindTo {
        allocation_id,
        instance: input.text("InstanceId"),
        interface: input.text("NetworkInterfaceId"),
        private_ip: match input.text("PrivateIpAddress") {
            Some(text) => Some(parse("privateIpAddress", &text)?),
            None => None,
        },
        rebind: input.flag("AllowReassociation")?,
    };
    ready(input)?;
    let id = state.associate_address(&bind)?;
    let mut xml = done();
    xml.leaf("associationId", id);
    Ok(xml)
}

fn disassociate(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.text("AssociationId");
    let text = input.text("PublicIp");
    ready(input)?;
    let id = match (id, text) {
        (Some(id), None) => id,
        (None, Some(text)) => {
            let address = parse_ip(&text)?;
            let own = state
                .addresses
                .values()
                .find(|own| own.public_ip == address);
            let Some(own) = own else {
                return Err(not_found(&text));
            };
            match &own.association {
                Some(association) => association.id.clone(),
                // There is nothing to undo.
                None => return Ok(done()),
            }
        }
        (Some(_), Some(_)) => {
            return Err(combination(
                "You may specify public IP or association id, but not both in the same call",
            ));
        }
        (None, None) => {
            return Err(Refusal::new(
                "MissingParameter",
                "Either public IP or association id must be specified",
            ));
        }
    };
    state.disassociate_address(&id)?;
    Ok(done())
}

fn release(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.text("AllocationId");
    let address = input.text("PublicIp");
    let group = input.text("NetworkBorderGroup");
    ready(input)?;
    if group.is_some_and(|group| group != state.region) {
        return Err(Refusal::parameter(
            "The network border group is not the one of the address",
        ));
    }
    let Some(id) = id else {
        if let Some(text) = &address {
            parse_ip(text)?;
            return Err(Refusal::parameter(
                "You must specify an allocation id when releasing a VPC elastic IP address",
            ));
        }
        return Err(Refusal::new(
            "MissingParameter",
            "Either public IP or allocation id must be specified",
        ));
    };
    if address.is_some() {
        return Err(combination(
            "You may specify public IP or allocation id, but not both in the same call",
        ));
    }
    state.release_address(&id)?;
    Ok(done())
}

/// DescribeAddressesAttribute: no address here has a reverse name.
fn describe_attribute(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("AllocationId");
    input.text("Attribute");
    let paging = Paging::read(input, (1, 1000))?;
    ready(input)?;
    for id in &ids {
        Kind::Address.check_form(id)?;
        state.address(id)?;
    }
    let wanted = state
        .addresses
        .values()
        .filter(|address| ids.is_empty() || ids.contains(&address.id));
    let page = paging.cut(input, wanted, |address| address.id.clone())?;
    let mut xml = Xml::default();
    xml.list("addressSet", "item", page.items, |xml, address| {
        xml.leaf("publicIp", address.public_ip)
            .leaf("allocationId", &address.id);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}
