//! WAFv2: web ACLs with their associations, and the sets and groups that rules
//! refer to.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    answers::{tag, tag_list, untag},
    page::Paging,
    params::Input,
};
use crate::state::{
    Answer, State,
    ip_set::IpSet,
    regex_pattern_set::RegexPatternSet,
    rule_group::RuleGroup,
    wafv2::{Entity, Kind, Naming, NewEntity, Scope},
    web_acl::WebAcl,
};

/// What a write of a web ACL replaces as a whole.
const WEB_ACL_SETTINGS: [&str; 13] = [
    "ApplicationConfig",
    "AnalyticsConfig",
    "AssociationConfig",
    "CaptchaConfig",
    "ChallengeConfig",
    "CustomResponseBodies",
    "DataProtectionConfig",
    "DefaultAction",
    "MonetizationConfig",
    "OnSourceDDoSProtectionConfig",
    "Rules",
    "TokenDomains",
    "VisibilityConfig",
];
/// What a rule group is made with.
const RULE_GROUP_SETTINGS: [&str; 4] = [
    "CustomResponseBodies",
    "MonetizationConfig",
    "Rules",
    "VisibilityConfig",
];

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    Some(match action {
        "CreateWebACL" => create_web_acl(input, state, now),
        "GetWebACL" => get_web_acl(input, state),
        "ListWebACLs" => list::<WebAcl>(input, state, "WebACLs"),
        "UpdateWebACL" => update_web_acl(input, state),
        "DeleteWebACL" => delete(input, |naming, token| state.delete_web_acl(naming, token)),
        "CheckCapacity" => check_capacity(input, state),
        "AssociateWebACL" => associate(input, state),
        "DisassociateWebACL" => disassociate(input, state),
        "GetWebACLForResource" => web_acl_for_resource(input, state),
        "ListResourcesForWebACL" => resources_for_web_acl(input, state),
        "CreateIPSet" => create_ip_set(input, state, now),
        "GetIPSet" => get_ip_set(input, state),
        "ListIPSets" => list::<IpSet>(input, state, "IPSets"),
        "UpdateIPSet" => update_ip_set(input, state),
        "DeleteIPSet" => delete(input, |naming, token| state.delete_ip_set(naming, token)),
        "CreateRegexPatternSet" => create_regex_pattern_set(input, state, now),
        "GetRegexPatternSet" => get_regex_pattern_set(input, state),
        "ListRegexPatternSets" => list::<RegexPatternSet>(input, state, "RegexPatternSets"),
        "DeleteRegexPatternSet" => delete(input, |naming, token| {
            state.delete_regex_pattern_set(naming, token)
        }),
        "CreateRuleGroup" => create_rule_group(input, state, now),
        "GetRuleGroup" => get_rule_group(input, state),
        "ListRuleGroups" => list::<RuleGroup>(input, state, "RuleGroups"),
        "DeleteRuleGroup" => delete(input, |naming, token| {
            state.delete_rule_group(naming, token)
        }),
        "TagResource" => tag(input, |arn, tags| state.tag_waf(arn, tags)),
        "UntagResource" => untag(input, |arn, keys| state.untag_waf(arn, keys)),
        "ListTagsForResource" => list_tags(input, state),
        _ => return None,
    })
}

fn create_web_acl(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let new = new_entity(input)?;
    let settings = settings(input, &WEB_ACL_SETTINGS);
    input.done()?;
    let entity = state.create_web_acl(&new, settings, now)?;
    Ok(json!({ "Summary": summary(entity) }))
}

fn get_web_acl(input: &Input, state: &State) -> Answer<Value> {
    let acl = if let Some(arn) = input.text("ARN") {
        input.skip(&["Name", "Scope", "Id"]);
        input.done()?;
        state.waf_entity_of_arn::<WebAcl>(&arn)?
    } else {
        if ["Name", "Scope", "Id"].iter().any(|name| !input.has(name)) {
            return Err(input.invalid(
                "Error reason: You have used none or multiple values for a field that requires exactly one value., field: WEB_ACL, parameter: ARN",
            ));
        }
        let naming = naming(input)?;
        input.done()?;
        state.waf_entity::<WebAcl>(&naming)?
    };
    Ok(json!({
        "WebACL": shown(acl, &state.account),
        "LockToken": acl.entity.lock_token,
    }))
}

