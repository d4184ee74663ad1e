//! A request through a simulated load balancer, and what was looked at on its
//! way: `sandbox request URL`, and the console's request box.
//!
//! The AWS simulator sends it (`POST /_sim/request`); here the load balancer of
//! the host is found, and the trace is put into words.

mod text;
mod whereabouts;

use std::collections::BTreeMap;

use hyper::Uri;
use sandbox_aws::resources::{LoadBalancerView, Resources};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::console::model::Picture;
use crate::web;

use self::text::{Asking, text};
pub use self::whereabouts::Whereabouts;

/// The request that is to be made: a URL, or its parts.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Asked {
    /// `GET` if absent.
    pub method: Option<String>,
    /// `https://shop.example.com/cart?x=1`
    pub url: Option<String>,
    /// `http` or `https`; `http` if absent.
    pub scheme: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// Port of the listener; that of the scheme if absent.
    pub port: Option<u16>,
    /// Path and query; `/` if absent.
    pub path: Option<String>,
    /// Headers, `Host` aside.
    pub headers: BTreeMap<String, String>,
    /// Address of the client; 127.0.0.1 if absent.
    pub source: Option<String>,
    /// Body; none if empty.
    pub body: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    /// ARN.
    pub load_balancer: String,
    /// Key of the group.
    pub group: Option<String>,
    /// ARN.
    pub listener: String,
    /// Those that were looked at.
    pub rules: Vec<SeenRule>,
    /// What the rule does, in words.
    pub action: String,
    /// ARN.
    pub target_group: Option<String>,
    /// The one that was chosen.
    pub target: Option<ChosenTarget>,
    /// Why this target.
    pub why: Option<String>,
    /// Why no target has answered; absent where one has.
    pub reason: Option<String>,
    /// Status of the answer; absent where no connection came about.
    pub status: Option<u16>,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// The beginning of its body.
    pub body: String,
    /// All of it for people, line by line.
    pub text: Vec<String>,
}

/// A rule that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenRule {
    /// ARN.
    pub arn: String,
    /// A number, or `default`.
    pub priority: String,
    /// Whether it took the request.
    pub matched: bool,
    /// Why, or why not.
    pub why: String,
}

/// The target that was chosen.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChosenTarget {
    /// Address, or id of an instance.
    pub id: String,
    /// Port.
    pub port: u16,
    /// `namespace/name`.
    pub pod: Option<String>,
}

/// The parts of what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Site {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Site {
    fn of(asked: &Asked) -> Result<Self, String> {
        let (scheme, host, port, path) = match &asked.url {
            Some(url) => {
                let wrong = || {
                    format!("'{url}' is no URL, expected one such as https://shop.example.com/cart")
                };
                let uri: Uri = url.trim().parse().map_err(|_| wrong())?;
                let path = uri.path_and_query().map_or("/", |path| path.as_str());
                (
                    uri.scheme_str().unwrap_or("http").to_owned(),
                    uri.host().ok_or_else(wrong)?.to_owned(),
                    uri.port_u16(),
                    if path.is_empty() {
                        "/".to_owned()
                    } else {
                        path.to_owned()
                    },
                )
            }
            None => (
                asked.scheme.clone().unwrap_or_else(|| "http".to_owned()),
                asked
                    .host
                    .clone()
                    .filter(|host| !host.is_empty())
                    .ok_or("expected a URL, or a host")?,
                asked.port,
                asked.path.clone().unwrap_or_else(|| "/".to_owned()),
            ),
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(format!("the scheme is '{other}', expected http or https")),
        };
        let implied = if secure { 443 } else { 80 };
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(implied),
            path,
        })
    }

    /// As the `Host` header has it.
    fn authority(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

/// How the load balancer of a host was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// By its own name, or a record.
    ByName,
    /// No record leads there: by a rule that names the host.
    ByRule,
}

