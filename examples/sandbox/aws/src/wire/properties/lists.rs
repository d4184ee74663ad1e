//! Every list says the same as what describes one thing: whole, page by page, by
//! id and by name. What is gone is in none.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Game, Thing, balancing::texts, others::part};
use crate::wire::{service::Service, xml::Element};

/// How a list is asked for.
pub(super) struct Listing {
    pub(super) service: Service,
    pub(super) action: &'static str,
    /// The list in the answer.
    pub(super) list: &'static str,
    /// Parameters of the page's size and of where it begins.
    pub(super) size: &'static str,
    pub(super) token: &'static str,
    /// Where the next one begins, in the answer.
    pub(super) next: &'static str,
}

impl Listing {
    fn elb(action: &'static str, list: &'static str) -> Self {
        Self {
            service: Service::Elb,
            action,
            list,
            size: "PageSize",
            token: "Marker",
            next: "NextMarker",
        }
    }
}

/// The elements of a list in an answer and the token of the next page; elements
/// as text that can be compared.
fn read(listing: &Listing, answer: &str) -> (Vec<String>, Option<String>) {
    if answer.starts_with('{') {
        let items = part(answer, &format!("/{}", listing.list));
        let items = items.as_array().into_iter().flatten();
        let next = part(answer, &format!("/{}", listing.next));
        let next = next.as_str().filter(|token| !token.is_empty());
        return (
            items.map(Value::to_string).collect(),
            next.map(str::to_owned),
        );
    }
    let root = Element::parse(&format!("<answer>{answer}</answer>")).expect("XML");
    let items = root.items(listing.list).iter();
    let next = root.text_of(listing.next).map(str::to_owned);
    (items.map(|item| format!("{item:?}")).collect(), next)
}

impl Game {
    /// A list whole; page by page it is the same.
    pub(super) fn list(&mut self, listing: &Listing, input: &Value) -> Vec<String> {
        let mut whole = input.clone();
        if listing.action == "ListUserPools" || listing.action == "ListUserPoolClients" {
            whole[listing.size] = json!(60);
        }
        let answer = self.carry_out(listing.service, listing.action, &whole);
        let answer = answer.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", listing.action));
        let (all, _) = read(listing, &answer);
        for size in [1, 2] {
            let (mut found, mut input) = (Vec::new(), input.clone());
            input[listing.size] = json!(size);
            for _ in 0..=all.len() {
                let page = self
                    .ask(listing.service, listing.action, &input)
                    .expect("a page");
                let (items, next) = read(listing, &page);
                self.hold(items.len() <= size, || {
                    format!("{}: a long page", listing.action)
                });
                found.extend(items);
                let Some(next) = next else { break };
                input[listing.token] = json!(next);
            }
            self.hold(found == all, || {
                format!(
                    "{} in pages of {size}: {found:#?}, whole: {all:#?}",
                    listing.action
                )
            });
        }
        all
    }

    /// The same list when it is asked for by name or id.
    fn same(&mut self, listing: &Listing, input: &Value, all: &[String]) {
        let answer = self
            .ask(listing.service, listing.action, input)
            .expect("a list");
        let (mut found, _) = read(listing, &answer);
        // The order of a list is not promised.
        let mut all = all.to_vec();
        found.sort();
        all.sort();
        self.hold(found == all, || {
            format!("{} {input}: {found:#?}, without: {all:#?}", listing.action)
        });
    }

