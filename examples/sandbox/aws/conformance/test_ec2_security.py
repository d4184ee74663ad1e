"""EC2: security groups, their rules, managed prefix lists."""

import pytest
from conftest import ACCOUNT, REGION, Vpc, refused, rule

UNKNOWN = "0" * 17


def tcp(port, cidr=None, group=None, ipv6=None, prefix_list=None, description=None, to=None):
    """One permission with one source."""
    said = {} if description is None else {"Description": description}
    permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port if to is None else to}
    if cidr:
        permission["IpRanges"] = [{"CidrIp": cidr, **said}]
    if ipv6:
        permission["Ipv6Ranges"] = [{"CidrIpv6": ipv6, **said}]
    if group:
        permission["UserIdGroupPairs"] = [{"GroupId": group, **said}]
    if prefix_list:
        permission["PrefixListIds"] = [{"PrefixListId": prefix_list, **said}]
    return permission


def authorize(aws, group, *permissions, **more):
    return aws.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=list(permissions), **more
    )


def shown(aws, group):
    return aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]


def rules_of(aws, group, egress=False):
    found = aws.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    return [one for one in found["SecurityGroupRules"] if one["IsEgress"] == egress]


@rule("ec2.create_security_group.answer", "ec2.create_security_group.default_egress")
def test_a_new_group(aws, vpc):
    name = aws.name("group")
    made = aws.ec2.create_security_group(
        GroupName=name,
        Description="for a test",
        VpcId=vpc.id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "1"}]}],
    )
    assert made["GroupId"].startswith("sg-") and len(made["GroupId"]) == 20
    assert made["SecurityGroupArn"] == f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{made['GroupId']}"
    assert made["Tags"] == [{"Key": "a", "Value": "1"}]
    group = shown(aws, made["GroupId"])
    assert (group["GroupName"], group["Description"], group["VpcId"]) == (name, "for a test", vpc.id)
    assert group["OwnerId"] == ACCOUNT and group["IpPermissions"] == []
    assert group["IpPermissionsEgress"] == [
        {
            "IpProtocol": "-1",
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            "Ipv6Ranges": [],
            "PrefixListIds": [],
            "UserIdGroupPairs": [],
        }
    ]


@rule(
    "ec2.create_security_group.name",
    "ec2.create_security_group.description",
    "ec2.create_security_group.reserved",
    "ec2.create_security_group.duplicate",
    "ec2.create_security_group.vpc",
    "ec2.create_security_group.required",
)
def test_names_of_groups(aws, vpc):
    def create(name, description="x", vpc_id=vpc.id):
        return lambda: aws.ec2.create_security_group(
            GroupName=name, Description=description, VpcId=vpc_id
        )

    for name in ["sg-web", "SG-web", "x" * 256, "naïve", "a<b"]:
        refused("InvalidParameterValue", create(name), status=400)
    for description in ["x" * 256, "it's", "a\tb"]:
        refused("InvalidParameterValue", create("web", description))
    refused("InvalidGroup.Reserved", create("default"))
    refused("InvalidVpcID.NotFound", create("web", vpc_id=f"vpc-{UNKNOWN}"))
    refused("InvalidVpcID.Malformed", create("web", vpc_id="vpc-x"))
    create("web")()
    refused("InvalidGroup.Duplicate", create("web"))
    refused("InvalidGroup.Duplicate", create("WEB"))
    create("web", vpc_id=Vpc(aws).id)()
    every = "aZ0 ._-:/()#,@[]+=&;{}!$*"
    made = create(every, every)()
    assert shown(aws, made["GroupId"])["GroupName"] == every
    for missing in ["GroupName", "Description"]:
        fields = {"GroupName": "y", "Description": "y", "VpcId": vpc.id}
        fields.pop(missing)
        refused("MissingParameter", lambda fields=fields: aws.unchecked.ec2.create_security_group(**fields))


