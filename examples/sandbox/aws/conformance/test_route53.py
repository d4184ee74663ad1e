"""Route 53: hosted zones, record sets, health checks."""

import concurrent.futures
import re

import botocore.exceptions
import pytest

from conftest import Vpc, eventually, refused, rule


class Zone:
    """A hosted zone with a name of its own."""

    def __init__(self, aws, vpc=None, name=None):
        self.aws = aws
        self.name = name or aws.name("zone") + ".example.com"
        more = {}
        if vpc:
            more["VPC"] = {"VPCRegion": aws.region, "VPCId": vpc}
        made = aws.route53.create_hosted_zone(
            Name=self.name, CallerReference=aws.name("ref"), **more
        )
        self.made = made
        self.id = made["HostedZone"]["Id"].rpartition("/")[2]

    def change(self, *changes, comment="of a test"):
        """Carries out changes, each (action, record set)."""
        batch = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
        return self.aws.route53.change_resource_record_sets(
            HostedZoneId=self.id, ChangeBatch={"Comment": comment, "Changes": batch}
        )["ChangeInfo"]

    def create(self, *records):
        return self.change(*[("CREATE", record) for record in records])

    def refuse(self, part, *changes, code="InvalidChangeBatch"):
        """Wants changes to be refused with a part of the message, and nothing changed."""
        before = self.records()
        error = refused(code, lambda: self.change(*changes))
        assert part in error.message, error
        if code == "InvalidChangeBatch":
            assert error.status == 400
            assert error.message.startswith("[") and error.message.endswith("]"), error
        assert self.records() == before
        return error

    def refuse_create(self, part, record, code="InvalidChangeBatch"):
        return self.refuse(part, ("CREATE", record), code=code)

    def records(self):
        pages = self.aws.route53.get_paginator("list_resource_record_sets")
        return [
            record
            for page in pages.paginate(HostedZoneId=self.id)
            for record in page["ResourceRecordSets"]
        ]

    def record(self, name, kind="A"):
        """The only record set of a name and type, or None."""
        found = [r for r in self.records() if (r["Name"], r["Type"]) == (self.at(name), kind)]
        assert len(found) < 2
        return found[0] if found else None

    def at(self, name):
        return f"{name}.{self.name}." if name else f"{self.name}."

    def simple(self, name, *values, kind="A", ttl=300, **more):
        values = values or ("192.0.2.1",)
        return {
            "Name": self.at(name),
            "Type": kind,
            "TTL": ttl,
            "ResourceRecords": [{"Value": value} for value in values],
            **more,
        }

    def alias(self, name, zone, target, kind="A", evaluate=False, **more):
        return {
            "Name": self.at(name),
            "Type": kind,
            "AliasTarget": {
                "HostedZoneId": zone,
                "DNSName": target,
                "EvaluateTargetHealth": evaluate,
            },
            **more,
        }


@pytest.fixture
def zone(aws):
    """A public hosted zone."""
    return Zone(aws)


@pytest.fixture
def balancer(aws, vpc):
    """An internal load balancer."""
    made = aws.elbv2.create_load_balancer(
        Name=aws.name("lb"), Subnets=vpc.subnets, Scheme="internal"
    )
    return made["LoadBalancers"][0]


def zone_file(aws, vpc=None, **more):
    """Parameters of a new zone."""
    return {"Name": aws.name("zone") + ".example.com", "CallerReference": aws.name("r"), **more}


# Hosted zones


@rule("route53.create_hosted_zone.answer")
def test_a_new_zone_has_its_delegation(aws):
    zone = Zone(aws, name=aws.name("Upper").upper() + ".Example.com")
    made = zone.made
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["Location"].endswith(f"/2013-04-01/hostedzone/{zone.id}")
    assert re.fullmatch(r"/hostedzone/Z[A-Z0-9]{1,31}", made["HostedZone"]["Id"])
    assert made["HostedZone"]["Name"] == zone.name.lower() + "."
    assert made["HostedZone"]["Config"] == {"PrivateZone": False}
    assert made["HostedZone"]["ResourceRecordSetCount"] == 2
    assert made["ChangeInfo"]["Status"] == "PENDING"
    servers = made["DelegationSet"]["NameServers"]
    assert len(set(servers)) == 4
    kinds = {record["Type"]: record for record in zone.records()}
    assert set(kinds) == {"NS", "SOA"}
    assert [r["Value"] for r in kinds["NS"]["ResourceRecords"]] == [s + "." for s in servers]
    assert (kinds["NS"]["TTL"], kinds["SOA"]["TTL"]) == (172800, 900)
    soa = kinds["SOA"]["ResourceRecords"][0]["Value"]
    assert soa == f"{servers[0]}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"


@rule("route53.create_hosted_zone.reference")
def test_a_caller_reference_is_good_for_one_zone(aws):
    new = zone_file(aws)
    aws.route53.create_hosted_zone(**new)
    refused("HostedZoneAlreadyExists", lambda: aws.route53.create_hosted_zone(**new), 409)
    other = {**new, "Name": "other." + new["Name"]}
    refused("HostedZoneAlreadyExists", lambda: aws.route53.create_hosted_zone(**other), 409)


@rule("route53.create_hosted_zone.same_name")
def test_two_zones_may_have_one_name_but_no_name_server(aws):
    one = Zone(aws)
    two = Zone(aws, name=one.name)
    servers = [set(z.made["DelegationSet"]["NameServers"]) for z in (one, two)]
    assert one.id != two.id and not servers[0] & servers[1]


@rule("route53.create_hosted_zone.name")
@pytest.mark.parametrize(
    "name", ["com", "a..example.com", "*.example.com", "a b.example.com", "x" * 64 + ".com"]
)
def test_names_that_no_zone_can_have(aws, name):
    new = zone_file(aws, Name=name)
    refused("InvalidDomainName", lambda: aws.route53.create_hosted_zone(**new), 400)


@rule("route53.create_hosted_zone.private")
def test_a_private_zone_is_one_of_a_vpc(aws, vpc):
    zone = Zone(aws, vpc=vpc.id)
    assert zone.made["VPC"] == {"VPCRegion": aws.region, "VPCId": vpc.id}
    assert "DelegationSet" not in zone.made
    assert zone.made["HostedZone"]["Config"]["PrivateZone"] is True
    shown = aws.route53.get_hosted_zone(Id=zone.id)
    assert shown["VPCs"] == [{"VPCRegion": aws.region, "VPCId": vpc.id}]
    assert "DelegationSet" not in shown
    for wrong, code in [
        ({"VPC": {"VPCRegion": aws.region, "VPCId": "vpc-0123456789abcdef0"}}, "InvalidVPCId"),
        ({"VPC": {"VPCRegion": "eu-west-3", "VPCId": vpc.id}}, "InvalidVPCId"),
        ({"HostedZoneConfig": {"PrivateZone": True}}, "InvalidInput"),
    ]:
        refused(code, lambda: aws.route53.create_hosted_zone(**zone_file(aws, **wrong)), 400)


