"""What policies let through: actions, resources, conditions, and how AWS says no."""

import json
import pathlib
import uuid

import pytest

from callers import keys_of, registered, role
from conftest import ACCOUNT, Vpc, refused, rule

CLUSTER = "elbv2.k8s.aws/cluster"
OWNED = [{"Key": CLUSTER, "Value": "one"}]
PUBLISHED = pathlib.Path(__file__).parents[4] / "deploy/iam-policy.json"


def allow(*actions, resource="*", **condition):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def deny(*actions, **more):
    return {**allow(*actions, **more), "Effect": "Deny"}


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def caller(aws, *statements):
    """The simulator as somebody sees it who may do only this."""
    return registered(aws, user=aws.name("eve"), policy=policy(*statements))


def session(aws, role_arn, **more):
    """A session of a role: its clients, and its ARN."""
    answer = aws.sts.assume_role(RoleArn=role_arn, RoleSessionName="web", **more)
    return keys_of(aws, answer), answer["AssumedRoleUser"]["Arn"]


def create_group(aws, **more):
    return aws.elbv2.create_target_group(Name=aws.name("tg"), TargetType="lambda", **more)["TargetGroups"][0][
        "TargetGroupArn"
    ]


def tags_of(aws, arn):
    described = aws.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    return {tag["Key"]: tag["Value"] for tag in described}


# A call of each family, the action, code and status of its denial.
FAMILIES = {
    "elb": (lambda aws: aws.elbv2.describe_rules(ListenerArn=f"arn:aws:elasticloadbalancing:{aws.region}:{ACCOUNT}:listener/app/a/1/1"),
            "elasticloadbalancing:DescribeRules", "AccessDenied", 403),
    "sts": (lambda aws: aws.sts.get_session_token(), "sts:GetSessionToken", "AccessDenied", 403),
    "iam": (lambda aws: aws.client("iam").list_server_certificates(),
            "iam:ListServerCertificates", "AccessDenied", 403),
    "route53": (lambda aws: aws.route53.list_hosted_zones(), "route53:ListHostedZones", "AccessDenied", 403),
    "acm": (lambda aws: aws.acm.list_certificates(), "acm:ListCertificates", "AccessDeniedException", 400),
    "wafv2": (lambda aws: aws.wafv2.list_web_acls(Scope="REGIONAL"),
              "wafv2:ListWebACLs", "AccessDeniedException", 400),
    "shield": (lambda aws: aws.shield.get_subscription_state(),
               "shield:GetSubscriptionState", "AccessDeniedException", 400),
    "tagging": (lambda aws: aws.tagging.get_resources(), "tag:GetResources", "AccessDeniedException", 400),
    "cognito": (lambda aws: aws.cognito.list_user_pools(MaxResults=1),
                "cognito-idp:ListUserPools", "AccessDeniedException", 400),
}


@pytest.mark.parametrize("family", FAMILIES)
@rule("authorization.denied", "authorization.text")
def test_a_denial_names_who_what_and_on_what(aws, family):
    call, action, code, status = FAMILIES[family]
    eve = caller(aws, allow("nothing:AtAll"))
    who = eve.sts.get_caller_identity()["Arn"]
    error = refused(code, lambda: call(eve), status)
    assert error.message == (
        f"User: {who} is not authorized to perform: {action} on resource: * "
        f"because no identity-based policy allows the {action} action"
    )
    call_of_the_allowed = caller(aws, allow(action))
    try:
        call(call_of_the_allowed)
    except call_of_the_allowed.elbv2.exceptions.ListenerNotFoundException:
        assert family == "elb"


