//! Certificate Manager: JSON in, JSON out.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{answers::seconds, page::Paging, params::Input};
use crate::state::{
    Answer, Certificate, CertificateStatus, Refusal, State,
    acm::{NewCertificate, Pem},
};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    Some(match action {
        "ImportCertificate" => import(input, state, now),
        "RequestCertificate" => request(input, state, now),
        "ListCertificates" => list(input, state),
        "DescribeCertificate" => describe(input, state),
        "DeleteCertificate" => delete(input, state),
        "ListTagsForCertificate" => list_tags(input, state),
        _ => return None,
    })
}

fn import(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    let pem = Pem {
        certificate: text_of_bytes(input, "Certificate")?
            .ok_or_else(|| input.missing("Certificate"))?,
        private_key: text_of_bytes(input, "PrivateKey")?
            .ok_or_else(|| input.missing("PrivateKey"))?,
        chain: text_of_bytes(input, "CertificateChain")?,
    };
    let arn = input.text("CertificateArn");
    let tags = input.pairs("Tags")?;
    input.done()?;
    let arn = state.import_certificate(arn.as_deref(), pem, &tags, now)?;
    Ok(json!({ "CertificateArn": arn }))
}

/// PEM travels as bytes.
fn text_of_bytes(input: &Input, name: &str) -> Answer<Option<String>> {
    let Some(bytes) = input.bytes(name)? else {
        return Ok(None);
    };
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| input.invalid(format!("The value of {name} is not PEM.")))
}

fn request(input: &Input, state: &mut State, now: Timestamp) -> Answer<Value> {
    if input
        .text("ValidationMethod")
        .is_some_and(|method| method != "DNS")
    {
        return Err(Refusal::new(
            "InvalidParameterException",
            "Only the validation method DNS is simulated",
        ));
    }
    let new = NewCertificate {
        domain_name: input.need("DomainName")?,
        alternative_names: input.texts("SubjectAlternativeNames"),
        key_algorithm: input.text("KeyAlgorithm"),
        idempotency_token: input.text("IdempotencyToken"),
        tags: input.pairs("Tags")?,
    };
    input.done()?;
    let arn = state.request_certificate(&new, now)?;
    Ok(json!({ "CertificateArn": arn }))
}

/// Without `Includes.keyTypes` only RSA keys of 1024 and 2048 bits are listed.
fn list(input: &Input, state: &State) -> Answer<Value> {
    let statuses = input.texts("CertificateStatuses");
    let key_types = input.part("Includes").texts("keyTypes");
    let paging = Paging::read(input, "MaxItems", "NextToken", 1000)?;
    input.done()?;
    let listed = |certificate: &&Certificate| {
        let key = &certificate.key_algorithm;
        let key_listed = if key_types.is_empty() {
            matches!(key.as_str(), "RSA_2048" | "RSA_1024")
        } else {
            key_types.contains(key)
        };
        key_listed
            && (statuses.is_empty() || statuses.iter().any(|s| s == certificate.status.as_str()))
    };
    let certificates = state.certificates.values().filter(listed);
    let page = paging.cut(input, certificates, |certificate| certificate.arn.clone())?;
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

fn describe(input: &Input, state: &State) -> Answer<Value> {
    let arn = input.need("CertificateArn")?;
    input.done()?;
    let certificate = state.certificate(&arn)?;
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
        CertificateStatus::PendingValidation => "PENDING_VALIDATION",
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

fn delete(input: &Input, state: &mut State) -> Answer<Value> {
    let arn = input.need("CertificateArn")?;
    input.done()?;
    state.delete_certificate(&arn)?;
    Ok(json!({}))
}

fn list_tags(input: &Input, state: &State) -> Answer<Value> {
    let arn = input.need("CertificateArn")?;
    input.done()?;
    state.certificate(&arn)?;
    let tags: Vec<Value> = state
        .tags
        .get(&arn)
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    Ok(json!({ "Tags": tags }))
}
