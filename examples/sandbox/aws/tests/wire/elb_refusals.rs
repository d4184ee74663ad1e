//! ELBv2: what is refused, by table.

use crate::support::Aws;

/// Parameters from several parts.
fn join(parts: &[&[(&str, &str)]]) -> Vec<(String, String)> {
    let pairs = parts.iter().flat_map(|part| part.iter());
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn load_balancers_that_cannot_be() {
    let aws = Aws::start().await;
    let [a, b, _] = aws.world.public_subnets.as_slice() else {
        panic!("three public subnets");
    };
    let same_zone = aws.world.private_subnets[0].as_str();
    let long = "x".repeat(33);
    let s = |first: &'static str| (first, a.as_str());
    let two = [s("Subnets.member.1"), ("Subnets.member.2", b.as_str())];
    let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (
            vec![("Name", long.as_str()), two[0], two[1]],
            "ValidationError",
        ),
        (vec![("Name", "-x"), two[0], two[1]], "ValidationError"),
        (
            vec![("Name", "internal-x"), two[0], two[1]],
            "ValidationError",
        ),
        (vec![("Name", "x_y"), two[0], two[1]], "ValidationError"),
        (vec![two[0], two[1]], "ValidationError"),
        (vec![("Name", "x")], "ValidationError"),
        (vec![("Name", "x"), two[0]], "ValidationError"),
        (
            vec![
                ("Name", "x"),
                two[0],
                two[1],
                ("Subnets.member.3", same_zone),
            ],
            "InvalidConfigurationRequest",
        ),
        (
            vec![("Name", "x"), two[0], ("Subnets.member.2", "subnet-0")],
            "SubnetNotFound",
        ),
        (
            vec![
                ("Name", "x"),
                two[0],
                two[1],
                ("SecurityGroups.member.1", "sg-0"),
            ],
            "InvalidSecurityGroup",
        ),
        (
            vec![("Name", "x"), two[0], two[1], ("Scheme", "public")],
            "InvalidScheme",
        ),
        (
            vec![
                ("Name", "x"),
                two[0],
                two[1],
                ("IpAddressType", "dualstack"),
            ],
            "ValidationError",
        ),
        (
            vec![("Name", "x"), two[0], two[1], ("Type", "classic")],
            "ValidationError",
        ),
        (
            vec![("Name", "x"), two[0], two[1], ("Colour", "red")],
            "ValidationError",
        ),
        (
            vec![
                ("Name", "x"),
                two[0],
                two[1],
                ("Tags.member.1.Key", "k"),
                ("Tags.member.1.Value", "1"),
                ("Tags.member.2.Key", "k"),
                ("Tags.member.2.Value", "2"),
            ],
            "DuplicateTagKeys",
        ),
        (
            vec![
                ("Name", "x"),
                two[0],
                two[1],
                ("Tags.member.1.Key", "aws:x"),
                ("Tags.member.1.Value", "1"),
            ],
            "ValidationError",
        ),
    ];
    for (parameters, code) in cases {
        let reply = aws.elb("CreateLoadBalancer", &parameters).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, code),
            "{parameters:?}"
        );
    }
    let none = aws.elb("DescribeLoadBalancers", &[]).await.ok();
    assert!(none.all("LoadBalancerArn").is_empty());
}

#[tokio::test]
async fn internet_facing_needs_an_internet_gateway() {
    let aws = Aws::start().await;
    let vpc = aws
        .ec2("CreateVpc", &[("CidrBlock", "10.1.0.0/16")])
        .await
        .ok()
        .one("vpcId");
    let mut subnets = Vec::new();
    for (cidr, zone) in [("10.1.0.0/24", "us-east-1a"), ("10.1.1.0/24", "us-east-1b")] {
        let made = aws
            .ec2(
                "CreateSubnet",
                &[
                    ("VpcId", &vpc),
                    ("CidrBlock", cidr),
                    ("AvailabilityZone", zone),
                ],
            )
            .await
            .ok();
        subnets.push(made.one("subnetId"));
    }
    let create = |scheme: &'static str| {
        let (aws, a, b) = (&aws, subnets[0].clone(), subnets[1].clone());
        async move {
            let parameters = [
                ("Name", "x"),
                ("Scheme", scheme),
                ("Subnets.member.1", a.as_str()),
                ("Subnets.member.2", b.as_str()),
            ];
            aws.elb("CreateLoadBalancer", &parameters).await
        }
    };
    assert_eq!(create("internet-facing").await.code(), "InvalidSubnet");
    let gateway = aws
        .ec2("CreateInternetGateway", &[])
        .await
        .ok()
        .one("internetGatewayId");
    let attach = [
        ("InternetGatewayId", gateway.as_str()),
        ("VpcId", vpc.as_str()),
    ];
    aws.ec2("AttachInternetGateway", &attach).await.ok();
    assert_eq!(
        aws.ec2("AttachInternetGateway", &attach).await.code(),
        "Resource.AlreadyAssociated"
    );
    create("internet-facing").await.ok();
}

