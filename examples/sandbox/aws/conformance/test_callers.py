"""Who may call: keys, signatures, roles, accounts and regions."""

import base64
import datetime
import json
import urllib.parse
import urllib.request

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from callers import keys_of, registered, role, trusting
from conftest import ACCOUNT, refused, rule

OTHER = "999999999999"

# A harmless read of each family of services.
READS = {
    "query": lambda aws: aws.elbv2.describe_load_balancers(),
    "sts": lambda aws: aws.sts.get_caller_identity(),
    "ec2": lambda aws: aws.ec2.describe_vpcs(),
    "rest": lambda aws: aws.route53.list_hosted_zones(),
    "json": lambda aws: aws.acm.list_certificates(),
}

UNKNOWN = {
    "query": ("InvalidClientTokenId", 403),
    "sts": ("InvalidClientTokenId", 403),
    "ec2": ("AuthFailure", 401),
    "rest": ("InvalidClientTokenId", 403),
    "json": ("UnrecognizedClientException", 400),
}

WRONG = {
    "query": ("SignatureDoesNotMatch", 403),
    "sts": ("SignatureDoesNotMatch", 403),
    "ec2": ("AuthFailure", 401),
    "rest": ("SignatureDoesNotMatch", 403),
    "json": ("InvalidSignatureException", 400),
}

EXPIRED = {
    "query": ("ExpiredToken", 403),
    "sts": ("ExpiredToken", 403),
    "ec2": ("RequestExpired", 400),
    "rest": ("ExpiredToken", 403),
    "json": ("ExpiredTokenException", 400),
}


@rule("caller.stranger")
def test_a_key_that_nobody_registered_is_the_account(aws):
    identity = aws.as_(key="AKIAWHOEVER").sts.get_caller_identity()
    assert identity["Account"] == ACCOUNT
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert identity["UserId"] == ACCOUNT


@rule("caller.registered", "caller.account")
def test_a_registered_key_is_bound_to_its_account(aws):
    theirs = registered(aws, account=OTHER, user="web")
    identity = theirs.sts.get_caller_identity()
    assert identity["Account"] == OTHER
    assert identity["Arn"] == f"arn:aws:iam::{OTHER}:user/web"
    assert identity["UserId"].startswith("AIDA")
    made = theirs.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]
    assert made["OwnerId"] == OTHER
    refused("InvalidVpcID.NotFound", lambda: aws.ec2.describe_vpcs(VpcIds=[made["VpcId"]]))


@rule("caller.region")
def test_regions_are_kept_apart(aws):
    there = aws.as_(region="eu-west-1")
    made = there.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    refused("InvalidVpcID.NotFound", lambda: aws.ec2.describe_vpcs(VpcIds=[made]))
    zones = there.ec2.describe_availability_zones()["AvailabilityZones"]
    assert {zone["RegionName"] for zone in zones} == {"eu-west-1"}


OPT_IN = {
    "query": ("OptInRequired", 403),
    "sts": ("OptInRequired", 403),
    "ec2": ("OptInRequired", 401),
    "json": ("UnrecognizedClientException", 400),
}


@pytest.mark.parametrize("family", OPT_IN)
@rule("caller.region.opt_in")
def test_a_region_that_nobody_has_asked_for(aws, family):
    code, status = OPT_IN[family]
    every = aws.ec2.describe_regions(AllRegions=True)["Regions"]
    closed = [one["RegionName"] for one in every if one["OptInStatus"] == "not-opted-in"]
    assert "ap-east-1" in closed
    for region in (closed[0], "ap-east-1"):
        refused(code, lambda: READS[family](aws.as_(region=region)), status=status)
        refused(code, lambda: READS[family](registered(aws).as_(region=region)), status=status)


@rule("caller.region.opt_in", "caller.global")
def test_what_is_one_for_all_regions_needs_no_asking(aws):
    there = aws.as_(region="ap-east-1")
    assert there.route53.list_hosted_zones()["HostedZones"] is not None
    assert there.iam.list_server_certificates()["ServerCertificateMetadataList"] is not None


@pytest.mark.parametrize("family", READS)
@rule("caller.region.unknown", "caller.region.partition")
def test_regions_that_are_not_there_for_these_keys(aws, family):
    code, status = WRONG[family]
    refused(code, lambda: READS[family](aws.as_(region="us-east-9")), status=status)
    code, status = UNKNOWN[family]
    refused(code, lambda: READS[family](aws.as_(region="cn-north-1")), status=status)


