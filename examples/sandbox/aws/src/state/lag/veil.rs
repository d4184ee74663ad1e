//! The state as it was before the latest news: what is hidden is taken out for
//! the time of a call and put back.

use super::{Call, Hidden, Thing};
use crate::state::{
    Certificate, CertificateStatus, Listener, LoadBalancer, SecurityGroup, SecurityGroupRule,
    State, Tags, Target, TargetGroup, TargetKey, arn,
};

/// What was taken out, in its order.
#[derive(Debug, Default)]
#[must_use = "what was taken out has to be put back"]
pub struct Veil(Vec<Taken>);

#[derive(Debug)]
enum Taken {
    LoadBalancer(Box<LoadBalancer>),
    TargetGroup(Box<TargetGroup>),
    Listener(Box<Listener>),
    SecurityGroup(Box<SecurityGroup>),
    /// A rule at a place among those of its group.
    Rule(String, usize, Box<SecurityGroupRule>),
    Target(String, TargetKey, Box<Target>),
    /// A certificate that is away or shown otherwise.
    Certificate(Box<Certificate>),
    /// The present tags of something.
    Tags(String, Option<Tags>),
    /// The quota of rules.
    Rules(usize),
}

const RULES: &str = "rules-per-application-load-balancer";
const ELB: &str = "elasticloadbalancing";

impl State {
    /// Takes out what a call must not see. A call that changes something fails
    /// to find things; what it finds is the present state.
    pub(super) fn veil(&mut self, call: &Call) -> Veil {
        let mut veil = Veil::default();
        if self.lags.news.is_empty() {
            return veil;
        }
        let elb = call.service == ELB;
        // They are put back before anybody asks for them.
        let news = std::mem::take(&mut self.lags.news);
        for news in &news {
            match &news.hidden {
                Hidden::Presence(Thing::Certificate(arn)) if elb => {
                    let taken = self.certificates.remove(arn);
                    veil.0
                        .extend(taken.map(|one| Taken::Certificate(Box::new(one))));
                }
                Hidden::Presence(Thing::Certificate(_)) => {}
                Hidden::Presence(thing) if call.reads || call.names(thing.id()) => {
                    self.take(thing, &mut veil);
                }
                Hidden::Issue(arn) if elb => {
                    if let Some(certificate) = self.certificates.get_mut(arn) {
                        veil.0
                            .push(Taken::Certificate(Box::new(certificate.clone())));
                        certificate.status = CertificateStatus::PendingValidation;
                    }
                }
                Hidden::Records(arn) if call.reads => {
                    if let Some(certificate) = self.certificates.get_mut(arn) {
                        veil.0
                            .push(Taken::Certificate(Box::new(certificate.clone())));
                        if let Some(validation) = &mut certificate.validation {
                            validation.domains.clear();
                        }
                    }
                }
                Hidden::Tags(key, old) if call.reads && self.tags.contains_key(key) => {
                    let present = self.tags.show(key, Some(old.clone()));
                    veil.0.push(Taken::Tags(key.clone(), present));
                }
                _ => {}
            }
        }
        self.lags.news = news;
        veil
    }

    /// Whether a call names something that it cannot find yet.
    pub(super) fn names_hidden(&self, call: &Call) -> bool {
        self.lags.news.iter().any(|news| match &news.hidden {
            Hidden::Presence(Thing::Rule(..) | Thing::Target(..)) => false,
            Hidden::Presence(Thing::Certificate(arn)) | Hidden::Issue(arn) => {
                call.service == ELB && call.names(arn)
            }
            Hidden::Presence(thing) => call.names(thing.id()),
            _ => false,
        })
    }

    /// Lets CreateRule count the rules that went a moment ago.
    pub(super) fn count_deleted_rules(&mut self, call: &Call) -> Veil {
        if call.action != "CreateRule" || self.lags.news.is_empty() {
            return Veil::default();
        }
        let named = call.names.iter();
        let named: Vec<String> = named
            .filter_map(|name| arn::load_balancer_of(name))
            .collect();
        let news = self.lags.news.iter();
        let counted = news
            .filter(|news| matches!(&news.hidden, Hidden::RuleGone(arn) if named.contains(arn)))
            .count();
        let quota = self.quotas.limit(RULES);
        self.quotas.set(RULES, quota.saturating_sub(counted));
        Veil(vec![Taken::Rules(quota)])
    }

