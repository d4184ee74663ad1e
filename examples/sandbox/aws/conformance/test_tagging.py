"""The Resource Groups Tagging API, and JSON 1.1 as such."""

import time

import pytest
from conftest import ACCOUNT, HERE, REGION, Aws, refused, rule

CERTIFICATES = HERE / "certificates"

name = Aws.name


def ec2_arn(kind, resource):
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/{resource}"


@pytest.fixture
def groups(aws, vpc):
    """Makes target groups with tags; gone afterwards."""
    made = []

    def make(tags=None):
        more = {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]} if tags else {}
        arn = aws.elbv2.create_target_group(
            Name=name("tg"), Protocol="HTTP", Port=80, VpcId=vpc.id, **more
        )["TargetGroups"][0]["TargetGroupArn"]
        made.append(arn)
        return arn

    yield make
    for arn in made:
        aws.elbv2.delete_target_group(TargetGroupArn=arn)


def resources(aws, **call):
    """All pages of GetResources: tags by ARN."""
    found, token = {}, ""
    while True:
        page = aws.tagging.get_resources(PaginationToken=token, **call)
        for one in page["ResourceTagMappingList"]:
            assert one["ResourceARN"] not in found
            found[one["ResourceARN"]] = {t["Key"]: t["Value"] for t in one["Tags"]}
        token = page.get("PaginationToken")
        if not token:
            return found


def having(key, *values):
    return [{"Key": key, "Values": list(values)}]


@rule("tagging.resources", "tagging.types")
def test_resources_of_all_services(aws, vpc, groups):
    key = name("key")
    tag = [{"Key": key, "Value": "1"}]
    subnets = vpc.subnets[:2]
    aws.ec2.create_tags(Resources=[vpc.id, *subnets], Tags=tag)
    group = aws.ec2.create_security_group(
        GroupName=name("group"),
        Description="x",
        VpcId=vpc.id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tag}],
    )["GroupId"]
    balancer = aws.elbv2.create_load_balancer(
        Name=name("lb"), Subnets=subnets, Scheme="internal", Tags=tag
    )["LoadBalancers"][0]["LoadBalancerArn"]
    target_group = groups({key: "1"})
    listener = aws.elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}],
        Tags=tag,
    )["Listeners"][0]["ListenerArn"]
    listener_rule = aws.elbv2.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/a"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": target_group}],
        Tags=tag,
    )["Rules"][0]["RuleArn"]
    certificate = aws.acm.request_certificate(
        DomainName="tagged.example.com", ValidationMethod="DNS", Tags=tag
    )["CertificateArn"]
    acl = aws.wafv2.create_web_acl(
        Name=name("acl"),
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig={
            "SampledRequestsEnabled": False,
            "CloudWatchMetricsEnabled": False,
            "MetricName": "m",
        },
        Tags=tag,
    )["Summary"]
    pool = aws.cognito.create_user_pool(PoolName=name(), UserPoolTags={key: "1"})
    pool = pool["UserPool"]
    by_type = {
        "ec2:vpc": [ec2_arn("vpc", vpc.id)],
        "ec2:subnet": [ec2_arn("subnet", subnet) for subnet in subnets],
        "ec2:security-group": [ec2_arn("security-group", group)],
        "elasticloadbalancing:loadbalancer": [balancer],
        "elasticloadbalancing:loadbalancer/app": [balancer],
        "elasticloadbalancing:targetgroup": [target_group],
        "elasticloadbalancing:listener": [listener],
        "elasticloadbalancing:listener-rule": [listener_rule],
        "acm:certificate": [certificate],
        "wafv2:webacl": [acl["ARN"]],
        "cognito-idp:userpool": [pool["Arn"]],
    }
    found = resources(aws, TagFilters=having(key))
    wanted = {arn for arns in by_type.values() for arn in arns}
    assert set(found) == wanted
    assert all(tags == {key: "1"} for tags in found.values())
    for kind, arns in by_type.items():
        typed = resources(aws, TagFilters=having(key), ResourceTypeFilters=[kind])
        assert set(typed) == set(arns), kind
    services = resources(
        aws, TagFilters=having(key), ResourceTypeFilters=["ec2", "acm:certificate"]
    )
    assert len(services) == 5
    assert resources(aws, TagFilters=having(key), ResourceTypeFilters=["s3"]) == {}
    refused(
        "InvalidParameterException",
        lambda: aws.tagging.get_resources(ResourceTypeFilters=["EC2 subnet"]),
    )
    aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    aws.acm.delete_certificate(CertificateArn=certificate)
    aws.cognito.delete_user_pool(UserPoolId=pool["Id"])
    aws.wafv2.delete_web_acl(
        Name=acl["Name"], Scope="REGIONAL", Id=acl["Id"], LockToken=acl["LockToken"]
    )
    aws.ec2.delete_security_group(GroupId=group)


