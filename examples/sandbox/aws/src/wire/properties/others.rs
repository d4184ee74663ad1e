//! Calls on what load balancers are used with: certificates, trust stores, tags,
//! web ACLs, protections, user pools.

use std::sync::OnceLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Draw, Game, Thing, balancing::texts};
use crate::{
    state::{Answer, acm::Pem},
    wire::service::Service,
};

/// One of three certificates with its key; they differ in their names.
pub(super) fn imported(which: usize) -> &'static Pem {
    static MADE: OnceLock<Vec<Pem>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let names = ["a.example.com", "b.example.com", "c.example.com"];
        let make = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            Pem {
                certificate: made.cert.pem(),
                private_key: made.signing_key.serialize_pem(),
                chain: None,
            }
        };
        names.map(make).into()
    });
    &made[which % made.len()]
}

/// A part of an answer in JSON.
pub(super) fn part(answer: &str, path: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer.pointer(path).cloned().unwrap_or_default()
}

impl Game {
    fn json(&mut self, service: Service, action: &str, input: &Value) -> Answer<Value> {
        let answer = self.call(service, action, input)?;
        Ok(serde_json::from_str(&answer).unwrap())
    }

    pub(super) fn others(&mut self, draw: &mut Draw) {
        match draw.below(10) {
            0..=2 => self.certificates(draw),
            3..=5 => self.firewall(draw),
            6 => self.classic_firewall(draw),
            7 => self.shield(draw),
            _ => self.pools(draw),
        }
    }

    fn certificates(&mut self, draw: &mut Draw) {
        let arn = self.pick(draw, Thing::Certificate);
        let named = json!({ "CertificateArn": arn });
        let tags = json!([{ "Key": format!("k{}", draw.below(6)), "Value": "1" }]);
        let (action, input) = match draw.below(9) {
            0 => {
                let mut input = json!({
                    "DomainName": format!("d{}.example.com", draw.below(3)),
                    "ValidationMethod": "DNS",
                });
                if draw.one_in(2) {
                    input["IdempotencyToken"] = json!("token");
                }
                if draw.one_in(3) {
                    input["Options"] = json!({ "Export": "ENABLED" });
                }
                ("RequestCertificate", input)
            }
            1 | 2 => {
                let pem = imported(draw.below(3));
                let mut input = json!({
                    "Certificate": STANDARD.encode(&pem.certificate),
                    "PrivateKey": STANDARD.encode(&pem.private_key),
                });
                if draw.one_in(2) {
                    input["CertificateArn"] = json!(arn);
                }
                if draw.one_in(3) {
                    input["Tags"] = tags;
                }
                ("ImportCertificate", input)
            }
            3 => {
                // The owner of the domain clicks, or writes a record.
                self.trace.push(format!("{arn} is issued"));
                self.state.issue_certificate(&arn, self.now);
                return;
            }
            4 | 5 => ("DeleteCertificate", named),
            6 => (
                "AddTagsToCertificate",
                json!({ "CertificateArn": arn, "Tags": tags }),
            ),
            7 => (
                "RemoveTagsFromCertificate",
                json!({ "CertificateArn": arn, "Tags": tags }),
            ),
            _ => {
                let input = json!({ "CertificateArn": arn, "Passphrase": STANDARD.encode("word") });
                ("ExportCertificate", input)
            }
        };
        if let Ok(made) = self.json(Service::Acm, action, &input)
            && let Some(arn) = made.get("CertificateArn").and_then(Value::as_str)
        {
            self.keep(Thing::Certificate, arn);
        }
    }

    /// Name, scope, id and lock token of something of WAFv2, the token sometimes
    /// an old one.
    fn naming(&self, draw: &mut Draw, arn: &str) -> Value {
        let acl = self.state.wafv2.web_acls.get(arn).map(|acl| &acl.entity);
        let set = self.state.wafv2.ip_sets.get(arn).map(|set| &set.entity);
        let Some(entity) = acl.or(set) else {
            return json!({ "Name": "a", "Scope": "REGIONAL", "Id": "b", "LockToken": "c" });
        };
        let token = if draw.one_in(6) {
            "old"
        } else {
            &entity.lock_token
        };
        json!({ "Name": entity.name, "Scope": entity.scope.as_str(), "Id": entity.id, "LockToken": token })
    }

    fn acl_settings(&self, draw: &mut Draw) -> Value {
        let metric = |name: &str| {
            json!({
                "SampledRequestsEnabled": false, "CloudWatchMetricsEnabled": false, "MetricName": name,
            })
        };
        let mut rules = json!([]);
        if draw.one_in(2) {
            let set = self.pick(draw, Thing::IpSet);
            rules = json!([{
                "Name": "r", "Priority": 0, "Action": { "Block": {} },
                "Statement": { "IPSetReferenceStatement": { "ARN": set } },
                "VisibilityConfig": metric("r"),
            }]);
        }
        json!({ "DefaultAction": { "Allow": {} }, "Rules": rules, "VisibilityConfig": metric("acl") })
    }

