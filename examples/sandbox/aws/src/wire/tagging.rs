//! The Resource Groups Tagging API.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Calling, answers::tag_list, params::Input};
use crate::{
    authorization::{Denial, denied_resources},
    state::{
        Answer, Refusal, State,
        tagging::{TagFilter, Tagged},
    },
};

/// Resources on a page when the call does not say.
const RESOURCES: usize = 100;
/// Keys or values on a page.
const WORDS: usize = 1000;
/// Tokens are good for this long, in seconds.
const TOKEN_LIFE_S: i64 = 15 * 60;
/// The largest number of resource types in a call.
const MOST_TYPES: usize = 100;

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    calling: &Calling,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    Some(match action {
        "GetResources" => get_resources(input, state, now),
        "TagResources" => tag_resources(input, calling, state),
        "UntagResources" => untag_resources(input, calling, state),
        "GetTagKeys" => tag_keys(input, state, now),
        "GetTagValues" => tag_values(input, state, now),
        _ => return None,
    })
}

fn get_resources(input: &Input, state: &State, now: Timestamp) -> Answer<Value> {
    let mut filters = Vec::new();
    for filter in input.list("TagFilters") {
        filters.push(TagFilter {
            key: filter
                .text("Key")
                .ok_or_else(|| input.invalid("A tag filter needs a key"))?,
            values: filter.texts("Values"),
        });
    }
    let types = input.texts("ResourceTypeFilters");
    let arns = input.texts("ResourceARNList");
    let per_page = input.number::<usize>("ResourcesPerPage")?;
    let tags_per_page = input.number::<usize>("TagsPerPage")?;
    let token = input
        .text("PaginationToken")
        .filter(|token| !token.is_empty());
    let compliance = input.flag("IncludeComplianceDetails")?.unwrap_or_default();
    let only_others = input.flag("ExcludeCompliantResources")?.unwrap_or_default();
    input.done()?;
    for (value, name, range) in [
        (per_page, "ResourcesPerPage", 1..=100),
        (tags_per_page, "TagsPerPage", 100..=500),
    ] {
        if value.is_some_and(|value| !range.contains(&value)) {
            return Err(input.invalid(format!(
                "{name} must be from {} to {}",
                range.start(),
                range.end()
            )));
        }
    }
    if only_others && !compliance {
        return Err(input
            .invalid("ExcludeCompliantResources can be used only with IncludeComplianceDetails"));
    }
    check_types(input, &types)?;
    if input.has("ResourceARNList") {
        let others = !filters.is_empty() || !types.is_empty();
        if others || per_page.is_some() || tags_per_page.is_some() || token.is_some() {
            return Err(input.invalid(
                "ResourceARNList can not be used with TagFilters, ResourceTypeFilters or pagination",
            ));
        }
        let found = state.tagged_resources_of(&arns)?;
        return Ok(mappings(&found, compliance, only_others, ""));
    }
    let query = format!("{filters:?} {types:?} {compliance} {only_others}");
    let after = after(input, token.as_deref(), &query, now)?;
    let found = state.tagged_resources(&filters, &types);
    let left: Vec<Tagged> = found
        .into_iter()
        .filter(|one| after.as_ref().is_none_or(|after| one.arn > *after))
        .collect();
    let size = page_size(&left, per_page.unwrap_or(RESOURCES), tags_per_page);
    let next = match left.get(size.saturating_sub(1)) {
        Some(last) if size < left.len() => new_token(&last.arn, &query, now),
        _ => String::new(),
    };
    Ok(mappings(&left[..size], compliance, only_others, &next))
}