@rule("caller.global")
def test_route_53_is_one_for_all_regions(aws):
    name = f"{aws.name()}.example."
    zone = aws.route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    there = aws.as_(region="eu-west-1")
    assert there.route53.get_hosted_zone(Id=zone)["HostedZone"]["Name"] == name


@pytest.mark.parametrize("family", READS)
@rule("caller.signature")
def test_signatures_of_registered_keys_are_verified(aws, family):
    good = registered(aws)
    READS[family](good)
    bad = good.as_(secret="another")
    refused(WRONG[family][0], lambda: READS[family](bad), status=WRONG[family][1])


@pytest.mark.parametrize("family", READS)
@rule("caller.token")
def test_a_session_token_has_to_be_the_right_one(aws, family):
    good = registered(aws, token="token")
    READS[family](good)
    for token in (None, "other"):
        code, status = UNKNOWN[family]
        refused(code, lambda: READS[family](good.as_(token=token)), status=status)


@pytest.mark.parametrize("family", READS)
@rule("caller.expired")
def test_expired_keys(aws, family):
    code, status = EXPIRED[family]
    late = registered(aws, expires="2020-01-01T00:00:00Z")
    refused(code, lambda: READS[family](late), status=status)


@rule("caller.query_string")
def test_a_signature_in_the_query_string(aws):
    good = registered(aws)

    def presigned(secret, expires=60):
        url = f"{aws.endpoint}/?Action=GetCallerIdentity&Version=2011-06-15&X=a%20b"
        url = url.replace("&X=a%20b", "")
        request = AWSRequest("GET", url)
        SigV4QueryAuth(Credentials(good.key, secret), "sts", aws.region, expires).add_auth(request)
        path = request.url[len(aws.endpoint):]
        return aws.http("GET", path)

    answer = presigned(good.secret)
    assert answer.status == 200, answer.body
    assert answer.one("Arn") == good.sts.get_caller_identity()["Arn"]
    assert presigned("other").code == "SignatureDoesNotMatch"


@rule("caller.clock")
def test_clocks_that_differ(aws, monkeypatch):
    good = registered(aws)
    import botocore.auth

    for minutes in (-20, 20):
        shifted = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: shifted.replace(tzinfo=None))
        for family, (code, status) in {
            **WRONG,
            "query": ("RequestExpired", 400),
            "sts": ("RequestExpired", 400),
            "rest": ("RequestExpired", 400),
        }.items():
            refused(code, lambda: READS[family](good.as_()), status=status)


@rule("caller.none")
def test_requests_without_credentials(aws):
    body = "Action=DescribeLoadBalancers&Version=2015-12-01"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = aws.http(headers=headers, body=body)
    assert (answer.status, answer.code) == (403, "MissingAuthenticationToken")
    answer = aws.http(headers=headers, body="Action=DescribeVpcs&Version=2016-11-15")
    assert (answer.status, answer.code) == (401, "AuthFailure")
    answer = aws.http("GET", "/2013-04-01/hostedzone")
    assert (answer.status, answer.code) == (403, "InvalidClientTokenId")
    answer = aws.http(headers={"x-amz-target": "CertificateManager.ListCertificates"}, body="{}")
    assert (answer.status, answer.code) == (400, "UnrecognizedClientException")
    answer = aws.http(headers={**headers, "authorization": "Bearer x"}, body=body)
    assert (answer.status, answer.code) == (400, "IncompleteSignature")


@rule("caller.scope")
def test_a_signature_for_another_service(aws):
    answer = aws.form("ec2", "2015-12-01", "DescribeLoadBalancers")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    answer = aws.form("elasticloadbalancing", "2016-11-15", "DescribeVpcs")
    assert (answer.status, answer.code) == (401, "AuthFailure")
    nowhere = aws.as_(region="everywhere")
    answer = nowhere.form("elasticloadbalancing", "2015-12-01", "DescribeLoadBalancers")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    answer = aws.target("wafv2", "CertificateManager.ListCertificates")
    assert (answer.status, answer.code) == (400, "InvalidSignatureException")