@rule("route53.create_hosted_zone.conflict")
def test_a_vpc_sees_one_private_zone_of_a_name(aws, vpc):
    zone = Zone(aws, vpc=vpc.id)
    again = zone_file(aws, Name=zone.name, VPC={"VPCRegion": aws.region, "VPCId": vpc.id})
    error = refused("ConflictingDomainExists", lambda: aws.route53.create_hosted_zone(**again))
    assert vpc.id in error.message and zone.id in error.message
    # A public zone of the name is no conflict.
    Zone(aws, name=zone.name)


@rule("route53.create_hosted_zone.delegation_set")
def test_delegation_sets_do_not_exist(aws):
    new = zone_file(aws, DelegationSetId="N1PA6795SAMPLE")
    refused("NoSuchDelegationSet", lambda: aws.route53.create_hosted_zone(**new))
    refused("NoSuchDelegationSet", lambda: aws.route53.list_hosted_zones(DelegationSetId="N1"))


@rule("route53.get_hosted_zone")
def test_a_zone_is_found_with_and_without_prefix(aws, zone):
    for identifier in (zone.id, f"/hostedzone/{zone.id}"):
        shown = aws.route53.get_hosted_zone(Id=identifier)
        assert shown["HostedZone"]["Id"] == f"/hostedzone/{zone.id}"
        assert shown["DelegationSet"] == zone.made["DelegationSet"]
        assert "VPCs" not in shown
    error = refused("NoSuchHostedZone", lambda: aws.route53.get_hosted_zone(Id="Z0"), 404)
    assert "Z0" in error.message


@rule("route53.delete_hosted_zone")
def test_a_zone_goes_when_it_is_empty(aws, zone):
    record = zone.simple("a")
    zone.create(record)
    refused("HostedZoneNotEmpty", lambda: aws.route53.delete_hosted_zone(Id=zone.id), 400)
    zone.change(("DELETE", record))
    gone = aws.route53.delete_hosted_zone(Id=zone.id)
    assert gone["ChangeInfo"]["Status"] == "PENDING"
    for call in [
        lambda: aws.route53.delete_hosted_zone(Id=zone.id),
        lambda: zone.create(record),
        lambda: zone.records(),
    ]:
        refused("NoSuchHostedZone", call, 404)


@rule("route53.update_comment")
def test_a_comment_is_set_and_taken_away(aws, zone):
    update = aws.route53.update_hosted_zone_comment
    assert update(Id=zone.id, Comment="x")["HostedZone"]["Config"]["Comment"] == "x"
    assert "Comment" not in update(Id=zone.id)["HostedZone"]["Config"]
    refused("InvalidInput", lambda: update(Id=zone.id, Comment="x" * 257), 400)
    refused("NoSuchHostedZone", lambda: update(Id="Z0", Comment="x"), 404)


@rule("route53.list_hosted_zones")
def test_zones_are_listed_in_pages(aws, vpc):
    zones = {Zone(aws).id for _ in range(3)} | {Zone(aws, vpc=vpc.id).id}
    page = aws.route53.list_hosted_zones(MaxItems="2")
    assert page["MaxItems"] == "2" and page["IsTruncated"] is True
    second = aws.route53.list_hosted_zones(MaxItems="2", Marker=page["NextMarker"])
    assert second["Marker"] == page["NextMarker"]
    assert second["HostedZones"][0]["Id"].endswith(page["NextMarker"])
    pages = aws.route53.get_paginator("list_hosted_zones")
    everything = [z for p in pages.paginate() for z in p["HostedZones"]]
    ids = [z["Id"].rpartition("/")[2] for z in everything]
    assert zones <= set(ids) and len(set(ids)) == len(ids)
    private = pages.paginate(HostedZoneType="PrivateHostedZone")
    assert all(z["Config"]["PrivateZone"] for p in private for z in p["HostedZones"])
    count = aws.route53.get_hosted_zone_count()["HostedZoneCount"]
    assert count >= len(zones)
    for wrong in [{"MaxItems": "0"}, {"MaxItems": "x"}, {"Marker": "Z0"}, {"HostedZoneType": "x"}]:
        refused("InvalidInput", lambda: aws.route53.list_hosted_zones(**wrong), 400)


@rule("route53.list_hosted_zones_by_name")
def test_zones_are_listed_by_name_from_a_start(aws):
    top = aws.name("order") + ".example.com"
    names = [top, f"a.{top}", f"z.a.{top}", f"b.{top}"]
    zones = {name: Zone(aws, name=name) for name in reversed(names)}
    listed = aws.route53.list_hosted_zones_by_name(DNSName=top, MaxItems="4")
    assert [z["Name"] for z in listed["HostedZones"]] == [name + "." for name in names]
    assert listed["DNSName"] == top
    # The name is a start and no filter.
    start = aws.route53.list_hosted_zones_by_name(DNSName=f"aa.{top}", MaxItems="1")
    assert start["HostedZones"][0]["Name"] == f"b.{top}."
    page = aws.route53.list_hosted_zones_by_name(DNSName=top, MaxItems="1")
    assert page["IsTruncated"] and page["NextDNSName"] == f"a.{top}."
    assert page["NextHostedZoneId"] == zones[f"a.{top}"].id
    following = aws.route53.list_hosted_zones_by_name(
        DNSName=page["NextDNSName"], HostedZoneId=page["NextHostedZoneId"], MaxItems="1"
    )
    assert following["HostedZones"][0]["Name"] == f"a.{top}."
    refused("InvalidInput", lambda: aws.route53.list_hosted_zones_by_name(HostedZoneId="Z0"))


@rule("route53.list_hosted_zones_by_vpc")
def test_zones_of_a_vpc(aws, vpc):
    zones = [Zone(aws, vpc=vpc.id) for _ in range(2)]
    where = {"VPCId": vpc.id, "VPCRegion": aws.region}
    page = aws.route53.list_hosted_zones_by_vpc(**where, MaxItems="1")
    second = aws.route53.list_hosted_zones_by_vpc(**where, NextToken=page["NextToken"])
    found = page["HostedZoneSummaries"] + second["HostedZoneSummaries"]
    assert {z["HostedZoneId"] for z in found} == {z.id for z in zones}
    assert {z["Name"] for z in found} == {z.name + "." for z in zones}
    assert all(z["Owner"] == {"OwningAccount": "123456789012"} for z in found)
    assert "NextToken" not in second
    call = aws.route53.list_hosted_zones_by_vpc
    refused("InvalidPaginationToken", lambda: call(**where, NextToken="%"), 400)
    refused("InvalidInput", lambda: call(VPCId="vpc-0123456789abcdef0", VPCRegion=aws.region))


