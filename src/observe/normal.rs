//! AWS's answers in our own words: what reads back differently from what was
//! sent is made equal here, and what this version does not write becomes
//! `Other`, which is never equal to a wish.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::types as sdk;

use crate::model::ownership;
use crate::model::spec::{
    Action, Arn, Condition, HealthCheck, Listener, LiveLoadBalancer, LoadBalancer,
    LoadBalancerState, Protocol, Rule, Scheme, SecurityGroupRef, Tags, Target, TargetGroup,
    TargetGroupKey, TargetGroupRef, TargetType,
};

/// Tags of an answer, without those that AWS itself puts (`aws:…`).
pub fn tags(list: &[sdk::Tag]) -> Tags {
    list.iter()
        .filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())))
        .filter(|(key, _)| !key.starts_with("aws:"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A load balancer, its listeners left out; `None` for one that is no
/// Application Load Balancer or lacks what every answer has.
pub fn load_balancer(lb: &sdk::LoadBalancer, tags: Tags) -> Option<LiveLoadBalancer> {
    if lb.r#type() != Some(&sdk::LoadBalancerTypeEnum::Application) {
        return None;
    }
    let scheme = match lb.scheme()? {
        sdk::LoadBalancerSchemeEnum::Internal => Scheme::Internal,
        sdk::LoadBalancerSchemeEnum::InternetFacing => Scheme::InternetFacing,
        _ => return None,
    };
    Some(LiveLoadBalancer {
        arn: Arn(lb.load_balancer_arn()?.to_owned()),
        spec: LoadBalancer {
            name: lb.load_balancer_name()?.to_owned(),
            scheme,
            subnets: lb
                .availability_zones()
                .iter()
                .filter_map(|zone| zone.subnet_id().map(str::to_owned))
                .collect(),
            security_groups: lb
                .security_groups()
                .iter()
                .map(|id| SecurityGroupRef::Id(id.clone()))
                .collect(),
            tags,
        },
        dns_name: lb.dns_name()?.to_owned(),
        hosted_zone_id: lb.canonical_hosted_zone_id().unwrap_or_default().to_owned(),
        state: load_balancer_state(lb),
        listeners: std::collections::BTreeMap::new(),
    })
}

/// Provisioning state of a load balancer.
pub fn load_balancer_state(lb: &sdk::LoadBalancer) -> LoadBalancerState {
    match lb.state().and_then(|state| state.code()) {
        Some(sdk::LoadBalancerStateEnum::Active) => LoadBalancerState::Active,
        Some(sdk::LoadBalancerStateEnum::ActiveImpaired) => LoadBalancerState::ActiveImpaired,
        Some(sdk::LoadBalancerStateEnum::Failed) => LoadBalancerState::Failed,
        _ => LoadBalancerState::Provisioning,
    }
}

/// A listener; its SNI certificates are given, for they are read apart.
/// `None` for a protocol that an Application Load Balancer does not have.
pub fn listener(
    listener: &sdk::Listener,
    sni_certificates: BTreeSet<Arn>,
    tags: Tags,
) -> Option<Listener> {
    Some(Listener {
        port: u16::try_from(listener.port()?).ok()?,
        protocol: protocol(listener.protocol()?)?,
        default_certificate: listener
            .certificates()
            .first()
            .and_then(|c| c.certificate_arn())
            .map(Arn::from),
        sni_certificates,
        ssl_policy: listener.ssl_policy().map(str::to_owned),
        default_action: action(listener.default_actions()),
        tags,
    })
}

/// A rule; the default rule, which is part of its listener, is `None`.
pub fn rule(rule: &sdk::Rule, tags: Tags) -> Option<(u32, Rule)> {
    let priority = rule.priority()?.parse().ok()?;
    let mut conditions: Vec<Condition> = rule.conditions().iter().map(condition).collect();
    // AWS does not keep the order of conditions; within one, order is kept.
    conditions.sort();
    if !rule.transforms().is_empty() {
        conditions.push(Condition::Other(format!(
            "{TRANSFORMS} {:?}",
            rule.transforms()
        )));
    }
    Some((
        priority,
        Rule {
            conditions,
            action: action(rule.actions()),
            tags,
        },
    ))
}

/// How the canonical text of transforms begins.
pub const TRANSFORMS: &str = "transforms";

fn condition(condition: &sdk::RuleCondition) -> Condition {
    let field = condition.field().unwrap_or_default();
    let values = match field {
        "host-header" => condition
            .host_header_config()
            .map(sdk::HostHeaderConditionConfig::values),
        "path-pattern" => condition
            .path_pattern_config()
            .map(sdk::PathPatternConditionConfig::values),
        _ => None,
    }
    .filter(|values| !values.is_empty())
    .unwrap_or_else(|| condition.values());
    match field {
        "host-header" if !values.is_empty() => Condition::HostHeader(values.to_vec()),
        "path-pattern" if !values.is_empty() => Condition::PathPattern(values.to_vec()),
        _ => Condition::Other(format!("{condition:?}")),
    }
}

/// The action of a list of one; anything else is `Other`.
pub fn action(actions: &[sdk::Action]) -> Action {
    let [action] = actions else {
        return Action::Other(format!("{actions:?}"));
    };
    known_action(action).unwrap_or_else(|| Action::Other(format!("{action:?}")))
}

fn known_action(action: &sdk::Action) -> Option<Action> {
    match action.r#type()? {
        sdk::ActionTypeEnum::Forward => {
            let config = action.forward_config();
            let sticky = config
                .and_then(|c| c.target_group_stickiness_config())
                .and_then(sdk::TargetGroupStickinessConfig::enabled)
                .unwrap_or(false);
            // The weight of a lone target group means nothing.
            let arn = match config.map(sdk::ForwardActionConfig::target_groups) {
                None | Some([]) => action.target_group_arn()?,
                Some([one]) => one.target_group_arn()?,
                Some(_) => return None,
            };
            (!sticky).then(|| Action::Forward(TargetGroupRef::Arn(Arn::from(arn))))
        }
        sdk::ActionTypeEnum::Redirect => {
            let redirect = action.redirect_config()?;
            let same = |value: Option<&str>, placeholder| value.is_none_or(|v| v == placeholder);
            let plain = redirect.protocol() == Some("HTTPS")
                && same(redirect.host(), "#{host}")
                && same(redirect.path(), "/#{path}")
                && same(redirect.query(), "#{query}");
            let port = redirect.port()?.parse().ok()?;
            plain.then_some(())?;
            Some(Action::RedirectHttps {
                port,
                status_code: redirect.status_code()?.as_str().to_owned(),
            })
        }
        sdk::ActionTypeEnum::FixedResponse => {
            let response = action.fixed_response_config()?;
            let filled = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
            Some(Action::FixedResponse {
                status_code: response.status_code()?.to_owned(),
                content_type: filled(response.content_type()),
                body: filled(response.message_body()),
            })
        }
        _ => None,
    }
}

