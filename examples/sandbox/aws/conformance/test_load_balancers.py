"""Application Load Balancers: made, described, changed, deleted."""

import itertools
import re

from conftest import REGION, Vpc, eventually, refused, rule
from load_balancing import Elb

UNKNOWN = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:loadbalancer/app/nope/0123456789abcdef"


def make(aws, vpc, **more):
    """CreateLoadBalancer with a fresh name in all subnets of the VPC."""
    wanted = {"Name": aws.name("lb"), "Subnets": vpc.subnets, **more}
    return aws.elbv2.create_load_balancer(**wanted)["LoadBalancers"][0]


def describe(aws, arn):
    return aws.elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]


class WithoutGateway(Vpc):
    """A VPC without an internet gateway."""

    def __init__(self, aws):
        self.aws = aws
        self.id = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.blocks = itertools.count()
        self.subnets = [self.subnet(zone) for zone in ("us-east-1a", "us-east-1b")]


def interfaces(aws, balancer):
    """The network interfaces of a load balancer."""
    path = balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]
    found = aws.ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [f"ELB {path}"]}]
    )
    return found["NetworkInterfaces"]


@rule("lb.create.defaults", "lb.create.answer", "lb.create.default_group")
def test_a_new_load_balancer(aws, vpc):
    name = aws.name("Web")
    made = aws.elbv2.create_load_balancer(
        Name=name, Subnets=vpc.subnets, Tags=[{"Key": "a", "Value": "b"}]
    )["LoadBalancers"]
    assert len(made) == 1
    balancer = made[0]
    groups = aws.ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [vpc.id]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"]
    arn = balancer.pop("LoadBalancerArn")
    assert re.fullmatch(
        rf"arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/{name}/[0-9a-f]{{16}}",
        arn,
    )
    dns = balancer.pop("DNSName")
    assert re.fullmatch(rf"{name}-[1-9]\d{{7,9}}\.us-east-1\.elb\.amazonaws\.com", dns)
    assert balancer.pop("CreatedTime").tzinfo is not None
    zones = balancer.pop("AvailabilityZones")
    assert {zone["ZoneName"]: zone["SubnetId"] for zone in zones} == dict(
        zip(["us-east-1a", "us-east-1b", "us-east-1c"], vpc.subnets)
    )
    assert all(zone["LoadBalancerAddresses"] == [] for zone in zones)
    assert balancer == {
        "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K",
        "LoadBalancerName": name,
        "Scheme": "internet-facing",
        "VpcId": vpc.id,
        "State": {"Code": "provisioning"},
        "Type": "application",
        "SecurityGroups": [groups[0]["GroupId"]],
        "IpAddressType": "ipv4",
    }


@rule("lb.create.internal_name", "lb.create.internal_without_gateway")
def test_an_internal_load_balancer_needs_no_gateway(aws):
    balancer = make(aws, WithoutGateway(aws), Scheme="internal")
    assert balancer["DNSName"].startswith(f"internal-{balancer['LoadBalancerName']}-")


@rule("lb.create.gateway")
def test_a_public_load_balancer_needs_an_internet_gateway(aws):
    vpc = WithoutGateway(aws)
    error = refused("InvalidSubnet", lambda: make(aws, vpc), status=400)
    assert error.message == f"VPC {vpc.id} has no internet gateway"


