"""EC2: VPCs, subnets, gateways, route tables, interfaces, addresses, peerings."""

import ipaddress

import pytest
from conftest import ACCOUNT, REGION, Vpc, eventually, refused, rule

UNKNOWN = "0" * 17


def spec(kind, **tags):
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def subnet(aws, vpc_id, cidr, **more):
    return aws.ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, **more)["Subnet"]


def interface(aws, subnet_id, **more):
    return aws.ec2.create_network_interface(SubnetId=subnet_id, **more)["NetworkInterface"]


@rule("ec2.create_vpc.answer", "ec2.create_vpc.defaults", "ec2.create_vpc.canonical")
def test_a_new_vpc(aws):
    made = aws.ec2.create_vpc(CidrBlock="10.20.3.4/16", TagSpecifications=spec("vpc", a="1"))["Vpc"]
    assert (made["State"], made["CidrBlock"], made["InstanceTenancy"], made["IsDefault"]) == (
        "pending", "10.20.0.0/16", "default", False)
    assert made["Tags"] == [{"Key": "a", "Value": "1"}] and made["OwnerId"] == ACCOUNT
    vpc = aws.ec2.describe_vpcs(VpcIds=[made["VpcId"]])["Vpcs"][0]
    assert vpc["State"] == "available" and vpc["DhcpOptionsId"].startswith("dopt-")
    [own] = vpc["CidrBlockAssociationSet"]
    assert own["CidrBlock"] == "10.20.0.0/16" and own["CidrBlockState"] == {"State": "associated"}
    assert own["AssociationId"].startswith("vpc-cidr-assoc-")
    mine = [{"Name": "vpc-id", "Values": [made["VpcId"]]}]
    [group] = aws.ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    assert (group["GroupName"], group["Description"]) == ("default", "default VPC security group")
    [table] = aws.ec2.describe_route_tables(Filters=mine)["RouteTables"]
    assert table["Associations"][0]["Main"] is True and "SubnetId" not in table["Associations"][0]
    assert [(one["DestinationCidrBlock"], one["GatewayId"], one["State"], one["Origin"]) for one in table["Routes"]] == [
        ("10.20.0.0/16", "local", "active", "CreateRouteTable")]
    [acl] = aws.ec2.describe_network_acls(Filters=mine)["NetworkAcls"]
    assert acl["IsDefault"] is True and len(acl["Entries"]) == 4
    attribute = lambda name: aws.ec2.describe_vpc_attribute(VpcId=made["VpcId"], Attribute=name)
    assert attribute("enableDnsSupport")["EnableDnsSupport"] == {"Value": True}
    assert attribute("enableDnsHostnames")["EnableDnsHostnames"] == {"Value": False}


@rule("ec2.create_vpc.range", "ec2.create_vpc.required")
@pytest.mark.parametrize(
    "fields, code",
    [
        ({"CidrBlock": "10.0.0.0/15"}, "InvalidVpc.Range"),
        ({"CidrBlock": "10.0.0.0/29"}, "InvalidVpc.Range"),
        ({"CidrBlock": "127.0.0.0/16"}, "InvalidVpc.Range"),
        ({"CidrBlock": "10.0.0.0"}, "InvalidParameterValue"),
        ({"CidrBlock": "10.0.0.300/16"}, "InvalidParameterValue"),
        ({}, "MissingParameter"),
        ({"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "none"}, "InvalidParameterValue"),
        ({"CidrBlock": "10.0.0.0/16", "TagSpecifications": spec("subnet", a="1")}, "InvalidParameterValue"),
        ({"CidrBlock": "10.0.0.0/16", "TagSpecifications": spec("vpc", **{"aws:a": "1"})}, "InvalidParameterValue"),
        ({"CidrBlock": "10.0.0.0/16", "Ipv6Pool": "pool"}, "InvalidPoolID.NotFound"),
    ],
)
def test_malformed_vpcs(aws, fields, code):
    refused(code, lambda: aws.ec2.create_vpc(**fields), status=400)


@rule("ec2.modify_vpc_attribute")
def test_attributes_of_a_vpc(aws, vpc):
    modify = lambda **change: aws.ec2.modify_vpc_attribute(VpcId=vpc.id, **change)
    modify(EnableDnsHostnames={"Value": True})
    found = aws.ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute="enableDnsHostnames")
    assert found["EnableDnsHostnames"] == {"Value": True}
    refused("InvalidParameterCombination", lambda: modify(EnableDnsHostnames={"Value": False}, EnableDnsSupport={"Value": True}))
    refused("InvalidParameterCombination", modify)
    refused("InvalidVpcID.NotFound", lambda: aws.ec2.modify_vpc_attribute(VpcId=f"vpc-{UNKNOWN}", EnableDnsSupport={"Value": True}))
    refused("InvalidParameterValue", lambda: aws.unchecked.ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute="colour"))