@rule("authorization.resource")
def test_a_denial_names_the_resource(aws):
    zone = aws.route53.create_hosted_zone(Name=aws.name() + ".example", CallerReference=aws.name())
    zone = zone["HostedZone"]["Id"].rsplit("/")[-1]
    certificate = aws.acm.request_certificate(DomainName="a.example.com")["CertificateArn"]
    group = create_group(aws)
    check = aws.route53.create_health_check(
        CallerReference=aws.name(), HealthCheckConfig={"Type": "HTTP", "IPAddress": "192.0.2.1"}
    )["HealthCheck"]["Id"]
    eve = caller(aws, allow("ec2:*"))
    for resource, call in [
        (f"arn:aws:route53:::hostedzone/{zone}", lambda: eve.route53.get_hosted_zone(Id=zone)),
        (f"arn:aws:route53:::healthcheck/{check}", lambda: eve.route53.get_health_check(HealthCheckId=check)),
        (certificate, lambda: eve.acm.describe_certificate(CertificateArn=certificate)),
        (certificate, lambda: eve.acm.list_tags_for_resource(ResourceArn=certificate)),
        (group, lambda: eve.elbv2.delete_target_group(TargetGroupArn=group)),
        (group, lambda: eve.elbv2.remove_tags(ResourceArns=[group], TagKeys=["a"])),
    ]:
        error = refused(("AccessDenied", "AccessDeniedException"), call)
        assert f" on resource: {resource} because" in error.message
    own = caller(aws, allow("route53:*", resource=f"arn:aws:route53:::hostedzone/{zone}"))
    own.route53.get_hosted_zone(Id=zone)
    refused("AccessDenied", lambda: own.route53.get_health_check(HealthCheckId=check))


@rule("authorization.ec2")
def test_a_denial_of_ec2_is_encoded(aws, vpc):
    eve = caller(aws, allow("sts:*"), deny("ec2:DescribeSubnets"))
    who = eve.sts.get_caller_identity()["Arn"]
    create = lambda: eve.ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc.id)
    for call, action, explicit in [
        (create, "ec2:CreateSecurityGroup", False),
        (lambda: eve.ec2.describe_subnets(), "ec2:DescribeSubnets", True),
    ]:
        error = refused("UnauthorizedOperation", call, 403)
        start = "You are not authorized to perform this operation. Encoded authorization failure message: "
        assert error.message.startswith(start)
        encoded = error.message.removeprefix(start)
        assert action.split(":")[1] not in encoded and who not in encoded
        decoded = eve.sts.decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"]
        decoded = json.loads(decoded)
        assert (decoded["allowed"], decoded["explicitDeny"]) == (False, explicit)
        assert decoded["context"]["action"] == action
        assert decoded["context"]["principal"]["arn"] == who
    other = caller(aws, allow("ec2:*"))
    refused("AccessDenied", lambda: other.sts.decode_authorization_message(EncodedMessage=encoded), 403)
    logged = [call for call in aws.sim.get("log") if call.get("denied") and who in call["denied"]]
    assert "ec2:CreateSecurityGroup" in logged[0]["denied"]


@rule("authorization.explicit_deny")
def test_an_explicit_deny_wins(aws):
    eve = caller(aws, allow("*"), deny("acm:Delete*"))
    arn = eve.acm.request_certificate(DomainName="a.example.com")["CertificateArn"]
    error = refused("AccessDeniedException", lambda: eve.acm.delete_certificate(CertificateArn=arn), 400)
    assert error.message.endswith("with an explicit deny in an identity-based policy")
    assert eve.acm.describe_certificate(CertificateArn=arn)["Certificate"]["CertificateArn"] == arn


@rule("authorization.identity")
def test_everybody_may_ask_who_they_are(aws):
    eve = caller(aws, deny("*"))
    assert eve.sts.get_caller_identity()["Account"] == ACCOUNT


@rule("authorization.patterns")
def test_actions_and_resources_are_patterns(aws, vpc):
    eve = caller(aws, allow("EC2:describeV?c*"), {"Effect": "Allow", "NotAction": ["ec2:*"], "Resource": "*"})
    assert eve.ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"]
    refused("UnauthorizedOperation", lambda: eve.ec2.describe_subnets())
    eve.acm.list_certificates()
    mine = f"arn:aws:ec2:*:{ACCOUNT}:security-group/*"
    eve = caller(aws, allow("ec2:DeleteSecurityGroup", resource=mine), allow("ec2:DeleteVpc", resource=mine))
    eve.ec2.delete_security_group(GroupId=vpc.security_group())
    refused("UnauthorizedOperation", lambda: eve.ec2.delete_vpc(VpcId=vpc.id))


