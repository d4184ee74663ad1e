//! Steps on load balancers and target groups, one function for each, and the
//! `match` over all steps of Elastic Load Balancing.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_sdk_elasticloadbalancingv2::types as sdk;

use super::names::Names;
use super::words::{descriptions, matcher, no_answer, protocol, tag_list};
use super::{Context, Work, adopt};
use crate::aws::operations::{self, Operation};
use crate::aws::{Class, Error, class};
use crate::model::spec::{
    Arn, HealthCheck, LoadBalancer, Scheme, SecurityGroupRef, Tags, Target, TargetGroup,
    TargetGroupRef, TargetType,
};
use crate::observe::normal;
use crate::plan::effect::Made;
use crate::plan::step::Step;

/// Runs a step on a load balancer or on what belongs to one.
pub async fn run(
    cx: &Context<'_>,
    work: Work<'_>,
    names: &Names,
    step: &Step,
) -> Result<Made, Error> {
    let calls = Calls { cx, work, names };
    match step {
        Step::CreateLoadBalancer(spec) => calls.create_load_balancer(spec).await,
        Step::SetSubnets {
            load_balancer,
            subnets,
        } => calls.set_subnets(load_balancer, subnets).await,
        Step::SetSecurityGroups {
            load_balancer,
            security_groups,
        } => {
            calls
                .set_security_groups(load_balancer, security_groups)
                .await
        }
        Step::DeleteLoadBalancer { arn, .. } => calls.delete_load_balancer(arn).await,
        Step::CreateListener {
            load_balancer,
            listener,
        } => calls.create_listener(load_balancer, listener).await,
        Step::ModifyListener { arn, listener } => calls.modify_listener(arn, listener).await,
        Step::AddListenerCertificate {
            listener,
            certificate,
        } => calls.add_certificate(listener, certificate).await,
        Step::RemoveListenerCertificate {
            listener,
            certificate,
        } => calls.remove_certificate(listener, certificate).await,
        Step::DeleteListener { arn, .. } => calls.delete_listener(arn).await,
        Step::CreateRule {
            listener,
            priority,
            rule,
        } => calls.create_rule(listener, *priority, rule).await,
        Step::ModifyRule { arn, rule, .. } => calls.modify_rule(arn, rule).await,
        Step::SetRulePriorities { priorities, .. } => {
            let pairs = priorities.iter().map(|(arn, priority)| (arn, *priority));
            calls.set_rule_priorities(pairs).await
        }
        Step::DeleteRule { arn, .. } => calls.delete_rule(arn).await,
        Step::CreateTargetGroup(spec) => calls.create_target_group(spec).await,
        Step::ModifyTargetGroup {
            arn, health_check, ..
        } => calls.modify_target_group(arn, health_check).await,
        Step::DeleteTargetGroup { arn, .. } => calls.delete_target_group(arn).await,
        Step::RegisterTargets {
            target_group,
            targets,
            ..
        } => calls.register(target_group, targets).await,
        Step::DeregisterTargets {
            target_group,
            targets,
            ..
        } => calls.deregister(target_group, targets).await,
        Step::AddTags {
            resources, tags, ..
        } => calls.add_tags(resources, tags).await,
        Step::RemoveTags {
            resources, keys, ..
        } => calls.remove_tags(resources, keys).await,
        other => Err(Error::here(
            &operations::CREATE_LOAD_BALANCER,
            Class::Refused,
            format!("no step on a load balancer: {other}"),
        )),
    }
}

/// What the functions of steps share.
pub(super) struct Calls<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) work: Work<'a>,
    pub(super) names: &'a Names,
}

/// A load balancer that a create answers with and that is older than this was
/// not made by that call.
const OLD: Duration = Duration::from_mins(2);