@rule("lb.state.active")
def test_it_becomes_active_by_itself(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    eventually(lambda: describe(aws, arn)["State"] == {"Code": "active"})


@rule(
    "lb.create.name_length",
    "lb.create.name_characters",
    "lb.create.name_hyphen",
    "lb.create.name_internal",
)
def test_names(aws, vpc):
    name = "a" * 33
    error = refused("ValidationError", lambda: make(aws, vpc, Name=name), status=400)
    assert error.message == f"The load balancer name '{name}' cannot be longer than '32' characters"
    for name in ["a_b", "a.b", "a b", "ä", "-a", "a-", "internal-a", ""]:
        refused("ValidationError", lambda name=name: make(aws, vpc, Name=name), status=400)
    longest = aws.name() + "-" + "x" * 19
    assert len(longest) == 32
    assert make(aws, vpc, Name=longest)["LoadBalancerName"] == longest


@rule("lb.create.name_required")
def test_a_name_is_needed(aws, vpc):
    refused(
        "ValidationError",
        lambda: aws.unchecked.elbv2.create_load_balancer(Subnets=vpc.subnets),
        status=400,
    )


@rule("lb.create.subnets_or_mappings")
def test_either_subnets_or_mappings(aws, vpc):
    mappings = [{"SubnetId": subnet} for subnet in vpc.subnets]
    refused("ValidationError", lambda: make(aws, vpc, SubnetMappings=mappings))
    refused("ValidationError", lambda: aws.elbv2.create_load_balancer(Name=aws.name()))
    refused("ValidationError", lambda: make(aws, vpc, Subnets=[]))
    made = aws.elbv2.create_load_balancer(Name=aws.name(), SubnetMappings=mappings)
    zones = made["LoadBalancers"][0]["AvailabilityZones"]
    assert {zone["SubnetId"] for zone in zones} == set(vpc.subnets)


@rule("lb.create.two_zones")
def test_two_zones_are_needed(aws, vpc):
    error = refused("ValidationError", lambda: make(aws, vpc, Subnets=vpc.subnets[:1]))
    assert (
        error.message
        == "At least two subnets in two different Availability Zones must be specified"
    )


@rule("lb.create.zone_twice")
def test_one_subnet_for_each_zone(aws, vpc):
    second = vpc.subnet("us-east-1a")
    for subnets in [vpc.subnets + [second], [vpc.subnets[0]] * 2]:
        error = refused(
            "InvalidConfigurationRequest", lambda subnets=subnets: make(aws, vpc, Subnets=subnets)
        )
        assert (
            error.message
            == "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
        )


@rule("lb.create.one_vpc")
def test_subnets_of_one_vpc(aws, vpc):
    other = Vpc(aws, zones=2)
    subnets = [vpc.subnets[0], other.subnets[1]]
    refused("InvalidConfigurationRequest", lambda: make(aws, vpc, Subnets=subnets))


@rule("lb.create.subnet_unknown")
def test_subnets_have_to_exist(aws, vpc):
    unknown = "subnet-0123456789abcdef0"
    error = refused(
        "SubnetNotFound", lambda: make(aws, vpc, Subnets=[vpc.subnets[0], unknown]), status=400
    )
    assert error.message == f"The subnet ID '{unknown}' does not exist"


@rule("lb.create.free_addresses")
def test_eight_free_addresses_in_each_subnet(aws, vpc):
    small = Small(vpc)
    for left in (10, 9, 8, 7):
        balancer = make(aws, vpc, Subnets=[vpc.subnets[0], small.id])
        assert small.free() == left
    error = refused("InvalidSubnet", lambda: make(aws, vpc, Subnets=[vpc.subnets[0], small.id]))
    assert error.message == (
        f"Not enough IP space available in {small.id}. "
        "ELB requires at least 8 free IP addresses in each subnet."
    )
    # The same call again is answered all the same: nothing new is made.
    again = make(
        aws, vpc, Name=balancer["LoadBalancerName"], Subnets=[vpc.subnets[0], small.id]
    )
    assert again["LoadBalancerArn"] == balancer["LoadBalancerArn"]


class Small:
    """A subnet with eleven addresses for use."""

    def __init__(self, vpc):
        self.ec2 = vpc.aws.ec2
        made = self.ec2.create_subnet(
            VpcId=vpc.id, CidrBlock="10.0.200.0/28", AvailabilityZone="us-east-1b"
        )
        self.id = made["Subnet"]["SubnetId"]

    def free(self):
        found = self.ec2.describe_subnets(SubnetIds=[self.id])["Subnets"][0]
        return found["AvailableIpAddressCount"]


@rule(
    "lb.create.group_unknown",
    "lb.create.group_malformed",
    "lb.create.group_other_vpc",
    "lb.create.group_many",
)
def test_security_groups(aws, vpc):
    unknown = "sg-0123456789abcdef0"
    refused("InvalidSecurityGroup", lambda: make(aws, vpc, SecurityGroups=[unknown]), status=400)
    error = refused("ValidationError", lambda: make(aws, vpc, SecurityGroups=["default"]))
    assert error.message == "Security group 'default' is not valid"
    far = Vpc(aws, zones=2).security_group()
    refused("InvalidConfigurationRequest", lambda: make(aws, vpc, SecurityGroups=[far]))
    groups = [vpc.security_group() for _ in range(6)]
    refused("InvalidConfigurationRequest", lambda: make(aws, vpc, SecurityGroups=groups))
    balancer = make(aws, vpc, SecurityGroups=groups[:5])
    assert set(balancer["SecurityGroups"]) == set(groups[:5])


@rule("lb.create.addresses_on_application")
def test_no_addresses_for_application_load_balancers(aws, vpc):
    for address in [
        {"AllocationId": "eipalloc-0123456789abcdef0"},
        {"PrivateIPv4Address": "10.0.0.9"},
        {"IPv6Address": "2600:1f14::9"},
        {"SourceNatIpv6Prefix": "auto_assigned"},
    ]:
        mappings = [{"SubnetId": vpc.subnets[0], **address}, {"SubnetId": vpc.subnets[1]}]
        refused(
            "InvalidConfigurationRequest",
            lambda mappings=mappings: aws.elbv2.create_load_balancer(
                Name=aws.name(), SubnetMappings=mappings
            ),
        )
    refused(
        "InvalidConfigurationRequest", lambda: make(aws, vpc, EnablePrefixForIpv6SourceNat="on")
    )


@rule("lb.create.scheme", "lb.create.type", "lb.create.address_type")
def test_words_that_are_not_in_the_model(aws, vpc):
    aws = aws.unchecked
    refused("InvalidScheme", lambda: make(aws, vpc, Scheme="public"), status=400)
    refused("ValidationError", lambda: make(aws, vpc, Type="classic"), status=400)
    refused("ValidationError", lambda: make(aws, vpc, IpAddressType="ipv6"), status=400)


@rule("lb.create.dualstack", "lb.create.dualstack_internal")
def test_dualstack_needs_ipv6_ranges(aws, vpc):
    error = refused("ValidationError", lambda: make(aws, vpc, IpAddressType="dualstack"))
    assert error.message == "You must specify subnets with an associated IPv6 CIDR block."
    refused(
        "InvalidConfigurationRequest",
        lambda: make(
            aws, vpc, IpAddressType="dualstack-without-public-ipv4", Scheme="internal"
        ),
    )


@rule("lb.create.same_again", "lb.create.duplicate_name")
def test_the_same_call_again(aws, vpc):
    tags = [{"Key": "a", "Value": "b"}]
    first = make(aws, vpc, Tags=tags)
    name = first["LoadBalancerName"]
    again = make(aws, vpc, Name=name, Subnets=vpc.subnets[::-1], Tags=tags)
    assert again["LoadBalancerArn"] == first["LoadBalancerArn"]
    for other in [
        {"Subnets": vpc.subnets[:2], "Tags": tags},
        {"Scheme": "internal", "Tags": tags},
        {"SecurityGroups": [vpc.security_group()], "Tags": tags},
        {"Type": "network", "Tags": tags},
        {"Tags": [{"Key": "a", "Value": "c"}]},
        {},
    ]:
        error = refused(
            "DuplicateLoadBalancerName",
            lambda other=other: make(aws, vpc, Name=name, **other),
            status=400,
        )
        assert "exists, but with different settings" in error.message
    # Names are told apart by letter case and are free again after a delete.
    aws.elbv2.delete_load_balancer(LoadBalancerArn=first["LoadBalancerArn"])
    second = make(aws, vpc, Name=name, Subnets=vpc.subnets[:2])
    assert second["LoadBalancerArn"] != first["LoadBalancerArn"]
    assert second["DNSName"] != first["DNSName"]


@rule("lb.create.tags_duplicate", "lb.create.tags_many", "lb.create.tags_reserved")
def test_tags_of_a_new_load_balancer(aws, vpc):
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    refused("DuplicateTagKeys", lambda: make(aws, vpc, Tags=twice), status=400)
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    refused("TooManyTags", lambda: make(aws, vpc, Tags=many), status=400)
    refused("ValidationError", lambda: make(aws, vpc, Tags=[{"Key": "aws:a", "Value": ""}]))
    make(aws, vpc, Tags=many[:50])


@rule("lb.create.quota")
def test_the_quota_of_application_load_balancers(aws, vpc):
    before = aws.sim.get("config")["quotas"]["application-load-balancers"]
    count = sum(
        balancer["Type"] == "application"
        for page in aws.elbv2.get_paginator("describe_load_balancers").paginate()
        for balancer in page["LoadBalancers"]
    )
    aws.sim.post("config", {"quotas": {"application-load-balancers": count + 1}})
    try:
        held = make(aws, vpc)
        refused("TooManyLoadBalancers", lambda: make(aws, vpc), status=400)
        # What exists can be asked for again.
        make(aws, vpc, Name=held["LoadBalancerName"])
        make(aws, vpc, Type="network")
        aws.elbv2.delete_load_balancer(LoadBalancerArn=held["LoadBalancerArn"])
        make(aws, vpc)
    finally:
        aws.sim.post("config", {"quotas": {"application-load-balancers": before}})


@rule("lb.create.type_gateway")
def test_a_gateway_load_balancer_is_outside_of_this_aws(aws, vpc):
    name = aws.name()
    refused("OperationNotPermitted", lambda: make(aws, vpc, Name=name, Type="gateway"))
    refused("LoadBalancerNotFound", lambda: aws.elbv2.describe_load_balancers(Names=[name]))


@rule("lb.interfaces.drawn")
def test_addresses_are_drawn(aws, vpc):
    made = [make(aws, vpc, Scheme="internal")["LoadBalancerArn"] for _ in range(2)]
    described = [f"ELB {arn.partition('loadbalancer/')[2]}" for arn in made]
    found = aws.ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": described}]
    )["NetworkInterfaces"]
    addresses = [interface["PrivateIpAddress"] for interface in found]
    assert len(set(addresses)) == 6
    # Where nobody puts a target of a test.
    assert all(int(address.rpartition(".")[2]) >= 192 for address in addresses)


