"""WAFv2, WAF Classic Regional and Shield."""

import uuid

import pytest
from botocore.exceptions import ClientError

from conftest import ACCOUNT, REGION, Aws, refused, rule

name = Aws.name


def visibility(metric="metric"):
    return {
        "SampledRequestsEnabled": False,
        "CloudWatchMetricsEnabled": False,
        "MetricName": metric,
    }


def naming(summary, scope="REGIONAL"):
    return {"Name": summary["Name"], "Scope": scope, "Id": summary["Id"]}


@pytest.fixture
def balancer(aws, vpc):
    """Makes internal load balancers; gone afterwards."""
    made = []

    def make():
        arn = aws.elbv2.create_load_balancer(
            Name=name("lb"), Subnets=vpc.subnets, Scheme="internal"
        )["LoadBalancers"][0]["LoadBalancerArn"]
        made.append(arn)
        return arn

    yield make
    for arn in made:
        aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)


@pytest.fixture
def acl(aws):
    """Makes web ACLs that allow everything; gone afterwards."""
    made = []

    def make(**more):
        parameters = {
            "Name": name("acl"),
            "Scope": "REGIONAL",
            "DefaultAction": {"Allow": {}},
            "VisibilityConfig": visibility(),
            **more,
        }
        summary = aws.wafv2.create_web_acl(**parameters)["Summary"]
        made.append(summary)
        return summary

    yield make
    for summary in made:
        for one in aws.wafv2.list_web_acls(Scope="REGIONAL", Limit=100)["WebACLs"]:
            if one["Id"] != summary["Id"]:
                continue
            resources = aws.wafv2.list_resources_for_web_acl(WebACLArn=one["ARN"])
            for resource in resources["ResourceArns"]:
                aws.wafv2.disassociate_web_acl(ResourceArn=resource)
            aws.wafv2.delete_web_acl(**naming(one), LockToken=one["LockToken"])


def bad(aws, code, **more):
    """A create call that is refused; nothing is made."""
    wanted = more.pop("Name", name("acl"))
    parameters = {
        "Name": wanted,
        "Scope": "REGIONAL",
        "DefaultAction": {"Allow": {}},
        "VisibilityConfig": visibility(),
        **more,
    }
    error = refused(code, lambda: aws.unchecked.wafv2.create_web_acl(**parameters))
    acls = aws.wafv2.list_web_acls(Scope="REGIONAL", Limit=100)["WebACLs"]
    assert wanted not in [one["Name"] for one in acls]
    return error


def a_rule(statement, priority=0, rule_name="r", **more):
    return {
        "Name": rule_name,
        "Priority": priority,
        "Statement": statement,
        "VisibilityConfig": visibility(rule_name),
        **(more or {"Action": {"Block": {}}}),
    }


GEO = {"GeoMatchStatement": {"CountryCodes": ["NZ"]}}
MANAGED = {
    "ManagedRuleGroupStatement": {
        "VendorName": "AWS",
        "Name": "AWSManagedRulesCommonRuleSet",
    }
}


# WAFv2: web ACLs


@rule("wafv2.create.answer", "wafv2.create.arn")
def test_create_answers_a_summary(aws, acl):
    summary = acl()
    assert summary["Description"] == ""
    assert len(summary["Id"]) == 36 and len(summary["LockToken"]) == 36
    assert summary["ARN"] == (
        f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/webacl/{summary['Name']}/{summary['Id']}"
    )
    assert acl(Description="what it is for")["Description"] == "what it is for"


@rule("wafv2.create.duplicate")
def test_a_name_is_taken_once(aws, acl):
    summary = acl()
    refused(
        "WAFDuplicateItemException",
        lambda: aws.wafv2.create_web_acl(
            Name=summary["Name"],
            Scope="REGIONAL",
            DefaultAction={"Block": {}},
            VisibilityConfig=visibility(),
        ),
    )
    # The other scope has names of its own.
    other = aws.wafv2.create_web_acl(
        Name=summary["Name"],
        Scope="CLOUDFRONT",
        DefaultAction={"Block": {}},
        VisibilityConfig=visibility(),
    )["Summary"]
    assert ":global/webacl/" in other["ARN"]
    aws.wafv2.delete_web_acl(
        **naming(other, "CLOUDFRONT"), LockToken=other["LockToken"]
    )


@rule("wafv2.create.default_action")
@pytest.mark.parametrize("action", [{}, {"Allow": {}, "Block": {}}])
def test_one_default_action(aws, action):
    error = bad(aws, "WAFInvalidParameterException", DefaultAction=action)
    assert "exactly one value" in error.message


