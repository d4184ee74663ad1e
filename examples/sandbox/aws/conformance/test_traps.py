"""What is easy to get wrong: section 7 of aws.md, as far as the API shows it."""

import base64
import json
import time

import pytest
from conftest import Aws, eventually, refused, rule

name = Aws.name
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


class Balancer:
    """A load balancer with one HTTP listener and a target group."""

    def __init__(self, aws, vpc):
        self.aws, self.vpc = aws, vpc
        self.name = name("lb")
        self.arn = self.create()
        self.listener = self.listen(80)
        self.group = self.target_group()

    def create(self, **more):
        made = self.aws.elbv2.create_load_balancer(
            Name=self.name, Subnets=self.vpc.subnets, Scheme="internal", **more
        )
        return made["LoadBalancers"][0]["LoadBalancerArn"]

    def listen(self, port, **more):
        call = {"Protocol": "HTTP", "DefaultActions": FIXED, **more}
        made = self.aws.elbv2.create_listener(
            LoadBalancerArn=self.arn, Port=port, **call
        )
        return made["Listeners"][0]["ListenerArn"]

    def target_group(self, **more):
        call = {"Name": name("tg"), "Protocol": "HTTP", "Port": 80, **more}
        made = self.aws.elbv2.create_target_group(VpcId=self.vpc.id, **call)
        return made["TargetGroups"][0]["TargetGroupArn"]

    def rule(self, priority, path="/a", listener=None, actions=None, **more):
        call = {"Conditions": [{"Field": "path-pattern", "Values": [path]}], **more}
        made = self.aws.elbv2.create_rule(
            ListenerArn=listener or self.listener,
            Priority=priority,
            Actions=actions or FIXED,
            **call,
        )
        return made["Rules"][0]

    def forward(self, group=None):
        return [{"Type": "forward", "TargetGroupArn": group or self.group}]

    def health(self, group=None):
        return self.aws.elbv2.describe_target_health(
            TargetGroupArn=group or self.group
        )["TargetHealthDescriptions"]


@pytest.fixture
def balancer(aws, vpc):
    made = Balancer(aws, vpc)
    yield made
    aws.elbv2.delete_load_balancer(LoadBalancerArn=made.arn)


@pytest.fixture
def zone(aws):
    made = aws.route53.create_hosted_zone(
        Name=f"{name('zone')}.example.com.", CallerReference=name()
    )["HostedZone"]
    yield made["Id"].split("/")[-1], made["Name"]


def change(aws, zone_id, *changes):
    return aws.route53.change_resource_record_sets(
        HostedZoneId=zone_id,
        ChangeBatch={
            "Changes": [{"Action": a, "ResourceRecordSet": r} for a, r in changes]
        },
    )


def record(record_name, kind="A", ttl=60, values=("192.0.2.1",)):
    return {
        "Name": record_name,
        "Type": kind,
        "TTL": ttl,
        "ResourceRecords": [{"Value": value} for value in values],
    }


# Codes and statuses


@rule("traps.1")
@pytest.mark.parametrize(
    "service, action, code, status",
    [
        ("ec2", "DescribeVpcs", "RequestLimitExceeded", 503),
        ("elasticloadbalancing", "DescribeTargetGroups", "Throttling", 400),
        ("route53", "ListHostedZones", "Throttling", 400),
    ],
)
def test_throttling_has_a_status_of_its_own(aws, service, action, code, status):
    calls = {
        "ec2": lambda: aws.ec2.describe_vpcs(),
        "elasticloadbalancing": lambda: aws.elbv2.describe_target_groups(),
        "route53": lambda: aws.route53.list_hosted_zones(),
    }
    aws.sim.post(
        "faults", {"service": service, "action": action, "times": 1, "code": code}
    )
    refused(code, calls[service], status=status)
    calls[service]()


