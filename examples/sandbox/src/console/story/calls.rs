//! Calls of AWS in the story: whose they are, and how many there were.

use std::collections::BTreeSet;

use alb_ingress_controller::model::ownership::STACK_TAG;
use jiff::{SignedDuration, Timestamp};
use sandbox_aws::journal::Call;

use super::{Recent, SHARED, Story};
use crate::console::model::{CallDetails, Entry, Rate};
use crate::console::words;

impl Story {
    /// A call of AWS.
    pub fn call(&mut self, call: &Call) -> Vec<Entry> {
        let group = self.group_of(call);
        let write = words::writes(&call.action);
        if let (Some(answer), false) = (&call.answer, group == SHARED) {
            // What it made is named before it is seen.
            for name in made(&call.action, answer) {
                self.owners.entry(name).or_insert_with(|| group.clone());
            }
        }
        if let (Some(answer), Some(record)) = (&call.answer, changed_record(call)) {
            for change in made(&call.action, answer) {
                self.changes.insert(change, record.to_owned());
            }
        }
        let throttled = call.code.as_deref().is_some_and(is_throttling);
        self.recent.push_back(Recent {
            at: call.at,
            write,
            throttled,
        });
        let resource = main_resource(call);
        let outcome = match call.status {
            200..=399 => "ok",
            400..=499 => "refused",
            _ => "failed",
        };
        let mut title = call.action.clone();
        let targets = self.targets(call);
        if !targets.is_empty() {
            title = format!("{title}: {}", targets.join("; "));
        } else if let Some(record) = change_of(call).and_then(|it| self.changes.get(it)) {
            title = format!("{title} of {record}");
        } else if !resource.is_empty() {
            title.push(' ');
            title.push_str(short(&resource));
            let more = others(call);
            if more > 0 {
                title = format!("{title} and {more} more");
            }
        }
        if let Some(code) = &call.code {
            title.push_str(": ");
            title.push_str(code);
        }
        let entry = Entry {
            id: format!("call:{}", call.number),
            at: call.at.to_string(),
            kind: "call",
            group,
            title,
            lines: call.denied.iter().cloned().collect(),
            outcome,
            resource,
            call: Some(CallDetails {
                service: call.service.clone(),
                action: call.action.clone(),
                write,
                status: call.status,
                code: call.code.clone(),
                milliseconds: ((call.ended - call.started) * 10.0).round() / 10.0,
                parameters: call.parameters.clone(),
                answer: call.answer.clone(),
                caller: call.caller.clone(),
            }),
        };
        self.keep(vec![entry])
    }

    /// The targets that a call names, with their Pods.
    fn targets(&self, call: &Call) -> Vec<String> {
        if call.action != "RegisterTargets" && call.action != "DeregisterTargets" {
            return Vec::new();
        }
        let parameters = call.parameters.iter();
        let targets = parameters.filter_map(|(name, id)| {
            let target = name.strip_suffix(".Id")?;
            let port = call.parameters.get(&format!("{target}.Port"));
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let pod = self
                .pods
                .get(id)
                .map_or(String::new(), |pod| format!(", pod {pod}"));
            Some(format!("{id}{port}{pod}"))
        });
        targets.collect()
    }

    /// Whose call it is: by the tag that it sets, else by what it names, else
    /// by the hosts of its records.
    fn group_of(&self, call: &Call) -> String {
        let parameters = &call.parameters;
        let tagged = parameters.iter().find_map(|(name, value)| {
            let key = name.strip_suffix("Key").filter(|_| value == STACK_TAG)?;
            parameters.get(&format!("{key}Value")).cloned()
        });
        if let Some(group) = tagged {
            return group;
        }
        let mut groups = BTreeSet::new();
        for value in parameters.values() {
            if let Some(group) = self.owner(value) {
                groups.insert(group);
            }
        }
        if call.service == "route53" {
            // A change of a record, `CREATE A shop.example.com.`
            let changed = parameters.values().filter_map(|it| it.split(' ').nth(2));
            let read = parameters.get("name").map(String::as_str);
            groups.extend(changed.chain(read).filter_map(|name| self.host(name)));
            groups.extend(change_of(call).and_then(|it| self.owners.get(it)));
        }
        match groups.first() {
            Some(group) if groups.len() == 1 => (*group).clone(),
            _ => SHARED.to_owned(),
        }
    }

    fn owner(&self, name: &str) -> Option<&String> {
        if let Some(group) = self.owners.get(name) {
            return Some(group);
        }
        // A listener or a rule that was made a moment ago names its load balancer.
        let (before, rest) = name
            .split_once(":listener/")
            .or_else(|| name.split_once(":listener-rule/"))?;
        let balancer: Vec<&str> = rest.split('/').take(3).collect();
        let balancer = format!("{before}:loadbalancer/{}", balancer.join("/"));
        self.owners.get(&balancer)
    }