@rule("wafv2.create.priority", "wafv2.create.action", "wafv2.create.statement")
@pytest.mark.parametrize(
    "rules",
    [
        [a_rule(GEO, 0, "a"), a_rule(GEO, 0, "b")],
        [a_rule(GEO, OverrideAction={"None": {}})],
        [a_rule(MANAGED, Action={"Block": {}})],
        [a_rule(GEO, Action={"Block": {}}, OverrideAction={"None": {}})],
        [a_rule(GEO, Action={})],
        [a_rule({})],
        [a_rule({**GEO, **MANAGED})],
        [a_rule({"AndStatement": {"Statements": [GEO]}})],
        [a_rule({"NotStatement": {"Statement": MANAGED}})],
        [a_rule({"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "CONSTANT"}})],
        [
            a_rule(
                {
                    "RateBasedStatement": {
                        "Limit": 100,
                        "AggregateKeyType": "IP",
                        "EvaluationWindowSec": 90,
                    }
                }
            )
        ],
        [a_rule({"RateBasedStatement": {"Limit": 9, "AggregateKeyType": "IP"}})],
    ],
)
def test_bad_rules(aws, rules):
    bad(aws, "WAFInvalidParameterException", Rules=rules)


@rule("wafv2.create.reference", "wafv2.create.managed", "wafv2.create.response_body")
def test_references(aws):
    absent = f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/ipset/x/{uuid.uuid4()}"
    bad(
        aws,
        "WAFNonexistentItemException",
        Rules=[a_rule({"IPSetReferenceStatement": {"ARN": absent}})],
    )
    bad(
        aws,
        "WAFInvalidParameterException",
        Rules=[a_rule({"IPSetReferenceStatement": {"ARN": "no ARN, but as long"}})],
    )
    bad(
        aws,
        "WAFInvalidParameterException",
        Rules=[
            a_rule(
                {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "Nothing"}},
                OverrideAction={"None": {}},
            )
        ],
    )
    bad(
        aws,
        "WAFInvalidParameterException",
        DefaultAction={
            "Block": {
                "CustomResponse": {"ResponseCode": 403, "CustomResponseBodyKey": "absent"}
            }
        },
    )


@rule("wafv2.create.tags")
def test_tags_on_create(aws, acl):
    summary = acl(Tags=[{"Key": "team", "Value": "edge"}])
    found = aws.wafv2.list_tags_for_resource(ResourceARN=summary["ARN"])
    assert found["TagInfoForResource"] == {
        "ResourceARN": summary["ARN"],
        "TagList": [{"Key": "team", "Value": "edge"}],
    }
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    bad(aws, "WAFInvalidParameterException", Tags=twice)


@rule("wafv2.create.limit")
def test_capacity_is_limited(aws, acl):
    group = {"OverrideAction": {"None": {}}}
    rules = [a_rule(MANAGED, i, f"r{i}", **group) for i in range(8)]
    bad(aws, "WAFLimitsExceededException", Rules=rules)
    summary = acl(Rules=rules[:7])
    got = aws.wafv2.get_web_acl(**naming(summary))["WebACL"]
    assert got["Capacity"] == 4900


@rule("wafv2.create.quota")
def test_quota(aws, acl):
    acl()
    before = aws.sim.get("config")["quotas"]["web-acls"]
    aws.sim.post("config", {"quotas": {"web-acls": 1}})
    try:
        bad(aws, "WAFLimitsExceededException")
    finally:
        aws.sim.post("config", {"quotas": {"web-acls": before}})


@rule("wafv2.validation")
@pytest.mark.parametrize(
    "more",
    [
        {"Name": "has blanks"},
        {"Name": "x" * 129},
        {"Scope": "GALACTIC"},
        {"Description": "*"},
        {"Tags": []},
    ],
)
def test_values_fit_the_model(aws, more):
    bad(aws, "WAFInvalidParameterException", **more)


@rule("wafv2.scope")
def test_cloudfront_lives_in_one_region(aws):
    elsewhere = aws.as_(region="eu-west-1").wafv2
    refused(
        "WAFInvalidParameterException",
        lambda: elsewhere.list_web_acls(Scope="CLOUDFRONT"),
    )
    assert aws.wafv2.list_web_acls(Scope="CLOUDFRONT")["WebACLs"] is not None


@rule("wafv2.get", "wafv2.get.defaults")
def test_get(aws, acl):
    summary = acl(Rules=[a_rule(GEO)])
    got = aws.wafv2.get_web_acl(**naming(summary))
    assert got["LockToken"] == summary["LockToken"]
    found = got["WebACL"]
    assert found["Name"] == summary["Name"]
    assert found["Id"] == summary["Id"]
    assert found["ARN"] == summary["ARN"]
    assert found["DefaultAction"] == {"Allow": {}}
    assert found["Rules"] == [a_rule(GEO)]
    assert found["VisibilityConfig"] == visibility()
    assert found["Capacity"] == 1
    assert found["ManagedByFirewallManager"] is False
    assert found["LabelNamespace"] == f"awswaf:{ACCOUNT}:webacl:{summary['Name']}:"
    by_arn = aws.wafv2.get_web_acl(ARN=summary["ARN"])
    assert by_arn["WebACL"] == found
    refused("WAFInvalidParameterException", lambda: aws.wafv2.get_web_acl())


@rule("wafv2.get.absent", "wafv2.delete")
def test_absent(aws, acl):
    summary = acl()
    token = summary["LockToken"]
    for absent in (
        {**naming(summary), "Id": str(uuid.uuid4())},
        {**naming(summary), "Name": "another"},
        naming(summary, "CLOUDFRONT"),
    ):
        code = "WAFNonexistentItemException"
        refused(code, lambda: aws.wafv2.get_web_acl(**absent))
        refused(code, lambda: aws.wafv2.delete_web_acl(**absent, LockToken=token))
        refused(
            code,
            lambda: aws.wafv2.update_web_acl(
                **absent,
                LockToken=token,
                DefaultAction={"Allow": {}},
                VisibilityConfig=visibility(),
            ),
        )


@rule("wafv2.list")
def test_list_pages(aws, acl):
    made = {acl()["Id"] for _ in range(3)}
    seen, marker, pages = [], None, 0
    while True:
        more = {"NextMarker": marker} if marker else {}
        page = aws.wafv2.list_web_acls(Scope="REGIONAL", Limit=1, **more)
        assert len(page["WebACLs"]) <= 1
        for one in page["WebACLs"]:
            assert set(one) == {"Name", "Id", "Description", "LockToken", "ARN"}
            seen.append(one["Id"])
        marker = page.get("NextMarker")
        pages += 1
        if not marker:
            break
    assert made <= set(seen) and len(seen) == len(set(seen)) and pages >= 3
    cloudfront = aws.wafv2.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]
    assert not made & {one["Id"] for one in cloudfront}
    for limit in (0, 101):
        refused(
            "WAFInvalidParameterException",
            lambda: aws.unchecked.wafv2.list_web_acls(Scope="REGIONAL", Limit=limit),
        )
    refused(
        "WAFInvalidParameterException",
        lambda: aws.wafv2.list_web_acls(Scope="REGIONAL", NextMarker="%%%"),
    )


@rule("wafv2.update", "wafv2.lock")
def test_update_replaces(aws, acl):
    summary = acl(Description="first text", Rules=[a_rule(GEO)])

    def update(token):
        return aws.wafv2.update_web_acl(
            **naming(summary),
            LockToken=token,
            DefaultAction={"Block": {}},
            VisibilityConfig=visibility("other"),
        )

    next_token = update(summary["LockToken"])["NextLockToken"]
    assert next_token != summary["LockToken"]
    got = aws.wafv2.get_web_acl(**naming(summary))
    assert got["LockToken"] == next_token
    assert got["WebACL"]["DefaultAction"] == {"Block": {}}
    assert got["WebACL"].get("Rules", []) == []
    assert got["WebACL"].get("Description", "") == ""
    assert got["WebACL"]["Capacity"] == 0
    refused("WAFOptimisticLockException", lambda: update(summary["LockToken"]))
    refused(
        "WAFOptimisticLockException",
        lambda: aws.wafv2.delete_web_acl(
            **naming(summary), LockToken=summary["LockToken"]
        ),
    )
    assert aws.wafv2.get_web_acl(**naming(summary))["LockToken"] == next_token


# WAFv2: associations


@rule("wafv2.associate", "wafv2.list_resources", "wafv2.delete.associated")
def test_associate(aws, acl, balancer):
    summary, arn = acl(), balancer()
    call = {"WebACLArn": summary["ARN"], "ResourceArn": arn}
    aws.wafv2.associate_web_acl(**call)
    aws.wafv2.associate_web_acl(**call)
    got = aws.wafv2.get_web_acl_for_resource(ResourceArn=arn)["WebACL"]
    assert got["ARN"] == summary["ARN"]
    assert got == aws.wafv2.get_web_acl(**naming(summary))["WebACL"]
    listed = aws.wafv2.list_resources_for_web_acl(WebACLArn=summary["ARN"])
    assert listed["ResourceArns"] == [arn]
    for kind, wanted in (("APPLICATION_LOAD_BALANCER", [arn]), ("API_GATEWAY", [])):
        listed = aws.wafv2.list_resources_for_web_acl(
            WebACLArn=summary["ARN"], ResourceType=kind
        )
        assert listed["ResourceArns"] == wanted
    refused(
        "WAFAssociatedItemException",
        lambda: aws.wafv2.delete_web_acl(
            **naming(summary), LockToken=summary["LockToken"]
        ),
    )


@rule("wafv2.associate.replaces")
def test_the_second_replaces_the_first(aws, acl, balancer):
    first, second, arn = acl(), acl(), balancer()
    for summary in (first, second):
        aws.wafv2.associate_web_acl(WebACLArn=summary["ARN"], ResourceArn=arn)
    got = aws.wafv2.get_web_acl_for_resource(ResourceArn=arn)["WebACL"]
    assert got["ARN"] == second["ARN"]
    listed = aws.wafv2.list_resources_for_web_acl(WebACLArn=first["ARN"])
    assert listed["ResourceArns"] == []


def stranger(arn):
    """The ARN of a load balancer that does not exist."""
    return arn[: arn.rindex("/") + 1] + "0123456789abcdef"


@rule("wafv2.associate.unknown", "wafv2.for_resource.unknown", "wafv2.disassociate")
def test_unknown_parties(aws, acl, balancer):
    summary, arn = acl(), balancer()
    code = "WAFNonexistentItemException"
    absent = summary["ARN"].replace(summary["Id"], str(uuid.uuid4()))
    refused(
        code,
        lambda: aws.wafv2.associate_web_acl(WebACLArn=absent, ResourceArn=arn),
    )
    refused(
        code,
        lambda: aws.wafv2.associate_web_acl(
            WebACLArn=summary["ARN"], ResourceArn=stranger(arn)
        ),
    )
    refused(
        code,
        lambda: aws.wafv2.disassociate_web_acl(ResourceArn=stranger(arn)),
    )
    refused(
        code,
        lambda: aws.wafv2.get_web_acl_for_resource(ResourceArn=stranger(arn)),
    )
    refused(code, lambda: aws.wafv2.list_resources_for_web_acl(WebACLArn=absent))
    assert "WebACL" not in aws.wafv2.get_web_acl_for_resource(ResourceArn=arn)


@rule("wafv2.associate.kind")
def test_only_some_kinds_can_be_associated(aws, acl, vpc, balancer):
    summary, arn = acl(), balancer()
    group = aws.elbv2.create_target_group(
        Name=name("tg"), Protocol="HTTP", Port=80, VpcId=vpc.id
    )["TargetGroups"][0]["TargetGroupArn"]
    code = "WAFInvalidParameterException"
    for resource in (
        "this is no ARN but long enough",
        group,
        arn.replace("loadbalancer/app/", "loadbalancer/net/"),
        "arn:aws:s3:::a-bucket-of-somebody",
        summary["ARN"],
    ):
        refused(
            code,
            lambda: aws.wafv2.associate_web_acl(
                WebACLArn=summary["ARN"], ResourceArn=resource
            ),
        )
        refused(
            code,
            lambda: aws.wafv2.get_web_acl_for_resource(ResourceArn=resource),
        )
    for wrong in ("this is no ARN but long enough", arn):
        refused(
            code,
            lambda: aws.wafv2.associate_web_acl(WebACLArn=wrong, ResourceArn=arn),
        )
    refused(
        code,
        lambda: aws.unchecked.wafv2.associate_web_acl(
            WebACLArn="short", ResourceArn=arn
        ),
    )
    aws.elbv2.delete_target_group(TargetGroupArn=group)


@rule("wafv2.disassociate", "wafv2.for_resource.none", "traps.42")
def test_disassociate(aws, acl, balancer):
    summary, arn = acl(), balancer()
    assert "WebACL" not in aws.wafv2.get_web_acl_for_resource(ResourceArn=arn)
    aws.wafv2.disassociate_web_acl(ResourceArn=arn)
    aws.wafv2.associate_web_acl(WebACLArn=summary["ARN"], ResourceArn=arn)
    aws.wafv2.disassociate_web_acl(ResourceArn=arn)
    assert "WebACL" not in aws.wafv2.get_web_acl_for_resource(ResourceArn=arn)
    aws.wafv2.delete_web_acl(**naming(summary), LockToken=summary["LockToken"])
    refused(
        "WAFNonexistentItemException",
        lambda: aws.wafv2.list_resources_for_web_acl(WebACLArn=summary["ARN"]),
    )


@rule("wafv2.delete.balancer_gone")
def test_the_association_ends_with_the_load_balancer(aws, acl, balancer):
    summary, arn = acl(), balancer()
    aws.wafv2.associate_web_acl(WebACLArn=summary["ARN"], ResourceArn=arn)
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    assert arn not in [finding["resource"] for finding in aws.sim.get("audit")]
    listed = aws.wafv2.list_resources_for_web_acl(WebACLArn=summary["ARN"])
    assert listed["ResourceArns"] == []
    aws.wafv2.delete_web_acl(**naming(summary), LockToken=summary["LockToken"])


@rule("wafv2.associate.unavailable")
def test_news_may_spread_slowly(aws, acl, balancer):
    lag = {"ms": 600_000, "probability": 1}
    aws.sim.post("config", {"lags": {"associate-web-acl": lag}})
    try:
        summary, arn = acl(), balancer()

        def associate():
            aws.wafv2.associate_web_acl(WebACLArn=summary["ARN"], ResourceArn=arn)

        with pytest.raises(ClientError) as caught:
            associate()
        assert caught.value.response["Error"]["Code"] in (
            "WAFUnavailableEntityException",
            "WAFNonexistentItemException",
        )
        # However slow the machine is: it is moved on.
        aws.sim.post("time", {"forward_ms": 700_000})
        associate()
    finally:
        aws.sim.post("config", {"lags": {"associate-web-acl": None}})


@rule("wafv2.tags")
def test_tags(aws, acl):
    summary = acl()
    arn = summary["ARN"]

    def tags():
        found = aws.wafv2.list_tags_for_resource(ResourceARN=arn)
        return {
            tag["Key"]: tag["Value"] for tag in found["TagInfoForResource"]["TagList"]
        }

    assert tags() == {}
    aws.wafv2.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "1"}])
    aws.wafv2.tag_resource(
        ResourceARN=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    )
    assert tags() == {"a": "2", "b": ""}
    aws.wafv2.untag_resource(ResourceARN=arn, TagKeys=["a", "absent"])
    assert tags() == {"b": ""}
    many = [{"Key": f"k{i}", "Value": "v"} for i in range(50)]
    refused(
        "WAFLimitsExceededException",
        lambda: aws.wafv2.tag_resource(ResourceARN=arn, Tags=many),
    )
    assert tags() == {"b": ""}
    refused(
        "WAFInvalidParameterException",
        lambda: aws.wafv2.tag_resource(
            ResourceARN=arn, Tags=[{"Key": "aws:x", "Value": "1"}]
        ),
    )
    absent = arn.replace(summary["Id"], str(uuid.uuid4()))
    for call in (
        lambda: aws.wafv2.list_tags_for_resource(ResourceARN=absent),
        lambda: aws.wafv2.tag_resource(
            ResourceARN=absent, Tags=[{"Key": "a", "Value": "1"}]
        ),
        lambda: aws.wafv2.untag_resource(ResourceARN=absent, TagKeys=["a"]),
    ):
        refused("WAFNonexistentItemException", call)