    fn take(&mut self, thing: &Thing, veil: &mut Veil) {
        let taken = match thing {
            Thing::LoadBalancer(arn) => {
                let taken = self.load_balancers.remove(arn);
                taken.map(|one| Taken::LoadBalancer(Box::new(one)))
            }
            Thing::TargetGroup(arn) => {
                let taken = self.target_groups.remove(arn);
                taken.map(|one| Taken::TargetGroup(Box::new(one)))
            }
            Thing::Listener(arn) => self.take_listener(arn),
            Thing::SecurityGroup(id) => {
                let taken = self.security_groups.remove(id);
                taken.map(|one| Taken::SecurityGroup(Box::new(one)))
            }
            Thing::Rule(group, id) => self.take_rule(group, id),
            Thing::Target(group, key) => {
                let targets = self
                    .target_groups
                    .get_mut(group)
                    .map(|one| &mut one.targets);
                let taken = targets.and_then(|targets| targets.remove(key));
                taken.map(|one| Taken::Target(group.clone(), key.clone(), Box::new(one)))
            }
            Thing::Certificate(_) | Thing::WebAcl(_) => None,
        };
        if taken.is_some() && self.tags.contains_key(thing.id()) {
            let tags = self.tags.show(thing.id(), None);
            veil.0.push(Taken::Tags(thing.id().to_owned(), tags));
        }
        veil.0.extend(taken);
    }

    fn take_listener(&mut self, arn: &str) -> Option<Taken> {
        let balancer = arn::load_balancer_of(arn)?;
        let listeners = &mut self.load_balancers.get_mut(&balancer)?.listeners;
        let port = listeners.values().find(|one| one.arn == arn)?.port;
        let taken = listeners.remove(&port)?;
        Some(Taken::Listener(Box::new(taken)))
    }

    fn take_rule(&mut self, group: &str, id: &str) -> Option<Taken> {
        let rules = &mut self.security_groups.get_mut(group)?.rules;
        let at = rules.iter().position(|rule| rule.id == id)?;
        let rule = rules.remove(at);
        Some(Taken::Rule(group.to_owned(), at, Box::new(rule)))
    }

    /// Puts back what was taken out.
    pub(super) fn lift(&mut self, veil: Veil) {
        for taken in veil.0.into_iter().rev() {
            match taken {
                Taken::LoadBalancer(one) => {
                    self.load_balancers.insert(one.arn.clone(), *one);
                }
                Taken::TargetGroup(one) => {
                    self.target_groups.insert(one.arn.clone(), *one);
                }
                Taken::Listener(one) => {
                    if let Some(balancer) = self.load_balancers.get_mut(&one.load_balancer_arn) {
                        balancer.listeners.insert(one.port, *one);
                    }
                }
                Taken::SecurityGroup(one) => {
                    self.security_groups.insert(one.id.clone(), *one);
                }
                Taken::Rule(group, at, rule) => {
                    if let Some(group) = self.security_groups.get_mut(&group) {
                        group.rules.insert(at.min(group.rules.len()), *rule);
                    }
                }
                Taken::Target(group, key, target) => {
                    if let Some(group) = self.target_groups.get_mut(&group) {
                        group.targets.insert(key, *target);
                    }
                }
                Taken::Certificate(one) => {
                    self.certificates.insert(one.arn.clone(), *one);
                }
                Taken::Tags(key, tags) => {
                    self.tags.show(&key, tags);
                }
                Taken::Rules(quota) => {
                    self.quotas.set(RULES, quota);
                }
            }
        }
    }
}

impl Thing {
    /// The text by which a call names it, or its tags are found.
    fn id(&self) -> &str {
        match self {
            Self::LoadBalancer(id)
            | Self::TargetGroup(id)
            | Self::Listener(id)
            | Self::SecurityGroup(id)
            | Self::Rule(_, id)
            | Self::Certificate(id)
            | Self::WebAcl(id)
            | Self::Target(id, _) => id,
        }
    }
}