fn update_web_acl(input: &Input, state: &mut State) -> Answer<Value> {
    let naming = naming(input)?;
    let token = input.need("LockToken")?;
    let description = input.text("Description");
    let settings = settings(input, &WEB_ACL_SETTINGS);
    input.done()?;
    let next = state.update_web_acl(&naming, &token, description, settings)?;
    Ok(json!({ "NextLockToken": next }))
}

fn check_capacity(input: &Input, state: &State) -> Answer<Value> {
    let scope = scope(input)?;
    let settings = settings(input, &["Rules"]);
    input.done()?;
    Ok(json!({ "Capacity": state.check_capacity(&settings, scope)? }))
}

fn associate(input: &Input, state: &mut State) -> Answer<Value> {
    let acl = input.need("WebACLArn")?;
    let resource = input.need("ResourceArn")?;
    input.done()?;
    state.associate_web_acl(&acl, &resource)?;
    Ok(json!({}))
}

fn disassociate(input: &Input, state: &mut State) -> Answer<Value> {
    let resource = input.need("ResourceArn")?;
    input.done()?;
    state.disassociate_web_acl(&resource)?;
    Ok(json!({}))
}

/// Without a web ACL the answer has no such member.
fn web_acl_for_resource(input: &Input, state: &State) -> Answer<Value> {
    let resource = input.need("ResourceArn")?;
    input.done()?;
    Ok(match state.web_acl_of(&resource)? {
        Some(acl) => json!({ "WebACL": shown(acl, &state.account) }),
        None => json!({}),
    })
}

fn resources_for_web_acl(input: &Input, state: &State) -> Answer<Value> {
    let acl = input.need("WebACLArn")?;
    let kind = input.text("ResourceType");
    input.done()?;
    let resources = state.resources_of_web_acl(&acl, kind.as_deref())?;
    Ok(json!({ "ResourceArns": resources }))
}

fn shown(acl: &WebAcl, account: &str) -> Value {
    let entity = &acl.entity;
    let mut shown = acl.settings.clone();
    shown.entry("Rules").or_insert_with(|| json!([]));
    for (name, value) in [
        ("Name", json!(entity.name)),
        ("Id", json!(entity.id)),
        ("ARN", json!(entity.arn)),
        ("Description", json!(entity.description)),
        ("Capacity", json!(acl.capacity)),
        ("ManagedByFirewallManager", json!(false)),
        ("RetrofittedByFirewallManager", json!(false)),
        (
            "LabelNamespace",
            json!(format!("awswaf:{account}:webacl:{}:", entity.name)),
        ),
    ] {
        shown.insert(name.to_owned(), value);
    }
    Value::Object(shown)
}

fn create_ip_set(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let new = new_entity(input)?;
    let version = input.need("IPAddressVersion")?;
    let addresses = input.texts("Addresses");
    input.done()?;
    let entity = state.create_ip_set(&new, &version, addresses, now)?;
    Ok(json!({ "Summary": summary(entity) }))
}

fn get_ip_set(input: &Input, state: &State) -> Answer<Value> {
    let naming = naming(input)?;
    input.done()?;
    let set = state.waf_entity::<IpSet>(&naming)?;
    let mut shown = described(&set.entity);
    shown["IPAddressVersion"] = json!(set.version);
    shown["Addresses"] = json!(set.addresses);
    Ok(json!({ "IPSet": shown, "LockToken": set.entity.lock_token }))
}

fn update_ip_set(input: &Input, state: &mut State) -> Answer<Value> {
    let naming = naming(input)?;
    let token = input.need("LockToken")?;
    let description = input.text("Description");
    let addresses = input.texts("Addresses");
    input.done()?;
    let next = state.update_ip_set(&naming, &token, description, addresses)?;
    Ok(json!({ "NextLockToken": next }))
}

fn create_regex_pattern_set(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let new = new_entity(input)?;
    let expressions = input
        .list("RegularExpressionList")
        .iter()
        .map(|one| one.text("RegexString").unwrap_or_default())
        .collect();
    input.done()?;
    let entity = state.create_regex_pattern_set(&new, expressions, now)?;
    Ok(json!({ "Summary": summary(entity) }))
}

