//! Server certificates of IAM: the certificates of load balancers before ACM,
//! and still those of regions without it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Answer, Refusal, State, Tags,
    acm::Pem,
    regions::partition,
    tags::check_tag,
    x509::{self, Facts, PrivateKey},
};

/// A server certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// `ASCA…`.
    pub id: String,
    /// Name; unique in the account whatever its case.
    pub name: String,
    /// `/` or `/…/`.
    pub path: String,
    /// `arn:aws:iam::ACCOUNT:server-certificate/[PATH/]NAME`.
    pub arn: String,
    /// When it was uploaded.
    pub uploaded: Timestamp,
    /// End of validity.
    pub expiration: Timestamp,
    /// Names that the certificate is good for.
    pub names: Vec<String>,
    /// `RSA_2048`, `EC_prime256v1`, …
    pub key_algorithm: String,
    /// PEM texts.
    pub pem: Pem,
}

/// What UploadServerCertificate asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServerCertificate {
    /// Name.
    pub name: String,
    /// Path; `/` if absent.
    pub path: Option<String>,
    /// PEM texts.
    pub pem: Pem,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// A server certificate by name, or `NoSuchEntity`.
    pub fn server_certificate(&self, name: &str) -> Answer<&ServerCertificate> {
        self.server_certificates
            .get(&name.to_ascii_lowercase())
            .ok_or_else(|| {
                Refusal::new(
                    "NoSuchEntity",
                    format!("The Server Certificate with name {name} cannot be found."),
                )
            })
    }

    /// The server certificate of an ARN.
    pub fn server_certificate_of(&self, arn: &str) -> Option<&ServerCertificate> {
        self.server_certificates
            .values()
            .find(|certificate| certificate.arn == arn)
    }

    /// Server certificates below a path, by name.
    pub fn server_certificates_below(&self, prefix: &str) -> Vec<&ServerCertificate> {
        let all = self.server_certificates.values();
        all.filter(|certificate| certificate.path.starts_with(prefix))
            .collect()
    }

    /// UploadServerCertificate: answers the name.
    pub fn upload_server_certificate(
        &mut self,
        new: NewServerCertificate,
        now: Timestamp,
    ) -> Answer<String> {
        let path = new.path.unwrap_or_else(|| "/".to_owned());
        check_path(&path)?;
        self.check_name_is_free(&new.name)?;
        let facts = uploadable(&new.pem, now)?;
        let Some(key_algorithm) = facts.key_algorithm.clone() else {
            return Err(malformed(
                "The key algorithm of the certificate is not supported.",
            ));
        };
        let tags = self.checked_iam_tags(&new.tags)?;
        let most = self.quotas.limit("server-certificates");
        if self.server_certificates.len() >= most {
            return Err(Refusal::new(
                "LimitExceeded",
                format!("Cannot exceed quota for ServerCertificatesPerAccount: {most}"),
            ));
        }
        let certificate = ServerCertificate {
            id: format!("ASCA{}", self.ids.capitals(17)),
            arn: self.server_certificate_arn(&path, &new.name),
            name: new.name.clone(),
            path,
            uploaded: now,
            expiration: facts.not_after,
            names: facts.names,
            key_algorithm,
            pem: new.pem,
        };
        self.tags.insert(certificate.id.clone(), tags);
        self.server_certificates
            .insert(new.name.to_ascii_lowercase(), certificate);
        Ok(new.name)
    }

    /// UpdateServerCertificate: moves or renames it. What uses it goes on
    /// naming it by the ARN that it has now.
    pub fn update_server_certificate(
        &mut self,
        name: &str,
        new_path: Option<String>,
        new_name: Option<String>,
    ) -> Answer<()> {
        let mut certificate = self.server_certificate(name)?.clone();
        if let Some(path) = new_path {
            check_path(&path)?;
            certificate.path = path;
        }
        if let Some(new_name) = new_name {
            if !new_name.eq_ignore_ascii_case(&certificate.name) {
                self.check_name_is_free(&new_name)?;
            }
            certificate.name = new_name;
        }
        let arn = self.server_certificate_arn(&certificate.path, &certificate.name);
        let before = std::mem::replace(&mut certificate.arn, arn.clone());
        self.rename_certificate(&before, &arn);
        self.server_certificates.remove(&name.to_ascii_lowercase());
        self.server_certificates
            .insert(certificate.name.to_ascii_lowercase(), certificate);
        Ok(())
    }

    /// Takes over the server certificates of the account, of which every region
    /// knows.
    pub(crate) fn take_server_certificates(&mut self, all: &BTreeMap<String, ServerCertificate>) {
        let before = std::mem::replace(&mut self.server_certificates, all.clone());
        for certificate in before.into_values() {
            let now = all.values().find(|now| now.id == certificate.id);
            if let Some(now) = now.filter(|now| now.arn != certificate.arn) {
                self.rename_certificate(&certificate.arn, &now.arn);
            }
        }
    }

    /// What uses a certificate goes on under its new ARN.
    fn rename_certificate(&mut self, before: &str, after: &str) {
        for balancer in self.load_balancers.values_mut() {
            for listener in balancer.listeners.values_mut() {
                if listener.certificate.as_deref() == Some(before) {
                    listener.certificate = Some(after.to_owned());
                }
                if listener.sni_certificates.remove(before) {
                    listener.sni_certificates.insert(after.to_owned());
                }
            }
        }
    }

    /// DeleteServerCertificate: refused while a listener uses it.
    pub fn delete_server_certificate(&mut self, name: &str) -> Answer<()> {
        let certificate = self.server_certificate(name)?;
        let (id, arn) = (certificate.id.clone(), certificate.arn.clone());
        if let Some(user) = self.users_of_certificate(&arn).first() {
            return Err(Refusal::new(
                "DeleteConflict",
                format!(
                    "Certificate: {id} is currently in use by {user}. Please remove it first before deleting it from IAM."
                ),
            ));
        }
        self.server_certificates.remove(&name.to_ascii_lowercase());
        self.tags.remove(&id);
        Ok(())
    }

    /// TagServerCertificate.
    pub fn tag_server_certificate(&mut self, name: &str, tags: &[(String, String)]) -> Answer<()> {
        let id = self.server_certificate(name)?.id.clone();
        let mut after = self.tags.get(&id).cloned().unwrap_or_default();
        after.extend(self.checked_iam_tags(tags)?);
        self.check_iam_tag_count(&after)?;
        self.tags.insert(id, after);
        Ok(())
    }

    /// UntagServerCertificate: a key that is not there counts as removed.
    pub fn untag_server_certificate(&mut self, name: &str, keys: &[String]) -> Answer<()> {
        let id = self.server_certificate(name)?.id.clone();
        if let Some(tags) = self.tags.get_mut(&id) {
            tags.retain(|key, _| !keys.contains(key));
        }
        Ok(())
    }

    fn check_name_is_free(&self, name: &str) -> Answer<()> {
        if self.server_certificate(name).is_ok() {
            return Err(Refusal::new(
                "EntityAlreadyExists",
                format!("The Server Certificate with name {name} already exists."),
            ));
        }
        Ok(())
    }

    fn server_certificate_arn(&self, path: &str, name: &str) -> String {
        format!(
            "arn:{}:iam::{}:server-certificate{path}{name}",
            partition(&self.region),
            self.account
        )
    }

    fn checked_iam_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        let mut checked = Tags::new();
        for (key, value) in tags {
            check_tag(key, value).map_err(input)?;
            if checked.insert(key.clone(), value.clone()).is_some() {
                return Err(input(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                ));
            }
        }
        self.check_iam_tag_count(&checked)?;
        Ok(checked)
    }

    fn check_iam_tag_count(&self, tags: &Tags) -> Answer<()> {
        let most = self.quotas.limit("tags-per-resource");
        if tags.len() > most {
            return Err(Refusal::new(
                "LimitExceeded",
                format!("The number of tags has reached the maximum limit of {most}."),
            ));
        }
        Ok(())
    }
}