@rule("ec2.authorize.answer", "ec2.authorize.canonical", "ec2.authorize.protocol_names")
def test_rules_as_they_are_kept(aws, vpc):
    group = vpc.security_group()
    answer = authorize(
        aws,
        group,
        {"IpProtocol": "6", "FromPort": 80, "ToPort": 81, "IpRanges": [{"CidrIp": "100.68.0.18/18"}]},
        {"IpProtocol": "17", "FromPort": 53, "ToPort": 53, "Ipv6Ranges": [{"CidrIpv6": "2001:DB8:0:0::1/64"}]},
        {"IpProtocol": "-1", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": group, "UserId": ACCOUNT}]},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "ping"}]},
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": [{"Key": "k", "Value": "v"}]}],
    )
    assert answer["Return"] is True
    made = {one["IpProtocol"]: one for one in answer["SecurityGroupRules"]}
    assert made["tcp"]["CidrIpv4"] == "100.68.0.0/18" and (made["tcp"]["FromPort"], made["tcp"]["ToPort"]) == (80, 81)
    assert made["udp"]["CidrIpv6"] == "2001:db8::/64"
    assert made["-1"]["ReferencedGroupInfo"] == {"GroupId": group, "UserId": ACCOUNT}
    assert (made["-1"]["FromPort"], made["-1"]["ToPort"]) == (-1, -1)
    assert made["icmp"]["Description"] == "ping" and (made["icmp"]["FromPort"], made["icmp"]["ToPort"]) == (8, -1)
    for one in made.values():
        assert one["SecurityGroupRuleId"].startswith("sgr-")
        assert (one["GroupId"], one["GroupOwnerId"], one["IsEgress"]) == (group, ACCOUNT, False)
        assert one["Tags"] == [{"Key": "k", "Value": "v"}]
    everything = [one for one in shown(aws, group)["IpPermissions"] if one["IpProtocol"] == "-1"]
    assert "FromPort" not in everything[0] and "ToPort" not in everything[0]


@rule("ec2.describe_security_groups.grouped")
def test_rules_are_grouped_by_ports(aws, vpc):
    group = vpc.security_group()
    authorize(aws, group, tcp(80, "10.0.0.0/8"), tcp(443, "10.0.0.0/8"))
    authorize(aws, group, tcp(80, "11.0.0.0/8", description="x"), tcp(80, ipv6="::/0"))
    permissions = {one["FromPort"]: one for one in shown(aws, group)["IpPermissions"]}
    assert set(permissions) == {80, 443}
    ranges = sorted(permissions[80]["IpRanges"], key=lambda one: one["CidrIp"])
    assert ranges == [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "11.0.0.0/8", "Description": "x"}]
    assert permissions[80]["Ipv6Ranges"] == [{"CidrIpv6": "::/0"}]


@rule(
    "ec2.authorize.duplicate",
    "ec2.authorize.all_or_nothing",
    "ec2.authorize.twice_in_one_call",
)
def test_a_rule_exists_once(aws, vpc):
    group = vpc.security_group()
    authorize(aws, group, tcp(80, "10.0.0.0/8"))
    again = tcp(80, "10.1.2.3/8", description="another")
    again["IpProtocol"] = "6"
    error = refused("InvalidPermission.Duplicate", lambda: authorize(aws, group, tcp(81, "10.0.0.0/8"), again))
    assert '"peer: 10.0.0.0/8, TCP, from port: 80, to port: 80, ALLOW" already exists' in error.message
    refused(
        "InvalidParameterValue",
        lambda: authorize(aws, group, tcp(82, "10.0.0.0/8"), tcp(82, "10.9.9.9/8")),
    )
    assert len(rules_of(aws, group)) == 1
    aws.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[tcp(80, "10.0.0.0/8")])