@rule("ec2.associate_vpc_cidr.checks", "ec2.associate_vpc_cidr.restricted", "ec2.associate_vpc_cidr.quota", "ec2.disassociate_vpc_cidr")
def test_further_ranges(aws, vpc):
    associate = lambda cidr: aws.ec2.associate_vpc_cidr_block(VpcId=vpc.id, CidrBlock=cidr)["CidrBlockAssociation"]
    for cidr, code in [
        ("10.0.128.0/20", "InvalidVpc.Range"),
        ("192.168.0.0/16", "InvalidVpc.Range"),
        ("10.2.0.0/15", "InvalidVpc.Range"),
        ("10.2.0.0", "InvalidParameterValue"),
    ]:
        refused(code, lambda cidr=cidr: associate(cidr))
    made = associate("10.1.0.0/16")
    assert made["CidrBlockState"] == {"State": "associating"}
    associate("100.64.0.0/16"), associate("10.2.0.0/16"), associate("10.3.0.0/16")
    refused("CidrLimitExceeded", lambda: associate("10.4.0.0/16"))
    shown = aws.ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]["CidrBlockAssociationSet"]
    assert len(shown) == 5 and {one["CidrBlockState"]["State"] for one in shown} == {"associated"}
    [table] = aws.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])["RouteTables"]
    assert len(table["Routes"]) == 5
    second = subnet(aws, vpc.id, "10.1.1.0/24")
    drop = lambda which: aws.ec2.disassociate_vpc_cidr_block(AssociationId=which)
    primary = [one for one in shown if one["CidrBlock"] == "10.0.0.0/16"][0]["AssociationId"]
    refused("OperationNotPermitted", lambda: drop(primary))
    refused("DependencyViolation", lambda: drop(made["AssociationId"]))
    aws.ec2.delete_subnet(SubnetId=second["SubnetId"])
    assert drop(made["AssociationId"])["CidrBlockAssociation"]["CidrBlockState"] == {"State": "disassociating"}
    refused("InvalidVpcCidrBlockAssociationID.NotFound", lambda: drop(made["AssociationId"]))


@rule("ec2.ipv6.vpc", "ec2.ipv6.subnet", "ec2.ipv6.assign_on_creation")
def test_ipv6(aws):
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    [own] = vpc["Ipv6CidrBlockAssociationSet"]
    block = ipaddress.ip_network(own["Ipv6CidrBlock"])
    assert own["Ipv6CidrBlock"].endswith("00::/56")
    assert block.prefixlen == 56 and own["Ipv6Pool"] == "Amazon" and own["NetworkBorderGroup"] == REGION
    parts = [str(part) for part in list(block.subnets(new_prefix=64))[:3]]
    made = subnet(aws, vpc["VpcId"], "10.0.0.0/24", Ipv6CidrBlock=parts[0])
    other = subnet(aws, vpc["VpcId"], "10.0.1.0/24")
    switch = lambda on: aws.ec2.modify_subnet_attribute(SubnetId=other["SubnetId"], AssignIpv6AddressOnCreation={"Value": on})
    refused("InvalidParameterValue", lambda: switch(True))
    associate = lambda part: aws.ec2.associate_subnet_cidr_block(SubnetId=other["SubnetId"], Ipv6CidrBlock=part)
    refused("InvalidSubnet.Conflict", lambda: associate(parts[0]))
    refused("InvalidSubnet.Range", lambda: associate("2001:db8::/64"))
    refused("InvalidSubnet.Range", lambda: associate(str(block.supernet())))
    refused("InvalidParameterValue", lambda: associate("10.0.0.0/24"))
    association = associate(parts[1])["Ipv6CidrBlockAssociation"]["AssociationId"]
    switch(True)
    card = interface(aws, other["SubnetId"])
    assert ipaddress.ip_address(card["Ipv6Addresses"][0]["Ipv6Address"]) in ipaddress.ip_network(parts[1])
    drop = lambda: aws.ec2.disassociate_subnet_cidr_block(AssociationId=association)
    refused("DependencyViolation", drop)
    aws.ec2.delete_network_interface(NetworkInterfaceId=card["NetworkInterfaceId"])
    drop()
    refused("InvalidSubnetCidrBlockAssociationID.NotFound", drop)
    assert made["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlockState"] == {"State": "associated"}
    refused("DependencyViolation", lambda: aws.ec2.disassociate_vpc_cidr_block(AssociationId=own["AssociationId"]))


