//! Raw answers of AWS for tests, and the tests of reads against them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod groups;
mod records;
mod verification;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::aws::tests::{Server, error_body};
use crate::model::finding::Verdict;
use crate::model::ownership;
use crate::model::spec::{
    Action, Condition, HealthCheck, ObjectName, Protocol, SecurityGroupRef, TargetGroup,
    TargetGroupKey, TargetGroupRef, TargetType,
};

/// A target group as AWS makes one by default.
pub(crate) fn target_group(key: &str) -> TargetGroup {
    TargetGroup {
        key: TargetGroupKey(key.to_owned()),
        name: "k8s-ns-web-0123456789".to_owned(),
        target_type: TargetType::Ip,
        protocol: Protocol::Http,
        protocol_version: "HTTP1".to_owned(),
        port: 80,
        health_check: HealthCheck {
            protocol: Protocol::Http,
            port: "traffic-port".to_owned(),
            path: "/".to_owned(),
            interval_seconds: 15,
            timeout_seconds: 5,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            success_codes: "200".to_owned(),
        },
        tags: Tags::new(),
    }
}

pub(crate) const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:";

pub(crate) fn scope() -> Scope {
    Scope {
        cluster: "prod".to_owned(),
        vpc: "vpc-1".to_owned(),
        periods: Periods {
            fast: Some(Duration::from_hours(1)),
            tag: None,
            slow: None,
            target: None,
            network: None,
        },
        verdict: Duration::from_hours(1),
        first_verification: Duration::from_mins(5),
    }
}

pub(crate) fn group() -> GroupId {
    GroupId::Implicit(ObjectName::new("shop", "web"))
}

fn members(items: &[String]) -> String {
    items.iter().fold(String::new(), |mut all, item| {
        let _ = write!(all, "<member>{item}</member>");
        all
    })
}

/// An ELBv2 answer.
pub(crate) fn elb(action: &str, inner: &str) -> (u16, String) {
    let body = format!(
        "<{action}Response xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <{action}Result>{inner}</{action}Result>\
         <ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></{action}Response>"
    );
    (200, body)
}

/// An EC2 answer.
pub(crate) fn ec2(action: &str, inner: &str) -> (u16, String) {
    let body = format!(
        "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>req-1</requestId>{inner}</{action}Response>"
    );
    (200, body)
}

fn load_balancer(name: &str, vpc: &str) -> String {
    format!(
        "<LoadBalancerArn>{ARN}loadbalancer/app/{name}/50dc</LoadBalancerArn>\
         <LoadBalancerName>{name}</LoadBalancerName><DNSName>{name}.elb.amazonaws.com</DNSName>\
         <CanonicalHostedZoneId>Z32O12XQLNTSW2</CanonicalHostedZoneId>\
         <Scheme>internet-facing</Scheme><VpcId>{vpc}</VpcId><Type>application</Type>\
         <State><Code>active</Code></State>\
         <SecurityGroups><member>sg-front</member><member>sg-back</member></SecurityGroups>\
         <AvailabilityZones><member><SubnetId>subnet-b</SubnetId></member>\
         <member><SubnetId>subnet-a</SubnetId></member></AvailabilityZones>"
    )
}

fn target_group_xml(name: &str) -> String {
    format!(
        "<TargetGroupArn>{ARN}targetgroup/{name}/73e2</TargetGroupArn>\
         <TargetGroupName>{name}</TargetGroupName><Protocol>HTTP</Protocol><Port>80</Port>\
         <VpcId>vpc-1</VpcId><TargetType>ip</TargetType><ProtocolVersion>HTTP1</ProtocolVersion>\
         <HealthCheckProtocol>HTTP</HealthCheckProtocol><HealthCheckPort>traffic-port</HealthCheckPort>\
         <HealthCheckPath>/</HealthCheckPath><HealthCheckIntervalSeconds>15</HealthCheckIntervalSeconds>\
         <HealthCheckTimeoutSeconds>5</HealthCheckTimeoutSeconds>\
         <HealthyThresholdCount>2</HealthyThresholdCount><UnhealthyThresholdCount>2</UnhealthyThresholdCount>\
         <Matcher><HttpCode>200</HttpCode></Matcher>"
    )
}

fn marks(resource: &str) -> Tags {
    Tags::from([
        (ownership::CLUSTER_TAG.to_owned(), "prod".to_owned()),
        (ownership::STACK_TAG.to_owned(), "shop/web".to_owned()),
        (ownership::RESOURCE_TAG.to_owned(), resource.to_owned()),
    ])
}

