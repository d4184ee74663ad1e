//! Shield Advanced.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    answers::{seconds, tag, tag_list, untag},
    page::Paging,
    params::Input,
};
use crate::state::{
    Answer, State,
    shield::{Protection, ProtectionFilter, RESOURCE_TYPES},
};

/// Types in the limits of a subscription, by their older names.
const LIMITED: [&str; 5] = [
    "GLOBAL_ACCELERATOR",
    "ROUTE53_HOSTED_ZONE",
    "CF_DISTRIBUTION",
    "ELB_LOAD_BALANCER",
    "EC2_ELASTIC_IP_ALLOCATION",
];

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    Some(match action {
        "CreateSubscription" => subscribe(input, state, now),
        "GetSubscriptionState" => subscription_state(input, state),
        "DescribeSubscription" => describe_subscription(input, state),
        "UpdateSubscription" => update_subscription(input, state, now),
        "DeleteSubscription" => delete_subscription(input, state, now),
        "CreateProtection" => protect(input, state),
        "DescribeProtection" => describe_protection(input, state),
        "DeleteProtection" => unprotect(input, state),
        "ListProtections" => list_protections(input, state),
        "TagResource" => tag(input, |arn, tags| state.tag_protection(arn, tags)),
        "UntagResource" => untag(input, |arn, keys| state.untag_protection(arn, keys)),
        "ListTagsForResource" => list_tags(input, state),
        _ => return None,
    })
}

fn subscribe(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    input.done()?;
    state.create_subscription(now)?;
    Ok(json!({}))
}

fn subscription_state(input: &Input, state: &State) -> Answer<Value> {
    input.done()?;
    let word = match state.shield.subscription {
        Some(_) => "ACTIVE",
        None => "INACTIVE",
    };
    Ok(json!({ "SubscriptionState": word }))
}

fn describe_subscription(input: &Input, state: &State) -> Answer<Value> {
    input.done()?;
    let subscription = state.subscription()?;
    let most = state.quotas.limit("shield-protections-per-resource-type");
    let limits = |kinds: &[&str]| -> Value {
        kinds
            .iter()
            .map(|kind| json!({ "Type": kind, "Max": most }))
            .collect()
    };
    Ok(json!({ "Subscription": {
        "StartTime": seconds(subscription.start),
        "EndTime": seconds(subscription.end),
        "TimeCommitmentInSeconds": subscription.commitment_s,
        "AutoRenew": if subscription.auto_renew { "ENABLED" } else { "DISABLED" },
        "Limits": limits(&LIMITED),
        "ProactiveEngagementStatus": "DISABLED",
        "SubscriptionLimits": {
            "ProtectionLimits": { "ProtectedResourceTypeLimits": limits(&RESOURCE_TYPES) },
            "ProtectionGroupLimits": {
                "MaxProtectionGroups": 100,
                "PatternTypeLimits": { "ArbitraryPatternLimits": { "MaxMembers": 1000 } },
            },
        },
        "SubscriptionArn": state.subscription_arn(),
    }}))
}

fn update_subscription(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let auto_renew = input.text("AutoRenew").map(|word| word == "ENABLED");
    input.done()?;
    state.update_subscription(auto_renew, now)?;
    Ok(json!({}))
}

fn delete_subscription(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    input.done()?;
    state.delete_subscription(now)?;
    Ok(json!({}))
}

fn protect(input: &Input, state: &mut State) -> Answer<Value> {
    let name = input.need("Name")?;
    let resource = input.need("ResourceArn")?;
    let tags = input.pairs("Tags")?;
    input.done()?;
    let id = state.create_protection(&name, &resource, &tags)?;
    Ok(json!({ "ProtectionId": id }))
}

fn describe_protection(input: &Input, state: &State) -> Answer<Value> {
    let id = input.text("ProtectionId");
    let resource = input.text("ResourceArn");
    input.done()?;
    let protection = state.protection(id.as_deref(), resource.as_deref())?;
    Ok(json!({ "Protection": shown(protection, state) }))
}

fn unprotect(input: &Input, state: &mut State) -> Answer<Value> {
    let id = input.need("ProtectionId")?;
    input.done()?;
    state.delete_protection(&id)?;
    Ok(json!({}))
}

fn list_protections(input: &Input, state: &State) -> Answer<Value> {
    let paging = Paging::read(input, "MaxResults", "NextToken", 20)?;
    let filters = input.part("InclusionFilters");
    let one = |name: &str| filters.texts(name).into_iter().next();
    let filter = ProtectionFilter {
        resource_arn: one("ResourceArns"),
        name: one("ProtectionNames"),
        resource_type: one("ResourceTypes"),
    };
    input.done()?;
    let protections = state.protections(&filter)?;
    let page = paging.cut(input, protections, |protection| protection.id.clone())?;
    Ok(page.answer("NextToken", |protections| {
        let shown = protections.into_iter().map(|one| shown(one, state));
        json!({ "Protections": shown.collect::<Value>() })
    }))
}

fn list_tags(input: &Input, state: &State) -> Answer<Value> {
    let arn = input.need("ResourceARN")?;
    input.done()?;
    Ok(json!({ "Tags": tag_list(&state.tags_of_protection(&arn)?) }))
}

fn shown(protection: &Protection, state: &State) -> Value {
    json!({
        "Id": protection.id,
        "Name": protection.name,
        "ResourceArn": protection.resource_arn,
        "HealthCheckIds": [],
        "ProtectionArn": state.protection_arn(&protection.id),
    })
}
