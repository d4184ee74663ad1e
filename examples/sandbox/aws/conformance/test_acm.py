"""Certificate Manager: requests, imports, listings."""

import datetime
import pathlib
import re
import ssl

import pytest

from conftest import eventually, refused, rule

CERTIFICATES = pathlib.Path(__file__).parent / "certificates"
ALL_KEYS = [
    "RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096",
    "EC_prime256v1", "EC_secp384r1", "EC_secp521r1",
]


def pem(name):
    return (CERTIFICATES / name).read_bytes()


def pair(name):
    return {"Certificate": pem(f"{name}.pem"), "PrivateKey": pem(f"{name}.key")}


def request(aws, *names, **more):
    names = names or (aws.name("c") + ".example.com",)
    if names[1:]:
        more["SubjectAlternativeNames"] = list(names[1:])
    more.setdefault("ValidationMethod", "DNS")
    return aws.acm.request_certificate(DomainName=names[0], **more)["CertificateArn"]


def describe(aws, arn):
    return aws.acm.describe_certificate(CertificateArn=arn)["Certificate"]


def listed(aws, **filters):
    pages = aws.acm.get_paginator("list_certificates").paginate(**filters)
    return {c["CertificateArn"]: c for page in pages for c in page["CertificateSummaryList"]}


@pytest.fixture
def domain(aws):
    """A public zone of ours: its name, and how to add its CNAME records."""

    class Domain:
        name = aws.name("acm") + ".example.com"
        zone = aws.route53.create_hosted_zone(Name=name, CallerReference=aws.name("r"))["HostedZone"]["Id"]

        def prove(self, *options, action="UPSERT"):
            records = {o["ResourceRecord"]["Name"]: o["ResourceRecord"] for o in options}
            aws.route53.change_resource_record_sets(
                HostedZoneId=self.zone,
                ChangeBatch={"Changes": [
                    {"Action": action, "ResourceRecordSet": {
                        "Name": record["Name"], "Type": record["Type"], "TTL": 300,
                        "ResourceRecords": [{"Value": record["Value"]}]}}
                    for record in records.values()
                ]},
            )

    return Domain()


@rule("acm.request.pending")
def test_a_request_waits_for_its_validation(aws, domain):
    names = [f"www.{domain.name}", f"*.{domain.name}", domain.name]
    arn = request(aws, *names)
    assert re.fullmatch(
        rf"arn:aws:acm:{aws.region}:\d{{12}}:certificate/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}", arn
    )
    shown = describe(aws, arn)
    assert shown["DomainName"] == names[0]
    assert shown["SubjectAlternativeNames"] == names
    assert (shown["Status"], shown["Type"]) == ("PENDING_VALIDATION", "AMAZON_ISSUED")
    assert (shown["KeyAlgorithm"], shown["InUseBy"]) == ("RSA_2048", [])
    for absent in ("IssuedAt", "NotAfter", "NotBefore", "Serial"):
        assert absent not in shown
    options = {o["DomainName"]: o for o in shown["DomainValidationOptions"]}
    assert set(options) == set(names)
    for name, option in options.items():
        record = option["ResourceRecord"]
        bare = name.removeprefix("*.")
        assert re.fullmatch(rf"_[0-9a-f]{{32}}\.{re.escape(bare)}\.", record["Name"])
        assert re.fullmatch(r"_[0-9a-f]{32}\.[a-z]{10}\.acm-validations\.aws\.", record["Value"])
        assert (record["Type"], option["ValidationMethod"]) == ("CNAME", "DNS")
        assert option["ValidationStatus"] == "PENDING_VALIDATION"
    # A wildcard is proven by the record of its domain.
    same = [options[n]["ResourceRecord"] for n in (f"*.{domain.name}", domain.name)]
    assert same[0] == same[1]


