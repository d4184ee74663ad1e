"""Target groups, their health checks, attributes and targets."""

import ipaddress
import re

import pytest
from conftest import eventually, refused, rule
from load_balancing import elb, forward, weighted  # noqa: F401

NOBODY = "0" * 16
CONFIGURATION = "InvalidConfigurationRequest"
EITHER = ("ValidationError", CONFIGURATION)


@rule("elb.target_group.defaults", "elb.target_group.arn")
def test_a_target_group(elb, aws):
    name = aws.name("tg")
    made = elb.client.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=elb.vpc.id)["TargetGroups"][0]
    arn = made.pop("TargetGroupArn")
    assert re.fullmatch(rf"arn:aws:elasticloadbalancing:us-east-1:\d{{12}}:targetgroup/{name}/[0-9a-f]{{16}}", arn)
    assert made == {
        "TargetGroupName": name, "Protocol": "HTTP", "Port": 80, "VpcId": elb.vpc.id,
        "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/", "Matcher": {"HttpCode": "200"}, "LoadBalancerArns": [],
        "TargetType": "instance", "ProtocolVersion": "HTTP1", "IpAddressType": "ipv4",
    }


@rule("elb.target_group.defaults_https", "elb.target_group.defaults_grpc")
def test_defaults_by_protocol_and_version(elb):
    https = elb.groups(Protocol="HTTPS", Port=443)
    assert (https["HealthCheckProtocol"], https["HealthCheckTimeoutSeconds"]) == ("HTTP", 5)
    grpc = elb.groups(ProtocolVersion="GRPC")
    assert grpc["HealthCheckPath"] == "/AWS.ALB/healthcheck"
    assert grpc["Matcher"] == {"GrpcCode": "12"}
    assert elb.groups(ProtocolVersion="HTTP2")["Matcher"] == {"HttpCode": "200"}


@rule("elb.target_group.lambda")
def test_a_group_for_a_function(elb):
    made = elb.function_group()
    for absent in ("Protocol", "Port", "VpcId", "HealthCheckProtocol", "HealthCheckPort", "ProtocolVersion"):
        assert absent not in made
    assert made["HealthCheckEnabled"] is False
    assert (made["HealthCheckIntervalSeconds"], made["HealthCheckTimeoutSeconds"]) == (35, 30)
    assert made["TargetType"] == "lambda"
    for stray in ({"Protocol": "HTTP"}, {"Port": 80}, {"VpcId": elb.vpc.id}, {"ProtocolVersion": "HTTP2"}, {"IpAddressType": "ipv6"}):
        settings = {"Protocol": None, "Port": None, "VpcId": None, "TargetType": "lambda", **stray}
        refused("ValidationError", lambda s=settings: elb.groups(**s))
    assert elb.function_group(HealthCheckEnabled=True)["HealthCheckEnabled"] is True


@rule("nlb.target_group.defaults", "nlb.target_group.alb")
def test_groups_of_network_load_balancers(elb):
    made = elb.groups(Protocol="TCP", Port=443)
    assert (made["HealthCheckProtocol"], made["HealthCheckIntervalSeconds"]) == ("TCP", 30)
    assert (made["HealthyThresholdCount"], made["UnhealthyThresholdCount"]) == (5, 2)
    for absent in ("ProtocolVersion", "HealthCheckPath", "Matcher"):
        assert absent not in made
    alb = elb.groups(Protocol="TCP", Port=80, TargetType="alb")
    assert (alb["HealthCheckProtocol"], alb["HealthCheckPath"]) == ("HTTP", "/")
    assert alb["Matcher"] == {"HttpCode": "200-399"}
    for protocol in ("HTTP", "UDP", "TLS"):
        refused("ValidationError", lambda p=protocol: elb.groups(Protocol=p, TargetType="alb"))
    refused("ValidationError", lambda: elb.groups(Protocol="TCP", TargetType="alb", IpAddressType="ipv6"))
    refused(EITHER, lambda: elb.groups(Protocol="TCP", ProtocolVersion="HTTP2"))
    refused(EITHER, lambda: elb.groups(Protocol="TCP", HealthCheckPath="/x"))
    refused(EITHER, lambda: elb.groups(Protocol="TCP", TargetType="alb", HealthCheckProtocol="TCP"))


@rule("elb.create_target_group.name")
def test_names(elb):
    for bad in ["x" * 33, "-x", "x-", "a_b", "a.b", "ä"]:
        refused("ValidationError", lambda n=bad: elb.groups(Name=n))
    elb.groups(Name="x" * 22 + elb.aws.name("")[:10].replace("-", "a"))


