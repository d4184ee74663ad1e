//! The reads against raw answers: what is asked, how often, and what becomes
//! of it.

#![allow(clippy::unwrap_used, clippy::panic)]

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
        verify_interval: Duration::from_hours(1),
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
fn account(request: &str) -> (u16, String) {
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

#[tokio::test]
async fn a_restart_reads_the_account_once_and_each_group_once() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let observed = memory.recall(&group()).await.unwrap();
    assert_eq!(
        server.actions(),
        [
            "DescribeListenerCertificates",
            "DescribeListeners",
            "DescribeLoadBalancers",
            "DescribeLoadBalancers",
            "DescribeRules",
            "DescribeSecurityGroups",
            "DescribeTags",
            "DescribeTags",
            "DescribeTargetGroups",
            "DescribeTargetHealth",
        ]
    );

    let [lb] = observed.load_balancers.as_slice() else {
        panic!("{observed:?}");
    };
    assert_eq!(lb.spec.name, "k8s-a");
    assert_eq!(lb.state, LoadBalancerState::Active);
    assert_eq!(
        lb.spec.security_groups,
        BTreeSet::from([SecurityGroupRef::Frontend, SecurityGroupRef::Backend])
    );
    let listener = &lb.listeners[&443];
    assert_eq!(listener.spec.default_certificate, Some(Arn::from("cert-1")));
    assert_eq!(
        listener.spec.sni_certificates,
        BTreeSet::from([Arn::from("cert-2")])
    );
    assert_eq!(
        listener.spec.default_action,
        Action::FixedResponse {
            status_code: "404".to_owned(),
            content_type: Some("text/plain".to_owned()),
            body: None,
        }
    );
    assert_eq!(listener.rules.keys().collect::<Vec<_>>(), [&1, &2]);
    let rule = &listener.rules[&1].spec;
    assert_eq!(
        rule.conditions,
        [Condition::PathPattern(vec!["/a".to_owned()])]
    );
    let tg = Arn(format!("{ARN}targetgroup/k8s-tg/73e2"));
    assert_eq!(
        rule.action,
        Action::Forward(TargetGroupRef::Arn(tg.clone()))
    );
    assert_eq!(rule.tags, marks("80"));

    let [live] = observed.target_groups.as_slice() else {
        panic!("{observed:?}");
    };
    assert_eq!(live.arn, tg);
    assert_eq!(live.spec.key.0, "shop/web-svc:80");
    assert_eq!(live.targets.len(), 1, "the draining one is gone");
    assert_eq!(observed.security_groups.len(), 1);

    let before = server.seen().len();
    assert_eq!(memory.recall(&group()).await.unwrap(), observed);
    let other = GroupId::Explicit("nothing-there".to_owned());
    assert!(memory.recall(&other).await.unwrap().is_empty());
    assert_eq!(memory.groups().await.unwrap(), BTreeSet::from([group()]));
    assert_eq!(server.seen().len(), before, "all of that is known");
}

#[tokio::test]
async fn many_who_want_the_listing_share_one() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let groups: Vec<GroupId> = (0..20)
        .map(|n| GroupId::Explicit(format!("g{n}")))
        .collect();
    futures::future::try_join_all(groups.iter().map(|g| memory.recall(g)))
        .await
        .unwrap();
    let listings = server
        .actions()
        .iter()
        .filter(|a| *a == "DescribeTargetGroups")
        .count();
    assert_eq!(listings, 1);
}

#[tokio::test]
async fn a_group_in_doubt_is_read_again_and_our_own_write_stays() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    memory.remember(&group(), |observed| {
        observed.target_groups[0].spec.health_check.path = "/new".to_owned();
        observed.security_groups.clear();
    });
    memory.mark_stale(&group());
    let before = server.seen().len();
    let observed = memory.recall(&group()).await.unwrap();
    assert!(server.seen().len() > before);
    assert_eq!(observed.target_groups[0].spec.health_check.path, "/new");
    assert!(observed.security_groups.is_empty(), "deleted a moment ago");
    let after = server.seen().len();
    memory.recall(&group()).await.unwrap();
    assert_eq!(server.seen().len(), after, "the doubt is settled");
}

#[tokio::test]
async fn verification_waits_and_then_finds_what_somebody_took_away() {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&gone);
    let server = Server::start(move |request| {
        if flag.load(Ordering::SeqCst) && request.starts_with("Action=DescribeTargetGroups") {
            elb("DescribeTargetGroups", "<TargetGroups></TargetGroups>")
        } else {
            account(request)
        }
    })
    .await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    memory.facts().await.unwrap();
    let before = server.seen().len();
    let soon = Instant::now() + Duration::from_mins(4);
    assert!(memory.verify_tick(soon).await.unwrap().is_empty());
    assert_eq!(server.seen().len(), before, "too early");

    gone.store(true, Ordering::SeqCst);
    let due = Instant::now() + Duration::from_mins(6);
    let drift = memory.verify_tick(due).await.unwrap();
    assert_eq!(drift.groups, BTreeSet::from([group()]));
    let observed = memory.recall(&group()).await.unwrap();
    assert!(observed.target_groups.is_empty());
}