@rule("ec2.delete_vpc")
def test_what_blocks_the_delete_of_a_vpc(aws):
    vpc = Vpc(aws, zones=1)
    delete = lambda: aws.ec2.delete_vpc(VpcId=vpc.id)
    error = refused("DependencyViolation", delete)
    assert error.message == f"The vpc '{vpc.id}' has dependencies and cannot be deleted."
    aws.ec2.delete_subnet(SubnetId=vpc.subnets[0])
    refused("DependencyViolation", delete)
    aws.ec2.detach_internet_gateway(InternetGatewayId=vpc.internet_gateway, VpcId=vpc.id)
    group = vpc.security_group()
    refused("DependencyViolation", delete)
    aws.ec2.delete_security_group(GroupId=group)
    table = aws.ec2.create_route_table(VpcId=vpc.id)["RouteTable"]["RouteTableId"]
    refused("DependencyViolation", delete)
    aws.ec2.delete_route_table(RouteTableId=table)
    delete()
    refused("InvalidVpcID.NotFound", delete)
    assert aws.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])["SecurityGroups"] == []


@rule("ec2.create_subnet.answer", "ec2.create_subnet.reserved_addresses")
def test_a_new_subnet(aws, vpc):
    made = subnet(aws, vpc.id, "10.0.100.7/24", AvailabilityZone=REGION + "b", TagSpecifications=spec("subnet", a="1"))
    assert made["CidrBlock"] == "10.0.100.0/24" and made["State"] == "available"
    assert (made["AvailabilityZone"], made["AvailabilityZoneId"]) == ("us-east-1b", "use1-az2")
    assert made["AvailableIpAddressCount"] == 251 and made["MapPublicIpOnLaunch"] is False
    assert made["SubnetArn"] == f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/{made['SubnetId']}"
    assert made["Tags"] == [{"Key": "a", "Value": "1"}] and made["Ipv6CidrBlockAssociationSet"] == []
    interface(aws, made["SubnetId"])
    count = lambda: aws.ec2.describe_subnets(SubnetIds=[made["SubnetId"]])["Subnets"][0]["AvailableIpAddressCount"]
    assert count() == 250
    assert subnet(aws, vpc.id, "10.0.101.0/24", AvailabilityZoneId="use1-az3")["AvailabilityZone"] == "us-east-1c"


@rule("ec2.create_subnet.checks")
@pytest.mark.parametrize(
    "fields, code",
    [
        ({"CidrBlock": "10.0.0.128/25"}, "InvalidSubnet.Conflict"),
        ({"CidrBlock": "10.1.0.0/24"}, "InvalidSubnet.Range"),
        ({"CidrBlock": "10.0.9.0/29"}, "InvalidSubnet.Range"),
        ({"CidrBlock": "10.0.0.0/15"}, "InvalidSubnet.Range"),
        ({"CidrBlock": "10.0.9.0"}, "InvalidParameterValue"),
        ({"CidrBlock": None}, "MissingParameter"),
        ({"AvailabilityZone": "us-east-1z"}, "InvalidParameterValue"),
        ({"AvailabilityZone": "eu-west-1a"}, "InvalidParameterValue"),
        ({"AvailabilityZone": "us-east-1a", "AvailabilityZoneId": "use1-az1"}, "InvalidParameterCombination"),
        ({"VpcId": f"vpc-{UNKNOWN}"}, "InvalidVpcID.NotFound"),
        ({"VpcId": "vpc-x"}, "InvalidVpcID.Malformed"),
        ({"Ipv6CidrBlock": "2600:1f14::/64"}, "InvalidSubnet.Range"),
        ({"TagSpecifications": spec("vpc", a="1")}, "InvalidParameterValue"),
    ],
)
def test_malformed_subnets(aws, vpc, fields, code):
    fields = {"VpcId": vpc.id, "CidrBlock": "10.0.9.0/24", **fields}
    fields = {name: value for name, value in fields.items() if value is not None}
    refused(code, lambda: aws.ec2.create_subnet(**fields), status=400)


@rule("ec2.modify_subnet_attribute", "ec2.delete_subnet")
def test_changed_and_deleted_subnets(aws, vpc):
    named = {"SubnetId": vpc.subnets[0]}
    aws.ec2.modify_subnet_attribute(**named, MapPublicIpOnLaunch={"Value": True})
    aws.ec2.modify_subnet_attribute(**named, PrivateDnsHostnameTypeOnLaunch="resource-name")
    shown = aws.ec2.describe_subnets(SubnetIds=[vpc.subnets[0]])["Subnets"][0]
    assert shown["MapPublicIpOnLaunch"] is True
    assert shown["PrivateDnsNameOptionsOnLaunch"]["HostnameType"] == "resource-name"
    refused(
        "InvalidParameterCombination",
        lambda: aws.ec2.modify_subnet_attribute(**named, MapPublicIpOnLaunch={"Value": False}, EnableDns64={"Value": False}),
    )
    card = interface(aws, vpc.subnets[0])["NetworkInterfaceId"]
    error = refused("DependencyViolation", lambda: aws.ec2.delete_subnet(**named))
    assert error.message == f"The subnet '{vpc.subnets[0]}' has dependencies and cannot be deleted."
    aws.ec2.delete_network_interface(NetworkInterfaceId=card)
    aws.ec2.delete_subnet(**named)
    refused("InvalidSubnetID.NotFound", lambda: aws.ec2.delete_subnet(**named))
    refused("InvalidSubnetID.Malformed", lambda: aws.ec2.delete_subnet(SubnetId="subnet"))


