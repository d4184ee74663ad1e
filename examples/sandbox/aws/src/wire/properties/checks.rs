//! What holds in every account that AWS could have.

use std::collections::{BTreeMap, BTreeSet};

use super::Game;
use crate::state::{
    ActionKind, Listener, LoadBalancer, LoadBalancerKind, Protocol, TargetGroup,
    action::named_groups, web_acl::AssociatedAcl,
};

impl Game {
    pub(super) fn check(&self) {
        let state = &self.state;
        let limit = |name: &str| state.quotas.limit(name);
        self.distinct(
            "load balancers",
            state.load_balancers.values().map(|it| &it.name),
        );
        self.distinct(
            "target groups",
            state.target_groups.values().map(|it| &it.name),
        );
        self.distinct(
            "trust stores",
            state.trust_stores.values().map(|it| &it.name),
        );
        self.most(
            "target groups",
            state.target_groups.len(),
            limit("target-groups"),
        );
        self.most(
            "trust stores",
            state.trust_stores.len(),
            limit("trust-stores"),
        );
        for kind in [LoadBalancerKind::Application, LoadBalancerKind::Network] {
            let held = state.load_balancers.values().filter(|it| it.kind == kind);
            let quota = format!("{}-load-balancers", kind.as_str());
            self.most(&quota, held.count(), limit(&quota));
        }
        for balancer in state.load_balancers.values() {
            self.check_balancer(balancer);
        }
        for group in state.target_groups.values() {
            self.check_group(group);
        }
        self.check_tags();
        self.check_certificates();
        self.check_firewalls();
        self.check_shield_and_pools();
    }

    fn distinct<T: Ord + std::fmt::Debug>(&self, what: &str, names: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for name in names {
            let told = format!("two {what} have the name {name:?}");
            self.hold(seen.insert(name), || told);
        }
    }

    fn most(&self, what: &str, held: usize, most: usize) {
        self.hold(held <= most, || format!("{held} {what}, at most {most}"));
    }

    fn check_balancer(&self, balancer: &LoadBalancer) {
        let state = &self.state;
        let family = balancer.kind.as_str();
        let limit = |name: &str| state.quotas.limit(name);
        let per = |what: &str| limit(&format!("{what}-per-{family}-load-balancer"));
        let arn = &balancer.arn;
        let listeners = balancer.listeners.values();
        self.most("listeners", balancer.listeners.len(), per("listeners"));
        let rules: usize = listeners.clone().map(|it| it.rules.len()).sum();
        self.most("rules", rules, limit("rules-per-application-load-balancer"));
        let certificates: usize = listeners.clone().map(|it| it.sni_certificates.len()).sum();
        self.most("certificates", certificates, per("certificates"));
        let verifying = listeners
            .clone()
            .filter(|it| it.trust_store().is_some())
            .count();
        if balancer.kind == LoadBalancerKind::Application {
            let quota = "mutual-authentication-listeners-per-application-load-balancer";
            self.most("verifying listeners", verifying, limit(quota));
            let quota = limit("target-groups-per-application-load-balancer");
            self.most(
                "target groups of one",
                balancer.target_groups(None).len(),
                quota,
            );
            self.hold(!balancer.security_groups.is_empty(), || {
                format!("{arn} has no group")
            });
        }
        let groups = balancer.target_groups(None).into_iter();
        let targets: Vec<&str> = groups
            .flat_map(|arn| state.target_groups[arn].targets.keys())
            .map(|key| key.id.as_str())
            .collect();
        self.most(
            "targets of one load balancer",
            targets.len(),
            per("targets"),
        );
        let often = limit("target-id-registrations-per-application-load-balancer");
        for id in &targets {
            let count = targets.iter().filter(|other| *other == id).count();
            self.most("registrations of a target", count, often);
        }
        let zones = balancer.subnets.len();
        let least = if balancer.kind == LoadBalancerKind::Application {
            2
        } else {
            1
        };
        self.hold(zones >= least, || format!("{arn} has {zones} zones"));
        for (zone, subnet) in &balancer.subnets {
            let subnet = state.subnets.get(subnet);
            let fits = subnet.is_some_and(|subnet| {
                subnet.availability_zone == *zone && subnet.vpc_id == balancer.vpc_id
            });
            self.hold(fits, || format!("{arn} has no subnet in {zone}"));
        }
        for group in &balancer.security_groups {
            let held = state.security_groups.contains_key(group);
            self.hold(held, || {
                format!("{arn} has the group {group}, which is gone")
            });
        }
        for (port, listener) in &balancer.listeners {
            let own = listener.port == *port && listener.load_balancer_arn == *arn;
            self.hold(own, || {
                format!("{} does not hang on {arn} at {port}", listener.arn)
            });
            self.check_listener(balancer, listener);
        }
    }

