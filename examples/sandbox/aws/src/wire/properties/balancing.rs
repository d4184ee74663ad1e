//! Calls on load balancers, listeners, rules, target groups, targets, tags and
//! trust stores.

use serde_json::{Value, json};

use super::{Draw, Game, Theme, Thing};
use crate::{
    state::Answer,
    wire::{service::Service, xml::Element},
};

/// Every text of an element of this name, however deep.
pub(super) fn texts(answer: &str, name: &str) -> Vec<String> {
    fn find(element: &Element, name: &str, found: &mut Vec<String>) {
        if element.name == name && element.children.is_empty() {
            found.push(element.text.clone());
        }
        for child in &element.children {
            find(child, name, found);
        }
    }
    let mut found = Vec::new();
    let root = Element::parse(&format!("<answer>{answer}</answer>")).expect("XML");
    find(&root, name, &mut found);
    found
}

impl Game {
    pub(super) fn elb(&mut self, action: &str, input: &Value) -> Answer<String> {
        self.call(Service::Elb, action, input)
    }

    /// A load balancer that serves two groups, so that not every game has to make
    /// one first.
    pub(super) fn furnish(&mut self) {
        let balancer = json!({ "Name": "lb-0", "Subnets": self.world.public_subnets });
        self.make_twice(
            Thing::Balancer,
            "CreateLoadBalancer",
            "LoadBalancerArn",
            &balancer,
        );
        for (name, kind) in [("tg-0", "ip"), ("tg-1", "instance")] {
            let group = json!({
                "Name": name, "TargetType": kind, "Protocol": "HTTP", "Port": 80,
                "VpcId": self.world.vpc,
            });
            self.make_twice(Thing::Group, "CreateTargetGroup", "TargetGroupArn", &group);
        }
        let groups = self.known[&Thing::Group].clone();
        let forward = |group: &str| json!([{ "Type": "forward", "TargetGroupArn": group }]);
        let listener = json!({
            "LoadBalancerArn": self.known[&Thing::Balancer][0], "Protocol": "HTTP", "Port": 80,
            "DefaultActions": forward(&groups[0]),
        });
        self.make_twice(Thing::Listener, "CreateListener", "ListenerArn", &listener);
        let rule = json!({
            "ListenerArn": self.known[&Thing::Listener][0], "Priority": 3,
            "Actions": forward(&groups[1]),
            "Conditions": [{ "Field": "path-pattern", "Values": ["/x"] }],
        });
        let made = self.elb("CreateRule", &rule).unwrap();
        self.keep(Thing::Rule, &texts(&made, "RuleArn").remove(0));
        let targets = [
            json!([{ "Id": "10.0.48.50" }]),
            json!([{ "Id": self.world.nodes[0] }]),
        ];
        for (group, targets) in groups.iter().zip(targets) {
            let input = json!({ "TargetGroupArn": group, "Targets": targets });
            self.elb("RegisterTargets", &input).unwrap();
        }
    }

    pub(super) fn balancing(&mut self, theme: Theme, draw: &mut Draw) {
        let mine: &[usize] = match theme {
            Theme::Anything | Theme::Others => &[],
            Theme::Health => &[7, 7, 8, 10, 10, 11, 12, 14, 16, 16, 20, 25, 25],
            Theme::Listeners => &[0, 11, 11, 17, 17, 19, 21, 24],
            Theme::Rules => &[2, 2, 5, 7, 11, 12, 12, 13, 14, 20, 22],
        };
        let any = mine.is_empty() || draw.one_in(6);
        let which = if any {
            draw.below(26)
        } else {
            *draw.pick(mine)
        };
        match which {
            0 | 1 => self.create_listener(draw),
            2 | 3 => self.create_rule(draw),
            4 => self.create_balancer(draw),
            5 | 6 => self.create_group(draw),
            7..=9 => self.targets(draw, "RegisterTargets"),
            10 => self.targets(draw, "DeregisterTargets"),
            11 => self.modify_listener(draw),
            12 => self.modify_rule(draw),
            13 => self.priorities(draw),
            14 => self.modify_group(draw),
            15 => self.modify_balancer(draw),
            16 => self.place_balancer(draw),
            17 => self.certificates_of_listener(draw),
            18 => self.tags(draw),
            19 => self.trust_stores(draw),
            20 => self.delete(draw, Thing::Rule, "DeleteRule", "RuleArn"),
            21 => self.delete(draw, Thing::Listener, "DeleteListener", "ListenerArn"),
            22 => self.delete(draw, Thing::Group, "DeleteTargetGroup", "TargetGroupArn"),
            23 => self.delete(
                draw,
                Thing::Balancer,
                "DeleteLoadBalancer",
                "LoadBalancerArn",
            ),
            24 => self.delete(draw, Thing::TrustStore, "DeleteTrustStore", "TrustStoreArn"),
            _ => self.nodes(draw),
        }
    }

