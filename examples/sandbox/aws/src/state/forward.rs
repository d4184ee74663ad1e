//! Forward actions: which target groups a load balancer can send to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, LoadBalancer, Protocol, Refusal, State,
    action::{NewAction, Site, invalid, named_groups},
    listener::family,
};

/// A weighted choice of target groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// One to five groups.
    pub target_groups: Vec<WeightedTargetGroup>,
    /// Whether and how long a client stays with its group.
    pub stickiness: Stickiness,
}

/// `TargetGroupStickinessConfig` of a forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stickiness {
    /// On or off.
    pub enabled: bool,
    /// Seconds, 1 to 604800; may be given while it is off.
    pub duration_seconds: Option<u32>,
}

/// A target group with its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedTargetGroup {
    /// ARN of the target group.
    pub arn: String,
    /// 0 to 999.
    pub weight: u32,
}

/// `ForwardConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewForward {
    /// Groups with weights.
    pub target_groups: Vec<(String, Option<u32>)>,
    /// `TargetGroupStickinessConfig`: enabled, seconds.
    pub stickiness: Option<(bool, Option<u32>)>,
}

impl State {
    /// Checks a forward action and fills in its defaults.
    pub(super) fn resolve_forward(&self, action: &NewAction, site: Site) -> Answer<Forward> {
        let forward = match (&action.forward, &action.target_group_arn) {
            (None, None) => return Err(invalid("A forward action needs a target group")),
            (None, Some(arn)) => NewForward {
                target_groups: vec![(arn.clone(), None)],
                stickiness: None,
            },
            (Some(forward), None) => forward.clone(),
            (Some(forward), Some(arn)) => {
                if forward.target_groups.len() != 1 || forward.target_groups[0].0 != *arn {
                    return Err(invalid(
                        "TargetGroupArn and ForwardConfig must name the same single target group",
                    ));
                }
                forward.clone()
            }
        };
        let quota = format!(
            "target-groups-per-action-on-{}-load-balancer",
            family(&site.balancer.arn)
        );
        let most = self.quotas.limit(&quota);
        if forward.target_groups.is_empty() {
            return Err(invalid("A forward action needs a target group"));
        }
        if forward.target_groups.len() > most {
            return Err(Refusal::new(
                "TooManyTargetGroups",
                format!("A forward action can have at most '{most}' target groups"),
            ));
        }
        let lone = forward.target_groups.len() == 1;
        let mut target_groups: Vec<WeightedTargetGroup> = Vec::new();
        for (arn, weight) in forward.target_groups {
            self.check_attachable(&arn, site)?;
            if target_groups.iter().any(|group| group.arn == arn) {
                return Err(invalid(format!(
                    "The target group '{arn}' was specified more than once"
                )));
            }
            let weight = match weight {
                Some(weight) if weight > 999 => {
                    return Err(Refusal::validation(
                        "Target group weight must be from 0 to 999",
                    ));
                }
                Some(weight) => weight,
                None if lone => 1,
                None => {
                    return Err(invalid("Several target groups in one action need weights"));
                }
            };
            target_groups.push(WeightedTargetGroup { arn, weight });
        }
        let stickiness = stickiness(forward.stickiness, site)?;
        if !lone && !stickiness.enabled {
            let sticky = target_groups.iter().any(|group| {
                let group = self.target_groups.get(&group.arn);
                group.is_some_and(super::TargetGroup::is_sticky)
            });
            if sticky {
                return Err(invalid(
                    "You must enable group-level stickiness on a rule if you enabled target stickiness on one of its target groups",
                ));
            }
        }
        self.check_group_quotas(&target_groups, site)?;
        Ok(Forward {
            target_groups,
            stickiness,
        })
    }

