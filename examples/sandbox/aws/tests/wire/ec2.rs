//! EC2: reads with filters and pages, security groups, tags.

use crate::support::Aws;

#[tokio::test]
async fn subnets_are_found_by_tags_and_filters() {
    let aws = Aws::start().await;
    let vpc = aws.world.vpc.as_str();
    let count = |parameters: Vec<(&'static str, String)>| {
        let aws = &aws;
        async move {
            let parameters: Vec<(&str, &str)> =
                parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
            aws.ec2("DescribeSubnets", &parameters)
                .await
                .ok()
                .all("subnetId")
                .len()
        }
    };
    let filter = |name: &str, values: &[&str]| {
        let mut parameters = vec![("Filter.1.Name", name.to_owned())];
        for (key, value) in ["Filter.1.Value.1", "Filter.1.Value.2"]
            .into_iter()
            .zip(values)
        {
            parameters.push((key, (*value).to_owned()));
        }
        parameters
    };
    assert_eq!(count(vec![]).await, 6);
    assert_eq!(
        count(filter("tag:kubernetes.io/role/elb", &["", "1"])).await,
        3
    );
    assert_eq!(count(filter("tag:kubernetes.io/role/elb", &[""])).await, 0);
    assert_eq!(
        count(filter("tag-key", &["kubernetes.io/role/internal-elb"])).await,
        3
    );
    assert_eq!(
        count(filter(
            "tag:kubernetes.io/cluster/sandbox",
            &["shared", "owned"]
        ))
        .await,
        6
    );
    assert_eq!(count(filter("availability-zone", &["us-east-1?"])).await, 6);
    assert_eq!(count(filter("availability-zone", &["us-east-1a"])).await, 2);
    assert_eq!(count(filter("vpc-id", &[vpc])).await, 6);
    assert_eq!(count(filter("vpc-id", &["vpc-0"])).await, 0);

    let subnet = aws
        .ec2(
            "DescribeSubnets",
            &[("SubnetId.1", &aws.world.public_subnets[0])],
        )
        .await
        .ok();
    // The NAT gateway has one address there.
    assert_eq!(subnet.one("availableIpAddressCount"), "4090");
    aws.balancer("web").await;
    let subnet = aws
        .ec2(
            "DescribeSubnets",
            &[("SubnetId.1", &aws.world.public_subnets[0])],
        )
        .await
        .ok();
    assert_eq!(subnet.one("availableIpAddressCount"), "4089");
}

#[tokio::test]
async fn bad_reads_are_refused() {
    let aws = Aws::start().await;
    let subnet = aws.world.public_subnets[0].as_str();
    for (action, parameters, code) in [
        (
            "DescribeSubnets",
            vec![("Filter.1.Name", "colour"), ("Filter.1.Value.1", "x")],
            "InvalidParameterValue",
        ),
        (
            "DescribeSubnets",
            vec![
                ("SubnetId.1", subnet),
                ("SubnetId.2", "subnet-00000000000000000"),
            ],
            "InvalidSubnetID.NotFound",
        ),
        (
            "DescribeSubnets",
            vec![("SubnetId.1", "subnet-x")],
            "InvalidSubnetID.Malformed",
        ),
        (
            "DescribeSubnets",
            vec![("SubnetId.1", subnet), ("MaxResults", "5")],
            "InvalidParameterCombination",
        ),
        (
            "DescribeSubnets",
            vec![("MaxResults", "4")],
            "InvalidParameterValue",
        ),
        (
            "DescribeRouteTables",
            vec![("MaxResults", "101")],
            "InvalidParameterValue",
        ),
        (
            "DescribeSubnets",
            vec![("Colour", "red")],
            "UnknownParameter",
        ),
        (
            "DescribeVpcs",
            vec![("VpcId.1", "vpc-00000000000000000")],
            "InvalidVpcID.NotFound",
        ),
        (
            "DescribeInstances",
            vec![("InstanceId.1", "i-00000000000000000")],
            "InvalidInstanceID.NotFound",
        ),
        (
            "DescribeSecurityGroups",
            vec![("GroupId.1", "sg-00000000000000000")],
            "InvalidGroup.NotFound",
        ),
        (
            "DescribeAvailabilityZones",
            vec![("ZoneName.1", "us-east-1z")],
            "InvalidParameterValue",
        ),
        (
            "CreateSecurityGroup",
            vec![("GroupName", "x")],
            "MissingParameter",
        ),
        ("MakeCoffee", vec![], "InvalidAction"),
    ] {
        let reply = aws.ec2(action, &parameters).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, code),
            "{action} {parameters:?}"
        );
        let id = reply.request_id.clone().unwrap();
        assert!(
            reply
                .body
                .ends_with(&format!("<RequestID>{id}</RequestID></Response>"))
        );
    }
}

