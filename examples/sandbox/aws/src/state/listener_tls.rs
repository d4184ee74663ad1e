//! What belongs to TLS on a listener: policy, certificates, protocol
//! negotiation and mutual authentication.

use super::{
    Answer, Listener, LoadBalancer, Protocol, Refusal, State, TrustStoreStatus, arn,
    listener::{NewListener, family},
    ssl_policy,
};

/// How a listener asks clients for certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MutualAuthentication {
    /// Not at all.
    Off,
    /// Hands whatever certificate comes to the target.
    Passthrough,
    /// Refuses clients whose certificate does not verify.
    Verify(Verification),
}

impl MutualAuthentication {
    /// The word on the wire.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Passthrough => "passthrough",
            Self::Verify(_) => "verify",
        }
    }
}

/// What client certificates are verified against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// ARN of the trust store.
    pub trust_store_arn: String,
    /// Whether expired certificates are good too.
    pub ignore_expiry: bool,
    /// Whether clients are told the names of the authorities.
    pub advertise_names: bool,
    /// One of these has to fit if there are any; only on Network Load Balancers.
    pub identity_filters: Vec<IdentityFilter>,
}

/// A filter on the identity in a client certificate; it always accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFilter {
    /// `subject-cn`, `subject-ou`, `san-dns` or `san-uri`.
    pub field: String,
    /// `exact` or `prefix`.
    pub match_type: String,
    /// 1 to 256 printable characters.
    pub value: String,
}

/// `MutualAuthentication` as a caller spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMutualAuthentication {
    /// `off`, `passthrough` or `verify`; `off` if absent.
    pub mode: Option<String>,
    /// Trust store.
    pub trust_store_arn: Option<String>,
    /// Whether expired certificates are good too.
    pub ignore_expiry: Option<bool>,
    /// `on` or `off`.
    pub advertise_names: Option<String>,
    /// Identity filters.
    pub identity_filters: Vec<IdentityFilter>,
}

/// What a listener has of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Security {
    pub(super) ssl_policy: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) alpn_policy: Option<String>,
    pub(super) mutual_authentication: Option<MutualAuthentication>,
}

/// Names of the policies for protocol negotiation.
const ALPN: [&str; 5] = [
    "HTTP1Only",
    "HTTP2Only",
    "HTTP2Optional",
    "HTTP2Preferred",
    "None",
];

impl State {
    /// What a listener of this protocol would have of TLS: what is asked for,
    /// else what it has, else the defaults.
    pub(super) fn checked_security(
        &self,
        balancer: &LoadBalancer,
        protocol: Protocol,
        new: &NewListener,
        before: Option<&Listener>,
    ) -> Answer<Security> {
        let alpn = new.alpn_policy.as_deref().unwrap_or_default();
        if protocol != Protocol::Tls && !alpn.is_empty() {
            return Err(Refusal::validation(
                "An ALPN policy can only be specified for TLS listeners",
            ));
        }
        if !protocol.is_secure() {
            let stray = [
                (
                    "A certificate",
                    new.certificates.as_ref().is_some_and(|c| !c.is_empty()),
                ),
                ("An SSL policy", new.ssl_policy.is_some()),
                ("Mutual authentication", new.mutual_authentication.is_some()),
            ];
            return match stray.into_iter().find(|(_, given)| *given) {
                Some((what, _)) => Err(Refusal::validation(format!(
                    "{what} cannot be specified for {} listeners",
                    protocol.as_str()
                ))),
                None => Ok(Security::default()),
            };
        }
        let secure_before = before.filter(|listener| listener.protocol.is_secure());
        Ok(Security {
            certificate: Some(self.default_certificate(protocol, new, secure_before)?),
            ssl_policy: Some(policy(new, before)?),
            alpn_policy: match alpn {
                [] => secure_before
                    .filter(|_| protocol == Protocol::Tls)
                    .and_then(|listener| listener.alpn_policy.clone()),
                [one] if ALPN.contains(&one.as_str()) => Some(one.clone()),
                [one] => {
                    return Err(Refusal::new(
                        "ALPNPolicyNotFound",
                        format!("ALPN policy '{one}' is not supported"),
                    ));
                }
                _ => {
                    return Err(Refusal::validation("Only one ALPN policy can be specified"));
                }
            },
            mutual_authentication: match &new.mutual_authentication {
                // One that stands on the port already is not counted beside itself.
                Some(mutual) => {
                    let port = new.port.and_then(|port| u16::try_from(port).ok());
                    let own = before.or_else(|| balancer.listeners.get(&port?));
                    Some(self.checked_mutual(balancer, mutual, own)?)
                }
                None => secure_before
                    .and_then(|listener| listener.mutual_authentication.clone())
                    .or((protocol == Protocol::Https).then_some(MutualAuthentication::Off)),
            },
        })
    }