/// A target group; `None` for a kind that this version does not write and for
/// one without the tag that says which it is.
pub fn target_group(group: &sdk::TargetGroup, tags: Tags) -> Option<(Arn, TargetGroup)> {
    let target_type = match group.target_type()? {
        sdk::TargetTypeEnum::Instance => TargetType::Instance,
        sdk::TargetTypeEnum::Ip => TargetType::Ip,
        _ => return None,
    };
    let key = TargetGroupKey(tags.get(ownership::RESOURCE_TAG)?.to_owned());
    let matcher = group.matcher();
    let spec = TargetGroup {
        key,
        name: group.target_group_name()?.to_owned(),
        target_type,
        protocol: protocol(group.protocol()?)?,
        protocol_version: group.protocol_version().unwrap_or("HTTP1").to_owned(),
        port: u16::try_from(group.port()?).ok()?,
        health_check: HealthCheck {
            protocol: group
                .health_check_protocol()
                .and_then(protocol)
                .unwrap_or(Protocol::Http),
            port: group
                .health_check_port()
                .unwrap_or("traffic-port")
                .to_owned(),
            path: group.health_check_path().unwrap_or("/").to_owned(),
            interval_seconds: group.health_check_interval_seconds().unwrap_or(30),
            timeout_seconds: group.health_check_timeout_seconds().unwrap_or(5),
            healthy_threshold: group.healthy_threshold_count().unwrap_or(5),
            unhealthy_threshold: group.unhealthy_threshold_count().unwrap_or(2),
            success_codes: matcher
                .and_then(|m| m.http_code().or_else(|| m.grpc_code()))
                .unwrap_or("200")
                .to_owned(),
        },
        tags,
    };
    Some((Arn(group.target_group_arn()?.to_owned()), spec))
}

/// Registered targets; those that drain count as gone, so that one that comes
/// back is registered again.
pub fn targets(descriptions: &[sdk::TargetHealthDescription]) -> BTreeSet<Target> {
    descriptions
        .iter()
        .filter(|d| {
            !matches!(
                d.target_health().and_then(|h| h.state()),
                Some(
                    sdk::TargetHealthStateEnum::Draining
                        | sdk::TargetHealthStateEnum::UnhealthyDraining
                )
            )
        })
        .filter_map(|d| {
            let target = d.target()?;
            Some(Target {
                id: target.id()?.to_owned(),
                port: u16::try_from(target.port()?).ok()?,
                outside_vpc: target.availability_zone() == Some("all"),
            })
        })
        .collect()
}

