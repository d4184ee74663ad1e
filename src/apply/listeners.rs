//! Steps on listeners and rules: one function for each.

use aws_sdk_elasticloadbalancingv2::types as sdk;

use super::Work;
use super::elb::Calls;
use super::words::{cannot_write, certificates, conditions, no_answer, number, protocol, tag_list};
use crate::aws::Error;
use crate::aws::operations::{self, Operation};
use crate::model::spec::{Action, Arn, Condition, Listener, Rule};
use crate::observe::normal;
use crate::plan::effect::Made;
use crate::plan::step::{ListenerRef, LoadBalancerRef};

impl Calls<'_> {
    pub(super) async fn create_listener(
        &self,
        load_balancer: &LoadBalancerRef,
        listener: &Listener,
    ) -> Result<Made, Error> {
        let operation = operations::CREATE_LISTENER;
        let parent = self.names.load_balancer(&operation, load_balancer)?;
        let call = self
            .cx
            .aws
            .elb
            .create_listener()
            .load_balancer_arn(parent.as_str())
            .port(i32::from(listener.port))
            .protocol(protocol(listener.protocol))
            .set_ssl_policy(listener.ssl_policy.clone())
            .set_certificates(certificates(listener.default_certificate.as_ref()))
            .default_actions(self.action(&operation, &listener.default_action)?)
            .set_tags(tag_list(&listener.tags))
            .send();
        let answer = self.cx.aws.call(&operation, call).await?;
        let made = answer.listeners().first().and_then(|l| l.listener_arn());
        Ok(Made {
            arn: Some(Arn::from(made.ok_or_else(|| no_answer(&operation))?)),
            parent: Some(parent),
            ..Made::default()
        })
    }

    pub(super) async fn modify_listener(
        &self,
        arn: &Arn,
        listener: &Listener,
    ) -> Result<Made, Error> {
        let operation = operations::MODIFY_LISTENER;
        let call = self
            .cx
            .aws
            .elb
            .modify_listener()
            .listener_arn(arn.as_str())
            .port(i32::from(listener.port))
            .protocol(protocol(listener.protocol))
            .set_ssl_policy(listener.ssl_policy.clone())
            .set_certificates(certificates(listener.default_certificate.as_ref()))
            .default_actions(self.action(&operation, &listener.default_action)?)
            .send();
        self.cx.aws.call(&operation, call).await?;
        Ok(Made::default())
    }

    pub(super) async fn add_certificate(
        &self,
        listener: &ListenerRef,
        certificate: &Arn,
    ) -> Result<Made, Error> {
        let operation = operations::ADD_LISTENER_CERTIFICATES;
        let listener = self.names.listener(&operation, listener)?;
        let call = self
            .cx
            .aws
            .elb
            .add_listener_certificates()
            .listener_arn(listener.as_str())
            .set_certificates(certificates(Some(certificate)))
            .send();
        self.cx.aws.call(&operation, call).await?;
        Ok(on(listener))
    }

    pub(super) async fn remove_certificate(
        &self,
        listener: &ListenerRef,
        certificate: &Arn,
    ) -> Result<Made, Error> {
        let operation = operations::REMOVE_LISTENER_CERTIFICATES;
        let listener = self.names.listener(&operation, listener)?;
        let call = self
            .cx
            .aws
            .elb
            .remove_listener_certificates()
            .listener_arn(listener.as_str())
            .set_certificates(certificates(Some(certificate)))
            .send();
        self.cx.aws.call(&operation, call).await?;
        Ok(on(listener))
    }

    pub(super) async fn delete_listener(&self, arn: &Arn) -> Result<Made, Error> {
        let call = self
            .cx
            .aws
            .elb
            .delete_listener()
            .listener_arn(arn.as_str())
            .send();
        self.cx.aws.call(&operations::DELETE_LISTENER, call).await?;
        Ok(Made::default())
    }

    pub(super) async fn create_rule(
        &self,
        listener: &ListenerRef,
        priority: u32,
        rule: &Rule,
    ) -> Result<Made, Error> {
        let operation = operations::CREATE_RULE;
        let listener = self.names.listener(&operation, listener)?;
        let call = self
            .cx
            .aws
            .elb
            .create_rule()
            .listener_arn(listener.as_str())
            .priority(number(&operation, priority)?)
            .set_conditions(Some(conditions(&operation, &rule.conditions)?))
            .actions(self.action(&operation, &rule.action)?)
            .set_tags(tag_list(&rule.tags))
            .send();
        let answer = self.cx.aws.call(&operation, call).await?;
        let made = answer.rules().first().and_then(|rule| rule.rule_arn());
        Ok(Made {
            arn: Some(Arn::from(made.ok_or_else(|| no_answer(&operation))?)),
            parent: Some(listener),
            ..Made::default()
        })
    }

    pub(super) async fn modify_rule(&self, arn: &Arn, rule: &Rule) -> Result<Made, Error> {
        let operation = operations::MODIFY_RULE;
        let call = self
            .cx
            .aws
            .elb
            .modify_rule()
            .rule_arn(arn.as_str())
            .set_conditions(Some(conditions(&operation, &rule.conditions)?))
            .actions(self.action(&operation, &rule.action)?)
            .set_reset_transforms(self.has_transforms(arn).then_some(true))
            .send();
        self.cx.aws.call(&operation, call).await?;
        Ok(Made::default())
    }

    /// Whether a live rule rewrites requests: what a modification does not
    /// name would stay.
    fn has_transforms(&self, rule: &Arn) -> bool {
        let Work::Group(group) = self.work else {
            return false;
        };
        let observed = self.cx.memory.remembered(group);
        let mut rules = observed
            .load_balancers
            .iter()
            .flat_map(|lb| lb.listeners.values())
            .flat_map(|listener| listener.rules.values());
        rules.any(|live| {
            live.arn == *rule
                && live.spec.conditions.iter().any(|condition| {
                    matches!(condition, Condition::Other(text) if text.starts_with(normal::TRANSFORMS))
                })
        })
    }

    pub(super) async fn set_rule_priorities(
        &self,
        priorities: impl Iterator<Item = (&Arn, u32)>,
    ) -> Result<Made, Error> {
        let operation = operations::SET_RULE_PRIORITIES;
        let pairs = priorities
            .map(|(arn, priority)| {
                Ok(sdk::RulePriorityPair::builder()
                    .rule_arn(arn.as_str())
                    .priority(number(&operation, priority)?)
                    .build())
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let call = self
            .cx
            .aws
            .elb
            .set_rule_priorities()
            .set_rule_priorities(Some(pairs))
            .send();
        self.cx.aws.call(&operation, call).await?;
        Ok(Made::default())
    }

    pub(super) async fn delete_rule(&self, arn: &Arn) -> Result<Made, Error> {
        let call = self.cx.aws.elb.delete_rule().rule_arn(arn.as_str()).send();
        self.cx.aws.call(&operations::DELETE_RULE, call).await?;
        Ok(Made::default())
    }

    fn action(&self, operation: &Operation, action: &Action) -> Result<sdk::Action, Error> {
        let base = sdk::Action::builder();
        Ok(match action {
            Action::Forward(group) => base
                .r#type(sdk::ActionTypeEnum::Forward)
                .target_group_arn(self.names.target_group(operation, group)?.as_str()),
            Action::RedirectHttps { port, status_code } => {
                base.r#type(sdk::ActionTypeEnum::Redirect).redirect_config(
                    sdk::RedirectActionConfig::builder()
                        .protocol("HTTPS")
                        .port(port.to_string())
                        .status_code(sdk::RedirectActionStatusCodeEnum::from(
                            status_code.as_str(),
                        ))
                        .build(),
                )
            }
            Action::FixedResponse {
                status_code,
                content_type,
                body,
            } => base
                .r#type(sdk::ActionTypeEnum::FixedResponse)
                .fixed_response_config(
                    sdk::FixedResponseActionConfig::builder()
                        .status_code(status_code)
                        .set_content_type(content_type.clone())
                        .set_message_body(body.clone())
                        .build(),
                ),
            Action::Other(text) => return Err(cannot_write(operation, text)),
        }
        .build())
    }
}

/// A step on a listener that may be new: where it went.
fn on(listener: Arn) -> Made {
    Made {
        parent: Some(listener),
        ..Made::default()
    }
}
