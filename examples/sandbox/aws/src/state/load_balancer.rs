//! Load balancers: their life from `provisioning` to the last network interface.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Answer, Refusal, State, Transition, arn, attributes,
    instance::{Attachment, NewInterface},
    listener::Listener,
    placement::{check_address_type, check_name, no_ipv6},
    regions::canonical_zone,
};

/// Who can reach a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Public addresses; the VPC needs an internet gateway.
    InternetFacing,
    /// Private addresses only.
    Internal,
}

impl Scheme {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InternetFacing => "internet-facing",
            Self::Internal => "internal",
        }
    }
}

/// `State.Code` of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadBalancerState {
    /// Made, not serving yet.
    Provisioning,
    /// Serving.
    Active,
}

impl LoadBalancerState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
        }
    }
}

/// An Application Load Balancer with all that hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadBalancer {
    /// `arn:…:loadbalancer/app/NAME/ID`.
    pub arn: String,
    /// Name, unique in account and region.
    pub name: String,
    /// `[internal-]NAME-DIGITS.REGION.elb.amazonaws.com`, in the name's letter case.
    pub dns_name: String,
    /// Zone id for Route 53 aliases, one per region.
    pub canonical_hosted_zone_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// Public or private.
    pub scheme: Scheme,
    /// VPC of its subnets.
    pub vpc_id: String,
    /// Provisioning or active.
    pub state: LoadBalancerState,
    /// Enabled zones: zone name to subnet id.
    pub subnets: BTreeMap<String, String>,
    /// Attached security groups.
    pub security_groups: BTreeSet<String>,
    /// `ipv4`, `dualstack` or `dualstack-without-public-ipv4`.
    pub ip_address_type: String,
    /// Every attribute that an Application Load Balancer has, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// Listeners by port.
    pub listeners: BTreeMap<u16, Listener>,
}

