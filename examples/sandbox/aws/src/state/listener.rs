//! Listeners and the actions that they and their rules carry.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, Refusal, State,
    action::{NewAction, Site},
    arn, attributes,
    rule::Rule,
    ssl_policy,
};

/// Protocol of a listener of an Application Load Balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Protocol {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        }
    }
}

/// A listener with its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// `arn:…:listener/app/NAME/LBID/ID`.
    pub arn: String,
    /// ARN of its load balancer.
    pub load_balancer_arn: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// TLS policy; only on HTTPS.
    pub ssl_policy: Option<String>,
    /// Default certificate; only on HTTPS.
    pub certificate: Option<String>,
    /// Certificates chosen by SNI, without the default one unless added to both.
    pub sni_certificates: BTreeSet<String>,
    /// What is done when no rule matches.
    pub default_actions: Vec<Action>,
    /// ARN under which the default rule is shown by DescribeRules.
    pub default_rule_arn: String,
    /// Attributes, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// Rules by priority, the default rule not among them.
    pub rules: BTreeMap<u32, Rule>,
}

/// One action of a listener or rule, in stored form (every default filled in).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Position among several actions, lowest first.
    pub order: Option<u32>,
    /// What is done.
    pub kind: ActionKind,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionKind {
    /// Sends the request to one of several target groups.
    Forward(Forward),
    /// Answers with another location.
    Redirect(Redirect),
    /// Answers by itself.
    FixedResponse(FixedResponse),
}

/// A weighted choice of target groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// One to five groups.
    pub target_groups: Vec<WeightedTargetGroup>,
    /// Seconds for which a client stays with its group; `None` is off.
    pub stickiness_seconds: Option<u32>,
}

/// A target group with its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedTargetGroup {
    /// ARN of the target group.
    pub arn: String,
    /// 0 to 999.
    pub weight: u32,
}

/// A redirect; the parts may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `HTTP`, `HTTPS` or `#{protocol}`.
    pub protocol: String,
    /// Port or `#{port}`.
    pub port: String,
    /// Host.
    pub host: String,
    /// Path with its leading slash.
    pub path: String,
    /// Query without the question mark.
    pub query: String,
    /// 301 or 302.
    pub status: u16,
}

/// An answer of the load balancer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedResponse {
    /// 2xx, 4xx or 5xx.
    pub status: u16,
    /// At most 1024 characters.
    pub body: Option<String>,
    /// One of five media types.
    pub content_type: Option<String>,
}

/// What CreateListener asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewListener {
    /// Load balancer.
    pub load_balancer_arn: String,
    /// Protocol as text.
    pub protocol: Option<String>,
    /// Port.
    pub port: Option<u32>,
    /// TLS policy.
    pub ssl_policy: Option<String>,
    /// Certificates with `IsDefault`; `None` when the parameter is absent.
    pub certificates: Option<Vec<(String, Option<bool>)>>,
    /// Default actions; `None` when the parameter is absent.
    pub default_actions: Option<Vec<NewAction>>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// Protocol with what belongs to TLS.
type Tls = (Option<String>, Option<String>);

impl State {
    /// A listener by ARN, or `ListenerNotFound`.
    pub fn listener(&self, arn: &str) -> Answer<&Listener> {
        let balancer = check_kind(arn)?;
        self.load_balancers
            .get(&balancer)
            .and_then(|balancer| balancer.listeners.values().find(|l| l.arn == arn))
            .ok_or_else(|| not_found(arn))
    }

    pub(super) fn listener_mut(&mut self, arn: &str) -> Answer<&mut Listener> {
        let balancer = check_kind(arn)?;
        self.load_balancers
            .get_mut(&balancer)
            .and_then(|balancer| balancer.listeners.values_mut().find(|l| l.arn == arn))
            .ok_or_else(|| not_found(arn))
    }