#[tokio::test]
async fn facts_are_read_once_and_again_at_most_once_a_minute() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let facts = memory.facts().await.unwrap();
    assert_eq!(facts.vpc_cidrs, ["10.0.0.0/16".parse().unwrap()]);
    assert!(facts.subnets[0].routed_to_internet);
    assert_eq!(facts.subnets[0].locale, "availability-zone");
    assert_eq!(facts.security_groups.len(), 3);
    assert_eq!(server.seen().len(), 5);
    memory.facts().await.unwrap();
    assert!(memory.facts_again().await.unwrap().is_none());
    let backend = memory.recall_backend().await.unwrap();
    assert_eq!(server.seen().len(), 5);
    assert_eq!(backend.group.unwrap().arn.0, "sg-back");
    let rules = &backend.rules["sg-node"];
    assert_eq!(rules.len(), 1, "a rule by hand is not ours");
    assert_eq!(rules.first().unwrap().ports, Some((8080, 8080)));
}

#[tokio::test]
async fn nodes_and_pods_cost_one_call_and_a_new_pod_on_a_known_node_none() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.facts().await.unwrap();
    let pod = |address: &str, instance: Option<&str>| PodAddress {
        address: address.to_owned(),
        instance: instance.map(str::to_owned),
        own_interface: false,
    };
    let nodes = BTreeSet::from(["i-1".to_owned()]);
    let before = server.seen().len();
    let mut pods = BTreeSet::from([pod("10.0.0.9", Some("i-1"))]);
    let facts = memory.backend_facts(&nodes, &pods).await.unwrap();
    let node_groups = BTreeSet::from(["sg-node".to_owned()]);
    assert_eq!(facts.instance_security_groups["i-1"], node_groups);
    assert_eq!(facts.pod_security_groups["10.0.0.9"], node_groups);
    assert_eq!(server.seen().len(), before + 1);

    pods.insert(pod("10.0.0.10", Some("i-1")));
    let facts = memory.backend_facts(&nodes, &pods).await.unwrap();
    assert_eq!(facts.pod_security_groups["10.0.0.10"], node_groups);
    assert_eq!(server.seen().len(), before + 1);

    pods.insert(pod("10.0.7.7", None));
    let facts = memory.backend_facts(&nodes, &pods).await.unwrap();
    assert_eq!(
        facts.pod_security_groups["10.0.7.7"],
        BTreeSet::from(["sg-pod".to_owned()])
    );
    assert_eq!(server.actions().last().unwrap(), "DescribeVpcs");
    assert_eq!(server.seen().len(), before + 2);
}

#[tokio::test]
async fn verdicts_are_facts_until_they_expire() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let verdict = Verdict {
        ingress: ObjectName::new("shop", "web"),
        subject: "certificate-arn".to_owned(),
        value: "cert-9".to_owned(),
        code: "CertificateNotFound".to_owned(),
        message: "no".to_owned(),
    };
    assert!(memory.add_verdict(&group(), verdict.clone()));
    assert!(!memory.add_verdict(&group(), verdict.clone()));
    assert_eq!(memory.facts().await.unwrap().verdicts, [verdict]);
    let late = Instant::now() + Duration::from_hours(2);
    let drift = memory.verify_tick(late).await.unwrap();
    assert!(drift.groups.contains(&group()));
    assert!(memory.facts().await.unwrap().verdicts.is_empty());
}

#[tokio::test]
async fn a_load_balancer_that_is_being_made_is_polled_in_one_call() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    assert!(memory.poll_load_balancers().await.unwrap().is_empty());
    memory.remember(&group(), |observed| {
        observed.load_balancers[0].state = LoadBalancerState::Provisioning;
    });
    let before = server.seen().len();
    let changed = memory.poll_load_balancers().await.unwrap();
    assert_eq!(server.seen().len(), before + 1);
    assert_eq!(changed, BTreeSet::from([group()]));
    let observed = memory.remembered(&group());
    assert_eq!(observed.load_balancers[0].state, LoadBalancerState::Active);
    assert!(memory.poll_load_balancers().await.unwrap().is_empty());
    assert_eq!(server.seen().len(), before + 1, "none is waited for now");
}

fn records(sets: &[(&str, &str)], next: Option<&str>) -> (u16, String) {
    let sets: String = sets
        .iter()
        .map(|(name, kind)| {
            format!(
                "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>300</TTL>\
                 <ResourceRecords><ResourceRecord><Value>v</Value></ResourceRecord></ResourceRecords>\
                 </ResourceRecordSet>"
            )
        })
        .collect();
    let more = next.map_or(String::new(), |name| {
        format!("<NextRecordName>{name}</NextRecordName><NextRecordType>A</NextRecordType>")
    });
    let body = format!(
        "<ListResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
         <ResourceRecordSets>{sets}</ResourceRecordSets><IsTruncated>{}</IsTruncated>{more}\
         <MaxItems>300</MaxItems></ListResourceRecordSetsResponse>",
        next.is_some()
    );
    (200, body)
}