@rule("tagging.filters")
def test_filters(aws, groups):
    color, size = name("color"), name("size")
    red_big = groups({color: "red", size: "big"})
    red = groups({color: "red"})
    blue = groups({color: "blue", size: ""})
    for filters, wanted in (
        (having(color), {red_big, red, blue}),
        (having(color, "red"), {red_big, red}),
        (having(color, "red", "blue"), {red_big, red, blue}),
        (having(color, "red") + having(size), {red_big}),
        (having(size), {red_big, blue}),
        (having(size, ""), {blue}),
        (having(color, "Red"), set()),
        (having(color.upper()), set()),
        (having(color, "r*"), set()),
    ):
        assert set(resources(aws, TagFilters=filters)) == wanted, filters
    found = resources(aws, TagFilters=having(color, "red"))
    assert found[red_big] == {color: "red", size: "big"}
    for wrong in (
        [{"Key": f"k{i}"} for i in range(51)],
        [{"Key": "k", "Values": [str(i) for i in range(21)]}],
        [{"Values": ["x"]}],
    ):
        refused(
            "InvalidParameterException",
            lambda: aws.unchecked.tagging.get_resources(TagFilters=wrong),
        )


@rule("tagging.pages", "tagging.token", "traps.44")
def test_pages(aws, groups):
    key = name("key")
    made = {groups({key: "1"}) for _ in range(5)}
    seen, token, sizes = [], "", []
    while True:
        page = aws.tagging.get_resources(
            TagFilters=having(key), ResourcesPerPage=2, PaginationToken=token
        )
        sizes.append(len(page["ResourceTagMappingList"]))
        seen += [one["ResourceARN"] for one in page["ResourceTagMappingList"]]
        token = page["PaginationToken"]
        if token == "":
            break
    assert sizes == [2, 2, 1] and set(seen) == made
    pages = aws.tagging.get_paginator("get_resources").paginate(
        TagFilters=having(key), PaginationConfig={"PageSize": 1}
    )
    assert len([one for page in pages for one in page["ResourceTagMappingList"]]) == 5
    for wrong in (0, 101, -1):
        refused(
            "InvalidParameterException",
            lambda: aws.tagging.get_resources(ResourcesPerPage=wrong),
        )
    first = aws.tagging.get_resources(TagFilters=having(key), ResourcesPerPage=2)
    for call in (
        lambda: aws.tagging.get_resources(PaginationToken="%%%"),
        lambda: aws.tagging.get_resources(
            TagFilters=having("other"), PaginationToken=first["PaginationToken"]
        ),
    ):
        refused("InvalidParameterException", call)


@rule("tagging.tags_per_page")
def test_tags_per_page(aws, groups):
    key = name("key")
    tags = {f"{key}-{i}": "" for i in range(40)}
    for _ in range(3):
        groups(tags)
    filters = having(f"{key}-0")
    page = aws.tagging.get_resources(TagFilters=filters, TagsPerPage=100)
    assert len(page["ResourceTagMappingList"]) == 2
    assert all(len(one["Tags"]) == 40 for one in page["ResourceTagMappingList"])
    page = aws.tagging.get_resources(
        TagFilters=filters, TagsPerPage=100, PaginationToken=page["PaginationToken"]
    )
    assert len(page["ResourceTagMappingList"]) == 1
    assert page["PaginationToken"] == ""
    for wrong in (99, 501):
        refused(
            "InvalidParameterException",
            lambda: aws.tagging.get_resources(TagsPerPage=wrong),
        )


@rule("tagging.arns")
def test_by_arn(aws, groups):
    key = name("key")
    arn, never = groups({key: "1"}), groups()
    absent = arn[: arn.rindex("/") + 1] + "0123456789abcdef"
    page = aws.tagging.get_resources(ResourceARNList=[arn, never, absent])
    assert page["ResourceTagMappingList"] == [
        {"ResourceARN": arn, "Tags": [{"Key": key, "Value": "1"}]}
    ]
    for more in (
        {"TagFilters": having(key)},
        {"ResourceTypeFilters": ["ec2"]},
        {"ResourcesPerPage": 10},
        {"TagsPerPage": 100},
        {"PaginationToken": "x"},
    ):
        refused(
            "InvalidParameterException",
            lambda: aws.tagging.get_resources(ResourceARNList=[arn], **more),
        )
    for wrong in (["nonsense"], [], [arn] * 101):
        refused(
            "InvalidParameterException",
            lambda: aws.unchecked.tagging.get_resources(ResourceARNList=wrong),
        )