def simulated(aws):
    """The time of the simulator, which tests may have moved forward."""
    ahead = datetime.timedelta(milliseconds=aws.sim.get("time")["ahead_ms"])
    return datetime.datetime.now(datetime.timezone.utc) + ahead


# What a session may do at most.
READING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}],
}


@rule("sts.assume_role", "sts.assume_role.other_account")
def test_a_role_of_another_account_is_assumed(aws):
    arn = role(aws, OTHER, trust_policy=trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    answer = aws.sts.assume_role(RoleArn=arn, RoleSessionName="web@1")
    name = arn.rsplit("/", 1)[1]
    session = f"arn:aws:sts::{OTHER}:assumed-role/{name}/web@1"
    assert answer["AssumedRoleUser"]["Arn"] == session
    assert answer["AssumedRoleUser"]["AssumedRoleId"].startswith("AROA")
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    left = answer["Credentials"]["Expiration"] - simulated(aws)
    assert 3500 < left.total_seconds() <= 3600
    assumed = keys_of(aws, answer)
    identity = assumed.sts.get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (OTHER, session)
    assert identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    vpc = assumed.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]
    assert vpc["OwnerId"] == OTHER
    refused("SignatureDoesNotMatch", lambda: assumed.as_(secret="x").sts.get_caller_identity())
    refused("InvalidClientTokenId", lambda: assumed.as_(token="x").sts.get_caller_identity())


@rule("sts.assume_role.trust")
def test_a_role_that_trusts_somebody_else(aws):
    trust = trusting({"AWS": "arn:aws:iam::111111111111:root"})
    arn = role(aws, trust_policy=trust)
    error = refused(
        "AccessDenied",
        lambda: aws.sts.assume_role(RoleArn=arn, RoleSessionName="web"),
        status=403,
    )
    assert f"not authorized to perform: sts:AssumeRole on resource: {arn}" in error.message


@rule("sts.assume_role.unknown")
def test_a_role_that_does_not_exist(aws):
    arn = f"arn:aws:iam::{ACCOUNT}:role/{aws.name('nobody')}"
    error = refused(
        "AccessDenied",
        lambda: aws.sts.assume_role(RoleArn=arn, RoleSessionName="web"),
        status=403,
    )
    assert f"not authorized to perform: sts:AssumeRole on resource: {arn}" in error.message
    issuer = f"https://{aws.name()}.example"
    role(aws, issuer=issuer)
    answer = unsigned(aws, arn, token(iss=issuer))
    assert (answer.status, answer.code) == (403, "AccessDenied")


@rule("sts.assume_role.external_id")
def test_an_external_id(aws):
    condition = {"StringEquals": {"sts:ExternalId": "secret-handshake"}}
    arn = role(aws, trust_policy=trusting({"AWS": ACCOUNT}, condition))
    call = lambda **more: aws.sts.assume_role(RoleArn=arn, RoleSessionName="web", **more)
    call(ExternalId="secret-handshake")
    refused("AccessDenied", call)
    refused("AccessDenied", lambda: call(ExternalId="other"))


@rule("sts.assume_role.parameters")
def test_parameters_of_assume_role(aws):
    arn = role(aws)

    def call(**more):
        parameters = {"RoleArn": arn, "RoleSessionName": "web", **more}
        return lambda: aws.unchecked.sts.assume_role(**parameters)

    for bad in (
        {"RoleSessionName": "a"},
        {"RoleSessionName": "a" * 65},
        {"RoleSessionName": "with space"},
        {"DurationSeconds": 899},
        {"DurationSeconds": 43201},
        {"ExternalId": "x"},
        {"RoleArn": "arn:aws:iam::123456789012:user/nobody"},
        {"RoleArn": "role"},
        {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]},
    ):
        refused("ValidationError", call(**bad), status=400)
    refused("MalformedPolicyDocument", call(Policy="{"), status=400)
    for good in (
        {"DurationSeconds": 900},
        {"DurationSeconds": 43200},
        {"Tags": [{"Key": "a", "Value": "1"}], "TransitiveTagKeys": ["a"]},
        {"Policy": json.dumps(READING)},
        {"SourceIdentity": "someone"},
    ):
        call(**good)()


