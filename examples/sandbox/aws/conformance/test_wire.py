"""The protocols: how requests are read, and how answers and refusals look."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.parse

import pytest

from conftest import HERE, refused, rule

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
ROUTE_53 = "https://route53.amazonaws.com/doc/2013-04-01/"


@pytest.fixture
def group(aws, vpc):
    """A target group."""
    made = aws.elbv2.create_target_group(
        Name=aws.name("tg"), Protocol="HTTP", Port=80, VpcId=vpc.id
    )
    return made["TargetGroups"][0]["TargetGroupArn"]


def elb(aws, action, **parameters):
    return aws.form("elasticloadbalancing", "2015-12-01", action, **parameters)


def ec2(aws, action, **parameters):
    return aws.form("ec2", "2016-11-15", action, **parameters)


# Requests


@rule("wire.query.lists")
def test_lists_and_structures_of_aws_query(aws, group):
    answer = elb(
        aws,
        "AddTags",
        **{
            "ResourceArns.member.1": group,
            "Tags.member.1.Key": "a",
            "Tags.member.1.Value": "1",
            "Tags.member.2.Key": "b",
        },
    )
    assert answer.status == 200, answer.body
    tags = aws.elbv2.describe_tags(ResourceArns=[group])["TagDescriptions"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "b": ""}


@rule("wire.query.get")
def test_aws_query_by_get(aws):
    query = "Action=DescribeAccountLimits&Version=2015-12-01"
    answer = aws.http("GET", f"/?{query}", sign="elasticloadbalancing")
    assert answer.status == 200, answer.body
    assert "<Limits>" in answer.body


@rule("wire.query.empty_list")
def test_an_empty_list_is_a_name_without_a_value(aws):
    answer = elb(aws, "DescribeLoadBalancers", LoadBalancerArns="")
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    "name", ["Names.member.2", "Names.member.0", "Names.member.x", "Names.1", "Names.member.01"]
)
@rule("wire.query.bad_list")
def test_lists_that_are_not_numbered_from_1(aws, name):
    answer = elb(aws, "DescribeLoadBalancers", **{name: "a"})
    assert (answer.status, answer.code) == (400, "ValidationError")


@rule("wire.query.unknown_parameter", "wire.ec2.unknown_parameter", "wire.rest.unknown_parameter")
def test_parameters_that_an_operation_does_not_have(aws):
    answer = elb(aws, "DescribeLoadBalancers", Colour="red")
    assert (answer.status, answer.code) == (400, "ValidationError")
    answer = ec2(aws, "DescribeVpcs", Colour="red")
    assert (answer.status, answer.code) == (400, "UnknownParameter")
    answer = aws.http("GET", "/2013-04-01/hostedzone?colour=red", sign="route53")
    assert (answer.status, answer.code) == (400, "InvalidInput")


@rule("wire.json.unknown_parameter")
def test_json_passes_over_what_it_does_not_know(aws):
    answer = aws.target("acm", "CertificateManager.ListCertificates", '{"Colour": "red"}')
    assert answer.status == 200, answer.body


@rule("wire.ec2.names")
def test_names_of_ec2(aws, vpc):
    name = aws.name()
    answer = ec2(
        aws,
        "CreateSecurityGroup",
        GroupName=name,
        GroupDescription="of a test",
        VpcId=vpc.id,
        **{
            "TagSpecification.1.ResourceType": "security-group",
            "TagSpecification.1.Tag.1.Key": "k",
            "TagSpecification.1.Tag.1.Value": "v",
        },
    )
    assert answer.status == 200, answer.body
    found = ec2(
        aws,
        "DescribeSecurityGroups",
        **{
            "Filter.1.Name": "vpc-id",
            "Filter.1.Value.1": vpc.id,
            "Filter.2.Name": "group-name",
            "Filter.2.Value.1": "nobody",
            "Filter.2.Value.2": name,
        },
    )
    assert found.one("groupId") == answer.one("groupId")
    # SDK names are not the wire's.
    answer = ec2(aws, "CreateSecurityGroup", GroupName=name, Description="x", VpcId=vpc.id)
    assert answer.code in ("UnknownParameter", "MissingParameter")


@rule("wire.rest.paths")
def test_paths_of_route_53(aws):
    name = f"{aws.name()}.example."
    zone = aws.route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    bare = zone.rsplit("/", 1)[1]
    for path in (bare, f"{bare}/rrset", f"{bare}/rrset/", f"/hostedzone/{bare}", f"%2Fhostedzone%2F{bare}"):
        answer = aws.http("GET", f"/2013-04-01/hostedzone/{path}", sign="route53")
        assert answer.status == 200, answer.body
    answer = aws.http("GET", "/2013-04-01/balloon", sign="route53")
    assert (answer.status, answer.code) == (404, "UnknownOperationException")


@rule("wire.rest.root")
def test_bodies_of_route_53(aws):
    name = f"{aws.name()}.example."
    zone = aws.route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    change = lambda body: aws.http(
        "POST", f"/2013-04-01{zone}/rrset/", body=body, sign="route53"
    )
    for bad in (
        "",
        "<",
        "<ChangeBatch/>",
        "<ChangeResourceRecordSetsRequest/>",
        f'<ChangeResourceRecordSetsRequest xmlns="{ROUTE_53}x"/>',
        f'<ChangeResourceRecordSets xmlns="{ROUTE_53}"/>',
    ):
        answer = change(bad)
        assert (answer.status, answer.code) == (400, "MalformedInput"), bad
    assert "expected ChangeResourceRecordSetsRequest" in answer.one("Message")
    inside = lambda text: change(
        f'<ChangeResourceRecordSetsRequest xmlns="{ROUTE_53}">{text}</ChangeResourceRecordSetsRequest>'
    )
    for bad in (
        "",
        "<ChangeBatch/>",
        "<ChangeBatch><Changes/></ChangeBatch>",
        "<ChangeBatch><Colour/></ChangeBatch>",
        "<ChangeBatch><Changes><Change><Action>MOVE</Action></Change></Changes></ChangeBatch>",
    ):
        answer = inside(bad)
        assert (answer.status, answer.code) == (400, "InvalidInput"), bad


@rule("wire.json.types")
def test_json_of_another_type(aws):
    for body in (
        "",
        "{}",
    ):
        answer = aws.target("acm", "CertificateManager.ListCertificates", body)
        assert answer.status == 200, answer.body
    for body in (
        "[]",
        "1",
        "{",
        "nonsense",
        '{"MaxItems": "10"}',
        '{"MaxItems": 1.5}',
        '{"Includes": []}',
        '{"CertificateStatuses": "ISSUED"}',
        '{"CertificateStatuses": [1]}',
        '{"NextToken": 1}',
    ):
        answer = aws.target("acm", "CertificateManager.ListCertificates", body)
        assert (answer.status, answer.code) == (400, "SerializationException"), body


# Answers


@rule("wire.query.answer")
def test_the_answer_of_aws_query(aws):
    answer = elb(aws, "DescribeLoadBalancers", PageSize="1")
    assert answer.headers["content-type"].startswith("text/xml")
    space = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
    assert f'<DescribeLoadBalancersResponse xmlns="{space}"><DescribeLoadBalancersResult>' in answer.body
    identifier = answer.one("RequestId")
    assert UUID.match(identifier)
    assert answer.headers["x-amzn-RequestId"] == identifier
    assert f"<ResponseMetadata><RequestId>{identifier}</RequestId></ResponseMetadata>" in answer.body


@rule("wire.query.empty_answer")
def test_an_answer_without_content(aws, group):
    answer = elb(aws, "RemoveTags", **{"ResourceArns.member.1": group, "TagKeys.member.1": "a"})
    assert re.search(r"<RemoveTagsResult\s*/>|<RemoveTagsResult></RemoveTagsResult>", answer.body)


@rule("wire.ec2.answer")
def test_the_answer_of_ec2(aws, vpc):
    answer = ec2(aws, "DescribeVpcs", **{"VpcId.1": vpc.id})
    space = "http://ec2.amazonaws.com/doc/2016-11-15/"
    assert f'<DescribeVpcsResponse xmlns="{space}"><requestId>' in answer.body
    assert UUID.match(answer.one("requestId"))
    assert answer.headers["x-amzn-RequestId"] == answer.one("requestId")
    assert "<vpcSet><item>" in answer.body
    made = ec2(aws, "CreateTags", **{"ResourceId.1": vpc.id, "Tag.1.Key": "a", "Tag.1.Value": "<&>"})
    assert made.one("return") == "true"
    assert "<value>&lt;&amp;&gt;</value>" in ec2(aws, "DescribeVpcs", **{"VpcId.1": vpc.id}).body


@rule("wire.rest.answer")
def test_the_answer_of_route_53(aws):
    name = f"{aws.name()}.example."
    body = (
        f'<CreateHostedZoneRequest xmlns="{ROUTE_53}"><Name>{name}</Name>'
        f"<CallerReference>{name}</CallerReference></CreateHostedZoneRequest>"
    )
    answer = aws.http("POST", "/2013-04-01/hostedzone", body=body, sign="route53")
    assert answer.status == 201
    assert f'<CreateHostedZoneResponse xmlns="{ROUTE_53}">' in answer.body
    identifier = re.search(r"<Id>(/hostedzone/Z[A-Z0-9]+)</Id>", answer.body).group(1)
    assert answer.headers["location"].endswith(identifier)
    assert UUID.match(answer.headers["x-amzn-RequestId"])


@rule("wire.json.answer")
def test_the_answer_of_json(aws):
    answer = aws.target("acm", "CertificateManager.ListCertificates")
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert UUID.match(answer.headers["x-amzn-RequestId"])
    assert isinstance(answer.json()["CertificateSummaryList"], list)


@rule("wire.times")
def test_times_carry_milliseconds(aws, vpc):
    made = elb(
        aws,
        "CreateLoadBalancer",
        Name=aws.name("lb"),
        **{f"Subnets.member.{n + 1}": subnet for n, subnet in enumerate(vpc.subnets)},
    )
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", made.one("CreatedTime"))


# Refusals


@rule("wire.query.error")
def test_the_refusal_of_aws_query(aws):
    answer = elb(aws, "DescribeTargetGroups", **{"Names.member.1": aws.name("no")})
    space = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
    identifier = answer.one("RequestId")
    assert answer.headers["x-amzn-RequestId"] == identifier
    assert f'<ErrorResponse xmlns="{space}"><Error><Type>Sender</Type><Code>TargetGroupNotFound</Code><Message>' in answer.body
    assert answer.body.endswith(f"</Error><RequestId>{identifier}</RequestId></ErrorResponse>")


@rule("wire.ec2.error")
def test_the_refusal_of_ec2(aws):
    answer = ec2(aws, "DescribeVpcs", **{"VpcId.1": "vpc-00000000000000000"})
    identifier = answer.one("RequestID")
    assert answer.headers["x-amzn-RequestId"] == identifier
    assert "<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>" in answer.body
    assert answer.body.endswith(f"</Error></Errors><RequestID>{identifier}</RequestID></Response>")


@rule("wire.rest.error")
def test_the_refusal_of_route_53(aws):
    answer = aws.http("GET", "/2013-04-01/hostedzone/ZNOBODY", sign="route53")
    assert (answer.status, answer.code) == (404, "NoSuchHostedZone")
    assert f'<ErrorResponse xmlns="{ROUTE_53}"><Error><Type>Sender</Type>' in answer.body


@rule("wire.json.error")
def test_the_refusal_of_json(aws):
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    body = json.dumps({"CertificateArn": arn})
    answer = aws.target("acm", "CertificateManager.DescribeCertificate", body)
    assert (answer.status, answer.json()["__type"]) == (400, "ResourceNotFoundException")
    assert answer.json()["message"]
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"


@rule("wire.unknown_action")
def test_unknown_actions(aws):
    for answer in (elb(aws, "CreateBalloon"), ec2(aws, "CreateBalloon"), aws.form("sts", "2011-06-15", "Fly")):
        assert (answer.status, answer.code) == (400, "InvalidAction")
    answer = elb(aws, "CreateBalloon")
    assert answer.one("Message") == "Could not find operation CreateBalloon for version 2015-12-01"
    answer = ec2(aws, "CreateBalloon")
    assert answer.one("Message") == "The action CreateBalloon is not valid for this web service."
    for service, target in (
        ("acm", "CertificateManager"),
        ("wafv2", "AWSWAF_20190729"),
        ("waf-regional", "AWSWAF_Regional_20161128"),
        ("shield", "AWSShield_20160616"),
        ("tagging", "ResourceGroupsTaggingAPI_20170126"),
        ("cognito-idp", "AWSCognitoIdentityProviderService"),
    ):
        answer = aws.target(service, f"{target}.CreateBalloon")
        assert (answer.status, answer.code) == (400, "UnknownOperationException")


def logged(aws, answer):
    """The call in the log that was given an answer."""
    calls = aws.sim.get("log")
    return next(call for call in calls if call["request_id"] == answer.headers["x-amzn-RequestId"])


@pytest.mark.parametrize("version", ["2012-06-01", "2016-11-15x", "", None])
@rule("wire.unknown_version")
def test_versions_that_are_not_served(aws, version):
    sent = {} if version is None else {"Version": version}
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    told = version or "NO_VERSION_SPECIFIED"
    for service, action in (
        ("elasticloadbalancing", "DescribeLoadBalancers"),
        ("sts", "GetCallerIdentity"),
        ("iam", "ListServerCertificates"),
    ):
        body = urllib.parse.urlencode({"Action": action, **sent, "Marker": "m"})
        answer = aws.http(headers=headers, body=body, sign=service)
        assert (answer.status, answer.code) == (400, "InvalidAction"), answer.body
        assert answer.one("Message") == f"Could not find operation {action} for version {told}"
        call = logged(aws, answer)
        assert (call["service"], call["action"]) == (service, action)
        assert call["code"] == "InvalidAction"
        assert call["parameters"] == {"Marker": "m", **({"Version": version} if version else {})}
    body = urllib.parse.urlencode({"Action": "DescribeVpcs", **sent})
    for method, path, text in (("POST", "/", body), ("GET", f"/?{body}", "")):
        answer = aws.http(method, path, headers=headers, body=text, sign="ec2")
        code = "InvalidAction" if version else "MissingParameter"
        assert (answer.status, answer.code) == (400, code), answer.body
        assert "<Response><Errors>" in answer.body
        assert logged(aws, answer)["action"] == "DescribeVpcs"


@rule("wire.unknown_version")
def test_who_calls_comes_before_the_version(aws):
    body = "Action=DescribeLoadBalancers&Version=2012-06-01"
    stranger = aws.as_(region="everywhere")
    answer = stranger.http(body=body, sign="elasticloadbalancing")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    answer = aws.http(body="Version=2012-06-01", sign="elasticloadbalancing")
    assert (answer.status, answer.code) == (400, "MissingAction")


@rule("wire.unknown_service", "wire.unknown_service.log")
def test_services_that_are_not_there(aws):
    answer = aws.target("dynamodb", "DynamoDB_20120810.ListTables")
    assert (answer.status, answer.code) == (400, "UnknownOperationException")
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert logged(aws, answer)["action"] == "DynamoDB_20120810.ListTables"
    answer = aws.http("GET", "/bucket/key", sign="s3")
    assert (answer.status, answer.code) == (400, "UnknownOperationException")
    assert answer.headers["content-type"].startswith("text/xml")
    assert logged(aws, answer)["action"] == "GET /bucket/key"
    answer = aws.form("autoscaling", "2011-01-01", "DescribeAutoScalingGroups")
    assert (answer.status, answer.code) == (400, "InvalidAction")
    assert answer.one("Message") == "Could not find operation DescribeAutoScalingGroups for version 2011-01-01"
    call = logged(aws, answer)
    assert (call["service"], call["action"]) == ("autoscaling", "DescribeAutoScalingGroups")
    assert call["parameters"] == {"Version": "2011-01-01"}
    answer = aws.http("GET", "/2013-04-02/hostedzone", sign="route53")
    assert (answer.status, answer.code) == (404, "UnknownOperationException")


@pytest.mark.parametrize("service, path", [("eks", "/clusters"), ("lambda", "/2015-03-31/functions")])
@rule("wire.unknown_service.rest_json", "wire.unknown_service.log")
def test_rest_services_in_json_that_are_not_there(aws, service, path):
    answer = aws.http("GET", path, sign=service)
    assert (answer.status, answer.code) == (400, "UnknownOperationException")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amzn-errortype"] == "UnknownOperationException"
    assert answer.json()["message"]
    call = logged(aws, answer)
    assert (call["service"], call["action"], call["status"]) == (service, f"GET {path}", 400)
    client = aws.client(service)
    ask = client.list_clusters if service == "eks" else client.list_functions
    refused("UnknownOperationException", ask, status=400)


@rule("wire.unknown_service.cbor")
def test_services_that_do_not_speak_cbor(aws):
    headers = {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    path = "/service/CertificateManager/operation/ListCertificates"
    answer = aws.http(path=path, headers=headers, body=b"\xa0", sign="acm")
    assert answer.status == 400
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
    assert "UnknownOperationException" in answer.body
    assert logged(aws, answer)["action"] == "CertificateManager.ListCertificates"


# What the models say about values


@rule("wire.query.enum")
def test_values_outside_of_an_enumeration(aws, vpc):
    error = refused(
        "ValidationError",
        lambda: aws.elbv2.create_target_group(
            Name=aws.name(), Protocol="FTP", Port=21, VpcId=vpc.id
        ),
        status=400,
    )
    assert error.message.startswith(
        "1 validation error detected: Value 'FTP' at 'protocol' failed to satisfy constraint: "
        "Member must satisfy enum value set: ["
    )


@rule("wire.query.several")
def test_all_violations_in_one_message(aws, vpc):
    error = refused(
        "ValidationError",
        lambda: aws.elbv2.create_target_group(
            Name=aws.name(), Protocol="FTP", Port=70000, VpcId=vpc.id
        ),
    )
    assert error.message.startswith("2 validation errors detected: ")
    assert "Value '70000' at 'port' failed to satisfy constraint: Member must have value less than or equal to 65535" in error.message


@rule("wire.query.missing", "wire.ec2.missing", "wire.rest.missing", "wire.json.missing")
def test_parameters_that_have_to_be_there(aws):
    loose = aws.unchecked
    error = refused("ValidationError", lambda: loose.elbv2.create_load_balancer(), status=400)
    assert "Value null at 'name' failed to satisfy constraint: Member must not be null" in error.message
    error = refused("MissingParameter", lambda: loose.ec2.create_security_group(), status=400)
    assert error.message.startswith("The request must contain the parameter ")
    body = f'<ListTagsForResourcesRequest xmlns="{ROUTE_53}"/>'
    answer = aws.http("POST", "/2013-04-01/tags/hostedzone", body=body, sign="route53")
    assert (answer.status, answer.code) == (400, "InvalidInput")
    refused("ValidationException", lambda: loose.acm.describe_certificate(), status=400)


@rule("wire.ec2.values")
def test_values_of_ec2(aws):
    for parameters in (
        {"MaxResults": "many"},
        {"MaxResults": "4"},
        {"DryRun": "maybe"},
    ):
        answer = ec2(aws, "DescribeVpcs", **parameters)
        assert (answer.status, answer.code) == (400, "InvalidParameterValue"), parameters
    answer = ec2(aws, "DescribeVpcs", DryRun="true")
    assert (answer.status, answer.code) == (412, "DryRunOperation")


@rule("wire.rest.values")
def test_values_of_route_53(aws):
    answer = aws.http("GET", "/2013-04-01/hostedzone?hostedzonetype=Secret", sign="route53")
    assert (answer.status, answer.code) == (400, "InvalidInput")


@rule("wire.json.values")
def test_values_of_json_services(aws):
    refused("ValidationException", lambda: aws.unchecked.acm.list_certificates(MaxItems=0))
    refused("ValidationException", lambda: aws.acm.list_certificates(CertificateStatuses=["GONE"]))


@rule("wire.pages.query", "wire.pages.token")
def test_pages_of_aws_query(aws, vpc):
    names = sorted(aws.name("page") for _ in range(3))
    for name in names:
        aws.elbv2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc.id)
    found, marker = [], {}
    while True:
        page = aws.elbv2.describe_target_groups(PageSize=1, **marker)
        assert len(page["TargetGroups"]) == 1
        found.append(page["TargetGroups"][0]["TargetGroupName"])
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert len(found) == len(set(found))
    assert set(names) <= set(found)
    refused("ValidationError", lambda: aws.elbv2.describe_target_groups(Marker="nonsense"))
    refused("ValidationError", lambda: aws.unchecked.elbv2.describe_target_groups(PageSize=401))
    # A token leads on in the operation that gave it out.
    token = aws.elbv2.describe_target_groups(PageSize=1)["NextMarker"]
    refused("ValidationError", lambda: aws.elbv2.describe_load_balancers(Marker=token))


@rule("wire.pages.ec2")
def test_pages_of_ec2(aws, vpc):
    only = [{"Name": "vpc-id", "Values": [vpc.id]}]
    for number in range(10, 16):
        aws.ec2.create_subnet(VpcId=vpc.id, CidrBlock=f"10.0.{number}.0/24")
    first = aws.ec2.describe_subnets(Filters=only, MaxResults=5)
    assert len(first["Subnets"]) == 5
    second = aws.ec2.describe_subnets(Filters=only, MaxResults=5, NextToken=first["NextToken"])
    assert len(second["Subnets"]) == 4
    assert "NextToken" not in second
    refused("InvalidParameterValue", lambda: aws.ec2.describe_subnets(MaxResults=5, NextToken="no"))


# Other clients


@rule("wire.cli")
def test_the_command_line_of_aws(aws, vpc):
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }

    def cli(*words):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", *words, "--output", "json"],
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    code, answer, problem = cli("ec2", "describe-vpcs", "--vpc-ids", vpc.id)
    assert code == 0, problem
    assert answer["Vpcs"][0]["VpcId"] == vpc.id
    code, _, problem = cli("elbv2", "describe-load-balancers", "--names", aws.name("no"))
    assert code != 0
    assert "(LoadBalancerNotFound)" in problem
    code, answer, problem = cli("sts", "get-caller-identity")
    assert answer["Account"] == "123456789012"


def cbor(*pairs):
    """A CBOR map of short texts, for requests of a test."""
    text = lambda value: bytes([0x60 | len(value)]) + value.encode()
    return bytes([0xA0 | len(pairs)]) + b"".join(text(k) + text(v) for k, v in pairs)


@rule("wire.cbor")
def test_rpc_v2_cbor(aws):
    answer = aws.http(
        path="/service/AWSShield_20160616/operation/CreateBalloon",
        headers={"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
        body=cbor(("Name", "x")),
        sign="shield",
    )
    assert answer.status == 400
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
    assert answer.headers["content-type"] == "application/cbor"
    assert "__type" in answer.body and "UnknownOperationException" in answer.body


@rule("wire.models")
def test_the_models_are_what_the_script_cuts_from_the_pinned_botocore(aws):
    import botocore
    import botocore.session

    folder = HERE.parent / "models"
    script = importlib.util.spec_from_file_location("generate", folder / "generate.py")
    generate = importlib.util.module_from_spec(script)
    script.loader.exec_module(generate)
    session = botocore.session.get_session()
    services = generate.operations()
    assert {path.stem for path in folder.glob("*.json")} == set(services)
    for service, wanted in services.items():
        cut = generate.cut_service(session, service, wanted)
        cut = {"botocore": botocore.__version__, **cut}
        committed = (folder / f"{service}.json").read_text()
        assert generate.lines(cut) == committed, f"run models/generate.py: {service}.json is old"
