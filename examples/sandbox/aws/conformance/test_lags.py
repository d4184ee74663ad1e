"""Eventual consistency: each lag by itself, met for certain and moved past."""

import contextlib

import pytest

from conftest import eventually, refused, rule
from load_balancing import NOT_FOUND, elb, forward  # noqa: F401

LONG = 600_000


@pytest.fixture
def lag(aws):
    """Switches one lag on until the test is over; calling the answer moves past it."""
    with contextlib.ExitStack() as stack:

        def switch(name):
            aws.sim.post("config", {"lags": {name: {"ms": LONG, "probability": 1}}})
            stack.callback(lambda: aws.sim.post("config", {"lags": {name: None}}))
            return lambda: aws.sim.post("time", {"forward_ms": LONG + 1})

        yield switch


@rule("sim.lags")
def test_lags_are_off_unless_switched_on(aws):
    assert aws.sim.get("config")["lags"] == {}
    for wrong in ({"no-such-lag": {"ms": 1}}, {"change-tags": {"ms": 1, "probability": 2}}, {"change-tags": {"seconds": 1}}):
        assert aws.sim.call("POST", "config", {"lags": wrong})[0] in (400, 422)
    assert aws.sim.get("config")["lags"] == {}


@rule("sim.lags.create_load_balancer")
def test_a_new_load_balancer_is_not_found(aws, elb, lag):
    past = lag("create-load-balancer")
    arn = elb.balancer()
    tags = [{"Key": "a", "Value": "b"}]
    refused("LoadBalancerNotFound", lambda: aws.elbv2.describe_load_balancers(LoadBalancerArns=[arn]))
    refused("LoadBalancerNotFound", lambda: aws.elbv2.add_tags(ResourceArns=[arn], Tags=tags))
    past()
    aws.elbv2.add_tags(ResourceArns=[arn], Tags=tags)
    assert aws.elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]


@rule("sim.lags.create_target_group")
def test_a_new_target_group_is_not_found(aws, elb, lag):
    past = lag("create-target-group")
    arn = elb.group()
    tags = [{"Key": "a", "Value": "b"}]
    attributes = [{"Key": "stickiness.enabled", "Value": "true"}]
    for call in (
        lambda: aws.elbv2.describe_target_groups(TargetGroupArns=[arn]),
        lambda: aws.elbv2.add_tags(ResourceArns=[arn], Tags=tags),
        lambda: aws.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes),
    ):
        refused("TargetGroupNotFound", call)
    past()
    aws.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)


@rule("sim.lags.alias_load_balancer")
def test_an_alias_does_not_find_a_new_load_balancer(aws, elb, lag):
    past = lag("alias-load-balancer")
    shown = aws.elbv2.describe_load_balancers(LoadBalancerArns=[elb.balancer()])["LoadBalancers"][0]
    name = f"{aws.name('alias')}.example.com."
    zone = aws.route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    target = {
        "HostedZoneId": shown["CanonicalHostedZoneId"],
        "DNSName": shown["DNSName"],
        "EvaluateTargetHealth": True,
    }
    change = {"Action": "UPSERT", "ResourceRecordSet": {"Name": name, "Type": "A", "AliasTarget": target}}
    upsert = lambda: aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})
    error = refused("InvalidChangeBatch", upsert, 400)
    assert "but that target was not found" in error.message
    past()
    upsert()


@rule("sim.lags.create_listener")
def test_a_new_listener_is_not_found(aws, elb, lag):
    elb.alb
    past = lag("create-listener")
    made = elb.listener()
    refused("ListenerNotFound", lambda: elb.rule(made))
    past()
    elb.rule(made)


@rule("sim.lags.create_security_group")
def test_a_new_security_group_is_not_found(aws, elb, lag):
    past = lag("create-security-group")
    group = elb.vpc.security_group()
    permission = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    authorize = lambda: aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permission)
    refused("InvalidGroup.NotFound", authorize)
    refused("InvalidSecurityGroup", lambda: elb.balancer(SecurityGroups=[group]))
    past()
    authorize()


@rule("sim.lags.release_target_group")
@pytest.mark.parametrize("release", ["rule deleted", "rule changed", "listener deleted"])
def test_a_target_group_that_was_used_is_in_use(aws, elb, lag, release):
    group = elb.group()
    if release == "listener deleted":
        one = elb.listener(DefaultActions=[forward(group)])
    else:
        one = elb.rule(elb.listener(), Actions=[forward(group)])["RuleArn"]
    past = lag("release-target-group")
    match release:
        case "rule deleted":
            aws.elbv2.delete_rule(RuleArn=one)
        case "rule changed":
            aws.elbv2.modify_rule(RuleArn=one, Actions=[NOT_FOUND])
        case "listener deleted":
            aws.elbv2.delete_listener(ListenerArn=one)
    refused("ResourceInUse", lambda: aws.elbv2.delete_target_group(TargetGroupArn=group))
    past()
    aws.elbv2.delete_target_group(TargetGroupArn=group)