    /// The group of the host that a record is of, or is the owner's TXT of.
    fn host(&self, name: &str) -> Option<&String> {
        let name = name.trim_end_matches('.').replace("\\052", "*");
        let found = |name: &str| self.hosts.get(name);
        found(&name)
            .or_else(|| {
                found(
                    &name
                        .strip_prefix("_albc-a.")?
                        .replacen("_wildcard.", "*.", 1),
                )
            })
            .or_else(|| found(name.split_once('-')?.1))
    }

    /// How many calls there were in the minute before.
    pub fn rate(&mut self, now: Timestamp) -> Rate {
        let begin = now
            .checked_sub(SignedDuration::from_secs(60))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        while self.recent.front().is_some_and(|call| call.at < begin) {
            self.recent.pop_front();
        }
        let count = |which: fn(&Recent) -> bool| self.recent.iter().filter(|it| which(it)).count();
        Rate {
            per_minute: self.recent.len(),
            reads: count(|call| !call.write),
            writes: count(|call| call.write),
            throttled: count(|call| call.throttled),
        }
    }
}

fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "PriorRequestNotComplete"
    )
}

/// ARNs and ids of what a call has made, by its answer. What it only uses is
/// named there too.
fn made<'a>(action: &str, answer: &'a str) -> impl Iterator<Item = String> + 'a {
    let begin = match action {
        "CreateSecurityGroup" => "sg-",
        "ChangeResourceRecordSets" => CHANGE,
        action if action.starts_with("Create") => "arn:aws:elasticloadbalancing:",
        _ => "\0",
    };
    let texts = answer.split(['<', '>', '"']);
    texts
        .filter(move |text| text.starts_with(begin))
        .map(str::to_owned)
}

/// The id of a change of records begins so.
const CHANGE: &str = "/change/";

/// The change that a call asks after, as answers name it.
fn change_of(call: &Call) -> Option<&str> {
    let path = call.parameters.get("path")?;
    path.find(CHANGE).map(|at| &path[at..])
}

/// The name of the first record that a call changes.
fn changed_record(call: &Call) -> Option<&str> {
    let change = call.parameters.get("change.001")?;
    change.split(' ').nth(2)
}

/// How many things like the first a call names beside it.
fn others(call: &Call) -> usize {
    let is_list = |name: &str| {
        let (list, number) = name.rsplit_once('.').unwrap_or_default();
        number != "1" && TELLING.iter().any(|it| it.strip_suffix(".1") == Some(list))
    };
    let named = call.parameters.keys().filter(|name| is_list(name)).count();
    // The TXT record of an owner comes with the record that it is about.
    let is_change = |name: &str| name.starts_with("change.") && name != "change.001";
    let mut changes: Vec<&str> = call
        .parameters
        .iter()
        .filter(|(name, change)| is_change(name) && change.split(' ').nth(1) != Some("TXT"))
        .filter_map(|(_, change)| change.split(' ').nth(2))
        .filter(|name| Some(*name) != changed_record(call))
        .collect();
    changes.dedup();
    named + changes.len()
}

/// Parameters that say best what a call is about.
const TELLING: [&str; 13] = [
    "RuleArn",
    "ListenerArn",
    "TargetGroupArn",
    "LoadBalancerArn",
    "Name",
    "GroupId",
    "GroupName",
    "RuleArns.member.1",
    "LoadBalancerArns.member.1",
    "TargetGroupArns.member.1",
    "ResourceArns.member.1",
    "ResourceId.1",
    // Of the first record that is read.
    "name",
];

fn main_resource(call: &Call) -> String {
    let parameters = &call.parameters;
    let found = TELLING.iter().find_map(|name| parameters.get(*name));
    let change = || changed_record(call).map(str::to_owned);
    let in_path = || parameters.get("path").and_then(|path| named_in(path));
    found
        .cloned()
        .or_else(change)
        .or_else(|| in_path().map(str::to_owned))
        .unwrap_or_default()
}

/// What a path of Route 53 names: of `/2013-04-01/hostedzone/Z1/rrset` the zone.
fn named_in(path: &str) -> Option<&str> {
    path.split('/').nth(3).filter(|name| !name.is_empty())
}

/// The telling part of an ARN.
fn short(name: &str) -> &str {
    let Some(rest) = name.strip_prefix("arn:aws:elasticloadbalancing:") else {
        return name;
    };
    let resource = rest.split(':').nth(2).unwrap_or(rest);
    let parts: Vec<&str> = resource.split('/').collect();
    match parts.as_slice() {
        ["targetgroup", name, _] | [_, _, name, ..] => name,
        _ => resource,
    }
}
