//! Certificate Manager: what the operations answer.

mod tags;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{answers::seconds, page::Paging, params::Input};
use crate::{
    authority,
    key_encryption::encrypted,
    state::{
        Answer, Certificate, CertificateStatus, Refusal, State,
        acm::{NewCertificate, Pem, not_issued},
        validation::{self, DomainOption, DomainValidation},
        x509::pem_block,
    },
};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Value>> {
    // Records may have been made meanwhile where this region does not see them.
    state.look_at_validations(now);
    Some(match action {
        "ImportCertificate" => import(input, state, now),
        "RequestCertificate" => request(input, state, now),
        "ListCertificates" => list(input, state),
        "DescribeCertificate" => describe(input, state),
        "GetCertificate" => get(input, state),
        "ExportCertificate" => export_key(input, state),
        "DeleteCertificate" => delete(input, state),
        "UpdateCertificateOptions" => update_options(input, state),
        "ResendValidationEmail" => resend(input, state),
        "AddTagsToCertificate" => tags::add_tags(input, state),
        "RemoveTagsFromCertificate" => tags::remove_tags(input, state),
        "ListTagsForCertificate" => tags::list_tags(input, state),
        "TagResource" => tags::tag(input, state),
        "UntagResource" => tags::untag(input, state),
        "ListTagsForResource" => tags::list_of_resource(input, state),
        "RenewCertificate" => renew(input, state),
        "GetAccountConfiguration" => account(input, state),
        "PutAccountConfiguration" => configure_account(input, state),
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
    let options = input.part("Options");
    // No certificate can opt out of transparency logs any more.
    options.skip(&["CertificateTransparencyLoggingPreference"]);
    let mut domain_options = Vec::new();
    for option in input.list("DomainValidationOptions") {
        domain_options.push(DomainOption {
            domain: option.need("DomainName")?,
            validation_domain: option.need("ValidationDomain")?,
        });
    }
    let new = NewCertificate {
        domain_name: input.need("DomainName")?,
        alternative_names: input.texts("SubjectAlternativeNames"),
        validation_method: input.text("ValidationMethod"),
        domain_options,
        key_algorithm: input.text("KeyAlgorithm"),
        exportable: options.text("Export").as_deref() == Some("ENABLED"),
        authority_arn: input.text("CertificateAuthorityArn"),
        idempotency_token: input.text("IdempotencyToken"),
        tags: input.pairs("Tags")?,
    };
    input.done()?;
    let arn = state.request_certificate(&new, now)?;
    Ok(json!({ "CertificateArn": arn }))
}

/// What a listing wants to see.
struct Filter {
    statuses: Vec<String>,
    key_types: Vec<String>,
    key_usages: Vec<String>,
    extended_key_usages: Vec<String>,
    export: Option<String>,
    managed_by: Option<String>,
    origins: Vec<String>,
    hierarchies: Vec<String>,
}

impl Filter {
    /// Without key types only RSA keys of 1024 and 2048 bits are listed.
    fn takes(&self, certificate: &Certificate) -> bool {
        let key = &certificate.key_algorithm;
        let key_taken = if self.key_types.is_empty() {
            matches!(key.as_str(), "RSA_2048" | "RSA_1024")
        } else {
            self.key_types.contains(key)
        };
        let details = &certificate.details;
        let one_of = |wanted: &[String], there: &[&str]| {
            wanted.is_empty() || wanted.iter().any(|want| there.contains(&want.as_str()))
        };
        let extended: Vec<&str> = details
            .extended_key_usages
            .iter()
            .map(|(name, _)| *name)
            .collect();
        !certificate.names.is_empty()
            && key_taken
            && one_of(&self.statuses, &[certificate.status.as_str()])
            && one_of(&self.key_usages, &details.key_usages)
            && one_of(&self.extended_key_usages, &extended)
            && one_of(&self.origins, &[origin(certificate)])
            && self
                .export
                .as_ref()
                .is_none_or(|wanted| wanted == export(certificate))
            && self.managed_by.is_none()
            && self.hierarchies.is_empty()
    }
}

fn list(input: &Input, state: &State) -> Answer<Value> {
    let includes = input.part("Includes");
    let filter = Filter {
        statuses: input.texts("CertificateStatuses"),
        key_types: includes.texts("keyTypes"),
        key_usages: includes.texts("keyUsage"),
        extended_key_usages: includes.texts("extendedKeyUsage"),
        export: includes.text("exportOption"),
        managed_by: includes.text("managedBy"),
        origins: input.texts("CertificateKeyPairOrigins"),
        hierarchies: input.texts("RootHierarchyTypes"),
    };
    let paging = Paging::read(input, "MaxItems", "NextToken", 1000)?;
    let by = input.text("SortBy");
    let order = input.text("SortOrder");
    input.done()?;
    if by.is_some() != order.is_some() {
        return Err(Refusal::new(
            "ValidationException",
            "SortBy and SortOrder have to be specified together",
        ));
    }
    let all = state.certificates.values();
    let mut listed: Vec<&Certificate> = all.filter(|it| filter.takes(it)).collect();
    // Tokens count on an order of texts.
    let key = |certificate: &Certificate| {
        let at = certificate.created.as_microsecond();
        let at = match order.as_deref() {
            Some("ASCENDING") => i64::MAX / 2 + at,
            Some(_) => i64::MAX / 2 - at,
            None => 0,
        };
        format!("{at:020} {}", certificate.arn)
    };
    listed.sort_by_key(|certificate| key(certificate));
    let page = paging.cut(input, listed, |certificate| key(certificate))?;
    let used = state.certificates_in_use();
    let shown = |it: &Certificate| summary(it, used.contains(it.arn.as_str()));
    Ok(page.answer("NextToken", |certificates| {
        let summaries = certificates.into_iter().map(shown);
        json!({ "CertificateSummaryList": summaries.collect::<Value>() })
    }))
}

fn summary(certificate: &Certificate, used: bool) -> Value {
    let names: Vec<&String> = certificate.names.iter().take(100).collect();
    let extended: Vec<&str> = certificate
        .details
        .extended_key_usages
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let mut summary = common(certificate, used);
    summary.insert("SubjectAlternativeNameSummaries".to_owned(), json!(names));
    summary.insert(
        "HasAdditionalSubjectAlternativeNames".to_owned(),
        json!(certificate.names.len() > 100),
    );
    summary.insert(
        "KeyUsages".to_owned(),
        json!(certificate.details.key_usages),
    );
    summary.insert("ExtendedKeyUsages".to_owned(), json!(extended));
    summary.insert("ExportOption".to_owned(), json!(export(certificate)));
    summary.insert("InUse".to_owned(), json!(used));
    summary.insert("Exported".to_owned(), json!(certificate.exported));
    Value::Object(summary)
}

/// What list and description have in common.
fn common(certificate: &Certificate, used: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("CertificateArn", json!(certificate.arn));
    if !certificate.domain_name.is_empty() {
        put("DomainName", json!(certificate.domain_name));
    }
    put("Status", json!(certificate.status.as_str()));
    put("Type", json!(kind(certificate)));
    put("KeyAlgorithm", json!(certificate.key_algorithm));
    put("CertificateKeyPairOrigin", json!(origin(certificate)));
    put("CreatedAt", seconds(certificate.created));
    // What nobody uses is not renewed, and an export is a use.
    let renewable = !certificate.imported
        && certificate.status == CertificateStatus::Issued
        && (used || certificate.exported);
    let renewable = if renewable { "ELIGIBLE" } else { "INELIGIBLE" };
    put("RenewalEligibility", json!(renewable));
    if let Some(issued) = certificate.issued {
        let name = if certificate.imported {
            "ImportedAt"
        } else {
            "IssuedAt"
        };
        put(name, seconds(issued));
        put("NotBefore", seconds(certificate.not_before));
        put("NotAfter", seconds(certificate.not_after));
    }
    fields
}

fn kind(certificate: &Certificate) -> &'static str {
    if certificate.imported {
        "IMPORTED"
    } else {
        "AMAZON_ISSUED"
    }
}

fn origin(certificate: &Certificate) -> &'static str {
    if certificate.imported {
        "CUSTOMER_PROVIDED"
    } else {
        "AWS_MANAGED"
    }
}