# WAFv2: sets and groups


@rule("wafv2.ip_set", "wafv2.ip_set.in_use")
def test_ip_sets(aws, acl):
    made = aws.wafv2.create_ip_set(
        Name=name("ips"),
        Scope="REGIONAL",
        IPAddressVersion="IPV4",
        Addresses=["192.0.2.0/24"],
    )["Summary"]
    assert f":regional/ipset/{made['Name']}/{made['Id']}" in made["ARN"]
    got = aws.wafv2.get_ip_set(**naming(made))
    assert got["LockToken"] == made["LockToken"]
    assert got["IPSet"]["Addresses"] == ["192.0.2.0/24"]
    assert got["IPSet"]["IPAddressVersion"] == "IPV4"
    listed = aws.wafv2.list_ip_sets(Scope="REGIONAL")["IPSets"]
    assert made["Id"] in [one["Id"] for one in listed]
    for wrong in (["192.0.2.1"], ["0.0.0.0/0"], ["2001:db8::/32"]):
        refused(
            "WAFInvalidParameterException",
            lambda: aws.wafv2.update_ip_set(
                **naming(made), LockToken=made["LockToken"], Addresses=wrong
            ),
        )
    token = aws.wafv2.update_ip_set(
        **naming(made), LockToken=made["LockToken"], Addresses=["198.51.100.7/32"]
    )["NextLockToken"]
    refused(
        "WAFOptimisticLockException",
        lambda: aws.wafv2.delete_ip_set(**naming(made), LockToken=made["LockToken"]),
    )
    refused(
        "WAFDuplicateItemException",
        lambda: aws.wafv2.create_ip_set(
            Name=made["Name"], Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[]
        ),
    )
    summary = acl(Rules=[a_rule({"IPSetReferenceStatement": {"ARN": made["ARN"]}})])
    refused(
        "WAFAssociatedItemException",
        lambda: aws.wafv2.delete_ip_set(**naming(made), LockToken=token),
    )
    aws.wafv2.delete_web_acl(**naming(summary), LockToken=summary["LockToken"])
    aws.wafv2.delete_ip_set(**naming(made), LockToken=token)
    refused(
        "WAFNonexistentItemException", lambda: aws.wafv2.get_ip_set(**naming(made))
    )