    /// CreateListener: answers the ARN. The same call again answers the
    /// listener that exists.
    pub fn create_listener(&mut self, new: &NewListener) -> Answer<String> {
        let balancer = self.load_balancer(&new.load_balancer_arn)?;
        let protocol = parse_protocol(new.protocol.as_deref())?
            .ok_or_else(|| Refusal::validation("A protocol must be specified"))?;
        let port =
            parse_port(new.port)?.ok_or_else(|| Refusal::validation("A port must be specified"))?;
        let (ssl_policy, certificate) = self.check_tls(protocol, new, None)?;
        let site = Site {
            balancer,
            protocol,
            port,
            holder: None,
        };
        let actions =
            self.resolve_actions(new.default_actions.as_deref().unwrap_or_default(), site)?;
        let tags = self.checked_tags(&new.tags)?;
        if let Some(existing) = balancer.listeners.get(&port) {
            let same = existing.protocol == protocol
                && existing.ssl_policy == ssl_policy
                && existing.certificate == certificate
                && existing.default_actions == actions
                && self.tags.get(&existing.arn).cloned().unwrap_or_default() == tags;
            if same {
                return Ok(existing.arn.clone());
            }
            return Err(Refusal::new(
                "DuplicateListener",
                format!(
                    "A listener already exists on this port for this load balancer '{}'",
                    balancer.arn
                ),
            ));
        }
        if balancer.listeners.len() >= self.quotas.limit("listeners-per-application-load-balancer")
        {
            return Err(Refusal::new(
                "TooManyListeners",
                format!(
                    "The maximum number of listeners on load balancer '{}' has been reached",
                    balancer.arn
                ),
            ));
        }
        let load_balancer_arn = balancer.arn.clone();
        let base = load_balancer_arn.replacen(":loadbalancer/", ":listener/", 1);
        let arn = format!("{base}/{}", self.ids.hex(16));
        let rule_base = arn.replacen(":listener/", ":listener-rule/", 1);
        let listener = Listener {
            default_rule_arn: format!("{rule_base}/{}", self.ids.hex(16)),
            attributes: attributes::defaults(attribute_tables(protocol)),
            arn: arn.clone(),
            load_balancer_arn: load_balancer_arn.clone(),
            port,
            protocol,
            ssl_policy,
            certificate,
            sni_certificates: BTreeSet::new(),
            default_actions: actions.clone(),
            rules: BTreeMap::new(),
        };
        self.load_balancer_mut(&load_balancer_arn)?
            .listeners
            .insert(port, listener);
        self.tags.insert(arn.clone(), tags);
        self.set_references(&arn, &[], &actions);
        Ok(arn)
    }

    /// ModifyListener: only what is given changes; lists are replaced whole;
    /// a certificate replaces the default one.
    pub fn modify_listener(&mut self, arn: &str, new: &NewListener) -> Answer<()> {
        let listener = self.listener(arn)?.clone();
        let balancer = self.load_balancer(&listener.load_balancer_arn)?;
        let protocol = parse_protocol(new.protocol.as_deref())?.unwrap_or(listener.protocol);
        let port = parse_port(new.port)?.unwrap_or(listener.port);
        if port != listener.port && balancer.listeners.contains_key(&port) {
            return Err(Refusal::validation(format!(
                "Listener port '{port}' is already in use"
            )));
        }
        let (ssl_policy, certificate) = self.check_tls(protocol, new, Some(&listener))?;
        let site = Site {
            balancer,
            protocol,
            port,
            holder: Some(arn),
        };
        let actions = match &new.default_actions {
            Some(actions) => self.resolve_actions(actions, site)?,
            None => listener.default_actions.clone(),
        };
        let load_balancer_arn = listener.load_balancer_arn.clone();
        let balancer = self.load_balancer_mut(&load_balancer_arn)?;
        let Some(mut changed) = balancer.listeners.remove(&listener.port) else {
            return Err(not_found(arn));
        };
        if protocol != listener.protocol {
            changed.attributes = attributes::defaults(attribute_tables(protocol));
            changed.sni_certificates.clear();
        }
        changed.protocol = protocol;
        changed.port = port;
        changed.ssl_policy = ssl_policy;
        changed.certificate = certificate;
        changed.default_actions.clone_from(&actions);
        balancer.listeners.insert(port, changed);
        self.set_references(arn, &listener.default_actions, &actions);
        Ok(())
    }

    /// DeleteListener: its rules go with it; one that is unknown is refused.
    pub fn delete_listener(&mut self, arn: &str) -> Answer<()> {
        let listener = self.listener(arn)?.clone();
        for rule in listener.rules.values() {
            self.set_references(&rule.arn, &rule.actions, &[]);
            self.tags.remove(&rule.arn);
        }
        self.set_references(arn, &listener.default_actions, &[]);
        self.tags.remove(arn);
        self.tags.remove(&listener.default_rule_arn);
        self.load_balancer_mut(&listener.load_balancer_arn)?
            .listeners
            .remove(&listener.port);
        Ok(())
    }

    /// ModifyListenerAttributes.
    pub fn modify_listener_attributes(
        &mut self,
        arn: &str,
        changes: &[(String, String)],
    ) -> Answer<()> {
        let listener = self.listener_mut(arn)?;
        listener.attributes = attributes::changed(
            "listener",
            attribute_tables(listener.protocol),
            &listener.attributes,
            changes,
        )?;
        Ok(())
    }