    fn default_certificate(
        &self,
        protocol: Protocol,
        new: &NewListener,
        before: Option<&Listener>,
    ) -> Answer<String> {
        match new.certificates.as_deref() {
            Some([]) | None => before
                .and_then(|listener| listener.certificate.clone())
                .ok_or_else(|| {
                    Refusal::validation(format!(
                        "A certificate must be specified for {} listeners",
                        protocol.as_str()
                    ))
                }),
            Some([(certificate, None)]) => {
                self.check_certificate(certificate)?;
                Ok(certificate.clone())
            }
            Some([_]) => Err(Refusal::validation(
                "IsDefault cannot be specified for the certificate of a listener",
            )),
            Some(_) => Err(Refusal::validation(
                "Up to '1' certificate can be specified for a listener",
            )),
        }
    }

    fn checked_mutual(
        &self,
        balancer: &LoadBalancer,
        new: &NewMutualAuthentication,
        before: Option<&Listener>,
    ) -> Answer<MutualAuthentication> {
        let mode = new.mode.as_deref().unwrap_or("off");
        let network = arn::is_network(&balancer.arn);
        let modes: &[&str] = if network {
            &["off", "verify"]
        } else {
            &["off", "passthrough", "verify"]
        };
        if !modes.contains(&mode) {
            return Err(Refusal::validation(format!(
                "Mutual authentication mode '{mode}' must be one of '{}'",
                modes.join(", ")
            )));
        }
        if mode != "verify" {
            let stray = [
                ("TrustStoreArn", new.trust_store_arn.is_some()),
                ("IgnoreClientCertificateExpiry", new.ignore_expiry.is_some()),
                ("AdvertiseTrustStoreCaNames", new.advertise_names.is_some()),
                (
                    "ClientCertificateIdentityFilters",
                    !new.identity_filters.is_empty(),
                ),
            ];
            if let Some((name, _)) = stray.into_iter().find(|(_, given)| *given) {
                return Err(Refusal::validation(format!(
                    "{name} can only be specified when the mutual authentication mode is 'verify'"
                )));
            }
            return Ok(match mode {
                "passthrough" => MutualAuthentication::Passthrough,
                _ => MutualAuthentication::Off,
            });
        }
        if !network && !new.identity_filters.is_empty() {
            return Err(Refusal::validation(
                "Client certificate identity filters can only be specified for network load balancers",
            ));
        }
        let Some(trust_store_arn) = new.trust_store_arn.clone() else {
            return Err(Refusal::validation(
                "A trust store ARN must be specified when the mutual authentication mode is 'verify'",
            ));
        };
        self.check_trust_store(&trust_store_arn)?;
        let advertise_names = match new.advertise_names.as_deref() {
            None | Some("off") => false,
            Some("on") => true,
            Some(other) => {
                return Err(Refusal::validation(format!(
                    "AdvertiseTrustStoreCaNames '{other}' must be one of 'on, off'"
                )));
            }
        };
        for filter in &new.identity_filters {
            check_filter(filter)?;
        }
        let quota = "mutual-authentication-listeners-per-application-load-balancer";
        let verifying = balancer
            .listeners
            .values()
            .filter(|listener| before.is_none_or(|before| before.arn != listener.arn))
            .filter(|listener| listener.trust_store().is_some())
            .count();
        if !network && verifying >= self.quotas.limit(quota) {
            return Err(Refusal::new(
                "InvalidConfigurationRequest",
                format!(
                    "The maximum number of listeners that verify client certificates on load balancer '{}' has been reached",
                    balancer.arn
                ),
            ));
        }
        Ok(MutualAuthentication::Verify(Verification {
            trust_store_arn,
            ignore_expiry: new.ignore_expiry.unwrap_or(false),
            advertise_names,
            identity_filters: new.identity_filters.clone(),
        }))
    }

    /// Whether a listener can verify with a trust store.
    fn check_trust_store(&self, arn: &str) -> Answer<()> {
        if self.trust_store(arn)?.status != TrustStoreStatus::Active {
            return Err(Refusal::new(
                "TrustStoreNotReady",
                format!("Trust store '{arn}' is not active"),
            ));
        }
        Ok(())
    }

