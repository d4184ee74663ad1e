"""Target groups, their health checks and attributes."""

import re

from conftest import refused, rule
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
    error = refused(EITHER, lambda: modify({"preserve_client_ip.enabled": "true"}))
    assert "The provided target group attribute is not supported" in error.message
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