@rule("ec2.internet_gateway.attach", "ec2.internet_gateway.detach", "ec2.internet_gateway.delete")
def test_internet_gateways(aws, vpc):
    made = aws.ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway", a="1"))["InternetGateway"]
    assert made["Attachments"] == [] and made["OwnerId"] == ACCOUNT
    gateway, other = made["InternetGatewayId"], aws.ec2.create_vpc(CidrBlock="10.5.0.0/16")["Vpc"]["VpcId"]
    attach = lambda to: aws.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=to)
    detach = lambda to: aws.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=to)
    refused("Gateway.NotAttached", lambda: detach(other))
    refused("InvalidParameterValue", lambda: attach(vpc.id))
    refused("InvalidVpcID.NotFound", lambda: attach(f"vpc-{UNKNOWN}"))
    attach(other)
    [shown] = aws.ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [other]}])["InternetGateways"]
    assert shown["Attachments"] == [{"State": "available", "VpcId": other}]
    refused("Resource.AlreadyAssociated", lambda: attach(vpc.id))
    delete = lambda: aws.ec2.delete_internet_gateway(InternetGatewayId=gateway)
    refused("DependencyViolation", delete)
    detach(other)
    delete()
    refused("InvalidInternetGatewayID.NotFound", delete)
    refused("InvalidInternetGatewayId.Malformed", lambda: aws.ec2.delete_internet_gateway(InternetGatewayId="igw"))


@rule("ec2.route.create", "ec2.route.replace", "ec2.route.delete", "ec2.route.blackhole")
def test_routes(aws, vpc):
    table = aws.ec2.create_route_table(VpcId=vpc.id, TagSpecifications=spec("route-table", a="1"))["RouteTable"]
    named = {"RouteTableId": table["RouteTableId"]}
    assert table["Associations"] == [] and len(table["Routes"]) == 1
    create = lambda to="0.0.0.0/0", **through: lambda: aws.ec2.create_route(
        **named, DestinationCidrBlock=to, **(through or {"GatewayId": vpc.internet_gateway}))
    assert create()()["Return"] is True
    refused("RouteAlreadyExists", create())
    refused("RouteAlreadyExists", create("10.0.0.0/16"))
    refused("InvalidParameterValue", create("10.0.1.0/24"))
    refused("InvalidParameterValue", create("11.0.0.0"))
    refused("InvalidGatewayID.NotFound", create("11.0.0.0/8", GatewayId=f"igw-{UNKNOWN}"))
    refused("NatGatewayNotFound", create("11.0.0.0/8", NatGatewayId=f"nat-{UNKNOWN}"))
    refused("InvalidNetworkInterfaceID.NotFound", create("11.0.0.0/8", NetworkInterfaceId=f"eni-{UNKNOWN}"))
    refused("InvalidVpcPeeringConnectionID.NotFound", create("11.0.0.0/8", VpcPeeringConnectionId=f"pcx-{UNKNOWN}"))
    refused("InvalidParameterCombination", create("11.0.0.0/8", GatewayId=vpc.internet_gateway, NatGatewayId=f"nat-{UNKNOWN}"))
    refused("MissingParameter", lambda: aws.ec2.create_route(**named, GatewayId=vpc.internet_gateway))
    refused("MissingParameter", lambda: aws.ec2.create_route(**named, DestinationCidrBlock="11.0.0.0/8"))
    foreign = Vpc(aws, zones=0)
    refused("InvalidParameterValue", create("11.0.0.0/8", GatewayId=foreign.internet_gateway))
    create("12.1.2.3/8")()
    shown = lambda: {
        one["DestinationCidrBlock"]: one
        for one in aws.ec2.describe_route_tables(RouteTableIds=[table["RouteTableId"]])["RouteTables"][0]["Routes"]
    }
    assert set(shown()) == {"10.0.0.0/16", "0.0.0.0/0", "12.0.0.0/8"}
    assert shown()["0.0.0.0/0"] == {
        "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": vpc.internet_gateway, "Origin": "CreateRoute", "State": "active"}
    card = interface(aws, vpc.subnets[0])["NetworkInterfaceId"]
    aws.ec2.replace_route(**named, DestinationCidrBlock="12.0.0.0/8", NetworkInterfaceId=card)
    assert shown()["12.0.0.0/8"]["State"] == "blackhole"
    refused("InvalidParameterValue", lambda: aws.ec2.replace_route(**named, DestinationCidrBlock="13.0.0.0/8", NetworkInterfaceId=card))
    aws.ec2.detach_internet_gateway(InternetGatewayId=vpc.internet_gateway, VpcId=vpc.id)
    assert shown()["0.0.0.0/0"]["State"] == "blackhole"
    delete = lambda to: lambda: aws.ec2.delete_route(**named, DestinationCidrBlock=to)
    delete("12.0.0.0/8")()
    refused("InvalidRoute.NotFound", delete("12.0.0.0/8"))
    refused("InvalidParameterValue", delete("10.0.0.0/16"))


