//! What such games have found, each in a few calls.

use jiff::SignedDuration;
use serde_json::json;

use super::{Game, Thing};
use crate::{
    state::{HealthState, TargetKey},
    wire::service::Service,
};

impl Game {
    /// A load balancer that serves two groups, each with a healthy target.
    fn healthy() -> Self {
        let mut game = Self::new();
        game.furnish();
        game.later();
        for (group, key) in game.targets_there() {
            game.state.record_probe(&group, &key, Ok(()), game.now);
        }
        assert_eq!(game.health(), [HealthState::Healthy, HealthState::Healthy]);
        game
    }

    fn later(&mut self) {
        self.now += SignedDuration::from_secs(10);
        self.state.advance(self.now);
    }

    /// Of the group of addresses, then of that of instances.
    fn targets_there(&self) -> Vec<(String, TargetKey)> {
        let groups = self.known[&Thing::Group].iter();
        let targets = groups.flat_map(|arn| {
            let keys = self.state.target_groups[arn].targets.keys();
            keys.map(|key| (arn.clone(), key.clone()))
        });
        targets.collect()
    }

    fn health(&self) -> Vec<HealthState> {
        let shown = self.shown();
        let targets = self.targets_there();
        targets.iter().map(|place| shown[place].state).collect()
    }

    fn subnets(&mut self, from: usize) {
        let input = json!({
            "LoadBalancerArn": self.known[&Thing::Balancer][0],
            "Subnets": self.world.public_subnets[from..],
        });
        self.elb("SetSubnets", &input).unwrap();
    }

    fn node(&mut self, action: &str) {
        let input = json!({ "InstanceId": [self.world.nodes[0]] });
        self.call(Service::Ec2, action, &input).unwrap();
    }
}

#[test]
fn a_zone_that_is_enabled_again_begins_with_initial_targets() {
    let mut game = Game::healthy();
    game.subnets(1);
    // The first address is in the first zone, and so is the first instance.
    assert_eq!(game.health(), [HealthState::Unused, HealthState::Unused]);
    game.subnets(0);
    assert_eq!(game.health(), [HealthState::Initial, HealthState::Initial]);
}

#[test]
fn an_instance_that_starts_again_is_an_initial_target() {
    let mut game = Game::healthy();
    game.node("StopInstances");
    assert_eq!(game.health()[1], HealthState::Unused);
    game.later();
    game.node("StartInstances");
    game.later();
    assert_eq!(game.health(), [HealthState::Healthy, HealthState::Initial]);
}

#[test]
fn what_is_unused_does_not_drain() {
    let mut game = Game::healthy();
    game.subnets(1);
    game.subnets(1);
    for (group, key) in game.targets_there() {
        let targets = json!([{ "Id": key.id, "Port": key.port }]);
        let input = json!({ "TargetGroupArn": group, "Targets": targets });
        game.elb("DeregisterTargets", &input).unwrap();
    }
    assert!(game.targets_there().is_empty());
}

#[test]
fn the_last_listener_that_may_verify_is_answered_again() {
    let mut game = Game::new();
    game.furnish();
    let store = json!({
        "Name": "store", "CaCertificatesBundleS3Bucket": "trust",
        "CaCertificatesBundleS3Key": "ca.pem",
    });
    let made = game.elb("CreateTrustStore", &store).unwrap();
    let store = super::balancing::texts(&made, "TrustStoreArn").remove(0);
    game.later();
    let mut listener = json!({
        "LoadBalancerArn": game.known[&Thing::Balancer][0], "Protocol": "HTTPS",
        "Certificates": [{ "CertificateArn": game.world.certificates[0] }],
        "MutualAuthentication": { "Mode": "verify", "TrustStoreArn": store },
        "DefaultActions": [
            { "Type": "fixed-response", "FixedResponseConfig": { "StatusCode": "404" } },
        ],
    });
    let limit = "mutual-authentication-listeners-per-application-load-balancer";
    assert_eq!(game.state.quotas.limit(limit), 2);
    for port in [443, 444] {
        listener["Port"] = json!(port);
        game.make_twice(Thing::Listener, "CreateListener", "ListenerArn", &listener);
    }
    game.hold(game.known[&Thing::Listener].len() == 3, || {
        "listeners are missing".to_owned()
    });
    listener["Port"] = json!(445);
    let refused = game.elb("CreateListener", &listener).unwrap_err();
    assert_eq!(refused.code, "InvalidConfigurationRequest");
}

#[test]
fn protections_end_with_their_subscription() {
    let mut game = Game::new();
    game.furnish();
    let service = Service::Shield;
    let balancer = game.known[&Thing::Balancer][0].clone();
    let protection = json!({ "Name": "p", "ResourceArn": balancer });
    game.call(service, "CreateSubscription", &json!({}))
        .unwrap();
    game.call(service, "CreateProtection", &protection).unwrap();
    game.now += SignedDuration::from_hours(24 * 366);
    game.call(service, "DeleteSubscription", &json!({}))
        .unwrap();
    game.check();
    game.call(service, "CreateSubscription", &json!({}))
        .unwrap();
    let listed = game.ask(service, "ListProtections", &json!({})).unwrap();
    assert!(!listed.contains(&balancer), "{listed}");
}

#[test]
fn the_certificate_of_a_domain_is_in_use() {
    let mut game = Game::new();
    let service = Service::Cognito;
    let pool = game
        .call(service, "CreateUserPool", &json!({ "PoolName": "p" }))
        .unwrap();
    let pool = super::others::part(&pool, "/UserPool/Id");
    let certificate = json!({ "CertificateArn": game.world.certificates[0] });
    let mut domain = json!({ "UserPoolId": pool, "Domain": "login.example.com" });
    let gone = domain.clone();
    domain["CustomDomainConfig"] = certificate.clone();
    game.call(service, "CreateUserPoolDomain", &domain).unwrap();
    let refused = game
        .call(Service::Acm, "DeleteCertificate", &certificate)
        .unwrap_err();
    assert_eq!(refused.code, "ResourceInUseException");
    game.call(service, "DeleteUserPoolDomain", &gone).unwrap();
    game.call(Service::Acm, "DeleteCertificate", &certificate)
        .unwrap();
}

#[test]
fn a_pool_has_no_more_tags_than_anything_else() {
    let mut game = Game::new();
    let service = Service::Cognito;
    let tags = |count: usize| -> serde_json::Value {
        (0..count).map(|n| (format!("k{n}"), json!("1"))).collect()
    };
    let most = game.state.quotas.limit("tags-per-resource");
    let mut new = json!({ "PoolName": "p", "UserPoolTags": tags(most + 1) });
    let refused = game.call(service, "CreateUserPool", &new).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
    new["UserPoolTags"] = tags(most);
    let pool = game.call(service, "CreateUserPool", &new).unwrap();
    let (id, arn) = ["/UserPool/Id", "/UserPool/Arn"]
        .map(|path| super::others::part(&pool, path))
        .into();
    let input = json!({ "UserPoolId": id, "UserPoolTags": tags(most + 1) });
    let refused = game.call(service, "UpdateUserPool", &input).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
    let more = json!({ "ResourceArn": arn, "Tags": { "more": "1" } });
    let refused = game.call(service, "TagResource", &more).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
}