@rule("route53.associate_vpc", "route53.disassociate_vpc")
def test_vpcs_come_and_go_but_the_last_one(aws, vpc):
    zone = Zone(aws, vpc=vpc.id)
    second = aws.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]

    def associate(vpc, identifier=zone.id):
        return aws.route53.associate_vpc_with_hosted_zone(
            HostedZoneId=identifier, VPC={"VPCId": vpc, "VPCRegion": aws.region}
        )

    def leave(vpc, identifier=zone.id):
        return aws.route53.disassociate_vpc_from_hosted_zone(
            HostedZoneId=identifier, VPC={"VPCId": vpc, "VPCRegion": aws.region}
        )

    assert associate(second)["ChangeInfo"]["Status"] == "PENDING"
    shown = aws.route53.get_hosted_zone(Id=zone.id)["VPCs"]
    assert {v["VPCId"] for v in shown} == {vpc.id, second}
    refused("ConflictingDomainExists", lambda: associate(second))
    refused("InvalidVPCId", lambda: associate("vpc-0123456789abcdef0"), 400)
    refused("NoSuchHostedZone", lambda: associate(second, "Z0"), 404)
    refused("PublicZoneVPCAssociation", lambda: associate(second, Zone(aws).id), 400)
    leave(vpc.id)
    refused("VPCAssociationNotFound", lambda: leave(vpc.id), 404)
    refused("LastVPCAssociation", lambda: leave(second), 400)


@rule("route53.vpc_authorizations")
def test_vpcs_of_others_are_authorized(aws, vpc):
    zone = Zone(aws, vpc=vpc.id)
    theirs = {"VPCId": "vpc-0aaaaaaaaaaaaaaaa", "VPCRegion": "eu-west-1"}
    call = {"HostedZoneId": zone.id, "VPC": theirs}
    made = aws.route53.create_vpc_association_authorization(**call)
    assert (made["HostedZoneId"], made["VPC"]) == (zone.id, theirs)
    listed = aws.route53.list_vpc_association_authorizations(HostedZoneId=zone.id)
    assert listed["VPCs"] == [theirs]
    aws.route53.delete_vpc_association_authorization(**call)
    code = "VPCAssociationAuthorizationNotFound"
    refused(code, lambda: aws.route53.delete_vpc_association_authorization(**call), 404)