    /// AddListenerCertificates: one certificate per call; a repeat succeeds.
    pub fn add_listener_certificate(
        &mut self,
        arn: &str,
        certificates: &[(String, Option<bool>)],
    ) -> Answer<()> {
        let listener = self.listener(arn)?;
        require_secure(listener)?;
        let certificate = only_certificate(certificates)?.to_owned();
        self.check_certificate(&certificate)?;
        let balancer = &listener.load_balancer_arn;
        let on_balancer: usize = self
            .load_balancer(balancer)?
            .listeners
            .values()
            .map(|listener| listener.sni_certificates.len())
            .sum();
        let quota = format!("certificates-per-{}-load-balancer", family(balancer));
        let known = listener.sni_certificates.contains(&certificate);
        if !known && on_balancer >= self.quotas.limit(&quota) {
            return Err(Refusal::new(
                "TooManyCertificates",
                format!(
                    "The maximum number of certificates on load balancer '{balancer}' has been reached"
                ),
            ));
        }
        self.listener_mut(arn)?.sni_certificates.insert(certificate);
        Ok(())
    }

    /// RemoveListenerCertificates: one certificate per call; the default one
    /// is refused, one that is not in the list counts as removed.
    pub fn remove_listener_certificate(
        &mut self,
        arn: &str,
        certificates: &[(String, Option<bool>)],
    ) -> Answer<()> {
        let listener = self.listener_mut(arn)?;
        require_secure(listener)?;
        let certificate = only_certificate(certificates)?;
        check_certificate_arn(certificate)?;
        if !listener.sni_certificates.remove(certificate)
            && listener.certificate.as_deref() == Some(certificate)
        {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!("The default certificate '{certificate}' cannot be removed"),
            ));
        }
        Ok(())
    }

    /// Whether ELB can use a certificate.
    fn check_certificate(&self, arn: &str) -> Answer<()> {
        check_certificate_arn(arn)?;
        self.check_listener_certificate(arn)
    }
}

impl Listener {
    /// ARN of the trust store that client certificates are verified with.
    pub fn trust_store(&self) -> Option<&str> {
        match &self.mutual_authentication {
            Some(MutualAuthentication::Verify(verify)) => Some(&verify.trust_store_arn),
            _ => None,
        }
    }
}

/// The policy of a secure listener. One that becomes secure has to be given
/// its policy.
fn policy(new: &NewListener, before: Option<&Listener>) -> Answer<String> {
    let kept = before.and_then(|listener| listener.ssl_policy.clone());
    let policy = match (&new.ssl_policy, kept, before) {
        (Some(given), ..) => given.clone(),
        (None, Some(kept), _) => kept,
        (None, None, None) => ssl_policy::DEFAULT.to_owned(),
        (None, None, Some(_)) => {
            return Err(Refusal::validation(
                "An SSL policy must be specified when the protocol of a listener becomes HTTPS or TLS",
            ));
        }
    };
    if !ssl_policy::exists(&policy) {
        return Err(Refusal::new(
            "SSLPolicyNotFound",
            format!("SSL policy '{policy}' not found"),
        ));
    }
    Ok(policy)
}

fn check_filter(filter: &IdentityFilter) -> Answer<()> {
    let fields = ["subject-cn", "subject-ou", "san-dns", "san-uri"];
    let printable = filter
        .value
        .chars()
        .all(|c| c == ' ' || c.is_ascii_graphic());
    let length = (1..=256).contains(&filter.value.len());
    let scheme = filter.value.split(':').next().unwrap_or_default();
    let uri = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && (filter.match_type != "exact" || filter.value.contains(':'));
    let good = fields.contains(&filter.field.as_str())
        && ["exact", "prefix"].contains(&filter.match_type.as_str())
        && printable
        && length
        && (filter.field != "san-uri" || uri);
    if good {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "The client certificate identity filter on '{}' with the value '{}' is not valid",
        filter.field, filter.value
    )))
}

fn require_secure(listener: &Listener) -> Answer<()> {
    if listener.protocol.is_secure() {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "A certificate cannot be specified for {} listeners",
        listener.protocol.as_str()
    )))
}

fn only_certificate(certificates: &[(String, Option<bool>)]) -> Answer<&str> {
    match certificates {
        [(certificate, None)] => Ok(certificate),
        _ => Err(Refusal::validation(
            "Exactly one certificate, without IsDefault, can be specified per call",
        )),
    }
}

/// A certificate is one of ACM or one that was uploaded to IAM.
fn check_certificate_arn(arn: &str) -> Answer<()> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let good = match parts.as_slice() {
        ["arn", _, "acm", _, _, path] => path.starts_with("certificate/"),
        ["arn", _, "iam", _, _, path] => path.starts_with("server-certificate/"),
        _ => false,
    };
    if good {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "Certificate ARN '{arn}' is not valid"
    )))
}
