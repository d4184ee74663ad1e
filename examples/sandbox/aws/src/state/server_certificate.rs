//! Server certificates of IAM: the certificates of load balancers before ACM,
//! and still those of regions without it.

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
        for balancer in self.load_balancers.values_mut() {
            for listener in balancer.listeners.values_mut() {
                if listener.certificate.as_ref() == Some(&before) {
                    listener.certificate = Some(arn.clone());
                }
                if listener.sni_certificates.remove(&before) {
                    listener.sni_certificates.insert(arn.clone());
                }
            }
        }
        self.server_certificates.remove(&name.to_ascii_lowercase());
        self.server_certificates
            .insert(certificate.name.to_ascii_lowercase(), certificate);
        Ok(())
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    const LEAF: &str = include_str!("x509/testdata/leaf.pem");
    const LEAF_KEY: &str = include_str!("x509/testdata/leaf.key");
    const AUTHORITY: &str = include_str!("x509/testdata/ca.pem");

    fn now() -> Timestamp {
        "2030-01-02T03:04:05Z".parse().unwrap()
    }

    fn new(name: &str) -> NewServerCertificate {
        NewServerCertificate {
            name: name.to_owned(),
            path: None,
            pem: Pem {
                certificate: LEAF.to_owned(),
                private_key: LEAF_KEY.to_owned(),
                chain: Some(AUTHORITY.to_owned()),
            },
            tags: Vec::new(),
        }
    }

    fn code<T: std::fmt::Debug>(answer: Answer<T>) -> String {
        answer.map_or_else(|refusal| refusal.code.to_string(), |_| String::new())
    }

    #[test]
    fn names_are_unique_whatever_their_case() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        state.upload_server_certificate(new("Web"), now()).unwrap();
        let again = state.upload_server_certificate(new("web"), now());
        assert_eq!(code(again), "EntityAlreadyExists");
        let certificate = state.server_certificate("WEB").unwrap();
        assert_eq!(
            certificate.arn,
            "arn:aws:iam::123456789012:server-certificate/Web"
        );
        assert!(certificate.id.starts_with("ASCA"));
        let moved = state.update_server_certificate(
            "Web",
            Some("/a/b/".to_owned()),
            Some("new".to_owned()),
        );
        moved.unwrap();
        assert_eq!(code(state.server_certificate("Web")), "NoSuchEntity");
        let arn = "arn:aws:iam::123456789012:server-certificate/a/b/new";
        assert_eq!(state.server_certificate_of(arn).unwrap().name, "new");
        assert_eq!(state.server_certificates_below("/a/").len(), 1);
        assert!(state.server_certificates_below("/b/").is_empty());
        state.delete_server_certificate("new").unwrap();
        assert_eq!(code(state.delete_server_certificate("new")), "NoSuchEntity");
        state.quotas.set("server-certificates", 0);
        let over = state.upload_server_certificate(new("x"), now());
        assert_eq!(code(over), "LimitExceeded");
    }

    #[test]
    fn certificate_key_and_chain_fit() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let other = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
        let pem = |change: &dyn Fn(&mut Pem)| {
            let mut new = new("x");
            change(&mut new.pem);
            new
        };
        for (new, expected) in [
            (
                pem(&|pem| pem.certificate = "x".to_owned()),
                "MalformedCertificate",
            ),
            (
                pem(&|pem| pem.private_key = "x".to_owned()),
                "MalformedCertificate",
            ),
            (
                pem(&|pem| pem.chain = Some(LEAF.to_owned())),
                "MalformedCertificate",
            ),
            (
                pem(&|pem| pem.chain = Some("x".to_owned())),
                "MalformedCertificate",
            ),
            (
                pem(&|pem| pem.private_key = other.signing_key.serialize_pem()),
                "KeyPairMismatch",
            ),
            (
                NewServerCertificate {
                    path: Some("a".to_owned()),
                    ..new("x")
                },
                "ValidationError",
            ),
            (new("x"), ""),
        ] {
            assert_eq!(code(state.upload_server_certificate(new, now())), expected);
        }
        let early = "2020-01-01T00:00:00Z".parse().unwrap();
        let expired = state.upload_server_certificate(new("y"), early);
        assert_eq!(code(expired), "MalformedCertificate");
    }
}
