//! The lists of certificates, web ACLs, protections and user pools: the same as
//! what describes one thing.

use serde_json::json;

use super::{Game, Thing, lists::Listing, others::part};
use crate::wire::service::Service;

impl Game {
    pub(super) fn lists_of_certificates(&mut self) {
        let listing = Listing {
            service: Service::Acm,
            action: "ListCertificates",
            list: "CertificateSummaryList",
            size: "MaxItems",
            token: "NextToken",
            next: "NextToken",
        };
        let kinds = json!({ "keyTypes": ["RSA_2048", "EC_prime256v1"] });
        let all = self.list(&listing, &json!({ "Includes": kinds }));
        let arns: Vec<String> = self.state.certificates.keys().cloned().collect();
        self.hold(all.len() == arns.len(), || {
            format!("certificates {arns:?}: {all:?}")
        });
        for summary in all {
            let arn = part(&summary, "/CertificateArn");
            let input = json!({ "CertificateArn": arn });
            let one = self
                .ask(Service::Acm, "DescribeCertificate", &input)
                .expect("a certificate");
            for member in ["DomainName", "Status", "Type", "KeyAlgorithm", "NotAfter"] {
                let (listed, described) = (
                    part(&summary, &format!("/{member}")),
                    part(&one, &format!("/Certificate/{member}")),
                );
                self.hold(listed == described, || {
                    format!("{member}: {summary} and {one}")
                });
            }
            let users = self.state.users_of_certificate(arn.as_str().unwrap());
            self.hold(part(&one, "/Certificate/InUseBy") == json!(users), || {
                format!("{arn} is used by {users:?}: {one}")
            });
            let in_use = part(&summary, "/InUse") == json!(true);
            self.hold(in_use != users.is_empty(), || {
                format!("used by {users:?}: {summary}")
            });
        }
        self.gone(Thing::Certificate, &arns, |arn| {
            (
                Service::Acm,
                "DescribeCertificate",
                json!({ "CertificateArn": arn }),
            )
        });
    }

    pub(super) fn lists_of_firewalls(&mut self) {
        let listing = |service, action, list| Listing {
            service,
            action,
            list,
            size: "Limit",
            token: "NextMarker",
            next: "NextMarker",
        };
        for scope in ["REGIONAL", "CLOUDFRONT"] {
            let acls = listing(Service::WafV2, "ListWebACLs", "WebACLs");
            for summary in self.list(&acls, &json!({ "Scope": scope })) {
                let named = |name: &str| part(&summary, &format!("/{name}"));
                let arn = named("ARN");
                let input = json!({ "Name": named("Name"), "Scope": scope, "Id": named("Id") });
                let one = self
                    .ask(Service::WafV2, "GetWebACL", &input)
                    .expect("a web ACL");
                let same = part(&one, "/WebACL/ARN") == arn
                    && part(&one, "/LockToken") == named("LockToken");
                self.hold(same, || format!("{summary} and {one}"));
                if scope == "CLOUDFRONT" {
                    continue;
                }
                let input = json!({ "WebACLArn": arn });
                let listed = self
                    .ask(Service::WafV2, "ListResourcesForWebACL", &input)
                    .expect("them");
                for balancer in self
                    .state
                    .load_balancers
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
                {
                    let input = json!({ "ResourceArn": balancer });
                    let acl = self.carry_out(Service::WafV2, "GetWebACLForResource", &input);
                    let mine = acl.is_ok_and(|acl| part(&acl, "/WebACL/ARN") == arn);
                    self.hold(mine == listed.contains(&balancer), || {
                        format!("{balancer} has {arn}: {mine}, {listed}")
                    });
                }
            }
            let sets = listing(Service::WafV2, "ListIPSets", "IPSets");
            self.list(&sets, &json!({ "Scope": scope }));
        }
        let classic = listing(Service::WafRegional, "ListWebACLs", "WebACLs");
        let all = self.list(&classic, &json!({}));
        let held = self.state.waf_regional.web_acls.len();
        self.hold(all.len() == held, || {
            format!("{held} classic ACLs: {all:?}")
        });
    }

    pub(super) fn lists_of_shield_and_pools(&mut self) {
        let protections = Listing {
            service: Service::Shield,
            action: "ListProtections",
            list: "Protections",
            size: "MaxResults",
            token: "NextToken",
            next: "NextToken",
        };
        if self.state.shield.subscription.is_some() {
            for one in self.list(&protections, &json!({})) {
                let input = json!({ "ProtectionId": part(&one, "/Id") });
                let found = self
                    .ask(Service::Shield, "DescribeProtection", &input)
                    .expect("it");
                let same = part(&found, "/Protection") == part(&one, "");
                self.hold(same, || format!("{one} and {found}"));
            }
        }
        let pools = Listing {
            service: Service::Cognito,
            action: "ListUserPools",
            list: "UserPools",
            ..protections
        };
        let all = self.list(&pools, &json!({}));
        self.hold(all.len() == self.state.user_pools.len(), || {
            format!("pools: {all:?}")
        });
        let clients = Listing {
            action: "ListUserPoolClients",
            list: "UserPoolClients",
            ..pools
        };
        for pool in all {
            let input = json!({ "UserPoolId": part(&pool, "/Id") });
            for client in self.list(&clients, &input) {
                let input = json!({
                    "UserPoolId": part(&pool, "/Id"), "ClientId": part(&client, "/ClientId"),
                });
                let found = self.carry_out(Service::Cognito, "DescribeUserPoolClient", &input);
                self.hold(found.is_ok(), || format!("{client}: {found:?}"));
            }
        }
    }
}