@rule("tagging.once", "tagging.untagged")
def test_once_tagged(aws, groups):
    key = name("key")
    arn, never = groups({key: "1"}), groups()
    aws.elbv2.remove_tags(ResourceArns=[arn], TagKeys=[key])
    found = resources(aws, ResourceTypeFilters=["elasticloadbalancing:targetgroup"])
    assert found[arn] == {}
    assert never not in found
    assert resources(aws, TagFilters=having(key)) == {}


@rule("tagging.deleted")
def test_deleted_resources_linger(aws, vpc):
    key = name("key")
    arn = aws.elbv2.create_target_group(
        Name=name("tg"),
        Protocol="HTTP",
        Port=80,
        VpcId=vpc.id,
        Tags=[{"Key": key, "Value": "1"}],
    )["TargetGroups"][0]["TargetGroupArn"]
    before = aws.sim.get("config")["timing"]["tag_linger_ms"]
    try:
        aws.sim.post("config", {"timing": {"tag_linger_ms": 5000}})
        aws.elbv2.delete_target_group(TargetGroupArn=arn)
        assert arn in resources(aws, TagFilters=having(key))
        deadline = time.time() + 20
        while arn in resources(aws, TagFilters=having(key)):
            assert time.time() < deadline
            time.sleep(0.2)
    finally:
        aws.sim.post("config", {"timing": {"tag_linger_ms": before}})


@rule("tagging.compliance")
def test_compliance(aws, groups):
    key = name("key")
    groups({key: "1"})
    page = aws.tagging.get_resources(
        TagFilters=having(key), IncludeComplianceDetails=True
    )
    details = page["ResourceTagMappingList"][0]["ComplianceDetails"]
    assert details["ComplianceStatus"] is True
    page = aws.tagging.get_resources(
        TagFilters=having(key),
        IncludeComplianceDetails=True,
        ExcludeCompliantResources=True,
    )
    assert page["ResourceTagMappingList"] == []
    refused(
        "InvalidParameterException",
        lambda: aws.tagging.get_resources(ExcludeCompliantResources=True),
    )


@rule("tagging.tag", "tagging.untag")
def test_tag_and_untag(aws, vpc, groups):
    key = name("key")
    group, vpc_arn = groups(), ec2_arn("vpc", vpc.id)
    absent_group = group[: group.rindex("/") + 1] + "0123456789abcdef"
    absent_vpc = ec2_arn("vpc", "vpc-0123456789abcdef0")
    elsewhere = vpc_arn.replace(REGION, "eu-west-1")
    answer = aws.tagging.tag_resources(
        ResourceARNList=[group, vpc_arn, absent_group, absent_vpc, elsewhere],
        Tags={key: "1", f"{key}-b": "2"},
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    failed = answer["FailedResourcesMap"]
    assert set(failed) == {absent_group, absent_vpc, elsewhere}
    for failure in failed.values():
        assert failure["StatusCode"] == 400
        assert failure["ErrorCode"] and failure["ErrorMessage"]
    found = resources(aws, TagFilters=having(key))
    assert set(found) == {group, vpc_arn}
    assert found[group] == {key: "1", f"{key}-b": "2"}
    described = aws.elbv2.describe_tags(ResourceArns=[group])["TagDescriptions"][0]
    assert {"Key": key, "Value": "1"} in described["Tags"]
    described = aws.ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]["Tags"]
    assert {"Key": key, "Value": "1"} in described
    answer = aws.tagging.tag_resources(ResourceARNList=[group], Tags={key: "3"})
    assert answer["FailedResourcesMap"] == {}
    assert resources(aws, TagFilters=having(key, "3")).keys() == {group}
    answer = aws.tagging.untag_resources(
        ResourceARNList=[group, vpc_arn, absent_vpc], TagKeys=[key, "absent"]
    )
    assert set(answer["FailedResourcesMap"]) == {absent_vpc}
    assert resources(aws, TagFilters=having(key)) == {}
    assert set(resources(aws, TagFilters=having(f"{key}-b"))) == {group, vpc_arn}