@rule("acm.request.issued", "acm.get")
def test_a_request_is_issued_when_its_records_stand(aws, domain):
    arn = request(aws, f"a.{domain.name}", f"b.{domain.name}")
    options = describe(aws, arn)["DomainValidationOptions"]
    get = lambda: aws.acm.get_certificate(CertificateArn=arn)
    refused("RequestInProgressException", get, 400)
    domain.prove(options[0])
    status = lambda: [o["ValidationStatus"] for o in describe(aws, arn)["DomainValidationOptions"]]
    eventually(lambda: status() == ["SUCCESS", "PENDING_VALIDATION"])
    assert describe(aws, arn)["Status"] == "PENDING_VALIDATION"
    domain.prove(options[1])
    eventually(lambda: describe(aws, arn)["Status"] == "ISSUED")
    shown = describe(aws, arn)
    assert status() == ["SUCCESS", "SUCCESS"]
    assert shown["NotBefore"] <= shown["IssuedAt"] < shown["NotAfter"]
    assert shown["NotAfter"] - shown["NotBefore"] == datetime.timedelta(days=395)
    assert shown["Issuer"] == "Amazon" and shown["Subject"] == f"CN=a.{domain.name}"
    assert {"Name": "DIGITAL_SIGNATURE"} in shown["KeyUsages"]
    assert shown["ExtendedKeyUsages"][0]["Name"] == "TLS_WEB_SERVER_AUTHENTICATION"
    answer = get()
    for text in (answer["Certificate"], answer["CertificateChain"]):
        ssl.PEM_cert_to_DER_cert(text)
    status, authority = aws.sim.call("GET", "ca.pem")
    assert status == 200 and authority.strip() == answer["CertificateChain"].strip()


@rule("acm.key_algorithm")
def test_a_certificate_has_the_key_that_was_asked_for(aws, domain):
    rsa, p384 = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2b81040022")
    for asked, shown, identifier in (
        ({}, "RSA-2048", rsa),
        ({"KeyAlgorithm": "EC_secp384r1"}, "EC-secp384r1", p384),
    ):
        arn = request(aws, f"{shown.lower()}.{domain.name}", **asked)
        domain.prove(*describe(aws, arn)["DomainValidationOptions"])
        eventually(lambda: describe(aws, arn)["Status"] == "ISSUED")
        assert describe(aws, arn)["KeyAlgorithm"].replace("_", "-") == shown
        der = ssl.PEM_cert_to_DER_cert(aws.acm.get_certificate(CertificateArn=arn)["Certificate"])
        assert identifier in der


@rule("acm.request.same_records")
def test_records_stay_good_for_the_next_request(aws, domain):
    first = request(aws, domain.name)
    option = describe(aws, first)["DomainValidationOptions"][0]
    second = request(aws, f"*.{domain.name}")
    assert second != first
    again = describe(aws, second)["DomainValidationOptions"][0]
    assert again["ResourceRecord"] == option["ResourceRecord"]
    domain.prove(option)
    for arn in (first, second):
        eventually(lambda: describe(aws, arn)["Status"] == "ISSUED")


@rule("acm.request.other_region")
def test_records_prove_names_in_every_region(aws, domain):
    there = aws.as_(region="eu-central-1")
    arn = request(there, domain.name)
    assert arn.split(":")[3] == "eu-central-1"
    domain.prove(describe(there, arn)["DomainValidationOptions"][0])
    eventually(lambda: describe(there, arn)["Status"] == "ISSUED")
    refused("ResourceNotFoundException", lambda: describe(aws, arn))


@rule("acm.request.wrong_record")
def test_a_wrong_record_proves_nothing(aws, domain):
    arn = request(aws, domain.name)
    option = describe(aws, arn)["DomainValidationOptions"][0]
    record = {**option["ResourceRecord"], "Value": "_" + "0" * 32 + ".abcdefghij.acm-validations.aws."}
    domain.prove({"ResourceRecord": record})
    with pytest.raises(AssertionError):
        eventually(lambda: describe(aws, arn)["Status"] == "ISSUED", 2.5)


@rule("acm.request.email")
def test_mail_is_never_answered(aws):
    name = "www." + aws.name("mail") + ".example.com"
    above = name.partition(".")[2]
    option = {"DomainName": name, "ValidationDomain": above}
    arn = request(aws, name, ValidationMethod="EMAIL", DomainValidationOptions=[option])
    shown = describe(aws, arn)
    validation = shown["DomainValidationOptions"][0]
    assert validation["ValidationMethod"] == "EMAIL" and "ResourceRecord" not in validation
    assert validation["ValidationDomain"] == above
    people = ["admin", "administrator", "hostmaster", "postmaster", "webmaster"]
    assert validation["ValidationEmails"] == [f"{person}@{above}" for person in people]
    # Mail is what is used when nothing is said.
    plain = aws.acm.request_certificate(DomainName=name)["CertificateArn"]
    assert describe(aws, plain)["DomainValidationOptions"][0]["ValidationMethod"] == "EMAIL"
    resend = lambda above: aws.acm.resend_validation_email(
        CertificateArn=arn, Domain=name, ValidationDomain=above
    )
    resend(above)
    refused("InvalidDomainValidationOptionsException", lambda: resend("example.org"))
    by_dns = request(aws, name)
    refused("InvalidStateException", lambda: aws.acm.resend_validation_email(
        CertificateArn=by_dns, Domain=name, ValidationDomain=name))


