//! Requests before they are answered: which service, which operation.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Uri},
};
use serde_json::Value;

use super::{
    cbor,
    model::{self, Protocol, Route, decode::Content},
    params,
    service::Service,
    stray::Stray,
    xml::Element,
};

/// Where the paths of Route 53 begin; an endpoint may have a path before it.
const ROUTE_53: &str = "/2013-04-01/";

/// A request that is known to belong to a service.
pub struct Incoming {
    pub service: Service,
    pub action: String,
    pub content: Content,
    /// Parameters for the log, without secrets.
    pub shown: BTreeMap<String, String>,
    /// The version that was sent, where it is not one that the service is
    /// served in here; empty when none was sent.
    pub other_version: Option<String>,
}

/// Whether an operation only asks.
pub fn is_read(action: &str) -> bool {
    let reads = ["Describe", "List", "Get", "AssumeRole"];
    reads.iter().any(|prefix| action.starts_with(prefix))
}

impl Incoming {
    /// Whether a list of EC2 is asked for whole: no filter, no ids, no page.
    pub fn is_unfiltered(&self) -> bool {
        let narrows = |name: &String| {
            name.starts_with("Filter") || name.contains("Id.") || name == "MaxResults"
        };
        !self.shown.keys().any(narrows)
    }

    /// Whether it only asks.
    pub fn is_read(&self) -> bool {
        is_read(&self.action)
    }

    /// Changes of record sets in it; an UPSERT counts twice.
    pub fn changes(&self) -> u32 {
        let changes = self.shown.iter();
        changes
            .filter(|(name, _)| name.starts_with("change."))
            .map(|(_, change)| if change.starts_with("UPSERT ") { 2 } else { 1 })
            .sum()
    }
}

/// Tells service and action. In the order of aws.md 1.8: the target of JSON,
/// the path of rpcv2Cbor, the path of Route 53, the version of a form. A form
/// with another version, or none, is for the service that `scope`, the one of
/// its signature, names.
///
/// # Errors
/// When no service here is meant.
pub fn identify(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    scope: Option<&str>,
) -> Result<Incoming, Box<Stray>> {
    let text = String::from_utf8_lossy(body);
    let query = uri.query().unwrap_or_default();
    if let Some(target) = headers.get("x-amz-target") {
        let target = String::from_utf8_lossy(target.as_bytes());
        let Some((service, action)) = Service::of_target(&target) else {
            return Err(Box::new(Stray::of_target(
                scope,
                &target,
                shown(json_members(&text)),
            )));
        };
        return Ok(Incoming {
            service,
            action: action.to_owned(),
            shown: shown(json_members(&text)),
            content: Content::Json(text.into_owned()),
            other_version: None,
        });
    }
    if let Some((prefix, action)) = Service::path_of_cbor(uri.path()) {
        let read = cbor::read(body).unwrap_or_default();
        let shown = shown(json_members(&read.to_string()));
        let Some(service) = Service::in_cbor(prefix) else {
            return Err(Box::new(Stray::in_cbor(scope, prefix, action, shown)));
        };
        return Ok(Incoming {
            service,
            action: action.to_owned(),
            shown,
            content: Content::Cbor(body.to_vec()),
            other_version: None,
        });
    }
    if let Some(at) = uri.path().find(ROUTE_53) {
        return Ok(route_53(method, &uri.path()[at..], query, &text));
    }
    let mut form = params::decode_form(if method == Method::GET { query } else { &text });
    if !form.contains_key("Version") {
        form.extend(params::decode_form(query));
    }
    let version = form.get("Version").cloned().unwrap_or_default();
    let action = form.get("Action").cloned().unwrap_or_default();
    let mut parameters = shown(form.clone());
    if let Some(service) = Service::of_version(&version) {
        return Ok(Incoming {
            service,
            action,
            shown: parameters,
            content: Content::Form(form),
            other_version: None,
        });
    }
    let named = scope.and_then(Service::of_scope);
    match named.map(|service| (service, service.protocol())) {
        Some((service, Protocol::Query | Protocol::Ec2)) => {
            with_version(&mut parameters, &version);
            Ok(Incoming {
                service,
                action,
                shown: parameters,
                content: Content::Form(form),
                other_version: Some(version),
            })
        }
        Some((_, Protocol::RestXml)) => Ok(route_53(method, uri.path(), query, &text)),
        Some((_, Protocol::Json)) => Err(Box::new(Stray::of_target(scope, "", parameters))),
        None if !action.is_empty() => {
            with_version(&mut parameters, &version);
            Err(Box::new(Stray::in_form(
                scope, &action, &version, parameters,
            )))
        }
        None => Err(Box::new(Stray::at_path(scope, method, uri.path()))),
    }
}

/// A version that is not served is told to the log.
fn with_version(parameters: &mut BTreeMap<String, String>, version: &str) {
    if !version.is_empty() {
        parameters.insert("Version".to_owned(), version.to_owned());
    }
}

fn route_53(method: &Method, path: &str, query: &str, body: &str) -> Incoming {
    let service = Service::Route53;
    let route = Route::find(service.model(), method.as_str(), path);
    let query = params::decode_form(query);
    let mut parameters = query.clone();
    parameters.insert("path".to_owned(), path.to_owned());
    // A path that no operation has is no operation.
    let (action, labels) = match route {
        Some(route) => (route.action, route.labels),
        None => (format!("{method} {path}"), BTreeMap::new()),
    };
    if action == "ChangeResourceRecordSets" {
        parameters.extend(changes(body));
    }
    Incoming {
        service,
        action,
        shown: shown(parameters),
        content: Content::Rest {
            labels,
            query,
            body: body.to_owned(),
        },
        other_version: None,
    }
}

/// The changes of a batch in one line each, for the log.
fn changes(body: &str) -> BTreeMap<String, String> {
    let Some(body) = Element::parse(body) else {
        return BTreeMap::new();
    };
    let changes = body
        .child("ChangeBatch")
        .map_or(&[][..], |batch| batch.items("Changes"));
    (1..)
        .zip(changes)
        .map(|(number, change)| {
            let record = change.child("ResourceRecordSet");
            let part = |name| {
                record
                    .and_then(|record| record.text_of(name))
                    .unwrap_or("?")
            };
            let action = change.text_of("Action").unwrap_or("?");
            (
                format!("change.{number:03}"),
                format!("{action} {} {}", part("Type"), part("Name")),
            )
        })
        .collect()
}

fn json_members(body: &str) -> BTreeMap<String, String> {
    match serde_json::from_str(body) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (name, text)
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// Without secrets, and without what frames a request.
fn shown(mut parameters: BTreeMap<String, String>) -> BTreeMap<String, String> {
    const SECRET: [&str; 9] = [
        "WebIdentityToken",
        "PrivateKey",
        "Certificate",
        "CertificateChain",
        "CertificateBody",
        "Passphrase",
        "ClientSecret",
        "TokenCode",
        "UserData",
    ];
    parameters.retain(|name, _| {
        let last = name.rsplit('.').next().unwrap_or(name);
        !SECRET.contains(&last) && !model::frames(name)
    });
    parameters
}