fn protocol(protocol: &sdk::ProtocolEnum) -> Option<Protocol> {
    match protocol {
        sdk::ProtocolEnum::Http => Some(Protocol::Http),
        sdk::ProtocolEnum::Https => Some(Protocol::Https),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn forward(arn: &str, sticky: bool) -> sdk::Action {
        sdk::Action::builder()
            .r#type(sdk::ActionTypeEnum::Forward)
            .target_group_arn(arn)
            .forward_config(
                sdk::ForwardActionConfig::builder()
                    .target_groups(
                        sdk::TargetGroupTuple::builder()
                            .target_group_arn(arn)
                            .weight(1)
                            .build(),
                    )
                    .target_group_stickiness_config(
                        sdk::TargetGroupStickinessConfig::builder()
                            .enabled(sticky)
                            .build(),
                    )
                    .build(),
            )
            .build()
    }

    #[test]
    fn a_forward_to_one_group_is_plain_whatever_its_form() {
        let plain = sdk::Action::builder()
            .r#type(sdk::ActionTypeEnum::Forward)
            .target_group_arn("tg-1")
            .build();
        let want = Action::Forward(TargetGroupRef::Arn(Arn::from("tg-1")));
        assert_eq!(action(&[plain]), want);
        assert_eq!(action(&[forward("tg-1", false)]), want);
        assert!(matches!(action(&[forward("tg-1", true)]), Action::Other(_)));
        assert!(matches!(action(&[]), Action::Other(_)));
    }

    #[test]
    fn a_redirect_with_placeholders_is_the_plain_one() {
        let redirect = |path: &str| {
            sdk::Action::builder()
                .r#type(sdk::ActionTypeEnum::Redirect)
                .redirect_config(
                    sdk::RedirectActionConfig::builder()
                        .protocol("HTTPS")
                        .port("443")
                        .host("#{host}")
                        .path(path)
                        .query("#{query}")
                        .status_code(sdk::RedirectActionStatusCodeEnum::Http301)
                        .build(),
                )
                .build()
        };
        assert_eq!(
            action(&[redirect("/#{path}")]),
            Action::RedirectHttps {
                port: 443,
                status_code: "HTTP_301".to_owned()
            }
        );
        assert!(matches!(action(&[redirect("/other")]), Action::Other(_)));
    }

    #[test]
    fn conditions_come_in_the_order_host_path() {
        let answer = sdk::Rule::builder()
            .rule_arn("rule-1")
            .priority("7")
            .conditions(
                sdk::RuleCondition::builder()
                    .field("path-pattern")
                    .values("/legacy")
                    .build(),
            )
            .conditions(
                sdk::RuleCondition::builder()
                    .field("host-header")
                    .values("a.example.com")
                    .host_header_config(
                        sdk::HostHeaderConditionConfig::builder()
                            .values("a.example.com")
                            .build(),
                    )
                    .build(),
            )
            .actions(forward("tg-1", false))
            .build();
        let (priority, rule) = rule(&answer, Tags::new()).unwrap();
        assert_eq!(priority, 7);
        assert_eq!(
            rule.conditions,
            [
                Condition::HostHeader(vec!["a.example.com".to_owned()]),
                Condition::PathPattern(vec!["/legacy".to_owned()]),
            ]
        );
    }

    #[test]
    fn draining_targets_are_gone() {
        let described = |id: &str, state| {
            sdk::TargetHealthDescription::builder()
                .target(sdk::TargetDescription::builder().id(id).port(80).build())
                .target_health(sdk::TargetHealth::builder().state(state).build())
                .build()
        };
        let targets = targets(&[
            described("10.0.0.1", sdk::TargetHealthStateEnum::Healthy),
            described("10.0.0.2", sdk::TargetHealthStateEnum::Draining),
        ]);
        assert_eq!(targets.len(), 1);
        assert_eq!(targets.first().unwrap().id, "10.0.0.1");
    }

    #[test]
    fn tags_of_aws_itself_are_left_out() {
        let tag = |key: &str| sdk::Tag::builder().key(key).value("v").build();
        let tags = tags(&[tag("aws:cloudformation:stack-name"), tag("team")]);
        assert_eq!(tags.keys().collect::<Vec<_>>(), ["team"]);
    }
}