@rule("wafv2.capacity")
def test_capacity(aws):
    host = {
        "ByteMatchStatement": {
            "SearchString": b"example.com",
            "FieldToMatch": {"SingleHeader": {"Name": "host"}},
            "TextTransformations": [{"Priority": 0, "Type": "LOWERCASE"}],
            "PositionalConstraint": "EXACTLY",
        }
    }
    rate = {"RateBasedStatement": {"Limit": 1000, "AggregateKeyType": "IP"}}
    rules = [
        a_rule({"AndStatement": {"Statements": [host, GEO]}}, 0, "a"),
        a_rule(rate, 1, "b"),
    ]
    found = aws.wafv2.check_capacity(Scope="REGIONAL", Rules=rules)
    assert found["Capacity"] == 15


@rule("wafv2.sets")
def test_pattern_sets_and_rule_groups(aws):
    patterns = aws.wafv2.create_regex_pattern_set(
        Name=name("re"),
        Scope="REGIONAL",
        RegularExpressionList=[{"RegexString": "^/admin"}],
    )["Summary"]
    got = aws.wafv2.get_regex_pattern_set(**naming(patterns))["RegexPatternSet"]
    assert got["RegularExpressionList"] == [{"RegexString": "^/admin"}]
    group = aws.wafv2.create_rule_group(
        Name=name("group"),
        Scope="REGIONAL",
        Capacity=10,
        Rules=[a_rule(GEO)],
        VisibilityConfig=visibility(),
    )["Summary"]
    got = aws.wafv2.get_rule_group(**naming(group))["RuleGroup"]
    assert got["Capacity"] == 10 and got["Rules"] == [a_rule(GEO)]
    refused(
        "WAFLimitsExceededException",
        lambda: aws.wafv2.create_rule_group(
            Name=name("group"),
            Scope="REGIONAL",
            Capacity=1,
            Rules=[a_rule(GEO, 0, "a"), a_rule(GEO, 1, "b")],
            VisibilityConfig=visibility(),
        ),
    )
    refused(
        "WAFInvalidParameterException",
        lambda: aws.wafv2.create_rule_group(
            Name=name("group"),
            Scope="REGIONAL",
            Capacity=1000,
            Rules=[a_rule(MANAGED, OverrideAction={"None": {}})],
            VisibilityConfig=visibility(),
        ),
    )
    listed = aws.wafv2.list_rule_groups(Scope="REGIONAL")["RuleGroups"]
    assert group["Id"] in [one["Id"] for one in listed]
    listed = aws.wafv2.list_regex_pattern_sets(Scope="REGIONAL")["RegexPatternSets"]
    assert patterns["Id"] in [one["Id"] for one in listed]
    aws.wafv2.delete_rule_group(**naming(group), LockToken=group["LockToken"])
    aws.wafv2.delete_regex_pattern_set(
        **naming(patterns), LockToken=patterns["LockToken"]
    )