fn export(certificate: &Certificate) -> &'static str {
    if certificate.exportable {
        "ENABLED"
    } else {
        "DISABLED"
    }
}

fn one(input: &Input) -> Answer<String> {
    let arn = input.need("CertificateArn")?;
    input.done()?;
    Ok(arn)
}

fn describe(input: &Input, state: &State) -> Answer<Value> {
    let arn = one(input)?;
    let certificate = state.certificate(&arn)?;
    let details = &certificate.details;
    let users = state.users_of_certificate(&arn);
    let mut detail = common(certificate, !users.is_empty());
    let mut put = |name: &str, value: Value| {
        detail.insert(name.to_owned(), value);
    };
    if !certificate.names.is_empty() {
        put("SubjectAlternativeNames", json!(certificate.names));
    }
    put("InUseBy", json!(users));
    put("Subject", json!(details.subject));
    put("Issuer", json!(details.issuer));
    put("SignatureAlgorithm", json!(details.signature_algorithm));
    if !details.serial.is_empty() {
        put("Serial", json!(details.serial));
    }
    let usages: Vec<Value> = details
        .key_usages
        .iter()
        .map(|name| json!({ "Name": name }))
        .collect();
    put("KeyUsages", Value::from(usages));
    let usages: Vec<Value> = details
        .extended_key_usages
        .iter()
        .map(|(name, id)| json!({ "Name": name, "OID": id }))
        .collect();
    put("ExtendedKeyUsages", Value::from(usages));
    // Only what ACM logs itself is in the transparency logs by its doing.
    let logged = if certificate.imported {
        "DISABLED"
    } else {
        "ENABLED"
    };
    put(
        "Options",
        json!({
            "CertificateTransparencyLoggingPreference": logged,
            "Export": export(certificate),
        }),
    );
    if let Some(validation) = &certificate.validation {
        let options: Vec<Value> = validation
            .domains
            .iter()
            .map(|domain| option(state, certificate, domain, validation.by_dns))
            .collect();
        put("DomainValidationOptions", Value::from(options));
    }
    Ok(json!({ "Certificate": detail }))
}