fn get_regex_pattern_set(input: &Input, state: &State) -> Answer<Value> {
    let naming = naming(input)?;
    input.done()?;
    let set = state.waf_entity::<RegexPatternSet>(&naming)?;
    let expressions = set.expressions.iter();
    let mut shown = described(&set.entity);
    shown["RegularExpressionList"] = expressions
        .map(|expression| json!({ "RegexString": expression }))
        .collect();
    Ok(json!({ "RegexPatternSet": shown, "LockToken": set.entity.lock_token }))
}

fn create_rule_group(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let new = new_entity(input)?;
    let capacity = input.need_number("Capacity")?;
    let settings = settings(input, &RULE_GROUP_SETTINGS);
    input.done()?;
    let entity = state.create_rule_group(&new, capacity, settings, now)?;
    Ok(json!({ "Summary": summary(entity) }))
}

fn get_rule_group(input: &Input, state: &State) -> Answer<Value> {
    let group = if let Some(arn) = input.text("ARN") {
        input.skip(&["Name", "Scope", "Id"]);
        input.done()?;
        state.waf_entity_of_arn::<RuleGroup>(&arn)?
    } else {
        let naming = naming(input)?;
        input.done()?;
        state.waf_entity::<RuleGroup>(&naming)?
    };
    let mut shown = described(&group.entity);
    for (name, value) in &group.settings {
        shown[name] = value.clone();
    }
    shown["Capacity"] = json!(group.capacity);
    shown["LabelNamespace"] = json!(format!(
        "awswaf:{}:rulegroup:{}:",
        state.account, group.entity.name
    ));
    Ok(json!({ "RuleGroup": shown, "LockToken": group.entity.lock_token }))
}

fn delete(input: &Input, mut delete: impl FnMut(&Naming, &str) -> Answer<()>) -> Answer<Value> {
    let naming = naming(input)?;
    let token = input.need("LockToken")?;
    input.done()?;
    delete(&naming, &token)?;
    Ok(json!({}))
}

fn list<K: Kind>(input: &Input, state: &State, member: &str) -> Answer<Value> {
    let scope = scope(input)?;
    let paging = Paging::read(input, "Limit", "NextMarker", 100)?;
    input.done()?;
    let entities = state.waf_entities::<K>(scope)?;
    let entities = entities.iter().map(|one| one.entity());
    let page = paging.cut_full(input, entities, |entity| entity.arn.clone())?;
    Ok(page.answer(
        "NextMarker",
        |entities| json!({ member: entities.into_iter().map(summary).collect::<Value>() }),
    ))
}

fn list_tags(input: &Input, state: &State) -> Answer<Value> {
    let arn = input.need("ResourceARN")?;
    let paging = Paging::read(input, "Limit", "NextMarker", 100)?;
    input.done()?;
    let tags = state.tags_of_waf(&arn)?;
    let page = paging.cut(input, &tags, |(key, _)| (*key).clone())?;
    Ok(page.answer(
        "NextMarker",
        |tags| json!({ "TagInfoForResource": { "ResourceARN": arn, "TagList": tag_list(tags) } }),
    ))
}

fn scope(input: &Input) -> Answer<Scope> {
    let word = input.need("Scope")?;
    Scope::parse(&word).ok_or_else(|| input.invalid(format!("The scope {word} is not valid")))
}

fn naming(input: &Input) -> Answer<Naming> {
    Ok(Naming {
        name: input.need("Name")?,
        scope: scope(input)?,
        id: input.need("Id")?,
    })
}

fn new_entity(input: &Input) -> Answer<NewEntity> {
    Ok(NewEntity {
        name: input.need("Name")?,
        scope: scope(input)?,
        description: input.text("Description"),
        tags: input.pairs("Tags")?,
    })
}

fn settings(input: &Input, names: &[&str]) -> Map<String, Value> {
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), input.whole(name)?.clone())))
        .collect()
}

fn summary(entity: &Entity) -> Value {
    let mut summary = described(entity);
    summary["LockToken"] = json!(entity.lock_token);
    summary
}

fn described(entity: &Entity) -> Value {
    json!({
        "Name": entity.name,
        "Id": entity.id,
        "Description": entity.description,
        "ARN": entity.arn,
    })
}