# WAF Classic Regional


@pytest.fixture
def regional(aws):
    return aws.waf_regional


def token(regional):
    return regional.get_change_token()["ChangeToken"]


@pytest.fixture
def classic(regional):
    """Makes web ACLs of WAF Classic; gone afterwards."""
    made = []

    def make():
        acl = regional.create_web_acl(
            Name=name("classic"),
            MetricName="metric",
            DefaultAction={"Type": "ALLOW"},
            ChangeToken=token(regional),
        )["WebACL"]
        made.append(acl["WebACLId"])
        return acl

    yield make
    for acl in made:
        left = regional.list_web_acls(Limit=100)["WebACLs"]
        if acl not in [one["WebACLId"] for one in left]:
            continue
        for arn in regional.list_resources_for_web_acl(WebACLId=acl)["ResourceArns"]:
            regional.disassociate_web_acl(ResourceArn=arn)
        regional.delete_web_acl(WebACLId=acl, ChangeToken=token(regional))


@rule("wafregional.token", "wafregional.token.status", "wafregional.create")
def test_change_tokens(regional, classic):
    first = token(regional)
    assert token(regional) == first
    status = regional.get_change_token_status(ChangeToken=first)
    assert status["ChangeTokenStatus"] == "PROVISIONED"
    acl = classic()
    assert acl["DefaultAction"] == {"Type": "ALLOW"}
    assert acl["MetricName"] == "metric" and acl["Rules"] == []
    assert acl["WebACLArn"].endswith(f":webacl/{acl['WebACLId']}")
    status = regional.get_change_token_status(ChangeToken=first)
    assert status["ChangeTokenStatus"] in ("PENDING", "INSYNC")
    assert token(regional) != first
    refused(
        "WAFStaleDataException",
        lambda: regional.delete_web_acl(WebACLId=acl["WebACLId"], ChangeToken=first),
    )
    refused(
        "WAFNonexistentItemException",
        lambda: regional.get_change_token_status(ChangeToken=str(uuid.uuid4())),
    )