@rule("ec2.route_table.associate", "ec2.route_table.main", "ec2.route_table.delete", "ec2.route_table.token")
def test_associations_of_route_tables(aws, vpc):
    mine = [{"Name": "vpc-id", "Values": [vpc.id]}]
    [main] = aws.ec2.describe_route_tables(Filters=mine)["RouteTables"]
    token = aws.name()
    make = lambda vpc_id=vpc.id: aws.ec2.create_route_table(VpcId=vpc_id, ClientToken=token)["RouteTable"]["RouteTableId"]
    table = make()
    assert make() == table
    refused("IdempotentParameterMismatch", lambda: make(f"vpc-{UNKNOWN}"))
    associate = lambda where: aws.ec2.associate_route_table(RouteTableId=table, SubnetId=where)
    first = associate(vpc.subnets[0])
    assert first["AssociationState"] == {"State": "associated"} and first["AssociationId"].startswith("rtbassoc-")
    refused("Resource.AlreadyAssociated", lambda: associate(vpc.subnets[0]))
    refused("InvalidSubnetID.NotFound", lambda: associate(f"subnet-{UNKNOWN}"))
    refused("InvalidParameterValue", lambda: associate(Vpc(aws, zones=1).subnets[0]))
    refused("MissingParameter", lambda: aws.ec2.associate_route_table(RouteTableId=table))
    by = lambda **filters: [
        one["RouteTableId"] for one in aws.ec2.describe_route_tables(
            Filters=mine + [{"Name": name.replace("__", ".").replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        )["RouteTables"]]
    assert by(association__subnet_id=vpc.subnets[0]) == [table]
    # A subnet that uses the main table is not listed there.
    assert by(association__subnet_id=vpc.subnets[1]) == []
    assert by(association__main="true") == [main["RouteTableId"]]
    refused("DependencyViolation", lambda: aws.ec2.delete_route_table(RouteTableId=table))
    refused("DependencyViolation", lambda: aws.ec2.delete_route_table(RouteTableId=main["RouteTableId"]))
    main_association = main["Associations"][0]["RouteTableAssociationId"]
    refused("InvalidParameterValue", lambda: aws.ec2.disassociate_route_table(AssociationId=main_association))
    new = aws.ec2.replace_route_table_association(AssociationId=main_association, RouteTableId=table)
    assert new["NewAssociationId"] != main_association and by(association__main="true") == [table]
    aws.ec2.delete_route_table(RouteTableId=main["RouteTableId"])
    aws.ec2.disassociate_route_table(AssociationId=first["AssociationId"])
    refused("InvalidAssociationID.NotFound", lambda: aws.ec2.disassociate_route_table(AssociationId=first["AssociationId"]))
    refused("InvalidRouteTableID.NotFound", lambda: aws.ec2.delete_route_table(RouteTableId=main["RouteTableId"]))
    refused("InvalidRouteTableId.Malformed", lambda: aws.ec2.delete_route_table(RouteTableId="rtb-"))


@rule("ec2.nat_gateway", "ec2.address.in_use_by_nat", "ec2.internet_gateway.mapped_addresses")
def test_nat_gateways(aws, vpc):
    address = aws.ec2.allocate_address()["AllocationId"]
    create = lambda **more: aws.ec2.create_nat_gateway(SubnetId=vpc.subnets[0], **more)["NatGateway"]
    refused("MissingParameter", create)
    refused("InvalidAllocationID.NotFound", lambda: create(AllocationId=f"eipalloc-{UNKNOWN}"))
    made = create(AllocationId=address, TagSpecifications=spec("natgateway", a="1"))
    assert (made["State"], made["VpcId"], made["ConnectivityType"]) == ("pending", vpc.id, "public")
    show = lambda: aws.ec2.describe_nat_gateways(NatGatewayIds=[made["NatGatewayId"]])["NatGateways"][0]
    eventually(lambda: show()["State"] == "available")
    [where] = show()["NatGatewayAddresses"]
    assert where["AllocationId"] == address
    card = aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[where["NetworkInterfaceId"]])["NetworkInterfaces"][0]
    assert (card["InterfaceType"], card["RequesterManaged"]) == ("nat_gateway", True)
    assert card["Association"]["PublicIp"] == where["PublicIp"]
    [bound] = aws.ec2.describe_addresses(AllocationIds=[address])["Addresses"]
    assert bound["NetworkInterfaceId"] == where["NetworkInterfaceId"] and "ServiceManaged" not in bound
    refused("Resource.AlreadyAssociated", lambda: create(AllocationId=address))
    refused("InvalidIPAddress.InUse", lambda: aws.ec2.release_address(AllocationId=address))
    refused("DependencyViolation", lambda: aws.ec2.detach_internet_gateway(InternetGatewayId=vpc.internet_gateway, VpcId=vpc.id))
    table = aws.ec2.create_route_table(VpcId=vpc.id)["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=made["NatGatewayId"])
    aws.ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    eventually(lambda: show()["State"] == "deleted")
    aws.ec2.release_address(AllocationId=address)
    [route] = [one for one in aws.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"] if "NatGatewayId" in one]
    assert route["State"] == "blackhole"
    refused("NatGatewayNotFound", lambda: aws.ec2.delete_nat_gateway(NatGatewayId=f"nat-{UNKNOWN}"))
    refused("NatGatewayMalformed", lambda: aws.ec2.delete_nat_gateway(NatGatewayId="nat-x"))


@rule("ec2.egress_only_gateway")
def test_egress_only_internet_gateways(aws, vpc):
    made = aws.ec2.create_egress_only_internet_gateway(VpcId=vpc.id)["EgressOnlyInternetGateway"]
    gateway = made["EgressOnlyInternetGatewayId"]
    assert made["Attachments"] == [{"State": "attached", "VpcId": vpc.id}]
    table = aws.ec2.create_route_table(VpcId=vpc.id)["RouteTable"]["RouteTableId"]
    route = lambda **to: aws.ec2.create_route(RouteTableId=table, EgressOnlyInternetGatewayId=gateway, **to)
    refused("InvalidParameterValue", lambda: route(DestinationCidrBlock="0.0.0.0/0"))
    route(DestinationIpv6CidrBlock="::/0")
    shown = aws.ec2.describe_egress_only_internet_gateways(EgressOnlyInternetGatewayIds=[gateway])
    assert len(shown["EgressOnlyInternetGateways"]) == 1
    assert aws.ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=gateway)["ReturnCode"] is True


@rule("ec2.network_interface.create", "ec2.network_interface.checks", "ec2.network_interface.token")
def test_network_interfaces(aws, vpc):
    group = vpc.security_group()
    token = aws.name()
    make = lambda: interface(
        aws, vpc.subnets[0], Description="of a test", PrivateIpAddress="10.0.0.50", Groups=[group],
        ClientToken=token, TagSpecifications=spec("network-interface", a="1"))
    made = make()
    assert made["NetworkInterfaceId"] == make()["NetworkInterfaceId"]
    assert (made["PrivateIpAddress"], made["Description"], made["VpcId"]) == ("10.0.0.50", "of a test", vpc.id)
    assert made["PrivateIpAddresses"] == [
        {"Primary": True, "PrivateDnsName": "ip-10-0-0-50.ec2.internal", "PrivateIpAddress": "10.0.0.50"}]
    assert [one["GroupId"] for one in made["Groups"]] == [group] and made["TagSet"] == [{"Key": "a", "Value": "1"}]
    assert (made["Status"], made["SourceDestCheck"], made["RequesterManaged"]) == ("available", True, False)
    assert "Attachment" not in made and made["MacAddress"].count(":") == 5
    foreign = Vpc(aws, zones=1)
    for fields, code in [
        ({"PrivateIpAddress": "10.0.0.50"}, "InvalidIPAddress.InUse"),
        ({"PrivateIpAddress": "10.0.0.3"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "10.0.0.255"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "10.9.0.9"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "ten"}, "InvalidParameterValue"),
        ({"Groups": [f"sg-{UNKNOWN}"]}, "InvalidGroup.NotFound"),
        ({"Groups": [foreign.security_group()]}, "InvalidParameter"),
        ({"Ipv6AddressCount": 1}, "InvalidParameterValue"),
        ({"SecondaryPrivateIpAddressCount": 1, "Ipv4PrefixCount": 1}, "InvalidParameterCombination"),
        ({"Description": "x" * 256}, "InvalidParameterValue"),
    ]:
        refused(code, lambda fields=fields: interface(aws, vpc.subnets[0], **fields))
    refused("InvalidSubnetID.NotFound", lambda: interface(aws, f"subnet-{UNKNOWN}"))
    many = [vpc.security_group() for _ in range(6)]
    refused("SecurityGroupsPerInterfaceLimitExceeded", lambda: interface(aws, vpc.subnets[0], Groups=many))
    default = interface(aws, vpc.subnets[0])
    assert default["Groups"][0]["GroupName"] == "default"


@rule("ec2.network_interface.addresses", "ec2.network_interface.prefixes")
def test_addresses_of_interfaces(aws, vpc):
    card = interface(aws, vpc.subnets[0], SecondaryPrivateIpAddressCount=2)
    named = {"NetworkInterfaceId": card["NetworkInterfaceId"]}
    assert len(card["PrivateIpAddresses"]) == 3
    free = lambda: aws.ec2.describe_subnets(SubnetIds=[vpc.subnets[0]])["Subnets"][0]["AvailableIpAddressCount"]
    assert free() == 248
    assign = lambda **what: aws.ec2.assign_private_ip_addresses(**named, **what)
    got = assign(PrivateIpAddresses=["10.0.0.77"])
    assert got["AssignedPrivateIpAddresses"] == [{"PrivateIpAddress": "10.0.0.77"}]
    refused("InvalidIPAddress.InUse", lambda: assign(PrivateIpAddresses=["10.0.0.78", "10.0.0.77"]))
    refused("MissingParameter", assign)
    refused("InvalidParameterCombination", lambda: assign(PrivateIpAddresses=["10.0.0.79"], SecondaryPrivateIpAddressCount=1))
    prefix = assign(Ipv4PrefixCount=1)["AssignedIpv4Prefixes"][0]["Ipv4Prefix"]
    assert prefix.endswith("/28") and free() == 247 - 16
    by = lambda name, value: [one["NetworkInterfaceId"] for one in aws.ec2.describe_network_interfaces(
        Filters=[{"Name": "vpc-id", "Values": [vpc.id]}, {"Name": name, "Values": [value]}])["NetworkInterfaces"]]
    assert by("addresses.private-ip-address", "10.0.0.77") == [card["NetworkInterfaceId"]]
    # An address inside of a delegated prefix is not an address of the interface.
    inside = str(ipaddress.ip_network(prefix)[3])
    assert by("addresses.private-ip-address", inside) == []
    unassign = lambda **what: aws.ec2.unassign_private_ip_addresses(**named, **what)
    refused("InvalidParameterValue", lambda: unassign(PrivateIpAddresses=[card["PrivateIpAddress"]]))
    refused("InvalidParameterValue", lambda: unassign(PrivateIpAddresses=["10.0.0.200"]))
    unassign(PrivateIpAddresses=["10.0.0.77"]), unassign(Ipv4Prefixes=[prefix])
    assert free() == 248


@rule("ec2.network_interface.modify", "ec2.network_interface.attribute")
def test_changed_interfaces(aws, vpc):
    card = interface(aws, vpc.subnets[0])["NetworkInterfaceId"]
    modify = lambda **change: aws.ec2.modify_network_interface_attribute(NetworkInterfaceId=card, **change)
    modify(Description={"Value": "new"}), modify(SourceDestCheck={"Value": False})
    group = vpc.security_group()
    modify(Groups=[group])
    shown = aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[card])["NetworkInterfaces"][0]
    assert (shown["Description"], shown["SourceDestCheck"]) == ("new", False)
    assert [one["GroupId"] for one in shown["Groups"]] == [group]
    attribute = lambda name: aws.ec2.describe_network_interface_attribute(NetworkInterfaceId=card, Attribute=name)
    assert attribute("description")["Description"] == {"Value": "new"}
    assert attribute("groupSet")["Groups"][0]["GroupId"] == group
    refused("InvalidGroup.NotFound", lambda: modify(Groups=[Vpc(aws, zones=0).security_group()]))
    refused("InvalidParameterCombination", lambda: modify(Description={"Value": "x"}, SourceDestCheck={"Value": True}))
    refused("InvalidAttachmentID.NotFound", lambda: modify(Attachment={"AttachmentId": f"eni-attach-{UNKNOWN}", "DeleteOnTermination": True}))
    refused("InvalidNetworkInterfaceAttachmentId.Malformed", lambda: aws.ec2.detach_network_interface(AttachmentId=card))
    aws.ec2.delete_network_interface(NetworkInterfaceId=card)
    refused("InvalidNetworkInterfaceID.NotFound", lambda: aws.ec2.delete_network_interface(NetworkInterfaceId=card))


@rule("ec2.address.allocate", "ec2.address.associate", "ec2.address.release", "ec2.address.describe")
def test_allocated_addresses(aws, vpc):
    made = aws.ec2.allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip", a="1"))
    named = {"AllocationId": made["AllocationId"]}
    assert (made["Domain"], made["NetworkBorderGroup"], made["PublicIpv4Pool"]) == ("vpc", REGION, "amazon")
    show = lambda: aws.ec2.describe_addresses(AllocationIds=[made["AllocationId"]])["Addresses"][0]
    assert show()["PublicIp"] == made["PublicIp"] and show()["Tags"] == [{"Key": "a", "Value": "1"}]
    assert aws.ec2.describe_addresses(PublicIps=[made["PublicIp"]])["Addresses"] == [show()]
    refused("InvalidAllocationID.NotFound", lambda: aws.ec2.describe_addresses(AllocationIds=[f"eipalloc-{UNKNOWN}"]))
    refused("InvalidAddress.NotFound", lambda: aws.ec2.describe_addresses(PublicIps=["192.0.2.1"]))
    refused("InvalidAddress.Malformed", lambda: aws.ec2.describe_addresses(PublicIps=["192.0.2"]))
    first, second = [interface(aws, vpc.subnets[0])["NetworkInterfaceId"] for _ in range(2)]
    associate = lambda to, **more: aws.ec2.associate_address(**named, NetworkInterfaceId=to, **more)["AssociationId"]
    association = associate(first)
    assert associate(first) == association
    shown = show()
    assert (shown["NetworkInterfaceId"], shown["AssociationId"]) == (first, association)
    card = aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[first])["NetworkInterfaces"][0]
    assert card["Association"]["AllocationId"] == made["AllocationId"]
    assert card["PrivateIpAddresses"][0]["Association"]["PublicIp"] == made["PublicIp"]
    refused("Resource.AlreadyAssociated", lambda: associate(second, AllowReassociation=False))
    moved = associate(second)
    refused("InvalidAssociationID.NotFound", lambda: aws.ec2.disassociate_address(AssociationId=association))
    release = lambda: aws.ec2.release_address(**named)
    refused("InvalidIPAddress.InUse", release)
    refused("DependencyViolation", lambda: aws.ec2.detach_internet_gateway(InternetGatewayId=vpc.internet_gateway, VpcId=vpc.id))
    aws.ec2.disassociate_address(AssociationId=moved)
    release()
    refused("InvalidAllocationID.NotFound", release)
    refused("MissingParameter", lambda: aws.ec2.release_address())
    shut = aws.ec2.create_vpc(CidrBlock="10.6.0.0/16")["Vpc"]["VpcId"]
    there = interface(aws, subnet(aws, shut, "10.6.0.0/24")["SubnetId"])["NetworkInterfaceId"]
    other = aws.ec2.allocate_address()["AllocationId"]
    refused("Gateway.NotAttached", lambda: aws.ec2.associate_address(AllocationId=other, NetworkInterfaceId=there))
    refused("MissingParameter", lambda: aws.ec2.associate_address(AllocationId=other))


