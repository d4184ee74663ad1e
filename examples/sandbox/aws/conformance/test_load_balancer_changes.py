"""What can be changed on load balancers, and their attributes."""

import ipaddress
import itertools

from conftest import Vpc, eventually, refused, rule
from load_balancing import Elb
from test_load_balancers import UNKNOWN, describe, interfaces, make

DEFAULTS = {
    "access_logs.s3.bucket": "",
    "access_logs.s3.enabled": "false",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "health_check_logs.s3.bucket": "",
    "health_check_logs.s3.enabled": "false",
    "health_check_logs.s3.prefix": "",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_kx.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}


def attributes(aws, arn):
    answer = aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)
    return {attribute["Key"]: attribute["Value"] for attribute in answer["Attributes"]}


def modify(aws, arn, changes):
    pairs = changes.items() if isinstance(changes, dict) else changes
    answer = aws.elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value} for key, value in pairs]
    )
    return {attribute["Key"]: attribute["Value"] for attribute in answer["Attributes"]}


@rule("lb.attributes.defaults", "lb.attributes.deny_gateway")
def test_attributes_of_a_new_load_balancer(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    assert attributes(aws, arn) == DEFAULTS
    internal = make(aws, vpc, Scheme="internal")["LoadBalancerArn"]
    assert attributes(aws, internal) == {**DEFAULTS, "ipv6.deny_all_igw_traffic": "true"}


GOOD = [
    ("idle_timeout.timeout_seconds", ["1", "4000"]),
    ("client_keep_alive.seconds", ["60", "604800"]),
    ("routing.http.desync_mitigation_mode", ["monitor", "strictest", "defensive"]),
    ("routing.http.xff_header_processing.mode", ["preserve", "remove", "append"]),
    ("load_balancing.cross_zone.enabled", ["true"]),
    ("access_logs.s3.prefix", ["some/where", ""]),
    *(
        (key, ["true", "false"])
        for key, value in DEFAULTS.items()
        if value in ("true", "false") and ".s3." not in key and "cross_zone" not in key
    ),
]

BAD = [
    ("idle_timeout.timeout_seconds", ["0", "4001", "-1", "1.5", "060", "ten", ""]),
    ("client_keep_alive.seconds", ["59", "604801", ""]),
    ("routing.http.desync_mitigation_mode", ["off", "Monitor", ""]),
    ("routing.http.xff_header_processing.mode", ["drop", "APPEND"]),
    ("load_balancing.cross_zone.enabled", ["false"]),
    ("routing.http2.enabled", ["yes", "1", "True", ""]),
    ("deletion_protection.enabled", ["on"]),
    ("access_logs.s3.prefix", ["a/AWSLogs/b"]),
    ("no.such.attribute", ["true"]),
    ("dns_record.client_routing_policy", ["any_availability_zone"]),
    ("secondary_ips.auto_assigned.per_subnet", ["1"]),
    ("deregistration_delay.timeout_seconds", ["10"]),
]


@rule("lb.attributes.values", "lb.attributes.partial", "lb.attributes.answer")
def test_values_that_attributes_take(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    now = dict(DEFAULTS)
    for key, values in GOOD:
        for value in values:
            now[key] = value
            assert modify(aws, arn, {key: value}) == now
    assert attributes(aws, arn) == now


@rule("lb.attributes.bad_values", "lb.attributes.unknown", "lb.attributes.all_or_nothing")
def test_values_that_attributes_do_not_take(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    for key, values in BAD:
        for value in values:
            changes = {"waf.fail_open.enabled": "true", key: value}
            refused(
                "InvalidConfigurationRequest",
                lambda changes=changes: modify(aws, arn, changes),
                status=400,
            )
    assert attributes(aws, arn) == DEFAULTS


@rule("lb.attributes.count", "lb.attributes.twice", "lb.attributes.not_found")
def test_how_attributes_are_named(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    many = list(DEFAULTS.items())
    refused("ValidationError", lambda: modify(aws, arn, many[:21]))
    refused("ValidationError", lambda: modify(aws, arn, []))
    twice = [("idle_timeout.timeout_seconds", "61"), ("idle_timeout.timeout_seconds", "62")]
    refused("ValidationError", lambda: modify(aws, arn, twice))
    refused("ValidationError", lambda: modify(aws, arn, {"idle timeout": "1"}))
    refused("ValidationError", lambda: modify(aws, arn, {"access_logs.s3.prefix": "x" * 1025}))
    assert modify(aws, arn, many[:20]) == DEFAULTS
    refused("LoadBalancerNotFound", lambda: modify(aws, UNKNOWN, {"waf.fail_open.enabled": "true"}))
    refused("LoadBalancerNotFound", lambda: attributes(aws, UNKNOWN))


@rule("lb.logs.bucket_needed", "lb.logs.bucket_unknown", "lb.logs.bucket")
def test_logs_go_to_buckets_that_exist(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    bucket = aws.name("logs")
    for family in ("access_logs", "connection_logs", "health_check_logs"):
        on = {f"{family}.s3.enabled": "true"}
        refused("InvalidConfigurationRequest", lambda on=on: modify(aws, arn, on))
        on[f"{family}.s3.bucket"] = bucket
        error = refused("InvalidConfigurationRequest", lambda on=on: modify(aws, arn, on))
        assert f"Access Denied for bucket: {bucket}" in error.message
        # A name alone is no harm while nothing is written.
        modify(aws, arn, {f"{family}.s3.bucket": bucket})
    known = aws.sim.get("outside")["buckets"]
    far = {"name": aws.name("far"), "region": "eu-west-1"}
    shut = {"name": aws.name("shut"), "writable": False}
    aws.sim.post("outside", {"buckets": [*known, bucket, far, shut]})
    for family in ("access_logs", "connection_logs", "health_check_logs"):
        on = {f"{family}.s3.enabled": "true", f"{family}.s3.prefix": "a/b"}
        assert modify(aws, arn, on)[f"{family}.s3.bucket"] == bucket
        refused(
            "InvalidConfigurationRequest",
            lambda family=family: modify(aws, arn, {f"{family}.s3.bucket": ""}),
        )
        for other in (far, shut):
            change = {f"{family}.s3.bucket": other["name"]}
            refused("InvalidConfigurationRequest", lambda change=change: modify(aws, arn, change))


@rule("lb.set_subnets.replaces", "lb.set_subnets.answer", "lb.set_subnets.equal")
def test_set_subnets_replaces_the_whole_set(aws, vpc):
    balancer = make(aws, vpc, Subnets=vpc.subnets[:2])
    arn = balancer["LoadBalancerArn"]
    before = {interface["NetworkInterfaceId"] for interface in interfaces(aws, balancer)}
    same = aws.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=vpc.subnets[:2])
    assert same["IpAddressType"] == "ipv4"
    now = {interface["NetworkInterfaceId"] for interface in interfaces(aws, balancer)}
    assert now == before
    answer = aws.elbv2.set_subnets(
        LoadBalancerArn=arn, SubnetMappings=[{"SubnetId": subnet} for subnet in vpc.subnets[1:]]
    )
    assert [zone["SubnetId"] for zone in answer["AvailabilityZones"]] == vpc.subnets[1:]
    assert [zone["SubnetId"] for zone in describe(aws, arn)["AvailabilityZones"]] == vpc.subnets[1:]

    def settled():
        found = interfaces(aws, balancer)
        return {interface["SubnetId"] for interface in found} == set(vpc.subnets[1:])

    eventually(settled)


@rule("lb.set_subnets.checks", "lb.set_subnets.other_vpc")
def test_sets_of_subnets_that_cannot_be(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    second = vpc.subnet("us-east-1a")
    other = Vpc(aws, zones=2)
    for code, subnets in [
        ("ValidationError", vpc.subnets[:1]),
        ("ValidationError", []),
        ("InvalidConfigurationRequest", [vpc.subnets[0], second]),
        ("InvalidConfigurationRequest", other.subnets),
        ("SubnetNotFound", [vpc.subnets[0], "subnet-0123456789abcdef0"]),
    ]:
        refused(
            code,
            lambda subnets=subnets: aws.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=subnets),
            status=400,
        )
    refused(
        "LoadBalancerNotFound",
        lambda: aws.elbv2.set_subnets(LoadBalancerArn=UNKNOWN, Subnets=vpc.subnets),
    )
    refused(
        "ValidationError",
        lambda: aws.elbv2.set_subnets(
            LoadBalancerArn=arn, Subnets=vpc.subnets, IpAddressType="dualstack"
        ),
    )
    zones = describe(aws, arn)["AvailabilityZones"]
    assert {zone["SubnetId"] for zone in zones} == set(vpc.subnets)


@rule("lb.set_groups.replaces", "lb.set_groups.checks")
def test_set_security_groups(aws, vpc):
    balancer = make(aws, vpc)
    arn = balancer["LoadBalancerArn"]
    groups = [vpc.security_group() for _ in range(6)]
    put = lambda arn, groups: aws.elbv2.set_security_groups(
        LoadBalancerArn=arn, SecurityGroups=groups
    )
    answer = put(arn, groups[:2])
    assert set(answer["SecurityGroupIds"]) == set(groups[:2])
    assert set(describe(aws, arn)["SecurityGroups"]) == set(groups[:2])
    for interface in interfaces(aws, balancer):
        assert {held["GroupId"] for held in interface["Groups"]} == set(groups[:2])
    far = Vpc(aws, zones=2).security_group()
    for code, wanted in [
        ("InvalidSecurityGroup", ["sg-0123456789abcdef0"]),
        ("InvalidConfigurationRequest", [far]),
        ("InvalidConfigurationRequest", groups),
        ("InvalidConfigurationRequest", []),
    ]:
        refused(code, lambda wanted=wanted: put(arn, wanted), status=400)
    refused("LoadBalancerNotFound", lambda: put(UNKNOWN, groups[:1]))
    assert set(describe(aws, arn)["SecurityGroups"]) == set(groups[:2])


@rule("lb.set_address_type", "lb.set_address_type.checks")
def test_set_ip_address_type(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    put = lambda arn, kind: aws.unchecked.elbv2.set_ip_address_type(
        LoadBalancerArn=arn, IpAddressType=kind
    )
    assert put(arn, "ipv4")["IpAddressType"] == "ipv4"
    refused("InvalidSubnet", lambda: put(arn, "dualstack"), status=400)
    refused("ValidationError", lambda: put(arn, "ipv6"), status=400)
    refused("LoadBalancerNotFound", lambda: put(UNKNOWN, "ipv4"))


class WithIpv6(Vpc):
    """A VPC with IPv6 ranges on itself and on its subnets."""

    def __init__(self, aws):
        super().__init__(aws)
        aws.ec2.associate_vpc_cidr_block(VpcId=self.id, AmazonProvidedIpv6CidrBlock=True)
        found = aws.ec2.describe_vpcs(VpcIds=[self.id])["Vpcs"][0]
        whole = found["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
        parts = ipaddress.ip_network(whole).subnets(new_prefix=64)
        self.ranges = [part for part, _ in zip(parts, self.subnets)]
        for subnet, part in zip(self.subnets, self.ranges):
            aws.ec2.associate_subnet_cidr_block(SubnetId=subnet, Ipv6CidrBlock=str(part))


@rule("lb.dualstack", "lb.dualstack.interfaces", "lb.set_address_type.ipv6_targets")
def test_dualstack(aws):
    vpc = WithIpv6(aws)
    balancer = make(aws, vpc, IpAddressType="dualstack")
    arn = balancer["LoadBalancerArn"]
    assert balancer["IpAddressType"] == "dualstack"
    addresses = lambda: {
        (len(interface["Ipv6Addresses"]), "Association" in interface)
        for interface in interfaces(aws, balancer)
    }
    assert addresses() == {(1, True)}
    put = lambda kind: aws.elbv2.set_ip_address_type(LoadBalancerArn=arn, IpAddressType=kind)
    put("dualstack-without-public-ipv4")
    assert addresses() == {(1, False)}
    assert describe(aws, arn)["IpAddressType"] == "dualstack-without-public-ipv4"
    elb = Elb(aws, vpc)
    group = elb.group(IpAddressType="ipv6")
    action = [{"Type": "forward", "TargetGroupArn": group}]
    listener = elb.listener(LoadBalancerArn=arn, DefaultActions=action)
    refused("InvalidConfigurationRequest", lambda: put("ipv4"), status=400)
    refused(
        "InvalidConfigurationRequest",
        lambda: aws.elbv2.set_subnets(
            LoadBalancerArn=arn, Subnets=vpc.subnets, IpAddressType="ipv4"
        ),
    )
    aws.elbv2.delete_listener(ListenerArn=listener)
    answer = aws.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=vpc.subnets, IpAddressType="ipv4")
    assert answer["IpAddressType"] == "ipv4"
    assert addresses() == {(0, True)}
    internal = make(aws, vpc, IpAddressType="dualstack", Scheme="internal")
    assert internal["IpAddressType"] == "dualstack"


@rule("nlb.ipv6_address", "nlb.source_nat")
def test_ipv6_addresses_and_prefixes_of_network_load_balancers(aws):
    vpc = WithIpv6(aws)
    address = lambda number: str(vpc.ranges[0][number])
    asking = lambda kind="dualstack", on="on", **addresses: aws.elbv2.create_load_balancer(
        Name=aws.name(),
        Type="network",
        IpAddressType=kind,
        EnablePrefixForIpv6SourceNat=on,
        SubnetMappings=[{"SubnetId": vpc.subnets[0], **addresses}],
    )["LoadBalancers"][0]
    prefix = str(next(itertools.islice(vpc.ranges[0].subnets(new_prefix=80), 1, None)))
    made = asking(IPv6Address=address(0x77), SourceNatIpv6Prefix=prefix)
    assert made["EnablePrefixForIpv6SourceNat"] == "on"
    zone = made["AvailabilityZones"][0]
    assert zone["LoadBalancerAddresses"] == [{"IPv6Address": address(0x77)}]
    assert zone["SourceNatIpv6Prefixes"] == [prefix]
    automatic = asking(SourceNatIpv6Prefix="auto_assigned")["AvailabilityZones"][0]
    assert automatic["SourceNatIpv6Prefixes"][0].endswith("/80")
    for code, more in [
        ("ResourceInUse", {"IPv6Address": address(0x77)}),
        ("InvalidConfigurationRequest", {"IPv6Address": "2001:db8::1"}),
        ("ValidationError", {"IPv6Address": "here"}),
        ("InvalidConfigurationRequest", {"SourceNatIpv6Prefix": "2001:db8::/80"}),
        ("InvalidConfigurationRequest", {"SourceNatIpv6Prefix": str(vpc.ranges[0])}),
        ("InvalidConfigurationRequest", {"SourceNatIpv6Prefix": prefix, "on": "off"}),
        ("InvalidConfigurationRequest", {"kind": "ipv4"}),
        ("InvalidConfigurationRequest", {"kind": "ipv4", "on": "off", "IPv6Address": address(0x78)}),
    ]:
        refused(code, lambda more=more: asking(**more), status=400)


@rule("lb.ip_pools", "lb.ip_pools.checks")
def test_ip_pools(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    pool = {"Ipv4IpamPoolId": f"ipam-pool-{aws.name('x')[2:]}"}
    put = lambda arn=arn, **wanted: aws.elbv2.modify_ip_pools(LoadBalancerArn=arn, **wanted)
    refused("InvalidConfigurationRequest", lambda: put(IpamPools=pool))
    refused("ValidationError", lambda: put())
    refused("LoadBalancerNotFound", lambda: put(arn=UNKNOWN, IpamPools=pool))
    known = aws.sim.get("outside")["ipam_pools"]
    aws.sim.post("outside", {"ipam_pools": [*known, pool["Ipv4IpamPoolId"]]})
    assert put(IpamPools=pool)["IpamPools"] == pool
    assert describe(aws, arn)["IpamPools"] == pool
    refused("ValidationError", lambda: put(IpamPools=pool, RemoveIpamPools=["ipv4"]))
    put(RemoveIpamPools=["ipv4"])
    assert "IpamPools" not in describe(aws, arn)
    internal = make(aws, vpc, Scheme="internal")["LoadBalancerArn"]
    refused("InvalidConfigurationRequest", lambda: put(arn=internal, IpamPools=pool))


def reserve(aws, arn, **wanted):
    return aws.elbv2.modify_capacity_reservation(LoadBalancerArn=arn, **wanted)


@rule("lb.capacity.none", "lb.capacity.granted", "lb.capacity.pending", "lb.capacity.reset")
def test_capacity_is_granted_later(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    look = lambda: aws.elbv2.describe_capacity_reservation(LoadBalancerArn=arn)
    before = look()
    assert before["DecreaseRequestsRemaining"] == 2
    assert before["CapacityReservationState"] == []
    assert "MinimumLoadBalancerCapacity" not in before and "LastModifiedTime" not in before
    eventually(lambda: describe(aws, arn)["State"]["Code"] == "active")
    capacity = {"CapacityUnits": 300}
    answer = reserve(aws, arn, MinimumLoadBalancerCapacity=capacity)
    assert answer["MinimumLoadBalancerCapacity"] == capacity
    assert answer["LastModifiedTime"]
    zones = answer["CapacityReservationState"]
    assert [zone["State"]["Code"] for zone in zones] == ["pending"] * 3
    refused(
        "CapacityReservationPending",
        lambda: reserve(aws, arn, MinimumLoadBalancerCapacity={"CapacityUnits": 400}),
        status=400,
    )
    refused(
        "CapacityReservationPending",
        lambda: aws.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=vpc.subnets[:2]),
    )

    def granted():
        zones = look()["CapacityReservationState"]
        return [zone["State"]["Code"] for zone in zones] == ["provisioned"] * 3

    eventually(granted)
    zones = look()["CapacityReservationState"]
    assert {zone["AvailabilityZone"]: zone["EffectiveCapacityUnits"] for zone in zones} == {
        "us-east-1a": 100.0,
        "us-east-1b": 100.0,
        "us-east-1c": 100.0,
    }
    answer = reserve(aws, arn, ResetCapacityReservation=True)
    assert answer["CapacityReservationState"] == []


@rule("lb.capacity.checks", "lb.capacity.decreases", "lb.capacity.active")
def test_capacity_that_is_not_reserved(aws, vpc):
    arn = make(aws, vpc)["LoadBalancerArn"]
    units = lambda number: {"MinimumLoadBalancerCapacity": {"CapacityUnits": number}}
    refused("InvalidConfigurationRequest", lambda: reserve(aws, arn, **units(100)))
    eventually(lambda: describe(aws, arn)["State"]["Code"] == "active")
    for code, wanted in [
        ("ValidationError", {}),
        ("ValidationError", {**units(100), "ResetCapacityReservation": True}),
        ("ValidationError", units(0)),
        ("CapacityUnitsLimitExceeded", units(15_001)),
    ]:
        refused(code, lambda wanted=wanted: reserve(aws, arn, **wanted), status=400)
    refused("LoadBalancerNotFound", lambda: reserve(aws, UNKNOWN, **units(100)))
    refused(
        "LoadBalancerNotFound",
        lambda: aws.elbv2.describe_capacity_reservation(LoadBalancerArn=UNKNOWN),
    )
    for left, number in [(2, 300), (1, 200), (0, 100)]:
        answer = eventually(lambda number=number: reserve(aws, arn, **units(number)))
        assert answer["DecreaseRequestsRemaining"] == left

    def limited():
        return refused(
            "CapacityDecreaseRequestLimitExceeded", lambda: reserve(aws, arn, **units(50))
        )

    eventually(limited)