@rule("lb.create.pools")
def test_pools_have_to_be_declared(aws, vpc):
    ipam = {"Ipv4IpamPoolId": "ipam-pool-0123456789abcdef0"}
    refused("InvalidConfigurationRequest", lambda: make(aws, vpc, IpamPools=ipam))
    refused(
        "InvalidConfigurationRequest",
        lambda: make(aws, vpc, CustomerOwnedIpv4Pool="ipv4pool-coip-0123456789abcdef0"),
    )


@rule("lb.create.nothing_changed")
def test_a_refused_create_makes_nothing(aws, vpc):
    name = aws.name()
    refused(
        "InvalidSecurityGroup",
        lambda: make(aws, vpc, Name=name, SecurityGroups=["sg-0123456789abcdef0"]),
    )
    refused("LoadBalancerNotFound", lambda: aws.elbv2.describe_load_balancers(Names=[name]))
    found = aws.ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])
    assert found["NetworkInterfaces"] == []


@rule("lb.describe.unknown", "lb.describe.malformed", "lb.describe.both", "lb.describe.name_length")
def test_one_unknown_fails_the_whole_describe(aws, vpc):
    balancer = make(aws, vpc)
    arn, name = balancer["LoadBalancerArn"], balancer["LoadBalancerName"]
    for question in [
        {"LoadBalancerArns": [arn, UNKNOWN]},
        {"Names": [name, aws.name("none")]},
    ]:
        error = refused(
            "LoadBalancerNotFound",
            lambda question=question: aws.elbv2.describe_load_balancers(**question),
            status=400,
        )
        assert error.message == "One or more load balancers not found"
    group = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/0123456789abcdef"
    for question in [
        {"LoadBalancerArns": ["nonsense"]},
        {"LoadBalancerArns": [group]},
        {"LoadBalancerArns": [arn], "Names": [name]},
        {"Names": ["a" * 33]},
    ]:
        refused(
            "ValidationError",
            lambda question=question: aws.elbv2.describe_load_balancers(**question),
        )


