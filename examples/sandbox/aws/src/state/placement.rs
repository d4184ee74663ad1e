//! Where a load balancer may stand: checks on subnets, addresses, security
//! groups, names and address types.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::Ipv6Net;

use super::{
    Answer, LoadBalancer, Refusal, Scheme, State, Subnet, load_balancer::LoadBalancerKind,
};

/// What source NAT prefixes are when AWS chooses them.
const AUTO: &str = "auto_assigned";
/// Length of a source NAT prefix.
const PREFIX_BITS: u8 = 80;
/// A subnet needs this many free addresses.
const FREE_ADDRESSES: usize = 8;

/// A subnet of a load balancer with the addresses that are asked for in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubnetMapping {
    /// `subnet-…`.
    pub subnet_id: String,
    /// `eipalloc-…`, for public Network Load Balancers.
    pub allocation_id: Option<String>,
    /// Address out of the subnet, for private Network Load Balancers.
    pub private_ipv4: Option<String>,
    /// Address out of the subnet's IPv6 range, for Network Load Balancers.
    pub ipv6: Option<String>,
    /// A /80 out of the subnet's IPv6 range or `auto_assigned`, for Network
    /// Load Balancers.
    pub source_nat_prefix: Option<String>,
}

impl SubnetMapping {
    /// The mappings of a call that names either subnets or mappings.
    pub(super) fn all(subnets: &[String], mappings: &[Self]) -> Answer<Vec<Self>> {
        match (subnets.is_empty(), mappings.is_empty()) {
            (false, false) => Err(Refusal::validation(
                "You must specify either subnets or subnet mappings, but not both",
            )),
            (true, true) => Err(Refusal::validation(
                "You must specify either subnets or subnet mappings",
            )),
            (true, false) => Ok(mappings.to_vec()),
            (false, true) => Ok(subnets
                .iter()
                .map(|subnet| Self {
                    subnet_id: subnet.clone(),
                    ..Self::default()
                })
                .collect()),
        }
    }

    fn asks_for_addresses(&self) -> bool {
        [
            &self.allocation_id,
            &self.private_ipv4,
            &self.ipv6,
            &self.source_nat_prefix,
        ]
        .into_iter()
        .any(Option::is_some)
    }
}

/// The addresses that were asked for in one zone of a Network Load Balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneAddresses {
    /// Allocated address with its id.
    pub allocated: Option<(String, Ipv4Addr)>,
    /// Address out of the subnet.
    pub private_ipv4: Option<Ipv4Addr>,
    /// Address out of the subnet's IPv6 range.
    pub ipv6: Option<Ipv6Addr>,
    /// Prefix for source NAT.
    pub source_nat_prefix: Option<Ipv6Net>,
}

impl ZoneAddresses {
    /// Whether these are the addresses that a mapping asks for.
    pub(super) fn fit(&self, mapping: &SubnetMapping) -> bool {
        let allocation = self.allocated.as_ref().map(|(id, _)| id);
        let prefix = mapping.source_nat_prefix.as_deref();
        allocation == mapping.allocation_id.as_ref()
            && self.private_ipv4 == mapping.private_ipv4.as_ref().and_then(|a| a.parse().ok())
            && self.ipv6 == mapping.ipv6.as_ref().and_then(|a| a.parse().ok())
            && (prefix.is_none_or(|prefix| prefix == AUTO)
                || self.source_nat_prefix == prefix.and_then(|prefix| prefix.parse().ok()))
    }
}

/// What a load balancer is to be where.
pub(super) struct Wanted<'a> {
    pub kind: LoadBalancerKind,
    pub scheme: Scheme,
    pub ip_address_type: &'a str,
    pub source_nat: bool,
    pub mappings: &'a [SubnetMapping],
    /// The load balancer that is changed, if it exists already.
    pub held: Option<&'a LoadBalancer>,
}

