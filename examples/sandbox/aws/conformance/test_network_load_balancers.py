"""Network Load Balancers, as far as they stand in front of other ones."""

import re

from conftest import eventually, refused, rule
from test_load_balancer_changes import attributes, modify
from test_load_balancers import describe, interfaces, make

DEFAULTS = {
    "access_logs.s3.bucket": "",
    "access_logs.s3.enabled": "false",
    "access_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "dns_record.client_routing_policy": "any_availability_zone",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "false",
    "secondary_ips.auto_assigned.per_subnet": "0",
    "zonal_shift.config.enabled": "false",
}


def network(aws, vpc, **more):
    return make(aws, vpc, Type="network", **more)


def mapped(aws, **more):
    """CreateLoadBalancer with a fresh name and mappings."""
    wanted = {"Name": aws.name("nlb"), "Type": "network", **more}
    return aws.elbv2.create_load_balancer(**wanted)["LoadBalancers"][0]


@rule("nlb.create.name", "nlb.create.zone", "nlb.create.one_subnet", "nlb.create.answer")
def test_a_new_network_load_balancer(aws, vpc):
    balancer = network(aws, vpc, Subnets=vpc.subnets[:1])
    name, arn = balancer["LoadBalancerName"], balancer["LoadBalancerArn"]
    found = re.search(rf":loadbalancer/net/{name}/([0-9a-f]{{16}})$", arn)
    assert balancer["DNSName"] == f"{name}-{found[1]}.elb.us-east-1.amazonaws.com"
    assert balancer["CanonicalHostedZoneId"] == "Z26RNL4JYFTOTI"
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internet-facing")
    assert balancer["IpAddressType"] == "ipv4"
    assert balancer["EnablePrefixForIpv6SourceNat"] == "off"
    assert "SecurityGroups" not in balancer
    assert "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic" not in balancer
    assert balancer["AvailabilityZones"] == [
        {"ZoneName": "us-east-1a", "SubnetId": vpc.subnets[0], "LoadBalancerAddresses": []}
    ]
    found = interfaces(aws, balancer)
    assert [interface["SubnetId"] for interface in found] == vpc.subnets[:1]
    internal = network(aws, vpc, Scheme="internal")
    assert not internal["DNSName"].startswith("internal-")


@rule("nlb.create.name_shared")
def test_names_are_shared_with_application_load_balancers(aws, vpc):
    balancer = make(aws, vpc)
    refused(
        "DuplicateLoadBalancerName",
        lambda: network(aws, vpc, Name=balancer["LoadBalancerName"]),
    )


@rule("nlb.create.quota")
def test_the_quota_of_network_load_balancers(aws, vpc):
    aws.sim.post("config", {"quotas": {"network-load-balancers": 0}})
    try:
        refused("TooManyLoadBalancers", lambda: network(aws, vpc))
    finally:
        aws.sim.post("config", {"quotas": {"network-load-balancers": 100_000}})


@rule("nlb.private_address", "nlb.private_address.checks", "nlb.addresses_stay")
def test_private_addresses(aws, vpc):
    asking = lambda address, **more: mapped(
        aws,
        SubnetMappings=[{"SubnetId": vpc.subnets[0], "PrivateIPv4Address": address}],
        **{"Scheme": "internal", **more},
    )
    balancer = asking("10.0.0.77")
    zone = balancer["AvailabilityZones"][0]
    assert zone["LoadBalancerAddresses"] == [{"PrivateIPv4Address": "10.0.0.77"}]
    found = interfaces(aws, balancer)
    assert [interface["PrivateIpAddress"] for interface in found] == ["10.0.0.77"]
    again = asking("10.0.0.77", Name=balancer["LoadBalancerName"])
    assert again["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    for code, address, more in [
        ("ResourceInUse", "10.0.0.77", {}),
        ("InvalidConfigurationRequest", "10.0.1.9", {}),
        ("InvalidConfigurationRequest", "10.0.0.2", {}),
        ("ValidationError", "somewhere", {}),
        ("InvalidConfigurationRequest", "10.0.0.9", {"Scheme": "internet-facing"}),
        ("DuplicateLoadBalancerName", "10.0.0.9", {"Name": balancer["LoadBalancerName"]}),
    ]:
        refused(code, lambda address=address, more=more: asking(address, **more), status=400)
    arn = balancer["LoadBalancerArn"]
    moved = [{"SubnetId": vpc.subnets[0], "PrivateIPv4Address": "10.0.0.78"}]
    refused(
        "InvalidConfigurationRequest",
        lambda: aws.elbv2.set_subnets(LoadBalancerArn=arn, SubnetMappings=moved),
    )
    answer = aws.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=vpc.subnets[:2])
    assert [zone["LoadBalancerAddresses"] for zone in answer["AvailabilityZones"]] == [
        [{"PrivateIPv4Address": "10.0.0.77"}],
        [],
    ]
    assert answer["EnablePrefixForIpv6SourceNat"] == "off"


