//! A name that is taken: by ourselves, in a run whose answer was lost, or by
//! somebody else.

use super::{Context, Work};
use crate::aws::operations::{self, Operation};
use crate::aws::{Class, Error};
use crate::model::ownership;
use crate::model::spec::{Arn, Tags};
use crate::observe::{ec2, elb, is_backend};
use crate::plan::step::Step;

/// What a create that met its own name means. Where the one that is there
/// carries our marks, the error stays a lost race: what is remembered is in
/// doubt, is read again, and the next plan goes on from it. Where it does
/// not, it is a refusal that says so.
pub async fn explain(cx: &Context<'_>, work: Work<'_>, step: &Step, error: Error) -> Error {
    let (operation, what, name, ours) = match step {
        Step::CreateLoadBalancer(spec) => {
            let ours = load_balancer_is_ours(cx, work, &spec.name).await;
            let operation = operations::CREATE_LOAD_BALANCER;
            (operation, "load balancer", &spec.name, ours)
        }
        Step::CreateTargetGroup(spec) => {
            let ours = target_group_is_ours(cx, work, &spec.name).await;
            let operation = operations::CREATE_TARGET_GROUP;
            (operation, "target group", &spec.name, ours)
        }
        Step::CreateSecurityGroup { spec, .. } => {
            let ours = security_group_is_ours(cx, work, &spec.name).await;
            let operation = operations::CREATE_SECURITY_GROUP;
            (operation, "security group", &spec.name, ours)
        }
        _ => return error,
    };
    match ours {
        Ok(Some(false)) => foreign(&operation, what, name),
        Ok(Some(true) | None) => error,
        Err(later) => later,
    }
}

/// A thing of a name that we want and that is somebody else's.
pub fn foreign(operation: &Operation, what: &str, name: &str) -> Error {
    let message = format!(
        "a {what} named {name} exists that does not carry the tags of this cluster and group; \
         it is left alone: delete or rename it, or give it the tags {} and {}",
        ownership::CLUSTER_TAG,
        ownership::STACK_TAG,
    );
    Error::here(operation, Class::Refused, message)
}

/// Whether tags are those of the group that a plan is of.
fn owned(cx: &Context<'_>, work: Work<'_>, tags: &Tags) -> bool {
    let owner = ownership::group_of_tags(&cx.memory.scope().cluster, tags);
    match work {
        Work::Group(group) => owner.as_ref() == Some(group),
        Work::Backend => false,
    }
}

/// Whether an existing load balancer or target group is ours, by its tags.
pub async fn is_ours(cx: &Context<'_>, work: Work<'_>, arn: &Arn) -> Result<Option<bool>, Error> {
    let tags = elb::tags(cx.aws, std::slice::from_ref(arn)).await?;
    Ok(tags.get(arn).map(|tags| owned(cx, work, tags)))
}

async fn load_balancer_is_ours(
    cx: &Context<'_>,
    work: Work<'_>,
    name: &str,
) -> Result<Option<bool>, Error> {
    let call = cx.aws.elb.describe_load_balancers().names(name).send();
    let answer = cx
        .aws
        .call(&operations::DESCRIBE_LOAD_BALANCERS, call)
        .await;
    let arn = match answer {
        Err(error) if error.class == Class::Gone => None,
        answer => answer?
            .load_balancers()
            .first()
            .and_then(|lb| lb.load_balancer_arn().map(Arn::from)),
    };
    match arn {
        Some(arn) => is_ours(cx, work, &arn).await,
        None => Ok(None),
    }
}

async fn target_group_is_ours(
    cx: &Context<'_>,
    work: Work<'_>,
    name: &str,
) -> Result<Option<bool>, Error> {
    let call = cx.aws.elb.describe_target_groups().names(name).send();
    let answer = cx.aws.call(&operations::DESCRIBE_TARGET_GROUPS, call).await;
    let arn = match answer {
        Err(error) if error.class == Class::Gone => None,
        answer => answer?
            .target_groups()
            .first()
            .and_then(|tg| tg.target_group_arn().map(Arn::from)),
    };
    match arn {
        Some(arn) => is_ours(cx, work, &arn).await,
        None => Ok(None),
    }
}

async fn security_group_is_ours(
    cx: &Context<'_>,
    work: Work<'_>,
    name: &str,
) -> Result<Option<bool>, Error> {
    let scope = cx.memory.scope();
    let found = ec2::security_groups_by_name(cx.aws, &scope.vpc, name).await?;
    Ok(found.first().map(|group| match work {
        Work::Group(_) => owned(cx, work, &group.spec.tags),
        Work::Backend => is_backend(&scope.cluster, group),
    }))
}