@rule("acm.request.names")
@pytest.mark.parametrize(
    "names, code",
    [
        (["localhost"], "ValidationException"),
        (["-a.example.com"], "ValidationException"),
        (["a_b.example.com"], "ValidationException"),
        (["a.*.example.com"], "ValidationException"),
        (["a.example.com", "*.*.example.com"], "ValidationException"),
        (["x" * 64 + ".example.com"], "ValidationException"),
        (["x" * 53 + ".example.com"], "InvalidParameterException"),
        ([f"h{n}.example.com" for n in range(11)], "LimitExceededException"),
    ],
)
def test_names_that_cannot_be_requested(aws, names, code):
    before = listed(aws)
    refused(code, lambda: request(aws, *names), 400)
    assert listed(aws) == before


@rule("acm.request.names")
def test_names_are_compared_without_case_and_kept_once(aws):
    name = aws.name("case") + ".example.com"
    arn = request(aws, name.upper(), name, f"x.{name}")
    shown = describe(aws, arn)
    assert shown["SubjectAlternativeNames"] == [name, f"x.{name}"]
    long = "x" * 60 + "." + name
    assert describe(aws, request(aws, name, long))["SubjectAlternativeNames"] == [name, long]


@rule("acm.request.parameters")
@pytest.mark.parametrize(
    "more, code",
    [
        ({"KeyAlgorithm": "RSA_4096"}, "InvalidParameterException"),
        ({"KeyAlgorithm": "RSA_512"}, "ValidationException"),
        ({"ValidationMethod": "HTTP"}, "InvalidParameterException"),
        ({"ValidationMethod": "PIGEON"}, "ValidationException"),
        ({"IdempotencyToken": "not a word"}, "ValidationException"),
        (
            {"DomainValidationOptions": [{"DomainName": "b.example.com", "ValidationDomain": "example.com"}]},
            "InvalidDomainValidationOptionsException",
        ),
        (
            {"DomainValidationOptions": [{"DomainName": "a.example.com", "ValidationDomain": "example.org"}]},
            "InvalidDomainValidationOptionsException",
        ),
        (
            {"CertificateAuthorityArn": "arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/x"},
            "InvalidArnException",
        ),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidTagException"),
        ({"Tags": [{"Key": "x"}, {"Key": "x"}]}, "InvalidTagException"),
    ],
)
def test_parameters_that_a_request_cannot_have(aws, more, code):
    refused(code, lambda: request(aws, "a.example.com", **more), 400)


@rule("acm.request.parameters")
def test_too_many_tags_have_a_code_of_their_own(aws):
    tags = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
    refused("TooManyTagsException", lambda: request(aws, "a.example.com", Tags=tags), 400)


@rule("acm.request.token")
def test_a_token_asks_for_one_certificate(aws):
    name = aws.name("t") + ".example.com"
    token = aws.name("t").replace("-", "_")
    arn = request(aws, name, IdempotencyToken=token)
    assert request(aws, name, IdempotencyToken=token) == arn
    assert request(aws, name, IdempotencyToken=token + "x") != arn
    assert request(aws, name) != arn
    assert request(aws, "x." + name, IdempotencyToken=token) != arn


@rule("acm.quota")
def test_there_are_so_many_certificates(aws):
    before = aws.sim.get("config")["quotas"]["certificates"]
    try:
        aws.sim.post("config", {"quotas": {"certificates": 0}})
        refused("LimitExceededException", lambda: request(aws), 400)
    finally:
        aws.sim.post("config", {"quotas": {"certificates": before}})


# Imports


