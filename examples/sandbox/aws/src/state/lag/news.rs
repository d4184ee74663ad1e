//! What calls leave behind: news that has yet to spread.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Call, Hidden, Lag, News, Thing};
use crate::state::{State, Tags, Transition, arn};

/// What was there before a call.
#[derive(Debug, Default)]
pub(super) struct Before {
    things: BTreeSet<Thing>,
    tags: BTreeMap<String, Tags>,
    /// References of target groups by their ARN.
    references: BTreeMap<String, BTreeSet<String>>,
    /// Security groups of the load balancers that the call names.
    security_groups: BTreeSet<String>,
}

impl State {
    /// What has to be known of the state to tell later what a call has done.
    pub(super) fn before(&self, call: &Call) -> Before {
        let on = |lag| self.lags.settings.contains_key(&lag);
        let mut before = Before {
            things: self.things(call),
            ..Before::default()
        };
        if on(Lag::ChangeTags) {
            let tags = call.names.iter();
            let tags =
                tags.filter_map(|key| Some(((*key).to_owned(), self.tags.get(*key)?.clone())));
            before.tags = tags.collect();
        }
        let releases = [
            "DeleteRule",
            "ModifyRule",
            "DeleteListener",
            "ModifyListener",
            "DeleteLoadBalancer",
        ];
        if on(Lag::ReleaseTargetGroup) && releases.contains(&call.action) {
            let groups = self.target_groups.values();
            let named = groups.filter(|group| {
                let mut holders = group.references.iter();
                holders.any(|holder| {
                    let above = [arn::listener_of(holder), arn::load_balancer_of(holder)];
                    call.names(holder) || above.iter().flatten().any(|above| call.names(above))
                })
            });
            before.references = named
                .map(|group| (group.arn.clone(), group.references.clone()))
                .collect();
        }
        if on(Lag::ReleaseSecurityGroup)
            && matches!(call.action, "DeleteLoadBalancer" | "SetSecurityGroups")
        {
            before.security_groups = self.groups_of_named(call);
        }
        before
    }

    /// The security groups of the load balancers that a call names.
    fn groups_of_named(&self, call: &Call) -> BTreeSet<String> {
        let named = call.names.iter();
        named
            .filter_map(|name| self.load_balancers.get(*name))
            .flat_map(|balancer| balancer.security_groups.iter().cloned())
            .collect()
    }