@rule("ec2.authorize.malformed")
@pytest.mark.parametrize(
    "permission, code",
    [
        (tcp(80, "10.0.0.0"), "InvalidParameterValue"),
        (tcp(80, "10.0.0.0/33"), "InvalidParameterValue"),
        (tcp(80, "300.0.0.0/8"), "InvalidParameterValue"),
        (tcp(80, "::/0"), "InvalidParameterValue"),
        (tcp(80, ipv6="10.0.0.0/8"), "InvalidParameterValue"),
        (tcp(443, "10.0.0.0/8", to=80), "InvalidParameterValue"),
        (tcp(-1, "10.0.0.0/8"), "InvalidParameterValue"),
        (tcp(65536, "10.0.0.0/8"), "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, "InvalidParameterValue"),
        ({**tcp(1, "10.0.0.0/8"), "IpProtocol": "carrot"}, "InvalidParameterValue"),
        ({**tcp(1, "10.0.0.0/8"), "IpProtocol": "256"}, "InvalidParameterValue"),
        ({**tcp(-1, "10.0.0.0/8", to=3), "IpProtocol": "icmp"}, "InvalidParameterValue"),
        (tcp(80, "10.0.0.0/8", description="a<b"), "InvalidParameterValue"),
        (tcp(80, "10.0.0.0/8", description="x" * 256), "InvalidParameterValue"),
        (tcp(80), "InvalidPermission.Malformed"),
        (tcp(80, group=f"sg-{UNKNOWN}"), "InvalidGroup.NotFound"),
        (tcp(80, group="sg-x"), "InvalidGroupId.Malformed"),
        (tcp(80, prefix_list=f"pl-{UNKNOWN}"), "InvalidPrefixListID.NotFound"),
        (tcp(80, prefix_list="pl-x"), "InvalidPrefixListId.Malformed"),
    ],
)
def test_malformed_permissions(aws, vpc, permission, code):
    group = vpc.security_group()
    refused(code, lambda: authorize(aws, group, tcp(22, "10.0.0.0/8"), permission), status=400)
    assert rules_of(aws, group) == []


@rule("ec2.authorize.missing", "ec2.authorize.unknown_group", "ec2.authorize.short_form")
def test_what_authorize_needs(aws, vpc):
    group = vpc.security_group()
    refused("MissingParameter", lambda: aws.ec2.authorize_security_group_ingress(GroupId=group))
    refused("MissingParameter", lambda: aws.ec2.authorize_security_group_ingress(IpPermissions=[tcp(1, "10.0.0.0/8")]))
    refused("InvalidGroup.NotFound", lambda: authorize(aws, f"sg-{UNKNOWN}", tcp(1, "10.0.0.0/8")))
    refused("InvalidGroupId.Malformed", lambda: authorize(aws, "sg-x", tcp(1, "10.0.0.0/8")))
    short = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8"}
    aws.ec2.authorize_security_group_ingress(GroupId=group, **short)
    assert rules_of(aws, group)[0]["CidrIpv4"] == "10.0.0.0/8"
    refused(
        "InvalidParameterCombination",
        lambda: aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(1, "10.0.0.0/8")], **short),
    )


@rule("ec2.authorize.quota", "ec2.authorize.families_apart")
def test_sixty_rules(aws, vpc):
    group = vpc.security_group()
    authorize(aws, group, *[tcp(80, f"10.{n}.0.0/16") for n in range(60)])
    error = refused("RulesPerSecurityGroupLimitExceeded", lambda: authorize(aws, group, tcp(80, "11.0.0.0/8")))
    assert error.message == "The maximum number of rules per security group has been reached."
    authorize(aws, group, tcp(80, ipv6="::/0"))
    aws.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[tcp(80, "11.0.0.0/8")])
    other = vpc.security_group()
    refused(
        "RulesPerSecurityGroupLimitExceeded",
        lambda: authorize(aws, other, *[tcp(80, f"10.{n}.0.0/16") for n in range(61)]),
    )
    assert rules_of(aws, other) == []