@rule("traps.2")
def test_validation_error_is_no_modelled_error(aws, balancer):
    assert not hasattr(aws.elbv2.exceptions, "ValidationError")
    refused(
        "ValidationError",
        lambda: aws.elbv2.create_load_balancer(
            Name="internal-x", Subnets=balancer.vpc.subnets
        ),
        status=400,
    )


@rule("traps.3")
def test_a_quota_has_a_code_that_sounds_like_throttling(aws):
    names = [f"{name('c')}.example.com" for _ in range(11)]
    refused(
        "LimitExceededException",
        lambda: aws.acm.request_certificate(
            DomainName=names[0],
            SubjectAlternativeNames=names,
            ValidationMethod="DNS",
        ),
        status=400,
    )


# Creating again


@rule("traps.4")
def test_what_is_identical_is_answered(aws, balancer):
    assert balancer.create() == balancer.arn
    assert balancer.listen(80) == balancer.listener
    call = {"Name": name("tg"), "HealthCheckPath": "/x"}
    assert balancer.target_group(**call) == balancer.target_group(**call)
    refused(
        "DuplicateTargetGroupName",
        lambda: balancer.target_group(**{**call, "HealthCheckPath": "/y"}),
    )
    refused(
        "DuplicateLoadBalancerName",
        lambda: aws.elbv2.create_load_balancer(
            Name=balancer.name, Subnets=balancer.vpc.subnets[:2], Scheme="internal"
        ),
    )
    refused(
        "DuplicateListener",
        lambda: balancer.listen(80, DefaultActions=balancer.forward()),
    )


@rule("traps.5")
def test_rules_and_groups_are_made_once(aws, balancer):
    balancer.rule(7)
    refused("PriorityInUse", lambda: balancer.rule(7))
    call = {"GroupName": name("group"), "Description": "x", "VpcId": balancer.vpc.id}
    aws.ec2.create_security_group(**call)
    refused("InvalidGroup.Duplicate", lambda: aws.ec2.create_security_group(**call))
    refused(
        "InvalidGroup.Duplicate",
        lambda: aws.ec2.create_security_group(
            **{**call, "GroupName": call["GroupName"].upper()}
        ),
    )


@rule("traps.6")
def test_which_deletes_can_be_repeated(aws, balancer):
    made = balancer.rule(1)["RuleArn"]
    listener, group = balancer.listen(81), balancer.group
    aws.elbv2.delete_rule(RuleArn=made)
    refused("RuleNotFound", lambda: aws.elbv2.delete_rule(RuleArn=made))
    aws.elbv2.delete_listener(ListenerArn=listener)
    refused("ListenerNotFound", lambda: aws.elbv2.delete_listener(ListenerArn=listener))
    for _ in range(2):
        aws.elbv2.delete_target_group(TargetGroupArn=group)
        aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer.arn)
    security = balancer.vpc.security_group()
    aws.ec2.delete_security_group(GroupId=security)
    refused(
        "InvalidGroup.NotFound",
        lambda: aws.ec2.delete_security_group(GroupId=security),
    )


# Listeners and rules


@rule("traps.7")
def test_a_taken_port_has_two_codes(aws, balancer):
    other = balancer.listen(81)
    refused(
        ("ValidationError", "DuplicateListener"),
        lambda: aws.elbv2.modify_listener(ListenerArn=other, Port=80),
    )
    refused(
        "DuplicateListener",
        lambda: balancer.listen(80, DefaultActions=balancer.forward()),
    )


@rule("traps.8")
def test_priorities_come_back_as_text(aws, balancer):
    assert balancer.rule(12)["Priority"] == "12"
    rules = aws.elbv2.describe_rules(ListenerArn=balancer.listener)["Rules"]
    assert {r["Priority"] for r in rules} == {"12", "default"}
    assert [r["IsDefault"] for r in rules if r["Priority"] == "default"] == [True]