@rule("elb.create_target_group.idempotent", "elb.create_target_group.duplicate")
def test_the_same_group_again(elb, aws):
    name = aws.name("tg")
    first = elb.group(Name=name)
    assert elb.group(Name=name) == first
    for change in ({"Port": 81}, {"Protocol": "HTTPS"}, {"TargetType": "instance"}, {"ProtocolVersion": "HTTP2"},
                   {"HealthCheckPath": "/x"}, {"Matcher": {"HttpCode": "201"}}, {"HealthyThresholdCount": 3}):
        error = refused("DuplicateTargetGroupName", lambda c=change: elb.group(Name=name, **c))
        assert error.message == f"A target group with the same name '{name}' exists, but with different settings"


@rule("elb.create_target_group.required", "elb.create_target_group.vpc")
def test_what_a_group_needs(elb):
    refused("ValidationError", lambda: elb.groups(Protocol=None))
    refused("ValidationError", lambda: elb.groups(Port=None))
    refused("ValidationError", lambda: elb.groups(VpcId=None))
    refused("ValidationError", lambda: elb.groups(VpcId="vpc-00000000000000000"))
    refused("ValidationError", lambda: elb.groups(Protocol="FTP"))
    refused("ValidationError", lambda: elb.groups(TargetType="pod"))
    refused("ValidationError", lambda: elb.groups(ProtocolVersion="HTTP3"))
    refused("ValidationError", lambda: elb.groups(IpAddressType="dualstack"))
    for port in (0, 65536):
        refused("ValidationError", lambda p=port: elb.unchecked.create_target_group(
            Name=elb.aws.name(), Protocol="HTTP", Port=p, VpcId=elb.vpc.id))


@rule("elb.health_check.ranges", "elb.health_check.timeout", "elb.health_check.protocol", "elb.health_check.path",
      "elb.health_check.matcher", "elb.health_check.enabled", "elb.health_check.port")