    fn check_listener(&self, balancer: &LoadBalancer, listener: &Listener) {
        let arn = &listener.arn;
        let secure = matches!(listener.protocol, Protocol::Https | Protocol::Tls);
        let tls = listener.certificate.is_some() && listener.ssl_policy.is_some();
        self.hold(secure == tls, || format!("{arn} has TLS and has it not"));
        self.hold(secure || listener.sni_certificates.is_empty(), || {
            format!("{arn} has certificates without TLS")
        });
        let http = listener.protocol.is_http();
        let fits = http == (balancer.kind == LoadBalancerKind::Application);
        self.hold(fits, || {
            format!("{arn} is no listener for its load balancer")
        });
        let plain = balancer.ip_address_type == "ipv4" || !listener.protocol.has_datagrams();
        self.hold(plain, || format!("{arn} takes datagrams of IPv6"));
        if let Some(store) = listener.trust_store() {
            let there = self.state.trust_stores.contains_key(store);
            self.hold(there, || {
                format!("{arn} verifies with {store}, which is gone")
            });
        }
        for certificate in listener
            .certificate
            .iter()
            .chain(&listener.sni_certificates)
        {
            let there = self.state.certificates.contains_key(certificate);
            self.hold(there, || format!("{arn} has {certificate}, which is gone"));
        }
        let mut arns = BTreeSet::from([&listener.default_rule_arn]);
        let base = arn.replacen(":listener/", ":listener-rule/", 1);
        for (priority, rule) in &listener.rules {
            self.hold((1..=50_000).contains(priority), || {
                format!("{} has {priority}", rule.arn)
            });
            self.hold(arns.insert(&rule.arn), || {
                format!("{} stands twice", rule.arn)
            });
            self.hold(!rule.conditions.is_empty(), || {
                format!("{} has no condition", rule.arn)
            });
        }
        for arn in arns {
            self.hold(arn.starts_with(&base), || format!("{arn} is not of {base}"));
        }
        let rules = listener.rules.values().map(|rule| &rule.actions);
        for actions in rules.chain([&listener.default_actions]) {
            let last = actions
                .last()
                .is_some_and(|action| action.kind.is_routing());
            let routing = actions.iter().filter(|it| it.kind.is_routing()).count();
            self.hold(last && routing == 1, || {
                format!("{arn} has the actions {actions:?}")
            });
            let open = actions.iter().all(|it| it.kind.is_routing());
            self.hold(open || listener.protocol == Protocol::Https, || {
                format!("{arn} asks who it is without TLS")
            });
            for action in actions {
                if let ActionKind::Forward(forward) = &action.kind {
                    let groups = &forward.target_groups;
                    self.hold((1..=5).contains(&groups.len()), || {
                        format!("{arn}: {groups:?}")
                    });
                    let sticky = |arn| self.state.target_groups[arn].is_sticky();
                    let free = groups.len() == 1
                        || forward.stickiness.enabled
                        || !groups.iter().any(|group| sticky(&group.arn));
                    self.hold(free, || {
                        format!("{arn} chooses among sticky groups: {groups:?}")
                    });
                }
            }
        }
    }

    fn check_group(&self, group: &TargetGroup) {
        let (state, arn) = (&self.state, &group.arn);
        let mut references = BTreeSet::new();
        let mut users = BTreeSet::new();
        for balancer in state.load_balancers.values() {
            for listener in balancer.listeners.values() {
                let rules = listener
                    .rules
                    .values()
                    .map(|rule| (&rule.arn, &rule.actions));
                for (holder, actions) in rules.chain([(&listener.arn, &listener.default_actions)]) {
                    if named_groups(actions).any(|named| named == arn) {
                        references.insert(holder.clone());
                        users.insert(balancer.arn.as_str());
                        self.check_fit(group, balancer, listener);
                    }
                }
            }
        }
        self.hold(references == group.references, || {
            format!(
                "{arn} is named by {references:?}, not by {:?}",
                group.references
            )
        });
        self.hold(users.len() <= 1, || format!("{arn} serves {users:?}"));
        let lone = matches!(group.target_type.as_str(), "lambda" | "alb");
        let most = state.quotas.limit("targets-per-target-group");
        self.most("targets", group.targets.len(), if lone { 1 } else { most });
        for key in group.targets.keys() {
            let there = match group.target_type.as_str() {
                "instance" => state.instances.contains_key(&key.id),
                "alb" => state.load_balancers.contains_key(&key.id),
                _ => true,
            };
            self.hold(there, || {
                format!("{arn} has the target {key:?}, which is gone")
            });
        }
    }

    /// A group that serves a listener can do so.
    fn check_fit(&self, group: &TargetGroup, balancer: &LoadBalancer, listener: &Listener) {
        let protocol = group.protocol;
        let speaks = protocol.map_or(listener.protocol.is_http(), |protocol| {
            listener.protocol.forwards_to(protocol)
        });
        let vpc = group
            .vpc_id
            .as_ref()
            .is_none_or(|vpc| *vpc == balancer.vpc_id);
        let family = group.ip_address_type == "ipv4" || balancer.ip_address_type != "ipv4";
        let plain = matches!(group.protocol_version.as_deref(), None | Some("HTTP1"))
            || listener.protocol != Protocol::Http;
        self.hold(speaks && vpc && family && plain, || {
            format!("{} does not fit {}: {group:?}", group.arn, listener.arn)
        });
    }