@rule("traps.9")
def test_priorities_are_swapped_in_one_call(aws, balancer):
    first, second = (balancer.rule(i, f"/{i}")["RuleArn"] for i in (1, 2))
    refused(
        "PriorityInUse",
        lambda: aws.elbv2.set_rule_priorities(
            RulePriorities=[{"RuleArn": first, "Priority": 2}]
        ),
    )
    aws.elbv2.set_rule_priorities(
        RulePriorities=[
            {"RuleArn": first, "Priority": 2},
            {"RuleArn": second, "Priority": 1},
        ]
    )
    rules = aws.elbv2.describe_rules(RuleArns=[first, second])["Rules"]
    assert {r["RuleArn"]: r["Priority"] for r in rules} == {first: "2", second: "1"}


@rule("traps.10")
def test_the_quota_of_rules_counts_all_listeners(aws, balancer):
    other = balancer.listen(81)
    for i in range(1, 61):
        balancer.rule(i)
    for i in range(1, 41):
        balancer.rule(i, listener=other)
    refused("TooManyRules", lambda: balancer.rule(61, listener=other))


@rule("traps.11")
def test_five_values_over_all_conditions(aws, balancer):
    hosts = ["a.example.com", "b.example.com", "c.example.com"]
    five = [
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/a/*"]}},
        {"Field": "host-header", "HostHeaderConfig": {"Values": hosts}},
    ]
    balancer.rule(1, Conditions=five)
    six = [
        *five,
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}},
    ]
    refused("ValidationError", lambda: balancer.rule(2, Conditions=six))


@rule("traps.12")
@pytest.mark.parametrize("host", ["*", "localhost", "10.0.0.1", "a b.example.com"])
def test_hosts_need_a_dot_and_letters(aws, balancer, host):
    condition = {"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}
    refused("ValidationError", lambda: balancer.rule(1, Conditions=[condition]))


@rule("traps.15")
def test_redirects(aws, balancer):
    action = {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"},
    }
    made = balancer.rule(1, actions=[action])["Actions"][0]["RedirectConfig"]
    assert made == {
        "Protocol": "HTTPS",
        "Port": "#{port}",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    }
    # To itself, for ever.
    action["RedirectConfig"] = {"StatusCode": "HTTP_301"}
    refused(
        ("InvalidLoadBalancerAction", "ValidationError"),
        lambda: balancer.rule(2, actions=[action]),
    )


# Certificates


@pytest.fixture
def issued(aws, zone):
    """Makes issued certificates, each validated by a record in our own zone."""
    zone_id, zone_name = zone

    def make(**more):
        arn = aws.acm.request_certificate(
            DomainName=f"{name('c')}.{zone_name.rstrip('.')}",
            ValidationMethod="DNS",
            **more,
        )["CertificateArn"]

        def wanted():
            found = aws.acm.describe_certificate(CertificateArn=arn)["Certificate"]
            return found["DomainValidationOptions"][0].get("ResourceRecord")

        needed = eventually(wanted)
        change(
            aws,
            zone_id,
            (
                "UPSERT",
                record(needed["Name"], needed["Type"], values=[needed["Value"]]),
            ),
        )
        eventually(
            lambda: aws.acm.describe_certificate(CertificateArn=arn)["Certificate"][
                "Status"
            ]
            == "ISSUED",
            seconds=40,
        )
        return arn

    return make


@rule("traps.16", "traps.17", "traps.18")
def test_certificates_of_a_listener(aws, balancer, issued):
    first, second = issued(), issued()
    listener = balancer.listen(
        443, Protocol="HTTPS", Certificates=[{"CertificateArn": first}]
    )

    def all_of():
        found = aws.elbv2.describe_listener_certificates(ListenerArn=listener)
        return sorted((c["CertificateArn"], c["IsDefault"]) for c in found["Certificates"])

    def add(*arns):
        aws.elbv2.add_listener_certificates(
            ListenerArn=listener, Certificates=[{"CertificateArn": a} for a in arns]
        )

    described = aws.elbv2.describe_listeners(ListenerArns=[listener])["Listeners"][0]
    assert described["Certificates"] == [{"CertificateArn": first}]
    refused("ValidationError", lambda: add(first, second))
    add(second)
    add(second)
    assert all_of() == sorted([(first, True), (second, False)])
    add(first)
    assert all_of() == sorted([(first, True), (first, False), (second, False)])
    described = aws.elbv2.describe_listeners(ListenerArns=[listener])["Listeners"][0]
    assert described["Certificates"] == [{"CertificateArn": first}]


@rule("traps.37")
def test_only_rsa_2048_is_listed(aws):
    arn = aws.acm.request_certificate(
        DomainName=f"{name('c')}.example.com",
        ValidationMethod="DNS",
        KeyAlgorithm="EC_prime256v1",
    )["CertificateArn"]

    def listed(**more):
        pages = aws.acm.get_paginator("list_certificates").paginate(**more)
        return arn in [
            c["CertificateArn"] for page in pages for c in page["CertificateSummaryList"]
        ]

    assert not listed()
    assert listed(Includes={"keyTypes": ["EC_prime256v1"]})
    aws.acm.delete_certificate(CertificateArn=arn)


@rule("traps.19")
def test_secrets_do_not_come_back(aws, balancer, issued):
    listener = balancer.listen(
        443, Protocol="HTTPS", Certificates=[{"CertificateArn": issued()}]
    )
    oidc = {
        "Issuer": "https://idp.example.com",
        "AuthorizationEndpoint": "https://idp.example.com/auth",
        "TokenEndpoint": "https://idp.example.com/token",
        "UserInfoEndpoint": "https://idp.example.com/user",
        "ClientId": "client",
        "ClientSecret": "secret",
    }
    made = balancer.rule(
        1,
        listener=listener,
        actions=[
            {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": oidc},
            {**FIXED[0], "Order": 2},
        ],
    )
    for found in (
        made,
        aws.elbv2.describe_rules(RuleArns=[made["RuleArn"]])["Rules"][0],
    ):
        shown = [a for a in found["Actions"] if a["Type"] == "authenticate-oidc"][0]
        shown = shown["AuthenticateOidcConfig"]
        assert "ClientSecret" not in shown
        assert "UseExistingClientSecret" not in shown
        assert shown["ClientId"] == "client"
        assert shown["Scope"] == "openid"
        assert shown["SessionCookieName"] == "AWSELBAuthSessionCookie"
        assert shown["SessionTimeout"] == 604800
        assert shown["OnUnauthenticatedRequest"] == "authenticate"


# Reading many


@rule("traps.20", "traps.21")
def test_one_stranger_fails_the_whole_call(aws, balancer):
    def stranger(arn):
        return arn[: arn.rindex("/") + 1] + "0123456789abcdef"

    elb, ec2 = aws.elbv2, aws.ec2
    for code, call in (
        (
            "LoadBalancerNotFound",
            lambda: elb.describe_load_balancers(
                LoadBalancerArns=[balancer.arn, stranger(balancer.arn)]
            ),
        ),
        (
            "LoadBalancerNotFound",
            lambda: elb.describe_load_balancers(Names=[balancer.name, name()]),
        ),
        (
            "TargetGroupNotFound",
            lambda: elb.describe_target_groups(
                TargetGroupArns=[balancer.group, stranger(balancer.group)]
            ),
        ),
        (
            "TargetGroupNotFound",
            lambda: elb.describe_tags(
                ResourceArns=[balancer.arn, stranger(balancer.group)]
            ),
        ),
        (
            "InvalidSubnetID.NotFound",
            lambda: ec2.describe_subnets(
                SubnetIds=[balancer.vpc.subnets[0], "subnet-0123456789abcdef0"]
            ),
        ),
        (
            "InvalidGroup.NotFound",
            lambda: ec2.describe_security_groups(GroupIds=["sg-0123456789abcdef0"]),
        ),
    ):
        refused(code, call)
    refused(
        "ValidationError",
        lambda: elb.describe_tags(ResourceArns=[balancer.arn] * 21),
    )
    many = [stranger(balancer.arn)[:-2] + f"{i:02x}" for i in range(21)]
    refused("ValidationError", lambda: elb.describe_load_balancers(LoadBalancerArns=many))
    refused(
        "InvalidInput",
        lambda: aws.unchecked.route53.list_tags_for_resources(
            ResourceType="hostedzone", ResourceIds=[f"Z{i}" for i in range(11)]
        ),
    )


# Attributes


@rule("traps.22", "traps.23")
def test_attributes_change_in_part(aws, balancer):
    def attributes():
        found = aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=balancer.arn)
        return {a["Key"]: a["Value"] for a in found["Attributes"]}

    def modify(values):
        aws.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.arn,
            Attributes=[{"Key": k, "Value": v} for k, v in values.items()],
        )

    modify({"idle_timeout.timeout_seconds": "120"})
    before = attributes()
    assert len(before) > 20
    modify({"routing.http2.enabled": "false"})
    assert attributes() == {**before, "routing.http2.enabled": "false"}
    refused("ValidationError", lambda: modify(dict(list(before.items())[:21])))
    refused(
        ("ValidationError", "InvalidConfigurationRequest"),
        lambda: modify(
            {"client_keep_alive.seconds": "100", "idle_timeout.timeout_seconds": "0"}
        ),
    )
    assert attributes() == {**before, "routing.http2.enabled": "false"}


@rule("traps.32")
def test_deletion_protection(aws, balancer):
    def protect(value):
        aws.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.arn,
            Attributes=[{"Key": "deletion_protection.enabled", "Value": value}],
        )

    protect("true")
    error = refused(
        "OperationNotPermitted",
        lambda: aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer.arn),
    )
    assert "deletion protection" in error.message
    default = aws.elbv2.describe_rules(ListenerArn=balancer.listener)["Rules"][0]
    error = refused(
        "OperationNotPermitted",
        lambda: aws.elbv2.delete_rule(RuleArn=default["RuleArn"]),
    )
    assert "deletion protection" not in error.message
    protect("false")
    aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer.arn)


# Targets


@rule("traps.24", "traps.25")
def test_a_target_is_an_id_and_a_port(aws, balancer):
    group = balancer.target_group(TargetType="ip")
    elb = aws.elbv2

    def targets():
        return sorted(t["Target"]["Port"] for t in balancer.health(group))

    for port in (8080, 8081):
        elb.register_targets(
            TargetGroupArn=group, Targets=[{"Id": "10.0.0.9", "Port": port}]
        )
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.9"}])
    assert targets() == [80, 8080, 8081]
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.9"}])
    assert {8080, 8081} <= set(targets())
    elb.deregister_targets(
        TargetGroupArn=group, Targets=[{"Id": "10.0.0.9", "Port": 8080}]
    )
    assert 8081 in targets() and 8080 not in targets()
    elb.delete_target_group(TargetGroupArn=group)


@rule("traps.27")
def test_targets_of_an_unused_group_are_unused(aws, balancer):
    group = balancer.target_group(TargetType="ip")
    aws.elbv2.register_targets(
        TargetGroupArn=group, Targets=[{"Id": "10.0.0.10", "Port": 8080}]
    )
    time.sleep(1)
    health = balancer.health(group)[0]["TargetHealth"]
    assert (health["State"], health["Reason"]) == ("unused", "Target.NotInUse")
    assert health["Description"]
    balancer.rule(1, actions=balancer.forward(group))
    eventually(
        lambda: balancer.health(group)[0]["TargetHealth"]["State"] != "unused"
    )


@rule("traps.30")
def test_a_group_serves_one_load_balancer(aws, vpc, balancer):
    balancer.rule(1, actions=balancer.forward())
    other = Balancer(aws, vpc)
    refused(
        "TargetGroupAssociationLimit",
        lambda: other.rule(1, actions=other.forward(balancer.group)),
    )
    aws.elbv2.delete_load_balancer(LoadBalancerArn=other.arn)


@rule("traps.31")
@pytest.mark.parametrize("version", ["GRPC", "HTTP2"])
def test_versions_that_need_https(aws, balancer, version):
    group = balancer.target_group(ProtocolVersion=version)
    refused(
        ("InvalidConfigurationRequest", "ValidationError", "InvalidLoadBalancerAction"),
        lambda: balancer.rule(1, actions=balancer.forward(group)),
    )


# EC2


@rule("traps.33")
def test_interfaces_hold_the_security_group(aws, vpc):
    group = vpc.security_group()
    arn = aws.elbv2.create_load_balancer(
        Name=name("lb"), Subnets=vpc.subnets, Scheme="internal", SecurityGroups=[group]
    )["LoadBalancers"][0]["LoadBalancerArn"]

    def delete():
        aws.ec2.delete_security_group(GroupId=group)
        return True

    refused("DependencyViolation", delete)
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    refused("DependencyViolation", delete)
    eventually(delete)


def permission(cidr="192.0.2.0/24", port=80, description=None):
    block = {"CidrIp": cidr, **({"Description": description} if description else {})}
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [block],
    }


@rule("traps.34", "traps.35")
def test_permissions(aws, vpc):
    group = vpc.security_group()

    def authorize(*permissions):
        aws.ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=list(permissions)
        )

    def ports():
        found = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        return {p["FromPort"]: p["IpRanges"] for p in found["IpPermissions"]}

    authorize(permission("100.68.0.18/18", description="first"))
    assert ports() == {80: [{"CidrIp": "100.68.0.0/18", "Description": "first"}]}
    refused(
        "InvalidPermission.Duplicate",
        lambda: authorize(
            permission(port=81), permission("100.68.0.0/18", description="second")
        ),
    )
    assert set(ports()) == {80}


@rule("traps.36")
def test_deleting_tags(aws, vpc):
    def tags():
        found = aws.ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0].get("Tags", [])
        return {t["Key"]: t["Value"] for t in found}

    def delete(**more):
        aws.ec2.delete_tags(Resources=[vpc.id], **more)

    aws.ec2.create_tags(
        Resources=[vpc.id],
        Tags=[{"Key": k, "Value": v} for k, v in (("a", "1"), ("b", ""), ("c", "3"))],
    )
    delete(Tags=[{"Key": "a", "Value": ""}, {"Key": "absent"}])
    assert tags() == {"a": "1", "b": "", "c": "3"}
    delete(Tags=[{"Key": "b", "Value": ""}, {"Key": "c"}])
    assert tags() == {"a": "1"}
    delete()
    assert tags() == {}


@rule("traps.47")
def test_an_internet_gateway_is_needed(aws):
    ec2 = aws.ec2
    vpc_id = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc_id, CidrBlock=f"10.9.{i}.0/24", AvailabilityZone=f"{aws.region}{z}"
        )["Subnet"]["SubnetId"]
        for i, z in enumerate("ab")
    ]
    error = refused(
        "InvalidSubnet",
        lambda: aws.elbv2.create_load_balancer(Name=name("lb"), Subnets=subnets),
    )
    assert "internet gateway" in error.message


# Route 53


@rule("traps.38")
def test_a_name_is_where_a_listing_begins(aws, zone):
    _, zone_name = zone
    found = aws.route53.list_hosted_zones_by_name(DNSName=f"0.{zone_name}")
    names = [z["Name"] for z in found["HostedZones"]]
    assert zone_name not in names
    found = aws.route53.list_hosted_zones_by_name(DNSName=zone_name, MaxItems="1")
    assert [z["Name"] for z in found["HostedZones"]] == [zone_name]


@rule("traps.39", "traps.40")
def test_a_delete_repeats_every_value(aws, zone):
    zone_id, zone_name = zone
    made = record(f"a.{zone_name}", values=("192.0.2.1", "192.0.2.2"))
    change(aws, zone_id, ("CREATE", made))
    for other in (
        {**made, "TTL": 61},
        record(f"a.{zone_name}", values=("192.0.2.1",)),
    ):
        error = refused(
            "InvalidChangeBatch", lambda: change(aws, zone_id, ("DELETE", other))
        )
        assert "do not match the current values" in error.message
    error = refused(
        "InvalidChangeBatch",
        lambda: change(
            aws,
            zone_id,
            ("DELETE", record(f"absent.{zone_name}")),
            ("CREATE", made),
        ),
        status=400,
    )
    assert error.message.startswith("[") and error.message.endswith("]")
    assert "Tried to delete" in error.message and "Tried to create" in error.message
    # The order of values does not count.
    again = record(f"a.{zone_name}", values=("192.0.2.2", "192.0.2.1"))
    change(aws, zone_id, ("DELETE", again), ("CREATE", made))


@rule("traps.41")
def test_names_come_back_in_their_stored_form(aws, zone, balancer):
    zone_id, zone_name = zone
    described = aws.elbv2.describe_load_balancers(LoadBalancerArns=[balancer.arn])
    described = described["LoadBalancers"][0]
    alias = {
        "Name": f"*.{zone_name.rstrip('.')}".upper(),
        "Type": "A",
        "AliasTarget": {
            "HostedZoneId": described["CanonicalHostedZoneId"],
            "DNSName": described["DNSName"].upper(),
            "EvaluateTargetHealth": False,
        },
    }
    change(aws, zone_id, ("CREATE", alias))
    found = aws.route53.list_resource_record_sets(HostedZoneId=zone_id)
    found = [r for r in found["ResourceRecordSets"] if r["Type"] == "A"]
    assert len(found) == 1
    assert found[0]["Name"] == f"\\052.{zone_name}"
    assert found[0]["AliasTarget"]["DNSName"] == described["DNSName"].lower() + "."
    assert "TTL" not in found[0] and not found[0].get("ResourceRecords")


# STS


@rule("traps.45")
def test_web_identity_needs_no_signature(aws):
    def part(claims):
        text = json.dumps(claims).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    token = f"{part({'alg': 'RS256'})}.{part({'exp': 1})}.c2ln"
    answer = aws.form(
        "sts",
        "2011-06-15",
        "AssumeRoleWithWebIdentity",
        RoleArn="arn:aws:iam::123456789012:role/x",
        RoleSessionName="session",
        WebIdentityToken=token,
    )
    unsigned = aws.http(
        headers={"content-type": "application/x-www-form-urlencoded"},
        body="Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
        "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fx"
        f"&RoleSessionName=session&WebIdentityToken={token}",
    )
    for found in (answer, unsigned):
        assert found.status == 400
        assert found.code in ("ExpiredTokenException", "InvalidIdentityToken")
    caller = aws.http(
        headers={"content-type": "application/x-www-form-urlencoded"},
        body="Action=GetCallerIdentity&Version=2011-06-15",
    )
    assert (caller.status, caller.code) == (403, "MissingAuthenticationToken")


# Time


@rule("traps.46")
def test_nothing_is_ready_at_once(aws, vpc, zone):
    made = aws.elbv2.create_load_balancer(
        Name=name("lb"), Subnets=vpc.subnets, Scheme="internal"
    )["LoadBalancers"][0]
    assert made["State"]["Code"] == "provisioning"
    arn = made["LoadBalancerArn"]
    zone_id, zone_name = zone
    info = change(aws, zone_id, ("CREATE", record(f"t.{zone_name}")))["ChangeInfo"]
    assert info["Status"] == "PENDING"

    def active():
        found = aws.elbv2.describe_load_balancers(LoadBalancerArns=[arn])
        return found["LoadBalancers"][0]["State"]["Code"] == "active"

    eventually(active)
    eventually(
        lambda: aws.route53.get_change(Id=info["Id"])["ChangeInfo"]["Status"] == "INSYNC"
    )
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)