@rule("route53.vpc_of_another_account")
def test_a_vpc_of_another_account_is_associated(aws, vpc):
    zone = Zone(aws, vpc=vpc.id)
    key = {"id": aws.name("AKIA").replace("-", "").upper(), "secret": "x" * 40, "account": "210987654321"}
    aws.sim.post("keys", key)
    them = aws.as_(key=key["id"], secret=key["secret"])
    theirs = {"VPCId": them.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"], "VPCRegion": aws.region}
    associate = lambda: them.route53.associate_vpc_with_hosted_zone(HostedZoneId=zone.id, VPC=theirs)
    refused("NotAuthorizedException", associate, 401)
    refused("NoSuchHostedZone", lambda: them.route53.get_hosted_zone(Id=zone.id), 404)
    aws.route53.create_vpc_association_authorization(HostedZoneId=zone.id, VPC=theirs)
    change = associate()["ChangeInfo"]["Id"]
    them.route53.get_change(Id=change)
    assert theirs in aws.route53.get_hosted_zone(Id=zone.id)["VPCs"]
    refused("ConflictingDomainExists", associate)
    listed = them.route53.list_hosted_zones_by_vpc(**theirs)["HostedZoneSummaries"]
    assert [(z["HostedZoneId"], z["Owner"]) for z in listed] == [
        (zone.id, {"OwningAccount": "123456789012"})
    ]
    leave = lambda: them.route53.disassociate_vpc_from_hosted_zone(HostedZoneId=zone.id, VPC=theirs)
    leave()
    refused("VPCAssociationNotFound", leave, 404)
    assert theirs not in aws.route53.get_hosted_zone(Id=zone.id)["VPCs"]


@rule("route53.limits")
def test_limits_can_be_asked_for(aws, vpc, zone):
    zone.create(zone.simple("a"))
    limit = aws.route53.get_hosted_zone_limit(HostedZoneId=zone.id, Type="MAX_RRSETS_BY_ZONE")
    assert (limit["Limit"], limit["Count"]) == (
        {"Type": "MAX_RRSETS_BY_ZONE", "Value": 10000},
        3,
    )
    vpcs = {"Type": "MAX_VPCS_ASSOCIATED_BY_ZONE"}
    call = aws.route53.get_hosted_zone_limit
    refused("HostedZoneNotPrivate", lambda: call(HostedZoneId=zone.id, **vpcs))
    assert call(HostedZoneId=Zone(aws, vpc=vpc.id).id, **vpcs)["Count"] == 1
    mine = aws.route53.get_account_limit(Type="MAX_HOSTED_ZONES_BY_OWNER")
    assert mine["Count"] >= 1 and mine["Limit"]["Value"] >= 500


@rule("route53.dnssec")
def test_no_zone_is_signed(aws, zone):
    answer = aws.route53.get_dnssec(HostedZoneId=zone.id)
    assert answer["Status"]["ServeSignature"] == "NOT_SIGNING"
    assert answer["KeySigningKeys"] == []


@rule("route53.tags")
def test_tags_of_a_zone(aws, zone):
    change = aws.route53.change_tags_for_resource
    what = {"ResourceType": "hostedzone", "ResourceId": zone.id}
    change(**what, AddTags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    change(**what, AddTags=[{"Key": "b", "Value": "3"}], RemoveTagKeys=["a", "missing"])
    shown = aws.route53.list_tags_for_resource(**what)["ResourceTagSet"]
    assert shown == {**what, "Tags": [{"Key": "b", "Value": "3"}]}
    many = aws.route53.list_tags_for_resources(
        ResourceType="hostedzone", ResourceIds=[zone.id, Zone(aws).id]
    )["ResourceTagSets"]
    assert [len(s["Tags"]) for s in many] == [1, 0]
    for wrong in [
        {},
        {"AddTags": [{"Key": "aws:x", "Value": ""}]},
        {"AddTags": [{"Key": f"k{n}", "Value": ""} for n in range(11)]},
        {"AddTags": [{"Key": "x" * 129, "Value": ""}]},
        {"AddTags": [{"Key": "x", "Value": ""}, {"Key": "x", "Value": ""}]},
    ]:
        refused("InvalidInput", lambda: change(**what, **wrong), 400)
    unknown = {"ResourceType": "hostedzone", "ResourceId": "Z0"}
    refused("NoSuchHostedZone", lambda: aws.route53.list_tags_for_resource(**unknown), 404)
    several = {"ResourceType": "hostedzone", "ResourceIds": [zone.id, "Z0"]}
    refused("NoSuchHostedZone", lambda: aws.route53.list_tags_for_resources(**several), 404)
    eleven = {"ResourceType": "hostedzone", "ResourceIds": [zone.id] * 11}
    refused("InvalidInput", lambda: aws.route53.list_tags_for_resources(**eleven), 400)
    check = {"ResourceType": "healthcheck", "ResourceId": "x"}
    refused("NoSuchHealthCheck", lambda: aws.route53.list_tags_for_resource(**check), 404)


# Changes


@rule("route53.get_change")
def test_a_change_becomes_insync(aws, zone):
    info = zone.create(zone.simple("a"))
    assert info["Status"] == "PENDING" and info["Comment"] == "of a test"
    assert re.fullmatch(r"/change/C[A-Z0-9]{1,31}", info["Id"])
    found = aws.route53.get_change(Id=info["Id"])["ChangeInfo"]
    assert found["SubmittedAt"] == info["SubmittedAt"]
    eventually(
        lambda: aws.route53.get_change(Id=info["Id"])["ChangeInfo"]["Status"] == "INSYNC", 70
    )
    refused("NoSuchChange", lambda: aws.route53.get_change(Id="C0"), 404)


@rule("route53.change.pending_is_listed")
def test_what_is_pending_is_listed(zone):
    zone.create(zone.simple("a"))
    assert zone.record("a")["ResourceRecords"] == [{"Value": "192.0.2.1"}]


@rule("route53.change.actions")
def test_create_delete_and_upsert(zone):
    record = zone.simple("a", "192.0.2.2", "192.0.2.1")
    zone.create(record)
    name = zone.at("a")
    zone.refuse_create(
        f"Tried to create resource record set [name='{name}', type='A'] but it already exists",
        zone.simple("a", "192.0.2.9"),
    )
    zone.refuse(
        f"Tried to delete resource record set [name='{name}', type='AAAA'] but it was not found",
        ("DELETE", zone.simple("a", "2001:db8::1", kind="AAAA")),
    )
    mismatch = "but the values provided do not match the current values"
    for wrong in [
        zone.simple("a", "192.0.2.2"),
        zone.simple("a", "192.0.2.2", "192.0.2.3"),
        zone.simple("a", "192.0.2.2", "192.0.2.1", ttl=301),
    ]:
        zone.refuse(mismatch, ("DELETE", wrong))
    zone.change(("UPSERT", zone.simple("a", "192.0.2.3", ttl=60)))
    zone.change(("UPSERT", zone.simple("b")))
    assert zone.record("a")["TTL"] == 60 and zone.record("b")
    zone.change(("UPSERT", zone.simple("a", "192.0.2.4", "192.0.2.5", ttl=60)))
    # The order of values does not count.
    zone.change(("DELETE", zone.simple("a", "192.0.2.5", "192.0.2.4", ttl=60)))
    assert zone.record("a") is None


@rule("route53.change.atomic")
def test_a_batch_is_carried_out_as_a_whole(zone):
    zone.refuse(
        "but it was not found",
        ("CREATE", zone.simple("good")),
        ("DELETE", zone.simple("missing")),
    )
    error = zone.refuse(
        "was not found",
        ("DELETE", zone.simple("one")),
        ("DELETE", zone.simple("two")),
    )
    assert error.message.count("Tried to delete") == 2 and ", Tried" in error.message


@rule("route53.change.in_order")
def test_changes_are_judged_against_the_zone_as_it_evolves(zone):
    one, two = zone.simple("a", "192.0.2.1"), zone.simple("a", "192.0.2.2")
    zone.create(one)
    zone.change(("DELETE", one), ("CREATE", two))
    assert zone.record("a")["ResourceRecords"] == [{"Value": "192.0.2.2"}]
    zone.refuse("but it was not found", ("DELETE", two), ("DELETE", two))
    cname = zone.simple("a", "x.example.org", kind="CNAME")
    zone.change(("DELETE", two), ("CREATE", cname))
    assert zone.record("a", "CNAME")


@rule("route53.change.twice")
def test_one_record_set_is_not_changed_twice(zone):
    one, two = zone.simple("a", "192.0.2.1"), zone.simple("a", "192.0.2.2")
    part = "invalid set of changes for a resource record set"
    zone.refuse(part, ("UPSERT", one), ("UPSERT", two))
    zone.refuse(part, ("CREATE", one), ("DELETE", one))


@rule("route53.change.limits")
def test_a_batch_has_a_size(zone):
    many = [zone.simple(f"h{n}") for n in range(501)]
    part = "Number of records limit of 1000 exceeded"
    zone.refuse(part, *[("UPSERT", record) for record in many])
    zone.create(*many[:500], *[zone.simple(f"i{n}") for n in range(500)])
    zone.refuse(part, *[("CREATE", zone.simple(f"j{n}")) for n in range(1001)])
    text = ['"' + "x" * 250 + '"'] * 1
    long = [zone.simple(f"t{n}", *text, kind="TXT") for n in range(127)]
    zone.refuse(
        "RDATA character limit of 32000 exceeded",
        *[("CREATE", record) for record in long],
    )
    zone.refuse(
        "RDATA character limit of 32000 exceeded",
        *[("UPSERT", record) for record in long[:64]],
    )
    zone.create(*long[:126])


@rule("route53.change.comment", "route53.change.empty")
def test_comment_and_number_of_changes(aws, zone):
    too_long = lambda: zone.change(("CREATE", zone.simple("a")), comment="x" * 257)
    refused("InvalidInput", too_long, 400)
    none = {"HostedZoneId": zone.id, "ChangeBatch": {"Changes": []}}
    refused("InvalidInput", lambda: aws.unchecked.route53.change_resource_record_sets(**none), 400)


@rule("route53.change.unknown_zone")
def test_changes_of_a_zone_that_is_not_there(aws):
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {
        "Name": "a.example.com", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "1.1.1.1"}]}}]}
    call = aws.route53.change_resource_record_sets
    refused("NoSuchHostedZone", lambda: call(HostedZoneId="Z0", ChangeBatch=batch), 404)


@rule("route53.change.wire")
def test_bodies_that_are_no_batch(aws, zone):
    path = f"/2013-04-01/hostedzone/{zone.id}/rrset/"
    other = "<Other xmlns='https://route53.amazonaws.com/doc/2013-04-01/'/>"
    answer = aws.http(path=path, body=other, sign="route53")
    assert (answer.status, answer.code) == (400, "MalformedInput")
    text = "ChangeBatch is not valid, expected ChangeResourceRecordSetsRequest"
    assert answer.one("Message") == text
    change = "<Change><Action>CREATE</Action><Other/></Change>"
    body = (
        "<ChangeResourceRecordSetsRequest xmlns='https://route53.amazonaws.com/doc/2013-04-01/'>"
        f"<ChangeBatch><Changes>{change}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
    answer = aws.http(path=path, body=body, sign="route53")
    assert (answer.status, answer.code) == (400, "InvalidInput")


@rule("route53.change.shape")
def test_parts_that_exclude_each_other(zone):
    full = zone.simple("a")
    without = lambda key: {k: v for k, v in full.items() if k != key}
    alias = zone.alias("a", zone.id, zone.at("b"))
    none = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId], but found none"
    for record, part in [
        (without("TTL"), none),
        (without("ResourceRecords"), none),
        ({**full, **alias}, "but found more than one"),
        ({**alias, "TTL": 60}, "but found more than one"),
        ({**full, "SetIdentifier": "x"}, "but found none in Change with [Action=CREATE"),
        ({**full, "Weight": 1}, "Missing field 'SetIdentifier'"),
        ({**full, "SetIdentifier": "x", "Weight": 1, "Region": "eu-west-1"}, "more than one"),
        ({**alias, "SetIdentifier": "x", "MultiValueAnswer": True}, "MultiValueAnswer"),
    ]:
        error = zone.refuse_create(part, record, code="InvalidInput")
        assert error.status == 400 and error.message.startswith("Invalid request:")