@rule("lb.describe.at_most_20")
def test_at_most_20_arns(aws):
    arns = [UNKNOWN[:-2] + f"{number:02}" for number in range(21)]
    refused("ValidationError", lambda: aws.elbv2.describe_load_balancers(LoadBalancerArns=arns))
    refused(
        "LoadBalancerNotFound", lambda: aws.elbv2.describe_load_balancers(LoadBalancerArns=arns[:20])
    )


@rule("lb.describe.pages")
def test_pages(aws, vpc):
    made = {make(aws, vpc)["LoadBalancerArn"] for _ in range(3)}
    pages = list(
        aws.elbv2.get_paginator("describe_load_balancers").paginate(
            PaginationConfig={"PageSize": 2}
        )
    )
    found = [balancer["LoadBalancerArn"] for page in pages for balancer in page["LoadBalancers"]]
    assert len(found) == len(set(found)) and made <= set(found)
    assert all(len(page["LoadBalancers"]) == 2 for page in pages[:-1])
    assert "NextMarker" not in pages[-1]
    for size in (0, 401):
        refused(
            "ValidationError",
            lambda size=size: aws.unchecked.elbv2.describe_load_balancers(PageSize=size),
        )
    refused("ValidationError", lambda: aws.elbv2.describe_load_balancers(Marker="nonsense"))