#[tokio::test]
async fn pages_come_to_an_end() {
    let aws = Aws::start().await;
    let first = aws
        .ec2("DescribeSubnets", &[("MaxResults", "5")])
        .await
        .ok();
    let token = first.one("nextToken");
    let second = aws
        .ec2(
            "DescribeSubnets",
            &[("MaxResults", "5"), ("NextToken", &token)],
        )
        .await
        .ok();
    let mut ids = first.all("subnetId");
    ids.extend(second.all("subnetId"));
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), second.all("nextToken").len()), (6, 0));
}

#[tokio::test]
async fn the_world_reads_as_a_cluster_needs_it() {
    let aws = Aws::start().await;
    let node = aws.world.nodes[0].as_str();
    let instances = aws
        .ec2("DescribeInstances", &[("InstanceId.1", node)])
        .await
        .ok();
    assert!(
        instances
            .body
            .contains("<instanceState><code>16</code><name>running</name>")
    );
    assert_eq!(instances.one("groupId"), aws.world.node_security_group);
    assert_eq!(instances.one("availabilityZone"), "us-east-1a");
    let gateways = aws
        .ec2(
            "DescribeInternetGateways",
            &[
                ("Filter.1.Name", "attachment.vpc-id"),
                ("Filter.1.Value.1", &aws.world.vpc),
            ],
        )
        .await
        .ok();
    assert!(gateways.body.contains("<state>available</state>"));
    let tables = aws
        .ec2(
            "DescribeRouteTables",
            &[
                ("Filter.1.Name", "association.subnet-id"),
                ("Filter.1.Value.1", &aws.world.public_subnets[0]),
            ],
        )
        .await
        .ok();
    assert_eq!(tables.one("gatewayId"), "local");
    assert!(
        tables
            .all("gatewayId")
            .contains(&aws.world.internet_gateway)
    );
    let zones = aws.ec2("DescribeAvailabilityZones", &[]).await.ok();
    assert_eq!(zones.all("zoneId"), ["use1-az1", "use1-az2", "use1-az3"]);

    let state = aws.simulator.state();
    let pod = state.write(|state, _| state.assign_pod_ip(node)).unwrap();
    let by_address = [
        ("Filter.1.Name", "addresses.private-ip-address"),
        ("Filter.1.Value.1", &pod.to_string()),
    ];
    let found = aws.ec2("DescribeNetworkInterfaces", &by_address).await.ok();
    assert!(found.all("instanceId").contains(&node.to_owned()));
    state.write(|state, _| state.release_pod_ip(pod));
    let found = aws.ec2("DescribeNetworkInterfaces", &by_address).await.ok();
    assert!(found.all("networkInterfaceId").is_empty());

    aws.ec2("TerminateInstances", &[("InstanceId.1", node)])
        .await
        .ok();
    for state in ["shutting-down", "terminated"] {
        let instances = aws
            .ec2("DescribeInstances", &[("InstanceId.1", node)])
            .await
            .ok();
        assert!(instances.body.contains(&format!("<name>{state}</name>")));
        // It takes an hour here, and is seen for another one.
        aws.simulator.state().write(|state, now| {
            let later = now.checked_add(jiff::SignedDuration::from_mins(90));
            state.advance(later.unwrap());
        });
    }
}

#[tokio::test]
async fn security_groups_and_their_rules() {
    let aws = Aws::start().await;
    let create = |name: &'static str| {
        let (aws, vpc) = (&aws, aws.world.vpc.clone());
        async move {
            let parameters = [
                ("GroupName", name),
                ("GroupDescription", "for a test"),
                ("VpcId", vpc.as_str()),
                ("TagSpecification.1.ResourceType", "security-group"),
                ("TagSpecification.1.Tag.1.Key", "owner"),
                ("TagSpecification.1.Tag.1.Value", name),
            ];
            aws.ec2("CreateSecurityGroup", &parameters).await
        }
    };
    let front = create("front").await.ok().one("groupId");
    assert_eq!(create("FRONT").await.code(), "InvalidGroup.Duplicate");
    assert_eq!(create("sg-x").await.code(), "InvalidParameterValue");
    assert_eq!(create("default").await.code(), "InvalidGroup.Reserved");
    let back = create("back").await.ok().one("groupId");

    let base = "IpPermissions.1.";
    let permission = |protocol: &str, from: &str, to: &str, key: &str, value: &str| {
        vec![
            ("GroupId".to_owned(), front.clone()),
            (format!("{base}IpProtocol"), protocol.to_owned()),
            (format!("{base}FromPort"), from.to_owned()),
            (format!("{base}ToPort"), to.to_owned()),
            (format!("{base}{key}"), value.to_owned()),
        ]
    };
    let range = "IpRanges.1.CidrIp";
    for (action, parameters, code) in [
        (
            "Authorize",
            permission("tcp", "80", "80", range, "100.68.0.18/18"),
            "",
        ),
        (
            "Authorize",
            permission("6", "80", "80", range, "100.68.0.0/18"),
            "InvalidPermission.Duplicate",
        ),
        (
            "Authorize",
            permission("tcp", "443", "80", range, "10.0.0.0/8"),
            "InvalidParameterValue",
        ),
        (
            "Authorize",
            permission("tcp", "80", "80", range, "10.0.0.0"),
            "InvalidParameterValue",
        ),
        (
            "Authorize",
            permission(
                "tcp",
                "80",
                "80",
                "Groups.1.GroupId",
                "sg-00000000000000000",
            ),
            "InvalidGroup.NotFound",
        ),
        (
            "Authorize",
            permission("tcp", "80", "80", "Groups.1.GroupId", &back),
            "",
        ),
        (
            "Authorize",
            permission("tcp", "80", "80", "Ipv6Ranges.1.CidrIpv6", "::/0"),
            "",
        ),
        (
            "Revoke",
            permission("tcp", "81", "81", range, "100.68.0.0/18"),
            "InvalidPermission.NotFound",
        ),
    ] {
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let reply = aws
            .ec2(&format!("{action}SecurityGroupIngress"), &parameters)
            .await;
        assert_eq!(reply.code(), code, "{parameters:?}");
    }

    let shown = aws
        .ec2("DescribeSecurityGroups", &[("GroupId.1", &front)])
        .await
        .ok();
    assert_eq!(shown.all("ipProtocol"), ["tcp", "-1"]);
    assert!(shown.body.contains("<cidrIp>100.68.0.0/18</cidrIp>"));
    assert!(shown.body.contains("<key>owner</key><value>front</value>"));
    let rules = aws
        .ec2(
            "DescribeSecurityGroupRules",
            &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &front)],
        )
        .await
        .ok();
    assert_eq!(rules.all("securityGroupRuleId").len(), 4);

    // Named by a rule of another group, then free.
    let delete = |id: String| {
        let aws = &aws;
        async move { aws.ec2("DeleteSecurityGroup", &[("GroupId", &id)]).await }
    };
    assert_eq!(delete(back.clone()).await.code(), "DependencyViolation");
    delete(front.clone()).await.ok();
    assert_eq!(delete(front.clone()).await.code(), "InvalidGroup.NotFound");
    delete(back).await.ok();
    assert_eq!(
        delete(aws.world.node_security_group.clone()).await.code(),
        "DependencyViolation"
    );
}

