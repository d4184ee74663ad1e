"""Trust stores and their revocation lists."""

import re

from conftest import HERE, eventually, refused, rule
from load_balancing import Elb

UNKNOWN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:truststore/nope/0123456789abcdef"


class Objects:
    """What a test declares to lie in a bucket of its own."""

    def __init__(self, aws):
        self.bucket = aws.name("trust")
        data = HERE / "data"
        authorities = (data / "authorities.pem").read_text()
        one, end, _ = authorities.partition("-----END CERTIFICATE-----\n")
        known = aws.sim.get("outside")
        aws.sim.post(
            "outside",
            {
                "ca_bundles": {
                    **known["ca_bundles"],
                    f"{self.bucket}/one.pem": one + end,
                    f"{self.bucket}/two.pem": "# both of them\n" + authorities,
                    f"{self.bucket}/one.pem?versionId=older": authorities,
                    f"{self.bucket}/bad.pem": "hello",
                },
                "revocation_lists": {
                    **known["revocation_lists"],
                    f"{self.bucket}/revoked.pem": (data / "revoked.pem").read_text(),
                },
            },
        )

    def bundle(self, key, version=None):
        wanted = {"CaCertificatesBundleS3Bucket": self.bucket, "CaCertificatesBundleS3Key": key}
        if version:
            wanted["CaCertificatesBundleS3ObjectVersion"] = version
        return wanted

    def list(self, key):
        return {"S3Bucket": self.bucket, "S3Key": key, "RevocationType": "CRL"}


def create(aws, objects, key="one.pem", **more):
    wanted = {"Name": aws.name("ts"), **objects.bundle(key), **more}
    return aws.elbv2.create_trust_store(**wanted)["TrustStores"][0]


def describe(aws, arn):
    return aws.elbv2.describe_trust_stores(TrustStoreArns=[arn])["TrustStores"][0]