@rule("sim.lags.delete_rule")
def test_a_rule_that_has_gone_is_counted(aws, elb, lag):
    quota = "rules-per-application-load-balancer"
    before = aws.sim.get("config")["quotas"][quota]
    one = elb.listener()
    gone = elb.rule(one)["RuleArn"]
    try:
        aws.sim.post("config", {"quotas": {quota: 1}})
        past = lag("delete-rule")
        aws.elbv2.delete_rule(RuleArn=gone)
        refused("TooManyRules", lambda: elb.rule(one))
        past()
        elb.rule(one)
    finally:
        aws.sim.post("config", {"quotas": {quota: before}})


@rule("sim.lags.release_security_group")
def test_a_security_group_that_was_used_is_in_use(aws, elb, lag):
    old, new = elb.vpc.security_group(), elb.vpc.security_group()
    arn = elb.balancer(SecurityGroups=[old])
    past = lag("release-security-group")
    aws.elbv2.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[new])
    refused("DependencyViolation", lambda: aws.ec2.delete_security_group(GroupId=old))
    past()
    aws.ec2.delete_security_group(GroupId=old)


@rule("sim.lags.authorize_security_group")
def test_a_new_permission_is_not_shown(aws, elb, lag):
    group = elb.vpc.security_group()
    past = lag("authorize-security-group")
    permission = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permission)
    shown = lambda: aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert shown() == []
    # The write itself knows better.
    refused("InvalidPermission.Duplicate",
            lambda: aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permission))
    past()
    assert shown()[0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}]


@rule("sim.lags.register_targets")
def test_a_new_target_is_not_shown(aws, elb, lag):
    group = elb.group()
    past = lag("register-targets")
    aws.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.10"}])
    health = lambda **which: aws.elbv2.describe_target_health(TargetGroupArn=group, **which)["TargetHealthDescriptions"]
    assert health() == []
    one = health(Targets=[{"Id": "10.0.0.10", "Port": 8080}])[0]["TargetHealth"]
    assert one["Reason"] == "Target.NotRegistered"
    past()
    assert [h["Target"]["Id"] for h in health()] == ["10.0.0.10"]


@rule("sim.lags.change_tags")
def test_old_tags_are_shown(aws, elb, lag):
    group = elb.group(Tags=[{"Key": "a", "Value": "old"}])
    past = lag("change-tags")
    aws.elbv2.add_tags(ResourceArns=[group], Tags=[{"Key": "a", "Value": "new"}])
    described = lambda: aws.elbv2.describe_tags(ResourceArns=[group])["TagDescriptions"][0]["Tags"]
    listed = lambda: aws.tagging.get_resources(ResourceARNList=[group])["ResourceTagMappingList"][0]["Tags"]
    assert described() == listed() == [{"Key": "a", "Value": "old"}]
    past()
    assert described() == listed() == [{"Key": "a", "Value": "new"}]


@rule("sim.lags.issue_certificate")
def test_a_new_certificate_is_not_to_be_had(aws, elb, lag):
    elb.alb
    past = lag("issue-certificate")
    certificate = elb.another_certificate()
    assert aws.acm.describe_certificate(CertificateArn=certificate)["Certificate"]["Status"] == "ISSUED"
    serve = lambda: elb.listener(Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])
    refused(("CertificateNotFound", "UnsupportedCertificate"), serve)
    past()
    serve()


@rule("sim.lags.request_certificate")
def test_the_records_of_a_new_certificate_come_later(aws, lag):
    past = lag("request-certificate")
    arn = aws.acm.request_certificate(DomainName=f"{aws.name()}.example.com", ValidationMethod="DNS")["CertificateArn"]
    records = lambda: [
        option["ResourceRecord"]
        for option in aws.acm.describe_certificate(CertificateArn=arn)["Certificate"].get("DomainValidationOptions", [])
        if "ResourceRecord" in option]
    assert records() == []
    past()
    assert eventually(records)[0]["Type"] == "CNAME"


@rule("sim.lags.region")
def test_lags_hold_for_all_regions(aws, lag):
    past = lag("create-security-group")
    there = aws.as_(region="eu-west-1")
    vpc = there.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = there.ec2.create_security_group(GroupName=aws.name(), Description="of a test", VpcId=vpc)["GroupId"]
    refused("InvalidGroup.NotFound", lambda: there.ec2.describe_security_groups(GroupIds=[group]))
    past()
    there.ec2.delete_security_group(GroupId=group)
