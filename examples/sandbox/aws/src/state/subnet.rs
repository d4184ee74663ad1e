//! Subnets and their addresses.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    Answer, Refusal, State,
    cidr::{conflict, overlap, parse_ipv4},
    ec2_id::{Kind, dependency},
};

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
    /// `subnet-cidr-assoc-…`, the id of the IPv6 range.
    pub ipv6_association: Option<String>,
    /// Outpost on which it lies.
    pub outpost_arn: Option<String>,
    /// Whether it is the zone's subnet of the default VPC.
    pub default_for_az: bool,
    /// Whether instances get a public address.
    pub map_public_ip: bool,
    /// Whether network interfaces get an IPv6 address.
    pub assign_ipv6: bool,
    /// Whether Amazon's name server makes IPv6 addresses of IPv4 ones.
    pub dns64: bool,
    /// Pool out of which instances get a customer-owned address.
    pub customer_owned_pool: Option<String>,
    /// Names of instances.
    pub hostnames: Hostnames,
    /// `aclassoc-…`, its association with the VPC's network ACL.
    pub acl_association: String,
    /// Addresses in use, prefixes included, with the network interface that has them.
    pub taken: BTreeMap<Ipv4Addr, String>,
    /// Where the search for a free address goes on.
    pub(super) cursor: u32,
}

/// How instances of a subnet are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostnames {
    /// `ip-name` or `resource-name`.
    pub kind: String,
    /// Whether the resource name has A records.
    pub a_record: bool,
    /// Whether the resource name has AAAA records.
    pub aaaa_record: bool,
}

impl Default for Hostnames {
    fn default() -> Self {
        Self {
            kind: "ip-name".to_owned(),
            a_record: false,
            aaaa_record: false,
        }
    }
}

/// What CreateSubnet asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSubnet {
    /// VPC.
    pub vpc_id: String,
    /// IPv4 range.
    pub cidr: String,
    /// IPv6 range.
    pub ipv6_cidr: Option<String>,
    /// Zone by name or id; one of AWS's choice if absent.
    pub zone: Option<String>,
    /// Outpost.
    pub outpost_arn: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// One change of ModifySubnetAttribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubnetChange {
    /// `MapPublicIpOnLaunch`.
    MapPublicIp(bool),
    /// `AssignIpv6AddressOnCreation`.
    AssignIpv6(bool),
    /// `EnableDns64`.
    Dns64(bool),
    /// `PrivateDnsHostnameTypeOnLaunch`.
    HostnameType(String),
    /// `EnableResourceNameDnsARecordOnLaunch`.
    ARecord(bool),
    /// `EnableResourceNameDnsAAAARecordOnLaunch`.
    AaaaRecord(bool),
    /// `MapCustomerOwnedIpOnLaunch` with the pool.
    CustomerOwned(bool, Option<String>),
}

/// Addresses of every subnet that are AWS's own, the last one besides.
const RESERVED: u32 = 4;

