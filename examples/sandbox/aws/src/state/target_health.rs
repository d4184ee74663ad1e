//! The health that a target shows, and whether it is checked.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    HealthState, InstanceState, LoadBalancer, LoadBalancerState, Probed, State, Subnet, Target,
    TargetGroup, TargetHealth, TargetKey, TargetType,
};

/// A target group with what the health of its targets depends on, looked up
/// once for all of them.
pub struct GroupHealth<'a> {
    state: &'a State,
    group: &'a TargetGroup,
    balancer: Option<&'a LoadBalancer>,
    /// The subnets of the group's VPC, for targets that are addresses.
    subnets: Vec<&'a Subnet>,
}

impl State {
    /// The health of the targets of a group, to ask for one after the other.
    pub fn group_health<'a>(&'a self, group: &'a TargetGroup) -> GroupHealth<'a> {
        let balancer = self.load_balancer_of(group);
        let vpc = group.vpc_id.as_deref();
        let vpc = vpc.filter(|_| balancer.is_some() && !group.targets.is_empty());
        GroupHealth {
            state: self,
            group,
            balancer,
            subnets: vpc.map_or_else(Vec::new, |vpc| self.subnets_of(vpc).collect()),
        }
    }

    /// The health of a target as DescribeTargetHealth tells it. A target that
    /// is not registered is `unused`, not an error.
    pub fn target_health(&self, group: &TargetGroup, key: &TargetKey) -> TargetHealth {
        self.group_health(group).of(key)
    }
}

impl GroupHealth<'_> {
    /// The health of a target as DescribeTargetHealth tells it.
    pub fn of(&self, key: &TargetKey) -> TargetHealth {
        let Some(target) = self.group.targets.get(key) else {
            return unused(
                "Target.NotRegistered",
                "Target is not registered to the target group",
            );
        };
        if target.draining_until.is_some() {
            return TargetHealth {
                state: HealthState::Draining,
                reason: Some("Target.DeregistrationInProgress"),
                description: Some("Target deregistration is in progress".to_owned()),
            };
        }
        // Comes first: an instance that does not run says so in an unused group too.
        if self.group.target_type == TargetType::Instance
            && let Some(instance) = self.state.instances.get(&key.id)
            && instance.state != InstanceState::Running
        {
            let text = format!("Target is in the {} state", instance.state.as_str());
            return unused("Target.InvalidState", &text);
        }
        let Some(balancer) = self.balancer else {
            return unused(
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            );
        };
        let subnet = self.subnet_of(key);
        if self.is_load_balancer_address(subnet, key) {
            return unused(
                "Target.IpUnusable",
                "The IP address cannot be used as a target, as it is in use by a load balancer",
            );
        }
        if let Some(zone) = self.zone_of(target, key, subnet)
            && !balancer.subnets.contains_key(zone)
        {
            return unused(
                "Target.NotInUse",
                "Target is in an Availability Zone that is not enabled for the load balancer",
            );
        }
        if balancer.state == LoadBalancerState::Provisioning {
            return initial(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            );
        }
        if !target.announced {
            return initial(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            );
        }
        if !self.group.health_check.enabled {
            return TargetHealth {
                state: HealthState::Unavailable,
                reason: Some("Target.HealthCheckDisabled"),
                description: Some("Health checks are not enabled for this target".to_owned()),
            };
        }
        if target.settles.is_some() {
            return initial(
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            );
        }
        match &target.probed {
            Probed::Registering => initial(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            ),
            Probed::Checking => initial(
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            ),
            Probed::Healthy => TargetHealth {
                state: HealthState::Healthy,
                reason: None,
                description: None,
            },
            Probed::Unhealthy(failure) => TargetHealth {
                state: HealthState::Unhealthy,
                reason: Some(failure.reason()),
                description: Some(failure.description()),
            },
        }
    }

    /// Whether health checks are to be sent to a target now: registered and
    /// known to load balancers, in use, in an enabled zone, behind an active
    /// load balancer.
    pub fn is_probed(&self, key: &TargetKey) -> bool {
        let active = |balancer: &LoadBalancer| balancer.state == LoadBalancerState::Active;
        let announced = |target: &Target| target.announced;
        self.balancer.is_some_and(active)
            && self.group.targets.get(key).is_some_and(announced)
            && matches!(
                self.of(key).state,
                HealthState::Initial | HealthState::Healthy | HealthState::Unhealthy
            )
    }

    /// The zone of a target, by which nodes that keep to theirs choose; none
    /// where it counts for all.
    pub fn zone(&self, key: &TargetKey) -> Option<&str> {
        let target = self.group.targets.get(key)?;
        self.zone_of(target, key, self.subnet_of(key))
    }

    /// The subnet of the group's VPC that holds the address of a target.
    fn subnet_of(&self, key: &TargetKey) -> Option<&Subnet> {
        let address: IpAddr = key.id.parse().ok()?;
        let mut subnets = self.subnets.iter().copied();
        subnets.find(|subnet| subnet.holds(address))
    }

    /// The zone that counts for a target: that of its instance, of the subnet
    /// that holds its address, or as given at registration (`all`: every zone).
    fn zone_of<'b>(
        &'b self,
        target: &'b Target,
        key: &TargetKey,
        subnet: Option<&'b Subnet>,
    ) -> Option<&'b str> {
        match self.group.target_type {
            TargetType::Instance => {
                let instance = self.state.instances.get(&key.id)?;
                Some(instance.availability_zone.as_str())
            }
            TargetType::Ip => {
                self.group.vpc_id.as_deref()?;
                match subnet {
                    Some(subnet) => Some(subnet.availability_zone.as_str()),
                    None => target
                        .availability_zone
                        .as_deref()
                        .filter(|zone| *zone != "all"),
                }
            }
            TargetType::Lambda | TargetType::Alb => None,
        }
    }

    fn is_load_balancer_address(&self, subnet: Option<&Subnet>, key: &TargetKey) -> bool {
        let Ok(address) = key.id.parse::<Ipv4Addr>() else {
            return false;
        };
        subnet
            .and_then(|subnet| subnet.taken.get(&address))
            .and_then(|holder| self.state.network_interfaces.get(holder))
            .is_some_and(|interface| interface.requester.is_some())
    }
}

fn unused(reason: &'static str, description: &str) -> TargetHealth {
    TargetHealth {
        state: HealthState::Unused,
        reason: Some(reason),
        description: Some(description.to_owned()),
    }
}

fn initial(reason: &'static str, description: &str) -> TargetHealth {
    TargetHealth {
        state: HealthState::Initial,
        reason: Some(reason),
        description: Some(description.to_owned()),
    }
}
