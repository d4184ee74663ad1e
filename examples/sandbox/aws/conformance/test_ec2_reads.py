"""EC2: what all reads have in common, tags, regions, zones, dry runs."""

import pytest
from conftest import ACCOUNT, REGION, Vpc, refused, rule

UNKNOWN = "0" * 17

# Operation, list of ids, prefix, codes of malformed and of unknown ids, list in the answer.
LISTS = [
    ("describe_vpcs", "VpcIds", "vpc", "InvalidVpcID.Malformed", "InvalidVpcID.NotFound", "Vpcs"),
    ("describe_subnets", "SubnetIds", "subnet", "InvalidSubnetID.Malformed", "InvalidSubnetID.NotFound", "Subnets"),
    ("describe_security_groups", "GroupIds", "sg", "InvalidGroupId.Malformed", "InvalidGroup.NotFound", "SecurityGroups"),
    ("describe_security_group_rules", "SecurityGroupRuleIds", "sgr", "InvalidSecurityGroupRuleId.Malformed", "InvalidSecurityGroupRuleId.NotFound", "SecurityGroupRules"),
    ("describe_route_tables", "RouteTableIds", "rtb", "InvalidRouteTableId.Malformed", "InvalidRouteTableID.NotFound", "RouteTables"),
    ("describe_internet_gateways", "InternetGatewayIds", "igw", "InvalidInternetGatewayId.Malformed", "InvalidInternetGatewayID.NotFound", "InternetGateways"),
    ("describe_egress_only_internet_gateways", "EgressOnlyInternetGatewayIds", "eigw", "InvalidEgressOnlyInternetGatewayId.Malformed", "InvalidEgressOnlyInternetGatewayId.NotFound", "EgressOnlyInternetGateways"),
    ("describe_nat_gateways", "NatGatewayIds", "nat", "NatGatewayMalformed", "NatGatewayNotFound", "NatGateways"),
    ("describe_instances", "InstanceIds", "i", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound", "Reservations"),
    ("describe_instance_status", "InstanceIds", "i", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound", "InstanceStatuses"),
    ("describe_network_interfaces", "NetworkInterfaceIds", "eni", "InvalidNetworkInterfaceId.Malformed", "InvalidNetworkInterfaceID.NotFound", "NetworkInterfaces"),
    ("describe_managed_prefix_lists", "PrefixListIds", "pl", "InvalidPrefixListId.Malformed", "InvalidPrefixListID.NotFound", "PrefixLists"),
    ("describe_network_acls", "NetworkAclIds", "acl", "InvalidNetworkAclId.Malformed", "InvalidNetworkAclID.NotFound", "NetworkAcls"),
    ("describe_vpc_peering_connections", "VpcPeeringConnectionIds", "pcx", "InvalidVpcPeeringConnectionId.Malformed", "InvalidVpcPeeringConnectionID.NotFound", "VpcPeeringConnections"),
    ("describe_volumes", "VolumeIds", "vol", "InvalidVolumeID.Malformed", "InvalidVolume.NotFound", "Volumes"),
]
# Largest page, where it is not 1000.
LARGEST = {"describe_route_tables": 100, "describe_managed_prefix_lists": 100, "describe_egress_only_internet_gateways": 255}


@rule("ec2.reads.malformed_id", "ec2.reads.unknown_id")
@pytest.mark.parametrize("operation, ids, prefix, malformed, unknown, answer", LISTS)
def test_bad_ids(aws, operation, ids, prefix, malformed, unknown, answer):
    call = getattr(aws.ec2, operation)
    for bad in ["nonsense", prefix + "-", prefix + "-xyz", prefix.upper() + "-" + UNKNOWN]:
        refused(malformed, lambda bad=bad: call(**{ids: [bad]}), status=400)
    refused(unknown, lambda: call(**{ids: [f"{prefix}-{UNKNOWN}"]}), status=400)


@rule("ec2.reads.unknown_filter", "ec2.reads.max_results", "ec2.reads.max_results_with_ids", "ec2.reads.bad_token")
@pytest.mark.parametrize("operation, ids, prefix, malformed, unknown, answer", LISTS)
def test_bad_filters_and_pages(aws, operation, ids, prefix, malformed, unknown, answer):
    call, unchecked = getattr(aws.ec2, operation), getattr(aws.unchecked.ec2, operation)
    error = refused("InvalidParameterValue", lambda: call(Filters=[{"Name": "colour", "Values": ["red"]}]))
    assert error.message == "The filter 'colour' is invalid"
    least = 1 if operation == "describe_managed_prefix_lists" else 5
    for size in [least - 1, LARGEST.get(operation, 1000) + 1, -1]:
        refused("InvalidParameterValue", lambda size=size: unchecked(MaxResults=size))
    refused("InvalidParameterCombination", lambda: call(**{ids: [f"{prefix}-{UNKNOWN}"]}, MaxResults=least))
    refused("InvalidParameterValue", lambda: call(NextToken="nonsense", MaxResults=least))
    assert answer in call()


@rule("ec2.reads.one_unknown_id")
def test_one_unknown_id_fails_the_whole_call(aws, vpc):
    refused("InvalidSubnetID.NotFound", lambda: aws.ec2.describe_subnets(SubnetIds=[*vpc.subnets, f"subnet-{UNKNOWN}"]))
    refused("InvalidVpcID.NotFound", lambda: aws.ec2.describe_vpcs(VpcIds=[vpc.id, f"vpc-{UNKNOWN}"]))


@rule("ec2.reads.pages", "ec2.reads.everything_at_once")
def test_pages(aws, vpc):
    for number in range(9):
        vpc.subnet(REGION + "a")
    mine = [{"Name": "vpc-id", "Values": [vpc.id]}]
    whole = aws.ec2.describe_subnets(Filters=mine)
    assert len(whole["Subnets"]) == 12 and "NextToken" not in whole
    pages = [
        [one["SubnetId"] for one in page["Subnets"]]
        for page in aws.ec2.get_paginator("describe_subnets").paginate(Filters=mine, PaginationConfig={"PageSize": 5})
    ]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert sorted(sum(pages, [])) == sorted(one["SubnetId"] for one in whole["Subnets"])


@rule("ec2.filters.and_or", "ec2.filters.case", "ec2.filters.wildcards", "ec2.filters.escape", "ec2.filters.tags", "ec2.filters.empty_value", "ec2.filters.limit")
def test_filters(aws, vpc):
    first, second, third = vpc.subnets
    tag = lambda which, **tags: aws.ec2.create_tags(
        Resources=[which], Tags=[{"Key": key.replace("__", "/"), "Value": value} for key, value in tags.items()])
    tag(first, role="elb", empty="")
    tag(second, role="Elb", empty="x", star="a*c")
    tag(third, role__elb="1", star="abc")

    def find(*filters):
        named = [{"Name": name, "Values": list(values)} for name, *values in filters]
        found = aws.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}, *named])["Subnets"]
        return {one["SubnetId"] for one in found}

    assert find() == {first, second, third}
    assert find(("tag:role", "elb")) == {first}
    assert find(("tag:role", "elb", "Elb")) == {first, second}
    assert find(("tag:role", "elb", "Elb"), ("availability-zone", "us-east-1b")) == {second}
    assert find(("tag:role", "?lb")) == {first, second}
    assert find(("tag:role", "ELB")) == set()
    assert find(("tag:empty", "")) == {first}
    assert find(("tag:empty", "", "x")) == {first, second}
    assert find(("tag-key", "role")) == {first, second}
    assert find(("tag-key", "role*")) == {first, second, third}
    assert find(("tag:star", "a*c")) == {second, third}
    assert find(("tag:star", "a\\*c")) == {second}
    assert find(("subnet-id", first, third)) == {first, third}
    assert find(("state", "available"), ("default-for-az", "false"), ("map-public-ip-on-launch", "false")) == {first, second, third}
    assert find(("available-ip-address-count", "251")) == {first, second, third}
    assert find(("cidr-block", "10.0.1.0/24")) == {second}
    assert find(("availability-zone-id", "use1-az3")) == {third}
    assert find(("vpc-id", f"vpc-{UNKNOWN}")) == set()
    many = [f"v{number}" for number in range(199)]
    assert find(("tag:role", *many)) == set()
    refused("FilterLimitExceeded", lambda: find(("tag:role", *many, "v")))