/// A set of subnets that passed all checks.
pub(super) struct Placement {
    /// Their VPC.
    pub vpc_id: String,
    /// Zone name to subnet id.
    pub subnets: BTreeMap<String, String>,
    /// Addresses that were asked for, by zone name.
    pub addresses: BTreeMap<String, ZoneAddresses>,
}

impl State {
    /// Checks a set of subnets as CreateLoadBalancer and SetSubnets do.
    pub(super) fn place(&self, wanted: &Wanted) -> Answer<Placement> {
        let mut subnets = BTreeMap::new();
        let mut addresses: BTreeMap<String, ZoneAddresses> = BTreeMap::new();
        let mut vpc_id: Option<&str> = None;
        for mapping in wanted.mappings {
            let id = &mapping.subnet_id;
            let subnet = self.subnets.get(id).ok_or_else(|| {
                Refusal::new(
                    "SubnetNotFound",
                    format!("The subnet ID '{id}' does not exist"),
                )
            })?;
            if vpc_id.is_some_and(|vpc| vpc != subnet.vpc_id) {
                return Err(configuration("The subnets must all be in the same VPC"));
            }
            vpc_id = Some(&subnet.vpc_id);
            let zone = subnet.availability_zone.clone();
            if subnets.insert(zone.clone(), id.clone()).is_some() {
                return Err(configuration(
                    "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
                ));
            }
            let held = wanted
                .held
                .filter(|balancer| balancer.subnets.get(&zone) == Some(id));
            if held.is_none() && subnet.free_addresses() < FREE_ADDRESSES {
                return Err(Refusal::new(
                    "InvalidSubnet",
                    format!(
                        "Not enough IP space available in {id}. ELB requires at least {FREE_ADDRESSES} free IP addresses in each subnet."
                    ),
                ));
            }
            if wanted.ip_address_type != "ipv4" && subnet.ipv6_cidr.is_none() {
                return Err(no_ipv6());
            }
            let of_zone = self.zone_addresses(wanted, mapping, subnet, held)?;
            let allocation = |of: &ZoneAddresses| of.allocated.as_ref().map(|(id, _)| id.clone());
            if let Some(id) = allocation(&of_zone)
                && addresses
                    .values()
                    .any(|other| allocation(other).as_ref() == Some(&id))
            {
                return Err(configuration(&format!(
                    "The allocation ID '{id}' was specified more than once"
                )));
            }
            if of_zone != ZoneAddresses::default() {
                addresses.insert(zone, of_zone);
            }
        }
        let vpc_id = vpc_id.unwrap_or_default().to_owned();
        if wanted.kind == LoadBalancerKind::Application && subnets.len() < 2 {
            return Err(Refusal::validation(
                "At least two subnets in two different Availability Zones must be specified",
            ));
        }
        let attached = self
            .internet_gateways
            .values()
            .any(|gateway| gateway.vpc_id.as_deref() == Some(vpc_id.as_str()));
        if wanted.scheme == Scheme::InternetFacing && !attached {
            return Err(Refusal::new(
                "InvalidSubnet",
                format!("VPC {vpc_id} has no internet gateway"),
            ));
        }
        Ok(Placement {
            vpc_id,
            subnets,
            addresses,
        })
    }

