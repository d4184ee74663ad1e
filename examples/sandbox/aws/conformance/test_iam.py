"""Server certificates of IAM."""

import pathlib
import re

import pytest

from conftest import Vpc, eventually, refused, rule

CERTIFICATES = pathlib.Path(__file__).parent / "certificates"


def pem(name):
    return (CERTIFICATES / name).read_text()


def upload(aws, name, **more):
    return aws.iam.upload_server_certificate(**{
        "ServerCertificateName": name,
        "CertificateBody": pem("rsa.pem"),
        "PrivateKey": pem("rsa.key"),
        **more,
    })


@pytest.fixture
def name(aws):
    """A fresh name; what has it goes afterwards, for there is room for few."""
    fresh = aws.name("sc")
    yield fresh
    for certificate in aws.iam.list_server_certificates()["ServerCertificateMetadataList"]:
        if certificate["ServerCertificateName"].startswith(fresh):
            aws.iam.delete_server_certificate(
                ServerCertificateName=certificate["ServerCertificateName"]
            )


@rule("iam.upload.answer", "iam.get")
def test_a_certificate_is_uploaded_and_read(aws, name):
    tags = [{"Key": "a", "Value": "1"}]
    made = upload(aws, name, Path="/web/", CertificateChain=pem("authority.pem"), Tags=tags)
    data = made["ServerCertificateMetadata"]
    assert data["Arn"] == f"arn:aws:iam::123456789012:server-certificate/web/{name}"
    assert re.fullmatch(r"ASCA[A-Z0-9]{17}", data["ServerCertificateId"])
    assert (data["Path"], data["ServerCertificateName"]) == ("/web/", name)
    assert data["UploadDate"] < data["Expiration"]
    assert made["Tags"] == tags
    shown = aws.iam.get_server_certificate(ServerCertificateName=name)["ServerCertificate"]
    assert shown["ServerCertificateMetadata"] == data
    assert shown["CertificateBody"].strip() == pem("rsa.pem").strip()
    assert shown["CertificateChain"].strip() == pem("authority.pem").strip()
    assert shown["Tags"] == tags and "PrivateKey" not in shown


@rule("iam.upload.exists")
def test_names_are_taken_whatever_their_case(aws, name):
    upload(aws, name)
    refused("EntityAlreadyExists", lambda: upload(aws, name), 409)
    refused("EntityAlreadyExists", lambda: upload(aws, name.upper()), 409)


