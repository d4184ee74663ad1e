//! Listeners of Application and Network Load Balancers: how they are made,
//! changed and removed. What belongs to TLS is in `listener_tls`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, LoadBalancer, Protocol, Refusal, State,
    action::{Action, NewAction, Site},
    arn, attributes, listener_attributes,
    listener_tls::{MutualAuthentication, NewMutualAuthentication, Security},
    rule::Rule,
};

/// A listener with its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// `arn:…:listener/app/NAME/LBID/ID`, with `net` for Network Load Balancers.
    pub arn: String,
    /// ARN of its load balancer.
    pub load_balancer_arn: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// Protocol towards clients.
    pub protocol: Protocol,
    /// TLS policy; only on HTTPS and TLS.
    pub ssl_policy: Option<String>,
    /// Default certificate; only on HTTPS and TLS.
    pub certificate: Option<String>,
    /// Certificates chosen by SNI, without the default one unless added to both.
    pub sni_certificates: BTreeSet<String>,
    /// Policy for protocol negotiation; only on TLS.
    pub alpn_policy: Option<String>,
    /// How clients are asked for certificates; always on HTTPS, on TLS if set.
    pub mutual_authentication: Option<MutualAuthentication>,
    /// What is done when no rule matches.
    pub default_actions: Vec<Action>,
    /// ARN under which the default rule is shown by DescribeRules.
    pub default_rule_arn: String,
    /// Attributes, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// Rules by priority, the default rule not among them.
    pub rules: BTreeMap<u32, Rule>,
}

/// What CreateListener and ModifyListener ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewListener {
    /// Load balancer; not looked at by ModifyListener.
    pub load_balancer_arn: String,
    /// Protocol as text.
    pub protocol: Option<String>,
    /// Port.
    pub port: Option<u32>,
    /// TLS policy.
    pub ssl_policy: Option<String>,
    /// Certificates with `IsDefault`; `None` when the parameter is absent.
    pub certificates: Option<Vec<(String, Option<bool>)>>,
    /// Policies for protocol negotiation; `None` when the parameter is absent.
    pub alpn_policy: Option<Vec<String>>,
    /// Mutual authentication.
    pub mutual_authentication: Option<NewMutualAuthentication>,
    /// Default actions; `None` when the parameter is absent.
    pub default_actions: Option<Vec<NewAction>>,
    /// Tags; not looked at by ModifyListener.
    pub tags: Vec<(String, String)>,
}

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
        let protocol = parse_protocol(new.protocol.as_deref(), balancer)?
            .ok_or_else(|| Refusal::validation("A listener protocol must be specified"))?;
        let port = parse_port(new.port)?
            .ok_or_else(|| Refusal::validation("A listener port must be specified"))?;
        let security = self.checked_security(balancer, protocol, new, None)?;
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
                && existing.security() == security
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
        let quota = format!("listeners-per-{}-load-balancer", family(&balancer.arn));
        if balancer.listeners.len() >= self.quotas.limit(&quota) {
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
            attributes: attributes::defaults(listener_attributes::tables(protocol)),
            arn: arn.clone(),
            load_balancer_arn: load_balancer_arn.clone(),
            port,
            protocol,
            ssl_policy: security.ssl_policy,
            certificate: security.certificate,
            sni_certificates: BTreeSet::new(),
            alpn_policy: security.alpn_policy,
            mutual_authentication: security.mutual_authentication,
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
        let protocol =
            parse_protocol(new.protocol.as_deref(), balancer)?.unwrap_or(listener.protocol);
        let port = parse_port(new.port)?.unwrap_or(listener.port);
        if port != listener.port && balancer.listeners.contains_key(&port) {
            return Err(Refusal::validation(format!(
                "Listener port '{port}' is already in use"
            )));
        }
        let security = self.checked_security(balancer, protocol, new, Some(&listener))?;
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
        if protocol != listener.protocol {
            self.check_actions_fit(&actions, site)?;
            for rule in listener.rules.values() {
                self.check_actions_fit(&rule.actions, site)?;
            }
        }
        let load_balancer_arn = listener.load_balancer_arn.clone();
        let balancer = self.load_balancer_mut(&load_balancer_arn)?;
        let Some(mut changed) = balancer.listeners.remove(&listener.port) else {
            return Err(not_found(arn));
        };
        if protocol != listener.protocol {
            // What the new protocol has too keeps its value.
            let mut attributes = attributes::defaults(listener_attributes::tables(protocol));
            for (key, value) in &mut attributes {
                if let Some(kept) = listener.attributes.get(key) {
                    value.clone_from(kept);
                }
            }
            changed.attributes = attributes;
        }
        if !protocol.is_secure() {
            changed.sni_certificates.clear();
        }
        changed.protocol = protocol;
        changed.port = port;
        changed.ssl_policy = security.ssl_policy;
        changed.certificate = security.certificate;
        changed.alpn_policy = security.alpn_policy;
        changed.mutual_authentication = security.mutual_authentication;
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
        let after = attributes::changed(
            "listener",
            listener_attributes::tables(listener.protocol),
            &listener.attributes,
            changes,
        )?;
        listener_attributes::check(&after)?;
        listener.attributes = after;
        Ok(())
    }
}

impl Listener {
    /// What belongs to TLS.
    fn security(&self) -> Security {
        Security {
            ssl_policy: self.ssl_policy.clone(),
            certificate: self.certificate.clone(),
            alpn_policy: self.alpn_policy.clone(),
            mutual_authentication: self.mutual_authentication.clone(),
        }
    }
}

/// The kind of a load balancer, as the names of quotas and refusals spell it.
pub(super) fn family(balancer: &str) -> &'static str {
    if arn::is_network(balancer) {
        "network"
    } else {
        "application"
    }
}

/// A protocol that listeners of this load balancer can have.
fn parse_protocol(text: Option<&str>, balancer: &LoadBalancer) -> Answer<Option<Protocol>> {
    let Some(text) = text else { return Ok(None) };
    let network = arn::is_network(&balancer.arn);
    let protocol = Protocol::named(text)
        .filter(|protocol| protocol.is_http() != network && *protocol != Protocol::Geneve)
        .ok_or_else(|| {
            let known = if network {
                "TCP, TLS, UDP, TCP_UDP, QUIC, TCP_QUIC"
            } else {
                "HTTP, HTTPS"
            };
            Refusal::validation(format!(
                "Listener protocol '{text}' must be one of '{known}'"
            ))
        })?;
    if protocol.has_datagrams() && balancer.ip_address_type != "ipv4" {
        return Err(Refusal::new(
            "InvalidConfigurationRequest",
            format!(
                "Listener protocol '{text}' is not supported by a load balancer with the address type '{}'",
                balancer.ip_address_type
            ),
        ));
    }
    Ok(Some(protocol))
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