@rule("ec2.tags.create", "ec2.tags.delete", "ec2.tags.checks", "ec2.tags.describe")
def test_tags(aws, vpc):
    tags = lambda: {one["Key"]: one["Value"] for one in aws.ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0].get("Tags", [])}
    create = lambda *pairs, to=None: aws.ec2.create_tags(
        Resources=to or [vpc.id], Tags=[{"Key": key, "Value": value} for key, value in pairs])
    delete = lambda *given: aws.ec2.delete_tags(Resources=[vpc.id], **({"Tags": list(given)} if given else {}))
    create(("a", "1"), ("b", ""), ("c", "<3> & \"4\" ü"))
    create(("a", "2"))
    assert tags() == {"a": "2", "b": "", "c": "<3> & \"4\" ü"}
    shown = aws.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [vpc.id]}, {"Name": "key", "Values": ["a"]}])["Tags"]
    assert shown == [{"Key": "a", "ResourceId": vpc.id, "ResourceType": "vpc", "Value": "2"}]
    delete({"Key": "a", "Value": "1"}), delete({"Key": "a", "Value": ""}), delete({"Key": "zzz"})
    assert set(tags()) == {"a", "b", "c"}
    delete({"Key": "b", "Value": ""})
    delete({"Key": "a"})
    assert set(tags()) == {"c"}
    refused("InvalidVpcID.NotFound", lambda: create(("x", "1"), to=[vpc.id, f"vpc-{UNKNOWN}"]))
    refused("InvalidID", lambda: create(("x", "1"), to=["nonsense"]))
    error = refused("InvalidParameterValue", lambda: create(("aws:x", "1")))
    assert error.message == "Tag keys starting with 'aws:' are reserved for internal use"
    refused("InvalidParameterValue", lambda: create(("", "1")))
    refused("InvalidParameterValue", lambda: create(("k" * 129, "1")))
    refused("InvalidParameterValue", lambda: create(("k", "v" * 257)))
    refused("InvalidParameterValue", lambda: create(("k", "1"), ("k", "2")))
    refused("TagLimitExceeded", lambda: create(*[(f"k{number}", "") for number in range(50)]))
    refused("MissingParameter", lambda: aws.unchecked.ec2.create_tags(Resources=[vpc.id]))
    assert set(tags()) == {"c"}
    create(*[(f"k{number}", "") for number in range(49)])
    delete()
    assert tags() == {}