@rule("iam.upload.refused")
@pytest.mark.parametrize(
    "change, code",
    [
        ({"CertificateBody": "x"}, "MalformedCertificate"),
        ({"CertificateBody": pem("rsa.pem") + pem("authority.pem")}, "MalformedCertificate"),
        ({"CertificateBody": pem("expired.pem"), "PrivateKey": pem("expired.key")}, "MalformedCertificate"),
        ({"PrivateKey": "x"}, "MalformedCertificate"),
        ({"PrivateKey": pem("encrypted.key")}, "MalformedCertificate"),
        ({"PrivateKey": pem("ec.key")}, "KeyPairMismatch"),
        ({"CertificateChain": pem("rsa.pem")}, "MalformedCertificate"),
        ({"CertificateChain": "x"}, "MalformedCertificate"),
        ({"Path": "web"}, "ValidationError"),
        ({"Path": "/web"}, "ValidationError"),
        ({"ServerCertificateName": "a b"}, "ValidationError"),
        ({"ServerCertificateName": "x" * 129}, "ValidationError"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidInput"),
    ],
)
def test_what_cannot_be_uploaded(aws, name, change, code):
    refused(code, lambda: upload(aws, name, **change), 400)


@rule("iam.no_such_entity")
def test_names_that_nobody_has(aws, name):
    for call in [
        lambda: aws.iam.get_server_certificate(ServerCertificateName=name),
        lambda: aws.iam.delete_server_certificate(ServerCertificateName=name),
        lambda: aws.iam.update_server_certificate(ServerCertificateName=name),
        lambda: aws.iam.list_server_certificate_tags(ServerCertificateName=name),
        lambda: aws.iam.tag_server_certificate(
            ServerCertificateName=name, Tags=[{"Key": "a", "Value": "b"}]
        ),
    ]:
        error = refused("NoSuchEntity", call, 404)
        assert name in error.message


@rule("iam.list")
def test_certificates_are_listed_by_path(aws, name):
    for n in range(3):
        upload(aws, f"{name}-{n}", Path=f"/{name}/" if n else f"/{name}/a/")
    call = aws.iam.list_server_certificates
    first = call(PathPrefix=f"/{name}/", MaxItems=2)
    assert first["IsTruncated"] is True
    second = call(PathPrefix=f"/{name}/", MaxItems=2, Marker=first["Marker"])
    found = first["ServerCertificateMetadataList"] + second["ServerCertificateMetadataList"]
    assert [c["ServerCertificateName"] for c in found] == [f"{name}-{n}" for n in range(3)]
    assert second["IsTruncated"] is False and "Marker" not in second
    below = call(PathPrefix=f"/{name}/a/")["ServerCertificateMetadataList"]
    assert [c["ServerCertificateName"] for c in below] == [f"{name}-0"]


@rule("iam.update")
def test_a_certificate_is_renamed_and_moved(aws, name):
    upload(aws, name)
    upload(aws, name + "-other")
    update = aws.iam.update_server_certificate
    taken = lambda: update(ServerCertificateName=name, NewServerCertificateName=name + "-other")
    refused("EntityAlreadyExists", taken, 409)
    update(ServerCertificateName=name, NewPath="/x/", NewServerCertificateName=name + "-new")
    shown = aws.iam.get_server_certificate(ServerCertificateName=name + "-new")
    arn = shown["ServerCertificate"]["ServerCertificateMetadata"]["Arn"]
    assert arn.endswith(f":server-certificate/x/{name}-new")
    refused("NoSuchEntity", lambda: aws.iam.get_server_certificate(ServerCertificateName=name))


@rule("iam.delete.in_use", "iam.listener")
def test_a_certificate_in_use_stays(aws, vpc, name):
    data = upload(aws, name)["ServerCertificateMetadata"]
    balancer = aws.elbv2.create_load_balancer(
        Name=aws.name("lb"), Subnets=vpc.subnets, Scheme="internal"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    listener = aws.elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": data["Arn"]}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )["Listeners"][0]
    assert listener["Certificates"][0]["CertificateArn"] == data["Arn"]
    delete = lambda: aws.iam.delete_server_certificate(ServerCertificateName=name)
    error = refused("DeleteConflict", delete, 409)
    assert balancer in error.message and data["ServerCertificateId"] in error.message
    aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    eventually(delete)


@rule("iam.listener")
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_every_region_knows_the_certificates(aws, name, region):
    there = aws.as_(region=region)
    balancer = there.elbv2.create_load_balancer(
        Name=aws.name("lb"), Subnets=Vpc(there).subnets, Scheme="internal"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    arn = upload(aws, name)["ServerCertificateMetadata"]["Arn"]
    there.elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )
    delete = lambda: aws.iam.delete_server_certificate(ServerCertificateName=name)
    refused("DeleteConflict", delete, 409)
    new = name + "-new"
    aws.iam.update_server_certificate(ServerCertificateName=name, NewServerCertificateName=new)
    listener = there.elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]
    assert listener["Certificates"][0]["CertificateArn"].endswith(f":server-certificate/{new}")
    there.elbv2.delete_load_balancer(LoadBalancerArn=balancer)


@rule("iam.tags")
def test_tags_of_a_certificate(aws, name):
    upload(aws, name)
    tag = lambda *tags: aws.iam.tag_server_certificate(
        ServerCertificateName=name, Tags=[{"Key": k, "Value": v} for k, v in tags]
    )
    shown = lambda **more: aws.iam.list_server_certificate_tags(ServerCertificateName=name, **more)
    tag(("a", "1"), ("b", "2"))
    tag(("b", "3"))
    aws.iam.untag_server_certificate(ServerCertificateName=name, TagKeys=["a", "missing"])
    assert shown()["Tags"] == [{"Key": "b", "Value": "3"}]
    tag(("c", ""))
    page = shown(MaxItems=1)
    assert page["IsTruncated"] and len(page["Tags"]) == 1
    assert shown(Marker=page["Marker"])["Tags"] == [{"Key": "c", "Value": ""}]
    refused("LimitExceeded", lambda: tag(*[(f"k{n}", "") for n in range(50)]), 409)


@rule("iam.quota")
def test_there_are_so_many_certificates(aws, name):
    before = aws.sim.get("config")["quotas"]["server-certificates"]
    try:
        aws.sim.post("config", {"quotas": {"server-certificates": 0}})
        refused("LimitExceeded", lambda: upload(aws, name), 409)
    finally:
        aws.sim.post("config", {"quotas": {"server-certificates": before}})
