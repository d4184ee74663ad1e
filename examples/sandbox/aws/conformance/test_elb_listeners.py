"""Listeners, their certificates, attributes and mutual authentication."""

import re

import pytest
from conftest import eventually, refused, rule
from load_balancing import NOT_FOUND, cognito, elb, forward, host, jwt, oidc, path, redirect  # noqa: F401
from test_trust_stores import Objects, create

NOBODY = "0" * 16
CONFIGURATION = "InvalidConfigurationRequest"


@rule("elb.listener.answer.http", "elb.listener.arn")
def test_an_http_listener(elb):
    made = elb.listeners()
    assert re.fullmatch(r"arn:aws:elasticloadbalancing:us-east-1:\d{12}:listener/app/[\w-]+/\w{16}/[0-9a-f]{16}", made["ListenerArn"])
    assert made["LoadBalancerArn"] == elb.alb
    assert (made["Protocol"], made["Port"]) == ("HTTP", 80)
    assert "SslPolicy" not in made and "Certificates" not in made
    assert "MutualAuthentication" not in made
    assert elb.described_listener(made["ListenerArn"]) == made


@rule("elb.listener.answer.https", "elb.listener.default_policy", "elb.listener.default_mutual")
def test_an_https_listener(elb):
    made = elb.listeners(Protocol="HTTPS")
    assert made["Certificates"] == [{"CertificateArn": elb.certificate}]
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert made["MutualAuthentication"] == {"Mode": "off"}
    assert elb.described_listener(made["ListenerArn"]) == made


@rule("elb.create_listener.idempotent", "elb.create_listener.duplicate")
def test_the_same_listener_again(elb):
    first = elb.listener()
    assert elb.listener() == first
    refused("DuplicateListener", lambda: elb.listener(DefaultActions=[redirect(Host="x.example.com")]))
    refused("DuplicateListener", lambda: elb.listener(Protocol="HTTPS", Port=80))
    assert elb.described_listener(first)["DefaultActions"][0]["Type"] == "fixed-response"


@rule("elb.create_listener.load_balancer")
def test_the_load_balancer_has_to_exist(elb):
    unknown = re.sub(r"\w{16}$", NOBODY, elb.alb)
    refused("LoadBalancerNotFound", lambda: elb.listener(LoadBalancerArn=unknown))
    refused("ValidationError", lambda: elb.listener(LoadBalancerArn="web"))
    refused("ValidationError", lambda: elb.listener(LoadBalancerArn=elb.group()))