@rule("tagging.tag.limits")
def test_limits_of_tag(aws, groups):
    arn = groups()
    code = "InvalidParameterException"
    for arns, tags in (
        ([arn] * 21, {"a": "1"}),
        ([], {"a": "1"}),
        ([arn], {}),
        ([arn], {f"k{i}": "" for i in range(51)}),
        ([arn], {"aws:a": "1"}),
        ([arn], {"a" * 129: "1"}),
        ([arn], {"a": "1" * 257}),
        ([arn, "nonsense"], {"a": "1"}),
        ([arn.replace("arn:aws:", "arn:aws-cn:")], {"a": "1"}),
    ):
        refused(
            code,
            lambda: aws.unchecked.tagging.tag_resources(ResourceARNList=arns, Tags=tags),
        )
    assert aws.tagging.get_resources(ResourceARNList=[arn])[
        "ResourceTagMappingList"
    ] == []
    refused(
        code,
        lambda: aws.unchecked.tagging.untag_resources(ResourceARNList=[arn], TagKeys=[]),
    )
    # More tags than a resource can have fail for that resource.
    first = {f"a{i}": "" for i in range(30)}
    second = {f"b{i}": "" for i in range(30)}
    aws.tagging.tag_resources(ResourceARNList=[arn], Tags=first)
    answer = aws.tagging.tag_resources(ResourceARNList=[arn], Tags=second)
    assert set(answer["FailedResourcesMap"]) == {arn}


@rule("tagging.keys")
def test_keys_and_values(aws, groups):
    key = name("key")
    groups({key: "one"})
    groups({key: "two"})
    groups({key: "two"})

    def all_of(operation, member, **call):
        token, found = "", []
        while True:
            page = getattr(aws.tagging, operation)(PaginationToken=token, **call)
            found += page[member]
            token = page.get("PaginationToken")
            if not token:
                return found

    keys = all_of("get_tag_keys", "TagKeys")
    assert keys.count(key) == 1
    assert sorted(all_of("get_tag_values", "TagValues", Key=key)) == ["one", "two"]
    assert all_of("get_tag_values", "TagValues", Key=name("absent")) == []


@rule("json.envelope", "json.unknown")
def test_envelopes(aws):
    def call(operation, body="{}"):
        answer = aws.target("tagging", f"ResourceGroupsTaggingAPI_20170126.{operation}", body)
        assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
        assert answer.headers["x-amzn-RequestId"]
        return answer

    assert call("GetResources").status == 200
    for operation, body, code in (
        ("GetNothing", "{}", "UnknownOperationException"),
        ("GetResources", '{"ResourcesPerPage": 1000}', "InvalidParameterException"),
        ("GetResources", "[", "SerializationException"),
        ("GetResources", '{"ResourcesPerPage": "ten"}', "SerializationException"),
    ):
        answer = call(operation, body)
        assert (answer.status, answer.code) == (400, code)
        assert answer.json().get("message") or answer.json().get("Message")


@rule("tagging.global")
def test_what_belongs_to_no_region_is_listed_in_one(aws):
    key, certificate = name("key"), name("certificate")
    tag = [{"Key": key, "Value": "1"}]
    zone = aws.route53.create_hosted_zone(
        Name=f"{name('zone')}.example.com", CallerReference=name()
    )["HostedZone"]["Id"].split("/")[-1]
    aws.route53.change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=zone, AddTags=tag
    )
    uploaded = aws.iam.upload_server_certificate(
        ServerCertificateName=certificate,
        CertificateBody=(CERTIFICATES / "rsa.pem").read_text(),
        PrivateKey=(CERTIFICATES / "rsa.key").read_text(),
        Tags=tag,
    )["ServerCertificateMetadata"]["Arn"]
    try:
        arns = [f"arn:aws:route53:::hostedzone/{zone}", uploaded]
        regions = [aws.as_(region=region) for region in ("us-east-1", "us-west-2")]
        found = [resources(there, TagFilters=having(key)) for there in regions]
        wanted = {arn: {key: "1"} for arn in arns}
        assert sorted(found, key=len) == [{}, wanted]
        there = regions[found.index(wanted)].tagging
        answer = there.tag_resources(ResourceARNList=arns, Tags={f"{key}-b": "2"})
        assert answer["FailedResourcesMap"] == {}
        there.untag_resources(ResourceARNList=arns, TagKeys=[key])
        wanted = [{"Key": f"{key}-b", "Value": "2"}]
        tags = aws.route53.list_tags_for_resource(
            ResourceType="hostedzone", ResourceId=zone
        )
        assert tags["ResourceTagSet"]["Tags"] == wanted
        tags = aws.iam.list_server_certificate_tags(ServerCertificateName=certificate)
        assert tags["Tags"] == wanted
    finally:
        aws.route53.delete_hosted_zone(Id=zone)
        aws.iam.delete_server_certificate(ServerCertificateName=certificate)