@rule("route53.change.model")
@pytest.mark.parametrize(
    "change",
    [
        {"Type": "X"},
        {"TTL": -1},
        {"TTL": 2147483648},
        {"Weight": -1, "SetIdentifier": "x"},
        {"Weight": 256, "SetIdentifier": "x"},
        {"Weight": 1, "SetIdentifier": ""},
        {"Weight": 1, "SetIdentifier": "x" * 129},
        {"Failover": "BOTH", "SetIdentifier": "x"},
        {"Region": "mars-1", "SetIdentifier": "x"},
        {"Name": "x" * 1025},
        {"ResourceRecords": [{"Value": "x" * 4001}]},
    ],
)
def test_values_that_the_model_refuses(aws, zone, change):
    record = {**zone.simple("a"), **change}
    call = lambda: aws.unchecked.route53.change_resource_record_sets(
        HostedZoneId=zone.id,
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
    )
    refused("InvalidInput", call, 400)


@rule("route53.change.zone")
def test_names_stay_in_their_zone(aws, zone):
    outside = zone.simple("a")
    for name in ["a.example.org", "x" + zone.name, zone.name.partition(".")[2]]:
        outside["Name"] = name
        zone.refuse_create("is not permitted in zone", outside)


@rule("route53.change.names")
def test_names_are_stored_in_one_form(zone):
    zone.create(
        {**zone.simple("a"), "Name": f"UPPER.{zone.name}"},
        zone.simple("*"),
        zone.simple("\\052.wild"),
        zone.simple("a_b"),
        zone.simple("x/y"),
    )
    names = {record["Name"] for record in zone.records()}
    for name in ["upper", "\\052", "\\052.wild", "a_b", "x\\057y"]:
        assert zone.at(name) in names
    zone.refuse_create("but it already exists", zone.simple("\\052"))
    zone.refuse_create("but it already exists", {**zone.simple(""), "Name": f"upper.{zone.name}."})
    for name, part in [
        ("x" * 64, "DomainLabelTooLong"),
        ("a..b", "DomainLabelEmpty"),
        ("a b", "UnsupportedCharacter"),
        (".".join(["x" * 63] * 4), "DomainNameTooLong"),
    ]:
        zone.refuse_create(part, zone.simple(name))


@rule("route53.change.delegation")
def test_the_delegation_cannot_go(zone):
    kinds = {record["Type"]: record for record in zone.records()}
    zone.refuse("at least one NS record", ("DELETE", kinds["NS"]))
    zone.refuse("exactly one SOA record", ("DELETE", kinds["SOA"]))
    zone.refuse_create("exactly one SOA record", {**kinds["SOA"], "Name": zone.at("a")})
    zone.change(("UPSERT", {**kinds["NS"], "TTL": 60}))
    zone.change(("UPSERT", {**kinds["SOA"], "TTL": 60}))


@rule("route53.change.cname")
def test_a_cname_is_alone_at_its_name(zone):
    cname = lambda name: zone.simple(name, "x.example.org", kind="CNAME")
    zone.refuse_create("is not permitted at apex in zone", cname(""))
    zone.create(cname("c"), zone.simple("a"))
    for kind, value in [("A", "192.0.2.1"), ("TXT", '"x"'), ("AAAA", "2001:db8::1")]:
        zone.refuse_create(
            f"RRSet of type {kind} with DNS name {zone.at('c')} is not permitted because a "
            "conflicting RRSet of type  CNAME with the same DNS name already exists in zone",
            zone.simple("c", value, kind=kind),
        )
    zone.refuse_create("conflicts with other records with the same DNS name", cname("a"))
    zone.refuse_create(
        "exactly one resource record", zone.simple("d", "a.example.org", "b.example.org", kind="CNAME")
    )