/// The parameters of a request that begin so, percent-decoded as far as ARNs
/// need it.
fn parameters(request: &str, prefix: &str) -> Vec<String> {
    request
        .split('&')
        .filter(|p| p.starts_with(prefix))
        .filter_map(|p| p.split_once('='))
        .map(|(_, value)| value.replace("%3A", ":").replace("%2F", "/"))
        .collect()
}

/// A `DescribeTags` answer for what a request asks for.
pub(crate) fn tags_answer(request: &str, tags: impl Fn(&str) -> Tags) -> (u16, String) {
    let described: Vec<String> = parameters(request, "ResourceArns.member.")
        .iter()
        .map(|arn| {
            let list: Vec<String> = tags(arn)
                .iter()
                .map(|(key, value)| format!("<Key>{key}</Key><Value>{value}</Value>"))
                .collect();
            let list = members(&list);
            format!("<ResourceArn>{arn}</ResourceArn><Tags>{list}</Tags>")
        })
        .collect();
    let inner = format!("<TagDescriptions>{}</TagDescriptions>", members(&described));
    elb("DescribeTags", &inner)
}

fn security_groups() -> (u16, String) {
    let tag =
        |key: &str, value: &str| format!("<item><key>{key}</key><value>{value}</value></item>");
    let front: String = marks(ownership::FRONTEND_RESOURCE)
        .iter()
        .map(|(key, value)| tag(key, value))
        .collect();
    let back = tag(ownership::CLUSTER_TAG, "prod")
        + &tag(ownership::SHARED_RESOURCE_TAG, ownership::BACKEND_RESOURCE);
    let pair = |description: &str, port: u16| {
        format!(
            "<item><ipProtocol>tcp</ipProtocol><fromPort>{port}</fromPort><toPort>{port}</toPort>\
             <groups><item><groupId>sg-back</groupId><description>{description}</description>\
             </item></groups></item>"
        )
    };
    let item = |id: &str, tags: &str, rules: &str| {
        format!(
            "<item><groupId>{id}</groupId><groupName>name-{id}</groupName>\
             <groupDescription>d</groupDescription><vpcId>vpc-1</vpcId>\
             <tagSet>{tags}</tagSet><ipPermissions>{rules}</ipPermissions></item>"
        )
    };
    let range = "<item><ipProtocol>tcp</ipProtocol><fromPort>80</fromPort><toPort>80</toPort>\
                 <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item>";
    let node = pair(ownership::BACKEND_RULE_DESCRIPTION, 8080) + &pair("by hand", 22);
    let inner = format!(
        "<securityGroupInfo>{}{}{}</securityGroupInfo>",
        item("sg-front", &front, range),
        item("sg-back", &back, ""),
        item("sg-node", "", &node),
    );
    ec2("DescribeSecurityGroups", &inner)
}