def test_health_checks(elb, aws):
    client = aws.unchecked.elbv2
    bad = [
        {"HealthCheckIntervalSeconds": 4}, {"HealthCheckIntervalSeconds": 301},
        {"HealthCheckTimeoutSeconds": 1}, {"HealthCheckTimeoutSeconds": 121},
        {"HealthyThresholdCount": 1}, {"HealthyThresholdCount": 11},
        {"UnhealthyThresholdCount": 1}, {"UnhealthyThresholdCount": 11},
        {"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 10},
        {"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 11},
        {"HealthCheckPath": ""}, {"HealthCheckPath": "x"}, {"HealthCheckPath": "/" + "x" * 1024},
        {"HealthCheckProtocol": "TCP"}, {"HealthCheckProtocol": "UDP"}, {"HealthCheckProtocol": "FTP"},
        {"HealthCheckPort": "0"}, {"HealthCheckPort": "65536"}, {"HealthCheckPort": "http"},
        {"HealthCheckEnabled": False},
        *[{"Matcher": {"HttpCode": code}} for code in ("199", "500", "200-500", "299-200", "2xx", "200;201", "")],
        {"Matcher": {"GrpcCode": "0"}},
        {"Matcher": {"HttpCode": "200", "GrpcCode": "0"}},
        {"ProtocolVersion": "GRPC", "Matcher": {"HttpCode": "200"}},
        {"ProtocolVersion": "GRPC", "Matcher": {"GrpcCode": "100"}},
    ]
    group = elb.group()
    before = client.describe_target_groups(TargetGroupArns=[group])
    before.pop("ResponseMetadata")
    for settings in bad:
        base = {"Name": aws.name(), "Protocol": "HTTP", "Port": 80, "VpcId": elb.vpc.id}
        refused(EITHER, lambda s=settings: client.create_target_group(**base, **s))
        if "ProtocolVersion" not in settings:
            refused(EITHER, lambda s=settings: client.modify_target_group(TargetGroupArn=group, **s))
    after = client.describe_target_groups(TargetGroupArns=[group])
    after.pop("ResponseMetadata")
    assert after == before


@rule("elb.modify_target_group.partial", "elb.modify_target_group.unknown")
def test_health_checks_change(elb):
    made = elb.groups()
    arn = made["TargetGroupArn"]
    modify = lambda **change: elb.client.modify_target_group(TargetGroupArn=arn, **change)["TargetGroups"][0]
    assert modify() == made
    changes = {"HealthCheckPath": "/healthz", "HealthCheckPort": "8081", "HealthCheckProtocol": "HTTPS",
               "HealthCheckIntervalSeconds": 300, "HealthCheckTimeoutSeconds": 120,
               "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 10, "Matcher": {"HttpCode": "200-299,404"}}
    assert modify(**changes) == {**made, **changes}
    assert modify(HealthCheckPort="traffic-port") == {**made, **changes, "HealthCheckPort": "traffic-port"}
    refused("TargetGroupNotFound", lambda: elb.client.modify_target_group(TargetGroupArn=arn[:-16] + NOBODY, HealthCheckPath="/"))
    refused("ValidationError", lambda: elb.client.modify_target_group(TargetGroupArn="tg", HealthCheckPath="/"))


@rule("elb.describe_target_groups.one_of", "elb.describe_target_groups.unknown", "elb.describe_target_groups.load_balancers")
def test_groups_are_described(elb, aws):
    describe = elb.client.describe_target_groups
    made = elb.groups()
    arn, name = made["TargetGroupArn"], made["TargetGroupName"]
    assert describe(TargetGroupArns=[arn])["TargetGroups"] == describe(Names=[name])["TargetGroups"] == [made]
    refused("TargetGroupNotFound", lambda: describe(TargetGroupArns=[arn, arn[:-16] + NOBODY]))
    refused("TargetGroupNotFound", lambda: describe(Names=[name, aws.name()]))
    refused("LoadBalancerNotFound", lambda: describe(LoadBalancerArn=elb.alb[:-16] + NOBODY))
    refused("ValidationError", lambda: describe(TargetGroupArns=[arn], Names=[name]))
    refused("ValidationError", lambda: describe(TargetGroupArns=[elb.alb]))
    used = lambda: describe(TargetGroupArns=[arn])["TargetGroups"][0]["LoadBalancerArns"]
    assert used() == [] and describe(LoadBalancerArn=elb.alb)["TargetGroups"] == []
    listener = elb.listener()
    rule_arn = elb.rule(listener, Actions=[forward(arn)])["RuleArn"]
    assert used() == [elb.alb]
    assert [g["TargetGroupArn"] for g in describe(LoadBalancerArn=elb.alb)["TargetGroups"]] == [arn]
    elb.client.delete_rule(RuleArn=rule_arn)
    assert used() == []


@rule("elb.delete_target_group.in_use", "elb.delete_target_group.unknown")
def test_groups_in_use_are_not_deleted(elb):
    group = elb.group()
    listener = elb.listener(DefaultActions=[forward(group)])
    error = refused("ResourceInUse", lambda: elb.client.delete_target_group(TargetGroupArn=group))
    assert error.message == f"Target group '{group}' is currently in use by a listener or a rule"
    elb.client.delete_listener(ListenerArn=listener)
    elb.client.delete_target_group(TargetGroupArn=group)
    elb.client.delete_target_group(TargetGroupArn=group)
    refused("ValidationError", lambda: elb.client.delete_target_group(TargetGroupArn="tg"))
    refused("TargetGroupNotFound", lambda: elb.client.describe_target_groups(TargetGroupArns=[group]))


def attributes(answer):
    return {a["Key"]: a["Value"] for a in answer["Attributes"]}


HEALTH = "target_group_health."
SHARED = {
    "deregistration_delay.timeout_seconds": "300",
    "stickiness.enabled": "false",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    HEALTH + "dns_failover.minimum_healthy_targets.count": "1",
    HEALTH + "dns_failover.minimum_healthy_targets.percentage": "off",
    HEALTH + "unhealthy_state_routing.minimum_healthy_targets.count": "1",
    HEALTH + "unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
APPLICATION = {
    **SHARED,
    "stickiness.type": "lb_cookie",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "slow_start.duration_seconds": "0",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.algorithm.anomaly_mitigation": "off",
}


@rule("elb.attributes.defaults", "elb.attributes.lambda", "nlb.attributes.defaults")
def test_attributes_by_kind_of_group(elb):
    describe = lambda arn: attributes(elb.client.describe_target_group_attributes(TargetGroupArn=arn))
    assert describe(elb.group()) == APPLICATION
    assert describe(elb.function_group()["TargetGroupArn"]) == {"lambda.multi_value_headers.enabled": "false"}
    tcp = {
        **SHARED,
        "stickiness.type": "source_ip",
        "deregistration_delay.connection_termination.enabled": "false",
        "preserve_client_ip.enabled": "false",
        "proxy_protocol_v2.enabled": "false",
        "target_health_state.unhealthy.connection_termination.enabled": "true",
        "target_health_state.unhealthy.draining_interval_seconds": "0",
    }
    assert describe(elb.group(Protocol="TCP")) == tcp
    on = {**tcp, "preserve_client_ip.enabled": "true"}
    assert describe(elb.group(Protocol="TCP", TargetType="instance")) == on
    assert describe(elb.group(Protocol="TCP", TargetType="alb")) == on
    refused("TargetGroupNotFound", lambda: describe(elb.group()[:-16] + NOBODY))


@rule("elb.attributes.http2")
def test_groups_of_http2_have_more(elb):
    describe = lambda version: attributes(
        elb.client.describe_target_group_attributes(TargetGroupArn=elb.group(ProtocolVersion=version)))
    resets = {"routing.http2.rst_stream_error_forwarding.enabled": "false"}
    assert describe("GRPC") == {**APPLICATION, **resets}
    assert describe("HTTP2") == {
        **APPLICATION, **resets, "waf.http2.traffic_inspection_behavior": "inspect_immediately"}


@rule("nlb.attributes.values", "nlb.attributes.couplings")
def test_attributes_of_network_groups_change(elb):
    def modify(group, **changes):
        changes = [{"Key": k.replace("__", "."), "Value": v} for k, v in changes.items()]
        return attributes(elb.client.modify_target_group_attributes(TargetGroupArn=group, Attributes=changes))

    group = elb.group(Protocol="TCP")
    after = modify(group, preserve_client_ip__enabled="true", proxy_protocol_v2__enabled="true", stickiness__enabled="true")
    assert after["proxy_protocol_v2.enabled"] == after["preserve_client_ip.enabled"] == "true"
    for changes in [
        {"slow_start__duration_seconds": "30"}, {"load_balancing__algorithm__type": "round_robin"},
        {"stickiness__lb_cookie__duration_seconds": "60"}, {"preserve_client_ip__enabled": "on"},
        {"target_health_state__unhealthy__draining_interval_seconds": "60"},
        {"target_health_state__unhealthy__connection_termination__enabled": "false",
         "target_health_state__unhealthy__draining_interval_seconds": "360001"},
        {"lambda__multi_value_headers__enabled": "true"},
    ]:
        refused(EITHER, lambda c=changes: modify(group, **c))
    modify(group, target_health_state__unhealthy__connection_termination__enabled="false",
           target_health_state__unhealthy__draining_interval_seconds="360000")
    udp = elb.group(Protocol="UDP", HealthCheckProtocol="TCP")
    refused(EITHER, lambda: modify(udp, preserve_client_ip__enabled="false"))
    refused(EITHER, lambda: modify(udp, target_health_state__unhealthy__connection_termination__enabled="true"))


@rule("elb.attributes.partial", "elb.attributes.values", "elb.attributes.keys")
def test_attributes_change(elb):
    group = elb.group()

    def modify(changes, group=group):
        changes = [{"Key": k, "Value": v} for k, v in changes.items()]
        return attributes(elb.client.modify_target_group_attributes(TargetGroupArn=group, Attributes=changes))

    delay = "deregistration_delay.timeout_seconds"
    assert modify({delay: "0"}) == {**APPLICATION, delay: "0"}
    sticky = {"stickiness.enabled": "true", "stickiness.lb_cookie.duration_seconds": "604800"}
    assert modify(sticky) == {**APPLICATION, delay: "0", **sticky}
    count = HEALTH + "{}.minimum_healthy_targets.count"
    percentage = HEALTH + "{}.minimum_healthy_targets.percentage"
    bad = [
        {delay: "3601"}, {delay: "-1"}, {delay: "x"}, {"stickiness.enabled": "yes"}, {"stickiness.type": "cookie"},
        {"stickiness.lb_cookie.duration_seconds": "0"}, {"stickiness.lb_cookie.duration_seconds": "604801"},
        {"stickiness.app_cookie.duration_seconds": "604801"},
        {"slow_start.duration_seconds": "29"}, {"slow_start.duration_seconds": "901"},
        {"load_balancing.algorithm.type": "random"}, {"load_balancing.algorithm.anomaly_mitigation": "true"},
        {"load_balancing.cross_zone.enabled": "off"},
        {count.format("dns_failover"): "0"}, {percentage.format("dns_failover"): "101"},
        {count.format("unhealthy_state_routing"): "off"}, {percentage.format("unhealthy_state_routing"): "0"},
        {"no.such.key": "x"}, {"lambda.multi_value_headers.enabled": "true"},
        {"preserve_client_ip.enabled": "true"}, {"proxy_protocol_v2.enabled": "true"},
        {"deregistration_delay.connection_termination.enabled": "true"},
        {"target_health_state.unhealthy.connection_termination.enabled": "true"},
        {"target_failover.on_deregistration": "rebalance"}, {"send_tcp_reset.on_unhealthy.enabled": "true"},
        {delay: "30", "no.such.key": "x"},
    ]
    for changes in bad:
        refused(EITHER, lambda c=changes: modify(c))
    assert attributes(elb.client.describe_target_group_attributes(TargetGroupArn=group)) == {**APPLICATION, delay: "0", **sticky}
    refused(EITHER, lambda: modify({}))
    refused("TargetGroupNotFound", lambda: modify({delay: "1"}, group[:-16] + NOBODY))


@rule("elb.attributes.couplings", "elb.attributes.stickiness_type")
def test_attributes_that_depend_on_each_other(elb):
    def modify(group, **changes):
        changes = [{"Key": k.replace("__", "."), "Value": v} for k, v in changes.items()]
        return elb.client.modify_target_group_attributes(TargetGroupArn=group, Attributes=changes)

    fresh = elb.group
    bad = [
        {"stickiness__enabled": "true", "stickiness__type": "app_cookie"},
        {"stickiness__app_cookie__cookie_name": "AWSALBAPP"},
        {"stickiness__app_cookie__cookie_name": "AWSALB-x"},
        {"stickiness__enabled": "true", "load_balancing__cross_zone__enabled": "false"},
        {"slow_start__duration_seconds": "30", "load_balancing__algorithm__type": "least_outstanding_requests"},
        {"slow_start__duration_seconds": "30", "load_balancing__algorithm__type": "weighted_random"},
        {"load_balancing__algorithm__anomaly_mitigation": "on"},
    ]
    for changes in bad:
        group = fresh()
        refused(EITHER, lambda: modify(group, **changes))
    error = refused(CONFIGURATION, lambda: modify(fresh(), stickiness__type="source_ip"))
    assert error.message == "Stickiness type 'source_ip' is not supported for target groups with the HTTP protocol"
    refused(CONFIGURATION, lambda: modify(fresh(Protocol="TCP"), stickiness__type="lb_cookie"))
    modify(fresh(), stickiness__enabled="true", stickiness__type="app_cookie", stickiness__app_cookie__cookie_name="session")
    modify(fresh(), load_balancing__algorithm__type="weighted_random", load_balancing__algorithm__anomaly_mitigation="on")
    a, b = fresh(), fresh()
    elb.rule(elb.listener(), Actions=[weighted((a, 1), (b, 1))])
    refused(EITHER, lambda: modify(a, stickiness__enabled="true"))


@pytest.fixture
def nodes(aws, vpc):
    """Two running instances, in the first two zones."""
    image = aws.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]

    def run(subnet):
        made = aws.ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=subnet)
        return made["Instances"][0]["InstanceId"]

    ids = [run(subnet) for subnet in vpc.subnets[:2]]
    running = lambda: all(
        i["State"]["Name"] == "running"
        for r in aws.ec2.describe_instances(InstanceIds=ids)["Reservations"] for i in r["Instances"])
    eventually(running)
    return ids


def register(elb, group, *targets):
    targets = [t if isinstance(t, dict) else {"Id": t} for t in targets]
    return elb.client.register_targets(TargetGroupArn=group, Targets=targets)


def deregister(elb, group, *targets):
    targets = [t if isinstance(t, dict) else {"Id": t} for t in targets]
    return elb.client.deregister_targets(TargetGroupArn=group, Targets=targets)


@rule("elb.register.instances", "elb.register.identity", "elb.health.not_in_use")
def test_instances_as_targets(elb, aws, nodes):
    group = elb.group(TargetType="instance")
    register(elb, group, nodes[0], {"Id": nodes[0], "Port": 81}, nodes[1])
    register(elb, group, nodes[0])
    shown = elb.health(group)
    assert sorted((t["Target"]["Id"], t["Target"]["Port"]) for t in shown) == sorted(
        [(nodes[0], 8080), (nodes[0], 81), (nodes[1], 8080)])
    for target in shown:
        assert target["HealthCheckPort"] == str(target["Target"]["Port"])
        assert "AvailabilityZone" not in target["Target"]
        assert target["TargetHealth"] == {
            "State": "unused", "Reason": "Target.NotInUse",
            "Description": "Target group is not configured to receive traffic from the load balancer"}
    refused("InvalidTarget", lambda: register(elb, group, "i-00000000000000000"))
    refused("ValidationError", lambda: register(elb, group, "10.0.0.77"))
    refused("ValidationError", lambda: register(elb, group, {"Id": nodes[0], "AvailabilityZone": "us-east-1a"}))
    refused("InvalidTarget", lambda: register(elb, group, {"Id": nodes[1], "Port": 99}, "i-00000000000000000"))
    assert len(elb.health(group)) == 3
    aws.ec2.terminate_instances(InstanceIds=[nodes[1]])
    refused("InvalidTarget", lambda: register(elb, group, {"Id": nodes[1], "Port": 99}))


@rule("elb.register.other_vpc")
def test_instances_of_another_vpc(elb, aws, nodes):
    elsewhere = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = elb.group(TargetType="instance", VpcId=elsewhere)
    refused("InvalidTarget", lambda: register(elb, group, nodes[0]))


@rule("elb.register.ip", "elb.register.ip_inside", "elb.register.ip_outside", "elb.register.ip_ranges")
def test_addresses_as_targets(elb):
    group = elb.group()
    register(elb, group, "10.0.0.77", {"Id": "10.0.1.77", "AvailabilityZone": "us-east-1b"})
    error = refused("ValidationError", lambda: register(elb, group, {"Id": "10.0.0.78", "AvailabilityZone": "all"}))
    assert "is within the VPC, and cannot have its Availability Zone overridden to 'all' from 'us-east-1a'" in error.message
    error = refused("ValidationError", lambda: register(elb, group, "192.168.7.7"))
    assert "Availability Zone" in error.message and "192.168.7.7" in error.message
    # Inside is what a subnet holds, not what the VPC could hold.
    refused("ValidationError", lambda: register(elb, group, "10.0.200.7"))
    for outside in ("10.0.200.7", "192.168.7.7", "172.16.0.1", "100.64.0.1"):
        register(elb, group, {"Id": outside, "AvailabilityZone": "all"})
    zones = {t["Target"]["Id"]: t["Target"].get("AvailabilityZone") for t in elb.health(group)}
    assert zones["10.0.0.77"] is None and zones["10.0.1.77"] == "us-east-1b" and zones["192.168.7.7"] == "all"
    for bad in ("8.8.8.8", "127.0.0.1", "169.254.169.254", "nonsense", "10.0.0", "fd00::1", "i-00000000000000000"):
        refused("ValidationError", lambda b=bad: register(elb, group, {"Id": b, "AvailabilityZone": "all"}))
    refused("ValidationError", lambda: register(elb, group))
    unchecked = elb.unchecked.register_targets
    for port in (0, 65536):
        refused("ValidationError", lambda p=port: unchecked(TargetGroupArn=group, Targets=[{"Id": "10.0.0.79", "Port": p}]))
    refused("TargetGroupNotFound", lambda: register(elb, group[:-16] + NOBODY, "10.0.0.77"))


@rule("elb.register.ipv6", "elb.forward.ipv6")
def test_ipv6(elb, aws):
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    read = lambda: aws.ec2.describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    block = eventually(lambda: [a for a in read() if a["Ipv6CidrBlockState"]["State"] == "associated"])[0]["Ipv6CidrBlock"]
    parts = list(ipaddress.ip_network(block).subnets(new_prefix=64))
    subnets = [
        aws.ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"10.0.{n}.0/24", Ipv6CidrBlock=str(parts[n]),
                              AvailabilityZone=f"us-east-1{'ab'[n]}")["Subnet"]["SubnetId"]
        for n in (0, 1)]
    group = elb.group(VpcId=vpc["VpcId"], IpAddressType="ipv6")
    register(elb, group, str(parts[0][0x77]))
    for bad in ("10.0.0.77", "2001:db8::1"):
        refused("ValidationError", lambda b=bad: register(elb, group, {"Id": b, "AvailabilityZone": "all"}))
    balancer = elb.balancer(Subnets=subnets, Scheme="internal", IpAddressType="dualstack")
    elb.listener(LoadBalancerArn=balancer, DefaultActions=[forward(group)])
    assert elb.health(group)[0]["TargetHealth"]["State"] == "initial"


@rule("elb.register.cross_zone")
def test_targets_of_all_zones_need_cross_zone(elb):
    off = [{"Key": "load_balancing.cross_zone.enabled", "Value": "false"}]
    group = elb.group()
    register(elb, group, {"Id": "192.168.7.7", "AvailabilityZone": "all"})
    refused(EITHER, lambda: elb.client.modify_target_group_attributes(TargetGroupArn=group, Attributes=off))
    other = elb.group()
    elb.client.modify_target_group_attributes(TargetGroupArn=other, Attributes=off)
    refused("ValidationError", lambda: register(elb, other, {"Id": "192.168.7.7", "AvailabilityZone": "all"}))
    register(elb, other, {"Id": "192.168.7.7", "AvailabilityZone": "us-east-1a"})


@rule("elb.register.lambda", "elb.health.disabled")
def test_a_function_as_a_target(elb, aws):
    group = elb.function_group()["TargetGroupArn"]
    function = "arn:aws:lambda:us-east-1:123456789012:function:shop"
    refused(("ValidationError", "InvalidTarget"), lambda: register(elb, group, "shop"))
    refused("ValidationError", lambda: register(elb, group, {"Id": function, "AvailabilityZone": "us-east-1a"}))
    register(elb, group, function)
    refused("TooManyTargets", lambda: register(elb, group, function + "2"))
    (shown,) = elb.health(group)
    assert shown["Target"] == {"Id": function, "AvailabilityZone": "all"}
    assert "HealthCheckPort" not in shown
    elb.listener(DefaultActions=[forward(group)])
    expected = {"State": "unavailable", "Reason": "Target.HealthCheckDisabled", "Description": "Health checks are not enabled for this target"}
    eventually(lambda: elb.health(group)[0]["TargetHealth"] == expected)


@rule("nlb.register.alb")
def test_a_load_balancer_as_a_target(elb):
    group = elb.group(Protocol="TCP", Port=80, TargetType="alb")
    refused("InvalidTarget", lambda: register(elb, group, elb.alb))
    elb.listener()
    refused("InvalidTarget", lambda: register(elb, group, elb.alb[:-16] + NOBODY))
    refused("ValidationError", lambda: register(elb, group, "10.0.0.77"))
    refused("ValidationError", lambda: register(elb, group, {"Id": elb.alb, "Port": 81}))
    register(elb, group, elb.alb)
    other = elb.balancer()
    elb.listener(LoadBalancerArn=other)
    refused("TooManyTargets", lambda: register(elb, group, other))
    assert [t["Target"] for t in elb.health(group)] == [{"Id": elb.alb, "Port": 80}]


@rule("nlb.health.alb")
def test_a_load_balancer_is_checked_as_a_target(elb):
    page = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
    elb.listener(DefaultActions=[page])
    group = elb.group(Protocol="TCP", Port=80, TargetType="alb", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    register(elb, group, elb.alb)
    network = elb.balancer(Type="network", Scheme="internal")
    elb.listener(LoadBalancerArn=network, Protocol="TCP", DefaultActions=[forward(group)])
    state = lambda: elb.health(group)[0]["TargetHealth"]["State"]
    assert state() == "initial"
    eventually(lambda: state() == "healthy")
    refused("ResourceInUse", lambda: elb.client.delete_load_balancer(LoadBalancerArn=elb.alb))


@rule("elb.deregister.unknown", "elb.deregister.port", "elb.health.not_registered")
def test_targets_are_deregistered(elb):
    group = elb.group()
    register(elb, group, {"Id": "10.0.0.77", "Port": 81})
    refused("InvalidTarget", lambda: deregister(elb, group, "10.0.0.77"))
    assert len(elb.health(group)) == 1
    deregister(elb, group, {"Id": "10.0.0.77", "Port": 81})
    assert elb.health(group) == []
    refused("TargetGroupNotFound", lambda: deregister(elb, group[:-16] + NOBODY, "10.0.0.77"))
    refused("ValidationError", lambda: deregister(elb, group))
    (shown,) = elb.health(group, Targets=[{"Id": "10.0.0.77", "Port": 81}])
    assert shown["TargetHealth"] == {
        "State": "unused", "Reason": "Target.NotRegistered", "Description": "Target is not registered to the target group"}


@rule("elb.health.initial", "elb.health.unhealthy", "elb.health.draining", "elb.register.draining")
def test_a_target_from_initial_to_drained(elb):
    group = elb.group(HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    register(elb, group, "10.0.0.77")
    elb.listener(DefaultActions=[forward(group)])
    state = lambda: elb.health(group)[0]["TargetHealth"]
    first = state()
    assert (first["State"], first["Reason"]) == ("initial", "Elb.RegistrationInProgress")
    assert first["Description"] == "Target registration is in progress"
    # Nobody listens there.
    eventually(lambda: state()["State"] == "unhealthy")
    assert state()["Reason"] in ("Target.FailedHealthChecks", "Target.Timeout")
    deregister(elb, group, "10.0.0.77")
    assert state() == {
        "State": "draining", "Reason": "Target.DeregistrationInProgress", "Description": "Target deregistration is in progress"}
    deregister(elb, group, "10.0.0.77")
    register(elb, group, "10.0.0.77")
    assert state()["State"] == "initial"
    deregister(elb, group, "10.0.0.77")
    eventually(lambda: elb.health(group) == [])


@rule("elb.health.zone")
def test_targets_in_a_zone_that_is_not_enabled(elb):
    balancer = elb.balancer(Subnets=elb.vpc.subnets[:2])
    group = elb.group()
    register(elb, group, "10.0.2.77")
    elb.listener(LoadBalancerArn=balancer, DefaultActions=[forward(group)])
    assert elb.health(group)[0]["TargetHealth"] == {
        "State": "unused", "Reason": "Target.NotInUse",
        "Description": "Target is in an Availability Zone that is not enabled for the load balancer"}


@rule("elb.health.ip_unusable")
def test_addresses_of_load_balancers_cannot_be_used(elb, aws):
    other = elb.balancer(Scheme="internal")
    description = "ELB " + other.split(":loadbalancer/")[1]
    interfaces = aws.ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [description]}])["NetworkInterfaces"]
    group = elb.group()
    register(elb, group, interfaces[0]["PrivateIpAddress"])
    elb.listener(DefaultActions=[forward(group)])
    assert elb.health(group)[0]["TargetHealth"] == {
        "State": "unused", "Reason": "Target.IpUnusable",
        "Description": "The IP address cannot be used as a target, as it is in use by a load balancer"}