@rule("wafregional.create.metric")
def test_metric_names(regional):
    for metric, code in (
        ("All", "WAFDisallowedNameException"),
        ("Default_Action", "WAFDisallowedNameException"),
        ("has-a-dash", "WAFInvalidParameterException"),
    ):
        refused(
            code,
            lambda: regional.create_web_acl(
                Name="a",
                MetricName=metric,
                DefaultAction={"Type": "ALLOW"},
                ChangeToken=token(regional),
            ),
        )


@rule("wafregional.get_list_delete", "wafregional.update")
def test_classic_life(regional, classic):
    acl = classic()
    acl_id = acl["WebACLId"]
    assert regional.get_web_acl(WebACLId=acl_id)["WebACL"] == acl
    listed = regional.list_web_acls(Limit=100)["WebACLs"]
    assert {"WebACLId": acl_id, "Name": acl["Name"]} in listed
    regional.update_web_acl(
        WebACLId=acl_id,
        ChangeToken=token(regional),
        DefaultAction={"Type": "BLOCK"},
    )
    got = regional.get_web_acl(WebACLId=acl_id)["WebACL"]
    assert got["DefaultAction"] == {"Type": "BLOCK"}
    insert = {
        "Action": "INSERT",
        "ActivatedRule": {
            "Priority": 1,
            "RuleId": str(uuid.uuid4()),
            "Action": {"Type": "BLOCK"},
        },
    }
    refused(
        "WAFNonexistentItemException",
        lambda: regional.update_web_acl(
            WebACLId=acl_id, ChangeToken=token(regional), Updates=[insert]
        ),
    )
    regional.delete_web_acl(WebACLId=acl_id, ChangeToken=token(regional))
    for call in (
        lambda: regional.get_web_acl(WebACLId=acl_id),
        lambda: regional.delete_web_acl(WebACLId=acl_id, ChangeToken=token(regional)),
        lambda: regional.list_resources_for_web_acl(WebACLId=acl_id),
    ):
        refused("WAFNonexistentItemException", call)