fn check_path(path: &str) -> Answer<()> {
    if path.starts_with('/') && path.ends_with('/') && !path.contains("//") {
        return Ok(());
    }
    Err(Refusal::validation(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
    ))
}

/// Everything that IAM wants of a certificate, its key and its chain.
fn uploadable(pem: &Pem, now: Timestamp) -> Answer<Facts> {
    let mut facts = x509::read_all(&pem.certificate).ok_or_else(|| {
        malformed("Unable to parse certificate. Please ensure the certificate is in PEM format.")
    })?;
    if facts.len() > 1 {
        return Err(malformed(
            "Multiple certificates were found in the body. Please put the chain into CertificateChain.",
        ));
    }
    let facts = facts.remove(0);
    let key = PrivateKey::read(&pem.private_key).ok_or_else(|| {
        malformed(
            "Unable to parse key; the body must be PEM-encoded and not protected by a passphrase.",
        )
    })?;
    if !facts.belongs_to(&key) {
        return Err(Refusal::new(
            "KeyPairMismatch",
            "The certificate and private key do not match.",
        ));
    }
    if !facts.valid_at(now) {
        return Err(malformed(
            "The certificate is not valid yet or has expired.",
        ));
    }
    let Some(chain) = &pem.chain else {
        return Ok(facts);
    };
    let chain =
        x509::read_all(chain).ok_or_else(|| malformed("Unable to parse the certificate chain."))?;
    let mut issued = &facts;
    for issuer in &chain {
        if !issued.issued_by(issuer) {
            return Err(malformed(
                "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order.",
            ));
        }
        issued = issuer;
    }
    Ok(facts)
}

fn malformed(text: &str) -> Refusal {
    Refusal::new("MalformedCertificate", text)
}

fn input(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidInput", text)
}

#[cfg(test)]
mod tests;