@rule("authorization.reads")
def test_reads_of_elb_and_ec2_know_no_resources(aws):
    arn = create_group(aws, Tags=OWNED)
    read = lambda who: who.elbv2.describe_target_groups(TargetGroupArns=[arn])
    refused("AccessDenied", lambda: read(caller(aws, allow("elasticloadbalancing:*", resource=arn))))
    tagged = {"StringEquals": {f"aws:ResourceTag/{CLUSTER}": "one"}}
    refused("AccessDenied", lambda: read(caller(aws, allow("elasticloadbalancing:*", **tagged))))
    security = f"arn:aws:ec2:*:*:security-group/*"
    eve = caller(aws, allow("ec2:*", resource=security))
    refused("UnauthorizedOperation", lambda: eve.ec2.describe_security_groups())
    assert read(caller(aws, allow("elasticloadbalancing:Describe*")))["TargetGroups"]


@rule("authorization.unchanged")
def test_a_denied_call_changes_nothing(aws, vpc):
    group, arn = vpc.security_group(), create_group(aws, Tags=OWNED)
    eve = caller(aws, allow("acm:*"))
    refused("UnauthorizedOperation", lambda: eve.ec2.delete_security_group(GroupId=group))
    refused("UnauthorizedOperation", lambda: eve.ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "b"}]))
    refused("AccessDenied", lambda: eve.elbv2.delete_target_group(TargetGroupArn=arn))
    refused("AccessDenied", lambda: eve.elbv2.add_tags(ResourceArns=[arn], Tags=[{"Key": "a", "Value": "b"}]))
    name = aws.name("tg")
    refused("AccessDenied", lambda: eve.elbv2.create_target_group(Name=name, TargetType="lambda"))
    refused("TargetGroupNotFound", lambda: aws.elbv2.describe_target_groups(Names=[name]))
    [shown] = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert shown.get("Tags", []) == []
    assert tags_of(aws, arn) == {CLUSTER: "one"}


@rule("authorization.several")
def test_each_of_several_resources_is_judged(aws):
    one, other = create_group(aws), create_group(aws)
    eve = caller(aws, allow("elasticloadbalancing:AddTags", resource=one))
    tag = [{"Key": "a", "Value": "b"}]
    error = refused("AccessDenied", lambda: eve.elbv2.add_tags(ResourceArns=[one, other], Tags=tag))
    assert other in error.message and tags_of(aws, one) == {}
    eve.elbv2.add_tags(ResourceArns=[one], Tags=tag)
    assert tags_of(aws, one) == {"a": "b"}


# Tags


@rule("authorization.tag_on_create.elb")
def test_tags_of_a_new_thing_of_elb_need_a_right(aws):
    create = "elasticloadbalancing:CreateTargetGroup"
    add = "elasticloadbalancing:AddTags"
    only = caller(aws, allow(create))
    create_group(only)
    error = refused("AccessDenied", lambda: create_group(only, Tags=OWNED), 403)
    assert f"to perform: {add} on resource: arn:aws:elasticloadbalancing:" in error.message
    on_create = lambda action: allow(add, StringEquals={"elasticloadbalancing:CreateAction": action})
    both = caller(aws, allow(create), on_create("CreateTargetGroup"))
    arn = create_group(both, Tags=OWNED)
    assert tags_of(aws, arn) == {CLUSTER: "one"}
    # That right is not one for what is there.
    refused("AccessDenied", lambda: both.elbv2.add_tags(ResourceArns=[arn], Tags=OWNED))
    wrong = caller(aws, allow(create), on_create("CreateLoadBalancer"))
    refused("AccessDenied", lambda: create_group(wrong, Tags=OWNED))