@rule("acm.import.issued")
@pytest.mark.parametrize(
    "name, algorithm, signature",
    [
        ("rsa", "RSA_2048", "SHA256WITHRSA"),
        ("ec", "EC_prime256v1", "SHA256WITHECDSA"),
        ("ec384", "EC_secp384r1", "SHA256WITHECDSA"),
        ("rsa1024", "RSA_1024", "SHA256WITHRSA"),
        ("rsa4096", "RSA_4096", "SHA256WITHRSA"),
    ],
)
def test_an_import_is_issued_at_once(aws, name, algorithm, signature):
    arn = aws.acm.import_certificate(**pair(name))["CertificateArn"]
    shown = describe(aws, arn)
    assert (shown["Status"], shown["Type"]) == ("ISSUED", "IMPORTED")
    assert (shown["KeyAlgorithm"], shown["SignatureAlgorithm"]) == (algorithm, signature)
    assert shown["DomainName"] == f"{name}.example.net"
    assert shown["NotBefore"] < shown["ImportedAt"] < shown["NotAfter"]
    assert "IssuedAt" not in shown and "DomainValidationOptions" not in shown
    assert shown["RenewalEligibility"] == "INELIGIBLE"
    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2})+", shown["Serial"])
    answer = aws.acm.get_certificate(CertificateArn=arn)
    assert answer["Certificate"].encode() == pem(f"{name}.pem") and "CertificateChain" not in answer
    aws.acm.delete_certificate(CertificateArn=arn)


@rule("acm.import.chain", "acm.import.details")
def test_an_import_with_its_chain(aws):
    tags = [{"Key": "a", "Value": "1"}]
    arn = aws.acm.import_certificate(
        **pair("rsa"), CertificateChain=pem("authority.pem"), Tags=tags
    )["CertificateArn"]
    answer = aws.acm.get_certificate(CertificateArn=arn)
    assert answer["CertificateChain"].encode() == pem("authority.pem")
    assert aws.acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == tags
    shown = describe(aws, arn)
    assert shown["SubjectAlternativeNames"] == ["rsa.example.net", "*.rsa.example.net"]
    assert shown["Issuer"] == "Test Authority"
    assert [u["Name"] for u in shown["KeyUsages"]] == ["DIGITAL_SIGNATURE", "KEY_ENCIPHERMENT"]
    assert [u["OID"] for u in shown["ExtendedKeyUsages"]] == [
        "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
    ]
    for chain in (pem("rsa.pem"), pem("ec.pem"), b"x"):
        call = lambda: aws.acm.import_certificate(**pair("rsa"), CertificateChain=chain)
        refused("ValidationException", call, 400)


@rule("acm.import.refused")
@pytest.mark.parametrize(
    "change",
    [
        {"Certificate": b"x"},
        {"Certificate": pem("rsa.pem") + pem("authority.pem")},
        {"Certificate": pem("rsa.key")},
        {"PrivateKey": b"x"},
        {"PrivateKey": pem("ec.key")},
        {"PrivateKey": pem("expired.key")},
        {"PrivateKey": pem("encrypted.key")},
        {"PrivateKey": pem("rsa.key") + b"\n" * 5000},
        pair("expired"),
    ],
)
def test_what_cannot_be_imported(aws, change):
    refused("ValidationException", lambda: aws.acm.import_certificate(**{**pair("rsa"), **change}), 400)


@rule("acm.import.again")
def test_an_import_over_another_keeps_the_arn(aws):
    call = aws.acm.import_certificate
    arn = call(**pair("rsa"))["CertificateArn"]
    before = describe(aws, arn)
    again = call(**pair("rsa"), CertificateArn=arn, CertificateChain=pem("authority.pem"))
    assert again["CertificateArn"] == arn
    after = describe(aws, arn)
    assert after["CreatedAt"] == before["CreatedAt"] and after["ImportedAt"] >= before["ImportedAt"]
    over = lambda name, **more: lambda: call(**pair(name), CertificateArn=arn, **more)
    refused("ValidationException", over("ec"), 400)
    refused("ValidationException", over("rsa", Tags=[{"Key": "a", "Value": "b"}]), 400)
    requested = request(aws)
    refused("ValidationException", lambda: call(**pair("rsa"), CertificateArn=requested), 400)
    unknown = arn[:-4] + "0000"
    refused("ResourceNotFoundException", lambda: call(**pair("rsa"), CertificateArn=unknown), 400)


