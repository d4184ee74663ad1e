//! VPCs, subnets, internet gateways, route tables.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Answer, Refusal, State};

/// A VPC.
#[derive(Debug, Clone, PartialEq)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Primary range.
    pub cidr: Ipv4Net,
    /// IPv6 range, if any.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Id of its `default` security group.
    pub default_security_group: String,
    /// Id of its main route table.
    pub main_route_table: String,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// VPC that it belongs to.
    pub vpc_id: String,
    /// Zone name, such as `us-east-1a`.
    pub availability_zone: String,
    /// Range.
    pub cidr: Ipv4Net,
    /// IPv6 range, if any.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Addresses in use, prefixes included, with the network interface that has them.
    pub taken: BTreeMap<Ipv4Addr, String>,
    /// Where the search for a free address goes on.
    pub(super) cursor: u32,
}

/// An internet gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternetGateway {
    /// `igw-…`.
    pub id: String,
    /// VPC to which it is attached.
    pub vpc_id: Option<String>,
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// VPC that it belongs to.
    pub vpc_id: String,
    /// Routes besides the local one.
    pub routes: Vec<Route>,
    /// Associations with subnets: association id and subnet id.
    pub associations: Vec<(String, String)>,
}

/// A route of a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// Gateway id (`igw-…`, `nat-…`).
    pub gateway_id: String,
}

/// An availability zone of the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailabilityZone {
    /// Name, such as `us-east-1a`.
    pub name: String,
    /// Id, such as `use1-az1`; differs between accounts for one name.
    pub id: String,
}

/// The zones of a region: three of them, with ids as AWS abbreviates them
/// (`us-east-1` gives `use1-az1` and so on).
pub(super) fn zones_of(region: &str) -> Vec<AvailabilityZone> {
    let mut parts = region.split('-');
    let mut short: String = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part {
            "northeast" => short.push_str("ne"),
            "northwest" => short.push_str("nw"),
            "southeast" => short.push_str("se"),
            "southwest" => short.push_str("sw"),
            other => short.extend(other.chars().next()),
        }
    }
    ["a", "b", "c"]
        .iter()
        .zip(1..)
        .map(|(letter, number)| AvailabilityZone {
            name: format!("{region}{letter}"),
            id: format!("{short}-az{number}"),
        })
        .collect()
}

impl State {
    /// The subnet of a VPC whose range holds an address.
    pub fn subnet_of_address(&self, vpc_id: &str, address: &str) -> Option<&Subnet> {
        let address: IpAddr = address.parse().ok()?;
        self.subnets.values().find(|subnet| {
            subnet.vpc_id == vpc_id
                && match address {
                    IpAddr::V4(v4) => subnet.cidr.contains(&v4),
                    IpAddr::V6(v6) => subnet.ipv6_cidr.is_some_and(|range| range.contains(&v6)),
                }
        })
    }
}

impl Subnet {
    /// Addresses that are left; five of every subnet are AWS's own.
    pub fn free_addresses(&self) -> usize {
        let size = 1_usize << (32 - self.cidr.prefix_len());
        size.saturating_sub(5 + self.taken.len())
    }

    /// Takes an address for a network interface. Addresses that were given
    /// back are used again only after all others.
    pub(super) fn take(&mut self, holder: &str) -> Answer<Ipv4Addr> {
        let size = 1_u32 << (32 - self.cidr.prefix_len());
        let base = u32::from(self.cidr.network());
        let usable = size.saturating_sub(5).max(1);
        for step in 0..usable {
            let offset = (self.cursor + step) % usable;
            let address = Ipv4Addr::from(base + 4 + offset);
            if !self.taken.contains_key(&address) {
                self.cursor = (offset + 1) % usable;
                self.taken.insert(address, holder.to_owned());
                return Ok(address);
            }
        }
        Err(Refusal::new(
            "InsufficientFreeAddressesInSubnet",
            format!("The subnet '{}' has no free addresses", self.id),
        ))
    }