@rule("nlb.allocation", "nlb.allocation.in_use", "nlb.allocation.released")
def test_allocated_addresses(aws, vpc):
    allocated = aws.ec2.allocate_address(Domain="vpc")
    address = {"AllocationId": allocated["AllocationId"]}
    mapping = [{"SubnetId": vpc.subnets[0], **address}]
    balancer = mapped(aws, SubnetMappings=mapping)
    zone = balancer["AvailabilityZones"][0]
    assert zone["LoadBalancerAddresses"] == [{"IpAddress": allocated["PublicIp"], **address}]
    found = interfaces(aws, balancer)
    assert [interface["Association"]["PublicIp"] for interface in found] == [allocated["PublicIp"]]
    assert [interface["InterfaceType"] for interface in found] == ["network_load_balancer"]
    [bound] = aws.ec2.describe_addresses(AllocationIds=[allocated["AllocationId"]])["Addresses"]
    assert bound["ServiceManaged"] == "nlb"
    again = mapped(aws, Name=balancer["LoadBalancerName"], SubnetMappings=mapping)
    assert again["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    refused("ResourceInUse", lambda: mapped(aws, SubnetMappings=mapping), status=400)
    release = lambda: aws.ec2.release_address(AllocationId=allocated["AllocationId"])
    refused("InvalidIPAddress.InUse", release)
    other = aws.ec2.allocate_address(Domain="vpc")["AllocationId"]
    twice = [{"SubnetId": subnet, "AllocationId": other} for subnet in vpc.subnets]
    refused("InvalidConfigurationRequest", lambda: mapped(aws, SubnetMappings=twice))
    changed = [{"SubnetId": vpc.subnets[0], "AllocationId": other}]
    arn = balancer["LoadBalancerArn"]
    refused(
        "InvalidConfigurationRequest",
        lambda: aws.elbv2.set_subnets(LoadBalancerArn=arn, SubnetMappings=changed),
    )
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)

    def released():
        release()
        return True

    eventually(released)


@rule("nlb.allocation.unknown", "nlb.allocation.internal")
def test_allocations_that_cannot_be(aws, vpc):
    unknown = [{"SubnetId": vpc.subnets[0], "AllocationId": "eipalloc-0123456789abcdef0"}]
    error = refused("AllocationIdNotFound", lambda: mapped(aws, SubnetMappings=unknown))
    assert "eipalloc-0123456789abcdef0" in error.message
    refused(
        "InvalidConfigurationRequest",
        lambda: mapped(aws, SubnetMappings=unknown, Scheme="internal"),
    )


@rule("nlb.groups", "nlb.groups.only_if_created_with_some", "nlb.groups.private_link")
def test_security_groups(aws, vpc):
    groups = [vpc.security_group() for _ in range(3)]
    put = lambda arn, groups, **more: aws.elbv2.set_security_groups(
        LoadBalancerArn=arn, SecurityGroups=groups, **more
    )
    without = network(aws, vpc)["LoadBalancerArn"]
    refused("InvalidConfigurationRequest", lambda: put(without, groups))
    balancer = network(aws, vpc, SecurityGroups=groups[:1])
    arn = balancer["LoadBalancerArn"]
    enforce = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"
    assert balancer[enforce] == "on"
    answer = put(arn, groups[1:], **{enforce: "off"})
    assert set(answer["SecurityGroupIds"]) == set(groups[1:])
    assert answer[enforce] == "off"
    shown = describe(aws, arn)
    assert set(shown["SecurityGroups"]) == set(groups[1:]) and shown[enforce] == "off"
    refused("InvalidConfigurationRequest", lambda: put(arn, []))
    application = make(aws, vpc)["LoadBalancerArn"]
    refused(
        "InvalidConfigurationRequest", lambda: put(application, groups, **{enforce: "on"})
    )


