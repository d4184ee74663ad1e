//! What each call needs: actions, resources, condition keys.

mod ec2;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Context, Need};
use crate::state::{State, regions::partition};

/// Reads of EC2 that Elastic Load Balancing makes with the rights of who
/// places a load balancer.
const PLACEMENT: [&str; 7] = [
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAddresses",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:GetSecurityGroupsForVpc",
];

/// What stands for the part of an ARN that is not known before it is made.
const TO_BE: &str = "0000000000000000";

/// All that a call needs, in the order in which it is looked at.
pub(super) fn of(service: &str, operation: &str, input: &Value, state: &State) -> Vec<Need> {
    let call = Call {
        operation,
        input,
        state,
    };
    match service {
        "elasticloadbalancing" => call.of_elb(),
        "ec2" => call.of_ec2(),
        "route53" => call.of_route53(),
        "acm" => call.of_acm(),
        "wafv2" | "waf-regional" => call.of_waf(service),
        "tagging" => vec![call.unbound(&format!("tag:{operation}"))],
        "cognito-idp" => call.of_cognito(),
        "sts" => call.of_sts(),
        other => vec![call.need(&format!("{other}:{operation}"), "*")],
    }
}

/// What TagResources and UntagResources need beside their own right: that of
/// the service that holds each resource.
pub(super) fn of_each_tagged(operation: &str, input: &Value, state: &State) -> Vec<Need> {
    let call = Call {
        operation,
        input,
        state,
    };
    call.of_each_tagged()
}

struct Call<'a> {
    operation: &'a str,
    input: &'a Value,
    state: &'a State,
}