    /// Makes something; the same again answers the same and changes nothing.
    pub(super) fn make_twice(&mut self, thing: Thing, action: &str, name: &str, input: &Value) {
        let Ok(answer) = self.elb(action, input) else {
            return;
        };
        let made = texts(&answer, name).remove(0);
        let before = self.state.clone();
        let again = self.elb(action, input);
        self.hold(again.as_ref() == Ok(&answer), || {
            format!("{action} again answers {again:?}")
        });
        self.unchanged(&before, action);
        self.keep(thing, &made);
    }

    fn delete(&mut self, draw: &mut Draw, thing: Thing, action: &str, name: &str) {
        let arn = self.pick(draw, thing);
        let _ = self.elb(action, &json!({ name: arn }));
    }

    fn create_balancer(&mut self, draw: &mut Draw) {
        let name = format!("lb-{}", draw.below(4));
        let mut input = json!({ "Name": name, "Subnets": self.some_subnets(draw) });
        if draw.one_in(3) {
            input["Type"] = json!("network");
        }
        if draw.one_in(3) {
            input["Scheme"] = json!("internal");
        }
        if draw.one_in(3) {
            input["Tags"] = json!([{ "Key": "a", "Value": "1" }]);
        }
        if draw.one_in(3) {
            input["SecurityGroups"] = json!([self.world.node_security_group]);
        }
        if draw.one_in(6) {
            input["IpAddressType"] = json!("dualstack");
        }
        self.make_twice(
            Thing::Balancer,
            "CreateLoadBalancer",
            "LoadBalancerArn",
            &input,
        );
    }

    fn some_subnets(&self, draw: &mut Draw) -> Vec<String> {
        let from = draw.below(2);
        let most = self.world.public_subnets.len();
        let count = most - from - draw.below(most - from);
        let subnets = self.world.public_subnets[from..].iter();
        subnets.take(count).cloned().collect()
    }

    fn create_group(&mut self, draw: &mut Draw) {
        let name = format!("tg-{}", draw.below(7));
        let kind = *draw.pick(&["ip", "ip", "instance", "ip", "instance", "lambda", "alb"]);
        let mut input = json!({ "Name": name, "TargetType": kind });
        if kind != "lambda" {
            let protocol = match kind {
                "alb" => "TCP",
                _ => draw.pick(&["HTTP", "HTTP", "HTTPS", "TCP", "UDP", "TLS"]),
            };
            input["Protocol"] = json!(protocol);
            input["Port"] = json!(80 + draw.below(2));
            input["VpcId"] = json!(self.world.vpc);
            if draw.one_in(6) {
                input["ProtocolVersion"] = json!(draw.pick(&["HTTP1", "HTTP2", "GRPC"]));
            }
            if draw.one_in(6) {
                input["IpAddressType"] = json!("ipv6");
            }
            if draw.one_in(4) {
                input["UnhealthyThresholdCount"] = json!(2 + draw.below(10));
            }
        }
        self.make_twice(Thing::Group, "CreateTargetGroup", "TargetGroupArn", &input);
    }

    fn targets(&mut self, draw: &mut Draw, action: &str) {
        let group = self.pick(draw, Thing::Group);
        let kind = self.state.target_groups.get(&group);
        let kind = kind.map_or("ip", |group| group.target_type.as_str());
        let mut targets = Vec::new();
        for _ in 0..=draw.below(3) {
            let mut target = match kind {
                "instance" => json!({ "Id": draw.pick(&self.world.nodes) }),
                "lambda" => json!({
                    "Id": format!("arn:aws:lambda:us-east-1:123456789012:function:f{}", draw.below(2))
                }),
                "alb" => json!({ "Id": self.pick(draw, Thing::Balancer) }),
                // In three zones, outside of the VPC, not private.
                _ => {
                    let ids = [
                        "10.0.48.50",
                        "10.0.64.50",
                        "10.0.80.50",
                        "10.9.0.5",
                        "8.8.8.8",
                    ];
                    let id = *draw.pick(&ids);
                    match id {
                        "10.9.0.5" => json!({ "Id": id, "AvailabilityZone": "all" }),
                        _ => json!({ "Id": id }),
                    }
                }
            };
            if draw.one_in(4) {
                target["Port"] = json!(8080);
            }
            targets.push(target);
        }
        let input = json!({ "TargetGroupArn": group, "Targets": targets });
        let _ = self.elb(action, &input);
    }