/// How many resources go on a page. A resource is not split; one without tags
/// counts as one tag.
fn page_size(left: &[Tagged<'_>], resources: usize, tags: Option<usize>) -> usize {
    let most = tags.unwrap_or(usize::MAX);
    let mut used = 0;
    let fitting = left.iter().take(resources).take_while(|one| {
        used += one.tags.len().max(1);
        used <= most
    });
    fitting.count()
}

/// Without a policy on tags everything complies.
fn mappings(found: &[Tagged<'_>], compliance: bool, only_others: bool, next: &str) -> Value {
    let shown: Vec<Value> = found
        .iter()
        .filter(|_| !only_others)
        .map(|one| {
            let mut shown = json!({ "ResourceARN": one.arn, "Tags": tag_list(one.tags) });
            if compliance {
                shown["ComplianceDetails"] = json!({
                    "NoncompliantKeys": [],
                    "KeysWithNoncompliantValues": [],
                    "ComplianceStatus": true,
                });
            }
            shown
        })
        .collect();
    json!({ "PaginationToken": next, "ResourceTagMappingList": shown })
}

/// `service` or `service:type`.
fn check_types(input: &Input, types: &[String]) -> Answer<()> {
    if types.len() > MOST_TYPES {
        return Err(input.invalid(format!("At most {MOST_TYPES} resource types can be given")));
    }
    for kind in types {
        let (service, resource) = kind.split_once(':').unwrap_or((kind, "any"));
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if service.is_empty() || resource.is_empty() || !service.bytes().all(plain) {
            return Err(input.invalid(format!("'{kind}' is not a valid resource type")));
        }
    }
    Ok(())
}

fn tag_resources(input: &Input, calling: &Calling, state: &mut State) -> Answer<Value> {
    let arns = input.texts("ResourceARNList");
    let tags: Vec<(String, String)> = input.map("Tags").into_iter().collect();
    input.done()?;
    let denied = denied(input, calling, state);
    Ok(failed(&state.tag_resources(&arns, &tags, &denied)?))
}

fn untag_resources(input: &Input, calling: &Calling, state: &mut State) -> Answer<Value> {
    let arns = input.texts("ResourceARNList");
    let keys = input.texts("TagKeys");
    input.done()?;
    let denied = denied(input, calling, state);
    Ok(failed(&state.untag_resources(&arns, &keys, &denied)?))
}

/// The resources that the caller may not change in their own services. The
/// last denial is logged.
fn denied(input: &Input, calling: &Calling, state: &State) -> BTreeMap<String, Refusal> {
    let (caller, operation) = (calling.caller, input.operation());
    let denials = denied_resources(caller, operation, input.tree(), state);
    let refuse = |(arn, denial): (String, Denial)| {
        calling.denied.set(Some(denial.text()));
        (arn, Refusal::new("AccessDeniedException", denial.text()))
    };
    denials.into_iter().map(refuse).collect()
}

/// The model has two codes for failures; the refusing service speaks in the text.
fn failed(refusals: &BTreeMap<String, Refusal>) -> Value {
    let failed: BTreeMap<&String, Value> = refusals
        .iter()
        .map(|(arn, refusal)| {
            let failure = json!({
                "StatusCode": 400,
                "ErrorCode": "InvalidParameterException",
                "ErrorMessage": refusal.message,
            });
            (arn, failure)
        })
        .collect();
    json!({ "FailedResourcesMap": failed })
}

fn tag_keys(input: &Input, state: &State, now: Timestamp) -> Answer<Value> {
    let token = input.text("PaginationToken");
    input.done()?;
    words(input, state.tag_keys(), "TagKeys", token, now)
}

fn tag_values(input: &Input, state: &State, now: Timestamp) -> Answer<Value> {
    let key = input.need("Key")?;
    let token = input.text("PaginationToken");
    input.done()?;
    words(input, state.tag_values(&key), "TagValues", token, now)
}

/// A page of sorted words.
fn words(
    input: &Input,
    words: impl IntoIterator<Item = String>,
    member: &str,
    token: Option<String>,
    now: Timestamp,
) -> Answer<Value> {
    let after = after(
        input,
        token.as_deref().filter(|token| !token.is_empty()),
        member,
        now,
    )?;
    let mut left = words
        .into_iter()
        .filter(|word| after.as_ref().is_none_or(|after| word > after));
    let shown: Vec<String> = left.by_ref().take(WORDS).collect();
    let next = match (left.next(), shown.last()) {
        (Some(_), Some(last)) => new_token(last, member, now),
        _ => String::new(),
    };
    Ok(json!({ "PaginationToken": next, member: shown }))
}

/// A token that tells when it was made, for which query, and the last element shown.
fn new_token(last: &str, query: &str, now: Timestamp) -> String {
    let text = format!("{}|{}|{last}", now.as_second(), fingerprint(query));
    URL_SAFE_NO_PAD.encode(text)
}

/// The element after which a page begins.
fn after(
    input: &Input,
    token: Option<&str>,
    query: &str,
    now: Timestamp,
) -> Answer<Option<String>> {
    let Some(token) = token else {
        return Ok(None);
    };
    let text = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let parts: Vec<&str> = text
        .as_deref()
        .map(|text| text.splitn(3, '|').collect())
        .unwrap_or_default();
    let [made, of, last] = parts.as_slice() else {
        return Err(input.bad_token(Some(token)));
    };
    let made: i64 = made.parse().map_err(|_| input.bad_token(Some(token)))?;
    if *of != fingerprint(query) {
        return Err(input.bad_token(Some(token)));
    }
    if now.as_second() - made > TOKEN_LIFE_S {
        return Err(Refusal::new(
            "PaginationTokenExpiredException",
            "The pagination token has expired",
        ));
    }
    Ok(Some((*last).to_owned()))
}

fn fingerprint(query: &str) -> String {
    hex::encode(&Sha256::digest(query)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Tags;

    /// The size of a page, from resources with so many tags each.
    fn size(counts: &[usize], resources: usize, tags: Option<usize>) -> usize {
        let word = |n: usize| (n.to_string(), String::new());
        let all: Vec<Tags> = counts
            .iter()
            .map(|count| (0..*count).map(word).collect())
            .collect();
        let left: Vec<Tagged> = all
            .iter()
            .map(|tags| Tagged {
                arn: String::new(),
                tags,
            })
            .collect();
        page_size(&left, resources, tags)
    }

    #[test]
    fn a_page_holds_whole_resources() {
        assert_eq!(size(&[10; 22], 100, Some(100)), 10);
        assert_eq!(size(&[10; 2], 100, Some(100)), 2);
        assert_eq!(size(&[50, 0, 50], 100, Some(100)), 2);
        assert_eq!(size(&[10; 22], 3, Some(100)), 3);
        assert_eq!(size(&[], 3, None), 0);
    }
}