@rule("authorization.tag_on_create.ec2")
def test_tags_of_a_new_thing_of_ec2_need_a_right(aws, vpc):
    def create(who, tagged=True):
        tags = [{"ResourceType": "security-group", "Tags": OWNED}]
        return who.ec2.create_security_group(
            GroupName=aws.name("group"), Description="of a test", VpcId=vpc.id,
            **({"TagSpecifications": tags} if tagged else {}),
        )["GroupId"]

    only = caller(aws, allow("ec2:CreateSecurityGroup"))
    create(only, tagged=False)
    refused("UnauthorizedOperation", lambda: create(only), 403)
    on_create = lambda action: allow("ec2:CreateTags", StringEquals={"ec2:CreateAction": action})
    both = caller(aws, allow("ec2:CreateSecurityGroup"), on_create("CreateSecurityGroup"))
    group = create(both)
    refused("UnauthorizedOperation", lambda: both.ec2.create_tags(Resources=[group], Tags=OWNED))
    wrong = caller(aws, allow("ec2:CreateSecurityGroup"), on_create("CreateVpc"))
    refused("UnauthorizedOperation", lambda: create(wrong))
    rules = caller(aws, allow("ec2:Authorize*"), on_create("AuthorizeSecurityGroupIngress"))
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    call = lambda who: who.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[permission],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": OWNED}],
    )
    refused("UnauthorizedOperation", lambda: call(caller(aws, allow("ec2:Authorize*"))))
    call(rules)


@rule("authorization.tag_on_create.acm")
def test_tags_of_a_new_certificate_need_a_right(aws):
    request = lambda who, **more: who.acm.request_certificate(DomainName="a.example.com", **more)
    only = caller(aws, allow("acm:RequestCertificate"))
    request(only)
    error = refused("AccessDeniedException", lambda: request(only, Tags=[{"Key": "a", "Value": "b"}]), 400)
    assert "acm:AddTagsToCertificate" in error.message
    both = caller(aws, allow("acm:RequestCertificate", "acm:AddTagsToCertificate"))
    request(both, Tags=[{"Key": "a", "Value": "b"}])


@rule("authorization.resource_tag")
def test_conditions_on_the_tags_of_a_resource(aws, vpc):
    ours, theirs = create_group(aws, Tags=OWNED), create_group(aws)
    for key in (f"aws:ResourceTag/{CLUSTER}", f"elasticloadbalancing:ResourceTag/{CLUSTER}"):
        eve = caller(aws, allow("elasticloadbalancing:DeleteTargetGroup", StringEquals={key: "one"}))
        refused("AccessDenied", lambda: eve.elbv2.delete_target_group(TargetGroupArn=theirs))
        other = caller(aws, allow("elasticloadbalancing:DeleteTargetGroup", StringEquals={key: "two"}))
        refused("AccessDenied", lambda: other.elbv2.delete_target_group(TargetGroupArn=ours))
        pattern = caller(aws, allow("elasticloadbalancing:DeleteTargetGroup", StringLike={key: "o*"}))
        pattern.elbv2.delete_target_group(TargetGroupArn=ours)
        ours = create_group(aws, Tags=OWNED)
    group = vpc.security_group()
    eve = caller(aws, allow("ec2:DeleteSecurityGroup", Null={f"aws:ResourceTag/{CLUSTER}": "false"}))
    refused("UnauthorizedOperation", lambda: eve.ec2.delete_security_group(GroupId=group))
    aws.ec2.create_tags(Resources=[group], Tags=OWNED)
    eve.ec2.delete_security_group(GroupId=group)