    /// Whether a target group may serve this load balancer.
    pub(super) fn check_attachable(&self, arn: &str, site: Site) -> Answer<()> {
        let group = self.target_group(arn)?;
        let configuration = |text: String| Refusal::new("InvalidConfigurationRequest", text);
        let compatible = match group.protocol {
            Some(protocol) => site.protocol.forwards_to(protocol),
            // Functions.
            None => site.protocol.is_http(),
        };
        let datagrams_to_balancer =
            group.target_type == super::TargetType::Alb && !matches!(site.protocol, Protocol::Tcp);
        if !compatible || datagrams_to_balancer {
            return Err(Refusal::new(
                "IncompatibleProtocols",
                format!(
                    "The protocol '{}' of the target group '{arn}' is not compatible with the protocol '{}' of the listener",
                    group.protocol.map_or("none", Protocol::as_str),
                    site.protocol.as_str()
                ),
            ));
        }
        if let Some(other) = self.load_balancer_of(group)
            && other.arn != site.balancer.arn
        {
            return Err(Refusal::new(
                "TargetGroupAssociationLimit",
                format!(
                    "The following target groups cannot be associated with more than one load balancer: {arn}"
                ),
            ));
        }
        if group
            .vpc_id
            .as_ref()
            .is_some_and(|vpc| *vpc != site.balancer.vpc_id)
        {
            return Err(configuration(format!(
                "The target group '{arn}' is in another VPC than the load balancer"
            )));
        }
        if let Some(version @ ("HTTP2" | "GRPC")) = group.protocol_version.as_deref()
            && site.protocol == Protocol::Http
        {
            return Err(configuration(format!(
                "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{version}'"
            )));
        }
        if group.ip_address_type == "ipv6" && site.balancer.ip_address_type == "ipv4" {
            return Err(configuration(format!(
                "The IPv6 target group '{arn}' cannot be used by a load balancer with the address type 'ipv4'"
            )));
        }
        Ok(())
    }

    fn check_group_quotas(&self, added: &[WeightedTargetGroup], site: Site) -> Answer<()> {
        let mut groups: BTreeSet<&str> = site.balancer.target_groups(site.holder);
        groups.extend(added.iter().map(|group| group.arn.as_str()));
        let family = family(&site.balancer.arn);
        // A Network Load Balancer has one group for each listener anyway.
        let most = self
            .quotas
            .limit("target-groups-per-application-load-balancer");
        if family == "application" && groups.len() > most {
            return Err(Refusal::new(
                "TooManyUniqueTargetGroupsPerLoadBalancer",
                format!(
                    "You have reached the maximum number of unique target groups that you can associate with a load balancer of type 'application': [{most}]"
                ),
            ));
        }
        self.check_target_load(family, &groups, &[])
    }

    /// The quotas on all targets behind one load balancer: those of `groups`,
    /// and the ids that are being registered.
    pub(super) fn check_target_load(
        &self,
        family: &str,
        groups: &BTreeSet<&str>,
        added: &[&str],
    ) -> Answer<()> {
        let mut registrations: BTreeMap<&str, usize> = BTreeMap::new();
        let registered = groups
            .iter()
            .filter_map(|arn| self.target_groups.get(*arn))
            .flat_map(|group| group.targets.keys())
            .map(|key| key.id.as_str());
        for id in registered.chain(added.iter().copied()) {
            *registrations.entry(id).or_default() += 1;
        }
        let most = self
            .quotas
            .limit(&format!("targets-per-{family}-load-balancer"));
        if registrations.values().sum::<usize>() > most {
            return Err(Refusal::new(
                "TooManyTargets",
                format!(
                    "The maximum number of targets per load balancer '{most}' has been reached"
                ),
            ));
        }
        let most = self
            .quotas
            .limit("target-id-registrations-per-application-load-balancer");
        let often = registrations.iter().find(|(_, count)| **count > most);
        if let Some((id, _)) = often {
            return Err(Refusal::new(
                "TooManyRegistrationsForTargetId",
                format!(
                    "The maximum number of registrations '{most}' of the target '{id}' with a load balancer has been reached"
                ),
            ));
        }
        Ok(())
    }
}

impl LoadBalancer {
    /// ARNs of the target groups that its listeners and rules name, those of
    /// one listener's default action or rule left out.
    pub fn target_groups(&self, without: Option<&str>) -> BTreeSet<&str> {
        let mut groups = BTreeSet::new();
        for listener in self.listeners.values() {
            if without != Some(listener.arn.as_str()) {
                groups.extend(named_groups(&listener.default_actions));
            }
            for rule in listener.rules.values() {
                if without != Some(rule.arn.as_str()) {
                    groups.extend(named_groups(&rule.actions));
                }
            }
        }
        groups
    }
}

fn stickiness(asked: Option<(bool, Option<u32>)>, site: Site) -> Answer<Stickiness> {
    let (enabled, duration_seconds) = asked.unwrap_or_default();
    if duration_seconds.is_some_and(|seconds| !(1..=604_800).contains(&seconds)) {
        return Err(Refusal::validation(
            "Target group stickiness duration must be from 1 to 604800 seconds",
        ));
    }
    if enabled && !site.protocol.is_http() {
        return Err(invalid(
            "Target group stickiness is not supported by network load balancers",
        ));
    }
    if enabled && duration_seconds.is_none() {
        return Err(Refusal::validation(
            "Target group stickiness duration must be specified when stickiness is enabled",
        ));
    }
    Ok(Stickiness {
        enabled,
        duration_seconds,
    })
}