    /// The addresses in one zone: those that are asked for, else those that
    /// the load balancer has there.
    fn zone_addresses(
        &self,
        wanted: &Wanted,
        mapping: &SubnetMapping,
        subnet: &Subnet,
        held: Option<&LoadBalancer>,
    ) -> Answer<ZoneAddresses> {
        if wanted.kind == LoadBalancerKind::Application {
            if mapping.asks_for_addresses() {
                return Err(configuration(
                    "Addresses cannot be specified for load balancers of type 'application'",
                ));
            }
            return Ok(ZoneAddresses::default());
        }
        let before = held.map(|balancer| {
            let of_zone = balancer.addresses.get(&subnet.availability_zone);
            of_zone.cloned().unwrap_or_default()
        });
        let mut after = before.clone().unwrap_or_default();
        if wanted.ip_address_type == "ipv4" {
            after.ipv6 = None;
        }
        if let Some(id) = &mapping.allocation_id {
            if wanted.scheme == Scheme::Internal {
                return Err(configuration(
                    "Elastic IP addresses can only be specified for internet-facing load balancers",
                ));
            }
            let same = after.allocated.as_ref().is_some_and(|(had, _)| had == id);
            if !same {
                after.allocated = Some((id.clone(), self.unused_allocation(id)?));
            }
        }
        if let Some(text) = &mapping.private_ipv4 {
            if wanted.scheme == Scheme::InternetFacing {
                return Err(configuration(
                    "Private IPv4 addresses can only be specified for internal load balancers",
                ));
            }
            let address = text.parse().map_err(|_| {
                Refusal::validation(format!("'{text}' is not a valid IPv4 address"))
            })?;
            if after.private_ipv4 != Some(address) {
                check_private(subnet, address)?;
                after.private_ipv4 = Some(address);
            }
        }
        if let Some(text) = &mapping.ipv6 {
            let address = text.parse().map_err(|_| {
                Refusal::validation(format!("'{text}' is not a valid IPv6 address"))
            })?;
            if after.ipv6 != Some(address) {
                self.check_ipv6(wanted, subnet, address)?;
                after.ipv6 = Some(address);
            }
        }
        after.source_nat_prefix = source_nat_prefix(wanted, mapping, subnet, &after)?;
        // Nodes keep their addresses for as long as they exist.
        let fixed = |of: &ZoneAddresses| (of.allocated.clone(), of.private_ipv4);
        if before.is_some_and(|before| fixed(&before) != fixed(&after)) {
            return Err(configuration(&format!(
                "The addresses of the load balancer in subnet '{}' cannot be changed",
                subnet.id
            )));
        }
        Ok(after)
    }

    fn check_ipv6(&self, wanted: &Wanted, subnet: &Subnet, address: Ipv6Addr) -> Answer<()> {
        if wanted.ip_address_type != "dualstack" {
            return Err(configuration(
                "The IP address type must be 'dualstack' to specify IPv6 addresses",
            ));
        }
        if !subnet
            .ipv6_cidr
            .is_some_and(|range| range.contains(&address))
        {
            return Err(configuration(&format!(
                "The IPv6 address '{address}' is not in the range of subnet '{}'",
                subnet.id
            )));
        }
        let taken = self
            .network_interfaces
            .values()
            .any(|interface| interface.ipv6_addresses.contains(&address));
        if taken {
            return Err(in_use(&address.to_string()));
        }
        Ok(())
    }

    /// Security groups of a load balancer. If none is given, an Application
    /// Load Balancer gets the VPC's default one.
    pub(super) fn checked_groups(
        &self,
        ids: &[String],
        kind: LoadBalancerKind,
        vpc_id: &str,
    ) -> Answer<BTreeSet<String>> {
        let mut groups: BTreeSet<String> = ids.iter().cloned().collect();
        if groups.is_empty() && kind == LoadBalancerKind::Application {
            groups.extend(
                self.vpcs
                    .get(vpc_id)
                    .map(|vpc| vpc.default_security_group.clone()),
            );
        }
        for id in &groups {
            if !id.starts_with("sg-") {
                return Err(Refusal::validation(format!(
                    "Security group '{id}' is not valid"
                )));
            }
            let group = self.security_groups.get(id).ok_or_else(|| {
                Refusal::new(
                    "InvalidSecurityGroup",
                    format!("One or more security groups are invalid: the security group '{id}' does not exist"),
                )
            })?;
            if group.vpc_id != vpc_id {
                return Err(configuration(&format!(
                    "One or more security groups are invalid: the security group '{id}' does not belong to VPC '{vpc_id}'"
                )));
            }
        }
        let most = self.quotas.limit("security-groups-per-network-interface");
        if groups.len() > most {
            return Err(configuration(&format!(
                "A load balancer can have at most {most} security groups"
            )));
        }
        Ok(groups)
    }
}