@rule("ec2.authorize.prefix_list_weight", "ec2.prefix_list.in_use", "ec2.prefix_list.resize_in_use")
def test_a_prefix_list_costs_its_size(aws, vpc):
    def make(size):
        return aws.ec2.create_managed_prefix_list(
            PrefixListName=aws.name(), MaxEntries=size, AddressFamily="IPv4",
            Entries=[{"Cidr": "10.0.0.0/8"}],
        )["PrefixList"]["PrefixListId"]

    big, small = make(60), make(10)
    group = vpc.security_group()
    authorize(aws, group, tcp(80, prefix_list=small))
    refused("RulesPerSecurityGroupLimitExceeded", lambda: authorize(aws, group, tcp(80, prefix_list=big)))
    authorize(aws, group, *[tcp(80, f"10.{n}.0.0/16") for n in range(50)])
    refused("RulesPerSecurityGroupLimitExceeded", lambda: authorize(aws, group, tcp(81, "10.0.0.0/8")))
    refused("DependencyViolation", lambda: aws.ec2.delete_managed_prefix_list(PrefixListId=small))
    refused(
        "RulesPerSecurityGroupLimitExceeded",
        lambda: aws.ec2.modify_managed_prefix_list(PrefixListId=small, MaxEntries=11),
    )
    users = aws.ec2.get_managed_prefix_list_associations(PrefixListId=small)["PrefixListAssociations"]
    assert users == [{"ResourceId": group, "ResourceOwner": ACCOUNT}]


@rule("ec2.authorize.group_of_another_vpc", "ec2.describe_security_group_references")
def test_groups_of_other_vpcs(aws):
    mine, other = Vpc(aws, zones=1), None
    far = aws.ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    theirs = aws.ec2.create_security_group(GroupName="far", Description="far", VpcId=far)["GroupId"]
    group = mine.security_group()
    refused("InvalidGroup.NotFound", lambda: authorize(aws, group, tcp(80, group=theirs)))
    peering = aws.ec2.create_vpc_peering_connection(VpcId=mine.id, PeerVpcId=far)["VpcPeeringConnection"]
    refused("InvalidGroup.NotFound", lambda: authorize(aws, group, tcp(80, group=theirs)))
    aws.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering["VpcPeeringConnectionId"])
    authorize(aws, group, tcp(80, group=theirs))
    found = aws.ec2.describe_security_group_references(GroupId=[theirs])["SecurityGroupReferenceSet"]
    assert found == [
        {
            "GroupId": theirs,
            "ReferencingVpcId": mine.id,
            "VpcPeeringConnectionId": peering["VpcPeeringConnectionId"],
        }
    ]
    assert other is None


@rule("ec2.revoke.by_permission", "ec2.revoke.not_found", "ec2.revoke.by_id", "ec2.revoke.combination", "ec2.revoke.answer")
def test_revoking(aws, vpc):
    group = vpc.security_group()
    authorize(aws, group, tcp(80, "10.0.0.0/8", description="x"), tcp(81, "10.0.0.0/8"), tcp(82, "10.0.0.0/8"))

    def revoke(*permissions, **more):
        if permissions:
            more["IpPermissions"] = list(permissions)
        return aws.ec2.revoke_security_group_ingress(GroupId=group, **more)

    refused("InvalidPermission.NotFound", lambda: revoke(tcp(80, "10.0.0.0/8"), tcp(99, "10.0.0.0/8")))
    assert len(rules_of(aws, group)) == 3
    answer = revoke(tcp(80, "10.9.0.0/8", description="of no account"))
    assert answer["Return"] is True
    assert [one["CidrIpv4"] for one in answer["RevokedSecurityGroupRules"]] == ["10.0.0.0/8"]
    refused("InvalidPermission.NotFound", lambda: revoke(tcp(80, "10.0.0.0/8")))
    ids = [one["SecurityGroupRuleId"] for one in rules_of(aws, group)]
    refused("InvalidSecurityGroupRuleId.NotFound", lambda: revoke(SecurityGroupRuleIds=[ids[0], f"sgr-{UNKNOWN}"]))
    refused("InvalidSecurityGroupRuleId.Malformed", lambda: revoke(SecurityGroupRuleIds=["sgr-x"]))
    egress = rules_of(aws, group, egress=True)[0]["SecurityGroupRuleId"]
    refused("InvalidSecurityGroupRuleId.NotFound", lambda: revoke(SecurityGroupRuleIds=[egress]))
    refused("InvalidParameterCombination", lambda: revoke(tcp(81, "10.0.0.0/8"), SecurityGroupRuleIds=ids))
    refused("MissingParameter", revoke)
    revoke(SecurityGroupRuleIds=ids)
    assert rules_of(aws, group) == []
    aws.ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[egress])
    assert shown(aws, group)["IpPermissionsEgress"] == []