impl<'a> Call<'a> {
    /// An action on a resource, with the tags that the resource has and those
    /// that the request carries.
    fn need(&self, action: &str, resource: &str) -> Need {
        let mut context = Context::new();
        for (key, value) in self.tags_of(resource) {
            for prefix in ["aws", "elasticloadbalancing", "ec2"] {
                let name = format!("{prefix}:ResourceTag/{key}").to_lowercase();
                context.insert(name, vec![value.clone()]);
            }
        }
        let carried = self.carried_tags();
        for (key, value) in &carried {
            let name = format!("aws:RequestTag/{key}").to_lowercase();
            context.insert(name, vec![value.clone()]);
        }
        let mut keys: Vec<String> = carried.into_iter().map(|(key, _)| key).collect();
        keys.extend(self.texts("TagKeys"));
        if !keys.is_empty() {
            context.insert("aws:tagkeys".to_owned(), keys);
        }
        Need {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context,
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.input.get(name).and_then(Value::as_str)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let all = self.input.get(name).and_then(Value::as_array);
        let all = all.into_iter().flatten();
        all.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    }

    fn objects(&self, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let all = self.input.get(name).and_then(Value::as_array);
        all.into_iter().flatten()
    }

    /// The tags that a request would put on something.
    fn carried_tags(&self) -> Vec<(String, String)> {
        let pair = |tag: &Value| {
            let part = |name: &str| tag.get(name).and_then(Value::as_str);
            Some((
                part("Key")?.to_owned(),
                part("Value").unwrap_or_default().to_owned(),
            ))
        };
        let specified = self.objects("TagSpecification").flat_map(|specification| {
            let tags = specification.get("Tag").and_then(Value::as_array);
            tags.into_iter().flatten()
        });
        let listed = ["Tags", "Tag", "AddTags", "TagList"];
        let listed = listed.iter().flat_map(|name| self.objects(name));
        let mut tags: Vec<(String, String)> = specified.chain(listed).filter_map(pair).collect();
        // The tagging API has a map.
        let map = self.input.get("Tags").and_then(Value::as_object);
        tags.extend(
            map.into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))),
        );
        tags
    }

    /// The tags that a resource has, by its ARN.
    fn tags_of(&self, arn: &str) -> BTreeMap<String, String> {
        let tags = &self.state.tags;
        let id = arn.rsplit('/').next().unwrap_or(arn);
        let found = tags.get(arn).or_else(|| {
            let by_id = arn.contains(":ec2:") || arn.contains(":route53:");
            tags.get(id).filter(|_| by_id)
        });
        found
            .map(|tags| tags.clone().into_iter().collect())
            .unwrap_or_default()
    }

    fn arn(&self, service: &str, path: &str) -> String {
        let State {
            region, account, ..
        } = self.state;
        format!(
            "arn:{}:{service}:{region}:{account}:{path}",
            partition(region)
        )
    }

    fn global_arn(&self, service: &str, path: &str) -> String {
        format!("arn:{}:{service}:::{path}", partition(&self.state.region))
    }

    /// An action that knows no resources.
    fn unbound(&self, action: &str) -> Need {
        self.need(action, "*")
    }

    fn of_elb(&self) -> Vec<Need> {
        let action = format!("elasticloadbalancing:{}", self.operation);
        let name = self.text("Name").unwrap_or_default();
        let mut needs = match self.operation {
            "CreateLoadBalancer" => {
                let family = match self.text("Type") {
                    Some("network") => "net",
                    Some("gateway") => "gwy",
                    _ => "app",
                };
                let path = format!("loadbalancer/{family}/{name}/{TO_BE}");
                let mut need = self.need(&action, &self.arn("elasticloadbalancing", &path));
                need.extend(
                    "elasticloadbalancing:scheme",
                    [self.text("Scheme").unwrap_or("internet-facing").to_owned()],
                );
                need.extend("elasticloadbalancing:subnet", self.texts("Subnets"));
                need.extend(
                    "elasticloadbalancing:securitygroup",
                    self.texts("SecurityGroups"),
                );
                vec![need]
            }
            "CreateTargetGroup" => {
                let path = format!("targetgroup/{name}/{TO_BE}");
                vec![self.need(&action, &self.arn("elasticloadbalancing", &path))]
            }
            "CreateTrustStore" => {
                let path = format!("truststore/{name}/{TO_BE}");
                vec![self.need(&action, &self.arn("elasticloadbalancing", &path))]
            }
            "CreateListener" | "ModifyListener" => {
                let mut need = self.need(&action, self.first_arn());
                need.extend(
                    "elasticloadbalancing:listenerprotocol",
                    self.text("Protocol").map(str::to_owned),
                );
                need.extend(
                    "elasticloadbalancing:securitypolicy",
                    self.text("SslPolicy").map(str::to_owned),
                );
                vec![need]
            }
            "SetRulePriorities" => {
                let rules = self.objects("RulePriorities");
                let arns = rules.filter_map(|rule| rule.get("RuleArn").and_then(Value::as_str));
                arns.map(|arn| self.need(&action, arn)).collect()
            }
            "AddTags" | "RemoveTags" => {
                let arns = self.texts("ResourceArns");
                arns.iter().map(|arn| self.need(&action, arn)).collect()
            }
            read if read.starts_with("Describe") => vec![self.unbound(&action)],
            _ => vec![self.need(&action, self.first_arn())],
        };
        needs.extend(self.tag_on_create());
        if matches!(self.operation, "CreateLoadBalancer" | "SetSubnets") {
            needs.extend(PLACEMENT.iter().map(|action| self.unbound(action)));
        }
        if self.operation == "CreateLoadBalancer" && self.state.load_balancers.is_empty() {
            needs.push(self.service_linked_role());
        }
        needs.extend(self.authentication());
        needs
    }

    /// The resource that a call names.
    fn first_arn(&self) -> &'a str {
        let names = [
            "RuleArn",
            "ListenerArn",
            "TargetGroupArn",
            "LoadBalancerArn",
            "TrustStoreArn",
            "ResourceArn",
        ];
        let mut named = names.iter().filter_map(|name| self.text(name));
        named.next().unwrap_or("*")
    }

    /// Tags in a call that creates something need a right of their own.
    fn tag_on_create(&self) -> Option<Need> {
        let creates = self.operation.starts_with("Create");
        if !creates || self.carried_tags().is_empty() {
            return None;
        }
        let created = match self.operation {
            "CreateListener" => self.under("loadbalancer/", "listener/"),
            "CreateRule" => self.under("listener/", "listener-rule/"),
            _ => {
                let name = self.text("Name").unwrap_or_default();
                let kind = match self.operation {
                    "CreateTargetGroup" => "targetgroup",
                    "CreateTrustStore" => "truststore",
                    _ => match self.text("Type") {
                        Some("network") => "loadbalancer/net",
                        Some("gateway") => "loadbalancer/gwy",
                        _ => "loadbalancer/app",
                    },
                };
                self.arn("elasticloadbalancing", &format!("{kind}/{name}/{TO_BE}"))
            }
        };
        let mut need = self.need("elasticloadbalancing:AddTags", &created);
        need.extend(
            "elasticloadbalancing:createaction",
            [self.operation.to_owned()],
        );
        Some(need)
    }

    /// The ARN-to-be of what is made under the one that a call names.
    fn under(&self, from: &str, to: &str) -> String {
        let parent = self
            .first_arn()
            .replacen(&format!(":{from}"), &format!(":{to}"), 1);
        format!("{parent}/{TO_BE}")
    }

    fn service_linked_role(&self) -> Need {
        const SERVICE: &str = "elasticloadbalancing.amazonaws.com";
        let State {
            region, account, ..
        } = self.state;
        let role = format!(
            "arn:{}:iam::{account}:role/aws-service-role/{SERVICE}/AWSServiceRoleForElasticLoadBalancing",
            partition(region)
        );
        let mut need = Need {
            action: "iam:CreateServiceLinkedRole".to_owned(),
            resource: role,
            context: Context::new(),
        };
        need.extend("iam:awsservicename", [SERVICE.to_owned()]);
        need
    }

    /// What AWS looks up with the caller's rights for actions that
    /// authenticate.
    fn authentication(&self) -> Vec<Need> {
        let actions = ["Actions", "DefaultActions"];
        let actions = actions.iter().flat_map(|name| self.objects(name));
        let pools = actions.filter_map(|action| {
            let config = action.get("AuthenticateCognitoConfig")?;
            config.get("UserPoolArn").and_then(Value::as_str)
        });
        pools
            .map(|pool| self.need("cognito-idp:DescribeUserPoolClient", pool))
            .collect()
    }

    fn of_route53(&self) -> Vec<Need> {
        const KEY: &str = "route53:changeresourcerecordsets";
        let action = format!("route53:{}", self.operation);
        let bare = |id: &str| id.rsplit('/').next().unwrap_or(id).to_owned();
        let zone = ["HostedZoneId", "Id", "ResourceId"];
        let zone = zone.iter().find_map(|name| self.text(name)).map(bare);
        let unbound = self.operation.starts_with("ListHostedZones")
            || matches!(self.operation, "CreateHostedZone" | "GetHostedZoneCount");
        if let Some(check) = self.text("HealthCheckId") {
            let check = self.global_arn("route53", &format!("healthcheck/{}", bare(check)));
            return vec![self.need(&action, &check)];
        }
        let mut need = match (zone, self.operation) {
            (Some(id), "GetChange") => self.need(
                &action,
                &self.global_arn("route53", &format!("change/{id}")),
            ),
            (Some(id), _) if !unbound => {
                let kind = self.text("ResourceType").unwrap_or("hostedzone");
                self.need(
                    &action,
                    &self.global_arn("route53", &format!("{kind}/{id}")),
                )
            }
            _ => self.unbound(&action),
        };
        let batch = self
            .input
            .get("ChangeBatch")
            .and_then(|batch| batch.get("Changes"));
        let changes: Vec<&Value> = batch
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect();
        let part = |name: &str| -> Vec<String> {
            let records = changes
                .iter()
                .filter_map(|change| change.get("ResourceRecordSet"));
            let texts = records.filter_map(|record| record.get(name).and_then(Value::as_str));
            texts.map(str::to_owned).collect()
        };
        let names = part("Name");
        let names = names
            .iter()
            .map(|name| name.trim_end_matches('.').to_lowercase());
        need.extend(&format!("{KEY}normalizedrecordnames"), names);
        need.extend(&format!("{KEY}recordtypes"), part("Type"));
        let actions = changes
            .iter()
            .filter_map(|change| change.get("Action")?.as_str());
        need.extend(&format!("{KEY}actions"), actions.map(str::to_owned));
        vec![need]
    }

    fn of_acm(&self) -> Vec<Need> {
        let action = format!("acm:{}", self.operation);
        let named = self.text("CertificateArn");
        let named = named.or_else(|| self.text("ResourceArn"));
        let mut needs = vec![self.need(&action, named.unwrap_or("*"))];
        // Tags in a call that makes a certificate need a right of their own.
        let creates = matches!(self.operation, "RequestCertificate" | "ImportCertificate");
        if creates && !self.carried_tags().is_empty() {
            let made = self.arn("acm", "certificate/*");
            needs.push(self.need("acm:AddTagsToCertificate", &made));
        }
        needs
    }

    fn of_waf(&self, service: &str) -> Vec<Need> {
        let action = format!("{service}:{}", self.operation);
        let resource = self
            .text("ResourceArn")
            .or_else(|| self.text("ResourceARN"));
        let resource = resource.unwrap_or("*");
        let acl = self.text("WebACLArn").or_else(|| self.text("ARN"));
        match self.operation {
            "AssociateWebACL" => vec![
                self.need(&action, acl.unwrap_or(resource)),
                self.need(&action, resource),
                self.need("elasticloadbalancing:SetWebACL", resource),
            ],
            "DisassociateWebACL" => vec![
                self.need(&action, resource),
                self.need("elasticloadbalancing:SetWebACL", resource),
            ],
            "GetWebACLForResource" => vec![
                self.need(&action, resource),
                self.unbound(&format!("{service}:GetWebACL")),
            ],
            _ => vec![self.need(&action, acl.unwrap_or(resource))],
        }
    }

    fn of_each_tagged(&self) -> Vec<Need> {
        let tags = self.operation == "TagResources";
        let need = |arn: String| {
            let service = arn.split(':').nth(2).unwrap_or_default();
            let action = match (service, tags) {
                ("elasticloadbalancing", true) => "AddTags",
                ("elasticloadbalancing", false) => "RemoveTags",
                ("ec2", true) => "CreateTags",
                ("ec2", false) => "DeleteTags",
                ("route53", _) => "ChangeTagsForResource",
                ("acm", true) => "AddTagsToCertificate",
                ("acm", false) => "RemoveTagsFromCertificate",
                (_, true) => "TagResource",
                (_, false) => "UntagResource",
            };
            self.need(&format!("{service}:{action}"), &arn)
        };
        let arns = self.texts("ResourceARNList");
        arns.into_iter().map(need).collect()
    }

    fn of_cognito(&self) -> Vec<Need> {
        let action = format!("cognito-idp:{}", self.operation);
        match self.text("UserPoolId") {
            Some(pool) => vec![self.need(
                &action,
                &self.arn("cognito-idp", &format!("userpool/{pool}")),
            )],
            None => vec![self.unbound(&action)],
        }
    }

    fn of_sts(&self) -> Vec<Need> {
        match self.operation {
            "AssumeRole" => {
                let role = self.text("RoleArn").unwrap_or("*");
                vec![self.need("sts:AssumeRole", role)]
            }
            // Nobody needs a right to ask who one is, and a web identity is
            // judged by the role's trust policy alone.
            "GetCallerIdentity" | "AssumeRoleWithWebIdentity" => Vec::new(),
            operation => vec![self.unbound(&format!("sts:{operation}"))],
        }
    }
}

impl Need {
    /// Adds a condition key, where it has a value.
    fn extend(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        let values: Vec<String> = values.into_iter().collect();
        if !values.is_empty() {
            self.context.insert(key.to_lowercase(), values);
        }
    }
}