@rule("trust_store.create", "trust_store.becomes_active", "trust_store.version")
def test_a_trust_store_becomes_active(aws):
    objects = Objects(aws)
    store = create(aws, objects, Tags=[{"Key": "a", "Value": "1"}])
    arn = store["TrustStoreArn"]
    name = store["Name"]
    assert re.search(rf":truststore/{name}/[0-9a-f]{{16}}$", arn)
    assert store == {
        "Name": name,
        "TrustStoreArn": arn,
        "Status": "CREATING",
        "NumberOfCaCertificates": 1,
        "TotalRevokedEntries": 0,
    }
    eventually(lambda: describe(aws, arn)["Status"] == "ACTIVE")
    older = aws.elbv2.create_trust_store(Name=aws.name(), **objects.bundle("one.pem", "older"))
    assert older["TrustStores"][0]["NumberOfCaCertificates"] == 2
    tags = aws.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    assert tags == [{"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "1"}]}]


@rule(
    "trust_store.bundle_unknown",
    "trust_store.bundle_invalid",
    "trust_store.name",
    "trust_store.duplicate",
    "trust_store.quota",
)
def test_trust_stores_that_cannot_be(aws):
    objects = Objects(aws)
    for code, more in [
        ("CaCertificatesBundleNotFound", {"CaCertificatesBundleS3Key": "none.pem"}),
        ("CaCertificatesBundleNotFound", {"CaCertificatesBundleS3Bucket": "nobody-s"}),
        ("CaCertificatesBundleNotFound", {"CaCertificatesBundleS3ObjectVersion": "none"}),
        ("InvalidCaCertificatesBundle", {"CaCertificatesBundleS3Key": "bad.pem"}),
        ("InvalidCaCertificatesBundle", {"CaCertificatesBundleS3Key": "revoked.pem"}),
        ("ValidationError", {"Name": "a" * 33}),
        ("ValidationError", {"Name": "a_b"}),
        ("ValidationError", {"Name": "-a"}),
        ("ValidationError", {"Name": "a--b"}),
        ("DuplicateTagKeys", {"Tags": [{"Key": "a"}, {"Key": "a"}]}),
    ]:
        refused(code, lambda more=more: create(aws, objects, **more), status=400)
    store = create(aws, objects)
    refused("DuplicateTrustStoreName", lambda: create(aws, objects, Name=store["Name"]), status=400)
    elsewhere = aws.as_(region="ap-northeast-3")
    limit = aws.sim.get("config")["quotas"]["trust-stores"]
    aws.sim.post("config", {"quotas": {"trust-stores": 1}})
    try:
        create(elsewhere, objects)
        refused("TooManyTrustStores", lambda: create(elsewhere, objects), status=400)
    finally:
        aws.sim.post("config", {"quotas": {"trust-stores": limit}})


@rule("trust_store.describe", "trust_store.describe.unknown")
def test_describe(aws):
    objects = Objects(aws)
    stores = [create(aws, objects) for _ in range(2)]
    names = {store["Name"] for store in stores}
    by_name = aws.elbv2.describe_trust_stores(Names=sorted(names))["TrustStores"]
    assert {store["Name"] for store in by_name} == names
    pages = aws.elbv2.get_paginator("describe_trust_stores").paginate(
        PaginationConfig={"PageSize": 1}
    )
    found = [store["Name"] for page in pages for store in page["TrustStores"]]
    assert names <= set(found) and len(found) == len(set(found))
    for code, question in [
        ("TrustStoreNotFound", {"TrustStoreArns": [UNKNOWN]}),
        ("TrustStoreNotFound", {"Names": [stores[0]["Name"], aws.name()]}),
        ("ValidationError", {"TrustStoreArns": ["nonsense"]}),
    ]:
        refused(
            code, lambda question=question: aws.elbv2.describe_trust_stores(**question), status=400
        )


@rule("trust_store.modify", "trust_store.delete", "trust_store.not_found")
def test_modify_and_delete(aws):
    objects = Objects(aws)
    arn = create(aws, objects)["TrustStoreArn"]
    put = lambda arn, key: aws.elbv2.modify_trust_store(TrustStoreArn=arn, **objects.bundle(key))
    changed = put(arn, "two.pem")["TrustStores"][0]
    assert changed["NumberOfCaCertificates"] == 2
    refused("InvalidCaCertificatesBundle", lambda: put(arn, "bad.pem"))
    refused("CaCertificatesBundleNotFound", lambda: put(arn, "none.pem"))
    assert describe(aws, arn)["NumberOfCaCertificates"] == 2
    aws.elbv2.delete_trust_store(TrustStoreArn=arn)
    elb = aws.elbv2
    for call in [
        lambda: put(arn, "one.pem"),
        lambda: describe(aws, arn),
        lambda: elb.delete_trust_store(TrustStoreArn=arn),
        lambda: elb.describe_trust_store_revocations(TrustStoreArn=arn),
        lambda: elb.describe_trust_store_associations(TrustStoreArn=arn),
        lambda: elb.add_trust_store_revocations(
            TrustStoreArn=arn, RevocationContents=[objects.list("revoked.pem")]
        ),
        lambda: elb.remove_trust_store_revocations(TrustStoreArn=arn, RevocationIds=[1]),
        lambda: elb.get_trust_store_ca_certificates_bundle(TrustStoreArn=arn),
        lambda: elb.get_trust_store_revocation_content(TrustStoreArn=arn, RevocationId=1),
        lambda: elb.delete_shared_trust_store_association(TrustStoreArn=arn, ResourceArn=arn),
    ]:
        refused("TrustStoreNotFound", call, status=400)


@rule(
    "trust_store.revocations",
    "trust_store.revocations.unknown",
    "trust_store.revocations.invalid",
    "trust_store.revocations.limits",
)
def test_revocation_lists(aws):
    objects = Objects(aws)
    arn = create(aws, objects)["TrustStoreArn"]
    elb = aws.elbv2
    add = lambda *keys: elb.add_trust_store_revocations(
        TrustStoreArn=arn, RevocationContents=[objects.list(key) for key in keys]
    )["TrustStoreRevocations"]
    look = lambda **more: elb.describe_trust_store_revocations(TrustStoreArn=arn, **more)[
        "TrustStoreRevocations"
    ]
    refused("RevocationContentNotFound", lambda: add("revoked.pem", "none.pem"), status=400)
    refused("InvalidRevocationContent", lambda: add("revoked.pem", "one.pem"), status=400)
    refused("ValidationError", lambda: add())
    assert look() == []
    first = add("revoked.pem")
    assert first == [
        {
            "TrustStoreArn": arn,
            "RevocationId": 1,
            "RevocationType": "CRL",
            "NumberOfRevokedEntries": 2,
        }
    ]
    second = add("revoked.pem", "revoked.pem")
    assert [found["RevocationId"] for found in second] == [2, 3]
    assert describe(aws, arn)["TotalRevokedEntries"] == 6
    assert look() == first + second
    assert look(RevocationIds=[2]) == second[:1]
    refused("RevocationIdNotFound", lambda: look(RevocationIds=[2, 9]), status=400)
    remove = lambda *ids: elb.remove_trust_store_revocations(
        TrustStoreArn=arn, RevocationIds=list(ids)
    )
    refused("RevocationIdNotFound", lambda: remove(1, 9), status=400)
    remove(1, 2)
    assert look() == second[1:]
    assert [found["RevocationId"] for found in add("revoked.pem")] == [4]
    limits = aws.sim.get("config")["quotas"]
    small = {"revocation-entries-per-trust-store": 5, "revocation-lists-per-trust-store": 30}
    for quotas in (small, {**small, **{key: limits[key] for key in small}, "revocation-lists-per-trust-store": 2}):
        aws.sim.post("config", {"quotas": quotas})
        try:
            refused("TooManyTrustStoreRevocationEntries", lambda: add("revoked.pem"), status=400)
        finally:
            aws.sim.post("config", {"quotas": {key: limits[key] for key in small}})


@rule("trust_store.in_use")
def test_a_trust_store_that_a_listener_verifies_with(aws, vpc):
    elb = Elb(aws, vpc)
    # What a listener needs is made first, for the store is not new for long.
    elb.listener()
    assert elb.certificate
    arn = create(aws, Objects(aws))["TrustStoreArn"]
    mutual = {"Mode": "verify", "TrustStoreArn": arn}
    listen = lambda: elb.listener(Protocol="HTTPS", MutualAuthentication=mutual)
    refused("TrustStoreNotReady", listen, status=400)
    eventually(lambda: describe(aws, arn)["Status"] == "ACTIVE")
    listener = listen()
    associations = lambda: aws.elbv2.describe_trust_store_associations(TrustStoreArn=arn)[
        "TrustStoreAssociations"
    ]
    assert associations() == [{"ResourceArn": listener}]
    remove = lambda: aws.elbv2.delete_trust_store(TrustStoreArn=arn)
    refused("TrustStoreInUse", remove, status=400)
    refused(
        "DeleteAssociationSameAccount",
        lambda: aws.elbv2.delete_shared_trust_store_association(
            TrustStoreArn=arn, ResourceArn=listener
        ),
        status=400,
    )
    aws.elbv2.modify_listener(ListenerArn=listener, MutualAuthentication={"Mode": "off"})
    assert associations() == []
    remove()


@rule("trust_store.locations", "trust_store.associations", "trust_store.policy")
def test_the_rest(aws):
    objects = Objects(aws)
    arn = create(aws, objects)["TrustStoreArn"]
    elb = aws.elbv2
    elb.add_trust_store_revocations(
        TrustStoreArn=arn, RevocationContents=[objects.list("revoked.pem")]
    )
    location = elb.get_trust_store_ca_certificates_bundle(TrustStoreArn=arn)["Location"]
    assert location.startswith("https://") and "X-Amz-Expires=600" in location
    content = elb.get_trust_store_revocation_content(TrustStoreArn=arn, RevocationId=1)
    assert content["Location"].startswith("https://")
    refused(
        "RevocationIdNotFound",
        lambda: elb.get_trust_store_revocation_content(TrustStoreArn=arn, RevocationId=2),
    )
    assert elb.describe_trust_store_associations(TrustStoreArn=arn)["TrustStoreAssociations"] == []
    refused(
        "AssociationNotFound",
        lambda: elb.delete_shared_trust_store_association(TrustStoreArn=arn, ResourceArn=arn),
        status=400,
    )
    refused("ResourceNotFound", lambda: elb.get_resource_policy(ResourceArn=arn), status=400)
    refused("ValidationError", lambda: elb.get_resource_policy(ResourceArn="nonsense"), status=400)