/// What CreateLoadBalancer asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLoadBalancer {
    /// Name.
    pub name: String,
    /// Subnet ids.
    pub subnets: Vec<String>,
    /// Security groups; empty for the VPC's default one.
    pub security_groups: Vec<String>,
    /// Scheme; public if not given.
    pub scheme: Option<String>,
    /// Address type; `ipv4` if not given.
    pub ip_address_type: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// A load balancer by ARN, or `LoadBalancerNotFound`; an ARN of another
    /// kind is a `ValidationError`.
    pub fn load_balancer(&self, arn: &str) -> Answer<&LoadBalancer> {
        check_kind(arn)?;
        self.load_balancers.get(arn).ok_or_else(|| not_found(arn))
    }

    pub(super) fn load_balancer_mut(&mut self, arn: &str) -> Answer<&mut LoadBalancer> {
        check_kind(arn)?;
        self.load_balancers
            .get_mut(arn)
            .ok_or_else(|| not_found(arn))
    }

    /// CreateLoadBalancer: answers the ARN. The same call again answers the
    /// load balancer that exists.
    pub fn create_load_balancer(&mut self, new: NewLoadBalancer, now: Timestamp) -> Answer<String> {
        check_name(&new.name)?;
        let scheme = match new.scheme.as_deref() {
            None | Some("internet-facing") => Scheme::InternetFacing,
            Some("internal") => Scheme::Internal,
            Some(other) => {
                return Err(Refusal::new(
                    "InvalidScheme",
                    format!("The scheme '{other}' is not valid"),
                ));
            }
        };
        let ip_address_type = new.ip_address_type.unwrap_or_else(|| "ipv4".to_owned());
        check_address_type(&ip_address_type)?;
        let tags = self.checked_tags(&new.tags)?;
        let placement = self.place(&new.subnets, scheme, &ip_address_type, &BTreeMap::new())?;
        let groups = self.checked_groups(&new.security_groups, &placement.vpc_id)?;

        if let Some(existing) = self.load_balancers.values().find(|b| b.name == new.name) {
            let same = existing.scheme == scheme
                && existing.subnets == placement.subnets
                && existing.security_groups == groups
                && existing.ip_address_type == ip_address_type
                && self.tags.get(&existing.arn).cloned().unwrap_or_default() == tags;
            if same {
                return Ok(existing.arn.clone());
            }
            return Err(Refusal::new(
                "DuplicateLoadBalancerName",
                format!(
                    "A load balancer with the same name '{}' exists, but with different settings",
                    new.name
                ),
            ));
        }
        if self.load_balancers.len() >= self.quotas.limit("application-load-balancers") {
            return Err(Refusal::new(
                "TooManyLoadBalancers",
                "The maximum number of load balancers has been reached",
            ));
        }

        let id = self.ids.hex(16);
        let arn = self.elb_arn(&format!("loadbalancer/app/{}/{id}", new.name));
        let prefix = match scheme {
            Scheme::Internal => "internal-",
            Scheme::InternetFacing => "",
        };
        let suffix = self.dns_suffix();
        let dns_name = format!(
            "{prefix}{}-{}.{}.elb.{suffix}",
            new.name,
            self.ids.digits(10),
            self.region
        );
        let mut attributes = attributes::defaults(&[attributes::LOAD_BALANCER]);
        if scheme == Scheme::Internal {
            attributes.insert("ipv6.deny_all_igw_traffic".to_owned(), "true".to_owned());
        }
        let balancer = LoadBalancer {
            arn: arn.clone(),
            name: new.name,
            dns_name,
            canonical_hosted_zone_id: canonical_zone(&self.region).to_owned(),
            created: now,
            scheme,
            vpc_id: placement.vpc_id,
            state: LoadBalancerState::Provisioning,
            subnets: placement.subnets.clone(),
            security_groups: groups,
            ip_address_type,
            attributes,
            listeners: BTreeMap::new(),
        };
        for subnet in placement.subnets.values() {
            self.add_balancer_interface(&balancer, subnet);
        }
        self.load_balancers.insert(arn.clone(), balancer);
        self.tags.insert(arn.clone(), tags);
        self.schedule(
            now,
            self.timing.provisioning_ms,
            Transition::LoadBalancerActive(arn.clone()),
        );
        Ok(arn)
    }

    /// SetSubnets: replaces the whole set, and the address type if one is given.
    pub fn set_subnets(
        &mut self,
        arn: &str,
        subnets: &[String],
        ip_address_type: Option<&str>,
        now: Timestamp,
    ) -> Answer<()> {
        let balancer = self.load_balancer(arn)?.clone();
        let address_type = ip_address_type.unwrap_or(&balancer.ip_address_type);
        check_address_type(address_type)?;
        let placement = self.place(subnets, balancer.scheme, address_type, &balancer.subnets)?;
        if placement.vpc_id != balancer.vpc_id {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!(
                    "The subnets must be in the VPC '{}' of the load balancer",
                    balancer.vpc_id
                ),
            ));
        }
        let leaving: Vec<String> = balancer
            .subnets
            .values()
            .filter(|subnet| !placement.subnets.values().any(|kept| kept == *subnet))
            .cloned()
            .collect();
        for subnet in placement.subnets.values() {
            if !balancer.subnets.values().any(|had| had == subnet) {
                self.add_balancer_interface(&balancer, subnet);
            }
        }
        let description = interface_description(&balancer.arn);
        let interfaces: Vec<String> = self
            .network_interfaces
            .values()
            .filter(|i| i.description == description && leaving.contains(&i.subnet_id))
            .map(|i| i.id.clone())
            .collect();
        self.let_go_of(interfaces, now);
        let ip_address_type = address_type.to_owned();
        let balancer = self.load_balancer_mut(arn)?;
        balancer.subnets = placement.subnets;
        balancer.ip_address_type = ip_address_type;
        Ok(())
    }

    /// SetSecurityGroups: replaces the whole set.
    pub fn set_security_groups(&mut self, arn: &str, groups: &[String]) -> Answer<()> {
        let vpc_id = self.load_balancer(arn)?.vpc_id.clone();
        if groups.is_empty() {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                "At least one security group must be specified",
            ));
        }
        let groups = self.checked_groups(groups, &vpc_id)?;
        let description = interface_description(arn);
        for interface in self.network_interfaces.values_mut() {
            if interface.description == description {
                interface.security_groups.clone_from(&groups);
            }
        }
        self.load_balancer_mut(arn)?.security_groups = groups;
        Ok(())
    }

    /// SetIpAddressType.
    pub fn set_ip_address_type(&mut self, arn: &str, address_type: &str) -> Answer<()> {
        check_address_type(address_type)?;
        let balancer = self.load_balancer(arn)?;
        for subnet in balancer.subnets.values() {
            if address_type != "ipv4"
                && self
                    .subnets
                    .get(subnet)
                    .is_some_and(|s| s.ipv6_cidr.is_none())
            {
                return Err(no_ipv6());
            }
        }
        address_type.clone_into(&mut self.load_balancer_mut(arn)?.ip_address_type);
        Ok(())
    }

    /// ModifyLoadBalancerAttributes.
    pub fn modify_load_balancer_attributes(
        &mut self,
        arn: &str,
        changes: &[(String, String)],
    ) -> Answer<()> {
        let balancer = self.load_balancer_mut(arn)?;
        let after = attributes::changed(
            "load balancer",
            &[attributes::LOAD_BALANCER],
            &balancer.attributes,
            changes,
        )?;
        attributes::check_load_balancer(&after)?;
        balancer.attributes = after;
        Ok(())
    }

    /// DeleteLoadBalancer: one that is unknown counts as deleted.
    pub fn delete_load_balancer(&mut self, arn: &str, now: Timestamp) -> Answer<()> {
        check_kind(arn)?;
        let Some(balancer) = self.load_balancers.get(arn) else {
            return Ok(());
        };
        if balancer
            .attributes
            .get("deletion_protection.enabled")
            .map(String::as_str)
            == Some("true")
        {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
                ),
            ));
        }
        let listeners: Vec<String> = balancer.listeners.values().map(|l| l.arn.clone()).collect();
        for listener in listeners {
            self.delete_listener(&listener)?;
        }
        self.load_balancers.remove(arn);
        self.tags.remove(arn);
        let description = interface_description(arn);
        let interfaces: Vec<String> = self
            .network_interfaces
            .values()
            .filter(|interface| interface.description == description)
            .map(|interface| interface.id.clone())
            .collect();
        self.let_go_of(interfaces, now);
        Ok(())
    }

    fn let_go_of(&mut self, interfaces: Vec<String>, now: Timestamp) {
        for id in interfaces {
            if let Some(interface) = self.network_interfaces.get_mut(&id) {
                interface.attachment = None;
            }
            self.schedule(
                now,
                self.timing.eni_release_ms,
                Transition::InterfaceGone(id),
            );
        }
    }

    fn add_balancer_interface(&mut self, balancer: &LoadBalancer, subnet_id: &str) {
        let new = NewInterface {
            subnet_id: subnet_id.to_owned(),
            description: interface_description(&balancer.arn),
            security_groups: balancer.security_groups.clone(),
            requester: Some("amazon-elb".to_owned()),
            public: balancer.scheme == Scheme::InternetFacing,
        };
        if let Ok(id) = self.add_interface(new)
            && let Some(interface) = self.network_interfaces.get_mut(&id)
        {
            interface.attachment = Some(Attachment {
                id: format!("eni-attach-{}", &id[4..]),
                instance_id: None,
                device_index: 1,
            });
        }
    }
}