@rule("lb.describe.empty")
def test_an_account_without_load_balancers(aws):
    empty = aws.as_(region="eu-west-3")
    answer = empty.elbv2.describe_load_balancers()
    assert answer["LoadBalancers"] == [] and "NextMarker" not in answer


@rule("lb.delete.idempotent", "lb.delete.malformed", "lb.delete.listeners")
def test_delete(aws, vpc):
    balancer = make(aws, vpc)
    arn = balancer["LoadBalancerArn"]
    group = aws.elbv2.create_target_group(
        Name=aws.name(), Protocol="HTTP", Port=80, VpcId=vpc.id
    )["TargetGroups"][0]["TargetGroupArn"]
    listener = aws.elbv2.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    refused("LoadBalancerNotFound", lambda: describe(aws, arn))
    refused("ListenerNotFound", lambda: aws.elbv2.describe_listeners(ListenerArns=[listener]))
    left = aws.elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]
    assert left["LoadBalancerArns"] == []
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    aws.elbv2.delete_load_balancer(LoadBalancerArn=UNKNOWN)
    refused("ValidationError", lambda: aws.elbv2.delete_load_balancer(LoadBalancerArn="nonsense"))


@rule("lb.delete.protected")
def test_deletion_protection(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]

    def protect(on):
        aws.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=arn,
            Attributes=[{"Key": "deletion_protection.enabled", "Value": on}],
        )

    protect("true")
    error = refused(
        "OperationNotPermitted",
        lambda: aws.elbv2.delete_load_balancer(LoadBalancerArn=arn),
        status=400,
    )
    assert "cannot be deleted because deletion protection is enabled" in error.message
    describe(aws, arn)
    protect("false")
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)


@rule("lb.delete.target")
def test_a_load_balancer_that_is_a_target(aws, vpc):
    elb = Elb(aws, vpc)
    group = elb.group(Protocol="TCP", Port=80, TargetType="alb")
    elb.listener()
    target = [{"Id": elb.alb, "Port": 80}]
    aws.elbv2.register_targets(TargetGroupArn=group, Targets=target)
    remove = lambda: aws.elbv2.delete_load_balancer(LoadBalancerArn=elb.alb)
    refused("ResourceInUse", remove, status=400)
    describe(aws, elb.alb)
    aws.elbv2.deregister_targets(TargetGroupArn=group, Targets=target)

    def removed():
        remove()
        return True

    eventually(removed)


@rule("lb.interfaces.made", "lb.interfaces.outlive", "lb.delete.blocks_group")
def test_network_interfaces_outlive_the_load_balancer(aws, vpc):
    group = vpc.security_group()
    balancer = make(aws, vpc, SecurityGroups=[group])
    found = interfaces(aws, balancer)
    assert {interface["SubnetId"] for interface in found} == set(vpc.subnets)
    for interface in found:
        assert interface["RequesterId"] == "amazon-elb"
        assert interface["RequesterManaged"] is True
        assert interface["Status"] == "in-use"
        assert [held["GroupId"] for held in interface["Groups"]] == [group]
        assert interface["PrivateIpAddress"].startswith("10.0.")
        assert interface["Association"]["PublicIp"]
    remove = lambda: aws.ec2.delete_security_group(GroupId=group)
    refused("DependencyViolation", remove)
    aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    refused("DependencyViolation", remove)
    eventually(lambda: interfaces(aws, balancer) == [])
    remove()