impl Calls<'_> {
    async fn create_load_balancer(&self, spec: &LoadBalancer) -> Result<Made, Error> {
        let operation = operations::CREATE_LOAD_BALANCER;
        let call = self
            .cx
            .aws
            .elb
            .create_load_balancer()
            .name(&spec.name)
            .r#type(sdk::LoadBalancerTypeEnum::Application)
            .ip_address_type(sdk::IpAddressType::Ipv4)
            .scheme(match spec.scheme {
                Scheme::Internal => sdk::LoadBalancerSchemeEnum::Internal,
                Scheme::InternetFacing => sdk::LoadBalancerSchemeEnum::InternetFacing,
            })
            .set_subnets(Some(spec.subnets.iter().cloned().collect()))
            .set_security_groups(Some(self.group_ids(&operation, &spec.security_groups)?))
            .set_tags(tag_list(&spec.tags))
            .send();
        let answer = self.cx.aws.call(&operation, call).await?;
        let lb = answer.load_balancers().first();
        let lb = lb.ok_or_else(|| no_answer(&operation))?;
        let arn = Arn::from(
            lb.load_balancer_arn()
                .ok_or_else(|| no_answer(&operation))?,
        );
        // A create that repeats an existing one's settings answers that one.
        let old = lb
            .created_time()
            .and_then(|at| SystemTime::try_from(*at).ok())
            .and_then(|at| SystemTime::now().duration_since(at).ok())
            .is_some_and(|age| age > OLD);
        if old {
            let kind = adopt::Kind::LoadBalancer;
            adopt::must_be_ours(self.cx.aws, &operation, kind, &spec.name, &arn, &spec.tags)
                .await?;
        }
        Ok(Made {
            arn: Some(arn),
            dns_name: lb.dns_name().map(str::to_owned),
            hosted_zone_id: lb.canonical_hosted_zone_id().map(str::to_owned),
            state: Some(normal::load_balancer_state(lb)),
            ..Made::default()
        })
    }

    async fn set_subnets(&self, arn: &Arn, subnets: &BTreeSet<String>) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .set_subnets()
            .load_balancer_arn(arn.as_str())
            .set_subnets(Some(subnets.iter().cloned().collect()))
            .send();
        self.cx.aws.call(&operations::SET_SUBNETS, call).await?;
        Ok(Made::default())
    }

    async fn set_security_groups(
        &self,
        arn: &Arn,
        groups: &BTreeSet<SecurityGroupRef>,
    ) -> Result<Made, Error> {
        let operation = operations::SET_SECURITY_GROUPS;
        let call = self
            .cx
            .aws
            .elb
            .set_security_groups()
            .load_balancer_arn(arn.as_str())
            .set_security_groups(Some(self.group_ids(&operation, groups)?))
            .send();
        self.cx.aws.call(&operation, call).await?;
        Ok(Made::default())
    }

    async fn delete_load_balancer(&self, arn: &Arn) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .delete_load_balancer()
            .load_balancer_arn(arn.as_str())
            .send();
        self.cx
            .aws
            .call(&operations::DELETE_LOAD_BALANCER, call)
            .await?;
        Ok(Made::default())
    }

    async fn create_target_group(&self, spec: &TargetGroup) -> Result<Made, Error> {
        let operation = operations::CREATE_TARGET_GROUP;
        let check = &spec.health_check;
        let call = self
            .cx
            .aws
            .elb
            .create_target_group()
            .name(&spec.name)
            .vpc_id(&self.cx.memory.scope().vpc)
            .target_type(match spec.target_type {
                TargetType::Instance => sdk::TargetTypeEnum::Instance,
                TargetType::Ip => sdk::TargetTypeEnum::Ip,
            })
            .protocol(protocol(spec.protocol))
            .protocol_version(&spec.protocol_version)
            .port(i32::from(spec.port))
            .health_check_enabled(true)
            .health_check_protocol(protocol(check.protocol))
            .health_check_port(&check.port)
            .health_check_path(&check.path)
            .health_check_interval_seconds(check.interval_seconds)
            .health_check_timeout_seconds(check.timeout_seconds)
            .healthy_threshold_count(check.healthy_threshold)
            .unhealthy_threshold_count(check.unhealthy_threshold)
            .matcher(matcher(&spec.protocol_version, &check.success_codes))
            .set_tags(tag_list(&spec.tags))
            .send();
        let answer = self.cx.aws.call(&operation, call).await?;
        let group = answer.target_groups().first();
        let group = group.ok_or_else(|| no_answer(&operation))?;
        let arn = group.target_group_arn().map(Arn::from);
        let arn = arn.ok_or_else(|| no_answer(&operation))?;
        // As with load balancers; a new one cannot be in use yet.
        if !group.load_balancer_arns().is_empty() {
            let kind = adopt::Kind::TargetGroup;
            adopt::must_be_ours(self.cx.aws, &operation, kind, &spec.name, &arn, &spec.tags)
                .await?;
        }
        Ok(Made {
            arn: Some(arn),
            ..Made::default()
        })
    }

    async fn modify_target_group(&self, arn: &Arn, check: &HealthCheck) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .modify_target_group()
            .target_group_arn(arn.as_str())
            .health_check_protocol(protocol(check.protocol))
            .health_check_port(&check.port)
            .health_check_path(&check.path)
            .health_check_interval_seconds(check.interval_seconds)
            .health_check_timeout_seconds(check.timeout_seconds)
            .healthy_threshold_count(check.healthy_threshold)
            .unhealthy_threshold_count(check.unhealthy_threshold)
            .matcher(matcher(&self.protocol_version(arn), &check.success_codes))
            .send();
        self.cx
            .aws
            .call(&operations::MODIFY_TARGET_GROUP, call)
            .await?;
        Ok(Made::default())
    }

    fn protocol_version(&self, arn: &Arn) -> String {
        let Work::Group(group) = self.work else {
            return String::new();
        };
        let observed = self.cx.memory.remembered(group);
        let mut groups = observed.target_groups.iter();
        let live = groups.find(|live| live.arn == *arn);
        live.map(|live| live.spec.protocol_version.clone())
            .unwrap_or_default()
    }

    async fn delete_target_group(&self, arn: &Arn) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .delete_target_group()
            .target_group_arn(arn.as_str())
            .send();
        self.cx
            .aws
            .call(&operations::DELETE_TARGET_GROUP, call)
            .await?;
        Ok(Made::default())
    }

    async fn register(
        &self,
        group: &TargetGroupRef,
        targets: &BTreeSet<Target>,
    ) -> Result<Made, Error> {
        let operation = operations::REGISTER_TARGETS;
        let group = self.names.target_group(&operation, group)?;
        let call = self
            .cx
            .aws
            .elb
            .register_targets()
            .target_group_arn(group.as_str())
            .set_targets(Some(descriptions(targets)))
            .send();
        self.cx.aws.call(&operation, call).await?;
        Ok(Made::default())
    }

    async fn deregister(&self, group: &Arn, targets: &BTreeSet<Target>) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .deregister_targets()
            .target_group_arn(group.as_str())
            .set_targets(Some(descriptions(targets)))
            .send();
        match self
            .cx
            .aws
            .call(&operations::DEREGISTER_TARGETS, call)
            .await
        {
            // Not registered: that is what was wished.
            Err(error) if error.code == class::NOT_REGISTERED => Ok(Made::default()),
            answer => answer.map(|_| Made::default()),
        }
    }

    async fn add_tags(&self, resources: &BTreeSet<Arn>, tags: &Tags) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .add_tags()
            .set_resource_arns(Some(resources.iter().map(ToString::to_string).collect()))
            .set_tags(tag_list(tags))
            .send();
        self.cx.aws.call(&operations::ADD_TAGS, call).await?;
        Ok(Made::default())
    }

    async fn remove_tags(
        &self,
        resources: &BTreeSet<Arn>,
        keys: &BTreeSet<String>,
    ) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .remove_tags()
            .set_resource_arns(Some(resources.iter().map(ToString::to_string).collect()))
            .set_tag_keys(Some(keys.iter().cloned().collect()))
            .send();
        self.cx.aws.call(&operations::REMOVE_TAGS, call).await?;
        Ok(Made::default())
    }

    fn group_ids(
        &self,
        operation: &Operation,
        groups: &BTreeSet<SecurityGroupRef>,
    ) -> Result<Vec<String>, Error> {
        let ids = groups
            .iter()
            .map(|group| self.names.security_group(operation, self.cx, group));
        ids.collect()
    }
}
