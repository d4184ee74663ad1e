//! What has come of a plan, in the words of people.

use crate::apply::{Applied, Failure as Failed};
use crate::aws::Class;
use crate::model::desired::{Desired, Intent};
use crate::model::finding::{Effect, Finding, Reason};
use crate::model::spec::{ObjectName, Observed};
use crate::plan::step::{Need, Plan, Step};
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

/// The findings of a load balancer that is protected against deletion: on
/// every Ingress that is being deleted; where it is only to be replaced, on
/// every member.
pub fn protected(desired: &Desired, plan: &Plan, applied: &Applied) -> Vec<Finding> {
    let refused = applied.failed.iter().find_map(|failed| {
        let step = plan.steps.get(failed.step).map(|planned| &planned.step);
        match step {
            Some(Step::DeleteLoadBalancer { arn, name, .. })
                if failed.error.class == Class::Protected =>
            {
                Some((arn, name))
            }
            _ => None,
        }
    });
    let Some((arn, name)) = refused else {
        return Vec::new();
    };
    let (who, effect, aim): (Vec<&ObjectName>, _, _) = match desired.intent {
        Intent::Serve(_) => {
            let aim = "have the new one of the other scheme take its place";
            (desired.members.iter().collect(), Effect::Degraded, aim)
        }
        Intent::Remove | Intent::Hold | Intent::LeaveAlone => {
            let leavers = desired.leavers.iter().map(|leaver| &leaver.ingress);
            (leavers.collect(), Effect::Frozen, "let the Ingress go")
        }
    };
    who.into_iter()
        .map(|ingress| Finding {
            ingress: ingress.clone(),
            effect,
            reason: Reason::DeletionProtected,
            message: format!(
                "load balancer {name} is not deleted: it has deletion protection, which this \
                 controller never switches off. To {aim}, switch it off: aws elbv2 \
                 modify-load-balancer-attributes --load-balancer-arn {arn} --attributes \
                 Key=deletion_protection.enabled,Value=false; the deletion is tried again with \
                 growing pauses"
            ),
        })
        .collect()
}

/// What stands in the way of a load balancer that is not made yet.
pub(super) fn blocking(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let Intent::Serve(stack) = &desired.intent else {
        return Vec::new();
    };
    // While a member is frozen, or a leaver held, the load balancer that is there is kept, whatever
    // its scheme: the wish of the others alone does not count.
    if desired.keeps_live_parts() && !observed.load_balancers.is_empty() {
        return Vec::new();
    }
    let wished = stack.load_balancer.scheme;
    if observed
        .load_balancers
        .iter()
        .any(|lb| lb.spec.scheme == wished)
    {
        return Vec::new();
    }
    desired.blocks_creation.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Error;
    use crate::aws::operations::DELETE_LOAD_BALANCER;
    use crate::model::desired::Leaver;
    use crate::model::spec::Scheme;
    use crate::plan::step::Planned;
    use crate::report::tests::served;

    #[test]
    fn deletion_protection_says_what_to_type() {
        let step = Step::DeleteLoadBalancer {
            arn: "arn:aws:elasticloadbalancing:x:1:loadbalancer/app/web/2".into(),
            name: "web".to_owned(),
            scheme: Scheme::Internal,
        };
        let plan = Plan {
            steps: vec![Planned {
                step,
                after: [].into(),
                needs: [].into(),
                low_priority: false,
            }],
            ..Plan::default()
        };
        let applied = Applied {
            failed: vec![Failed {
                step: 0,
                text: plan.steps[0].step.to_string(),
                error: Error::here(&DELETE_LOAD_BALANCER, Class::Protected, "protected"),
            }],
            ..Applied::default()
        };
        // Replaced: whoever is served by the old one hears of it.
        let mut desired = served();
        let found = protected(&desired, &plan, &applied);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].effect, Effect::Degraded);
        desired.intent = Intent::Remove;
        desired.leavers = desired
            .members
            .drain(..)
            .map(|ingress| Leaver {
                ingress,
                deleted: true,
            })
            .collect();
        let found = protected(&desired, &plan, &applied);
        assert_eq!(
            found[0].message,
            "load balancer web is not deleted: it has deletion protection, which this controller \
             never switches off. To let the Ingress go, switch it off: aws elbv2 \
             modify-load-balancer-attributes --load-balancer-arn \
             arn:aws:elasticloadbalancing:x:1:loadbalancer/app/web/2 --attributes \
             Key=deletion_protection.enabled,Value=false; the deletion is tried again with growing \
             pauses"
        );
    }
}