impl Subnet {
    /// Whether an address is in one of its ranges.
    pub fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.cidr.contains(&v4),
            IpAddr::V6(v6) => self.ipv6_cidr.is_some_and(|range| range.contains(&v6)),
        }
    }

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
            let address = Ipv4Addr::from(base + RESERVED + offset);
            if !self.taken.contains_key(&address) {
                self.cursor = (offset + 1) % usable;
                self.taken.insert(address, holder.to_owned());
                return Ok(address);
            }
        }
        Err(self.full())
    }

    fn full(&self) -> Refusal {
        Refusal::new(
            "InsufficientFreeAddressesInSubnet",
            format!(
                "There are not enough free addresses in subnet '{}' to satisfy the requested number of instances.",
                self.id
            ),
        )
    }

    /// Takes the given address.
    pub(super) fn take_this(&mut self, address: Ipv4Addr, holder: &str) -> Answer<()> {
        if !self.cidr.contains(&address) {
            return Err(Refusal::parameter(format!(
                "Address {address} does not fall within the subnet's address range"
            )));
        }
        let offset = u32::from(address) - u32::from(self.cidr.network());
        let size = 1_u32 << (32 - self.cidr.prefix_len());
        if offset < RESERVED || offset >= size - 1 {
            return Err(Refusal::parameter(format!(
                "Address {address} is in subnet's reserved address range"
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

    /// Takes a whole /28 for a network interface: the given one, or the first
    /// that is free.
    pub(super) fn take_prefix(&mut self, wish: Option<Ipv4Net>, holder: &str) -> Answer<Ipv4Net> {
        let fits = |prefix: &Ipv4Net| {
            let free = prefix
                .hosts()
                .chain([prefix.network(), prefix.broadcast()])
                .all(|address| !self.taken.contains_key(&address));
            let first = u32::from(prefix.network()) - u32::from(self.cidr.network());
            free && first >= 16 && prefix.broadcast() != self.cidr.broadcast()
        };
        let prefix = match wish {
            Some(prefix) => {
                if prefix.prefix_len() != 28
                    || prefix != prefix.trunc()
                    || !self.cidr.contains(&prefix)
                {
                    return Err(Refusal::parameter(format!(
                        "The prefix {prefix} is not a /28 of the subnet's address range"
                    )));
                }
                if !fits(&prefix) {
                    return Err(Refusal::new(
                        "InvalidIPAddress.InUse",
                        format!("The prefix {prefix} is in use."),
                    ));
                }
                prefix
            }
            None => self
                .cidr
                .subnets(28)
                .ok()
                .and_then(|mut prefixes| prefixes.find(fits))
                .ok_or_else(|| self.full())?,
        };
        for address in prefix.hosts().chain([prefix.network(), prefix.broadcast()]) {
            self.taken.insert(address, holder.to_owned());
        }
        Ok(prefix)
    }

    /// An IPv6 address that is not among `held` nor in a delegated prefix,
    /// made from `seed`.
    pub(super) fn ipv6_address(
        &self,
        seed: u64,
        held: &[Ipv6Addr],
        prefixes: &[Ipv6Net],
    ) -> Answer<Ipv6Addr> {
        let range = self.need_ipv6()?;
        let base = u128::from(range.network());
        (0..u128::from(u16::MAX))
            .map(|step| Ipv6Addr::from(base + ((u128::from(seed) + step) & (u128::MAX >> 65))))
            .find(|address| {
                !held.contains(address) && !prefixes.iter().any(|prefix| prefix.contains(address))
            })
            .ok_or_else(|| self.full())
    }

    /// The IPv6 range, or the refusal of a call that needs one.
    pub(super) fn need_ipv6(&self) -> Answer<Ipv6Net> {
        self.ipv6_cidr.ok_or_else(|| {
            Refusal::parameter(format!(
                "The subnet {} does not have any IPv6 CIDR associated with it.",
                self.id
            ))
        })
    }
}

impl State {
    /// A subnet by id, or `InvalidSubnetID.NotFound`.
    pub fn subnet(&self, id: &str) -> Answer<&Subnet> {
        Kind::Subnet.find(&self.subnets, id)
    }

    /// The subnet of a VPC whose range holds an address.
    pub fn subnet_of_address(&self, vpc_id: &str, address: &str) -> Option<&Subnet> {
        let address: IpAddr = address.parse().ok()?;
        self.subnets_of(vpc_id).find(|subnet| subnet.holds(address))
    }

    /// The subnets of a VPC, by id.
    pub fn subnets_of(&self, vpc_id: &str) -> impl Iterator<Item = &Subnet> {
        let ids = self.vpcs.get(vpc_id).map(|vpc| &vpc.subnets);
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.subnets.get(id))
    }

    /// CreateSubnet with nothing but a range, a zone and tags; answers the id.
    pub fn create_subnet(
        &mut self,
        vpc_id: &str,
        cidr: &str,
        zone: Option<&str>,
        tags: &[(String, String)],
    ) -> Answer<String> {
        self.make_subnet(&NewSubnet {
            vpc_id: vpc_id.to_owned(),
            cidr: cidr.to_owned(),
            zone: zone.map(str::to_owned),
            tags: tags.to_vec(),
            ..NewSubnet::default()
        })
    }

    /// CreateSubnet; answers the id.
    pub fn make_subnet(&mut self, new: &NewSubnet) -> Answer<String> {
        let vpc = self.vpc(&new.vpc_id)?;
        let cidr = parse_ipv4(&new.cidr)?;
        let inside = vpc.cidrs.iter().any(|own| own.range.contains(&cidr));
        if !inside || !(16..=28).contains(&cidr.prefix_len()) {
            return Err(Refusal::new(
                "InvalidSubnet.Range",
                format!("The CIDR '{}' is invalid.", new.cidr),
            ));
        }
        let siblings = &vpc.subnets;
        if self
            .subnets_of(&new.vpc_id)
            .any(|other| overlap(other.cidr, cidr))
        {
            return Err(conflict(&new.cidr));
        }
        if siblings.len() >= self.quotas.limit("subnets-per-vpc") {
            return Err(Refusal::new(
                "SubnetLimitExceeded",
                "The maximum number of subnets has been reached.",
            ));
        }
        let availability_zone = self.zone_named(new.zone.as_deref())?;
        let ipv6_cidr = match &new.ipv6_cidr {
            Some(cidr) => Some(self.subnet_ipv6(&new.vpc_id, cidr)?),
            None => None,
        };
        if let Some(arn) = &new.outpost_arn
            && !arn.contains(":outposts:")
        {
            return Err(Refusal::parameter(format!(
                "Value ({arn}) for parameter outpostArn is invalid."
            )));
        }
        let tags = self.checked_ec2_tags(&new.tags)?;
        let subnet = Subnet {
            id: self.ids.ec2("subnet"),
            vpc_id: new.vpc_id.clone(),
            availability_zone,
            cidr,
            ipv6_cidr,
            ipv6_association: ipv6_cidr.map(|_| self.ids.ec2("subnet-cidr-assoc")),
            outpost_arn: new.outpost_arn.clone(),
            default_for_az: false,
            map_public_ip: false,
            assign_ipv6: false,
            dns64: false,
            customer_owned_pool: None,
            hostnames: Hostnames::default(),
            acl_association: self.ids.ec2("aclassoc"),
            taken: BTreeMap::new(),
            cursor: 0,
        };
        let id = subnet.id.clone();
        if let Some(vpc) = self.vpcs.get_mut(&subnet.vpc_id) {
            vpc.subnets.insert(id.clone());
        }
        self.subnets.insert(id.clone(), subnet);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// A zone by name or id; the first one if none is named.
    fn zone_named(&self, zone: Option<&str>) -> Answer<String> {
        let zones = &self.availability_zones;
        let found = match zone {
            Some(name) => zones
                .iter()
                .find(|zone| zone.name == name || zone.id == name),
            None => zones.first(),
        };
        found.map(|zone| zone.name.clone()).ok_or_else(|| {
            let names: Vec<&str> = zones.iter().map(|zone| zone.name.as_str()).collect();
            Refusal::parameter(format!(
                "Value ({}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {}.",
                zone.unwrap_or_default(),
                names.join(", ")
            ))
        })
    }

    /// CreateDefaultSubnet: a /20 of the default VPC; answers the id.
    pub fn create_default_subnet(&mut self, zone: &str) -> Answer<String> {
        let zone = self.zone_named(Some(zone))?;
        let vpc = self.default_vpc().ok_or_else(|| {
            Refusal::new(
                "DefaultVpcDoesNotExist",
                "There is no default VPC for this account in this region.",
            )
        })?;
        let (vpc_id, range) = (vpc.id.clone(), vpc.cidr);
        let taken = |cidr: &Ipv4Net| {
            self.subnets_of(&vpc_id)
                .any(|other| overlap(other.cidr, *cidr))
        };
        let present = self
            .subnets
            .values()
            .any(|subnet| subnet.default_for_az && subnet.availability_zone == zone);
        if present {
            return Err(Refusal::new(
                "DefaultSubnetAlreadyExistsInAvailabilityZone",
                format!("A default subnet already exists in {zone}."),
            ));
        }
        let cidr = range
            .subnets(20)
            .ok()
            .and_then(|mut ranges| ranges.find(|cidr| !taken(cidr)))
            .ok_or_else(|| conflict(&range.to_string()))?;
        let id = self.create_subnet(&vpc_id, &cidr.to_string(), Some(&zone), &[])?;
        if let Some(subnet) = self.subnets.get_mut(&id) {
            subnet.default_for_az = true;
            subnet.map_public_ip = true;
        }
        Ok(id)
    }

    /// ModifySubnetAttribute.
    pub fn modify_subnet(&mut self, id: &str, change: SubnetChange) -> Answer<()> {
        let subnet = Kind::Subnet.find_mut(&mut self.subnets, id)?;
        let no_ipv6 = subnet.ipv6_cidr.is_none();
        let needs_ipv6 = |what: &str| {
            Refusal::parameter(format!(
                "Invalid value 'true' for {what}. Subnet must have an IPv6 CIDR block assigned to it."
            ))
        };
        match change {
            SubnetChange::MapPublicIp(value) => subnet.map_public_ip = value,
            SubnetChange::AssignIpv6(true) if no_ipv6 => {
                return Err(needs_ipv6("assignIpv6AddressOnCreation"));
            }
            SubnetChange::AssignIpv6(value) => subnet.assign_ipv6 = value,
            SubnetChange::Dns64(true) if no_ipv6 => return Err(needs_ipv6("enableDns64")),
            SubnetChange::Dns64(value) => subnet.dns64 = value,
            SubnetChange::HostnameType(kind) => subnet.hostnames.kind = kind,
            SubnetChange::ARecord(value) => subnet.hostnames.a_record = value,
            SubnetChange::AaaaRecord(true) if no_ipv6 => {
                return Err(needs_ipv6("enableResourceNameDnsAAAARecordOnLaunch"));
            }
            SubnetChange::AaaaRecord(value) => subnet.hostnames.aaaa_record = value,
            SubnetChange::CustomerOwned(on, pool) => {
                if on && (subnet.outpost_arn.is_none() || pool.is_none()) {
                    return Err(Refusal::parameter(
                        "MapCustomerOwnedIpOnLaunch needs a subnet on an Outpost and a CustomerOwnedIpv4Pool",
                    ));
                }
                subnet.customer_owned_pool = pool.filter(|_| on);
            }
        }
        Ok(())
    }

    /// DeleteSubnet: refused while a network interface is in it.
    pub fn delete_subnet(&mut self, id: &str) -> Answer<()> {
        self.subnet(id)?;
        let used = self
            .network_interfaces
            .values()
            .any(|interface| interface.subnet_id == id);
        if used {
            return Err(dependency("subnet", id));
        }
        for table in self.route_tables.values_mut() {
            table.associations.retain(|(_, subnet)| subnet != id);
        }
        if let Some(subnet) = self.subnets.remove(id)
            && let Some(vpc) = self.vpcs.get_mut(&subnet.vpc_id)
        {
            vpc.subnets.remove(id);
        }
        self.tags.remove(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