fn dns(server: &Server) -> Dns {
    Dns::new(
        server.aws.clone(),
        Duration::from_hours(1),
        Duration::from_mins(5),
    )
}

fn wanted(host: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(host.to_owned(), "Z1".to_owned())])
}

#[tokio::test]
async fn a_host_and_its_owner_are_read_in_one_call_and_then_remembered() {
    let server = Server::start(|_| {
        records(
            &[
                ("app.example.com.", "A"),
                ("_albc-a.app.example.com.", "TXT"),
                ("zoo.example.com.", "A"),
            ],
            Some("zoo2.example.com."),
        )
    })
    .await;
    let dns = dns(&server);
    let host = "app.example.com";
    let recalled = dns.recall(&wanted(host)).await;
    assert_eq!(server.seen().len(), 1);
    assert_eq!(recalled.records[host].at_host.len(), 1);
    assert_eq!(recalled.records[host].at_owner.len(), 1);
    dns.recall(&wanted(host)).await;
    assert_eq!(server.seen().len(), 1);
    dns.mark_stale(host);
    dns.recall(&wanted(host)).await;
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn in_a_crowded_zone_the_owner_is_looked_up_by_name() {
    let server = Server::start(|request| {
        if request.contains("name=_albc-a") {
            records(
                &[("_albc-a.example.com.", "TXT"), ("a.example.com.", "A")],
                Some("b.example.com."),
            )
        } else {
            records(
                &[
                    ("example.com.", "NS"),
                    ("\\052.example.com.", "A"),
                    ("1.example.com.", "A"),
                ],
                Some("2.example.com."),
            )
        }
    })
    .await;
    let recalled = dns(&server).recall(&wanted("example.com")).await;
    assert_eq!(server.seen().len(), 2);
    let records = &recalled.records["example.com"];
    assert_eq!(records.at_host.len(), 1);
    assert_eq!(records.at_owner.len(), 1);
}

#[tokio::test]
async fn a_host_with_many_records_is_read_to_its_end() {
    let server = Server::start(|request| {
        if request.contains("type=A") {
            records(
                &[("app.example.com.", "TXT"), ("zoo.example.com.", "A")],
                None,
            )
        } else {
            records(&[("app.example.com.", "A")], Some("app.example.com."))
        }
    })
    .await;
    let recalled = dns(&server).recall(&wanted("app.example.com")).await;
    assert_eq!(recalled.records["app.example.com"].at_host.len(), 2);
}

#[tokio::test]
async fn zones_that_may_not_be_listed_are_an_answer() {
    let server = Server::start(|_| (403, error_body("AccessDenied", "no"))).await;
    let dns = dns(&server);
    let zones = dns.zones(&BTreeSet::new()).await.unwrap();
    assert!(zones.zones.is_empty());
    assert_eq!(zones.denied.as_ref().unwrap().class, Class::Denied);
    dns.zones(&BTreeSet::new()).await.unwrap();
    assert_eq!(server.seen().len(), 1, "remembered");
}

#[tokio::test]
async fn vpcs_are_looked_up_for_private_zones_that_matter() {
    let server = Server::start(|request| {
        let zone = |id: &str, name: &str, private: bool| {
            format!(
                "<HostedZone><Id>/hostedzone/{id}</Id><Name>{name}.</Name><CallerReference>r</CallerReference>\
                 <Config><PrivateZone>{private}</PrivateZone></Config></HostedZone>"
            )
        };
        let space = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";
        let body = if request.contains("/hostedzone/") {
            format!(
                "<GetHostedZoneResponse {space}>{}<VPCs><VPC><VPCRegion>eu-west-1</VPCRegion>\
                 <VPCId>vpc-1</VPCId></VPC></VPCs></GetHostedZoneResponse>",
                zone("Z2", "in.example.com", true)
            )
        } else {
            format!(
                "<ListHostedZonesResponse {space}><HostedZones>{}{}{}</HostedZones>\
                 <Marker></Marker><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>",
                zone("Z1", "Example.com", false),
                zone("Z2", "in.example.com", true),
                zone("Z3", "else.org", true),
            )
        };
        (200, body)
    })
    .await;
    let dns = dns(&server);
    let hosts = BTreeSet::from(["a.in.example.com".to_owned()]);
    let zones = dns.zones(&hosts).await.unwrap();
    assert_eq!(server.seen().len(), 2);
    let by_id: BTreeMap<&str, _> = zones.zones.iter().map(|z| (z.id.as_str(), z)).collect();
    assert_eq!(by_id["Z1"].name, "example.com");
    assert_eq!(by_id["Z1"].private_vpcs, None);
    assert_eq!(by_id["Z2"].private_vpcs, Some(vec!["vpc-1".to_owned()]));
    assert_eq!(by_id["Z3"].private_vpcs, Some(Vec::new()));
    dns.zones(&hosts).await.unwrap();
    assert_eq!(server.seen().len(), 2);
}