@rule("elb.health.stopped")
def test_instances_that_do_not_run(elb, aws, nodes):
    group = elb.group(TargetType="instance")
    register(elb, group, *nodes)
    elb.listener(DefaultActions=[forward(group)])
    aws.ec2.stop_instances(InstanceIds=[nodes[0]])
    aws.ec2.terminate_instances(InstanceIds=[nodes[1]])
    shown = lambda node: elb.health(group, Targets=[{"Id": node}])[0]["TargetHealth"]
    for node, state in ((nodes[0], "stopped"), (nodes[1], "terminated")):
        eventually(lambda: shown(node) == {
            "State": "unused", "Reason": "Target.InvalidState", "Description": f"Target is in the {state} state"})


@rule("elb.health.include")
def test_anomalies_are_told_on_demand(elb):
    group = elb.group()
    register(elb, group, "10.0.0.77")
    assert "AnomalyDetection" not in elb.health(group)[0]
    for include in ("AnomalyDetection", "All"):
        shown = elb.health(group, Include=[include])[0]
        assert shown["AnomalyDetection"] == {"Result": "normal", "MitigationInEffect": "no"}
    refused("ValidationError", lambda: elb.health(group, Include=["Everything"]))
    refused("TargetGroupNotFound", lambda: elb.health(group[:-16] + NOBODY))


@rule("elb.register.quota_group", "elb.register.quota_load_balancer")
def test_targets_are_counted(elb):
    group = elb.group()
    ports = [{"Id": "10.0.0.77", "Port": port} for port in range(1, 1001)]
    register(elb, group, *ports)
    refused("TooManyTargets", lambda: register(elb, group, {"Id": "10.0.0.77", "Port": 1001}))
    register(elb, group, ports[0])
    other = elb.group()
    register(elb, other, "10.0.0.78")
    listener = elb.listener(DefaultActions=[forward(group)])
    refused("TooManyTargets", lambda: elb.rule(listener, Actions=[forward(other)]))
    deregister(elb, other, "10.0.0.78")
    elb.rule(listener, Actions=[forward(other)])
    error = refused("TooManyTargets", lambda: register(elb, other, "10.0.0.78"))
    assert error.message == "The maximum number of targets per load balancer '1000' has been reached"
