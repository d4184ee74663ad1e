//! Steps on security groups: one function for each.

use std::collections::BTreeSet;

use aws_sdk_ec2::types as sdk;

use super::Context;
use super::names::Names;
use crate::aws::operations::{self, Operation};
use crate::aws::{Class, Error};
use crate::model::spec::{Arn, Permission, SecurityGroup, SecurityGroupRef, Source, Tags};
use crate::plan::effect::Made;
use crate::plan::step::Step;

/// Runs a step on a security group.
pub async fn run(cx: &Context<'_>, names: &Names, step: &Step) -> Result<Made, Error> {
    match step {
        Step::CreateSecurityGroup { spec, .. } => create(cx, spec).await,
        Step::AuthorizeIngress { group, permissions } => {
            authorize(cx, names, group, permissions).await
        }
        Step::RevokeIngress { group, permissions } => revoke(cx, names, group, permissions).await,
        Step::TagSecurityGroup { id, tags } => tag(cx, id, tags).await,
        Step::UntagSecurityGroup { id, keys } => untag(cx, id, keys).await,
        Step::DeleteSecurityGroup { id, .. } => delete(cx, id).await,
        other => Err(Error::here(
            &operations::CREATE_SECURITY_GROUP,
            Class::Refused,
            format!("no step on a security group: {other}"),
        )),
    }
}

fn tag_list(tags: &Tags) -> Vec<sdk::Tag> {
    tags.iter()
        .map(|(key, value)| sdk::Tag::builder().key(key).value(value).build())
        .collect()
}

async fn create(cx: &Context<'_>, spec: &SecurityGroup) -> Result<Made, Error> {
    let tags = sdk::TagSpecification::builder()
        .resource_type(sdk::ResourceType::SecurityGroup)
        .set_tags(Some(tag_list(&spec.tags)))
        .build();
    let call = cx
        .aws
        .ec2
        .create_security_group()
        .group_name(&spec.name)
        .description(&spec.description)
        .vpc_id(&cx.memory.scope().vpc)
        .tag_specifications(tags)
        .send();
    let answer = cx
        .aws
        .call(&operations::CREATE_SECURITY_GROUP, call)
        .await?;
    let id = answer.group_id().ok_or_else(|| {
        let message = "the answer has no group id";
        Error::here(
            &operations::CREATE_SECURITY_GROUP,
            Class::Transient,
            message,
        )
    })?;
    Ok(Made {
        arn: Some(Arn::from(id)),
        ..Made::default()
    })
}

async fn authorize(
    cx: &Context<'_>,
    names: &Names,
    group: &SecurityGroupRef,
    permissions: &BTreeSet<Permission>,
) -> Result<Made, Error> {
    let operation = operations::AUTHORIZE_SECURITY_GROUP_INGRESS;
    let call = cx
        .aws
        .ec2
        .authorize_security_group_ingress()
        .group_id(names.security_group(&operation, cx, group)?)
        .set_ip_permissions(Some(ip_permissions(&operation, cx, names, permissions)?))
        .send();
    cx.aws.call(&operation, call).await?;
    Ok(Made::default())
}

async fn revoke(
    cx: &Context<'_>,
    names: &Names,
    group: &SecurityGroupRef,
    permissions: &BTreeSet<Permission>,
) -> Result<Made, Error> {
    let operation = operations::REVOKE_SECURITY_GROUP_INGRESS;
    let call = cx
        .aws
        .ec2
        .revoke_security_group_ingress()
        .group_id(names.security_group(&operation, cx, group)?)
        .set_ip_permissions(Some(ip_permissions(&operation, cx, names, permissions)?))
        .send();
    cx.aws.call(&operation, call).await?;
    Ok(Made::default())
}

async fn tag(cx: &Context<'_>, id: &str, tags: &Tags) -> Result<Made, Error> {
    let call = cx
        .aws
        .ec2
        .create_tags()
        .resources(id)
        .set_tags(Some(tag_list(tags)))
        .send();
    cx.aws.call(&operations::CREATE_TAGS, call).await?;
    Ok(Made::default())
}

/// Keys without a value: whatever the value is, the tag goes.
async fn untag(cx: &Context<'_>, id: &str, keys: &BTreeSet<String>) -> Result<Made, Error> {
    if keys.is_empty() {
        // A call without tags would remove all of them.
        return Ok(Made::default());
    }
    let keys = keys.iter().map(|key| sdk::Tag::builder().key(key).build());
    let call = cx
        .aws
        .ec2
        .delete_tags()
        .resources(id)
        .set_tags(Some(keys.collect()))
        .send();
    cx.aws.call(&operations::DELETE_TAGS, call).await?;
    Ok(Made::default())
}

async fn delete(cx: &Context<'_>, id: &str) -> Result<Made, Error> {
    let call = cx.aws.ec2.delete_security_group().group_id(id).send();
    cx.aws
        .call(&operations::DELETE_SECURITY_GROUP, call)
        .await?;
    Ok(Made::default())
}

fn ip_permissions(
    operation: &Operation,
    cx: &Context<'_>,
    names: &Names,
    permissions: &BTreeSet<Permission>,
) -> Result<Vec<sdk::IpPermission>, Error> {
    permissions
        .iter()
        .map(|permission| {
            let port = |port: u16| i32::from(port);
            let described =
                (!permission.description.is_empty()).then(|| permission.description.clone());
            let base = sdk::IpPermission::builder()
                .ip_protocol(&permission.protocol)
                .set_from_port(permission.ports.map(|(from, _)| port(from)))
                .set_to_port(permission.ports.map(|(_, to)| port(to)));
            Ok(match &permission.source {
                Source::Cidr(cidr) if cidr.contains(':') => base.ipv6_ranges(
                    sdk::Ipv6Range::builder()
                        .cidr_ipv6(cidr)
                        .set_description(described)
                        .build(),
                ),
                Source::Cidr(cidr) => base.ip_ranges(
                    sdk::IpRange::builder()
                        .cidr_ip(cidr)
                        .set_description(described)
                        .build(),
                ),
                Source::Group(group) => base.user_id_group_pairs(
                    sdk::UserIdGroupPair::builder()
                        .group_id(names.security_group(operation, cx, group)?)
                        .set_description(described)
                        .build(),
                ),
                Source::PrefixList(id) => base.prefix_list_ids(
                    sdk::PrefixListId::builder()
                        .prefix_list_id(id)
                        .set_description(described)
                        .build(),
                ),
            }
            .build())
        })
        .collect()
}