#[tokio::test]
async fn rules_that_cannot_be() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let listener = aws.listener(&balancer, "80").await;
    let group = aws.group("pods").await;
    let path = [
        ("Conditions.member.1.Field", "path-pattern"),
        ("Conditions.member.1.Values.member.1", "/a"),
    ];
    let forward = [
        ("Actions.member.1.Type", "forward"),
        ("Actions.member.1.TargetGroupArn", group.as_str()),
    ];
    let base = [("ListenerArn", listener.as_str()), ("Priority", "1")];
    let unknown_group = format!("{group}0");
    let unknown_listener = format!("{listener}0");
    let cases = vec![
        (
            join(&[
                &[
                    ("ListenerArn", unknown_listener.as_str()),
                    ("Priority", "1"),
                ],
                &path,
                &forward,
            ]),
            "ListenerNotFound",
        ),
        (
            join(&[
                &[("ListenerArn", balancer.as_str()), ("Priority", "1")],
                &path,
                &forward,
            ]),
            "ValidationError",
        ),
        (
            join(&[
                &[("ListenerArn", listener.as_str()), ("Priority", "0")],
                &path,
                &forward,
            ]),
            "ValidationError",
        ),
        (
            join(&[
                &[("ListenerArn", listener.as_str()), ("Priority", "50001")],
                &path,
                &forward,
            ]),
            "ValidationError",
        ),
        (
            join(&[&[("ListenerArn", listener.as_str())], &path, &forward]),
            "ValidationError",
        ),
        (join(&[&base, &forward]), "ValidationError"),
        (join(&[&base, &path]), "ValidationError"),
        (
            join(&[&base, &path, &[("Actions.member.1.Type", "forward")]]),
            "InvalidLoadBalancerAction",
        ),
        (
            join(&[
                &base,
                &path,
                &[
                    ("Actions.member.1.Type", "forward"),
                    ("Actions.member.1.TargetGroupArn", unknown_group.as_str()),
                ],
            ]),
            "TargetGroupNotFound",
        ),
        (
            join(&[&base, &path, &[("Actions.member.1.Type", "teapot")]]),
            "ValidationError",
        ),
        (
            join(&[
                &base,
                &path,
                &[
                    ("Actions.member.1.Type", "fixed-response"),
                    ("Actions.member.1.FixedResponseConfig.StatusCode", "302"),
                ],
            ]),
            "ValidationError",
        ),
        (
            join(&[
                &base,
                &path,
                &[
                    ("Actions.member.1.Type", "redirect"),
                    ("Actions.member.1.RedirectConfig.StatusCode", "HTTP_301"),
                ],
            ]),
            "InvalidLoadBalancerAction",
        ),
        (
            join(&[
                &base,
                &[
                    ("Conditions.member.1.Field", "host-header"),
                    ("Conditions.member.1.Values.member.1", "*"),
                ],
                &forward,
            ]),
            "ValidationError",
        ),
        (
            join(&[
                &base,
                &[
                    ("Conditions.member.1.Field", "source-ip"),
                    (
                        "Conditions.member.1.SourceIpConfig.Values.member.1",
                        "10.0.0.1",
                    ),
                ],
                &forward,
            ]),
            "ValidationError",
        ),
    ];
    for (parameters, code) in cases {
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let reply = aws.elb("CreateRule", &parameters).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, code),
            "{parameters:?} {}",
            reply.body
        );
    }
    let rules = aws
        .elb("DescribeRules", &[("ListenerArn", &listener)])
        .await
        .ok();
    assert_eq!(rules.all("Priority"), ["default"]);
}