    /// Tags are those of things that exist, and not too many.
    fn check_tags(&self) {
        let state = &self.state;
        let most = state.quotas.limit("tags-per-resource");
        for (key, tags) in state.tags.iter() {
            let service = key.split(':').nth(2).unwrap_or_default();
            let known = match service {
                "elasticloadbalancing" => {
                    self.most("tags", tags.len(), most);
                    state.check_elb_resource(key).is_ok()
                }
                "acm" => state.certificates.contains_key(key),
                "wafv2" | "waf-regional" => state.tags_of_waf(key).is_ok(),
                "shield" => state.tags_of_protection(key).is_ok(),
                "cognito-idp" => state.user_pools.values().any(|pool| pool.arn == *key),
                _ => true,
            };
            self.hold(known, || format!("tags of {key} are left"));
            if matches!(
                service,
                "acm" | "wafv2" | "waf-regional" | "shield" | "cognito-idp"
            ) {
                self.most("tags", tags.len(), most);
            }
        }
    }

    fn check_certificates(&self) {
        let state = &self.state;
        for (imported, quota) in [(false, "certificates"), (true, "imported-certificates")] {
            let held = state
                .certificates
                .values()
                .filter(|it| it.imported == imported);
            self.most(quota, held.count(), state.quotas.limit(quota));
        }
        for certificate in state.certificates.values() {
            let issued = matches!(certificate.status.as_str(), "ISSUED" | "EXPIRED");
            self.hold(issued == certificate.issued.is_some(), || {
                format!("{certificate:?}")
            });
            let valid = certificate.not_after > self.now;
            self.hold(valid || certificate.status.as_str() != "ISSUED", || {
                format!("{certificate:?} has not expired at {}", self.now)
            });
        }
    }

    fn check_firewalls(&self) {
        let state = &self.state;
        let acls = state.wafv2.web_acls.values();
        self.distinct(
            "web ACLs",
            acls.clone().map(|it| (&it.entity.name, it.entity.scope)),
        );
        let sets = state.wafv2.ip_sets.values();
        self.distinct("IP sets", sets.map(|it| (&it.entity.name, it.entity.scope)));
        let mut count = BTreeMap::new();
        for acl in acls {
            *count.entry(acl.entity.scope).or_insert(0) += 1;
            let rules = acl.settings.get("Rules").and_then(|rules| rules.as_array());
            for rule in rules.into_iter().flatten() {
                let set = rule.pointer("/Statement/IPSetReferenceStatement/ARN");
                let set = set.and_then(|arn| arn.as_str()).unwrap_or_default();
                let there = state.wafv2.ip_sets.contains_key(set);
                self.hold(there, || format!("{} names {set}", acl.entity.arn));
            }
        }
        for held in count.into_values() {
            self.most("web ACLs", held, state.quotas.limit("web-acls"));
        }
        let classic = &state.waf_regional.web_acls;
        self.most(
            "classic ACLs",
            classic.len(),
            state.quotas.limit("waf-classic-web-acls"),
        );
        for (resource, acl) in &state.web_acl_associations {
            let there = match acl {
                AssociatedAcl::V2(arn) => state.wafv2.web_acls.contains_key(arn),
                AssociatedAcl::Classic(id) => classic.contains_key(id),
            };
            let balancer = state.load_balancers.get(resource);
            let application =
                balancer.is_some_and(|balancer| balancer.kind == LoadBalancerKind::Application);
            self.hold(there && application, || format!("{resource} has {acl:?}"));
            let held = state
                .web_acl_associations
                .values()
                .filter(|other| *other == acl);
            let most = state.quotas.limit("waf-load-balancers-per-web-acl");
            self.most("associations", held.count(), most);
        }
    }

    fn check_shield_and_pools(&self) {
        let state = &self.state;
        let protections = state.shield.protections.values();
        let held = protections.clone().count();
        self.most(
            "protections",
            held,
            state.quotas.limit("shield-protections-per-resource-type"),
        );
        self.hold(held == 0 || state.shield.subscription.is_some(), || {
            "protections without a subscription".to_owned()
        });
        self.distinct("protections", protections.map(|it| &it.resource_arn));
        let pools = state.user_pools.values();
        self.most("user pools", pools.len(), state.quotas.limit("user-pools"));
        let domains = pools.filter_map(|pool| pool.domain.as_ref());
        self.distinct("domains", domains.clone().map(|it| &it.domain));
        for certificate in domains.filter_map(|domain| domain.certificate.as_ref()) {
            let there = state.certificates.contains_key(certificate);
            self.hold(there, || {
                format!("a domain has {certificate}, which is gone")
            });
        }
    }
}