@rule("elb.create_listener.protocol", "elb.create_listener.port")
def test_protocols_and_ports(elb):
    create = elb.client.create_listener
    base = {"LoadBalancerArn": elb.alb, "DefaultActions": [NOT_FOUND]}
    for protocol in ["TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "FTP"]:
        refused("ValidationError", lambda p=protocol: create(**base, Protocol=p, Port=80))
    refused("ValidationError", lambda: create(**base, Port=80))
    refused("ValidationError", lambda: create(**base, Protocol="HTTP"))
    unchecked = elb.unchecked.create_listener
    for port in [0, 65536, -1]:
        refused("ValidationError", lambda p=port: unchecked(**base, Protocol="HTTP", Port=p))
    refused("ValidationError", lambda: create(LoadBalancerArn=elb.alb, Protocol="HTTP", Port=80, DefaultActions=[]))
    assert elb.client.describe_listeners(LoadBalancerArn=elb.alb)["Listeners"] == []


@rule("elb.create_listener.certificate", "elb.create_listener.one_certificate")
def test_https_needs_exactly_one_certificate(elb):
    error = refused("ValidationError", lambda: elb.listener(Protocol="HTTPS", Certificates=[]))
    assert error.message == "A certificate must be specified for HTTPS listeners"
    one = {"CertificateArn": elb.certificate}
    two = [one, {"CertificateArn": elb.another_certificate()}]
    refused("ValidationError", lambda: elb.listener(Protocol="HTTPS", Certificates=two))
    default = [{**one, "IsDefault": True}]
    refused("ValidationError", lambda: elb.listener(Protocol="HTTPS", Certificates=default))


@rule("elb.create_listener.http_without_tls")
def test_http_has_nothing_of_tls(elb):
    one = [{"CertificateArn": elb.certificate}]
    refused("ValidationError", lambda: elb.listener(Certificates=one))
    refused("ValidationError", lambda: elb.listener(SslPolicy="ELBSecurityPolicy-2016-08"))
    refused("ValidationError", lambda: elb.listener(MutualAuthentication={"Mode": "off"}))
    refused("ValidationError", lambda: elb.listener(AlpnPolicy=["HTTP2Only"]))


@rule("elb.create_listener.certificate_exists", "elb.create_listener.certificate_arn")
def test_certificates_have_to_exist(elb):
    unknown = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    error = refused("CertificateNotFound", lambda: elb.listener(Protocol="HTTPS", Certificates=[{"CertificateArn": unknown}]))
    assert error.message == f"Certificate '{unknown}' not found"
    refused("ValidationError", lambda: elb.listener(Protocol="HTTPS", Certificates=[{"CertificateArn": "mine"}]))


@rule("elb.create_listener.certificate_usable")
def test_certificates_have_to_have_a_domain(elb):
    nameless = elb.another_certificate("localhost")
    error = refused("UnsupportedCertificate", lambda: elb.listener(Protocol="HTTPS", Certificates=[{"CertificateArn": nameless}]))
    assert "must have a fully-qualified domain name" in error.message


@rule("elb.create_listener.policy")
def test_policies_have_to_exist(elb):
    refused("SSLPolicyNotFound", lambda: elb.listener(Protocol="HTTPS", SslPolicy="ELBSecurityPolicy-2031-01"))
    made = elb.listeners(Protocol="HTTPS", SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")
    assert made["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"


@rule("elb.create_listener.target_group", "elb.forward.association")
def test_target_groups_have_to_exist_and_be_free(elb):
    group = elb.group()
    unknown = re.sub(r"\w{16}$", NOBODY, group)
    refused("TargetGroupNotFound", lambda: elb.listener(DefaultActions=[forward(unknown)]))
    refused("ValidationError", lambda: elb.listener(DefaultActions=[forward("pods")]))
    elb.listener(DefaultActions=[forward(group)])
    other = elb.balancer()
    error = refused("TargetGroupAssociationLimit", lambda: elb.listener(LoadBalancerArn=other, DefaultActions=[forward(group)]))
    assert "cannot be associated with more than one load balancer" in error.message


@rule("elb.forward.protocol", "elb.forward.version", "elb.forward.vpc", "elb.forward.address_type")
def test_target_groups_have_to_fit(elb, aws):
    tcp = elb.group(Protocol="TCP")
    refused("IncompatibleProtocols", lambda: elb.listener(DefaultActions=[forward(tcp)]))
    for version in ["HTTP2", "GRPC"]:
        group = elb.group(ProtocolVersion=version)
        error = refused(CONFIGURATION, lambda g=group: elb.listener(DefaultActions=[forward(g)]))
        assert error.message == f"Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{version}'"
        elb.listener(Protocol="HTTPS", Port={"HTTP2": 443, "GRPC": 8443}[version], DefaultActions=[forward(group)])
    elsewhere = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    stranger = elb.group(VpcId=elsewhere)
    refused(CONFIGURATION, lambda: elb.listener(DefaultActions=[forward(stranger)]))
    six = elb.group(IpAddressType="ipv6")
    refused(CONFIGURATION, lambda: elb.listener(DefaultActions=[forward(six)]))


@rule("elb.actions.https_only")
def test_who_looks_at_clients_needs_https(elb):
    last = {**NOT_FOUND, "Order": 2}
    for first in [oidc(), jwt(), cognito()]:
        refused("InvalidLoadBalancerAction", lambda f=first: elb.listener(DefaultActions=[f, last]))
    elb.listener(Protocol="HTTPS", DefaultActions=[jwt(), last])


@rule("elb.create_listener.quota")
def test_listeners_are_counted(elb):
    for port in range(50):
        elb.listener(Port=1000 + port)
    refused("TooManyListeners", lambda: elb.listener(Port=80))
    assert elb.listener(Port=1000)


@rule("elb.create_listener.tags")
def test_tags_of_a_new_listener(elb, aws):
    twice = [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]
    refused("DuplicateTagKeys", lambda: elb.listener(Tags=twice))
    many = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
    refused("TooManyTags", lambda: elb.listener(Tags=many))
    arn = elb.listener(Tags=[{"Key": "k", "Value": "1"}])
    shown = aws.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]
    assert shown["Tags"] == [{"Key": "k", "Value": "1"}]


@rule("elb.describe_listeners.one_of", "elb.describe_listeners.unknown", "elb.describe_listeners.pages")
def test_listeners_are_described(elb):
    describe = elb.client.describe_listeners
    arns = sorted(elb.listener(Port=port) for port in (80, 81, 82))
    assert sorted(l["ListenerArn"] for l in describe(LoadBalancerArn=elb.alb)["Listeners"]) == arns
    refused("ValidationError", lambda: describe())
    refused("ValidationError", lambda: describe(LoadBalancerArn=elb.alb, ListenerArns=arns))
    unknown = arns[0][:-16] + NOBODY
    refused("ListenerNotFound", lambda: describe(ListenerArns=[arns[0], unknown]))
    refused("LoadBalancerNotFound", lambda: describe(LoadBalancerArn=elb.alb[:-16] + NOBODY))
    refused("ValidationError", lambda: describe(ListenerArns=[elb.alb]))
    first = describe(LoadBalancerArn=elb.alb, PageSize=2)
    second = describe(LoadBalancerArn=elb.alb, PageSize=2, Marker=first["NextMarker"])
    assert sorted(l["ListenerArn"] for l in first["Listeners"] + second["Listeners"]) == arns
    assert "NextMarker" not in second
    refused("ValidationError", lambda: describe(LoadBalancerArn=elb.alb, Marker="nonsense"))
    unchecked = elb.unchecked.describe_listeners
    for size in (0, 401):
        refused("ValidationError", lambda s=size: unchecked(LoadBalancerArn=elb.alb, PageSize=s))


@rule("elb.modify_listener.partial", "elb.modify_listener.equal")
def test_only_what_is_named_changes(elb):
    arn = elb.listener(Protocol="HTTPS")
    before = elb.described_listener(arn)
    modify = elb.client.modify_listener
    assert modify(ListenerArn=arn)["Listeners"][0] == before
    after = modify(ListenerArn=arn, Port=8443)["Listeners"][0]
    assert after == {**before, "Port": 8443}
    action = redirect(Host="x.example.com")
    after = modify(ListenerArn=arn, DefaultActions=[action])["Listeners"][0]
    assert after["DefaultActions"][0]["Type"] == "redirect"
    assert after["Port"] == 8443
    assert modify(ListenerArn=arn, DefaultActions=[action])["Listeners"][0] == after


@rule("elb.modify_listener.port_taken", "elb.modify_listener.unknown")
def test_a_taken_port_is_a_validation_error_here(elb):
    one, two = elb.listener(Port=80), elb.listener(Port=81)
    error = refused("ValidationError", lambda: elb.client.modify_listener(ListenerArn=two, Port=80))
    assert error.message == "Listener port '80' is already in use"
    assert elb.described_listener(two)["Port"] == 81
    refused("ListenerNotFound", lambda: elb.client.modify_listener(ListenerArn=one[:-16] + NOBODY, Port=82))
    refused("ValidationError", lambda: elb.client.modify_listener(ListenerArn=elb.alb, Port=82))


@rule("elb.modify_listener.default_certificate")
def test_a_certificate_replaces_the_default_one_only(elb):
    arn = elb.listener(Protocol="HTTPS")
    sni, new = elb.another_certificate(), elb.another_certificate()
    elb.client.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": sni}])
    elb.client.modify_listener(ListenerArn=arn, Certificates=[{"CertificateArn": new}])
    shown = elb.client.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert {(c["CertificateArn"], c["IsDefault"]) for c in shown} == {(new, True), (sni, False)}


@rule("elb.modify_listener.to_http", "elb.modify_listener.to_https")
def test_a_listener_changes_its_protocol(elb):
    arn = elb.listener(Protocol="HTTPS")
    modify = elb.client.modify_listener
    certificates = [{"CertificateArn": elb.certificate}]
    policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    plain = modify(ListenerArn=arn, Protocol="HTTP")["Listeners"][0]
    assert "Certificates" not in plain and "SslPolicy" not in plain
    refused("ValidationError", lambda: modify(ListenerArn=arn, Protocol="HTTPS"))
    refused("ValidationError", lambda: modify(ListenerArn=arn, Protocol="HTTPS", Certificates=certificates))
    refused("ValidationError", lambda: modify(ListenerArn=arn, Protocol="HTTPS", SslPolicy=policy))
    refused("ValidationError", lambda: modify(ListenerArn=arn, Certificates=certificates))
    secure = modify(ListenerArn=arn, Protocol="HTTPS", SslPolicy=policy, Certificates=certificates)["Listeners"][0]
    assert (secure["SslPolicy"], secure["Certificates"]) == (policy, certificates)


@rule("elb.modify_listener.rules_fit")
def test_what_needs_https_holds_the_protocol(elb):
    arn = elb.listener(Protocol="HTTPS")
    elb.rule(arn, Actions=[jwt(), {**NOT_FOUND, "Order": 2}])
    refused("InvalidLoadBalancerAction", lambda: elb.client.modify_listener(ListenerArn=arn, Protocol="HTTP"))
    grpc = elb.group(ProtocolVersion="GRPC")
    other = elb.listener(Protocol="HTTPS", Port=8443, DefaultActions=[forward(grpc)])
    refused(CONFIGURATION, lambda: elb.client.modify_listener(ListenerArn=other, Protocol="HTTP"))
    assert elb.described_listener(arn)["Protocol"] == "HTTPS"


@rule("elb.delete_listener")
def test_a_listener_goes_with_its_rules(elb):
    arn = elb.listener()
    made = elb.rule(arn)
    elb.client.delete_listener(ListenerArn=arn)
    refused("ListenerNotFound", lambda: elb.client.delete_listener(ListenerArn=arn))
    refused("ListenerNotFound", lambda: elb.client.describe_rules(ListenerArn=arn))
    refused("RuleNotFound", lambda: elb.client.describe_rules(RuleArns=[made["RuleArn"]]))
    refused("ValidationError", lambda: elb.client.delete_listener(ListenerArn="x"))


@rule("elb.certificates.add", "elb.certificates.twice", "elb.certificates.one_per_call")
def test_certificates_for_sni(elb):
    arn = elb.listener(Protocol="HTTPS")
    sni = elb.another_certificate()
    add = elb.client.add_listener_certificates
    one, default = {"CertificateArn": sni}, {"CertificateArn": elb.certificate}
    for _ in range(2):
        assert add(ListenerArn=arn, Certificates=[one])["Certificates"] == [{**one, "IsDefault": False}]
    refused("ValidationError", lambda: add(ListenerArn=arn, Certificates=[one, default]))
    refused("ValidationError", lambda: add(ListenerArn=arn, Certificates=[{**one, "IsDefault": False}]))
    refused("ValidationError", lambda: add(ListenerArn=arn, Certificates=[]))
    unknown = {"CertificateArn": sni[:-4] + "0000"}
    refused("CertificateNotFound", lambda: add(ListenerArn=arn, Certificates=[unknown]))
    refused("ListenerNotFound", lambda: add(ListenerArn=arn[:-16] + NOBODY, Certificates=[one]))
    # The default one may stand in the list too, and is then shown twice.
    add(ListenerArn=arn, Certificates=[default])
    shown = elb.client.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert sorted((c["CertificateArn"], c["IsDefault"]) for c in shown) == sorted(
        [(elb.certificate, True), (elb.certificate, False), (sni, False)]
    )
    assert elb.described_listener(arn)["Certificates"] == [default]


@rule("elb.certificates.https_only")
def test_http_listeners_take_no_certificates(elb):
    one = [{"CertificateArn": elb.certificate}]
    arn = elb.listener()
    refused(("ValidationError", "UnsupportedProtocol"), lambda: elb.client.add_listener_certificates(ListenerArn=arn, Certificates=one))


@rule("elb.certificates.remove", "elb.certificates.remove_default")
def test_certificates_are_removed(elb):
    arn = elb.listener(Protocol="HTTPS")
    remove = elb.client.remove_listener_certificates
    one, default = [{"CertificateArn": elb.another_certificate()}], [{"CertificateArn": elb.certificate}]
    elb.client.add_listener_certificates(ListenerArn=arn, Certificates=one)
    remove(ListenerArn=arn, Certificates=one)
    remove(ListenerArn=arn, Certificates=one)
    refused("OperationNotPermitted", lambda: remove(ListenerArn=arn, Certificates=default))
    refused("ListenerNotFound", lambda: remove(ListenerArn=arn[:-16] + NOBODY, Certificates=one))
    assert len(elb.client.describe_listener_certificates(ListenerArn=arn)["Certificates"]) == 1


@rule("elb.certificates.quota")
def test_certificates_are_counted(elb):
    arn = elb.listener(Protocol="HTTPS")
    certificates = [elb.another_certificate() for n in range(26)]
    add = lambda certificate: elb.client.add_listener_certificates(
        ListenerArn=arn, Certificates=[{"CertificateArn": certificate}]
    )
    for certificate in certificates[:25]:
        add(certificate)
    refused("TooManyCertificates", lambda: add(certificates[25]))
    add(certificates[0])
    page = elb.client.describe_listener_certificates(ListenerArn=arn, PageSize=20)
    assert len(page["Certificates"]) == 20
    rest = elb.client.describe_listener_certificates(ListenerArn=arn, Marker=page["NextMarker"])
    assert len(rest["Certificates"]) == 6


@rule("elb.certificates.in_use")
def test_a_certificate_in_use_is_not_deleted(elb, aws):
    arn = elb.listener(Protocol="HTTPS")
    refused("ResourceInUseException", lambda: aws.acm.delete_certificate(CertificateArn=elb.certificate))
    elb.client.delete_listener(ListenerArn=arn)


@rule("elb.mutual.modes", "elb.mutual.trust_store", "elb.mutual.verify_only")
def test_mutual_authentication(elb):
    def listener(**mutual):
        return elb.listeners(Protocol="HTTPS", MutualAuthentication=mutual)

    refused("ValidationError", lambda: listener(Mode="maybe"))
    refused("ValidationError", lambda: listener(Mode="verify"))
    store = elb.alb.split(":loadbalancer/")[0] + f":truststore/none/{NOBODY}"
    refused("TrustStoreNotFound", lambda: listener(Mode="verify", TrustStoreArn=store))
    refused("ValidationError", lambda: listener(Mode="verify", TrustStoreArn="store"))
    for mode in ("off", "passthrough"):
        refused("ValidationError", lambda m=mode: listener(Mode=m, TrustStoreArn=store))
        refused("ValidationError", lambda m=mode: listener(Mode=m, IgnoreClientCertificateExpiry=True))
        refused("ValidationError", lambda m=mode: listener(Mode=m, AdvertiseTrustStoreCaNames="on"))
    made = listener(Mode="passthrough")
    assert made["MutualAuthentication"] == {"Mode": "passthrough"}
    off = elb.client.modify_listener(ListenerArn=made["ListenerArn"], MutualAuthentication={"Mode": "off"})
    assert off["Listeners"][0]["MutualAuthentication"] == {"Mode": "off"}


@rule("elb.mutual.not_ready", "elb.mutual.readback", "elb.mutual.in_use", "elb.mutual.quota")
def test_listeners_that_verify(elb, aws):
    store = create(aws, Objects(aws))["TrustStoreArn"]

    def listener(port=443, **mutual):
        mutual = {"Mode": "verify", "TrustStoreArn": store, **mutual}
        return elb.listeners(Protocol="HTTPS", Port=port, MutualAuthentication=mutual)

    refused("TrustStoreNotReady", listener)
    made = eventually(listener)
    assert made["MutualAuthentication"] == {
        "Mode": "verify", "TrustStoreArn": store, "IgnoreClientCertificateExpiry": False,
        "TrustStoreAssociationStatus": "active", "AdvertiseTrustStoreCaNames": "off"}
    refused("TrustStoreInUse", lambda: aws.elbv2.delete_trust_store(TrustStoreArn=store))
    second = listener(8443, IgnoreClientCertificateExpiry=True, AdvertiseTrustStoreCaNames="on")["MutualAuthentication"]
    assert second["IgnoreClientCertificateExpiry"] is True and second["AdvertiseTrustStoreCaNames"] == "on"
    refused((CONFIGURATION, "TooManyListeners", "ValidationError"), lambda: listener(9443))
    off = elb.client.modify_listener(ListenerArn=made["ListenerArn"], MutualAuthentication={"Mode": "off"})
    assert off["Listeners"][0]["MutualAuthentication"] == {"Mode": "off"}
    listener(9443)


def attributes(answer):
    return {a["Key"]: a["Value"] for a in answer["Attributes"]}


RESPONSE = [
    "strict_transport_security", "access_control_allow_origin", "access_control_allow_methods",
    "access_control_allow_headers", "access_control_allow_credentials", "access_control_expose_headers",
    "access_control_max_age", "content_security_policy", "x_content_type_options", "x_frame_options",
]
REQUEST = [
    "x_amzn_mtls_clientcert_serial_number", "x_amzn_mtls_clientcert_issuer", "x_amzn_mtls_clientcert_subject",
    "x_amzn_mtls_clientcert_validity", "x_amzn_mtls_clientcert_leaf", "x_amzn_mtls_clientcert",
    "x_amzn_tls_version", "x_amzn_tls_cipher_suite",
]


@rule("elb.listener_attributes.defaults")
def test_attributes_of_listeners(elb):
    describe = elb.client.describe_listener_attributes
    plain = attributes(describe(ListenerArn=elb.listener()))
    expected = {f"routing.http.response.{name}.header_value": "" for name in RESPONSE}
    expected["routing.http.response.server.enabled"] = "true"
    assert plain == expected
    secure = attributes(describe(ListenerArn=elb.listener(Protocol="HTTPS")))
    names = {f"routing.http.request.{name}.header_name" for name in REQUEST}
    assert set(secure) == set(expected) | names
    assert secure["routing.http.request.x_amzn_tls_version.header_name"] == "X-Amzn-Tls-Version"
    refused("ListenerNotFound", lambda: describe(ListenerArn=elb.listener()[:-16] + NOBODY))


@rule("elb.listener_attributes.partial", "elb.listener_attributes.refused")
def test_attributes_of_listeners_change(elb):
    arn = elb.listener()

    def modify(key, value, arn=arn):
        changes = [{"Key": key, "Value": value}]
        return attributes(elb.client.modify_listener_attributes(ListenerArn=arn, Attributes=changes))

    after = modify("routing.http.response.server.enabled", "false")
    assert after["routing.http.response.server.enabled"] == "false"
    after = modify("routing.http.response.x_frame_options.header_value", "DENY")
    assert after["routing.http.response.server.enabled"] == "false"
    codes = ("ValidationError", CONFIGURATION)
    for key, value in [
        ("tcp.idle_timeout.seconds", "350"),
        ("routing.http.request.x_amzn_tls_version.header_name", "X-Tls"),
        ("no.such.key", "x"),
        ("routing.http.response.server.enabled", "maybe"),
        ("routing.http.response.x_content_type_options.header_value", "sniff"),
        ("routing.http.response.access_control_max_age.header_value", "long"),
    ]:
        refused(codes, lambda k=key, v=value: modify(k, v))
    both = [
        {"Key": "routing.http.response.server.enabled", "Value": "true"},
        {"Key": "no.such.key", "Value": "x"},
    ]
    refused(codes, lambda: elb.client.modify_listener_attributes(ListenerArn=arn, Attributes=both))
    now = attributes(elb.client.describe_listener_attributes(ListenerArn=arn))
    assert now["routing.http.response.server.enabled"] == "false"
    assert now["routing.http.response.x_frame_options.header_value"] == "DENY"
    refused("ListenerNotFound", lambda: modify("routing.http.response.server.enabled", "true", arn[:-16] + NOBODY))


@pytest.fixture
def nlb(elb):
    return elb.balancer(Type="network", Scheme="internal")


@rule("nlb.listener.protocols", "nlb.listener.forward_only")
def test_listeners_of_a_network_load_balancer(elb, nlb):
    group = elb.group(Protocol="TCP")

    def listener(protocol="TCP", port=80, **settings):
        action = settings.pop("DefaultActions", [forward(group)])
        return elb.listeners(LoadBalancerArn=nlb, Protocol=protocol, Port=port, DefaultActions=action, **settings)

    for protocol in ("HTTP", "HTTPS"):
        refused("ValidationError", lambda p=protocol: listener(p))
    made = listener()
    assert made["DefaultActions"][0]["TargetGroupArn"] == group
    assert "/net/" in made["ListenerArn"]
    for action in (NOT_FOUND, redirect(Host="x.example.com")):
        refused("InvalidLoadBalancerAction", lambda a=action: listener(port=81, DefaultActions=[a]))
    http = elb.group()
    refused("IncompatibleProtocols", lambda: listener(port=81, DefaultActions=[forward(http)]))
    refused("IncompatibleProtocols", lambda: listener("UDP", 81))
    two = {"Type": "forward", "ForwardConfig": {"TargetGroups": [
        {"TargetGroupArn": group, "Weight": 1}, {"TargetGroupArn": elb.group(Protocol="TCP"), "Weight": 1}]}}
    refused(("TooManyTargetGroups", "InvalidLoadBalancerAction"), lambda: listener(port=81, DefaultActions=[two]))
    refused("ValidationError", lambda: listener("TCP", 81, Certificates=[{"CertificateArn": elb.certificate}]))


@rule("nlb.listener.tls", "nlb.listener.alpn")
def test_tls_listeners(elb, nlb):
    group = elb.group(Protocol="TCP")

    def listener(**settings):
        merged = {"Certificates": [{"CertificateArn": elb.certificate}], **settings}
        return elb.listeners(LoadBalancerArn=nlb, Protocol="TLS", Port=443, DefaultActions=[forward(group)], **merged)

    refused("ValidationError", lambda: listener(Certificates=[]))
    refused("ALPNPolicyNotFound", lambda: listener(AlpnPolicy=["HTTP3Only"]))
    refused("ValidationError", lambda: listener(AlpnPolicy=["HTTP1Only", "HTTP2Only"]))
    made = listener(AlpnPolicy=["HTTP2Preferred"])
    assert made["AlpnPolicy"] == ["HTTP2Preferred"]
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08"


@rule("nlb.rules")
def test_network_listeners_have_no_rules(elb, nlb):
    group = elb.group(Protocol="TCP")
    arn = elb.listener(LoadBalancerArn=nlb, Protocol="TCP", DefaultActions=[forward(group)])
    for condition in (path("/a"), host("a.example.com")):
        refused(("UnsupportedProtocol", "ValidationError"), lambda c=condition: elb.rule(arn, Conditions=[c], Actions=[forward(group)]))


@rule("nlb.listener_attributes")
def test_attributes_of_network_listeners(elb, nlb):
    group = elb.group(Protocol="TCP")
    arn = elb.listener(LoadBalancerArn=nlb, Protocol="TCP", DefaultActions=[forward(group)])
    assert attributes(elb.client.describe_listener_attributes(ListenerArn=arn)) == {"tcp.idle_timeout.seconds": "350"}
    modify = lambda value: elb.client.modify_listener_attributes(
        ListenerArn=arn, Attributes=[{"Key": "tcp.idle_timeout.seconds", "Value": value}]
    )
    for value in ("59", "6001", "x"):
        refused(("ValidationError", CONFIGURATION), lambda v=value: modify(v))
    assert attributes(modify("6000")) == {"tcp.idle_timeout.seconds": "6000"}
