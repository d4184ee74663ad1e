//! A name that is taken: by ourselves, in a run whose answer was lost, or by
//! something that does not carry our marks.

use super::Context;
use crate::aws::operations::{self, Operation};
use crate::aws::{Aws, Class, Error};
use crate::model::ownership;
use crate::model::spec::{Arn, Tags};
use crate::observe::{ec2, elb};
use crate::plan::step::Step;

/// Something that has the name of what was to be made.
struct Namesake {
    arn: Arn,
    tags: Tags,
}

/// What a create that met its own name means. Where the one that is there
/// carries our marks, the error stays a lost race: what is remembered is in
/// doubt, is read again, and the next plan goes on from it. Where it does
/// not, it is a refusal that says so.
pub async fn explain(cx: &Context<'_>, step: &Step, error: Error) -> Error {
    let (operation, kind, name, wished) = match step {
        Step::CreateLoadBalancer(spec) => {
            let operation = operations::CREATE_LOAD_BALANCER;
            (operation, Kind::LoadBalancer, &spec.name, &spec.tags)
        }
        Step::CreateTargetGroup(spec) => {
            let operation = operations::CREATE_TARGET_GROUP;
            (operation, Kind::TargetGroup, &spec.name, &spec.tags)
        }
        Step::CreateSecurityGroup { spec, .. } => {
            let operation = operations::CREATE_SECURITY_GROUP;
            (operation, Kind::SecurityGroup, &spec.name, &spec.tags)
        }
        _ => return error,
    };
    let found = match kind {
        Kind::LoadBalancer => load_balancer(cx.aws, name).await,
        Kind::TargetGroup => target_group(cx.aws, name).await,
        Kind::SecurityGroup => security_group(cx, name).await,
    };
    match found {
        Ok(Some(found)) => {
            let missing = missing(wished, &found.tags);
            if missing.is_empty() {
                // Its marks may be new: they are read again.
                cx.memory.forget_tags(&found.arn);
                return error;
            }
            taken(&operation, kind, name, &found.arn, &missing)
        }
        Ok(None) => error,
        Err(later) => later,
    }
}

/// Fails where a load balancer or target group that a create answered does not
/// carry the marks that it was to be made with.
pub async fn must_be_ours(
    aws: &Aws,
    operation: &Operation,
    kind: Kind,
    name: &str,
    arn: &Arn,
    wished: &Tags,
) -> Result<(), Error> {
    let tags = elb::tags(aws, std::slice::from_ref(arn)).await?;
    match tags.get(arn).map(|tags| missing(wished, tags)) {
        Some(missing) if !missing.is_empty() => Err(taken(operation, kind, name, arn, &missing)),
        _ => Ok(()),
    }
}

/// What may have a name of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A load balancer.
    LoadBalancer,
    /// A target group.
    TargetGroup,
    /// A security group.
    SecurityGroup,
}

/// Marks that something lacks, or has with another value.
fn missing(wished: &Tags, found: &Tags) -> Tags {
    let marks = wished.iter().filter(|(key, _)| ownership::is_mark(key));
    marks
        .filter(|(key, value)| found.get(key) != Some(*value))
        .collect()
}

/// A name that we need is taken by something that is not marked as ours.
fn taken(operation: &Operation, kind: Kind, name: &str, arn: &Arn, missing: &Tags) -> Error {
    let (what, how) = match kind {
        Kind::LoadBalancer => ("load balancer", "aws elbv2 add-tags"),
        Kind::TargetGroup => ("target group", "aws elbv2 add-tags"),
        Kind::SecurityGroup => ("security group", "aws ec2 create-tags"),
    };
    let tags: Vec<String> = missing.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let message = format!(
        "{what} {name} ({arn}) has the name that is needed here and lacks the tags {}: it is not \
         known as this controller's and is left as it is. If it is, tag it again ({how}); if not, \
         delete it. It is looked at again with growing pauses",
        tags.join(", ")
    );
    Error::here(operation, Class::NameTaken, message)
}

async fn load_balancer(aws: &Aws, name: &str) -> Result<Option<Namesake>, Error> {
    let call = aws.elb.describe_load_balancers().names(name).send();
    let answer = aws.call(&operations::DESCRIBE_LOAD_BALANCERS, call).await;
    let arn = match answer {
        Err(error) if error.class == Class::Gone => None,
        answer => answer?
            .load_balancers()
            .first()
            .and_then(|lb| lb.load_balancer_arn().map(Arn::from)),
    };
    with_tags(aws, arn).await
}

async fn target_group(aws: &Aws, name: &str) -> Result<Option<Namesake>, Error> {
    let call = aws.elb.describe_target_groups().names(name).send();
    let answer = aws.call(&operations::DESCRIBE_TARGET_GROUPS, call).await;
    let arn = match answer {
        Err(error) if error.class == Class::Gone => None,
        answer => answer?
            .target_groups()
            .first()
            .and_then(|tg| tg.target_group_arn().map(Arn::from)),
    };
    with_tags(aws, arn).await
}

async fn with_tags(aws: &Aws, arn: Option<Arn>) -> Result<Option<Namesake>, Error> {
    let Some(arn) = arn else {
        return Ok(None);
    };
    let mut tags = elb::tags(aws, std::slice::from_ref(&arn)).await?;
    // What is not answered has gone meanwhile.
    Ok(tags.remove(&arn).map(|tags| Namesake { arn, tags }))
}

async fn security_group(cx: &Context<'_>, name: &str) -> Result<Option<Namesake>, Error> {
    let vpc = &cx.memory.scope().vpc;
    let found = ec2::security_groups_by_name(cx.aws, vpc, name).await?;
    Ok(found.into_iter().next().map(|group| Namesake {
        arn: group.arn,
        tags: group.spec.tags,
    }))
}