@rule("ec2.dry_run")
def test_dry_runs(aws, vpc):
    error = refused("DryRunOperation", lambda: aws.ec2.create_security_group(
        GroupName="dry", Description="dry", VpcId=vpc.id, DryRun=True), status=412)
    assert error.message == "Request would have succeeded, but DryRun flag is set."
    refused("DryRunOperation", lambda: aws.ec2.delete_vpc(VpcId=aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"], DryRun=True))
    refused("DryRunOperation", lambda: aws.ec2.describe_subnets(DryRun=True))
    refused("DependencyViolation", lambda: aws.ec2.delete_vpc(VpcId=vpc.id, DryRun=True))
    found = aws.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["dry"]}])
    assert found["SecurityGroups"] == []


@rule("ec2.describe_availability_zones")
def test_zones(aws):
    zones = aws.ec2.describe_availability_zones()["AvailabilityZones"]
    assert [(one["ZoneName"], one["ZoneId"]) for one in zones] == [(f"{REGION}{l}", f"use1-az{n}") for l, n in zip("abc", (1, 2, 3))]
    assert {(one["State"], one["ZoneType"], one["OptInStatus"]) for one in zones} == {("available", "availability-zone", "opt-in-not-required")}
    named = lambda **what: [one["ZoneName"] for one in aws.ec2.describe_availability_zones(**what)["AvailabilityZones"]]
    assert named(ZoneNames=[REGION + "b"]) == named(ZoneIds=["use1-az2"]) == [REGION + "b"]
    assert named(Filters=[{"Name": "zone-id", "Values": ["*-az3"]}]) == [REGION + "c"]
    refused("InvalidParameterValue", lambda: named(ZoneNames=[REGION + "z"]))
    refused("InvalidParameterValue", lambda: named(ZoneIds=["euw1-az1"]))
    refused("InvalidParameterValue", lambda: named(Filters=[{"Name": "tag:a", "Values": ["b"]}]))