    /// What is gone cannot be described.
    pub(super) fn gone(
        &mut self,
        thing: Thing,
        there: &[String],
        ask: impl Fn(&str) -> (Service, &'static str, Value),
    ) {
        let known = self.known.get(&thing).cloned().unwrap_or_default();
        for name in known.iter().filter(|name| !there.contains(name)) {
            let (service, action, input) = ask(name);
            let answer = self.carry_out(service, action, &input);
            self.hold(answer.is_err(), || {
                format!("{action} still answers {name}: {answer:?}")
            });
        }
    }

    pub(super) fn check_lists(&mut self) {
        self.lists_of_balancers();
        self.lists_of_groups();
        self.lists_of_listeners();
        self.lists_of_trust_stores();
        self.lists_of_tags();
        self.lists_of_certificates();
        self.lists_of_firewalls();
        self.lists_of_shield_and_pools();
    }

    fn lists_of_balancers(&mut self) {
        let listing = Listing::elb("DescribeLoadBalancers", "LoadBalancers");
        let all = self.list(&listing, &json!({}));
        let balancers = self.state.load_balancers.values();
        let (arns, names): (Vec<String>, Vec<String>) = balancers
            .map(|it| (it.arn.clone(), it.name.clone()))
            .unzip();
        self.hold(all.len() == arns.len(), || {
            "a load balancer is in no list".to_owned()
        });
        if !arns.is_empty() {
            self.same(&listing, &json!({ "LoadBalancerArns": arns }), &all);
            self.same(&listing, &json!({ "Names": names }), &all);
        }
        self.gone(Thing::Balancer, &arns, |arn| {
            (
                Service::Elb,
                "DescribeLoadBalancers",
                json!({ "LoadBalancerArns": [arn] }),
            )
        });
    }

    fn lists_of_groups(&mut self) {
        let listing = Listing::elb("DescribeTargetGroups", "TargetGroups");
        let all = self.list(&listing, &json!({}));
        let groups = self.state.target_groups.values();
        let (arns, names): (Vec<String>, Vec<String>) =
            groups.map(|it| (it.arn.clone(), it.name.clone())).unzip();
        self.hold(all.len() == arns.len(), || {
            "a target group is in no list".to_owned()
        });
        if !arns.is_empty() {
            self.same(&listing, &json!({ "TargetGroupArns": arns }), &all);
            self.same(&listing, &json!({ "Names": names }), &all);
        }
        let mut used = 0;
        for balancer in self
            .state
            .load_balancers
            .keys()
            .cloned()
            .collect::<Vec<_>>()
        {
            let mine = json!({ "LoadBalancerArn": balancer });
            let listed = self.list(&listing, &mine);
            let named: Vec<&String> = all.iter().filter(|it| it.contains(&balancer)).collect();
            self.hold(listed.iter().eq(named), || {
                format!("the groups of {balancer}")
            });
            used += listed.len();
        }
        let counted = self
            .state
            .target_groups
            .values()
            .filter(|it| !it.references.is_empty());
        self.hold(used == counted.count(), || {
            "a used group belongs to nobody".to_owned()
        });
        self.gone(Thing::Group, &arns, |arn| {
            (
                Service::Elb,
                "DescribeTargetGroups",
                json!({ "TargetGroupArns": [arn] }),
            )
        });
        self.lists_of_health(&arns);
    }

    fn lists_of_health(&mut self, groups: &[String]) {
        for group in groups {
            let targets: Vec<Value> = self.state.target_groups[group]
                .targets
                .keys()
                .map(|key| match key.port {
                    0 => json!({ "Id": key.id }),
                    port => json!({ "Id": key.id, "Port": port }),
                })
                .collect();
            let input = json!({ "TargetGroupArn": group });
            let all = self
                .ask(Service::Elb, "DescribeTargetHealth", &input)
                .expect("health");
            if targets.is_empty() {
                continue;
            }
            let input = json!({ "TargetGroupArn": group, "Targets": targets });
            let named = self
                .ask(Service::Elb, "DescribeTargetHealth", &input)
                .expect("health");
            self.hold(named == all, || {
                format!("health by name {named}, whole {all}")
            });
        }
    }

    fn lists_of_listeners(&mut self) {
        let listeners = Listing::elb("DescribeListeners", "Listeners");
        let rules = Listing::elb("DescribeRules", "Rules");
        let certificates = Listing::elb("DescribeListenerCertificates", "Certificates");
        let mut kept = Vec::new();
        let mut kept_rules = Vec::new();
        for balancer in self
            .state
            .load_balancers
            .keys()
            .cloned()
            .collect::<Vec<_>>()
        {
            let all = self.list(&listeners, &json!({ "LoadBalancerArn": balancer }));
            let own = self.state.load_balancers[&balancer].listeners.values();
            let mut arns: Vec<String> = own.map(|it| it.arn.clone()).collect();
            arns.sort();
            self.hold(all.len() == arns.len(), || {
                "a listener is in no list".to_owned()
            });
            if !arns.is_empty() {
                self.same(&listeners, &json!({ "ListenerArns": arns }), &all);
            }
            for arn in &arns {
                let input = json!({ "ListenerArn": arn });
                let all = self.list(&rules, &input);
                let answer = self
                    .ask(Service::Elb, "DescribeRules", &input)
                    .expect("rules");
                let defaults = texts(&answer, "IsDefault")
                    .iter()
                    .filter(|it| *it == "true")
                    .count();
                self.hold(defaults == 1, || {
                    format!("{arn} has {defaults} default rules")
                });
                let found = texts(&answer, "RuleArn");
                let priorities: BTreeSet<String> = texts(&answer, "Priority").into_iter().collect();
                self.hold(priorities.len() == found.len(), || {
                    format!("priorities of {arn}")
                });
                self.same(&rules, &json!({ "RuleArns": found }), &all);
                kept_rules.extend(found);
                self.list(&certificates, &input);
            }
            kept.extend(arns);
        }
        self.gone(Thing::Listener, &kept, |arn| {
            (
                Service::Elb,
                "DescribeListeners",
                json!({ "ListenerArns": [arn] }),
            )
        });
        self.gone(Thing::Rule, &kept_rules, |arn| {
            (Service::Elb, "DescribeRules", json!({ "RuleArns": [arn] }))
        });
    }

    fn lists_of_trust_stores(&mut self) {
        let listing = Listing::elb("DescribeTrustStores", "TrustStores");
        let all = self.list(&listing, &json!({}));
        let arns: Vec<String> = self.state.trust_stores.keys().cloned().collect();
        if !arns.is_empty() {
            self.same(&listing, &json!({ "TrustStoreArns": arns }), &all);
        }
        let associations = Listing::elb("DescribeTrustStoreAssociations", "TrustStoreAssociations");
        for arn in &arns {
            let listed = self.list(&associations, &json!({ "TrustStoreArn": arn }));
            let users = self.state.listeners_of_trust_store(arn).count();
            self.hold(listed.len() == users, || {
                format!("{arn} is used by {users}: {listed:?}")
            });
        }
        self.gone(Thing::TrustStore, &arns, |arn| {
            (
                Service::Elb,
                "DescribeTrustStores",
                json!({ "TrustStoreArns": [arn] }),
            )
        });
    }

    /// DescribeTags tells what the store of tags has; the tagging API lists what
    /// has some.
    fn lists_of_tags(&mut self) {
        let tagged: Vec<String> = self.state.tags.keys().cloned().collect();
        let tagged = tagged
            .iter()
            .filter(|key| key.contains(":elasticloadbalancing:"));
        let tagged: Vec<&String> = tagged.collect();
        for arns in tagged.chunks(20) {
            let input = json!({ "ResourceArns": arns });
            let answer = self
                .ask(Service::Elb, "DescribeTags", &input)
                .expect("tags");
            let keys = texts(&answer, "Key");
            let held = arns
                .iter()
                .flat_map(|arn| self.state.tags[*arn].keys())
                .count();
            self.hold(keys.len() == held, || format!("{held} tags in {answer}"));
        }
        let listing = Listing {
            service: Service::Tagging,
            action: "GetResources",
            list: "ResourceTagMappingList",
            size: "ResourcesPerPage",
            token: "PaginationToken",
            next: "PaginationToken",
        };
        let all = self.list(
            &listing,
            &json!({ "ResourceTypeFilters": ["elasticloadbalancing"] }),
        );
        for arn in tagged
            .iter()
            .filter(|arn| !self.state.tags[arn.as_str()].is_empty())
        {
            let there = all.iter().any(|item| item.contains(arn.as_str()));
            self.hold(there, || format!("GetResources lacks {arn}: {all:?}"));
        }
    }
}