    /// What a call of this kind might make, as far as it is there.
    fn things(&self, call: &Call) -> BTreeSet<Thing> {
        let named = |name: &str| call.names(name);
        match call.action {
            "CreateLoadBalancer" => {
                let all = self.load_balancers.values();
                all.filter(|one| named(&one.name))
                    .map(|one| Thing::LoadBalancer(one.arn.clone()))
                    .collect()
            }
            "CreateTargetGroup" => {
                let all = self.target_groups.values();
                all.filter(|one| named(&one.name))
                    .map(|one| Thing::TargetGroup(one.arn.clone()))
                    .collect()
            }
            "CreateListener" => {
                let all = call.names.iter();
                all.filter_map(|name| self.load_balancers.get(*name))
                    .flat_map(|balancer| balancer.listeners.values())
                    .map(|listener| Thing::Listener(listener.arn.clone()))
                    .collect()
            }
            "CreateSecurityGroup" => {
                let all = self.security_groups.values();
                all.filter(|one| named(&one.name))
                    .map(|one| Thing::SecurityGroup(one.id.clone()))
                    .collect()
            }
            "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => {
                let all = call.names.iter();
                all.filter_map(|name| self.security_groups.get(*name))
                    .flat_map(|group| {
                        let rules = group.rules.iter();
                        rules.map(|rule| Thing::Rule(group.id.clone(), rule.id.clone()))
                    })
                    .collect()
            }
            "RegisterTargets" => {
                let all = call.names.iter();
                all.filter_map(|name| self.target_groups.get(*name))
                    .flat_map(|group| {
                        let keys = group.targets.keys();
                        keys.map(|key| Thing::Target(group.arn.clone(), key.clone()))
                    })
                    .collect()
            }
            "ImportCertificate" | "RequestCertificate" => {
                let all = self.certificates.keys();
                all.cloned().map(Thing::Certificate).collect()
            }
            "CreateWebACL" if call.service == "waf-regional" => {
                let all = self.waf_regional.web_acls.values();
                all.filter(|one| named(&one.name))
                    .map(|one| Thing::WebAcl(one.id.clone()))
                    .collect()
            }
            "CreateWebACL" => {
                let all = self.wafv2.web_acls.values();
                all.filter(|one| named(&one.entity.name))
                    .map(|one| Thing::WebAcl(one.entity.arn.clone()))
                    .collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Notes what a call has done, for the rules that it meets.
    pub(super) fn note_call(&mut self, call: &Call, before: &Before, now: Timestamp) {
        for thing in self.things(call).difference(&before.things) {
            self.note_made(call, thing, now);
        }
        for (group, references) in &before.references {
            let left = self.target_groups.get(group).map(|one| &one.references);
            if left.is_some_and(|left| !references.is_subset(left)) {
                let hidden = Hidden::Release(group.clone());
                self.note(Lag::ReleaseTargetGroup, hidden, now);
            }
        }
        let still = self.groups_of_named(call);
        for group in before.security_groups.difference(&still) {
            let hidden = Hidden::Release(group.clone());
            self.note(Lag::ReleaseSecurityGroup, hidden, now);
        }
        if call.action == "DeleteRule" {
            let balancers = call.names.iter();
            let balancers: Vec<String> = balancers
                .filter_map(|rule| arn::load_balancer_of(rule))
                .collect();
            for balancer in balancers {
                self.note(Lag::DeleteRule, Hidden::RuleGone(balancer), now);
            }
        }
        for (key, tags) in &before.tags {
            if self.tags.get(key).is_some_and(|after| after != tags) {
                let hidden = Hidden::Tags(key.clone(), tags.clone());
                self.note(Lag::ChangeTags, hidden, now);
            }
        }
    }

    /// Notes that a call has made something.
    fn note_made(&mut self, call: &Call, thing: &Thing, now: Timestamp) {
        let lag = match thing {
            Thing::LoadBalancer(_) => Lag::CreateLoadBalancer,
            Thing::TargetGroup(_) => Lag::CreateTargetGroup,
            Thing::Listener(_) => Lag::CreateListener,
            Thing::SecurityGroup(_) => Lag::CreateSecurityGroup,
            Thing::Rule(..) => Lag::AuthorizeSecurityGroup,
            Thing::Target(..) => Lag::RegisterTargets,
            Thing::Certificate(arn) if call.action == "RequestCertificate" => {
                self.note(Lag::RequestCertificate, Hidden::Records(arn.clone()), now);
                return;
            }
            Thing::Certificate(_) => Lag::IssueCertificate,
            Thing::WebAcl(id) => {
                self.note_unknown_to_waf(id, now);
                return;
            }
        };
        if let Thing::LoadBalancer(arn) = thing {
            self.note_unknown_to_waf(arn, now);
            self.note(Lag::AliasLoadBalancer, Hidden::Name(arn.clone()), now);
        }
        self.note(lag, Hidden::Presence(thing.clone()), now);
    }

    fn note_unknown_to_waf(&mut self, id: &str, now: Timestamp) {
        if !self.lags.settings.contains_key(&Lag::AssociateWebAcl) {
            return;
        }
        let absent = self.draws.fraction() < 0.5;
        let id = id.to_owned();
        self.note(Lag::AssociateWebAcl, Hidden::Associable { id, absent }, now);
    }

    /// Notes that a requested certificate was issued.
    pub(in crate::state) fn note_issue(&mut self, arn: &str, now: Timestamp) {
        self.note(Lag::IssueCertificate, Hidden::Issue(arn.to_owned()), now);
    }

    /// Hides something for as long as a rule says, if it is on and met.
    pub(super) fn note(&mut self, lag: Lag, hidden: Hidden, now: Timestamp) {
        if let Some(until) = self.lags_until(lag, now) {
            self.hide(hidden, until, now);
        }
    }

    pub(super) fn hide(&mut self, hidden: Hidden, until: Timestamp, now: Timestamp) {
        if until <= now {
            return;
        }
        // Whoever serves by it, and calls in other regions, learn of its end
        // without a call here.
        let unasked = matches!(
            hidden,
            Hidden::Listener { .. } | Hidden::Record { .. } | Hidden::Name(_)
        );
        if unasked {
            self.schedule_at(until, Transition::NewsSpread);
        }
        self.lags.news.push(News { until, hidden });
    }
}