@rule(
    "wafregional.associate", "wafregional.for_resource", "wafregional.delete.associated"
)
def test_classic_association(regional, classic, balancer):
    acl, arn = classic(), balancer()
    acl_id = acl["WebACLId"]
    assert "WebACLSummary" not in regional.get_web_acl_for_resource(ResourceArn=arn)
    regional.disassociate_web_acl(ResourceArn=arn)
    regional.associate_web_acl(WebACLId=acl_id, ResourceArn=arn)
    got = regional.get_web_acl_for_resource(ResourceArn=arn)
    assert got["WebACLSummary"] == {"WebACLId": acl_id, "Name": acl["Name"]}
    listed = regional.list_resources_for_web_acl(WebACLId=acl_id)
    assert listed["ResourceArns"] == [arn]
    refused(
        "WAFReferencedItemException",
        lambda: regional.delete_web_acl(WebACLId=acl_id, ChangeToken=token(regional)),
    )
    code = "WAFNonexistentItemException"
    refused(
        code,
        lambda: regional.associate_web_acl(
            WebACLId=str(uuid.uuid4()), ResourceArn=arn
        ),
    )
    for call in (
        lambda: regional.associate_web_acl(WebACLId=acl_id, ResourceArn=stranger(arn)),
        lambda: regional.disassociate_web_acl(ResourceArn=stranger(arn)),
        lambda: regional.get_web_acl_for_resource(ResourceArn=stranger(arn)),
    ):
        refused(code, call)
    refused(
        "WAFInvalidParameterException",
        lambda: regional.associate_web_acl(WebACLId=acl_id, ResourceArn="nonsense"),
    )


@rule("wafv2.associate.one_waf")
def test_one_web_acl_over_both_wafs(aws, regional, acl, classic, balancer):
    new, old, arn = acl(), classic(), balancer()
    aws.wafv2.associate_web_acl(WebACLArn=new["ARN"], ResourceArn=arn)
    regional.associate_web_acl(WebACLId=old["WebACLId"], ResourceArn=arn)
    assert "WebACL" not in aws.wafv2.get_web_acl_for_resource(ResourceArn=arn)
    aws.wafv2.associate_web_acl(WebACLArn=new["ARN"], ResourceArn=arn)
    assert "WebACLSummary" not in regional.get_web_acl_for_resource(ResourceArn=arn)


# Shield


@pytest.fixture
def shield(aws):
    """Shield with a subscription, which cannot be undone within its year."""
    if aws.shield.get_subscription_state()["SubscriptionState"] == "INACTIVE":
        aws.shield.create_subscription()
    return aws.shield


@rule("shield.state", "shield.no_subscription", "shield.subscribe", "traps.43")
def test_without_subscription(aws):
    """In an account of its own, since a subscription binds for a year."""
    key, account = f"AKIA{uuid.uuid4().hex[:16].upper()}", str(uuid.uuid4().int)[:12]
    aws.sim.post("keys", {"id": key, "secret": "ours", "account": account})
    fresh = aws.as_(key=key, secret="ours").shield
    assert fresh.get_subscription_state()["SubscriptionState"] == "INACTIVE"
    protection = str(uuid.uuid4())
    zone = "arn:aws:route53:::hostedzone/Z0123456789"
    for call in (
        lambda: fresh.describe_subscription(),
        lambda: fresh.list_protections(),
        lambda: fresh.describe_protection(ResourceArn=zone),
        lambda: fresh.describe_protection(ProtectionId=protection),
        lambda: fresh.create_protection(Name="x", ResourceArn=zone),
        lambda: fresh.delete_protection(ProtectionId=protection),
        lambda: fresh.update_subscription(AutoRenew="DISABLED"),
        lambda: fresh.delete_subscription(),
    ):
        error = refused("ResourceNotFoundException", call)
        assert error.message == "The subscription does not exist."
    fresh.create_subscription()
    assert fresh.get_subscription_state()["SubscriptionState"] == "ACTIVE"
    refused("ResourceAlreadyExistsException", lambda: fresh.create_subscription())


@rule("shield.subscription", "shield.subscription.locked")
def test_subscription(shield):
    found = shield.describe_subscription()["Subscription"]
    assert found["AutoRenew"] == "ENABLED"
    assert found["TimeCommitmentInSeconds"] == 365 * 24 * 3600
    assert (found["EndTime"] - found["StartTime"]).days == 365
    assert found["SubscriptionArn"] == f"arn:aws:shield::{ACCOUNT}:subscription"
    limits = found["SubscriptionLimits"]
    kinds = limits["ProtectionLimits"]["ProtectedResourceTypeLimits"]
    assert {limit["Max"] for limit in kinds} == {1000}
    assert limits["ProtectionGroupLimits"]["MaxProtectionGroups"] > 0
    code = "LockedSubscriptionException"
    refused(code, lambda: shield.update_subscription(AutoRenew="DISABLED"))
    refused(code, lambda: shield.delete_subscription())


