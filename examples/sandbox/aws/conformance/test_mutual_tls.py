"""Client certificates and security policies of HTTPS listeners, by handshakes."""

import http.client
import ssl
import urllib.parse

import pytest

from conftest import HERE, eventually, rule
from data_plane import Site, tls
from load_balancing import elb  # noqa: F401

CLIENTS = HERE / "data" / "clients"
REFUSED = (ssl.SSLError, ConnectionError, http.client.HTTPException)


def client(name):
    return tls(CLIENTS / f"{name}.pem")


@pytest.fixture
def store(aws):
    """A trust store that knows one authority and what it has revoked."""
    bucket = aws.name("clients")
    known = aws.sim.get("outside")
    read = lambda name: (CLIENTS / f"{name}.pem").read_text()
    aws.sim.post("outside", {
        "ca_bundles": {**known["ca_bundles"], f"{bucket}/ca.pem": read("authority")},
        "revocation_lists": {**known["revocation_lists"], f"{bucket}/crl.pem": read("revocations")},
    })
    arn = aws.elbv2.create_trust_store(
        Name=aws.name("ts"), CaCertificatesBundleS3Bucket=bucket, CaCertificatesBundleS3Key="ca.pem"
    )["TrustStores"][0]["TrustStoreArn"]
    described = lambda: aws.elbv2.describe_trust_stores(TrustStoreArns=[arn])["TrustStores"][0]
    eventually(lambda: described()["Status"] == "ACTIVE")
    aws.elbv2.add_trust_store_revocations(TrustStoreArn=arn, RevocationContents=[
        {"S3Bucket": bucket, "S3Key": "crl.pem", "RevocationType": "CRL"}
    ])
    return arn


@pytest.fixture
def site(elb):  # noqa: F811
    made = Site(elb)
    yield made
    made.close()


def ask_for(site, **mutual):
    site.elb.client.modify_listener(ListenerArn=site.listener, MutualAuthentication=mutual)


def refused(site, context):
    with pytest.raises(REFUSED):
        site.get(context=context)


def told(site, context):
    headers = {"x-amzn-mtls-clientcert-subject": "CN=root"}
    answer = site.get(headers=headers, context=context).told()
    return {name: value for name, value in answer.items() if name.startswith("x-amzn-mtls")}


@rule("mtls.verify", "mtls.verify.headers", "mtls.revoked", "mtls.expiry")
def test_clients_are_verified_by_a_trust_store(site, store):
    ask_for(site, Mode="verify", TrustStoreArn=store)
    alice = (CLIENTS / "alice.pem").read_text()
    leaf = alice[: alice.index("-----BEGIN PRIVATE")]
    headers = told(site, client("alice"))
    assert urllib.parse.unquote(headers.pop("x-amzn-mtls-clientcert-leaf")) == leaf
    assert headers == {
        "x-amzn-mtls-clientcert-serial-number": "0A01",
        "x-amzn-mtls-clientcert-issuer": "CN=ours,O=Sandbox,C=US",
        "x-amzn-mtls-clientcert-subject": "CN=alice,OU=clients,O=Sandbox,C=US",
        "x-amzn-mtls-clientcert-validity": "NotBefore=2020-01-01T00:00:00Z;NotAfter=2120-01-01T00:00:00Z",
    }
    for context in [tls(), client("stranger"), client("revoked"), client("expired")]:
        refused(site, context)
    ask_for(site, Mode="verify", TrustStoreArn=store, IgnoreClientCertificateExpiry=True)
    assert told(site, client("expired"))
    refused(site, client("stranger"))


@rule("mtls.passthrough", "mtls.off")
def test_chains_are_passed_through_or_not_asked_for(site):
    ask_for(site, Mode="passthrough")
    expired = (CLIENTS / "expired.pem").read_text()
    chain = expired[: expired.index("-----BEGIN PRIVATE")]
    headers = told(site, client("expired"))
    assert list(headers) == ["x-amzn-mtls-clientcert"]
    assert urllib.parse.unquote(headers["x-amzn-mtls-clientcert"]) == chain
    assert "%2B" not in headers["x-amzn-mtls-clientcert"]
    assert told(site, tls()) == {}
    ask_for(site, Mode="off")
    assert told(site, client("alice")) == {"x-amzn-mtls-clientcert-subject": "CN=root"}


@rule("mtls.header_names")
def test_headers_have_the_names_of_the_attributes(aws, site):
    ask_for(site, Mode="passthrough")
    aws.elbv2.modify_listener_attributes(ListenerArn=site.listener, Attributes=[{
        "Key": "routing.http.request.x_amzn_mtls_clientcert.header_name", "Value": "X-Client-Chain",
    }])
    answer = site.get(context=client("alice")).told()
    assert answer["x-client-chain"] and "x-amzn-mtls-clientcert" not in answer


@rule("mtls.trace")
def test_a_trace_tells_what_becomes_of_a_certificate(aws, site, store):
    ask_for(site, Mode="verify", TrustStoreArn=store)
    assert site.socket
    body = {"listener": site.listener, "host": site.name}
    told = lambda **more: aws.sim.post("request", {**body, **more})
    answer = told(client_certificate=(CLIENTS / "alice.pem").read_text())
    assert answer["answer"]["status"] == 200
    assert answer["trace"]["client_certificate"] == {
        "mode": "verify",
        "subject": "CN=alice,OU=clients,O=Sandbox,C=US",
        "accepted": True,
        "why": "the trust store vouches for it",
    }
    for name in [None, "revoked", "stranger", "expired"]:
        more = {"client_certificate": (CLIENTS / f"{name}.pem").read_text()} if name else {}
        answer = told(**more)
        assert answer["answer"] is None and "handshake" in answer["trace"]["reason"], name
        assert answer["trace"]["client_certificate"]["accepted"] is False


@rule("tls.policy")
def test_what_a_security_policy_lets_in(aws, site):
    old = tls(newest=ssl.TLSVersion.TLSv1_2)
    new = tls(oldest=ssl.TLSVersion.TLSv1_3)
    for policy, both in {
        "ELBSecurityPolicy-2016-08": (True, False),
        "ELBSecurityPolicy-TLS13-1-2-2021-06": (True, True),
        "ELBSecurityPolicy-TLS13-1-3-2021-06": (False, True),
        "ELBSecurityPolicy-TLS-1-0-2015-04": (True, False),
    }.items():
        aws.elbv2.modify_listener(ListenerArn=site.listener, SslPolicy=policy)
        for context, good in zip((old, new), both):
            if good:
                assert site.get(context=context).status == 200, policy
            else:
                refused(site, context)