/// Sends a request and tells what came of it.
///
/// # Errors
/// In a sentence: the request makes no sense, or nothing listens for it.
pub async fn send(
    aws: &str,
    asked: &Asked,
    resources: &Resources,
    picture: &Picture,
) -> Result<Told, String> {
    let site = Site::of(asked)?;
    let (balancer, found) = find(&site.host, resources)?;
    let listener = balancer.listeners.iter().find(|it| it.port == site.port);
    let Some(listener) = listener else {
        let ports: Vec<String> = balancer
            .listeners
            .iter()
            .map(|it| it.port.to_string())
            .collect();
        return Err(format!(
            "nothing listens on port {} of load balancer {}; it has listeners on: {}",
            site.port,
            balancer.name,
            if ports.is_empty() {
                "no port yet".to_owned()
            } else {
                ports.join(", ")
            }
        ));
    };
    if site.secure != (listener.protocol == "HTTPS") {
        return Err(format!(
            "the listener on port {} of load balancer {} speaks {}: ask for {}://",
            site.port,
            balancer.name,
            listener.protocol,
            listener.protocol.to_lowercase()
        ));
    }
    let method = asked
        .method
        .as_deref()
        .unwrap_or("GET")
        .to_ascii_uppercase();
    let mut request = json!({
        "listener": listener.arn,
        "method": method,
        "host": site.authority(),
        "path": site.path,
        "headers": asked.headers,
        "body": asked.body.as_deref().unwrap_or_default(),
    });
    if let Some(source) = asked.source.as_deref().filter(|it| !it.is_empty()) {
        request["source"] = source.into();
    }
    let answer = web::tell_sim(aws, "/_sim/request", &request)
        .await
        .map_err(|error| format!("the AWS of the sandbox does not answer: {error:#}"))?;
    if !answer.status.is_success() {
        return Err(answer.body.trim().to_owned());
    }
    let traced: Value = serde_json::from_str(&answer.body)
        .map_err(|error| format!("the AWS of the sandbox answered something else: {error}"))?;
    let mut told = told(&traced, picture);
    told.load_balancer.clone_from(&balancer.arn);
    told.listener.clone_from(&listener.arn);
    told.text = text(
        &Asking {
            method,
            site,
            found,
        },
        balancer,
        &told,
    );
    Ok(told)
}

/// The load balancer that a host leads to.
fn find<'a>(host: &str, resources: &'a Resources) -> Result<(&'a LoadBalancerView, Found), String> {
    let named = |dns_name: &str| {
        let name = dns_name.trim_end_matches('.');
        let name = name.strip_prefix("dualstack.").unwrap_or(name);
        let mut balancers = resources.load_balancers.iter();
        balancers.find(|it| it.dns_name.eq_ignore_ascii_case(name))
    };
    if let Some(balancer) = named(host) {
        return Ok((balancer, Found::ByName));
    }
    let records = || resources.zones.iter().flat_map(|zone| &zone.records);
    let alias_of = |name: &str| {
        let mut records = records().filter(|record| {
            let own = record.name.trim_end_matches('.').replace("\\052", "*");
            own.eq_ignore_ascii_case(name)
        });
        records.find_map(|record| named(record.alias.as_deref()?))
    };
    let above = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
    let by_record = alias_of(host).or_else(|| alias_of(above.as_deref()?));
    if let Some(balancer) = by_record {
        return Ok((balancer, Found::ByName));
    }
    let names_it = |balancer: &&LoadBalancerView| {
        let rules = balancer.listeners.iter().flat_map(|it| &it.rules);
        let mut conditions = rules.flat_map(|it| &it.conditions);
        conditions.any(|it| {
            it.field == "host-header"
                && it
                    .values
                    .iter()
                    .any(|it| it == host || Some(it) == above.as_ref())
        })
    };
    if let Some(balancer) = resources.load_balancers.iter().find(names_it) {
        return Ok((balancer, Found::ByRule));
    }
    let mut hosts: Vec<&str> = records()
        .filter(|record| record.alias.as_deref().and_then(named).is_some())
        .map(|record| record.name.trim_end_matches('.'))
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let hosts = if hosts.is_empty() {
        "none yet".to_owned()
    } else {
        hosts.join(", ")
    };
    Err(format!(
        "no record of Route 53 leads {host} to a load balancer, and no rule names it; hosts with \
         a record: {hosts}"
    ))
}