    /// AddListenerCertificates: one certificate per call; a repeat succeeds.
    pub fn add_listener_certificate(
        &mut self,
        arn: &str,
        certificates: &[(String, Option<bool>)],
    ) -> Answer<String> {
        let listener = self.listener(arn)?;
        require_https(listener)?;
        let certificate = only_certificate(certificates)?.to_owned();
        self.check_listener_certificate(&certificate)?;
        let known = listener.sni_certificates.contains(&certificate);
        let on_balancer: usize = self
            .load_balancer(&listener.load_balancer_arn)?
            .listeners
            .values()
            .map(|listener| listener.sni_certificates.len())
            .sum();
        if !known
            && on_balancer
                >= self
                    .quotas
                    .limit("certificates-per-application-load-balancer")
        {
            return Err(Refusal::new(
                "TooManyCertificates",
                "The maximum number of certificates on the load balancer has been reached",
            ));
        }
        self.listener_mut(arn)?
            .sni_certificates
            .insert(certificate.clone());
        Ok(certificate)
    }

    /// RemoveListenerCertificates: one certificate per call; the default one is refused.
    pub fn remove_listener_certificate(
        &mut self,
        arn: &str,
        certificates: &[(String, Option<bool>)],
    ) -> Answer<()> {
        let listener = self.listener_mut(arn)?;
        let certificate = only_certificate(certificates)?;
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

    /// Policy and certificate that a listener would have.
    fn check_tls(
        &self,
        protocol: Protocol,
        new: &NewListener,
        before: Option<&Listener>,
    ) -> Answer<Tls> {
        let given = new.certificates.as_deref();
        if protocol == Protocol::Http {
            let none_given = given.is_none_or(<[_]>::is_empty) && new.ssl_policy.is_none();
            if none_given {
                return Ok((None, None));
            }
            return Err(Refusal::validation(
                "SslPolicy and Certificates can only be specified for HTTPS listeners",
            ));
        }
        let kept = before.and_then(|listener| listener.certificate.clone());
        let certificate = match given {
            Some([]) | None => kept.ok_or_else(|| {
                Refusal::validation("A certificate must be specified for HTTPS listeners")
            })?,
            Some([(certificate, None)]) => {
                self.check_listener_certificate(certificate)?;
                certificate.clone()
            }
            Some(_) => {
                return Err(Refusal::validation(
                    "Exactly one certificate, without IsDefault, can be specified for a listener",
                ));
            }
        };
        let policy = new
            .ssl_policy
            .clone()
            .or_else(|| before.and_then(|listener| listener.ssl_policy.clone()))
            .unwrap_or_else(|| ssl_policy::DEFAULT.to_owned());
        if !ssl_policy::exists(&policy) {
            return Err(Refusal::new(
                "SSLPolicyNotFound",
                format!("SSL policy '{policy}' not found"),
            ));
        }
        Ok((Some(policy), Some(certificate)))
    }
}

fn require_https(listener: &Listener) -> Answer<()> {
    if listener.protocol == Protocol::Https {
        return Ok(());
    }
    Err(Refusal::new(
        "UnsupportedProtocol",
        "Certificates can only be added to HTTPS listeners",
    ))
}

fn only_certificate(certificates: &[(String, Option<bool>)]) -> Answer<&str> {
    match certificates {
        [(certificate, None)] => Ok(certificate),
        _ => Err(Refusal::validation(
            "Exactly one certificate, without IsDefault, can be specified per call",
        )),
    }
}

/// The attribute tables of a listener.
fn attribute_tables(protocol: Protocol) -> &'static [&'static [attributes::Spec]] {
    match protocol {
        Protocol::Http => &[attributes::LISTENER],
        Protocol::Https => &[attributes::LISTENER, attributes::LISTENER_HTTPS],
    }
}

fn parse_protocol(text: Option<&str>) -> Answer<Option<Protocol>> {
    match text {
        None => Ok(None),
        Some("HTTP") => Ok(Some(Protocol::Http)),
        Some("HTTPS") => Ok(Some(Protocol::Https)),
        Some(other) => Err(Refusal::validation(format!(
            "Listener protocol '{other}' must be one of 'HTTPS, HTTP'"
        ))),
    }
}

fn parse_port(port: Option<u32>) -> Answer<Option<u16>> {
    match port.map(u16::try_from) {
        None => Ok(None),
        Some(Ok(port)) if port > 0 => Ok(Some(port)),
        Some(_) => Err(Refusal::validation("The port must be from 1 to 65535")),
    }
}

fn check_kind(arn: &str) -> Answer<String> {
    if arn::kind(arn) == Some(arn::Kind::Listener)
        && let Some(balancer) = arn::load_balancer_of(arn)
    {
        return Ok(balancer);
    }
    Err(Refusal::validation(format!(
        "'{arn}' is not a valid listener ARN"
    )))
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new("ListenerNotFound", format!("Listener '{arn}' not found"))
}
