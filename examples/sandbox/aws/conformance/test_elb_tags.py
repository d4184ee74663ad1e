"""Tags of Elastic Load Balancing, the account's limits, TLS policies."""

from conftest import refused, rule
from test_load_balancers import UNKNOWN, make

PREFIX = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
NOT_THERE = {
    "LoadBalancerNotFound": UNKNOWN,
    "TargetGroupNotFound": f"{PREFIX}:targetgroup/nope/0123456789abcdef",
    "ListenerNotFound": f"{PREFIX}:listener/app/nope/0123456789abcdef/0123456789abcdef",
    "RuleNotFound": f"{PREFIX}:listener-rule/app/nope/0123456789abcdef/0123456789abcdef/0123456789abcdef",
    "TrustStoreNotFound": f"{PREFIX}:truststore/nope/0123456789abcdef",
}


def resources(aws, vpc):
    """One of each kind that is made without anything from outside."""
    elb = aws.elbv2
    balancer = make(aws, vpc)["LoadBalancerArn"]
    group = elb.create_target_group(Name=aws.name(), Protocol="HTTP", Port=80, VpcId=vpc.id)
    group = group["TargetGroups"][0]["TargetGroupArn"]
    action = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=action
    )["Listeners"][0]["ListenerArn"]
    made = elb.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/a"]}],
        Actions=action,
    )
    return [balancer, group, listener, made["Rules"][0]["RuleArn"]]


def tags(aws, arns):
    found = aws.elbv2.describe_tags(ResourceArns=arns)["TagDescriptions"]
    return {
        description["ResourceArn"]: {tag["Key"]: tag["Value"] for tag in description["Tags"]}
        for description in found
    }


def add(aws, arns, **pairs):
    aws.elbv2.add_tags(
        ResourceArns=arns, Tags=[{"Key": key, "Value": value} for key, value in pairs.items()]
    )


@rule("elb.tags.kinds", "elb.tags.upsert", "elb.tags.remove_absent", "elb.tags.default_rule")
def test_all_kinds_of_resources_have_tags(aws, vpc):
    arns = resources(aws, vpc)
    assert tags(aws, arns) == {arn: {} for arn in arns}
    add(aws, arns, a="1", b="")
    add(aws, arns[:2], a="2")
    now = tags(aws, arns)
    assert [now[arn] for arn in arns] == [{"a": "2", "b": ""}] * 2 + [{"a": "1", "b": ""}] * 2
    aws.elbv2.remove_tags(ResourceArns=arns, TagKeys=["a", "never-there"])
    assert set(map(str, tags(aws, arns).values())) == {"{'b': ''}"}
    rules = aws.elbv2.describe_rules(ListenerArn=arns[2])["Rules"]
    default = next(found["RuleArn"] for found in rules if found["IsDefault"])
    assert tags(aws, [default]) == {default: {}}


