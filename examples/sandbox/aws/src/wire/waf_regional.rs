//! WAF Classic Regional.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{page::Paging, params::Input, wafv2};
use crate::state::{
    Answer, State,
    waf_regional::{ClassicWebAcl, NewClassicWebAcl, RuleChange},
};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    Some(match action {
        "GetChangeToken" => change_token(input, state),
        "GetChangeTokenStatus" => change_token_status(input, state, now),
        "CreateWebACL" => create(input, state, now),
        "GetWebACL" => get(input, state),
        "ListWebACLs" => list(input, state),
        "UpdateWebACL" => update(input, state, now),
        "DeleteWebACL" => delete(input, state, now),
        "AssociateWebACL" => associate(input, state),
        "DisassociateWebACL" => disassociate(input, state),
        "GetWebACLForResource" => for_resource(input, state),
        "ListResourcesForWebACL" => resources(input, state),
        "TagResource" | "UntagResource" | "ListTagsForResource" => {
            return wafv2::handle(action, input, state, now);
        }
        _ => return None,
    })
}

fn change_token(input: &Input, state: &mut State) -> Answer<Value> {
    input.done()?;
    Ok(json!({ "ChangeToken": state.change_token() }))
}

fn change_token_status(input: &Input, state: &State, now: Timestamp) -> Answer<Value> {
    let token = input.need("ChangeToken")?;
    input.done()?;
    let status = state.change_token_status(&token, now)?;
    Ok(json!({ "ChangeTokenStatus": status.as_str() }))
}

fn create(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let token = input.need("ChangeToken")?;
    let new = NewClassicWebAcl {
        name: input.need("Name")?,
        metric_name: input.need("MetricName")?,
        default_action: input.part("DefaultAction").need("Type")?,
        tags: input.pairs("Tags")?,
    };
    input.done()?;
    let id = state.create_classic_web_acl(new, &token, now)?.id.clone();
    let acl = state.classic_web_acl(&id)?;
    Ok(json!({ "WebACL": shown(acl, state), "ChangeToken": token }))
}

fn get(input: &Input, state: &State) -> Answer<Value> {
    let id = input.need("WebACLId")?;
    input.done()?;
    Ok(json!({ "WebACL": shown(state.classic_web_acl(&id)?, state) }))
}

fn list(input: &Input, state: &State) -> Answer<Value> {
    let paging = Paging::read(input, "Limit", "NextMarker", 100)?;
    input.done()?;
    let acls = state.waf_regional.web_acls.values();
    let page = paging.cut_full(input, acls, |acl| acl.id.clone())?;
    Ok(page.answer(
        "NextMarker",
        |acls| json!({ "WebACLs": acls.into_iter().map(summary).collect::<Value>() }),
    ))
}

fn update(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let token = input.need("ChangeToken")?;
    let id = input.need("WebACLId")?;
    let action = input.part("DefaultAction").text("Type");
    let mut rules = Vec::new();
    for update in input.list("Updates") {
        rules.push(RuleChange {
            rule_id: update.part("ActivatedRule").need("RuleId")?,
        });
    }
    input.skip(&["Updates"]);
    input.done()?;
    state.update_classic_web_acl(&id, action, &rules, &token, now)?;
    Ok(json!({ "ChangeToken": token }))
}

fn delete(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let token = input.need("ChangeToken")?;
    let id = input.need("WebACLId")?;
    input.done()?;
    state.delete_classic_web_acl(&id, &token, now)?;
    Ok(json!({ "ChangeToken": token }))
}

fn associate(input: &Input, state: &mut State) -> Answer<Value> {
    let id = input.need("WebACLId")?;
    let resource = input.need("ResourceArn")?;
    input.done()?;
    state.associate_classic_web_acl(&id, &resource)?;
    Ok(json!({}))
}

fn disassociate(input: &Input, state: &mut State) -> Answer<Value> {
    let resource = input.need("ResourceArn")?;
    input.done()?;
    state.disassociate_classic_web_acl(&resource)?;
    Ok(json!({}))
}

/// Without a web ACL the answer has no such member.
fn for_resource(input: &Input, state: &State) -> Answer<Value> {
    let resource = input.need("ResourceArn")?;
    input.done()?;
    Ok(match state.classic_web_acl_of(&resource)? {
        Some(acl) => json!({ "WebACLSummary": summary(acl) }),
        None => json!({}),
    })
}

fn resources(input: &Input, state: &State) -> Answer<Value> {
    let id = input.need("WebACLId")?;
    let kind = input.text("ResourceType");
    input.done()?;
    let resources = state.resources_of_classic_web_acl(&id, kind.as_deref())?;
    Ok(json!({ "ResourceArns": resources }))
}

fn shown(acl: &ClassicWebAcl, state: &State) -> Value {
    json!({
        "WebACLId": acl.id,
        "Name": acl.name,
        "MetricName": acl.metric_name,
        "DefaultAction": { "Type": acl.default_action },
        "Rules": [],
        "WebACLArn": state.classic_web_acl_arn(&acl.id),
    })
}

fn summary(acl: &ClassicWebAcl) -> Value {
    json!({ "WebACLId": acl.id, "Name": acl.name })
}
