//! Every operation that the code calls, with what the caller must be allowed
//! to do and the bucket of AWS that it is charged to.
//!
//! A test compares this table with the calls in the source and with
//! `deploy/iam-policy.json`, both ways.

use super::limit::Bucket;

/// An AWS service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Elastic Load Balancing v2.
    Elb,
    /// EC2.
    Ec2,
    /// Route 53.
    Route53,
    /// Resource Groups Tagging API.
    Tagging,
}

impl Service {
    /// The name in a request's signature.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Elb => "elasticloadbalancing",
            Self::Ec2 => "ec2",
            Self::Route53 => "route53",
            Self::Tagging => "tagging",
        }
    }

    /// The prefix of its IAM actions.
    pub fn iam_prefix(self) -> &'static str {
        match self {
            Self::Tagging => "tag",
            service => service.as_str(),
        }
    }
}

/// One operation of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its service.
    pub service: Service,
    /// Its name.
    pub name: &'static str,
    /// Whether it changes anything.
    pub writes: bool,
    /// What it is charged to.
    pub bucket: Bucket,
    /// IAM actions that the call needs, tag-on-create included.
    pub actions: &'static [&'static str],
}

const fn read(
    service: Service,
    bucket: Bucket,
    name: &'static str,
    actions: &'static [&'static str],
) -> Operation {
    Operation {
        service,
        name,
        writes: false,
        bucket,
        actions,
    }
}

const fn write(
    service: Service,
    bucket: Bucket,
    name: &'static str,
    actions: &'static [&'static str],
) -> Operation {
    Operation {
        service,
        name,
        writes: true,
        bucket,
        actions,
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $id:ident = $kind:ident($service:ident, $bucket:ident, $name:literal, [$($action:literal),+ $(,)?]);)+) => {
        $($(#[$doc])* pub const $id: Operation =
            $kind(Service::$service, Bucket::$bucket, $name, &[$($action),+]);)+
        /// All of them.
        pub const ALL: &[Operation] = &[$($id),+];
    };
}