#[tokio::test]
async fn a_call_with_one_bad_rule_adds_none() {
    let aws = Aws::start().await;
    let group = aws.world.node_security_group.as_str();
    let one = [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "80"),
        ("IpPermissions.1.ToPort", "80"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
    ];
    aws.ec2("AuthorizeSecurityGroupIngress", &one).await.ok();
    let mut two = one.to_vec();
    two.push(("IpPermissions.1.IpRanges.2.CidrIp", "11.0.0.0/8"));
    let reply = aws.ec2("AuthorizeSecurityGroupIngress", &two).await;
    assert_eq!(reply.code(), "InvalidPermission.Duplicate");
    let shown = aws
        .ec2("DescribeSecurityGroups", &[("GroupId.1", group)])
        .await
        .ok();
    assert!(!shown.body.contains("11.0.0.0/8"));

    aws.sim(
        hyper::Method::POST,
        "config",
        r#"{"quotas": {"rules-per-security-group": 2}}"#,
    )
    .await
    .ok();
    let mut third = one.to_vec();
    third[4].1 = "12.0.0.0/8";
    let reply = aws.ec2("AuthorizeSecurityGroupIngress", &third).await;
    assert_eq!(reply.code(), "RulesPerSecurityGroupLimitExceeded");
}

#[tokio::test]
async fn tags_come_and_go_by_value() {
    let aws = Aws::start().await;
    let vpc = aws.world.vpc.as_str();
    let tags = || async {
        let shown = aws.ec2("DescribeVpcs", &[("VpcId.1", vpc)]).await.ok();
        shown.all("key")
    };
    aws.ec2(
        "CreateTags",
        &[
            ("ResourceId.1", vpc),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", "1"),
        ],
    )
    .await
    .ok();
    aws.ec2(
        "DeleteTags",
        &[
            ("ResourceId.1", vpc),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", "2"),
        ],
    )
    .await
    .ok();
    assert_eq!(tags().await, ["Name", "a"]);
    aws.ec2(
        "CreateTags",
        &[
            ("ResourceId.1", vpc),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", "<1> & \"2\""),
        ],
    )
    .await
    .ok();
    let shown = aws.ec2("DescribeVpcs", &[("VpcId.1", vpc)]).await.ok();
    assert!(
        shown
            .all("value")
            .contains(&"&lt;1&gt; &amp; &quot;2&quot;".to_owned())
    );
    aws.ec2("DeleteTags", &[("ResourceId.1", vpc), ("Tag.1.Key", "a")])
        .await
        .ok();
    assert_eq!(tags().await, ["Name"]);
    aws.ec2("DeleteTags", &[("ResourceId.1", vpc)]).await.ok();
    assert!(tags().await.is_empty());
    let unknown = aws
        .ec2(
            "CreateTags",
            &[
                ("ResourceId.1", "sg-00000000000000000"),
                ("Tag.1.Key", "a"),
                ("Tag.1.Value", "1"),
            ],
        )
        .await;
    assert_eq!(unknown.code(), "InvalidGroup.NotFound");
}