    fn firewall(&mut self, draw: &mut Draw) {
        let acl = self.pick(draw, Thing::WebAcl);
        let set = self.pick(draw, Thing::IpSet);
        let balancer = self.pick(draw, Thing::Balancer);
        let name = format!("n{}", draw.below(3));
        let scope = *draw.pick(&["REGIONAL", "REGIONAL", "CLOUDFRONT"]);
        let mut input = match draw.below(10) {
            0 | 1 => {
                let mut input = self.acl_settings(draw);
                input["Name"] = json!(name);
                input["Scope"] = json!(scope);
                if let Ok(made) = self.json(Service::WafV2, "CreateWebACL", &input) {
                    self.keep(Thing::WebAcl, made["Summary"]["ARN"].as_str().unwrap());
                }
                return;
            }
            2 => {
                let input = json!({
                    "Name": name, "Scope": scope, "IPAddressVersion": "IPV4", "Addresses": ["10.0.0.0/8"],
                });
                if let Ok(made) = self.json(Service::WafV2, "CreateIPSet", &input) {
                    self.keep(Thing::IpSet, made["Summary"]["ARN"].as_str().unwrap());
                }
                return;
            }
            3 => {
                let mut input = self.acl_settings(draw);
                let naming = self.naming(draw, &acl);
                let fields = naming.as_object().unwrap().clone();
                input.as_object_mut().unwrap().extend(fields);
                input["\u{0}"] = json!("UpdateWebACL");
                input
            }
            4 | 5 => {
                let input = json!({ "WebACLArn": acl, "ResourceArn": balancer });
                let _ = self.json(Service::WafV2, "AssociateWebACL", &input);
                return;
            }
            6 => {
                let input = json!({ "ResourceArn": balancer });
                let _ = self.json(Service::WafV2, "DisassociateWebACL", &input);
                return;
            }
            7 => {
                let tags = json!([{ "Key": format!("k{}", draw.below(6)), "Value": "1" }]);
                let input = json!({ "ResourceARN": acl, "Tags": tags });
                let _ = self.json(Service::WafV2, "TagResource", &input);
                return;
            }
            8 => {
                let mut input = self.naming(draw, &acl);
                input["\u{0}"] = json!("DeleteWebACL");
                input
            }
            _ => {
                let mut input = self.naming(draw, &set);
                input["\u{0}"] = json!("DeleteIPSet");
                input
            }
        };
        let action = input.as_object_mut().unwrap().remove("\u{0}").unwrap();
        let _ = self.json(Service::WafV2, action.as_str().unwrap(), &input);
    }

    fn classic_firewall(&mut self, draw: &mut Draw) {
        let service = Service::WafRegional;
        let acl = self.pick(draw, Thing::ClassicAcl);
        let balancer = self.pick(draw, Thing::Balancer);
        let token = self.json(service, "GetChangeToken", &json!({})).unwrap();
        let token = if draw.one_in(5) {
            json!("old")
        } else {
            token["ChangeToken"].clone()
        };
        let (action, input) = match draw.below(4) {
            0 => (
                "CreateWebACL",
                json!({
                    "Name": "classic", "MetricName": "m", "DefaultAction": { "Type": "ALLOW" },
                    "ChangeToken": token,
                }),
            ),
            1 => (
                "DeleteWebACL",
                json!({ "WebACLId": acl, "ChangeToken": token }),
            ),
            2 => (
                "AssociateWebACL",
                json!({ "WebACLId": acl, "ResourceArn": balancer }),
            ),
            _ => ("DisassociateWebACL", json!({ "ResourceArn": balancer })),
        };
        if let Ok(made) = self.json(service, action, &input)
            && let Some(id) = made.pointer("/WebACL/WebACLId").and_then(Value::as_str)
        {
            self.keep(Thing::ClassicAcl, id);
        }
    }

    fn shield(&mut self, draw: &mut Draw) {
        let service = Service::Shield;
        let (action, input) = match draw.below(7) {
            0 => ("CreateSubscription", json!({})),
            1 => {
                if draw.one_in(2) {
                    self.now += jiff::SignedDuration::from_hours(24 * 366);
                    self.state.advance(self.now);
                    self.trace.push("after a year".to_owned());
                }
                ("DeleteSubscription", json!({}))
            }
            2..=4 => {
                let resource = self.pick(draw, Thing::Balancer);
                (
                    "CreateProtection",
                    json!({ "Name": "p", "ResourceArn": resource }),
                )
            }
            5 => {
                let id = self.pick(draw, Thing::Protection);
                let arn = self.state.protection_arn(&id);
                let tags = json!([{ "Key": format!("k{}", draw.below(6)), "Value": "1" }]);
                ("TagResource", json!({ "ResourceARN": arn, "Tags": tags }))
            }
            _ => {
                let id = self.pick(draw, Thing::Protection);
                ("DeleteProtection", json!({ "ProtectionId": id }))
            }
        };
        if let Ok(made) = self.json(service, action, &input)
            && let Some(id) = made.get("ProtectionId").and_then(Value::as_str)
        {
            self.keep(Thing::Protection, id);
        }
    }