@rule("elb.tags.not_found", "elb.tags.all_or_nothing", "elb.tags.malformed")
def test_what_is_not_there_has_no_tags(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    calls = [
        lambda arns: add(aws, arns, a="1"),
        lambda arns: aws.elbv2.remove_tags(ResourceArns=arns, TagKeys=["a"]),
        lambda arns: tags(aws, arns),
    ]
    for call in calls:
        for code, unknown in NOT_THERE.items():
            refused(code, lambda: call([arn, unknown]), status=400)
        for other in ["nonsense", "arn:aws:s3:::bucket", f"{PREFIX}:somewhere/x"]:
            refused("ValidationError", lambda: call([arn, other]), status=400)
    assert tags(aws, [arn]) == {arn: {}}


@rule(
    "elb.tags.count",
    "elb.tags.duplicate",
    "elb.tags.reserved",
    "elb.tags.characters",
    "elb.tags.lengths",
)
def test_tags_that_cannot_be(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    put = lambda *pairs: aws.unchecked.elbv2.add_tags(
        ResourceArns=[arn], Tags=[{"Key": key, "Value": value} for key, value in pairs]
    )
    put(*((str(number), "") for number in range(50)))
    put(("7", "again"))
    refused("TooManyTags", lambda: put(("50", "")), status=400)
    refused("DuplicateTagKeys", lambda: put(("7", "a"), ("7", "b")), status=400)
    for key, value in [
        ("aws:a", "b"),
        ("AWS:a", "b"),
        ("a#b", "c"),
        ("a", "b\nc"),
        ("a", "b*c"),
        ("", "a"),
        ("k" * 129, "a"),
        ("a", "v" * 257),
    ]:
        refused("ValidationError", lambda k=key, v=value: put((k, v)), status=400)
    refused("ValidationError", lambda: put())
    refused("ValidationError", lambda: aws.elbv2.remove_tags(ResourceArns=[arn], TagKeys=["0", "aws:a"]))
    assert tags(aws, [arn])[arn] == {str(n): "again" if n == 7 else "" for n in range(50)}
    aws.elbv2.remove_tags(ResourceArns=[arn], TagKeys=["0", "1"])
    put(("k" * 128, "v" * 256), ("Größe _.:/=+-@", "ü _.:/=+-@"))
    assert tags(aws, [arn])[arn]["Größe _.:/=+-@"] == "ü _.:/=+-@"


@rule("elb.tags.at_most_20", "elb.tags.arns_needed")
def test_how_many_resources_one_call_describes(aws, vpc):
    refused("ValidationError", lambda: aws.elbv2.describe_tags(ResourceArns=[UNKNOWN] * 21))
    refused("ValidationError", lambda: aws.elbv2.describe_tags(ResourceArns=[]))
    refused("ValidationError", lambda: aws.elbv2.add_tags(ResourceArns=[], Tags=[{"Key": "a"}]))
    refused("ValidationError", lambda: aws.elbv2.remove_tags(ResourceArns=[], TagKeys=["a"]))


@rule("elb.tags.go_with_the_resource")
def test_tags_go_with_the_load_balancer(aws, vpc):
    arn = make(aws, vpc, Tags=[{"Key": "a", "Value": "1"}])["LoadBalancerArn"]
    assert tags(aws, [arn]) == {arn: {"a": "1"}}
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    refused("LoadBalancerNotFound", lambda: tags(aws, [arn]))


LIMITS = {
    "application-load-balancers": "50",
    "certificates-per-application-load-balancer": "25",
    "certificates-per-network-load-balancer": "25",
    "condition-values-per-alb-rule": "5",
    "condition-wildcards-per-alb-rule": "5",
    "gateway-load-balancers": "100",
    "gateway-load-balancers-per-vpc": "100",
    "geneve-target-groups": "100",
    "listeners-per-application-load-balancer": "50",
    "listeners-per-network-load-balancer": "50",
    "network-load-balancer-enis-per-vpc": "1200",
    "network-load-balancers": "50",
    "rules-per-application-load-balancer": "100",
    "target-groups": "3000",
    "target-groups-per-action-on-application-load-balancer": "5",
    "target-groups-per-action-on-network-load-balancer": "1",
    "target-groups-per-application-load-balancer": "100",
    "target-id-registrations-per-application-load-balancer": "1000",
    "targets-per-application-load-balancer": "1000",
    "targets-per-availability-zone-per-gateway-load-balancer": "300",
    "targets-per-availability-zone-per-network-load-balancer": "500",
    "targets-per-network-load-balancer": "3000",
    "targets-per-target-group": "1000",
}


@rule("elb.limits", "elb.limits.pages", "elb.limits.adjusted")
def test_account_limits(aws):
    answer = aws.elbv2.describe_account_limits()
    found = {limit["Name"]: limit["Max"] for limit in answer["Limits"]}
    assert found.keys() == LIMITS.keys()
    # What tests share is raised for all of them.
    raised = {"application-load-balancers", "network-load-balancers", "target-groups"}
    assert {name: found[name] for name in found.keys() - raised} == {
        name: LIMITS[name] for name in LIMITS.keys() - raised
    }
    quotas = aws.sim.get("config")["quotas"]
    assert all(found[name] == str(quotas[name]) for name in raised)
    assert "NextMarker" not in answer
    first = aws.elbv2.describe_account_limits(PageSize=10)
    assert len(first["Limits"]) == 10
    rest = aws.elbv2.describe_account_limits(Marker=first["NextMarker"])
    assert first["Limits"] + rest["Limits"] == aws.elbv2.describe_account_limits()["Limits"]


def policies(aws, **question):
    return aws.elbv2.describe_ssl_policies(**question)["SslPolicies"]


@rule("elb.policies.names", "elb.policies.types", "elb.policies.pages")
def test_policies(aws):
    every = policies(aws)
    names = [policy["Name"] for policy in every]
    assert len(set(names)) == len(names) == 46
    assert names[0] == "ELBSecurityPolicy-2016-08"
    for policy in every:
        assert policy["SupportedLoadBalancerTypes"] == ["application", "network"]
        assert [cipher["Priority"] for cipher in policy["Ciphers"]] == list(
            range(1, len(policy["Ciphers"]) + 1)
        )
    assert policies(aws, LoadBalancerType="application") == every
    assert policies(aws, LoadBalancerType="network") == every
    assert policies(aws, LoadBalancerType="gateway") == []
    pages = aws.elbv2.get_paginator("describe_ssl_policies").paginate(
        PaginationConfig={"PageSize": 20}
    )
    assert [policy for page in pages for policy in page["SslPolicies"]] == every


TLS13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
GCM = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
]


@rule("elb.policies.protocols", "elb.policies.ciphers", "elb.policies.unknown")
def test_protocols_and_ciphers(aws):
    for name, protocols, ciphers in [
        ("TLS13-1-3-2021-06", ["TLSv1.3"], TLS13),
        ("TLS13-1-3-FIPS-2023-04", ["TLSv1.3"], TLS13[:2]),
        ("TLS13-1-2-Res-PQ-2025-09", ["TLSv1.3", "TLSv1.2"], TLS13 + GCM),
        ("FS-1-2-Res-2020-10", ["TLSv1.2"], GCM),
    ]:
        policy = policies(aws, Names=[f"ELBSecurityPolicy-{name}"])[0]
        assert policy["SslProtocols"] == protocols
        assert [cipher["Name"] for cipher in policy["Ciphers"]] == ciphers
    default = policies(aws, Names=["ELBSecurityPolicy-2016-08"])[0]
    assert default["SslProtocols"] == ["TLSv1.2", "TLSv1.1", "TLSv1"]
    assert len(default["Ciphers"]) == 18
    unknown = ["ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-2031-01"]
    error = refused("SSLPolicyNotFound", lambda: policies(aws, Names=unknown), status=400)
    assert "ELBSecurityPolicy-2031-01" in error.message
