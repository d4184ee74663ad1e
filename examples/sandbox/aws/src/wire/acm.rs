//! Certificate Manager: JSON in, JSON out.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::page;
use crate::state::{
    Answer, Certificate, CertificateStatus, Refusal, State,
    acm::{NewCertificate, Pem},
};

/// The prefix of `X-Amz-Target`.
pub const TARGET: &str = "CertificateManager.";

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    body: &str,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    Some(match action {
        "ImportCertificate" => import(body, state, now),
        "RequestCertificate" => request(body, state, now),
        "ListCertificates" => list(body, state),
        "DescribeCertificate" => describe(body, state),
        "DeleteCertificate" => delete(body, state),
        "ListTagsForCertificate" => list_tags(body, state),
        _ => return None,
    })
}

fn read<T: DeserializeOwned>(body: &str) -> Answer<T> {
    let body = if body.trim().is_empty() { "{}" } else { body };
    serde_json::from_str(body)
        .map_err(|error| Refusal::new("ValidationException", error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

fn pairs(tags: Vec<Tag>) -> Vec<(String, String)> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Import {
    certificate_arn: Option<String>,
    certificate: String,
    private_key: String,
    certificate_chain: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn import(body: &str, state: &mut State, now: Timestamp) -> Answer<Value> {
    let import: Import = read(body)?;
    let pem = Pem {
        certificate: blob(&import.certificate)?,
        private_key: blob(&import.private_key)?,
        chain: import.certificate_chain.as_deref().map(blob).transpose()?,
    };
    let arn = import.certificate_arn.as_deref();
    let arn = state.import_certificate(arn, pem, &pairs(import.tags), now)?;
    Ok(json!({ "CertificateArn": arn }))
}

/// Blobs travel in base64.
fn blob(text: &str) -> Answer<String> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            Refusal::new(
                "ValidationException",
                "The value is not valid base64 of a text",
            )
        })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    domain_name: String,
    #[serde(default)]
    subject_alternative_names: Vec<String>,
    validation_method: Option<String>,
    key_algorithm: Option<String>,
    idempotency_token: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn request(body: &str, state: &mut State, now: Timestamp) -> Answer<Value> {
    let request: Request = read(body)?;
    if request
        .validation_method
        .as_deref()
        .is_some_and(|method| method != "DNS")
    {
        return Err(Refusal::new(
            "InvalidParameterException",
            "Only the validation method DNS is simulated",
        ));
    }
    let new = NewCertificate {
        domain_name: request.domain_name,
        alternative_names: request.subject_alternative_names,
        key_algorithm: request.key_algorithm,
        idempotency_token: request.idempotency_token,
        tags: pairs(request.tags),
        validation_method: Some("DNS".to_owned()),
        ..NewCertificate::default()
    };
    let arn = state.request_certificate(&new, now)?;
    Ok(json!({ "CertificateArn": arn }))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Includes {
    #[serde(default)]
    key_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    #[serde(default)]
    certificate_statuses: Vec<String>,
    #[serde(default)]
    includes: Includes,
    max_items: Option<usize>,
    next_token: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
}

/// Without `Includes.keyTypes` only RSA keys of 1024 and 2048 bits are listed.
fn list(body: &str, state: &State) -> Answer<Value> {
    let list: List = read(body)?;
    if list.sort_by.is_some() || list.sort_order.is_some() {
        return Err(Refusal::new(
            "ValidationException",
            "Sorting is not simulated",
        ));
    }
    let size = list.max_items.unwrap_or(1000);
    if !(1..=1000).contains(&size) {
        return Err(Refusal::new(
            "ValidationException",
            "1 validation error detected: Value at 'maxItems' failed to satisfy constraint: Member must be between 1 and 1000",
        ));
    }
    let listed = |certificate: &&Certificate| {
        let key = &certificate.key_algorithm;
        let statuses = &list.certificate_statuses;
        let key_listed = if list.includes.key_types.is_empty() {
            matches!(key.as_str(), "RSA_2048" | "RSA_1024")
        } else {
            list.includes.key_types.contains(key)
        };
        key_listed
            && (statuses.is_empty() || statuses.iter().any(|s| s == certificate.status.as_str()))
    };
    let page = page::cut(
        state.certificates.values().filter(listed),
        |certificate| certificate.arn.clone(),
        list.next_token.as_deref(),
        size,
    )
    .ok_or_else(|| Refusal::new("ValidationException", "The token is not valid"))?;
    let summaries: Vec<Value> = page
        .items
        .iter()
        .map(|certificate| {
            let mut summary = json!({
                "CertificateArn": certificate.arn,
                "DomainName": certificate.domain_name,
                "SubjectAlternativeNameSummaries": certificate.names.iter().take(100).collect::<Vec<_>>(),
                "HasAdditionalSubjectAlternativeNames": certificate.names.len() > 100,
                "Status": certificate.status.as_str(),
                "Type": kind(certificate),
                "KeyAlgorithm": certificate.key_algorithm,
                "InUse": !state.users_of_certificate(&certificate.arn).is_empty(),
                "CreatedAt": seconds(certificate.created),
            });
            if certificate.status == CertificateStatus::Issued {
                summary["NotAfter"] = seconds(certificate.not_after);
            }
            summary
        })
        .collect();
    let mut answer = json!({ "CertificateSummaryList": summaries });
    if let Some(next) = page.next {
        answer["NextToken"] = Value::from(next);
    }
    Ok(answer)
}

fn kind(certificate: &Certificate) -> &'static str {
    if certificate.imported {
        "IMPORTED"
    } else {
        "AMAZON_ISSUED"
    }
}

/// Epoch seconds with fraction.
fn seconds(at: Timestamp) -> Value {
    let whole = at.as_second();
    let millis = at.subsec_millisecond();
    serde_json::from_str(&format!("{whole}.{millis:03}")).unwrap_or_else(|_| Value::from(whole))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct One {
    certificate_arn: String,
}

fn describe(body: &str, state: &State) -> Answer<Value> {
    let one: One = read(body)?;
    let certificate = state.certificate(&one.certificate_arn)?;
    let mut detail = json!({
        "CertificateArn": certificate.arn,
        "DomainName": certificate.domain_name,
        "SubjectAlternativeNames": certificate.names,
        "Status": certificate.status.as_str(),
        "Type": kind(certificate),
        "KeyAlgorithm": certificate.key_algorithm,
        "InUseBy": state.users_of_certificate(&certificate.arn),
        "CreatedAt": seconds(certificate.created),
    });
    if let Some(issued) = certificate.issued {
        let name = if certificate.imported {
            "ImportedAt"
        } else {
            "IssuedAt"
        };
        detail[name] = seconds(issued);
        detail["NotAfter"] = seconds(certificate.not_after);
    }
    if !certificate.imported {
        let options: Vec<Value> = certificate
            .names
            .iter()
            .map(|name| option(certificate, name))
            .collect();
        detail["DomainValidationOptions"] = Value::from(options);
    }
    Ok(json!({ "Certificate": detail }))
}

fn option(certificate: &Certificate, name: &str) -> Value {
    let bare = name.trim_start_matches("*.");
    let token: String = certificate
        .arn
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(32)
        .collect();
    let status = match certificate.status {
        CertificateStatus::Issued => "SUCCESS",
        _ => "PENDING_VALIDATION",
    };
    json!({
        "DomainName": name,
        "ValidationDomain": name,
        "ValidationStatus": status,
        "ValidationMethod": "DNS",
        "ResourceRecord": {
            "Name": format!("_{token}.{bare}."),
            "Type": "CNAME",
            "Value": format!("_{token}.acm-validations.aws."),
        },
    })
}

fn delete(body: &str, state: &mut State) -> Answer<Value> {
    let one: One = read(body)?;
    state.delete_certificate(&one.certificate_arn)?;
    Ok(json!({}))
}

fn list_tags(body: &str, state: &State) -> Answer<Value> {
    let one: One = read(body)?;
    state.certificate(&one.certificate_arn)?;
    let tags: Vec<Value> = state
        .tags
        .get(&one.certificate_arn)
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    Ok(json!({ "Tags": tags }))
}