@rule("ec2.describe_regions", "ec2.describe_account_attributes")
def test_regions_and_the_account(aws):
    regions = {one["RegionName"]: one for one in aws.ec2.describe_regions()["Regions"]}
    assert regions[REGION] == {"Endpoint": f"ec2.{REGION}.amazonaws.com", "OptInStatus": "opt-in-not-required", "RegionName": REGION}
    assert "af-south-1" not in regions and "cn-north-1" not in regions
    every = {one["RegionName"]: one["OptInStatus"] for one in aws.ec2.describe_regions(AllRegions=True)["Regions"]}
    assert every["af-south-1"] == "not-opted-in"
    refused("InvalidParameterValue", lambda: aws.ec2.describe_regions(RegionNames=["mars-east-1"]))
    shown = {one["AttributeName"]: one["AttributeValues"][0]["AttributeValue"] for one in aws.ec2.describe_account_attributes()["AccountAttributes"]}
    assert shown["supported-platforms"] == "VPC" and shown["vpc-max-security-groups-per-interface"] == "5"
    refused("InvalidParameterValue", lambda: aws.unchecked.ec2.describe_account_attributes(AttributeNames=["mood"]))


@rule("ec2.regions_apart", "ec2.default_vpc")
def test_the_default_vpc_of_a_region(aws, vpc):
    there = aws.as_(region="eu-west-2").ec2
    refused("InvalidVpcID.NotFound", lambda: there.describe_vpcs(VpcIds=[vpc.id]))
    default = there.create_default_vpc()["Vpc"]
    assert (default["CidrBlock"], default["IsDefault"]) == ("172.31.0.0/16", True)
    refused("DefaultVpcAlreadyExists", there.create_default_vpc)
    subnets = there.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    assert {(one["MapPublicIpOnLaunch"], one["VpcId"]) for one in subnets} == {(True, default["VpcId"])} and len(subnets) == 3
    refused("DefaultSubnetAlreadyExistsInAvailabilityZone", lambda: there.create_default_subnet(AvailabilityZone="eu-west-2a"))
    group = there.create_security_group(GroupName="named", Description="by name")["GroupId"]
    assert there.describe_security_groups(GroupNames=["named"])["SecurityGroups"][0]["GroupId"] == group
    refused("InvalidGroup.NotFound", lambda: there.describe_security_groups(GroupNames=["nobody"]))
    there.delete_security_group(GroupName="named")


@rule("ec2.pools_from_outside")
def test_pools_from_outside(aws):
    pool, coip = f"ipam-pool-{UNKNOWN}", f"ipv4pool-coip-{UNKNOWN}"
    refused("InvalidIpamPoolId.NotFound", lambda: aws.ec2.describe_ipam_pools(IpamPoolIds=["ipam-pool-" + "1" * 17]))
    refused("InvalidPoolID.NotFound", lambda: aws.ec2.describe_coip_pools(PoolIds=["ipv4pool-coip-" + "1" * 17]))
    aws.sim.post("outside", {"ipam_pools": [pool], "coip_pools": [{"id": coip, "cidrs": ["192.0.2.0/24"]}]})
    [shown] = aws.ec2.describe_ipam_pools(IpamPoolIds=[pool])["IpamPools"]
    assert (shown["IpamPoolId"], shown["OwnerId"], shown["State"]) == (pool, ACCOUNT, "create-complete")
    address = aws.ec2.allocate_address(IpamPoolId=pool)
    [shown] = aws.ec2.describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"]
    assert address["PublicIpv4Pool"] == shown["PublicIpv4Pool"] == pool
    refused("InvalidIpamPoolId.NotFound", lambda: aws.ec2.allocate_address(IpamPoolId="ipam-pool-" + "1" * 17))
    [shown] = aws.ec2.describe_coip_pools(PoolIds=[coip])["CoipPools"]
    assert (shown["PoolId"], shown["PoolCidrs"]) == (coip, ["192.0.2.0/24"])


@rule("ec2.wire.names", "ec2.wire.unknown_parameter", "ec2.wire.missing_parameter")
def test_the_wire(aws, vpc):
    call = lambda action, **fields: aws.form("ec2", "2016-11-15", action, **fields)
    answer = call("DescribeSubnets", **{"Filter.1.Name": "vpc-id", "Filter.1.Value.1": vpc.id})
    assert answer.status == 200 and answer.body.count("<subnetId>") == 3
    assert '<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>' in answer.body
    assert "<tagSet></tagSet>" in answer.body or "<tagSet/>" in answer.body
    answer = call("DescribeSubnets", Colour="red")
    assert (answer.status, answer.code) == (400, "UnknownParameter")
    answer = call("CreateSecurityGroup", GroupName="x")
    assert (answer.status, answer.code) == (400, "MissingParameter")
    answer = call("CreateTags", **{"ResourceId.1": vpc.id, "Tag.1.Key": "a", "Tag.1.Value": "b"})
    assert "<return>true</return>" in answer.body
    assert answer.headers["x-amzn-RequestId"] in answer.body