#[tokio::test]
async fn target_groups_and_targets_that_cannot_be() {
    let aws = Aws::start().await;
    let vpc = aws.world.vpc.as_str();
    let base = [
        ("Name", "g"),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("VpcId", vpc),
    ];
    let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (vec![("HealthCheckIntervalSeconds", "5")], "ValidationError"),
        (
            vec![("HealthCheckIntervalSeconds", "301")],
            "ValidationError",
        ),
        (vec![("HealthyThresholdCount", "1")], "ValidationError"),
        (vec![("HealthCheckPath", "x")], "ValidationError"),
        (vec![("HealthCheckPort", "http")], "ValidationError"),
        (vec![("HealthCheckEnabled", "false")], "ValidationError"),
        (vec![("Matcher.HttpCode", "500")], "ValidationError"),
        (vec![("Matcher.GrpcCode", "0")], "ValidationError"),
        (vec![("TargetType", "pod")], "ValidationError"),
        (vec![("ProtocolVersion", "HTTP3")], "ValidationError"),
    ];
    for (extra, code) in cases {
        let parameters: Vec<(&str, &str)> = base.iter().copied().chain(extra).collect();
        let reply = aws.elb("CreateTargetGroup", &parameters).await;
        assert_eq!(reply.code(), code, "{parameters:?}");
    }
    let ip = aws.group("ip").await;
    let different = aws
        .elb(
            "CreateTargetGroup",
            &[
                ("Name", "ip"),
                ("Protocol", "HTTP"),
                ("Port", "81"),
                ("VpcId", vpc),
                ("TargetType", "ip"),
            ],
        )
        .await;
    assert_eq!(different.code(), "DuplicateTargetGroupName");
    let instance = aws
        .elb("CreateTargetGroup", &base)
        .await
        .ok()
        .one("TargetGroupArn");
    let outside = "192.168.7.7";
    for (group, id, zone, code) in [
        (&ip, "nonsense", "", "ValidationError"),
        (&ip, "fd00::1", "", "ValidationError"),
        (&ip, "8.8.8.8", "all", "ValidationError"),
        (&ip, "10.0.48.77", "all", "ValidationError"),
        (&ip, outside, "", "ValidationError"),
        (&ip, outside, "all", ""),
        (&ip, "10.0.48.77", "", ""),
        (&instance, "i-00000000000000000", "", "InvalidTarget"),
        (&instance, aws.world.nodes[0].as_str(), "", ""),
    ] {
        let mut parameters = vec![
            ("TargetGroupArn", group.as_str()),
            ("Targets.member.1.Id", id),
        ];
        if !zone.is_empty() {
            parameters.push(("Targets.member.1.AvailabilityZone", zone));
        }
        let reply = aws.elb("RegisterTargets", &parameters).await;
        assert_eq!(reply.code(), code, "{id} {zone} {}", reply.body);
    }
}

#[tokio::test]
async fn quotas_hold_and_can_be_moved() {
    let aws = Aws::start().await;
    let balancer = aws.balancer("web").await;
    let listener = aws.listener(&balancer, "80").await;
    let group = aws.group("pods").await;
    for (quota, value) in [
        ("rules-per-application-load-balancer", 1),
        ("application-load-balancers", 1),
        ("target-groups", 1),
        ("listeners-per-application-load-balancer", 1),
        ("targets-per-target-group", 1),
    ] {
        let body = format!(r#"{{"quotas": {{"{quota}": {value}}}}}"#);
        aws.sim(hyper::Method::POST, "config", &body).await.ok();
    }
    aws.rule(&listener, "1", "/a", &group).await.ok();
    assert_eq!(
        aws.rule(&listener, "2", "/b", &group).await.code(),
        "TooManyRules"
    );
    let [a, b, _] = aws.world.public_subnets.as_slice() else {
        panic!("three public subnets");
    };
    let second = [
        ("Name", "second"),
        ("Subnets.member.1", a.as_str()),
        ("Subnets.member.2", b.as_str()),
    ];
    assert_eq!(
        aws.elb("CreateLoadBalancer", &second).await.code(),
        "TooManyLoadBalancers"
    );
    let second = [
        ("Name", "second"),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("VpcId", aws.world.vpc.as_str()),
    ];
    assert_eq!(
        aws.elb("CreateTargetGroup", &second).await.code(),
        "TooManyTargetGroups"
    );
    let second = [
        ("LoadBalancerArn", balancer.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "81"),
        ("DefaultActions.member.1.Type", "fixed-response"),
        (
            "DefaultActions.member.1.FixedResponseConfig.StatusCode",
            "404",
        ),
    ];
    assert_eq!(
        aws.elb("CreateListener", &second).await.code(),
        "TooManyListeners"
    );
    let two = [
        ("TargetGroupArn", group.as_str()),
        ("Targets.member.1.Id", "10.0.48.77"),
        ("Targets.member.2.Id", "10.0.48.78"),
    ];
    assert_eq!(
        aws.elb("RegisterTargets", &two).await.code(),
        "TooManyTargets"
    );
    let unknown = aws
        .sim(hyper::Method::POST, "config", r#"{"quotas": {"x": 1}}"#)
        .await;
    assert_eq!(unknown.status, 400);
}