@rule("authorization.request_tag")
def test_conditions_on_the_tags_that_a_call_carries(aws):
    arn = create_group(aws)
    add = lambda who, key, value="one": who.elbv2.add_tags(ResourceArns=[arn], Tags=[{"Key": key, "Value": value}])
    action = "elasticloadbalancing:AddTags"
    exact = caller(aws, allow(action, StringEquals={"aws:RequestTag/team": "shop"}))
    refused("AccessDenied", lambda: add(exact, "team", "bank"))
    refused("AccessDenied", lambda: add(exact, "other", "shop"))
    add(exact, "team", "shop")
    without = caller(aws, allow(action, Null={"aws:RequestTag/team": "true"}))
    refused("AccessDenied", lambda: add(without, "team", "shop"))
    add(without, "other")
    keys = caller(aws, allow(action, **{"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}))
    add(keys, "a")
    refused("AccessDenied", lambda: add(keys, "c"))
    assert set(tags_of(aws, arn)) == {"team", "other", "a"}


@rule("authorization.tagging_api")
def test_the_tagging_api_needs_the_rights_of_the_service(aws):
    arn = create_group(aws)
    tag = lambda who: who.tagging.tag_resources(ResourceARNList=[arn], Tags={"a": "b"})
    neither = caller(aws, allow("elasticloadbalancing:AddTags"))
    error = refused("AccessDeniedException", lambda: tag(neither), 400)
    assert "tag:TagResources" in error.message
    only = caller(aws, allow("tag:TagResources"))
    failed = tag(only)["FailedResourcesMap"][arn]
    assert "elasticloadbalancing:AddTags" in failed["ErrorMessage"], failed
    assert failed["StatusCode"] == 400 and tags_of(aws, arn) == {}
    both = caller(aws, allow("tag:TagResources", "elasticloadbalancing:AddTags"))
    assert tag(both)["FailedResourcesMap"] == {}
    assert tags_of(aws, arn) == {"a": "b"}


@rule("authorization.tagging_api")
def test_resources_that_are_denied_to_the_tagging_api_fail_one_by_one(aws):
    mine, other = create_group(aws), create_group(aws)
    arns = [mine, other]
    rights = ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"]
    who = caller(
        aws,
        allow("tag:*"),
        {"Effect": "Allow", "Action": rights, "Resource": mine},
    )
    tagged = who.tagging.tag_resources(ResourceARNList=arns, Tags={"a": "b"})
    assert list(tagged["FailedResourcesMap"]) == [other]
    assert tags_of(aws, mine) == {"a": "b"} and tags_of(aws, other) == {}
    removed = who.tagging.untag_resources(ResourceARNList=arns, TagKeys=["a"])
    assert list(removed["FailedResourcesMap"]) == [other] and tags_of(aws, mine) == {}


# Rights of others that a call uses


@rule("authorization.placement")
def test_placing_a_load_balancer_reads_ec2_with_the_rights_of_the_caller(aws, vpc):
    create = lambda who: who.elbv2.create_load_balancer(Name=aws.name("lb"), Subnets=vpc.subnets)["LoadBalancers"][0]
    linked = allow("iam:CreateServiceLinkedRole")
    eve = caller(aws, allow("elasticloadbalancing:*"), linked)
    error = refused("AccessDenied", lambda: create(eve), 403)
    assert "ec2:Describe" in error.message
    arn = create(caller(aws, allow("elasticloadbalancing:*", "ec2:Describe*", "ec2:Get*"), linked))["LoadBalancerArn"]
    refused("AccessDenied", lambda: eve.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=vpc.subnets[:2]))


@rule("authorization.service_linked_role")
def test_the_first_load_balancer_makes_a_role(aws):
    account = str(uuid.uuid4().int)[:12]
    someone = lambda *statements: registered(
        aws, account=account, user=aws.name("eve"), **({"policy": policy(*statements)} if statements else {})
    )
    vpc = Vpc(someone(), zones=2)
    create = lambda who: who.elbv2.create_load_balancer(Name=aws.name("lb"), Subnets=vpc.subnets)
    rights = allow("elasticloadbalancing:*", "ec2:*")
    error = refused("AccessDenied", lambda: create(someone(rights)), 403)
    assert "iam:CreateServiceLinkedRole" in error.message
    service = {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}
    create(someone(rights, allow("iam:CreateServiceLinkedRole", StringEquals=service)))
    create(someone(rights))


# Roles and sessions


@rule("authorization.session")
def test_a_session_may_do_what_its_role_may(aws, vpc):
    arn = role(aws, policy=policy(allow("ec2:Describe*")))
    assumed, who = session(aws, arn)
    assert assumed.ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"]
    error = refused("AccessDeniedException", lambda: assumed.acm.list_certificates(), 400)
    assert error.message.startswith(f"User: {who} is not authorized to perform: acm:ListCertificates")


@rule("authorization.session_policy")
def test_a_session_policy_narrows_the_role(aws):
    arn = role(aws, policy=policy(allow("ec2:*", "acm:ListCertificates")))
    narrow = json.dumps(policy(allow("ec2:DescribeVpcs", "route53:*")))
    assumed, _ = session(aws, arn, Policy=narrow)
    assumed.ec2.describe_vpcs()
    refused("UnauthorizedOperation", lambda: assumed.ec2.describe_subnets(), 403)
    refused("AccessDeniedException", lambda: assumed.acm.list_certificates(), 400)
    # What only the session policy has is not added.
    refused("AccessDenied", lambda: assumed.route53.list_hosted_zones(), 403)


@rule("authorization.assume")
def test_assuming_a_role_needs_the_right(aws):
    arn = role(aws)
    for statement in (allow("acm:*"), deny("sts:AssumeRole")):
        eve = caller(aws, statement)
        error = refused("AccessDenied", lambda: session(eve, arn), 403)
        assert f"sts:AssumeRole on resource: {arn}" in error.message
    session(caller(aws, allow("sts:AssumeRole", resource=arn)), arn)


MALFORMED = [
    {},
    {"Version": "2012-10-17"},
    {"Version": "2012-10-17", "Statement": []},
    {"Version": "2012-10-17", "Statement": ["all"]},
    policy({"Effect": "Maybe", "Action": "*", "Resource": "*"}),
    policy({"Effect": "Allow", "Resource": "*"}),
    policy({"Effect": "Allow", "Action": "*"}),
    policy({"Effect": "Allow", "Action": "*", "NotAction": "ec2:*", "Resource": "*"}),
    policy({"Effect": "Allow", "Action": [], "Resource": "*"}),
    policy(allow("*", StringLooksLike={"a": "b"})),
    {"Version": "2020-01-01", "Statement": [allow("*")]},
]


@rule("authorization.malformed")
@pytest.mark.parametrize("document", MALFORMED, ids=json.dumps)
def test_malformed_policies(aws, document):
    key = {"id": aws.name("AKIATEST"), "secret": "s", "policy": document}
    status, _ = aws.sim.call("POST", "keys", key)
    assert status == 400
    assert key["id"] not in json.dumps(aws.sim.get("keys"))
    status, _ = aws.sim.call("POST", "roles", {"arn": f"arn:aws:iam::{ACCOUNT}:role/r", "policy": document})
    assert status == 400
    arn = role(aws)
    refused("MalformedPolicyDocument", lambda: session(aws, arn, Policy=json.dumps(document)), 400)


@rule("authorization.malformed")
def test_a_list_of_keys_is_taken_whole_or_not_at_all(aws):
    names = [aws.name("AKIATEST"), aws.name("AKIATEST")]
    keys = [{"id": names[0], "secret": "s"}, {"id": names[1], "secret": "s", "policy": {}}]
    assert aws.sim.call("POST", "keys", keys)[0] == 400
    assert names[0] not in json.dumps(aws.sim.get("keys"))
    refused("MalformedPolicyDocument", lambda: session(aws, role(aws), Policy="{no json"), 400)


# The policy that a user of the controller attaches


@rule("authorization.published")
def test_the_published_policy_touches_only_what_is_tagged(aws, vpc):
    who = registered(aws, user=aws.name("controller"), policy=json.loads(PUBLISHED.read_text()))
    refused("AccessDenied", lambda: create_group(who))
    refused("AccessDenied", lambda: create_group(who, Tags=[{"Key": "team", "Value": "shop"}]))
    ours = create_group(who, Tags=OWNED)
    theirs = create_group(aws)
    add = lambda arn, key: who.elbv2.add_tags(ResourceArns=[arn], Tags=[{"Key": key, "Value": "x"}])
    add(ours, "team")
    refused("AccessDenied", lambda: add(ours, CLUSTER))
    refused("AccessDenied", lambda: add(theirs, "team"))
    refused("AccessDenied", lambda: add(theirs, CLUSTER))
    refused("AccessDenied", lambda: who.elbv2.delete_target_group(TargetGroupArn=theirs))
    who.elbv2.delete_target_group(TargetGroupArn=ours)
    foreign = vpc.security_group()
    refused("UnauthorizedOperation", lambda: who.ec2.delete_security_group(GroupId=foreign))
    refused("UnauthorizedOperation", lambda: who.ec2.create_tags(Resources=[foreign], Tags=OWNED))
    group = who.ec2.create_security_group(
        GroupName=aws.name("group"), Description="of a test", VpcId=vpc.id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": OWNED}],
    )["GroupId"]
    who.ec2.delete_security_group(GroupId=group)
    refused("UnauthorizedOperation", lambda: who.ec2.create_vpc(CidrBlock="10.0.0.0/16"))
    assert tags_of(aws, theirs) == {}