/// An account with one group of ours, and others' things beside it.
pub(crate) fn account(request: &str) -> (u16, String) {
    let rule = |n: u32, path: &str, target: &str| {
        format!(
            "<RuleArn>{ARN}listener-rule/app/k8s-a/50dc/f2f7/{n}</RuleArn><Priority>{n}</Priority>\
             <IsDefault>false</IsDefault><Conditions><member><Field>path-pattern</Field>\
             <Values><member>{path}</member></Values>\
             <PathPatternConfig><Values><member>{path}</member></Values></PathPatternConfig>\
             </member></Conditions><Actions><member><Type>forward</Type>\
             <TargetGroupArn>{ARN}targetgroup/{target}/73e2</TargetGroupArn></member></Actions>"
        )
    };
    let action = request.strip_prefix("Action=").unwrap_or(request);
    match action.split('&').next().unwrap() {
        "DescribeLoadBalancers"
            if request.contains("Marker=page2") || request.contains("LoadBalancerArns") =>
        {
            let ours = [load_balancer("k8s-a", "vpc-1")];
            let inner = format!("<LoadBalancers>{}</LoadBalancers>", members(&ours));
            elb("DescribeLoadBalancers", &inner)
        }
        "DescribeLoadBalancers" => {
            let others = [
                load_balancer("other-vpc", "vpc-2"),
                load_balancer("not-ours", "vpc-1"),
            ];
            let inner = format!(
                "<LoadBalancers>{}</LoadBalancers><NextMarker>page2</NextMarker>",
                members(&others)
            );
            elb("DescribeLoadBalancers", &inner)
        }
        "DescribeTargetGroups" => {
            let groups = [target_group_xml("k8s-tg"), target_group_xml("not-ours")];
            let inner = format!("<TargetGroups>{}</TargetGroups>", members(&groups));
            elb("DescribeTargetGroups", &inner)
        }
        "DescribeTags" => tags_answer(request, |arn| {
            if arn.contains("not-ours") {
                Tags::new()
            } else if arn.contains("targetgroup") {
                marks("shop/web-svc:80")
            } else if arn.contains("/50dc/f2f7") {
                marks("80")
            } else {
                marks("LoadBalancer")
            }
        }),
        "DescribeSecurityGroups" => security_groups(),
        "DescribeListeners" => {
            let http = format!(
                "<ListenerArn>{ARN}listener/app/k8s-a/50dc/f2f7</ListenerArn><Port>443</Port>\
                 <Protocol>HTTPS</Protocol><SslPolicy>ELBSecurityPolicy-2016-08</SslPolicy>\
                 <Certificates><member><CertificateArn>cert-1</CertificateArn></member></Certificates>\
                 <DefaultActions><member><Type>fixed-response</Type><FixedResponseConfig>\
                 <StatusCode>404</StatusCode><ContentType>text/plain</ContentType>\
                 <MessageBody></MessageBody></FixedResponseConfig></member></DefaultActions>"
            );
            let inner = format!("<Listeners>{}</Listeners>", members(&[http]));
            elb("DescribeListeners", &inner)
        }
        "DescribeRules" => {
            let default = format!(
                "<RuleArn>{ARN}listener-rule/app/k8s-a/50dc/f2f7/d</RuleArn>\
                 <Priority>default</Priority><IsDefault>true</IsDefault>"
            );
            let rules = [rule(2, "/b", "k8s-tg"), default, rule(1, "/a", "k8s-tg")];
            let inner = format!("<Rules>{}</Rules>", members(&rules));
            elb("DescribeRules", &inner)
        }
        "DescribeListenerCertificates" => {
            let list = [
                "<CertificateArn>cert-1</CertificateArn><IsDefault>true</IsDefault>".to_owned(),
                "<CertificateArn>cert-2</CertificateArn><IsDefault>false</IsDefault>".to_owned(),
            ];
            let inner = format!("<Certificates>{}</Certificates>", members(&list));
            elb("DescribeListenerCertificates", &inner)
        }
        "DescribeTargetHealth" => {
            let target = |ip: &str, state: &str| {
                format!(
                    "<Target><Id>{ip}</Id><Port>8080</Port></Target>\
                     <TargetHealth><State>{state}</State></TargetHealth>"
                )
            };
            let all = [
                target("10.0.0.1", "healthy"),
                target("10.0.0.2", "draining"),
            ];
            let inner = format!(
                "<TargetHealthDescriptions>{}</TargetHealthDescriptions>",
                members(&all)
            );
            elb("DescribeTargetHealth", &inner)
        }
        "DescribeVpcs" => ec2(
            "DescribeVpcs",
            "<vpcSet><item><vpcId>vpc-1</vpcId><cidrBlockAssociationSet>\
             <item><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item>\
             <item><cidrBlock>10.9.0.0/16</cidrBlock><cidrBlockState><state>disassociated</state></cidrBlockState></item>\
             </cidrBlockAssociationSet></item></vpcSet>",
        ),
        "DescribeSubnets" => ec2(
            "DescribeSubnets",
            "<subnetSet><item><subnetId>subnet-a</subnetId><availabilityZone>eu-west-1a</availabilityZone>\
             <availableIpAddressCount>200</availableIpAddressCount></item></subnetSet>",
        ),
        "DescribeRouteTables" => ec2(
            "DescribeRouteTables",
            "<routeTableSet><item><routeSet><item><gatewayId>igw-1</gatewayId><state>active</state></item></routeSet>\
             <associationSet><item><main>true</main></item></associationSet></item></routeTableSet>",
        ),
        "DescribeAvailabilityZones" => ec2(
            "DescribeAvailabilityZones",
            "<availabilityZoneInfo><item><zoneName>eu-west-1a</zoneName>\
             <zoneType>availability-zone</zoneType></item></availabilityZoneInfo>",
        ),
        "DescribeInstances" => ec2(
            "DescribeInstances",
            "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>\
             <networkInterfaceSet><item><attachment><deviceIndex>0</deviceIndex></attachment>\
             <groupSet><item><groupId>sg-node</groupId></item></groupSet>\
             <privateIpAddressesSet><item><privateIpAddress>10.0.0.9</privateIpAddress></item></privateIpAddressesSet>\
             </item></networkInterfaceSet></item></instancesSet></item></reservationSet>",
        ),
        "DescribeNetworkInterfaces" => ec2(
            "DescribeNetworkInterfaces",
            "<networkInterfaceSet><item><groupSet><item><groupId>sg-pod</groupId></item></groupSet>\
             <privateIpAddressesSet><item><privateIpAddress>10.0.7.7</privateIpAddress></item></privateIpAddressesSet>\
             </item></networkInterfaceSet>",
        ),
        other => panic!("not expected: {other}"),
    }
}