/// Refuses an address that a network interface in a subnet cannot get.
fn check_private(subnet: &Subnet, address: Ipv4Addr) -> Answer<()> {
    match subnet.clone().take_this(address, "") {
        Ok(()) => Ok(()),
        Err(_) if subnet.taken.contains_key(&address) => Err(in_use(&address.to_string())),
        Err(_) => Err(configuration(&format!(
            "The private IPv4 address '{address}' is not in the range of subnet '{}'",
            subnet.id
        ))),
    }
}

/// The prefix for source NAT in one zone.
fn source_nat_prefix(
    wanted: &Wanted,
    mapping: &SubnetMapping,
    subnet: &Subnet,
    had: &ZoneAddresses,
) -> Answer<Option<Ipv6Net>> {
    if !wanted.source_nat {
        if mapping.source_nat_prefix.is_some() {
            return Err(configuration(
                "IPv6 prefixes for source NAT can only be specified when they are enabled",
            ));
        }
        return Ok(None);
    }
    let Some(range) = subnet.ipv6_cidr else {
        return Err(no_ipv6());
    };
    match mapping.source_nat_prefix.as_deref() {
        None | Some(AUTO) => Ok(had.source_nat_prefix.or_else(|| {
            // The last /80 of the subnet, far from where addresses are given out.
            Ipv6Net::new(range.broadcast(), PREFIX_BITS)
                .ok()
                .map(|prefix| prefix.trunc())
        })),
        Some(text) => text
            .parse::<Ipv6Net>()
            .ok()
            .filter(|prefix| prefix.prefix_len() == PREFIX_BITS && range.contains(prefix))
            .filter(|prefix| *prefix == prefix.trunc())
            .map(Some)
            .ok_or_else(|| {
                configuration(&format!(
                    "The IPv6 prefix '{text}' is not a /{PREFIX_BITS} of subnet '{}'",
                    subnet.id
                ))
            }),
    }
}

fn configuration(text: &str) -> Refusal {
    Refusal::new("InvalidConfigurationRequest", text)
}

fn in_use(what: &str) -> Refusal {
    Refusal::new(
        "ResourceInUse",
        format!("The address '{what}' is not available for use"),
    )
}

/// The refusal of subnets without IPv6 range.
pub(super) fn no_ipv6() -> Refusal {
    Refusal::validation("You must specify subnets with an associated IPv6 CIDR block.")
}

/// Refuses address types that do not exist, or not for this load balancer.
pub(super) fn check_address_type(kind: LoadBalancerKind, scheme: Scheme, text: &str) -> Answer<()> {
    match (text, kind, scheme) {
        ("ipv4" | "dualstack", ..)
        | (
            "dualstack-without-public-ipv4",
            LoadBalancerKind::Application,
            Scheme::InternetFacing,
        ) => Ok(()),
        ("dualstack-without-public-ipv4", ..) => Err(configuration(&format!(
            "The IP address type '{text}' is only supported for internet-facing load balancers of type 'application'"
        ))),
        _ => Err(Refusal::validation(format!(
            "The IP address type '{text}' is not valid"
        ))),
    }
}

/// Refuses names that a load balancer cannot have.
pub(super) fn check_name(name: &str) -> Answer<()> {
    check_elb_name("load balancer", name)?;
    if name.starts_with("internal-") {
        return Err(Refusal::validation(format!(
            "The load balancer name '{name}' cannot begin with 'internal-'"
        )));
    }
    Ok(())
}

/// The rules that names of load balancers and target groups share.
pub(super) fn check_elb_name(what: &str, name: &str) -> Answer<()> {
    if name.chars().count() > 32 {
        return Err(Refusal::validation(format!(
            "The {what} name '{name}' cannot be longer than '32' characters"
        )));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(Refusal::validation(format!(
            "The {what} name '{name}' cannot begin or end with a hyphen"
        )));
    }
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(Refusal::validation(format!(
            "The {what} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
        )));
    }
    Ok(())
}