    fn pools(&mut self, draw: &mut Draw) {
        let pool = self.pick(draw, Thing::Pool);
        let client = self.pick(draw, Thing::Client);
        let certificate = self.pick(draw, Thing::Certificate);
        let domain = format!("login-{}", draw.below(3));
        let named = json!({ "UserPoolId": pool });
        let (action, input) = match draw.below(9) {
            0 | 1 => (
                "CreateUserPool",
                json!({ "PoolName": "p", "UserPoolTags": { "a": "1" } }),
            ),
            2 => ("DeleteUserPool", named),
            3 => {
                let protection = *draw.pick(&["INACTIVE", "ACTIVE"]);
                let mut input = json!({ "UserPoolId": pool, "DeletionProtection": protection });
                if draw.one_in(2) {
                    let tags: Vec<(String, Value)> = (0..=draw.below(6))
                        .map(|n| (format!("k{n}"), json!("1")))
                        .collect();
                    input["UserPoolTags"] = Value::Object(tags.into_iter().collect());
                }
                ("UpdateUserPool", input)
            }
            4 => {
                let mut input = json!({ "UserPoolId": pool, "Domain": domain });
                if draw.one_in(2) {
                    input["Domain"] = json!("login.example.com");
                    input["CustomDomainConfig"] = json!({ "CertificateArn": certificate });
                }
                ("CreateUserPoolDomain", input)
            }
            5 => {
                let own = self.state.user_pools.get(&pool);
                let own = own.and_then(|pool| Some(pool.domain.as_ref()?.domain.clone()));
                let domain = own.unwrap_or(domain);
                (
                    "DeleteUserPoolDomain",
                    json!({ "UserPoolId": pool, "Domain": domain }),
                )
            }
            6 | 7 => (
                "CreateUserPoolClient",
                json!({ "UserPoolId": pool, "ClientName": "c", "GenerateSecret": draw.one_in(2) }),
            ),
            _ => (
                "DeleteUserPoolClient",
                json!({ "UserPoolId": pool, "ClientId": client }),
            ),
        };
        let Ok(made) = self.json(Service::Cognito, action, &input) else {
            return;
        };
        if action == "CreateUserPool" {
            self.keep(Thing::Pool, made["UserPool"]["Id"].as_str().unwrap());
        }
        if let Some(id) = made
            .pointer("/UserPoolClient/ClientId")
            .and_then(Value::as_str)
        {
            self.keep(Thing::Client, id);
        }
    }

    pub(super) fn certificates_of_listener(&mut self, draw: &mut Draw) {
        let input = json!({
            "ListenerArn": self.pick(draw, Thing::Listener),
            "Certificates": [{ "CertificateArn": self.pick(draw, Thing::Certificate) }],
        });
        let action = ["AddListenerCertificates", "RemoveListenerCertificates"][draw.below(2)];
        let _ = self.elb(action, &input);
    }

    pub(super) fn tags(&mut self, draw: &mut Draw) {
        let things = [
            Thing::Balancer,
            Thing::Group,
            Thing::Listener,
            Thing::Rule,
            Thing::TrustStore,
        ];
        let arns: Vec<String> = (0..=draw.below(2))
            .map(|_| {
                let thing = *draw.pick(&things);
                self.pick(draw, thing)
            })
            .collect();
        let key = format!("k{}", draw.below(6));
        if draw.below(3) == 0 {
            let _ = self.elb(
                "RemoveTags",
                &json!({ "ResourceArns": arns, "TagKeys": [key] }),
            );
            return;
        }
        let other = draw.pick(&["aws:x", "a", "k0"]);
        let tags = json!([{ "Key": key, "Value": "1" }, { "Key": other, "Value": "2" }]);
        let _ = self.elb("AddTags", &json!({ "ResourceArns": arns, "Tags": tags }));
    }

    pub(super) fn trust_stores(&mut self, draw: &mut Draw) {
        let key = *draw.pick(&["ca.pem", "ca.pem", "bad.pem", "none.pem"]);
        let mut input = json!({
            "CaCertificatesBundleS3Bucket": "trust", "CaCertificatesBundleS3Key": key,
        });
        if draw.one_in(3) {
            input["TrustStoreArn"] = json!(self.pick(draw, Thing::TrustStore));
            let _ = self.elb("ModifyTrustStore", &input);
            return;
        }
        input["Name"] = json!(format!("store-{}", draw.below(3)));
        if let Ok(answer) = self.elb("CreateTrustStore", &input) {
            self.keep(
                Thing::TrustStore,
                &texts(&answer, "TrustStoreArn").remove(0),
            );
        }
    }
}
