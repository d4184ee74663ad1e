//! What can be changed on a load balancer (its zones, security groups, address
//! type and pools of addresses), and how it is deleted.

use jiff::Timestamp;

use super::{
    Answer, Refusal, State,
    load_balancer::{LoadBalancerKind, check_kind, source_nat},
    load_balancer_attributes,
    placement::{SubnetMapping, Wanted, check_address_type},
};

/// What SetSubnets asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewSubnets {
    /// Subnet ids; either these or mappings.
    pub subnets: Vec<String>,
    /// Subnets with addresses.
    pub mappings: Vec<SubnetMapping>,
    /// Address type; the present one if not given.
    pub ip_address_type: Option<String>,
    /// `on` or `off`; IPv6 prefixes for source NAT, the present state if not given.
    pub source_nat: Option<String>,
}

impl State {
    /// SetSubnets: replaces the whole set, and the address type if one is given.
    pub fn set_subnets(&mut self, arn: &str, new: &NewSubnets, now: Timestamp) -> Answer<()> {
        let before = self.load_balancer(arn)?.clone();
        let ip_address_type = new
            .ip_address_type
            .as_ref()
            .unwrap_or(&before.ip_address_type);
        check_address_type(before.kind, before.scheme, ip_address_type)?;
        let mappings = SubnetMapping::all(&new.subnets, &new.mappings)?;
        let source_nat = source_nat(before.kind, ip_address_type, new.source_nat.as_deref())?
            .unwrap_or(before.source_nat && ip_address_type == "dualstack");
        let placement = self.place(&Wanted {
            kind: before.kind,
            scheme: before.scheme,
            ip_address_type,
            source_nat,
            mappings: &mappings,
            held: Some(&before),
        })?;
        if placement.vpc_id != before.vpc_id {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!(
                    "The subnets must be in the VPC '{}' of the load balancer",
                    before.vpc_id
                ),
            ));
        }
        if ip_address_type == "ipv4" {
            self.check_ipv4_is_enough(arn)?;
        }
        let mut after = before.clone();
        after.subnets = placement.subnets;
        after.addresses = placement.addresses;
        ip_address_type.clone_into(&mut after.ip_address_type);
        after.source_nat = source_nat;
        if after == before {
            return Ok(());
        }
        before.check_no_pending_capacity()?;
        let kept = |zone: &String| after.subnets.get(zone) == before.subnets.get(zone);
        let leaving: Vec<String> = self
            .interfaces_of_balancer(arn)
            .into_iter()
            .filter(|id| {
                self.network_interfaces
                    .get(id)
                    .is_some_and(|interface| !kept(&interface.availability_zone))
            })
            .collect();
        self.let_go_of(&leaving, now);
        for zone in after.subnets.keys().filter(|zone| !kept(zone)) {
            self.add_balancer_interface(&after, zone);
        }
        self.readdress_interfaces(&after);
        let moved = after.subnets != before.subnets;
        let groups: Vec<String> = after
            .target_groups(None)
            .into_iter()
            .map(str::to_owned)
            .collect();
        *self.load_balancer_mut(arn)? = after;
        if moved {
            self.forget_probes_of_unused(&groups);
            self.rebalance_capacity(arn, now);
        }
        Ok(())
    }

    /// SetSecurityGroups: replaces the whole set.
    pub fn set_security_groups(
        &mut self,
        arn: &str,
        groups: &[String],
        private_link_rules: Option<&str>,
    ) -> Answer<()> {
        let refuse = |text: &str| Err(Refusal::new("InvalidConfigurationRequest", text));
        let balancer = self.load_balancer(arn)?;
        let rules = match (balancer.kind, private_link_rules) {
            (_, None) => balancer.private_link_rules,
            (LoadBalancerKind::Application, Some(_)) => {
                return refuse(
                    "Rules for PrivateLink traffic are not supported for load balancers of type 'application'",
                );
            }
            (_, Some("on")) => true,
            (_, Some("off")) => false,
            (_, Some(other)) => {
                return Err(Refusal::validation(format!(
                    "The value '{other}' for rules for PrivateLink traffic must be 'on' or 'off'"
                )));
            }
        };
        if balancer.security_groups.is_empty() {
            return refuse(
                "Security groups cannot be set on a network load balancer that was created without security groups",
            );
        }
        if groups.is_empty() {
            return refuse("At least one security group must be specified");
        }
        let groups = self.checked_groups(groups, balancer.kind, &balancer.vpc_id)?;
        for id in self.interfaces_of_balancer(arn) {
            if let Some(interface) = self.network_interfaces.get_mut(&id) {
                interface.security_groups.clone_from(&groups);
            }
        }
        let balancer = self.load_balancer_mut(arn)?;
        balancer.security_groups = groups;
        balancer.private_link_rules = rules;
        Ok(())
    }

    /// SetIpAddressType.
    pub fn set_ip_address_type(&mut self, arn: &str, ip_address_type: &str) -> Answer<()> {
        let balancer = self.load_balancer(arn)?;
        check_address_type(balancer.kind, balancer.scheme, ip_address_type)?;
        if ip_address_type == "ipv4" {
            self.check_ipv4_is_enough(arn)?;
        } else {
            for id in balancer.subnets.values() {
                if self.subnets.get(id).is_none_or(|s| s.ipv6_cidr.is_none()) {
                    return Err(Refusal::new(
                        "InvalidSubnet",
                        format!("The subnet '{id}' does not have an associated IPv6 CIDR block"),
                    ));
                }
            }
        }
        let mut after = balancer.clone();
        ip_address_type.clone_into(&mut after.ip_address_type);
        if ip_address_type == "ipv4" {
            after.source_nat = false;
            for addresses in after.addresses.values_mut() {
                addresses.ipv6 = None;
                addresses.source_nat_prefix = None;
            }
        }
        if after != *balancer {
            self.readdress_interfaces(&after);
            *self.load_balancer_mut(arn)? = after;
        }
        Ok(())
    }

    /// Refuses to take IPv6 away while target groups need it.
    fn check_ipv4_is_enough(&self, arn: &str) -> Answer<()> {
        let balancer = self.load_balancer(arn)?;
        let needy = balancer.target_groups(None).into_iter().find(|group| {
            self.target_groups
                .get(*group)
                .is_some_and(|group| group.ip_address_type == "ipv6")
        });
        match needy {
            None => Ok(()),
            Some(group) => Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!(
                    "The IP address type 'ipv4' is not supported by target group '{group}', which has the IP address type 'ipv6'"
                ),
            )),
        }
    }

    /// ModifyIpPools: takes public addresses out of an IPAM pool, or no longer.
    pub fn modify_ip_pools(
        &mut self,
        arn: &str,
        ipam_pool: Option<&str>,
        remove: &[String],
    ) -> Answer<()> {
        let balancer = self.load_balancer(arn)?;
        if let Some(other) = remove.iter().find(|kind| *kind != "ipv4") {
            return Err(Refusal::validation(format!(
                "The IP pool type '{other}' is not valid"
            )));
        }
        match (ipam_pool, remove.is_empty()) {
            (Some(pool), true) => self.check_ipam_pool(balancer.kind, balancer.scheme, pool)?,
            (None, false) => {}
            _ => {
                return Err(Refusal::validation(
                    "You must specify either IPAM pools or IPAM pools to remove, but not both",
                ));
            }
        }
        self.load_balancer_mut(arn)?.ipam_pool = ipam_pool.map(str::to_owned);
        Ok(())
    }

    /// DeleteLoadBalancer: one that is unknown counts as deleted. Its listeners
    /// and rules go with it, its target groups stay.
    pub fn delete_load_balancer(&mut self, arn: &str, now: Timestamp) -> Answer<()> {
        check_kind(arn)?;
        let Some(balancer) = self.load_balancers.get(arn) else {
            return Ok(());
        };
        if load_balancer_attributes::is_protected(&balancer.attributes) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
                ),
            ));
        }
        let target_of = self
            .target_groups
            .values()
            .find(|group| group.targets.keys().any(|target| target.id == arn));
        if let Some(group) = target_of {
            return Err(Refusal::new(
                "ResourceInUse",
                format!(
                    "Load balancer '{arn}' is currently a target of target group '{}'",
                    group.arn
                ),
            ));
        }
        let listeners: Vec<String> = balancer.listeners.values().map(|l| l.arn.clone()).collect();
        for listener in listeners {
            self.delete_listener(&listener)?;
        }
        self.load_balancers.remove(arn);
        self.web_acl_associations.remove(arn);
        self.tags.remove(arn);
        let interfaces = self.interfaces_of_balancer(arn);
        self.let_go_of(&interfaces, now);
        Ok(())
    }
}