fn option(
    state: &State,
    certificate: &Certificate,
    domain: &DomainValidation,
    by_dns: bool,
) -> Value {
    let status = if domain.succeeded {
        "SUCCESS"
    } else if certificate.status == CertificateStatus::ValidationTimedOut {
        "FAILED"
    } else {
        "PENDING_VALIDATION"
    };
    let mut option = json!({
        "DomainName": domain.name,
        "ValidationDomain": domain.validation_domain,
        "ValidationStatus": status,
        "ValidationMethod": if by_dns { "DNS" } else { "EMAIL" },
    });
    if by_dns {
        let (name, value) = validation::record(&state.account, &domain.name);
        option["ResourceRecord"] = json!({ "Name": name, "Type": "CNAME", "Value": value });
    } else {
        let above = domain.validation_domain.trim_start_matches("*.");
        let mails: Vec<String> = [
            "admin",
            "administrator",
            "hostmaster",
            "postmaster",
            "webmaster",
        ]
        .iter()
        .map(|person| format!("{person}@{above}"))
        .collect();
        option["ValidationEmails"] = json!(mails);
    }
    option
}

fn get(input: &Input, state: &State) -> Answer<Value> {
    let arn = one(input)?;
    let certificate = state.certificate(&arn)?;
    if let Some(pem) = &certificate.pem {
        let mut answer = json!({ "Certificate": pem.certificate });
        if let Some(chain) = &pem.chain {
            answer["CertificateChain"] = json!(chain);
        }
        return Ok(answer);
    }
    if certificate.issued.is_none() {
        return Err(not_issued(certificate));
    }
    let broken = |error: rcgen::Error| Refusal::new("InternalFailure", error.to_string());
    let issued = authority::issued(certificate).map_err(broken)?;
    let chain = authority::pem().map_err(broken)?;
    Ok(json!({ "Certificate": issued.pem, "CertificateChain": chain }))
}