@rule("ec2.modify_rules.in_place", "ec2.modify_rules.checks")
def test_rules_are_modified_in_place(aws, vpc):
    group = vpc.security_group()
    made = authorize(aws, group, tcp(80, "10.0.0.0/8"), tcp(81, "10.0.0.0/8"))["SecurityGroupRules"]
    first, second = [one["SecurityGroupRuleId"] for one in made]

    def modify(*changes):
        return aws.ec2.modify_security_group_rules(
            GroupId=group,
            SecurityGroupRules=[{"SecurityGroupRuleId": who, "SecurityGroupRule": what} for who, what in changes],
        )

    def to(port, **source):
        return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **(source or {"CidrIpv4": "10.0.0.0/8"})}

    refused("InvalidPermission.Duplicate", lambda: modify((first, to(81))))
    refused("InvalidSecurityGroupRuleId.NotFound", lambda: modify((f"sgr-{UNKNOWN}", to(90))))
    refused("InvalidParameterValue", lambda: modify((first, to(80, CidrIpv6="::/0"))))
    refused("InvalidParameterCombination", lambda: modify((first, to(80, CidrIpv4="10.0.0.0/8", CidrIpv6="::/0"))))
    refused("InvalidParameterValue", lambda: modify((first, to(80, CidrIpv4="10.0.0.0"))))
    modify((first, {**to(81), "Description": "swapped"}), (second, to(80)))
    ports = {one["SecurityGroupRuleId"]: one for one in rules_of(aws, group)}
    assert (ports[first]["FromPort"], ports[second]["FromPort"]) == (81, 80)
    assert ports[first]["Description"] == "swapped"


