//! Quotas of a load balancer: how many AWS allows, from what was there when it
//! refused one more.

use std::collections::BTreeSet;

use super::Blame;
use crate::model::desired::Origin;
use crate::model::limits::{Counted, Limit};
use crate::model::spec::{Arn, LiveLoadBalancer, ObjectName, Observed};
use crate::plan::step::Step;
use crate::plan::{hold, load_balancer};

impl Blame<'_> {
    /// How many there may be of what is full, told to one who asks for what
    /// was refused. Who has to stand back is not for this step alone to say:
    /// it is who comes last in the group.
    pub(super) fn of_limit(&self, step: &Step, counted: Counted) -> Vec<Origin> {
        let asks = match step {
            Step::CreateRule {
                listener,
                priority,
                rule,
            } => self.owner_of(listener.port(), *priority, rule),
            Step::ModifyRule {
                port,
                priority,
                rule,
                ..
            } => self.owner_of(*port, *priority, rule),
            Step::AddListenerCertificate { certificate, .. } => {
                self.last_of(&self.stating(certificate.as_str()))
            }
            Step::CreateListener { listener, .. } | Step::ModifyListener { listener, .. } => {
                self.last_of(&self.listening(listener))
            }
            _ => None,
        };
        let Some(live) = self.live(self.after) else {
            return Vec::new();
        };
        let allowed = match counted {
            Counted::Rules => self.ever(live, rules_of),
            Counted::Listeners => self.ever(live, listeners_of),
            Counted::Certificates => self.ever(live, certificates_of),
            Counted::TargetGroups => self.ever(live, |live| load_balancer::targets_of(&[live])),
        };
        let known = self.known.of(counted).map(|limit| limit.allowed);
        let limit = Limit {
            allowed: known.map_or(allowed, |known| known.min(allowed)),
            held: self.held(live, counted),
        };
        self.limit(asks, counted, limit)
    }

    /// A security group that takes no more rules: each listener is one, and
    /// the call is refused as a whole, so one of those asked for is too many.
    pub(super) fn of_access(&self, asked: usize) -> Vec<Origin> {
        let open = |observed: &Observed| -> BTreeSet<_> {
            let group = observed.security_groups.first();
            let open = group.map(|live| live.spec.ingress.clone());
            open.unwrap_or_default()
        };
        let mut open_ever = open(self.before);
        open_ever.extend(open(self.after));
        let limit = Limit {
            allowed: (open_ever.len() + asked).saturating_sub(1),
            held: 0,
        };
        let asks = self.desired.members.last().cloned();
        self.limit(asks, Counted::Listeners, limit)
    }

    fn limit(&self, asks: Option<ObjectName>, counted: Counted, limit: Limit) -> Vec<Origin> {
        let asks = asks.or_else(|| self.desired.members.last().cloned());
        let origin = |ingress| Origin {
            ingress,
            subject: counted.subject().to_owned(),
            value: limit.to_string(),
        };
        asks.map(origin).into_iter().collect()
    }

    /// The load balancer that the plan was about.
    fn live<'o>(&self, observed: &'o Observed) -> Option<&'o LiveLoadBalancer> {
        if self.desired.frozen.is_empty() {
            load_balancer::matching(&self.stack.load_balancer, observed)
        } else {
            hold::serving(self.stack, observed)
        }
    }

    /// How many a load balancer had, before and after together.
    fn ever<T: Ord>(
        &self,
        live: &LiveLoadBalancer,
        of: impl Fn(&LiveLoadBalancer) -> BTreeSet<T>,
    ) -> usize {
        let mut all = of(live);
        let mut before = self.before.load_balancers.iter();
        if let Some(before) = before.find(|before| before.arn == live.arn) {
            all.extend(of(before));
        }
        all.len()
    }

    /// How many of them stay for frozen members, or for nobody known while
    /// there are some.
    fn held(&self, live: &LiveLoadBalancer, counted: Counted) -> usize {
        if self.desired.frozen.is_empty() {
            return 0;
        }
        let stack = self.stack;
        match counted {
            Counted::Rules => hold::held_rules(stack, self.desired, live, self.after),
            Counted::Listeners => {
                let ports = live.listeners.keys();
                ports
                    .filter(|port| !stack.listeners.contains_key(port))
                    .count()
            }
            Counted::Certificates => {
                let wishes = |port: &u16, certificate: &Arn| {
                    stack.listeners.get(port).is_some_and(|wished| {
                        let wished = &wished.listener;
                        wished.sni_certificates.contains(certificate)
                            || wished.default_certificate.as_ref() == Some(certificate)
                    })
                };
                let listed = certificates_of(live);
                listed.iter().filter(|(port, c)| !wishes(port, c)).count()
            }
            Counted::TargetGroups => {
                let wished = |arn: &Arn| {
                    let mut groups = self.after.target_groups.iter();
                    groups.any(|live| {
                        live.arn == *arn && stack.target_groups.contains_key(&live.spec.key)
                    })
                };
                let used = load_balancer::targets_of(&[live]);
                used.iter().filter(|arn| !wished(arn)).count()
            }
        }
    }
}

fn rules_of(live: &LiveLoadBalancer) -> BTreeSet<Arn> {
    let listeners = live.listeners.values();
    listeners
        .flat_map(|listener| listener.rules.values())
        .map(|rule| rule.arn.clone())
        .collect()
}

fn listeners_of(live: &LiveLoadBalancer) -> BTreeSet<Arn> {
    let listeners = live.listeners.values();
    listeners.map(|listener| listener.arn.clone()).collect()
}

/// Certificates listed beside the default ones, with the port.
fn certificates_of(live: &LiveLoadBalancer) -> BTreeSet<(u16, Arn)> {
    let listeners = live.listeners.iter();
    listeners
        .flat_map(|(port, listener)| {
            let listed = listener.spec.sni_certificates.iter();
            listed.map(move |certificate| (*port, certificate.clone()))
        })
        .collect()
}