@rule("nlb.balancer_attributes.defaults", "nlb.balancer_attributes.values", "nlb.balancer_attributes.foreign")
def test_attributes(aws, vpc):
    arn = network(aws, vpc)["LoadBalancerArn"]
    assert attributes(aws, arn) == DEFAULTS
    internal = network(aws, vpc, Scheme="internal")["LoadBalancerArn"]
    assert attributes(aws, internal)["ipv6.deny_all_igw_traffic"] == "true"
    now = dict(DEFAULTS)
    for key, values in {
        "load_balancing.cross_zone.enabled": ["true", "false"],
        "dns_record.client_routing_policy": [
            "availability_zone_affinity",
            "partial_availability_zone_affinity",
            "any_availability_zone",
        ],
        "secondary_ips.auto_assigned.per_subnet": ["3", "7"],
    }.items():
        for value in values:
            now[key] = value
            assert modify(aws, arn, {key: value}) == now
    for key, value in [
        ("secondary_ips.auto_assigned.per_subnet", "6"),
        ("secondary_ips.auto_assigned.per_subnet", "8"),
        ("dns_record.client_routing_policy", "nearest"),
        ("load_balancing.cross_zone.enabled", "off"),
    ]:
        refused("InvalidConfigurationRequest", lambda k=key, v=value: modify(aws, arn, {k: v}))
    for key, value in [
        ("idle_timeout.timeout_seconds", "60"),
        ("routing.http2.enabled", "true"),
        ("connection_logs.s3.enabled", "false"),
        ("waf.fail_open.enabled", "false"),
    ]:
        error = refused(
            "InvalidConfigurationRequest", lambda k=key, v=value: modify(aws, arn, {k: v})
        )
        assert error.message == (
            f"Load balancer attribute key '{key}' is not supported on load balancers with type 'network'"
        )


@rule("nlb.address_type", "nlb.source_nat.checks")
def test_address_types(aws, vpc):
    refused(
        "InvalidConfigurationRequest",
        lambda: network(aws, vpc, IpAddressType="dualstack-without-public-ipv4"),
    )
    refused("ValidationError", lambda: network(aws, vpc, IpAddressType="dualstack"))
    refused(
        "InvalidConfigurationRequest",
        lambda: network(aws, vpc, EnablePrefixForIpv6SourceNat="on"),
    )
    prefix = [{"SubnetId": vpc.subnets[0], "SourceNatIpv6Prefix": "auto_assigned"}]
    refused("InvalidConfigurationRequest", lambda: mapped(aws, SubnetMappings=prefix))


@rule("nlb.pools")
def test_no_pools(aws, vpc):
    pool = {"Ipv4IpamPoolId": f"ipam-pool-{aws.name('x')[2:]}"}
    known = aws.sim.get("outside")
    customer = f"ipv4pool-coip-{aws.name('x')[2:]}"
    aws.sim.post(
        "outside",
        {
            "ipam_pools": [*known["ipam_pools"], pool["Ipv4IpamPoolId"]],
            "coip_pools": [*known["coip_pools"], customer],
        },
    )
    refused("InvalidConfigurationRequest", lambda: network(aws, vpc, IpamPools=pool))
    refused("InvalidConfigurationRequest", lambda: network(aws, vpc, CustomerOwnedIpv4Pool=customer))
    assert make(aws, vpc, IpamPools=pool)["IpamPools"] == pool
    assert make(aws, vpc, CustomerOwnedIpv4Pool=customer)["CustomerOwnedIpv4Pool"] == customer