# One certificate


@rule("acm.arn")
@pytest.mark.parametrize(
    "arn, code",
    [
        ("arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555", "ResourceNotFoundException"),
        ("arn:aws:acm:us-east-1:123456789012:thing/11111111-2222", "InvalidArnException"),
        ("arn:aws:iam::123456789012:server-certificate/x", "ValidationException"),
        ("not an arn at all, really", "ValidationException"),
        ("x", "ValidationException"),
    ],
)
def test_arns_that_name_no_certificate(aws, arn, code):
    acm = aws.unchecked.acm
    for call in [
        acm.describe_certificate,
        acm.get_certificate,
        acm.delete_certificate,
        acm.list_tags_for_certificate,
    ]:
        refused(code, lambda: call(CertificateArn=arn), 400)


@rule("acm.delete", "acm.in_use")
def test_a_certificate_in_use_stays(aws, vpc):
    arn = aws.acm.import_certificate(**pair("rsa"))["CertificateArn"]
    balancer = aws.elbv2.create_load_balancer(
        Name=aws.name("lb"), Subnets=vpc.subnets, Scheme="internal"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    listener = aws.elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )["Listeners"][0]["ListenerArn"]
    eventually(lambda: describe(aws, arn)["InUseBy"] == [balancer])
    assert listed(aws)[arn]["InUse"] is True
    delete = lambda: aws.acm.delete_certificate(CertificateArn=arn)
    refused("ResourceInUseException", delete, 400)
    aws.elbv2.delete_listener(ListenerArn=listener)
    eventually(delete)
    refused("ResourceNotFoundException", delete, 400)


@rule("acm.listener.pending")
def test_a_certificate_that_is_not_issued_serves_no_listener(aws, vpc):
    balancer = aws.elbv2.create_load_balancer(
        Name=aws.name("lb"), Subnets=vpc.subnets, Scheme="internal"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    listen = lambda arn: lambda: aws.elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )
    refused("UnsupportedCertificate", listen(request(aws)), 400)
    weak = aws.acm.import_certificate(**pair("rsa1024"))["CertificateArn"]
    refused("UnsupportedCertificate", listen(weak), 400)
    unknown = weak[:-4] + "0000"
    refused("CertificateNotFound", listen(unknown), 400)


@rule("acm.tags")
def test_tags_of_a_certificate(aws):
    arn = request(aws, Tags=[{"Key": "a", "Value": "1"}])
    add = lambda *tags: aws.acm.add_tags_to_certificate(
        CertificateArn=arn, Tags=[{"Key": k, "Value": v} for k, v in tags]
    )
    shown = lambda: {t["Key"]: t["Value"] for t in aws.acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]}
    add(("a", "2"), ("b", "3"), ("c", "4"))
    assert shown() == {"a": "2", "b": "3", "c": "4"}
    aws.acm.remove_tags_from_certificate(
        CertificateArn=arn,
        Tags=[{"Key": "a"}, {"Key": "b", "Value": "3"}, {"Key": "c", "Value": "other"}, {"Key": "d"}],
    )
    assert shown() == {"c": "4"}
    refused("InvalidTagException", lambda: add(("aws:x", "y")), 400)
    refused("TooManyTagsException", lambda: add(*[(f"k{n}", "") for n in range(50)]), 400)
    assert shown() == {"c": "4"}


@rule("acm.tags.resource")
def test_tags_by_the_arn_of_a_resource(aws):
    arn = request(aws, Tags=[{"Key": "a", "Value": "1"}])
    shown = lambda: {t["Key"]: t.get("Value") for t in aws.acm.list_tags_for_resource(ResourceArn=arn)["Tags"]}
    assert shown() == {"a": "1"}
    aws.acm.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    assert shown() == {"a": "2", "b": "3"}
    assert {t["Key"] for t in aws.acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]} == {"a", "b"}
    tag = lambda arn, *keys: aws.acm.tag_resource(ResourceArn=arn, Tags=[{"Key": k, "Value": ""} for k in keys])
    refused("TooManyTagsException", lambda: tag(arn, *[f"k{n}" for n in range(49)]), 400)
    refused("InvalidTagException", lambda: tag(arn, "aws:x"), 400)
    aws.acm.untag_resource(ResourceArn=arn, TagKeys=["a", "absent"])
    assert shown() == {"b": "3"}
    unknown = arn[:-4] + "0000"
    for call in [
        lambda arn: tag(arn, "a"),
        lambda arn: aws.acm.untag_resource(ResourceArn=arn, TagKeys=["a"]),
        lambda arn: aws.acm.list_tags_for_resource(ResourceArn=arn),
    ]:
        refused("ResourceNotFoundException", lambda: call(unknown), 400)
        refused(("InvalidArnException", "ValidationException"), lambda: call("arn:aws:acm:nonsense-that-is-long"), 400)