@rule("ec2.peering.life", "ec2.peering.overlap", "ec2.peering.checks")
def test_peerings(aws):
    make = lambda cidr: aws.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    a, b, c = make("10.0.0.0/16"), make("10.1.0.0/16"), make("10.1.128.0/20")
    peer = lambda one, other, **more: aws.ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=other, **more)["VpcPeeringConnection"]
    made = peer(a, b, TagSpecifications=spec("vpc-peering-connection", a="1"))
    assert made["Status"]["Code"] == "initiating-request" and made["RequesterVpcInfo"]["CidrBlock"] == "10.0.0.0/16"
    named = {"VpcPeeringConnectionId": made["VpcPeeringConnectionId"]}
    code = lambda which=made: aws.ec2.describe_vpc_peering_connections(
        VpcPeeringConnectionIds=[which["VpcPeeringConnectionId"]])["VpcPeeringConnections"][0]["Status"]["Code"]
    assert code() == "pending-acceptance"
    refused("VpcPeeringConnectionAlreadyExists", lambda: peer(b, a))
    aws.ec2.accept_vpc_peering_connection(**named)
    assert code() == "active"
    refused("InvalidStateTransition", lambda: aws.ec2.reject_vpc_peering_connection(**named))
    table = aws.ec2.create_route_table(VpcId=a)["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.1.0.0/16", **named)
    aws.ec2.delete_vpc_peering_connection(**named)
    assert code() == "deleted"
    assert code(peer(b, c)) == "failed"
    refused("InvalidVpcID.NotFound", lambda: peer(a, f"vpc-{UNKNOWN}"))
    refused("InvalidParameterValue", lambda: peer(a, a))
    refused("InvalidVpcPeeringConnectionID.NotFound", lambda: aws.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=f"pcx-{UNKNOWN}"))
    refused("InvalidVpcPeeringConnectionId.Malformed", lambda: aws.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId="pcx"))
    far = peer(a, f"vpc-{UNKNOWN}", PeerOwnerId="210987654321")
    refused("OperationNotPermitted", lambda: aws.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=far["VpcPeeringConnectionId"]))