    /// Takes the given address.
    pub(super) fn take_this(&mut self, address: Ipv4Addr, holder: &str) -> Answer<()> {
        let base = u32::from(self.cidr.network());
        let offset = u32::from(address).wrapping_sub(base);
        let size = 1_u32 << (32 - self.cidr.prefix_len());
        if offset < 4 || offset >= size - 1 {
            return Err(Refusal::parameter(format!(
                "Address {address} does not fall within the subnet's address range"
            )));
        }
        if self.taken.contains_key(&address) {
            return Err(Refusal::new(
                "InvalidIPAddress.InUse",
                format!("Address {address} is in use."),
            ));
        }
        self.taken.insert(address, holder.to_owned());
        Ok(())
    }
}

impl State {
    /// CreateVpc, with the default security group and main route table that every VPC has.
    pub fn create_vpc(&mut self, cidr: &str, tags: &[(String, String)]) -> Answer<String> {
        let cidr = parse_cidr(cidr)?;
        if !(16..=28).contains(&cidr.prefix_len()) {
            return Err(Refusal::new(
                "InvalidVpc.Range",
                format!("The CIDR '{cidr}' is invalid."),
            ));
        }
        let tags = self.checked_ec2_tags(tags)?;
        let id = self.ids.ec2("vpc");
        let default_security_group =
            self.add_security_group("default", "default VPC security group", &id);
        let within = super::SecurityGroupRule {
            id: self.ids.ec2("sgr"),
            permission: super::Permission {
                egress: false,
                protocol: "-1".to_owned(),
                from_port: None,
                to_port: None,
                peer: super::Peer::Group(default_security_group.clone()),
            },
            description: None,
        };
        if let Some(group) = self.security_groups.get_mut(&default_security_group) {
            group.rules.push(within);
        }
        let main_route_table = self.add_route_table(&id);
        let vpc = Vpc {
            id: id.clone(),
            cidr,
            ipv6_cidr: None,
            default_security_group,
            main_route_table,
        };
        self.vpcs.insert(id.clone(), vpc);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// CreateSubnet.
    pub fn create_subnet(
        &mut self,
        vpc_id: &str,
        cidr: &str,
        zone: Option<&str>,
        tags: &[(String, String)],
    ) -> Answer<String> {
        let vpc = self.vpcs.get(vpc_id).ok_or_else(|| vpc_not_found(vpc_id))?;
        let cidr = parse_cidr(cidr)?;
        if !vpc.cidr.contains(&cidr) || cidr.prefix_len() > 28 {
            return Err(Refusal::new(
                "InvalidSubnet.Range",
                format!("The CIDR '{cidr}' is invalid."),
            ));
        }
        let overlaps = self.subnets.values().any(|other| {
            other.vpc_id == vpc_id && (other.cidr.contains(&cidr) || cidr.contains(&other.cidr))
        });
        if overlaps {
            return Err(Refusal::new(
                "InvalidSubnet.Conflict",
                format!("The CIDR '{cidr}' conflicts with another subnet"),
            ));
        }
        let zone = match zone {
            Some(name) => self
                .availability_zones
                .iter()
                .find(|zone| zone.name == name || zone.id == name),
            None => self.availability_zones.first(),
        };
        let availability_zone = zone
            .ok_or_else(|| Refusal::parameter("Value for parameter availabilityZone is invalid."))?
            .name
            .clone();
        let tags = self.checked_ec2_tags(tags)?;
        let subnet = Subnet {
            id: self.ids.ec2("subnet"),
            vpc_id: vpc_id.to_owned(),
            availability_zone,
            cidr,
            ipv6_cidr: None,
            taken: BTreeMap::new(),
            cursor: 0,
        };
        let id = subnet.id.clone();
        self.subnets.insert(id.clone(), subnet);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// CreateInternetGateway.
    pub fn create_internet_gateway(&mut self, tags: &[(String, String)]) -> Answer<String> {
        let tags = self.checked_ec2_tags(tags)?;
        let id = self.ids.ec2("igw");
        let gateway = InternetGateway {
            id: id.clone(),
            vpc_id: None,
        };
        self.internet_gateways.insert(id.clone(), gateway);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// AttachInternetGateway.
    pub fn attach_internet_gateway(&mut self, id: &str, vpc_id: &str) -> Answer<()> {
        if !self.vpcs.contains_key(vpc_id) {
            return Err(vpc_not_found(vpc_id));
        }
        let taken = self
            .internet_gateways
            .values()
            .any(|other| other.vpc_id.as_deref() == Some(vpc_id));
        let gateway = self.internet_gateways.get_mut(id).ok_or_else(|| {
            Refusal::new(
                "InvalidInternetGatewayID.NotFound",
                format!("The internetGateway ID '{id}' does not exist"),
            )
        })?;
        if gateway.vpc_id.is_some() || taken {
            return Err(Refusal::new(
                "Resource.AlreadyAssociated",
                format!("resource {id} or {vpc_id} is already attached"),
            ));
        }
        gateway.vpc_id = Some(vpc_id.to_owned());
        Ok(())
    }

    /// CreateRouteTable.
    pub fn create_route_table(
        &mut self,
        vpc_id: &str,
        tags: &[(String, String)],
    ) -> Answer<String> {
        if !self.vpcs.contains_key(vpc_id) {
            return Err(vpc_not_found(vpc_id));
        }
        let tags = self.checked_ec2_tags(tags)?;
        let id = self.add_route_table(vpc_id);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    fn add_route_table(&mut self, vpc_id: &str) -> String {
        let id = self.ids.ec2("rtb");
        let table = RouteTable {
            id: id.clone(),
            vpc_id: vpc_id.to_owned(),
            routes: Vec::new(),
            associations: Vec::new(),
        };
        self.route_tables.insert(id.clone(), table);
        id
    }

    /// CreateRoute.
    pub fn create_route(&mut self, table: &str, destination: &str, gateway: &str) -> Answer<()> {
        let destination = destination
            .parse::<IpNet>()
            .map_err(|_| bad_cidr(destination))?
            .trunc();
        let known = self.internet_gateways.contains_key(gateway) || gateway.starts_with("nat-");
        if !known {
            return Err(Refusal::new(
                "InvalidGatewayID.NotFound",
                format!("The gateway ID '{gateway}' does not exist"),
            ));
        }
        let table = self
            .route_tables
            .get_mut(table)
            .ok_or_else(|| table_not_found(table))?;
        if table
            .routes
            .iter()
            .any(|route| route.destination == destination)
        {
            return Err(Refusal::new(
                "RouteAlreadyExists",
                format!("The route identified by {destination} already exists."),
            ));
        }
        table.routes.push(Route {
            destination,
            gateway_id: gateway.to_owned(),
        });
        Ok(())
    }

    /// AssociateRouteTable: answers the association's id.
    pub fn associate_route_table(&mut self, table: &str, subnet: &str) -> Answer<String> {
        if !self.subnets.contains_key(subnet) {
            return Err(subnet_not_found(subnet));
        }
        let taken = self
            .route_tables
            .values()
            .any(|table| table.associations.iter().any(|(_, id)| id == subnet));
        if taken {
            return Err(Refusal::new(
                "Resource.AlreadyAssociated",
                format!(
                    "the specified association for subnet {subnet} conflicts with an existing association"
                ),
            ));
        }
        let id = self.ids.ec2("rtbassoc");
        let table = self
            .route_tables
            .get_mut(table)
            .ok_or_else(|| table_not_found(table))?;
        table.associations.push((id.clone(), subnet.to_owned()));
        Ok(id)
    }
}

fn parse_cidr(text: &str) -> Answer<Ipv4Net> {
    let range = text.parse::<Ipv4Net>().map_err(|_| bad_cidr(text))?;
    Ok(range.trunc())
}

pub(super) fn bad_cidr(text: &str) -> Refusal {
    Refusal::parameter(format!(
        "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
    ))
}

pub(super) fn vpc_not_found(id: &str) -> Refusal {
    Refusal::new(
        "InvalidVpcID.NotFound",
        format!("The vpc ID '{id}' does not exist"),
    )
}

pub(super) fn subnet_not_found(id: &str) -> Refusal {
    Refusal::new(
        "InvalidSubnetID.NotFound",
        format!("The subnet ID '{id}' does not exist"),
    )
}

fn table_not_found(id: &str) -> Refusal {
    Refusal::new(
        "InvalidRouteTableID.NotFound",
        format!("The routeTable ID '{id}' does not exist"),
    )
}
