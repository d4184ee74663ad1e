//! Route tables, their routes and associations.

use ipnet::IpNet;

use super::{
    Answer, Refusal, State,
    cidr::bad_cidr,
    ec2_id::{Kind, combination, dependency},
};

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// VPC that it belongs to.
    pub vpc_id: String,
    /// Routes besides the local ones.
    pub routes: Vec<Route>,
    /// Associations: their ids and the subnets or gateways; the main one apart.
    pub associations: Vec<(String, String)>,
}

/// A route of a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: Destination,
    /// Through what.
    pub target: RouteTarget,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A range.
    Range(IpNet),
    /// The ranges of a managed prefix list.
    PrefixList(String),
}

/// Through what a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTarget {
    /// An internet gateway.
    Gateway(String),
    /// A NAT gateway.
    NatGateway(String),
    /// An egress-only internet gateway.
    EgressOnlyGateway(String),
    /// A network interface.
    Interface(String),
    /// A VPC peering connection.
    Peering(String),
}

/// A route as a caller spells it: each text as given, one destination and one
/// target of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRoute {
    /// `DestinationCidrBlock`.
    pub cidr: Option<String>,
    /// `DestinationIpv6CidrBlock`.
    pub ipv6_cidr: Option<String>,
    /// `DestinationPrefixListId`.
    pub prefix_list: Option<String>,
    /// `GatewayId`.
    pub gateway: Option<String>,
    /// `NatGatewayId`.
    pub nat_gateway: Option<String>,
    /// `EgressOnlyInternetGatewayId`.
    pub egress_only_gateway: Option<String>,
    /// `InstanceId`.
    pub instance: Option<String>,
    /// `NetworkInterfaceId`.
    pub interface: Option<String>,
    /// `VpcPeeringConnectionId`.
    pub peering: Option<String>,
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::PrefixList(id) => id.fmt(f),
        }
    }
}

impl NewRoute {
    /// The one destination.
    pub(super) fn destination(&self) -> Answer<Destination> {
        let texts = [&self.cidr, &self.ipv6_cidr, &self.prefix_list];
        if texts.iter().filter(|text| text.is_some()).count() > 1 {
            return Err(combination(
                "Only one of destinationCidrBlock, destinationIpv6CidrBlock and destinationPrefixListId may be specified",
            ));
        }
        if let Some(text) = &self.cidr {
            let range: ipnet::Ipv4Net = text.parse().map_err(|_| {
                Refusal::parameter(format!(
                    "Value ({text}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block."
                ))
            })?;
            return Ok(Destination::Range(range.trunc().into()));
        }
        if let Some(text) = &self.ipv6_cidr {
            let range: ipnet::Ipv6Net = text.parse().map_err(|_| {
                Refusal::parameter(format!(
                    "Value ({text}) for parameter destinationIpv6CidrBlock is invalid. This is not a valid IPv6 CIDR block."
                ))
            })?;
            return Ok(Destination::Range(range.trunc().into()));
        }
        if let Some(id) = &self.prefix_list {
            return Ok(Destination::PrefixList(id.clone()));
        }
        Err(Refusal::new(
            "MissingParameter",
            "The request must contain the parameter destinationCidrBlock",
        ))
    }
}

impl State {
    /// A route table by id, or `InvalidRouteTableID.NotFound`.
    pub fn route_table(&self, id: &str) -> Answer<&RouteTable> {
        Kind::RouteTable.find(&self.route_tables, id)
    }

    /// Whether a route table is the main one of its VPC.
    pub fn is_main(&self, table: &RouteTable) -> bool {
        self.vpcs
            .get(&table.vpc_id)
            .is_some_and(|vpc| vpc.main_route_table == table.id)
    }