/// The simulator's trace, with what the picture knows of it.
fn told(traced: &Value, picture: &Picture) -> Told {
    let (trace, answer) = (&traced["trace"], &traced["answer"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let rules: Vec<SeenRule> = list(&trace["rules"])
        .map(|rule| SeenRule {
            arn: text(&rule["arn"]).unwrap_or_default(),
            priority: text(&rule["priority"]).unwrap_or_default(),
            matched: rule["matched"] == true,
            why: why(rule),
        })
        .collect();
    let matched = rules.iter().find(|rule| rule.matched);
    let balancers = || {
        let groups = picture.groups.iter();
        groups.filter_map(|group| Some((group, group.load_balancer.as_ref()?)))
    };
    let group = balancers().find(|(_, it)| trace["listener"]["load_balancer"] == it.arn.as_str());
    let drawn = matched.and_then(|rule| {
        let listeners = balancers().flat_map(|(_, it)| &it.listeners);
        let mut rules = listeners.flat_map(|it| &it.rules);
        rules.find(|it| it.arn == rule.arn)
    });
    let action = match drawn {
        Some(rule) => rule.action.clone(),
        None => text(&trace["action"]).unwrap_or_default(),
    };
    let target = text(&trace["target"]["target"]).and_then(|target| {
        let (id, port) = target.rsplit_once(':')?;
        let groups = balancers().flat_map(|(_, it)| &it.target_groups);
        let mut targets = groups.flat_map(|it| &it.targets);
        Some(ChosenTarget {
            id: id.to_owned(),
            port: port.parse().ok()?,
            pod: targets.find(|it| it.id == id).and_then(|it| it.pod.clone()),
        })
    });
    let reason = text(&trace["reason"]).filter(|it| it != "the target has answered");
    let headers = answer["headers"].as_object();
    let body: String = answer["body"].as_str().unwrap_or_default().to_owned();
    Told {
        group: group.map(|(group, _)| group.key.clone()),
        rules,
        action,
        target_group: text(&trace["target_group"]["arn"]),
        target,
        why: text(&trace["target"]["why"]),
        reason,
        status: answer["status"]
            .as_u64()
            .and_then(|it| u16::try_from(it).ok()),
        headers: headers
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let several: Vec<String> = list(value).filter_map(text).collect();
                let one = text(value).unwrap_or_else(|| several.join(", "));
                (name.clone(), one)
            })
            .collect(),
        body,
        ..Told::default()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Why a rule took a request, or why not: all of its conditions are met, or
/// the last one that was compared is not.
fn why(rule: &Value) -> String {
    let words = |values: &Value, joint: &str| {
        let values: Vec<&str> = list(values).filter_map(Value::as_str).collect();
        values.join(joint)
    };
    let what = |condition: &Value| match condition["field"].as_str().unwrap_or_default() {
        "host-header" => "host".to_owned(),
        "path-pattern" => "path".to_owned(),
        "http-request-method" => "method".to_owned(),
        "query-string" => "query".to_owned(),
        "source-ip" => "source".to_owned(),
        "http-header" => "header".to_owned(),
        other => other.to_owned(),
    };
    let conditions: Vec<&Value> = list(&rule["conditions"]).collect();
    if conditions.is_empty() {
        return "it has no conditions, and no rule before it matched".to_owned();
    }
    let unmet = conditions.iter().find(|it| it["met"] != true);
    if let Some(unmet) = unmet {
        let found = match words(&unmet["found"], ", ") {
            found if found.is_empty() => "nothing".to_owned(),
            found => found,
        };
        return format!(
            "the {} is {found}, the rule wants {}",
            what(unmet),
            words(&unmet["wanted"], " or ")
        );
    }
    let met: Vec<String> = conditions
        .iter()
        .map(|it| {
            format!(
                "the {} is {}, as the rule wants ({})",
                what(it),
                words(&it["found"], ", "),
                words(&it["wanted"], " or ")
            )
        })
        .collect();
    met.join("; ")
}

#[cfg(test)]
mod tests;