operations! {
    /// Reads load balancers.
    DESCRIBE_LOAD_BALANCERS = read(Elb, ElbRead, "DescribeLoadBalancers", ["elasticloadbalancing:DescribeLoadBalancers"]);
    /// Reads listeners of a load balancer.
    DESCRIBE_LISTENERS = read(Elb, ElbRead, "DescribeListeners", ["elasticloadbalancing:DescribeListeners"]);
    /// Reads the certificates of a listener.
    DESCRIBE_LISTENER_CERTIFICATES = read(Elb, ElbRead, "DescribeListenerCertificates", ["elasticloadbalancing:DescribeListenerCertificates"]);
    /// Reads rules of a listener.
    DESCRIBE_RULES = read(Elb, ElbRead, "DescribeRules", ["elasticloadbalancing:DescribeRules"]);
    /// Reads target groups.
    DESCRIBE_TARGET_GROUPS = read(Elb, ElbRead, "DescribeTargetGroups", ["elasticloadbalancing:DescribeTargetGroups"]);
    /// Reads registered targets.
    DESCRIBE_TARGET_HEALTH = read(Elb, ElbRead, "DescribeTargetHealth", ["elasticloadbalancing:DescribeTargetHealth"]);
    /// Reads tags.
    DESCRIBE_TAGS = read(Elb, ElbRead, "DescribeTags", ["elasticloadbalancing:DescribeTags"]);

    /// Creates a load balancer; the first one of an account makes the
    /// service's role.
    CREATE_LOAD_BALANCER = write(Elb, ElbHeavy, "CreateLoadBalancer", [
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:AddTags",
        "iam:CreateServiceLinkedRole",
        // AWS makes these with the caller's rights.
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeAddresses",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ec2:GetSecurityGroupsForVpc",
    ]);
    /// Replaces the subnets of a load balancer.
    SET_SUBNETS = write(Elb, ElbHeavy, "SetSubnets", [
        "elasticloadbalancing:SetSubnets",
        // AWS makes these with the caller's rights.
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeAddresses",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ec2:GetSecurityGroupsForVpc",
    ]);
    /// Replaces the security groups of a load balancer.
    SET_SECURITY_GROUPS = write(Elb, ElbWrite, "SetSecurityGroups", ["elasticloadbalancing:SetSecurityGroups"]);
    /// Deletes a load balancer.
    DELETE_LOAD_BALANCER = write(Elb, ElbWrite, "DeleteLoadBalancer", ["elasticloadbalancing:DeleteLoadBalancer"]);
    /// Creates a listener.
    CREATE_LISTENER = write(Elb, ElbWrite, "CreateListener", [
        "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:AddTags",
    ]);
    /// Changes a listener.
    MODIFY_LISTENER = write(Elb, ElbWrite, "ModifyListener", ["elasticloadbalancing:ModifyListener"]);
    /// Adds a certificate to a listener's list.
    ADD_LISTENER_CERTIFICATES = write(Elb, ElbWrite, "AddListenerCertificates", ["elasticloadbalancing:AddListenerCertificates"]);
    /// Removes a certificate from a listener's list.
    REMOVE_LISTENER_CERTIFICATES = write(Elb, ElbWrite, "RemoveListenerCertificates", ["elasticloadbalancing:RemoveListenerCertificates"]);
    /// Deletes a listener.
    DELETE_LISTENER = write(Elb, ElbWrite, "DeleteListener", ["elasticloadbalancing:DeleteListener"]);
    /// Creates a rule.
    CREATE_RULE = write(Elb, ElbWrite, "CreateRule", [
        "elasticloadbalancing:CreateRule",
        "elasticloadbalancing:AddTags",
    ]);
    /// Changes a rule.
    MODIFY_RULE = write(Elb, ElbWrite, "ModifyRule", ["elasticloadbalancing:ModifyRule"]);
    /// Moves rules.
    SET_RULE_PRIORITIES = write(Elb, ElbWrite, "SetRulePriorities", ["elasticloadbalancing:SetRulePriorities"]);
    /// Deletes a rule.
    DELETE_RULE = write(Elb, ElbWrite, "DeleteRule", ["elasticloadbalancing:DeleteRule"]);
    /// Creates a target group.
    CREATE_TARGET_GROUP = write(Elb, ElbWrite, "CreateTargetGroup", [
        "elasticloadbalancing:CreateTargetGroup",
        "elasticloadbalancing:AddTags",
    ]);
    /// Changes the health check of a target group.
    MODIFY_TARGET_GROUP = write(Elb, ElbWrite, "ModifyTargetGroup", ["elasticloadbalancing:ModifyTargetGroup"]);
    /// Deletes a target group.
    DELETE_TARGET_GROUP = write(Elb, ElbWrite, "DeleteTargetGroup", ["elasticloadbalancing:DeleteTargetGroup"]);
    /// Registers targets.
    REGISTER_TARGETS = write(Elb, ElbTargets, "RegisterTargets", ["elasticloadbalancing:RegisterTargets"]);
    /// Deregisters targets.
    DEREGISTER_TARGETS = write(Elb, ElbTargets, "DeregisterTargets", ["elasticloadbalancing:DeregisterTargets"]);
    /// Adds or overwrites tags.
    ADD_TAGS = write(Elb, ElbWrite, "AddTags", ["elasticloadbalancing:AddTags"]);
    /// Removes tags.
    REMOVE_TAGS = write(Elb, ElbWrite, "RemoveTags", ["elasticloadbalancing:RemoveTags"]);

    /// Reads the VPC.
    DESCRIBE_VPCS = read(Ec2, Ec2Read, "DescribeVpcs", ["ec2:DescribeVpcs"]);
    /// Reads subnets.
    DESCRIBE_SUBNETS = read(Ec2, Ec2Read, "DescribeSubnets", ["ec2:DescribeSubnets"]);
    /// Reads route tables.
    DESCRIBE_ROUTE_TABLES = read(Ec2, Ec2Read, "DescribeRouteTables", ["ec2:DescribeRouteTables"]);
    /// Reads the kinds of zones.
    DESCRIBE_AVAILABILITY_ZONES = read(Ec2, Ec2Read, "DescribeAvailabilityZones", ["ec2:DescribeAvailabilityZones"]);
    /// Reads security groups with their rules.
    DESCRIBE_SECURITY_GROUPS = read(Ec2, Ec2Read, "DescribeSecurityGroups", ["ec2:DescribeSecurityGroups"]);
    /// Reads instances.
    DESCRIBE_INSTANCES = read(Ec2, Ec2Read, "DescribeInstances", ["ec2:DescribeInstances"]);
    /// Reads network interfaces.
    DESCRIBE_NETWORK_INTERFACES = read(Ec2, Ec2Read, "DescribeNetworkInterfaces", ["ec2:DescribeNetworkInterfaces"]);

    /// Creates a security group.
    CREATE_SECURITY_GROUP = write(Ec2, Ec2Write, "CreateSecurityGroup", [
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
    ]);
    /// Adds inbound rules.
    AUTHORIZE_SECURITY_GROUP_INGRESS = write(Ec2, Ec2Write, "AuthorizeSecurityGroupIngress", ["ec2:AuthorizeSecurityGroupIngress"]);
    /// Takes inbound rules away.
    REVOKE_SECURITY_GROUP_INGRESS = write(Ec2, Ec2Write, "RevokeSecurityGroupIngress", ["ec2:RevokeSecurityGroupIngress"]);
    /// Deletes a security group.
    DELETE_SECURITY_GROUP = write(Ec2, Ec2Write, "DeleteSecurityGroup", ["ec2:DeleteSecurityGroup"]);
    /// Tags a security group.
    CREATE_TAGS = write(Ec2, Ec2Tags, "CreateTags", ["ec2:CreateTags"]);
    /// Removes tags of a security group.
    DELETE_TAGS = write(Ec2, Ec2Tags, "DeleteTags", ["ec2:DeleteTags"]);

    /// Reads hosted zones.
    LIST_HOSTED_ZONES = read(Route53, Route53, "ListHostedZones", ["route53:ListHostedZones"]);
    /// Reads the VPCs of a private zone.
    GET_HOSTED_ZONE = read(Route53, Route53, "GetHostedZone", ["route53:GetHostedZone"]);
    /// Reads record sets.
    LIST_RESOURCE_RECORD_SETS = read(Route53, Route53, "ListResourceRecordSets", ["route53:ListResourceRecordSets"]);
    /// Reads whether a change has been spread.
    GET_CHANGE = read(Route53, Route53, "GetChange", ["route53:GetChange"]);
    /// Changes record sets.
    CHANGE_RESOURCE_RECORD_SETS = write(Route53, Route53, "ChangeResourceRecordSets", ["route53:ChangeResourceRecordSets"]);

    /// Reads the tags of all that has a tag.
    GET_RESOURCES = read(Tagging, Tagging, "GetResources", ["tag:GetResources"]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// `create_rule` for `CreateRule`.
    fn method(name: &str) -> String {
        let mut out = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !out.is_empty() {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    }

    /// All `.elb.<method>()`, `.ec2.<method>()` and so on in a file, with white
    /// space taken out.
    fn calls(text: &str, found: &mut BTreeSet<(&'static str, String)>) {
        let text: String = text.split_whitespace().collect();
        for (client, service) in [
            (".elb.", Service::Elb),
            (".ec2.", Service::Ec2),
            (".route53.", Service::Route53),
            (".tagging.", Service::Tagging),
        ] {
            for (at, _) in text.match_indices(client) {
                let rest = &text[at + client.len()..];
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                // What a client was made with is not asked of AWS.
                if rest[end..].starts_with("()") && &rest[..end] != "config" {
                    found.insert((service.as_str(), rest[..end].to_owned()));
                }
            }
        }
    }

    fn scan(folder: &Path, found: &mut BTreeSet<(&'static str, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                scan(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                calls(&std::fs::read_to_string(&path).unwrap(), found);
            }
        }
    }

    #[test]
    fn the_table_is_what_the_source_calls() {
        let mut found = BTreeSet::new();
        scan(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        let table: BTreeSet<_> = ALL
            .iter()
            .map(|o| (o.service.as_str(), method(o.name)))
            .collect();
        assert_eq!(found, table);
    }

    #[test]
    fn each_operation_needs_the_action_of_its_name() {
        for operation in ALL {
            let own = format!("{}:{}", operation.service.iam_prefix(), operation.name);
            assert!(operation.actions.contains(&own.as_str()), "{own}");
        }
    }
}