/// `ELB app/NAME/ID`, the description of the network interfaces.
fn interface_description(arn: &str) -> String {
    let path = arn
        .split_once(":loadbalancer/")
        .map_or(arn, |(_, path)| path);
    format!("ELB {path}")
}

fn check_kind(arn: &str) -> Answer<()> {
    if arn::kind(arn) == Some(arn::Kind::LoadBalancer) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "'{arn}' is not a valid load balancer ARN"
    )))
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new(
        "LoadBalancerNotFound",
        format!("Load balancer '{arn}' not found"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::*;
    use crate::{Timing, World};

    #[test]
    fn a_zone_that_is_left_keeps_its_address_for_a_while() {
        let start = Timestamp::UNIX_EPOCH;
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let ids = World::default().build(&mut state, start).unwrap();
        let new = NewLoadBalancer {
            name: "web".to_owned(),
            subnets: ids.public_subnets.clone(),
            security_groups: Vec::new(),
            scheme: None,
            ip_address_type: None,
            tags: Vec::new(),
        };
        let arn = state.create_load_balancer(new, start).unwrap();
        let free = |state: &State, n: usize| state.subnets[&ids.public_subnets[n]].free_addresses();
        assert_eq!(free(&state, 2), 4090);
        let two = &ids.public_subnets[..2];
        state.set_subnets(&arn, two, None, start).unwrap();
        assert_eq!(state.load_balancers[&arn].subnets.len(), 2);
        assert_eq!(free(&state, 2), 4090);
        state.advance(start.checked_add(SignedDuration::from_secs(10)).unwrap());
        assert_eq!((free(&state, 2), free(&state, 1)), (4091, 4090));
        let one = state.set_subnets(&arn, &two[..1], None, start);
        assert_eq!(one.unwrap_err().code, "ValidationError");
    }
}