@rule("shield.protect", "shield.protect.exists", "shield.describe", "shield.unprotect")
def test_protection(shield, balancer):
    arn = balancer()
    refused(
        "ResourceNotFoundException",
        lambda: shield.describe_protection(ResourceArn=arn),
    )
    made = shield.create_protection(Name="managed by a test", ResourceArn=arn)
    protection = made["ProtectionId"]
    assert len(protection) == 36
    refused(
        "ResourceAlreadyExistsException",
        lambda: shield.create_protection(Name="another", ResourceArn=arn),
    )
    for by in ({"ResourceArn": arn}, {"ProtectionId": protection}):
        found = shield.describe_protection(**by)["Protection"]
        assert found["Id"] == protection
        assert found["Name"] == "managed by a test"
        assert found["ResourceArn"] == arn
        assert found["ProtectionArn"] == (
            f"arn:aws:shield::{ACCOUNT}:protection/{protection}"
        )
    for both in ({}, {"ResourceArn": arn, "ProtectionId": protection}):
        refused(
            "InvalidParameterException", lambda: shield.describe_protection(**both)
        )
    shield.delete_protection(ProtectionId=protection)
    for call in (
        lambda: shield.delete_protection(ProtectionId=protection),
        lambda: shield.describe_protection(ProtectionId=protection),
        lambda: shield.describe_protection(ResourceArn=arn),
    ):
        refused("ResourceNotFoundException", call)


@rule("shield.protect.kind")
def test_only_some_kinds_can_be_protected(shield, balancer):
    arn = balancer()
    for resource in (
        stranger(arn),
        arn.replace("loadbalancer/app/", "loadbalancer/net/"),
        "arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0",
        "arn:aws:cloudfront::123456789012:distribution/EDFDVBD6EXAMPLE",
    ):
        refused(
            "InvalidResourceException",
            lambda: shield.create_protection(Name="x", ResourceArn=resource),
        )


@rule("shield.validation")
def test_shield_values_fit_the_model(aws, shield, balancer):
    arn, unchecked = balancer(), aws.unchecked.shield
    for more in ({"Name": "no*stars"}, {"Name": "x" * 129}, {"ResourceArn": "x"}, {"Name": ""}):
        call = {"Name": "x", "ResourceArn": arn, **more}
        refused(
            "InvalidParameterException", lambda: unchecked.create_protection(**call)
        )
    refused(
        "InvalidParameterException",
        lambda: unchecked.delete_protection(ProtectionId="short"),
    )


@rule("shield.list", "shield.list.filter")
def test_list_protections(shield, balancer):
    arns = [balancer() for _ in range(3)]
    own = name("protection")
    made = [
        shield.create_protection(Name=f"{own}-{i}", ResourceArn=arn)["ProtectionId"]
        for i, arn in enumerate(arns)
    ]
    seen, more = [], {}
    while True:
        page = shield.list_protections(MaxResults=2, **more)
        assert len(page["Protections"]) <= 2
        seen += [one["Id"] for one in page["Protections"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert set(made) <= set(seen) and len(seen) == len(set(seen))

    def listed(**filters):
        page = shield.list_protections(InclusionFilters=filters, MaxResults=100)
        return [one["Id"] for one in page["Protections"]]

    assert listed(ResourceArns=[arns[1]]) == [made[1]]
    assert listed(ProtectionNames=[f"{own}-2"]) == [made[2]]
    assert listed(ProtectionNames=[f"{own}-2"], ResourceArns=[arns[1]]) == []
    assert set(made) <= set(listed(ResourceTypes=["APPLICATION_LOAD_BALANCER"]))
    assert listed(ResourceTypes=["GLOBAL_ACCELERATOR"]) == []
    refused(
        "InvalidPaginationTokenException",
        lambda: shield.list_protections(NextToken="%%%"),
    )
    for protection in made:
        shield.delete_protection(ProtectionId=protection)


@rule("shield.tags")
def test_shield_tags(shield, balancer):
    protection = shield.create_protection(
        Name="x", ResourceArn=balancer(), Tags=[{"Key": "a", "Value": "1"}]
    )["ProtectionId"]
    arn = shield.describe_protection(ProtectionId=protection)["Protection"][
        "ProtectionArn"
    ]
    shield.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    shield.untag_resource(ResourceARN=arn, TagKeys=["a", "absent"])
    found = shield.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert found == [{"Key": "b", "Value": "2"}]
    shield.delete_protection(ProtectionId=protection)
    refused(
        "ResourceNotFoundException",
        lambda: shield.list_tags_for_resource(ResourceARN=arn),
    )