GOOD = [
    ("A", "192.0.2.1"),
    ("AAAA", "2001:0db8:85a3:0:0:8a2e:0370:7334"),
    ("CAA", '0 issue "ca.example.net"'),
    ("CNAME", "www.example.net"),
    ("DS", "123 4 5 1234567890abcdef1234567890abcdef12345678".replace(" 5 ", " 1 ")),
    ("HTTPS", "1 . alpn=h2 port=8443"),
    ("MX", "10 mail.example.net"),
    ("NAPTR", '100 50 "u" "sip+E2U" "!^(.*)$!sip:x@example.net!" .'),
    ("NS", "ns-1.example.net"),
    ("PTR", "host.example.net"),
    ("SPF", '"v=spf1 -all"'),
    ("SRV", "10 5 80 host.example.net"),
    ("SSHFP", "1 1 09F6A01D2175742B257C6B98B7C72C44C4040683"),
    ("SVCB", "16 foo.example.net. port=5353"),
    ("TLSA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
    ("TXT", '"one" "two \\" three"'),
]

BAD = [
    ("A", "192.0.2.256", "ARRDATAIllegalIPv4Address"),
    ("A", "2001:db8::1", "ARRDATAIllegalIPv4Address"),
    ("A", "host.example.net", "ARRDATAIllegalIPv4Address"),
    ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address"),
    ("AAAA", "2001:::1", "AAAARRDATAIllegalIPv6Address"),
    ("CAA", "0 issue", "CAARRDATANotThreeFields"),
    ("CAA", "0 issue ca.example.net", "InvalidCharacterString"),
    ("CNAME", "two words", "UnsupportedCharacter"),
    ("DS", "123 4 1", "DSRRDATANotFourFields"),
    ("MX", "mail.example.net", "MXRRDATANotTwoFields"),
    ("MX", "70000 mail.example.net", "MXRRDATAIllegalPriority"),
    ("NAPTR", "x", "NAPTRRRDATANotSixFields"),
    ("PTR", "a..b", "DomainLabelEmpty"),
    ("SRV", "10 5 host.example.net", "SRVRRDATANotFourFields"),
    ("SSHFP", "1 1 zz", "SSHFPRRDATAIllegalHexadecimal"),
    ("TLSA", "3 1", "TLSARRDATANotFourFields"),
    ("TXT", "no quotes", "InvalidCharacterString"),
    ("TXT", '"open', "InvalidCharacterString"),
    ("TXT", '"' + "x" * 256 + '"', "CharacterStringTooLong"),
    ("SPF", "v=spf1 -all", "InvalidCharacterString"),
]


@rule("route53.value.good")
@pytest.mark.parametrize("kind, value", GOOD)
def test_values_of_every_type(zone, kind, value):
    zone.create(zone.simple("x", value, kind=kind))
    assert zone.record("x", kind)["ResourceRecords"] == [{"Value": value}]


@rule("route53.value.bad")
@pytest.mark.parametrize("kind, value, name", BAD)
def test_values_that_do_not_fit_their_type(zone, kind, value, name):
    error = zone.refuse_create(name, zone.simple("x", value, kind=kind))
    assert "Invalid Resource Record" in error.message and "FATAL problem" in error.message


@rule("route53.value.duplicate", "route53.value.many")
def test_values_of_one_record_set(zone):
    zone.refuse_create(
        "Duplicate Resource Record: '192.0.2.1'", zone.simple("x", "192.0.2.1", "192.0.2.1")
    )
    many = [f"10.0.{n // 250}.{n % 250}" for n in range(401)]
    zone.refuse_create("Cannot have more than 400 records", zone.simple("x", *many))
    zone.create(zone.simple("x", *many[:400]))


@rule("route53.change.wildcard_ns")
def test_no_wildcard_of_type_ns(zone):
    zone.refuse_create("wildcard", zone.simple("*", "ns.example.net", kind="NS"))


@rule("route53.change.quota")
def test_a_zone_holds_so_many_record_sets(aws, zone):
    before = aws.sim.get("config")["quotas"]["records-per-hosted-zone"]
    assert before == 10_000
    try:
        aws.sim.post("config", {"quotas": {"records-per-hosted-zone": 3}})
        zone.create(zone.simple("a"))
        zone.refuse_create("maximum number", zone.simple("b"))
        zone.change(("DELETE", zone.simple("a")), ("CREATE", zone.simple("b")))
    finally:
        aws.sim.post("config", {"quotas": {"records-per-hosted-zone": before}})


# Aliases


@rule("route53.alias.load_balancer")
def test_aliases_to_a_load_balancer(zone, balancer):
    canonical, name = balancer["CanonicalHostedZoneId"], balancer["DNSName"]
    zone.create(
        zone.alias("", canonical, name),
        zone.alias("a", canonical, name.upper(), evaluate=True),
        zone.alias("a", canonical, f"dualstack.{name}.", kind="AAAA"),
        zone.alias("*", canonical, f"dualstack.{name}"),
    )
    apex, a, aaaa = zone.record(""), zone.record("a"), zone.record("a", "AAAA")
    assert apex["AliasTarget"]["DNSName"] == name.lower() + "."
    assert a["AliasTarget"] == {
        "HostedZoneId": canonical,
        "DNSName": name.lower() + ".",
        "EvaluateTargetHealth": True,
    }
    assert aaaa["AliasTarget"]["DNSName"] == f"dualstack.{name.lower()}."
    assert "TTL" not in a and not a.get("ResourceRecords")


@rule("route53.alias.other_region")
def test_aliases_to_a_load_balancer_of_another_region(aws, zone):
    there = aws.as_(region="eu-central-1")
    balancer = there.elbv2.create_load_balancer(
        Name=aws.name("lb"), Subnets=Vpc(there).subnets, Scheme="internal"
    )["LoadBalancers"][0]
    canonical, name = balancer["CanonicalHostedZoneId"], balancer["DNSName"]
    assert ".eu-central-1.elb." in name
    zone.create(zone.alias("a", canonical, name))
    home = "Z35SXDOTRQ7X7K"
    zone.refuse_create("does not lie within the target zone", zone.alias("b", home, name))


@rule("route53.alias.not_found", "route53.alias.zone")
def test_aliases_to_what_is_not_there(zone, balancer):
    canonical, name = balancer["CanonicalHostedZoneId"], balancer["DNSName"]
    lost = "x-" + name
    missing = "but that target was not found"
    outside = "but the alias target name does not lie within the target zone"
    for zone_id, target, kind, part in [
        (canonical, lost, "A", missing),
        (canonical, "www.example.org", "A", outside),
        ("Z26RNL4JYFTOTI", "www.example.org", "A", outside),
        ("Z26RNL4JYFTOTI", "x.elb.us-east-1.amazonaws.com", "A", missing),
        ("Z00000000000000000000", name, "A", outside),
        ("Z2FDTNDATAQYW2", "d111111abcdef8.cloudfront.net", "A", missing),
        (canonical, name, "TXT", missing),
    ]:
        error = zone.refuse_create(part, zone.alias("a", zone_id, target, kind=kind))
        assert error.message.startswith("[Tried to create an alias that targets ")
        assert f"type {kind} in zone {zone_id}" in error.message


@rule("route53.alias.delete")
def test_an_alias_is_deleted_as_it_is(zone, balancer):
    canonical, name = balancer["CanonicalHostedZoneId"], balancer["DNSName"]
    zone.create(zone.alias("a", canonical, name))
    mismatch = "do not match the current values"
    for wrong in [
        zone.alias("a", canonical, name, evaluate=True),
        zone.alias("a", canonical, "dualstack." + name),
        zone.alias("a", "Z00000000000000000000", name),
        zone.simple("a"),
    ]:
        zone.refuse(mismatch, ("DELETE", wrong))
    zone.change(("DELETE", zone.alias("a", canonical, name.lower() + ".")))


@rule("route53.alias.same_zone")
def test_aliases_to_records_of_the_zone(aws, zone):
    zone.create(
        zone.simple("a"),
        zone.alias("b", zone.id, zone.at("a")),
        zone.simple("c", "x.example.org", kind="CNAME"),
        zone.alias("d", zone.id, zone.at("c"), kind="CNAME"),
    )
    other = Zone(aws)
    other.create(other.simple("a"))
    for record, part in [
        (zone.alias("e", zone.id, zone.at("a"), kind="AAAA"), "was not found"),
        (zone.alias("e", zone.id, zone.at("missing")), "was not found"),
        (zone.alias("e", zone.id, zone.at("e")), "was not found"),
        (zone.alias("e", zone.id, other.at("a")), "does not lie within the target zone"),
        (zone.alias("e", other.id, other.at("a")), "was not found"),
        (zone.alias("e", zone.id, zone.at(""), kind="NS"), "cannot be an alias"),
        (zone.alias("", zone.id, zone.at("c"), kind="CNAME"), "not permitted at apex"),
    ]:
        zone.refuse_create(part, record)


# Routing policies

POLICIES = {
    "weighted": ({"Weight": 0}, {"Weight": 255}),
    "latency": ({"Region": "eu-west-1"}, {"Region": "us-east-1"}),
    "failover": ({"Failover": "PRIMARY"}, {"Failover": "SECONDARY"}),
    "multivalue answer": ({"MultiValueAnswer": True}, {"MultiValueAnswer": True}),
    "geolocation": ({"GeoLocation": {"ContinentCode": "EU"}}, {"GeoLocation": {"CountryCode": "*"}}),
    "geoproximity": (
        {"GeoProximityLocation": {"AWSRegion": "eu-west-1", "Bias": -10}},
        {"GeoProximityLocation": {"Coordinates": {"Latitude": "49.22", "Longitude": "-74.01"}}},
    ),
}


@rule("route53.policy.groups")
@pytest.mark.parametrize("policy", POLICIES)
def test_record_sets_share_a_name_by_policy(zone, policy):
    one, two = POLICIES[policy]
    zone.create(
        zone.simple("a", SetIdentifier="one", **one),
        zone.simple("a", "192.0.2.2", SetIdentifier="two", **two),
    )
    found = [r for r in zone.records() if r["Name"] == zone.at("a")]
    assert [r["SetIdentifier"] for r in found] == ["one", "two"]
    for record, sent in zip(found, (one, two)):
        assert sent.items() <= record.items()
    # The identifier belongs to the identity.
    zone.refuse_create("set-identifier='one'] but it already exists", zone.simple("a", SetIdentifier="one", **one))
    zone.refuse("but it was not found", ("DELETE", zone.simple("a", SetIdentifier="three", **one)))
    zone.refuse("do not match", ("DELETE", zone.simple("a", "192.0.2.9", SetIdentifier="one", **one)))
    zone.change(("DELETE", zone.simple("a", SetIdentifier="one", **one)))


@rule("route53.policy.mixed")
@pytest.mark.parametrize("policy", POLICIES)
def test_policies_do_not_mix(zone, policy):
    one, _ = POLICIES[policy]
    zone.create(zone.simple("a", SetIdentifier="one", **one), zone.simple("simple"))
    zone.refuse_create("cannot be created as other RRSets exist", zone.simple("a"))
    for other, (settings, _) in POLICIES.items():
        if other != policy:
            zone.refuse_create(
                f"cannot be created as a non-{other} set exists with the same name and type",
                zone.simple("a", "192.0.2.2", SetIdentifier="two", **settings),
            )
    zone.refuse_create(
        f"as a non-{policy} set exists", zone.simple("simple", SetIdentifier="one", **one)
    )
    # Another type is another group.
    zone.create(zone.simple("a", "2001:db8::1", kind="AAAA"))


@rule("route53.policy.unique")
@pytest.mark.parametrize("policy", ["latency", "failover", "geolocation", "geoproximity"])
def test_there_is_one_of_each_place_and_role(zone, policy):
    one, _ = POLICIES[policy]
    zone.create(zone.simple("a", SetIdentifier="one", **one))
    zone.refuse_create(
        "already exists", zone.simple("a", "192.0.2.2", SetIdentifier="two", **one)
    )


@rule("route53.policy.weighted_ttl", "route53.policy.one_value")
def test_weighted_record_sets_are_alike(zone):
    weighted = lambda identifier, *values, **more: zone.simple(
        "a", *values, SetIdentifier=identifier, Weight=1, **more
    )
    zone.create(weighted("one"))
    zone.refuse_create("weighted sets must contain the same TTL", weighted("two", ttl=60))
    zone.refuse_create(
        "must contain exactly one resource record", weighted("two", "192.0.2.1", "192.0.2.2")
    )


@rule("route53.policy.types")
@pytest.mark.parametrize("kind, value", [("NS", "ns.example.net"), ("SOA", "a. b. 1 2 3 4 5")])
def test_types_that_no_policy_takes(zone, kind, value):
    record = zone.simple("a", value, kind=kind, SetIdentifier="x", Weight=1)
    zone.refuse_create("the type is not permitted", record)
    cname = zone.simple("c", "x.example.org", kind="CNAME", SetIdentifier="x", MultiValueAnswer=True)
    zone.refuse_create("the type is not permitted", cname)


@rule("route53.policy.group_size")
def test_a_group_has_a_size(zone):
    multi = lambda n: zone.simple("a", SetIdentifier=str(n), MultiValueAnswer=True)
    zone.create(*[multi(n) for n in range(100)])
    zone.refuse_create("more than 100", multi(100))


@rule("route53.policy.geolocation")
@pytest.mark.parametrize(
    "place",
    [
        {},
        {"ContinentCode": "XX"},
        {"CountryCode": "ZZ"},
        {"ContinentCode": "EU", "CountryCode": "DE"},
        {"CountryCode": "DE", "SubdivisionCode": "CA"},
        {"CountryCode": "US", "SubdivisionCode": "ZZ"},
        {"SubdivisionCode": "CA"},
    ],
)
def test_places_that_are_none(zone, place):
    record = zone.simple("a", SetIdentifier="x", GeoLocation=place)
    zone.refuse_create("", record, code="InvalidInput")
    good = zone.simple("b", SetIdentifier="x", GeoLocation={"CountryCode": "US", "SubdivisionCode": "CA"})
    zone.create(good)


@rule("route53.policy.failover_alias")
def test_a_primary_alias_evaluates_its_target(zone, balancer):
    alias = lambda evaluate: zone.alias(
        "a", balancer["CanonicalHostedZoneId"], balancer["DNSName"],
        evaluate=evaluate, SetIdentifier="x", Failover="PRIMARY",
    )
    zone.refuse_create("must evaluate the health of its target", alias(False))
    zone.create(alias(True))


# Listing


@rule("route53.list_records.order", "route53.list_records.pages")
def test_records_are_listed_in_order_and_pages(aws, zone):
    zone.create(
        zone.simple("b"),
        zone.simple("a", '"x"', kind="TXT"),
        zone.simple("a"),
        zone.simple("z.a"),
        zone.simple("*"),
        zone.simple("w", SetIdentifier="2", Weight=1),
        zone.simple("w", SetIdentifier="1", Weight=1),
    )
    found = [(r["Name"], r["Type"], r.get("SetIdentifier")) for r in zone.records()]
    assert found == [
        (zone.at(name), kind, identifier)
        for name, kind, identifier in [
            ("", "NS", None),
            ("", "SOA", None),
            ("\\052", "A", None),
            ("a", "A", None),
            ("a", "TXT", None),
            ("z.a", "A", None),
            ("b", "A", None),
            ("w", "A", "1"),
            ("w", "A", "2"),
        ]
    ]
    call = aws.route53.list_resource_record_sets
    page = call(HostedZoneId=zone.id, MaxItems="8")
    assert page["IsTruncated"] and page["MaxItems"] == "8"
    assert (page["NextRecordName"], page["NextRecordType"], page["NextRecordIdentifier"]) == found[8]
    last = call(
        HostedZoneId=zone.id,
        StartRecordName=page["NextRecordName"],
        StartRecordType=page["NextRecordType"],
        StartRecordIdentifier=page["NextRecordIdentifier"],
    )
    assert len(last["ResourceRecordSets"]) == 1 and not last["IsTruncated"]
    assert "NextRecordName" not in last


@rule("route53.list_records.start")
def test_the_start_is_the_first_record_not_before_it(aws, zone):
    zone.create(zone.simple("a"), zone.simple("c", '"x"', kind="TXT"))
    first = lambda **start: aws.route53.list_resource_record_sets(
        HostedZoneId=zone.id, MaxItems="1", **start
    )["ResourceRecordSets"][0]
    assert first(StartRecordName=zone.at("b"))["Name"] == zone.at("c")
    assert first(StartRecordName=f"A.{zone.name}")["Name"] == zone.at("a")
    assert first(StartRecordName=zone.at("a"), StartRecordType="TXT")["Name"] == zone.at("c")
    call = aws.route53.list_resource_record_sets
    for wrong in [
        {"StartRecordType": "A"},
        {"StartRecordIdentifier": "x"},
        {"StartRecordName": zone.at("a"), "StartRecordIdentifier": "x"},
        {"StartRecordName": zone.at("a"), "StartRecordType": "X"},
        {"MaxItems": "0"},
    ]:
        refused("InvalidInput", lambda: call(HostedZoneId=zone.id, **wrong), 400)
    refused("NoSuchHostedZone", lambda: call(HostedZoneId="Z0"), 404)


@rule("route53.list_records.page_size")
def test_a_page_holds_300_record_sets(aws, zone):
    zone.create(*[zone.simple(f"h{n:03}") for n in range(300)])
    page = aws.route53.list_resource_record_sets(HostedZoneId=zone.id)
    assert len(page["ResourceRecordSets"]) == 300 and page["IsTruncated"]
    assert page["MaxItems"] == "300"
    page = aws.route53.list_resource_record_sets(HostedZoneId=zone.id, MaxItems="1000")
    assert len(page["ResourceRecordSets"]) == 300 and page["MaxItems"] == "1000"
    assert len(zone.records()) == 302


# Health checks


@rule("route53.health_check")
def test_health_checks_are_referred_to(aws, zone):
    config = {"Type": "HTTP", "IPAddress": "192.0.2.1", "ResourcePath": "/ok"}
    reference = aws.name("check")
    call = aws.route53.create_health_check
    made = call(CallerReference=reference, HealthCheckConfig=config)
    check = made["HealthCheck"]
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["Location"].endswith(check["Id"])
    assert check["HealthCheckConfig"]["Port"] == 80
    assert check["HealthCheckConfig"]["RequestInterval"] == 30
    assert check["HealthCheckConfig"]["FailureThreshold"] == 3
    again = call(CallerReference=reference, HealthCheckConfig=config)
    assert again["HealthCheck"]["Id"] == check["Id"]
    other = {**config, "Port": 81}
    repeat = lambda config: lambda: call(CallerReference=reference, HealthCheckConfig=config)
    refused("HealthCheckAlreadyExists", repeat(other), 409)
    zone.create(zone.simple("a", SetIdentifier="x", Weight=1, HealthCheckId=check["Id"]))
    listed = aws.route53.get_paginator("list_health_checks").paginate()
    assert check["Id"] in [c["Id"] for page in listed for c in page["HealthChecks"]]
    aws.route53.delete_health_check(HealthCheckId=check["Id"])
    refused("NoSuchHealthCheck", lambda: aws.route53.get_health_check(HealthCheckId=check["Id"]), 404)
    refused("HealthCheckAlreadyExists", repeat(config), 409)


@rule("route53.health_check.update")
def test_health_checks_are_updated(aws):
    config = {"Type": "HTTP", "IPAddress": "192.0.2.1", "ResourcePath": "/ok", "FailureThreshold": 2}
    create = lambda **config: aws.route53.create_health_check(
        CallerReference=aws.name("check"), HealthCheckConfig=config
    )["HealthCheck"]
    check = create(**config)["Id"]
    update = lambda **more: aws.route53.update_health_check(HealthCheckId=check, **more)["HealthCheck"]
    show = lambda: aws.route53.get_health_check(HealthCheckId=check)["HealthCheck"]
    after = update(HealthCheckVersion=1, Port=8080, FullyQualifiedDomainName="a.example", Disabled=True)
    assert after == show() and after["HealthCheckVersion"] == 2
    expected = {**config, "Port": 8080, "FullyQualifiedDomainName": "a.example", "Disabled": True}
    assert expected.items() <= after["HealthCheckConfig"].items()
    reset = update(ResetElements=["ResourcePath", "FullyQualifiedDomainName"])["HealthCheckConfig"]
    assert "ResourcePath" not in reset and "FullyQualifiedDomainName" not in reset
    before = show()
    assert before["HealthCheckVersion"] == 3
    refused("HealthCheckVersionMismatch", lambda: update(HealthCheckVersion=2, Port=1), 409)
    for wrong in [
        {"SearchString": "x"},
        {"HealthThreshold": 1},
        {"ChildHealthChecks": [check]},
        {"AlarmIdentifier": {"Region": "us-east-1", "Name": "a"}},
        {"ResourcePath": "/a", "ResetElements": ["ResourcePath"]},
        {"FailureThreshold": 11},
        {"Port": 0},
    ]:
        call = lambda: aws.unchecked.route53.update_health_check(HealthCheckId=check, **wrong)
        refused("InvalidInput", call, 400)
    assert show() == before
    by_name = create(Type="HTTPS", FullyQualifiedDomainName="a.example")["Id"]
    call = lambda **more: lambda: aws.route53.update_health_check(HealthCheckId=by_name, **more)
    refused("InvalidInput", call(IPAddress="192.0.2.1"), 400)
    refused("InvalidInput", call(ResetElements=["FullyQualifiedDomainName"]), 400)
    refused("NoSuchHealthCheck", lambda: aws.route53.update_health_check(HealthCheckId="no-such"), 404)


@rule("route53.change.health_check")
def test_a_health_check_has_to_exist(zone):
    record = zone.simple(
        "a", SetIdentifier="x", Weight=1, HealthCheckId="11111111-2222-3333-4444-555555555555"
    )
    error = zone.refuse_create("11111111", record, code="NoSuchHealthCheck")
    assert error.status == 404


@rule("route53.change.busy")
def test_changes_of_a_zone_do_not_overlap(aws, zone):
    def change(n):
        try:
            return zone.create(zone.simple(f"h{n}"))["Status"]
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    zone.aws.route53  # made before the threads share it
    try:
        aws.sim.post("config", {"timing": {"latency_ms": 2000}})
        with concurrent.futures.ThreadPoolExecutor() as threads:
            together = list(threads.map(change, range(3)))
        after = change(3)
    finally:
        aws.sim.post("config", {"timing": {"latency_ms": 0}})
    assert sorted(together) == ["PENDING", "PriorRequestNotComplete", "PriorRequestNotComplete"]
    assert after == "PENDING"


@rule("route53.change.busy")
def test_a_zone_takes_one_change_at_a_time(aws, zone):
    before = aws.sim.get("config")["timing"]["zone_busy_ms"]
    try:
        aws.sim.post("config", {"timing": {"zone_busy_ms": 60_000}})
        zone.create(zone.simple("a"))
        error = refused("PriorRequestNotComplete", lambda: zone.create(zone.simple("b")), 400)
        assert "still processing a prior request" in error.message
    finally:
        aws.sim.post("config", {"timing": {"zone_busy_ms": before}})