    fn actions(&self, draw: &mut Draw) -> Value {
        let group = |game: &Self, draw: &mut Draw| game.pick(draw, Thing::Group);
        let forward = json!({ "Type": "forward", "TargetGroupArn": group(self, draw), "Order": 2 });
        match draw.below(9) {
            0..=3 => json!([forward]),
            4 => json!([{ "Type": "forward", "ForwardConfig": {
                "TargetGroups": [
                    { "TargetGroupArn": group(self, draw), "Weight": draw.below(1001) },
                    { "TargetGroupArn": group(self, draw), "Weight": 1 },
                ],
                "TargetGroupStickinessConfig": { "Enabled": draw.one_in(2), "DurationSeconds": 60 },
            }}]),
            5 => json!([{ "Type": "redirect", "RedirectConfig": {
                "Protocol": draw.pick(&["HTTPS", "HTTP"]), "Port": "443", "StatusCode": "HTTP_301",
            }}]),
            6 => {
                json!([{ "Type": "fixed-response", "FixedResponseConfig": { "StatusCode": "404" } }])
            }
            7 => json!([{ "Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {
                "Issuer": "https://i.example", "AuthorizationEndpoint": "https://i.example/a",
                "TokenEndpoint": "https://i.example/t", "UserInfoEndpoint": "https://i.example/u",
                "ClientId": "c", "ClientSecret": "s",
            }}, forward]),
            _ => json!([forward, { "Type": "fixed-response" }]),
        }
    }

    /// Protocol, port and TLS of a listener.
    fn listener(&self, draw: &mut Draw, network: bool) -> Value {
        let mut input = json!({});
        let known: &[&str] = if network {
            &["TCP", "TLS", "UDP", "HTTP"]
        } else {
            &["HTTP", "HTTPS", "HTTP", "HTTPS", "TCP"]
        };
        let protocol = *draw.pick(known);
        input["Protocol"] = json!(protocol);
        input["Port"] = json!(80 + draw.below(5));
        if matches!(protocol, "HTTPS" | "TLS") != draw.one_in(12) {
            let certificate = self.pick(draw, Thing::Certificate);
            input["Certificates"] = json!([{ "CertificateArn": certificate }]);
            if draw.one_in(3) {
                input["SslPolicy"] = json!("ELBSecurityPolicy-TLS13-1-2-2021-06");
            }
            if draw.one_in(3) {
                let store = self.pick(draw, Thing::TrustStore);
                input["MutualAuthentication"] = json!({ "Mode": "verify", "TrustStoreArn": store });
            }
        }
        input
    }

    fn create_listener(&mut self, draw: &mut Draw) {
        let balancer = self.pick(draw, Thing::Balancer);
        let mut input = self.listener(draw, balancer.contains("/net/"));
        input["LoadBalancerArn"] = json!(balancer);
        input["DefaultActions"] = self.actions(draw);
        self.make_twice(Thing::Listener, "CreateListener", "ListenerArn", &input);
    }

    fn modify_listener(&mut self, draw: &mut Draw) {
        let listener = self.pick(draw, Thing::Listener);
        let mut input = match draw.below(3) {
            0 => json!({}),
            1 => json!({ "Port": 80 + draw.below(5) }),
            _ => self.listener(draw, listener.contains("/net/")),
        };
        input["ListenerArn"] = json!(listener);
        if draw.one_in(2) || input.get("Port").is_none() {
            input["DefaultActions"] = self.actions(draw);
        }
        let _ = self.elb("ModifyListener", &input);
        if draw.one_in(3) {
            let key = "routing.http.response.server.enabled";
            let attributes = json!([{ "Key": key, "Value": draw.pick(&["false", "true", "x"]) }]);
            let input = json!({ "ListenerArn": listener, "Attributes": attributes });
            let _ = self.elb("ModifyListenerAttributes", &input);
        }
    }

    fn conditions(draw: &mut Draw) -> Value {
        let values: Vec<String> = (0..=draw.below(7)).map(|n| format!("/p{n}")).collect();
        match draw.below(5) {
            0..=2 => {
                json!([{ "Field": "path-pattern", "PathPatternConfig": { "Values": values } }])
            }
            3 => json!([{ "Field": "host-header", "Values": ["a.example.com"] }]),
            _ => json!([{ "Field": "source-ip", "SourceIpConfig": { "Values": ["10.0.0.0/33"] } }]),
        }
    }

    fn create_rule(&mut self, draw: &mut Draw) {
        let input = json!({
            "ListenerArn": self.pick(draw, Thing::Listener),
            "Priority": draw.below(6),
            "Actions": self.actions(draw),
            "Conditions": Self::conditions(draw),
        });
        if let Ok(answer) = self.elb("CreateRule", &input) {
            self.keep(Thing::Rule, &texts(&answer, "RuleArn").remove(0));
            let again = self
                .elb("CreateRule", &input)
                .map_err(|refusal| refusal.code);
            let full = |code: &str| matches!(code, "PriorityInUse" | "TooManyRules");
            self.hold(again.as_ref().is_err_and(|code| full(code)), || {
                format!("CreateRule again answers {again:?}")
            });
        }
    }

    fn modify_rule(&mut self, draw: &mut Draw) {
        let mut input = json!({ "RuleArn": self.pick(draw, Thing::Rule) });
        if draw.below(2) == 0 {
            input["Actions"] = self.actions(draw);
        } else {
            input["Conditions"] = Self::conditions(draw);
        }
        let _ = self.elb("ModifyRule", &input);
    }

    fn priorities(&mut self, draw: &mut Draw) {
        let moved: Vec<Value> = (0..=draw.below(3))
            .map(|_| json!({ "RuleArn": self.pick(draw, Thing::Rule), "Priority": draw.below(6) }))
            .collect();
        let _ = self.elb("SetRulePriorities", &json!({ "RulePriorities": moved }));
    }

    fn modify_group(&mut self, draw: &mut Draw) {
        let group = self.pick(draw, Thing::Group);
        let (key, values): (_, &[&str]) = match draw.below(5) {
            0 => (
                "deregistration_delay.timeout_seconds",
                &["0", "1", "300", "3601"],
            ),
            1 => ("stickiness.enabled", &["true", "false", "maybe"]),
            2 => ("load_balancing.cross_zone.enabled", &["false", "true"]),
            3 => ("slow_start.duration_seconds", &["30", "0", "10"]),
            _ => {
                let input = json!({
                    "TargetGroupArn": group,
                    "UnhealthyThresholdCount": 1 + draw.below(4),
                    "HealthyThresholdCount": 2 + draw.below(3),
                });
                let _ = self.elb("ModifyTargetGroup", &input);
                return;
            }
        };
        let attributes = json!([{ "Key": key, "Value": draw.pick(values) }]);
        let input = json!({ "TargetGroupArn": group, "Attributes": attributes });
        let _ = self.elb("ModifyTargetGroupAttributes", &input);
    }

    fn modify_balancer(&mut self, draw: &mut Draw) {
        let balancer = self.pick(draw, Thing::Balancer);
        if draw.below(3) == 0 {
            let mut input = json!({ "LoadBalancerArn": balancer });
            if draw.one_in(3) {
                input["ResetCapacityReservation"] = json!(true);
            } else {
                let units = [100, 200, 0, 16_000][draw.below(4)];
                input["MinimumLoadBalancerCapacity"] = json!({ "CapacityUnits": units });
            }
            let _ = self.elb("ModifyCapacityReservation", &input);
            return;
        }
        let (key, values): (_, &[&str]) = match draw.below(3) {
            0 => ("deletion_protection.enabled", &["false", "true", "false"]),
            1 => ("idle_timeout.timeout_seconds", &["1", "4000", "4001"]),
            _ => ("access_logs.s3.enabled", &["true", "false"]),
        };
        let attributes = json!([
            { "Key": "routing.http2.enabled", "Value": "true" },
            { "Key": key, "Value": draw.pick(values) },
        ]);
        let attributes = json!({ "LoadBalancerArn": balancer, "Attributes": attributes });
        let _ = self.elb("ModifyLoadBalancerAttributes", &attributes);
    }

    fn place_balancer(&mut self, draw: &mut Draw) {
        let mut input = json!({ "LoadBalancerArn": self.pick(draw, Thing::Balancer) });
        let action = match draw.below(5) {
            0..=2 => {
                input["Subnets"] = json!(self.some_subnets(draw));
                if draw.one_in(4) {
                    input["IpAddressType"] = json!(draw.pick(&["dualstack", "ipv4"]));
                }
                "SetSubnets"
            }
            3 => {
                let own = [
                    self.world.node_security_group.clone(),
                    "sg-00000000".to_owned(),
                ];
                input["SecurityGroups"] = json!([draw.pick(&own)]);
                "SetSecurityGroups"
            }
            _ => {
                input["IpAddressType"] = json!(draw.pick(&["dualstack", "ipv4"]));
                "SetIpAddressType"
            }
        };
        let _ = self.elb(action, &input);
    }

    fn nodes(&mut self, draw: &mut Draw) {
        let id = draw.pick(&self.world.nodes).clone();
        let actions = [
            "StopInstances",
            "StartInstances",
            "StartInstances",
            "TerminateInstances",
        ];
        let action = draw.pick(&actions);
        let _ = self.call(Service::Ec2, action, &json!({ "InstanceId": [id] }));
    }
}