@rule("acm.export")
def test_a_certificate_is_exported_with_its_key(aws, domain, tmp_path):
    arn = request(aws, f"a.{domain.name}", Options={"Export": "ENABLED"})
    export = lambda phrase=b"correct horse": aws.unchecked.acm.export_certificate(
        CertificateArn=arn, Passphrase=phrase
    )
    refused("RequestInProgressException", export, 400)
    domain.prove(*describe(aws, arn)["DomainValidationOptions"])
    eventually(lambda: describe(aws, arn)["Status"] == "ISSUED")
    summary = lambda: listed(aws)[arn]
    assert (summary()["ExportOption"], summary()["Exported"]) == ("ENABLED", False)
    assert describe(aws, arn)["RenewalEligibility"] == "INELIGIBLE"
    for wrong in (b"abc", b"x" * 129, b"with#hash", b"with$dollar", b"with%percent", "ümlaut".encode()):
        refused("ValidationException", lambda: export(wrong), 400)
    assert summary()["Exported"] is False
    answer = export()
    got = aws.acm.get_certificate(CertificateArn=arn)
    assert (answer["Certificate"], answer["CertificateChain"]) == (got["Certificate"], got["CertificateChain"])
    assert answer["PrivateKey"].startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(answer["Certificate"])
    key.write_text(answer["PrivateKey"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # It says so when key and certificate do not belong together.
    context.load_cert_chain(certificate, key, password=b"correct horse")
    with pytest.raises(ssl.SSLError):
        context.load_cert_chain(certificate, key, password=b"wrong horse")
    assert summary()["Exported"] is True
    assert describe(aws, arn)["RenewalEligibility"] == "ELIGIBLE"
    [call] = [c for c in aws.sim.get("log") if c["action"] == "ExportCertificate" and c["status"] == 200
              and c["parameters"].get("CertificateArn") == arn]
    assert "Passphrase" not in call["parameters"] and not call.get("answer")


@rule("acm.export.not")
def test_what_may_not_be_exported(aws):
    imported = aws.acm.import_certificate(**pair("ec"))["CertificateArn"]
    for arn in (imported, request(aws), request(aws, Options={"Export": "DISABLED"})):
        call = lambda: aws.acm.export_certificate(CertificateArn=arn, Passphrase=b"correct horse")
        refused("ValidationException", call, 400)
    call = lambda: aws.acm.export_certificate(CertificateArn=imported[:-4] + "0000", Passphrase=b"correct horse")
    refused("ResourceNotFoundException", call, 400)
    call = lambda: aws.unchecked.acm.export_certificate(CertificateArn=imported)
    refused("ValidationException", call, 400)


@rule("acm.options")
def test_options_of_a_certificate(aws):
    shown = describe(aws, request(aws, Options={"Export": "ENABLED"}))
    assert shown["Options"] == {
        "CertificateTransparencyLoggingPreference": "ENABLED", "Export": "ENABLED"
    }
    arn = aws.acm.import_certificate(**pair("ec"))["CertificateArn"]
    update = lambda: aws.acm.update_certificate_options(
        CertificateArn=arn, Options={"CertificateTransparencyLoggingPreference": "ENABLED"}
    )
    refused("InvalidStateException", update, 400)


@rule("acm.renew", "acm.account")
def test_renewal_and_settings_of_the_account(aws):
    arn = aws.acm.import_certificate(**pair("ec"))["CertificateArn"]
    refused("ValidationException", lambda: aws.acm.renew_certificate(CertificateArn=arn), 400)
    days = lambda: aws.acm.get_account_configuration()["ExpiryEvents"]["DaysBeforeExpiry"]
    put = lambda n: aws.unchecked.acm.put_account_configuration(
        IdempotencyToken="t", ExpiryEvents={"DaysBeforeExpiry": n}
    )
    assert days() == 45
    put(30)
    assert days() == 30
    refused("ValidationException", lambda: put(0), 400)
    put(45)


# Listings


@rule("acm.list.keys")
def test_only_some_rsa_keys_are_listed_unless_asked_for(aws):
    names = ["rsa", "rsa1024", "rsa4096", "ec", "ec384"]
    arns = {n: aws.acm.import_certificate(**pair(n))["CertificateArn"] for n in names}
    found = listed(aws)
    assert {n for n in names if arns[n] in found} == {"rsa", "rsa1024"}
    everything = listed(aws, Includes={"keyTypes": ALL_KEYS})
    assert set(arns.values()) <= set(everything)
    some = listed(aws, Includes={"keyTypes": ["EC_prime256v1"]})
    assert {n for n in names if arns[n] in some} == {"ec"}


@rule("acm.list.summary")
def test_what_a_summary_says(aws):
    arn = aws.acm.import_certificate(**pair("rsa"))["CertificateArn"]
    summary = listed(aws)[arn]
    shown = describe(aws, arn)
    for name in ["DomainName", "Status", "Type", "KeyAlgorithm", "NotBefore", "NotAfter", "CreatedAt", "ImportedAt"]:
        assert summary[name] == shown[name]
    assert summary["SubjectAlternativeNameSummaries"] == shown["SubjectAlternativeNames"]
    assert summary["HasAdditionalSubjectAlternativeNames"] is False
    assert summary["InUse"] is False and summary["ExportOption"] == "DISABLED"
    assert summary["KeyUsages"] == ["DIGITAL_SIGNATURE", "KEY_ENCIPHERMENT"]
    pending = request(aws)
    assert "NotAfter" not in listed(aws, CertificateStatuses=["PENDING_VALIDATION"])[pending]


@rule("acm.list.filters")
def test_filters_of_a_listing(aws):
    pending = request(aws)
    imported = aws.acm.import_certificate(**pair("rsa"))["CertificateArn"]
    there = lambda **filters: [arn in listed(aws, **filters) for arn in (pending, imported)]
    assert there() == [True, True]
    assert there(CertificateStatuses=["ISSUED"]) == [False, True]
    assert there(CertificateStatuses=["PENDING_VALIDATION", "ISSUED"]) == [True, True]
    assert there(CertificateStatuses=["EXPIRED"]) == [False, False]
    assert there(Includes={"keyUsage": ["KEY_ENCIPHERMENT"]}) == [False, True]
    assert there(Includes={"extendedKeyUsage": ["CODE_SIGNING"]}) == [False, False]
    assert there(Includes={"extendedKeyUsage": ["TLS_WEB_SERVER_AUTHENTICATION"]}) == [False, True]
    assert there(CertificateKeyPairOrigins=["CUSTOMER_PROVIDED"]) == [False, True]
    assert there(CertificateKeyPairOrigins=["ACME"]) == [False, False]
    for wrong in [
        {"CertificateStatuses": ["GONE"]},
        {"Includes": {"keyTypes": ["DSA"]}},
        {"MaxItems": 0},
        {"MaxItems": 1001},
        {"SortBy": "CREATED_AT"},
        {"NextToken": "nonsense"},
    ]:
        call = lambda: aws.unchecked.acm.list_certificates(**wrong)
        refused(("ValidationException", "InvalidArgsException"), call, 400)


@rule("acm.list.pages")
def test_listings_come_in_pages_and_orders(aws):
    arns = [request(aws) for _ in range(3)]
    found, token = [], {}
    while True:
        page = aws.acm.list_certificates(MaxItems=2, **token)
        assert len(page["CertificateSummaryList"]) <= 2
        found += [c["CertificateArn"] for c in page["CertificateSummaryList"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(set(found)) == len(found) and set(arns) <= set(found)
    for order, expected in [("ASCENDING", arns), ("DESCENDING", arns[::-1])]:
        ordered = list(listed(aws, SortBy="CREATED_AT", SortOrder=order))
        assert [arn for arn in ordered if arn in arns] == expected
