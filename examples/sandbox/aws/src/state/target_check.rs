//! Which targets can be registered with a group, by the type of the group.

use std::net::IpAddr;

use super::{
    Answer, InstanceState, Refusal, State, TargetGroup, TargetType, arn, registration::NewTarget,
};

impl State {
    /// Whether a target can be registered with a group, its port and number aside.
    pub(super) fn check_target(&self, group: &TargetGroup, target: &NewTarget) -> Answer<()> {
        match group.target_type {
            TargetType::Instance => self.check_instance_target(group, target),
            TargetType::Ip => self.check_ip_target(group, target),
            TargetType::Lambda => self.check_function_target(target),
            TargetType::Alb => self.check_balancer_target(group, target),
        }
    }

    fn check_instance_target(&self, group: &TargetGroup, target: &NewTarget) -> Answer<()> {
        let id = &target.id;
        refuse_zone(group, target)?;
        let digits = id.strip_prefix("i-").unwrap_or_default();
        if !matches!(digits.len(), 8 | 17) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Refusal::validation(format!(
                "Instance ID '{id}' is not valid"
            )));
        }
        let invalid = |text: &str| {
            Err(Refusal::new(
                "InvalidTarget",
                format!("The following targets {text}: '{id}'"),
            ))
        };
        let Some(instance) = self.instances.get(id) else {
            return invalid("do not exist");
        };
        if Some(&instance.vpc_id) != group.vpc_id.as_ref() {
            return invalid("are not in the target group VPC");
        }
        if instance.state != InstanceState::Running {
            return invalid("are not in a running state and cannot be registered");
        }
        if group.ip_address_type == "ipv6" && !self.has_ipv6_address(id) {
            return invalid("do not have a primary IPv6 address");
        }
        Ok(())
    }

    /// Whether the first network interface of an instance has an IPv6 address.
    fn has_ipv6_address(&self, instance: &str) -> bool {
        self.network_interfaces.values().any(|interface| {
            let attached = interface.attachment.as_ref().is_some_and(|attachment| {
                attachment.device_index == 0 && attachment.instance_id.as_deref() == Some(instance)
            });
            attached && !interface.ipv6_addresses.is_empty()
        })
    }

    /// A function of this account and region; what it does is not known here.
    fn check_function_target(&self, target: &NewTarget) -> Answer<()> {
        let id = &target.id;
        let parts: Vec<&str> = id.splitn(6, ':').collect();
        let ["arn", _, "lambda", region, account, path] = parts.as_slice() else {
            return Err(Refusal::validation(format!(
                "'{id}' is not a valid Lambda function ARN"
            )));
        };
        if path.strip_prefix("function:").is_none_or(str::is_empty) {
            return Err(Refusal::validation(format!(
                "'{id}' is not a valid Lambda function ARN"
            )));
        }
        if *region != self.region || *account != self.account {
            return Err(Refusal::new(
                "InvalidTarget",
                format!("The following targets are not in this account and region: '{id}'"),
            ));
        }
        match target.availability_zone.as_deref() {
            None | Some("all") => Ok(()),
            Some(_) => Err(Refusal::validation(
                "The Availability Zone of a Lambda function must be 'all'",
            )),
        }
    }

    /// An Application Load Balancer of the group's VPC that listens on the
    /// group's port.
    fn check_balancer_target(&self, group: &TargetGroup, target: &NewTarget) -> Answer<()> {
        let id = &target.id;
        refuse_zone(group, target)?;
        if arn::kind(id) != Some(arn::Kind::LoadBalancer) || arn::is_network(id) {
            return Err(Refusal::validation(format!(
                "'{id}' is not a valid application load balancer ARN"
            )));
        }
        let invalid = |text: &str| {
            Err(Refusal::new(
                "InvalidTarget",
                format!("The following targets {text}: '{id}'"),
            ))
        };
        let Some(balancer) = self.load_balancers.get(id) else {
            return invalid("do not exist");
        };
        if Some(&balancer.vpc_id) != group.vpc_id.as_ref() {
            return invalid("are not in the target group VPC");
        }
        if target
            .port
            .is_some_and(|port| Some(port) != group.port.map(u32::from))
        {
            return Err(Refusal::validation(
                "The port of a load balancer as a target must be the port of the target group",
            ));
        }
        if !group
            .port
            .is_some_and(|port| balancer.listeners.contains_key(&port))
        {
            return invalid("do not have a listener on the port of the target group");
        }
        Ok(())
    }

    fn check_ip_target(&self, group: &TargetGroup, target: &NewTarget) -> Answer<()> {
        let id = &target.id;
        let address: IpAddr = id
            .parse()
            .map_err(|_| Refusal::validation(format!("The IP address '{id}' is not valid")))?;
        if address.is_ipv6() != (group.ip_address_type == "ipv6") {
            return Err(Refusal::validation(format!(
                "The IP address '{id}' is not of the address type '{}' of the target group",
                group.ip_address_type
            )));
        }
        let vpc = group.vpc_id.as_deref().unwrap_or_default();
        let zone = target.availability_zone.as_deref();
        let cross_zone = group.attributes.get("load_balancing.cross_zone.enabled");
        if zone == Some("all") && cross_zone.is_some_and(|value| value == "false") {
            return Err(Refusal::validation(format!(
                "The IP address '{id}' cannot be registered for all Availability Zones while cross-zone load balancing is off"
            )));
        }
        if let Some(subnet) = self.subnet_of_address(vpc, id) {
            return match zone {
                Some("all") => Err(Refusal::validation(format!(
                    "The IP address '{id}' is within the VPC, and cannot have its Availability Zone overridden to 'all' from '{}'",
                    subnet.availability_zone
                ))),
                Some(zone) if zone != subnet.availability_zone => {
                    Err(Refusal::validation(format!(
                        "The IP address '{id}' is in the Availability Zone '{}', not in '{zone}'",
                        subnet.availability_zone
                    )))
                }
                _ => Ok(()),
            };
        }
        let private = match address {
            IpAddr::V4(v4) => {
                v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64)
            }
            IpAddr::V6(_) => false,
        };
        if !private {
            return Err(Refusal::validation(format!(
                "The IP address '{id}' is not within a permitted range: RFC 1918, 100.64.0.0/10 or a subnet of the VPC"
            )));
        }
        let known = |zone: &str| {
            zone == "all"
                || self
                    .availability_zones
                    .iter()
                    .any(|known| known.name == zone)
        };
        if zone.is_some_and(known) {
            return Ok(());
        }
        Err(Refusal::validation(format!(
            "You must specify a valid Availability Zone or select 'all' for all enabled Availability zones, since the IP address '{id}' is outside the VPC"
        )))
    }
}

/// Instances and load balancers are where they are.
fn refuse_zone(group: &TargetGroup, target: &NewTarget) -> Answer<()> {
    if target.availability_zone.is_none() {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "An Availability Zone cannot be specified for targets of the type '{}'",
        group.target_type.as_str()
    )))
}