@rule("ec2.update_rule_descriptions")
def test_descriptions_alone(aws, vpc):
    group = vpc.security_group()
    made = authorize(aws, group, tcp(80, "10.0.0.0/8"))["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    def update(**what):
        return aws.ec2.update_security_group_rule_descriptions_ingress(GroupId=group, **what)

    update(IpPermissions=[tcp(80, "10.0.0.0/8", description="one")])
    assert rules_of(aws, group)[0]["Description"] == "one"
    update(SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": made, "Description": "two"}])
    assert rules_of(aws, group)[0]["Description"] == "two"
    refused("InvalidPermission.NotFound", lambda: update(IpPermissions=[tcp(81, "10.0.0.0/8")]))
    refused(
        "InvalidSecurityGroupRuleId.NotFound",
        lambda: aws.ec2.update_security_group_rule_descriptions_egress(
            GroupId=group, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": made, "Description": "x"}]
        ),
    )
    refused("MissingParameter", update)


@rule("ec2.delete_security_group.blocked", "ec2.delete_security_group.default", "ec2.delete_security_group.unknown")
def test_what_blocks_a_delete(aws, vpc):
    first, second = vpc.security_group(), vpc.security_group()
    delete = lambda group: lambda: aws.ec2.delete_security_group(GroupId=group)
    authorize(aws, first, tcp(80, group=first))
    authorize(aws, second, tcp(80, group=first))
    error = refused("DependencyViolation", delete(first))
    assert error.message == f"resource {first} has a dependent object"
    aws.ec2.revoke_security_group_ingress(GroupId=second, IpPermissions=[tcp(80, group=first)])
    interface = aws.ec2.create_network_interface(SubnetId=vpc.subnets[0], Groups=[first])["NetworkInterface"]
    refused("DependencyViolation", delete(first))
    aws.ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    assert delete(first)()["GroupId"] == first
    refused("InvalidGroup.NotFound", delete(first))
    refused("InvalidGroupId.Malformed", delete("group"))
    default = aws.ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc.id]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"][0]
    refused("CannotDelete", delete(default["GroupId"]))
    assert default["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == default["GroupId"]


@rule("ec2.describe_security_groups.filters", "ec2.describe_security_groups.ids", "ec2.describe_security_group_rules.filter")
def test_finding_groups(aws, vpc):
    group = vpc.security_group()
    aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(8443, "10.7.0.0/16"), tcp(80, ipv6="2001:db8::/32")])

    def find(**filters):
        named = [{"Name": name.replace("__", ".").replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        named.append({"Name": "vpc-id", "Values": [vpc.id]})
        return {one["GroupId"] for one in aws.ec2.describe_security_groups(Filters=named)["SecurityGroups"]}

    name = shown(aws, group)["GroupName"]
    for filters in [
        {"group_name": name},
        {"group_name": name[:-3] + "*"},
        {"group_id": group},
        {"description": "of a t?st", "group_id": group},
        {"ip_permission__from_port": "8443"},
        {"ip_permission__to_port": "8443"},
        {"ip_permission__cidr": "10.7.0.0/16"},
        {"ip_permission__ipv6_cidr": "2001:db8::/32"},
        {"ip_permission__protocol": "tcp"},
        {"owner_id": ACCOUNT, "group_id": group},
    ]:
        assert find(**filters) == {group}, filters
    assert find(group_name=name.upper()) == set()
    assert group in find(egress__ip_permission__cidr="0.0.0.0/0")
    refused("InvalidGroup.NotFound", lambda: aws.ec2.describe_security_groups(GroupIds=[group, f"sg-{UNKNOWN}"]))
    refused("InvalidGroupId.Malformed", lambda: aws.ec2.describe_security_groups(GroupIds=["sg-"]))
    refused("InvalidSecurityGroupRuleId.NotFound", lambda: aws.ec2.describe_security_group_rules(SecurityGroupRuleIds=[f"sgr-{UNKNOWN}"]))
    assert rules_of(aws, f"sg-{UNKNOWN}") == []
    found = aws.ec2.get_security_groups_for_vpc(VpcId=vpc.id, Filters=[{"Name": "group-id", "Values": [group]}])
    assert found["SecurityGroupForVpcs"][0]["PrimaryVpcId"] == vpc.id
    refused("InvalidVpcID.NotFound", lambda: aws.ec2.get_security_groups_for_vpc(VpcId=f"vpc-{UNKNOWN}"))


@rule(
    "ec2.prefix_list.create",
    "ec2.prefix_list.versions",
    "ec2.prefix_list.version_mismatch",
    "ec2.prefix_list.entries_or_size",
    "ec2.prefix_list.delete",
)
def test_managed_prefix_lists(aws):
    name = aws.name("pl")
    made = aws.ec2.create_managed_prefix_list(
        PrefixListName=name, MaxEntries=3, AddressFamily="IPv4",
        Entries=[{"Cidr": "10.1.0.0/16", "Description": "a"}, {"Cidr": "10.2.3.4/16"}],
        TagSpecifications=[{"ResourceType": "prefix-list", "Tags": [{"Key": "k", "Value": "v"}]}],
    )["PrefixList"]
    assert (made["State"], made["Version"], made["MaxEntries"], made["OwnerId"]) == ("create-in-progress", 1, 3, ACCOUNT)
    assert made["PrefixListArn"] == f"arn:aws:ec2:{REGION}:{ACCOUNT}:prefix-list/{made['PrefixListId']}"
    named = {"PrefixListId": made["PrefixListId"]}
    found = aws.ec2.describe_managed_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])["PrefixLists"]
    assert [one["State"] for one in found] == ["create-complete"] and found[0]["Tags"] == [{"Key": "k", "Value": "v"}]
    entries = lambda **more: aws.ec2.get_managed_prefix_list_entries(**named, **more)["Entries"]
    assert entries() == [{"Cidr": "10.1.0.0/16", "Description": "a"}, {"Cidr": "10.2.0.0/16"}]
    modify = lambda **change: lambda: aws.ec2.modify_managed_prefix_list(**named, **change)
    add = [{"Cidr": "10.3.0.0/16"}]
    refused("PrefixListVersionMismatch", modify(CurrentVersion=2, AddEntries=add))
    refused("InvalidParameterCombination", modify(CurrentVersion=1, AddEntries=add, MaxEntries=9))
    refused("PrefixListMaxEntriesExceeded", modify(CurrentVersion=1, AddEntries=add + [{"Cidr": "10.4.0.0/16"}]))
    refused("PrefixListMaxEntriesExceeded", modify(MaxEntries=1))
    refused("InvalidParameterValue", modify(CurrentVersion=1, RemoveEntries=[{"Cidr": "10.9.0.0/16"}]))
    changed = modify(CurrentVersion=1, AddEntries=add, RemoveEntries=[{"Cidr": "10.1.0.0/16"}])()["PrefixList"]
    assert (changed["State"], changed["Version"]) == ("modify-in-progress", 2)
    assert [one["Cidr"] for one in entries()] == ["10.2.0.0/16", "10.3.0.0/16"]
    assert [one["Cidr"] for one in entries(TargetVersion=1)] == ["10.1.0.0/16", "10.2.0.0/16"]
    page = aws.ec2.get_managed_prefix_list_entries(**named, MaxResults=1)
    assert [one["Cidr"] for one in entries(MaxResults=1, NextToken=page["NextToken"])] == ["10.3.0.0/16"]
    aws.ec2.restore_managed_prefix_list_version(**named, PreviousVersion=1, CurrentVersion=2)
    assert [one["Cidr"] for one in entries()] == ["10.1.0.0/16", "10.2.0.0/16"]
    assert modify(PrefixListName=name + "-x")()["PrefixList"]["Version"] == 3
    aws.ec2.delete_managed_prefix_list(**named)
    refused("InvalidPrefixListID.NotFound", lambda: aws.ec2.delete_managed_prefix_list(**named))


