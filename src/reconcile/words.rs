//! What has come of a plan, in the words of people.

use crate::apply::{Applied, Failure as Failed};
use crate::aws::Class;
use crate::model::desired::Desired;
use crate::model::finding::{Effect, Finding, Reason};
use crate::plan::step::Need;
use crate::report::Failure;

/// Failures worth an event: what goes away by itself is not.
pub fn failures(applied: &Applied) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for failed in &applied.failed {
        let Some(reason) = reason(failed.error.class) else {
            continue;
        };
        if failures.iter().any(|said| said.reason == reason) {
            continue;
        }
        let error = &failed.error;
        let code = if error.code.is_empty() {
            "no answer"
        } else {
            &error.code
        };
        failures.push(Failure {
            reason: reason.to_owned(),
            message: format!(
                "cannot do \"{}\": AWS answered {code} to {}: {}; tried again with growing pauses",
                failed.text, error.operation, error.message
            ),
        });
    }
    failures
}

/// The reason of the event of a failure; `None` for what is no failure.
fn reason(class: Class) -> Option<&'static str> {
    match class {
        Class::Denied => Some("AccessDenied"),
        Class::Credentials => Some("CredentialsNotAccepted"),
        Class::Throttle => Some("Throttled"),
        Class::Quota => Some("QuotaExceeded"),
        Class::Refused => Some("RefusedByAWS"),
        Class::Transient => Some("AWSNotAnswering"),
        Class::Gone | Class::LostRace => Some("ChangedMeanwhile"),
        // A taken name is a finding.
        Class::InUse | Class::Protected | Class::Fenced | Class::NameTaken => None,
    }
}

/// The findings of a load balancer, or targets, that wait for the shared
/// backend security group while its name is taken: on every member.
pub fn without_backend<'a>(
    desired: &'a Desired,
    applied: &'a Applied,
    taken: Option<&'a str>,
) -> impl Iterator<Item = Finding> + 'a {
    // A step tells the first of its needs that did not come.
    let is_shared = |need: &Need| !matches!(need, Need::ActiveLoadBalancer { .. });
    let message = taken.filter(|_| applied.waiting.iter().any(is_shared));
    message.into_iter().flat_map(|message| {
        let members = desired.members.iter();
        let served = members.filter(|member| !desired.frozen.contains(*member));
        served.map(move |member| Finding {
            ingress: member.clone(),
            effect: Effect::Frozen,
            reason: Reason::NameTaken,
            message: format!("the load balancer waits for the shared security group: {message}"),
        })
    })
}

/// What is still held by something that goes later.
pub fn in_use(applied: &Applied) -> impl Iterator<Item = String> + '_ {
    let held = |failed: &&Failed| failed.error.class == Class::InUse;
    applied.failed.iter().filter(held).map(|failed| {
        let error = &failed.error;
        let why = if error.code.is_empty() {
            error.message.as_str()
        } else {
            "AWS says that it is still in use"
        };
        format!("\"{}\": {why}", failed.text)
    })
}

/// The findings of a load balancer that is protected against deletion, on
/// every Ingress that is being deleted.
pub fn protected<'a>(
    desired: &'a Desired,
    applied: &'a Applied,
) -> impl Iterator<Item = Finding> + 'a {
    let held = applied
        .failed
        .iter()
        .find(|failed| failed.error.class == Class::Protected);
    held.into_iter().flat_map(|failed| {
        desired.leavers.iter().map(|leaver| Finding {
            ingress: leaver.ingress.clone(),
            effect: Effect::Frozen,
            reason: Reason::DeletionProtected,
            message: format!(
                "\"{}\" is refused: the load balancer has deletion protection, which this \
                 controller never switches off. To let the Ingress go, set the attribute \
                 deletion_protection.enabled of the load balancer to false (aws elbv2 \
                 modify-load-balancer-attributes); it is tried again with growing pauses",
                failed.text
            ),
        })
    })
}