/// The certificate with its private key under the caller's passphrase.
fn export_key(input: &Input, state: &mut State) -> Answer<Value> {
    let passphrase = input
        .bytes("Passphrase")?
        .ok_or_else(|| input.missing("Passphrase"))?;
    let arn = one(input)?;
    let fit = |byte: &u8| byte.is_ascii() && !b"#$%".contains(byte);
    if !(4..=128).contains(&passphrase.len()) || !passphrase.iter().all(fit) {
        return Err(Refusal::new(
            "ValidationException",
            "The passphrase must have 4 to 128 ASCII characters, and none of #, $ and %.",
        ));
    }
    let certificate = state.export_certificate(&arn)?;
    let broken = |text: String| Refusal::new("InternalFailure", text);
    let issued = authority::issued(certificate).map_err(|error| broken(error.to_string()))?;
    let chain = authority::pem().map_err(|error| broken(error.to_string()))?;
    let key = pem_block(&issued.key, "PRIVATE KEY")
        .ok_or_else(|| broken("the private key is not PKCS #8".to_owned()))?;
    Ok(json!({
        "Certificate": issued.pem,
        "CertificateChain": chain,
        "PrivateKey": encrypted(&key, &passphrase),
    }))
}

fn delete(input: &Input, state: &mut State) -> Answer<Value> {
    let arn = one(input)?;
    state.delete_certificate(&arn)?;
    Ok(json!({}))
}

fn update_options(input: &Input, state: &mut State) -> Answer<Value> {
    let options = input.part("Options");
    options.skip(&["CertificateTransparencyLoggingPreference"]);
    let export = options.text("Export");
    let arn = one(input)?;
    let exportable = export.map(|export| export == "ENABLED");
    state.update_certificate_options(&arn, exportable)?;
    Ok(json!({}))
}

fn resend(input: &Input, state: &State) -> Answer<Value> {
    let domain = input.need("Domain")?;
    let above = input.need("ValidationDomain")?;
    let arn = one(input)?;
    state.resend_validation(&arn, &domain, &above)?;
    Ok(json!({}))
}

/// Only exported certificates of a private authority are renewed by hand, and
/// there is none here.
fn renew(input: &Input, state: &State) -> Answer<Value> {
    let arn = one(input)?;
    state.certificate(&arn)?;
    Err(Refusal::new(
        "ValidationException",
        format!("The certificate {arn} is not eligible for renewal."),
    ))
}

fn account(input: &Input, state: &State) -> Answer<Value> {
    input.done()?;
    Ok(json!({ "ExpiryEvents": { "DaysBeforeExpiry": state.expiry_event_days } }))
}

fn configure_account(input: &Input, state: &mut State) -> Answer<Value> {
    input.skip(&["IdempotencyToken"]);
    let days: Option<u32> = input.part("ExpiryEvents").number("DaysBeforeExpiry")?;
    input.done()?;
    if let Some(days) = days {
        if days > 45 {
            return Err(Refusal::new(
                "ValidationException",
                "DaysBeforeExpiry must be at most 45.",
            ));
        }
        state.expiry_event_days = days;
    }
    Ok(json!({}))
}