@rule("ec2.prefix_list.checks")
@pytest.mark.parametrize(
    "change, code",
    [
        ({"AddressFamily": "ipv4"}, "InvalidParameterValue"),
        ({"MaxEntries": 0}, "InvalidParameterValue"),
        ({"MaxEntries": 1001}, "InvalidParameterValue"),
        ({"PrefixListName": "com.amazonaws.x"}, "InvalidParameterValue"),
        ({"PrefixListName": "x" * 256}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "::/0"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "10.0.0.0"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "10.0.0.0/8"}, {"Cidr": "10.1.0.0/8"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "10.0.0.0/8", "Description": "x" * 256}]}, "InvalidParameterValue"),
        ({"MaxEntries": 1, "Entries": [{"Cidr": "10.0.0.0/8"}, {"Cidr": "11.0.0.0/8"}]}, "PrefixListMaxEntriesExceeded"),
    ],
)
def test_malformed_prefix_lists(aws, change, code):
    fields = {"PrefixListName": aws.name("pl"), "MaxEntries": 5, "AddressFamily": "IPv4", **change}
    refused(code, lambda: aws.ec2.create_managed_prefix_list(**fields))


@rule("ec2.prefix_list.of_amazon", "ec2.prefix_list.token", "ec2.describe_prefix_lists")
def test_amazons_own_prefix_lists(aws):
    name = f"com.amazonaws.{REGION}.s3"
    find = lambda name: aws.ec2.describe_managed_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])["PrefixLists"]
    [s3] = find(name)
    assert s3["OwnerId"] == "AWS" and s3["MaxEntries"] >= 1 and s3["AddressFamily"] == "IPv4"
    [cloudfront] = find("com.amazonaws.global.cloudfront.origin-facing")
    assert cloudfront["MaxEntries"] == 55
    refused("OperationNotPermitted", lambda: aws.ec2.delete_managed_prefix_list(PrefixListId=s3["PrefixListId"]))
    [shown] = aws.ec2.describe_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])["PrefixLists"]
    assert shown["PrefixListId"] == s3["PrefixListId"] and shown["Cidrs"]
    refused("InvalidParameterValue", lambda: aws.ec2.describe_managed_prefix_lists(MaxResults=101))
    token = aws.name()
    make = lambda size: aws.ec2.create_managed_prefix_list(
        PrefixListName="twice", MaxEntries=size, AddressFamily="IPv4", ClientToken=token
    )["PrefixList"]["PrefixListId"]
    assert make(1) == make(1)
    refused("IdempotentParameterMismatch", lambda: make(2))