@rule("sts.assume_role.duration")
def test_the_longest_session(aws):
    arn = role(aws, max_session_seconds=7200)
    call = lambda by, seconds: by.sts.assume_role(
        RoleArn=arn, RoleSessionName="web", DurationSeconds=seconds
    )
    refused("ValidationError", lambda: call(aws, 7201))
    assumed = keys_of(aws, call(aws, 7200))
    # A role that was assumed assumes another: one hour at most.
    call(assumed, 3600)
    refused("ValidationError", lambda: call(assumed, 3601))


def token(**claims):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    claims = {"sub": "system:serviceaccount:kube-system:web", "aud": ["sts.amazonaws.com"],
              "exp": 4_000_000_000, **claims}
    return f"{part({'alg': 'RS256', 'kid': '1'})}.{part(claims)}.c2ln"


def unsigned(aws, arn, web_token, **more):
    """Without any credentials, as it is called in a Pod."""
    fields = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": arn,
        "RoleSessionName": "web",
        "WebIdentityToken": web_token,
        **more,
    }
    return aws.http(
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=urllib.parse.urlencode(fields),
    )


@rule("sts.web_identity", "sts.web_identity.issuer")
def test_a_role_is_assumed_by_web_identity(aws):
    issuer = f"https://{aws.name()}.example"
    arn = role(aws, issuer=issuer)
    answer = unsigned(aws, arn, token(iss=issuer))
    assert answer.status == 200, answer.body
    assert answer.one("SubjectFromWebIdentityToken") == "system:serviceaccount:kube-system:web"
    assert answer.one("Provider") == issuer
    assert answer.one("Audience") == "sts.amazonaws.com"
    keys = aws.as_(
        key=answer.one("AccessKeyId"),
        secret=answer.one("SecretAccessKey"),
        token=answer.one("SessionToken"),
    )
    assert keys.sts.get_caller_identity()["Arn"].endswith("/web")
    stranger = unsigned(aws, arn, token(iss="https://nobody.example"))
    assert (stranger.status, stranger.code) == (400, "InvalidIdentityToken")
    other = f"https://{aws.name()}.example"
    role(aws, issuer=other)
    stranger = unsigned(aws, arn, token(iss=other))
    assert (stranger.status, stranger.code) == (403, "AccessDenied")


@rule("sts.web_identity.token")
def test_tokens_that_are_not_good(aws):
    issuer = f"https://{aws.name()}.example"
    arn = role(aws, issuer=issuer)
    for bad, code in (
        ("a.b.c.d", "InvalidIdentityToken"),
        (token(iss=issuer).rsplit(".", 1)[0], "InvalidIdentityToken"),
        (token(iss=issuer, exp=1), "ExpiredTokenException"),
        (token(iss=issuer, nbf=4_000_000_000), "InvalidIdentityToken"),
    ):
        answer = unsigned(aws, arn, bad)
        assert (answer.status, answer.code) == (400, code)


@rule("sts.web_identity.trust")
def test_the_trust_policy_of_a_web_identity(aws):
    host = f"{aws.name()}.example"
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"
    condition = {"StringEquals": {f"{host}:sub": "system:serviceaccount:kube-system:web"}}
    trust = trusting({"Federated": provider}, condition, "sts:AssumeRoleWithWebIdentity")
    arn = role(aws, issuer=f"https://{host}", trust_policy=trust)
    assert unsigned(aws, arn, token(iss=f"https://{host}")).status == 200
    answer = unsigned(aws, arn, token(iss=f"https://{host}", sub="somebody"))
    assert (answer.status, answer.code) == (403, "AccessDenied")


@rule("sts.session_token")
def test_a_session_of_a_user(aws):
    user = registered(aws, user="web")
    session = keys_of(aws, user.sts.get_session_token(DurationSeconds=900))
    assert session.sts.get_caller_identity() ["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/web"
    refused("AccessDenied", lambda: session.sts.get_session_token())


@rule("sts.access_key_info")
def test_the_account_of_a_key(aws):
    theirs = registered(aws, account=OTHER)
    assert aws.sts.get_access_key_info(AccessKeyId=theirs.key)["Account"] == OTHER


@rule("sts.decode_message")
def test_a_message_that_nobody_encoded(aws):
    refused(
        "InvalidAuthorizationMessageException",
        lambda: aws.sts.decode_authorization_message(EncodedMessage="nonsense"),
    )