    /// CreateRouteTable; answers the id.
    pub fn create_route_table(
        &mut self,
        vpc_id: &str,
        tags: &[(String, String)],
    ) -> Answer<String> {
        self.vpc(vpc_id)?;
        let tags = self.checked_ec2_tags(tags)?;
        let count = self
            .route_tables
            .values()
            .filter(|table| table.vpc_id == vpc_id)
            .count();
        if count >= self.quotas.limit("route-tables-per-vpc") {
            return Err(Refusal::new(
                "RouteTableLimitExceeded",
                "The maximum number of route tables has been reached.",
            ));
        }
        let id = self.add_route_table(vpc_id);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    pub(super) fn add_route_table(&mut self, vpc_id: &str) -> String {
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

    /// DeleteRouteTable: refused for a main one and while something uses it.
    pub fn delete_route_table(&mut self, id: &str) -> Answer<()> {
        let table = self.route_table(id)?;
        if self.is_main(table) || !table.associations.is_empty() {
            return Err(dependency("routeTable", id));
        }
        self.route_tables.remove(id);
        self.tags.remove(id);
        Ok(())
    }

    /// The ranges that every table of a VPC reaches without a route.
    pub fn local_ranges(&self, vpc_id: &str) -> Vec<IpNet> {
        let Some(vpc) = self.vpcs.get(vpc_id) else {
            return Vec::new();
        };
        let ipv4 = vpc.cidrs.iter().map(|own| IpNet::from(own.range));
        let ipv6 = vpc.ipv6.iter().map(|own| IpNet::from(own.range));
        ipv4.chain(ipv6).collect()
    }

    /// Whether what a route leads through is there.
    pub fn is_active(&self, route: &Route, vpc_id: &str) -> bool {
        match &route.target {
            RouteTarget::Gateway(id) => self
                .internet_gateways
                .get(id)
                .is_some_and(|gateway| gateway.vpc_id.as_deref() == Some(vpc_id)),
            RouteTarget::NatGateway(id) => self.nat_gateways.get(id).is_some_and(|gateway| {
                !matches!(
                    gateway.state,
                    super::gateway::NatState::Deleting | super::gateway::NatState::Deleted
                )
            }),
            RouteTarget::EgressOnlyGateway(id) => self.egress_only_gateways.contains_key(id),
            RouteTarget::Interface(id) => self
                .network_interfaces
                .get(id)
                .is_some_and(|interface| interface.attachment.is_some()),
            RouteTarget::Peering(id) => self
                .peerings
                .get(id)
                .is_some_and(|peering| peering.status == super::peering::Status::Active),
        }
    }

    /// CreateRoute through a gateway to the internet.
    pub fn create_route(&mut self, table: &str, destination: &str, gateway: &str) -> Answer<()> {
        let mut new = NewRoute::default();
        match destination
            .parse::<IpNet>()
            .map_err(|_| bad_cidr(destination))?
        {
            IpNet::V4(_) => new.cidr = Some(destination.to_owned()),
            IpNet::V6(_) => new.ipv6_cidr = Some(destination.to_owned()),
        }
        if gateway.starts_with("nat-") {
            new.nat_gateway = Some(gateway.to_owned());
        } else {
            new.gateway = Some(gateway.to_owned());
        }
        self.add_route(table, &new)
    }

    /// CreateRoute.
    pub fn add_route(&mut self, table_id: &str, new: &NewRoute) -> Answer<()> {
        let table = self.route_table(table_id)?;
        let destination = new.destination()?;
        let target = self.route_target(table, new, &destination)?;
        let present = table
            .routes
            .iter()
            .any(|route| route.destination == destination);
        let local = matches!(&destination, Destination::Range(range)
            if self.local_ranges(&table.vpc_id).contains(range));
        if present || local {
            return Err(Refusal::new(
                "RouteAlreadyExists",
                format!("The route identified by {destination} already exists."),
            ));
        }
        self.check_inner_route(table, &destination, &target)?;
        if table.routes.len() >= self.quotas.limit("routes-per-route-table") {
            return Err(Refusal::new(
                "RouteLimitExceeded",
                "The maximum number of routes has been reached.",
            ));
        }
        let table = Kind::RouteTable.find_mut(&mut self.route_tables, table_id)?;
        table.routes.push(Route {
            destination,
            target,
        });
        Ok(())
    }

    /// A route into the VPC itself may only lead through an interface.
    fn check_inner_route(
        &self,
        table: &RouteTable,
        destination: &Destination,
        target: &RouteTarget,
    ) -> Answer<()> {
        let Destination::Range(range) = destination else {
            return Ok(());
        };
        let inside = self
            .local_ranges(&table.vpc_id)
            .iter()
            .any(|own| own.contains(range));
        if inside && !matches!(target, RouteTarget::Interface(_)) {
            return Err(Refusal::parameter(format!(
                "The destination CIDR block {range} is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance."
            )));
        }
        Ok(())
    }

    /// The one target of a route, checked to exist and to be of the same VPC.
    fn route_target(
        &self,
        table: &RouteTable,
        new: &NewRoute,
        destination: &Destination,
    ) -> Answer<RouteTarget> {
        if let Destination::PrefixList(id) = destination {
            self.prefix_list(id)?;
        }
        let given = [
            &new.gateway,
            &new.nat_gateway,
            &new.egress_only_gateway,
            &new.instance,
            &new.interface,
            &new.peering,
        ];
        match given.iter().filter(|text| text.is_some()).count() {
            0 => {
                return Err(Refusal::new(
                    "MissingParameter",
                    "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, carrierGatewayId, instanceId",
                ));
            }
            1 => {}
            _ => return Err(combination("Only one target of a route may be specified")),
        }
        let stranger = |what: &str, id: &str| {
            Refusal::parameter(format!(
                "route table {} and {what} {id} belong to different networks",
                table.id
            ))
        };
        let same = |vpc_id: &str, what: &str, id: &str| {
            if vpc_id == table.vpc_id {
                Ok(())
            } else {
                Err(stranger(what, id))
            }
        };
        if let Some(id) = &new.gateway {
            let gateway = self.internet_gateways.get(id).ok_or_else(|| {
                Refusal::new(
                    "InvalidGatewayID.NotFound",
                    format!("The gateway ID '{id}' does not exist"),
                )
            })?;
            let vpc_id = gateway.vpc_id.as_deref().unwrap_or_default();
            same(vpc_id, "network gateway", id)?;
            return Ok(RouteTarget::Gateway(id.clone()));
        }
        if let Some(id) = &new.nat_gateway {
            let gateway = Kind::NatGateway.find(&self.nat_gateways, id)?;
            same(&gateway.vpc_id, "NAT gateway", id)?;
            return Ok(RouteTarget::NatGateway(id.clone()));
        }
        if let Some(id) = &new.egress_only_gateway {
            let gateway = Kind::EgressOnlyGateway.find(&self.egress_only_gateways, id)?;
            same(&gateway.vpc_id, "egress-only internet gateway", id)?;
            if matches!(destination, Destination::Range(IpNet::V4(_))) {
                return Err(Refusal::parameter(
                    "An egress-only internet gateway is a target of IPv6 routes only",
                ));
            }
            return Ok(RouteTarget::EgressOnlyGateway(id.clone()));
        }
        if let Some(id) = &new.peering {
            let peering = Kind::Peering.find(&self.peerings, id)?;
            if ![&peering.requester.vpc_id, &peering.accepter.vpc_id].contains(&&table.vpc_id) {
                return Err(stranger("VPC peering connection", id));
            }
            return Ok(RouteTarget::Peering(id.clone()));
        }
        let interface = match (&new.interface, &new.instance) {
            (Some(id), _) => self.network_interface(id)?,
            (None, instance) => self.only_interface(instance.as_deref().unwrap_or_default())?,
        };
        same(&interface.vpc_id, "interface", &interface.id)?;
        Ok(RouteTarget::Interface(interface.id.clone()))
    }

    /// ReplaceRoute: another target for a destination that is there.
    pub fn replace_route(&mut self, table_id: &str, new: &NewRoute) -> Answer<()> {
        let table = self.route_table(table_id)?;
        let destination = new.destination()?;
        let target = self.route_target(table, new, &destination)?;
        self.check_inner_route(table, &destination, &target)?;
        let table = Kind::RouteTable.find_mut(&mut self.route_tables, table_id)?;
        let route = table
            .routes
            .iter_mut()
            .find(|route| route.destination == destination)
            .ok_or_else(|| {
                Refusal::parameter(format!(
                    "There is no route defined for '{destination}' in the route table. Use CreateRoute instead."
                ))
            })?;
        route.target = target;
        Ok(())
    }

    /// DeleteRoute.
    pub fn delete_route(&mut self, table_id: &str, named: &NewRoute) -> Answer<()> {
        let table = self.route_table(table_id)?;
        let destination = named.destination()?;
        let local = matches!(&destination, Destination::Range(range)
            if self.local_ranges(&table.vpc_id).contains(range));
        if local {
            return Err(Refusal::parameter(format!(
                "cannot remove local route {destination} in route table {table_id}"
            )));
        }
        let table = Kind::RouteTable.find_mut(&mut self.route_tables, table_id)?;
        let before = table.routes.len();
        table
            .routes
            .retain(|route| route.destination != destination);
        if table.routes.len() == before {
            return Err(Refusal::new(
                "InvalidRoute.NotFound",
                format!(
                    "no route with destination-cidr-block {destination} in route table {table_id}"
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
