"""The simulator's own side, /_sim: what lies outside, quotas, limits, faults, time, events."""

import contextlib
import datetime
import http.client
import json
import threading
import time
import urllib.parse
import urllib.request

import botocore.exceptions
import pytest

from callers import registered
from conftest import HERE, eventually, refused, rule

CERTIFICATES = HERE / "certificates"


@rule("sim.outside")
def test_what_lies_outside_is_declared(aws):
    before = aws.sim.get("outside")
    aws.sim.post("outside", {"buckets": before["buckets"] + ["logs-of-a-test"]})
    assert "logs-of-a-test" in aws.sim.get("outside")["buckets"]
    assert aws.sim.call("POST", "outside", {"planets": []})[0] == 400
    aws.sim.post("outside", {"buckets": before["buckets"]})


@rule("sim.quotas")
def test_quotas_are_set_by_the_names_of_describe_account_limits(aws):
    before = aws.sim.get("config")["quotas"]
    aws.sim.post("config", {"quotas": {"target-groups": 2345}})
    limits = {limit["Name"]: limit["Max"] for limit in aws.elbv2.describe_account_limits()["Limits"]}
    assert limits["target-groups"] == "2345"
    there = aws.as_(region="eu-central-1").elbv2.describe_account_limits()["Limits"]
    assert {limit["Name"]: limit["Max"] for limit in there}["target-groups"] == "2345"
    aws.sim.post("config", {"quotas": {"target-groups": before["target-groups"]}})
    status, text = aws.sim.call("POST", "config", {"quotas": {"balloons": 1}})
    assert status == 400 and "balloons" in text


@rule("sim.quotas.defaults")
def test_the_defaults_of_quotas(aws):
    quotas = aws.sim.get("config")["quotas"]
    for name, value in {
        "listeners-per-application-load-balancer": 50,
        "rules-per-application-load-balancer": 100,
        "certificates-per-application-load-balancer": 25,
        "target-groups-per-application-load-balancer": 100,
        "target-groups-per-action-on-application-load-balancer": 5,
        "targets-per-application-load-balancer": 1000,
        "targets-per-target-group": 1000,
        "condition-values-per-alb-rule": 5,
        "condition-wildcards-per-alb-rule": 5,
        "tags-per-resource": 50,
        "security-groups-per-network-interface": 5,
        "rules-per-security-group": 60,
        "domain-names-per-certificate": 10,
    }.items():
        assert quotas[name] == value, name


# Throttling


@contextlib.contextmanager
def limits(aws, **change):
    """Other limits for a while."""
    before = aws.sim.get("limits")
    try:
        aws.sim.post("limits", change)
        yield
    finally:
        aws.sim.post("limits", before)


# A call of each family, its bucket, code and status of what comes too soon.
LIMITED = {
    "elb": (lambda aws: aws.elbv2.describe_load_balancers(),
            "elasticloadbalancing:non-mutating", "Throttling", 400),
    "ec2": (lambda aws: aws.ec2.describe_vpcs(), "ec2:non-mutating:*", "RequestLimitExceeded", 503),
    "route53": (lambda aws: aws.route53.list_hosted_zones(), "route53:account", "Throttling", 400),
    "acm": (lambda aws: aws.acm.list_certificates(), "acm:ListCertificates", "ThrottlingException", 400),
    "wafv2": (lambda aws: aws.wafv2.list_web_acls(Scope="REGIONAL"),
              "wafv2:reads:*", "ThrottlingException", 400),
}


@pytest.mark.parametrize("family", LIMITED)
@rule("sim.limits", "sim.limits.codes")
def test_calls_above_the_limits_are_throttled(aws, family):
    call, bucket, code, status = LIMITED[family]
    with limits(aws, mode="real", buckets={bucket: {"burst": 2, "per_second": 0.001}}):
        call(aws)
        call(aws)
        error = refused(code, lambda: call(aws), status)
        assert "exceeded" in error.message
    call(aws)


@rule("sim.limits.apart")
def test_accounts_regions_and_operations_of_ec2_have_buckets_of_their_own(aws):
    other = registered(aws, account="999999999999")
    with limits(aws, mode="real", buckets={"ec2:non-mutating:*": {"burst": 1, "per_second": 0.001}}):
        aws.ec2.describe_vpcs()
        refused("RequestLimitExceeded", lambda: aws.ec2.describe_vpcs())
        aws.ec2.describe_subnets()
        aws.as_(region="eu-west-1").ec2.describe_vpcs()
        other.ec2.describe_vpcs()
        refused("RequestLimitExceeded", lambda: other.ec2.describe_vpcs())


@rule("sim.limits.refill", "sim.limits.scale")
def test_buckets_fill_up_again_and_are_scaled(aws):
    with limits(aws, mode="real", scale=2, buckets={"acm:ListCertificates": {"burst": 1, "per_second": 0.1}}):
        aws.acm.list_certificates()
        aws.acm.list_certificates()
        refused("ThrottlingException", lambda: aws.acm.list_certificates())
        time.sleep(6)
        aws.acm.list_certificates()
        refused("ThrottlingException", lambda: aws.acm.list_certificates())


@rule("sim.limits.changes")
def test_changes_of_record_sets_count_each_and_an_upsert_twice(aws):
    name = aws.name() + ".example"
    zone = aws.route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]

    def change(action, *names):
        record = lambda n: {"Name": f"{n}.{name}", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
        changes = [{"Action": action, "ResourceRecordSet": record(n)} for n in names]
        return aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    with limits(aws, mode="real", buckets={"route53:changes": {"burst": 5, "per_second": 0.001}}):
        change("CREATE", "a", "b", "c")
        refused("Throttling", lambda: change("UPSERT", "d", "e"), 400)
        change("UPSERT", "d")
        refused("Throttling", lambda: change("CREATE", "f"), 400)
    names = {r["Name"] for r in aws.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]}
    assert f"d.{name}." in names and not {f"e.{name}.", f"f.{name}."} & names


@rule("sim.limits")
def test_limits_that_make_no_sense(aws):
    before = aws.sim.get("limits")
    assert before["mode"] == "off"
    for wrong in [
        {"scale": 0},
        {"mode": "sometimes"},
        {"buckets": {"ec2:everything": {"burst": 1, "per_second": 1}}},
        {"buckets": {"route53:account": {"burst": 0, "per_second": 1}}},
        {"mode": "real", "buckets": {"route53:account": {"burst": 1, "per_second": 0}}},
    ]:
        assert aws.sim.call("POST", "limits", wrong)[0] == 400
    assert aws.sim.get("limits") == before


# Faults


@pytest.fixture
def faults(aws):
    """Adds faults; none are left afterwards."""
    yield lambda *faults: aws.sim.post("faults", list(faults))
    aws.sim.call("DELETE", "faults")


@rule("sim.faults")
def test_faults_by_patterns_are_met_as_often_as_asked(aws, faults):
    faults(
        {"service": "elastic*", "action": "Describe*s", "times": 2, "code": "ServiceUnavailable",
         "message": "Come later", "status": 503},
        {"service": "ec?", "action": "DescribeVpcs", "code": "InternalError", "skip": 1},
        {"service": "acm", "code": "ThrottlingException"},
    )
    for _ in range(2):
        error = refused("ServiceUnavailable", lambda: aws.elbv2.describe_load_balancers(), 503)
        assert error.message == "Come later"
    aws.elbv2.describe_load_balancers()
    aws.ec2.describe_vpcs()
    refused("InternalError", lambda: aws.ec2.describe_vpcs(), 500)
    refused("ThrottlingException", lambda: aws.acm.list_certificates(), 400)
    assert aws.sim.get("faults") == []


@rule("sim.faults.probability")
def test_a_fault_may_be_met_by_some_calls_only(aws, faults):
    faults({"service": "acm", "times": 1000, "probability": 0.5, "code": "ThrottlingException"})

    def fails():
        try:
            aws.acm.get_account_configuration()
        except botocore.exceptions.ClientError:
            return 1
        return 0

    met = sum(fails() for _ in range(60))
    assert 10 < met < 50
    assert aws.sim.get("faults")[0]["times"] == 1000 - met


@rule("sim.faults.after")
def test_an_answer_is_lost_after_the_call_was_carried_out(aws, faults):
    create = lambda name: aws.elbv2.create_target_group(Name=name, TargetType="lambda")
    there = lambda name: name in {
        group["TargetGroupName"]
        for page in aws.elbv2.get_paginator("describe_target_groups").paginate()
        for group in page["TargetGroups"]
    }
    before, after, lost = aws.name("a"), aws.name("a"), aws.name("a")
    fault = {"service": "elasticloadbalancing", "action": "CreateTargetGroup"}
    faults({**fault, "code": "InternalFailure"})
    refused("InternalFailure", lambda: create(before), 500)
    assert not there(before)
    faults({**fault, "code": "InternalFailure", "after": True})
    refused("InternalFailure", lambda: create(after), 500)
    assert there(after)
    faults({**fault, "code": "ConnectionReset", "after": True})
    with pytest.raises((
        botocore.exceptions.HTTPClientError,
        botocore.exceptions.ResponseStreamingError,
        botocore.exceptions.IncompleteReadError,
    )):
        create(lost)
    assert there(lost)


@rule("sim.faults.delay")
def test_a_call_is_held_up_or_its_answer_comes_slowly(aws, faults):
    for slow in ({"delay_ms": 2000}, {"body_ms": 2000}):
        faults({"service": "route53", "action": "ListHostedZones", **slow})
        begin = time.monotonic()
        assert "HostedZones" in aws.route53.list_hosted_zones()
        assert time.monotonic() - begin >= 1.9, slow
        begin = time.monotonic()
        aws.route53.list_hosted_zones()
        assert time.monotonic() - begin < 1.9, "one call only"


@rule("sim.faults.held")
def test_a_call_comes_late_although_its_caller_is_gone(aws, faults):
    impatient = aws.client("elbv2", read_timeout=0.3)
    name = aws.name("a")
    there = lambda: name in {
        group["TargetGroupName"]
        for page in aws.elbv2.get_paginator("describe_target_groups").paginate()
        for group in page["TargetGroups"]
    }
    action = {"service": "elasticloadbalancing", "action": "CreateTargetGroup"}
    faults({**action, "held": True})
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        impatient.create_target_group(Name=name, TargetType="lambda")
    assert aws.sim.get("held") == [action] and not there()
    assert aws.sim.call("DELETE", "held")[0] == 204
    eventually(lambda: aws.sim.get("held") == [])
    assert there()


@rule("sim.faults")
def test_faults_that_make_no_sense_are_refused_whole(aws, faults):
    good = {"code": "X"}
    for wrong in [{}, {"code": "X", "probability": 1.5}, {"code": "X", "status": 302},
                  {"delay_ms": 1, "after": True}, {"code": "X", "colour": "red"},
                  {"code": "X", "times": 0}, {"code": "X", "service": "elbv2"}]:
        assert aws.sim.call("POST", "faults", [good, wrong])[0] == 400
    assert aws.sim.get("faults") == []


# Time


@rule("sim.time", "sim.time.tokens")
def test_time_moves_forward_for_tokens_and_states_only(aws):
    clock = aws.sim.get("time")
    now = datetime.datetime.fromisoformat(clock["now"].replace("Z", "+00:00"))
    soon = (now + datetime.timedelta(seconds=40)).isoformat()
    temporary = registered(aws, token="token", expires=soon)
    temporary.acm.list_certificates()
    moved = aws.sim.post("time", {"forward_ms": 41_000})
    assert moved["ahead_ms"] == clock["ahead_ms"] + 41_000
    refused("ExpiredTokenException", lambda: temporary.acm.list_certificates(), 400)
    # Signatures keep to the clock on the wall.
    aws.acm.list_certificates()
    registered(aws).acm.list_certificates()
    for wrong in ({"forward_ms": -1}, {"forward_ms": "1"}, {}, {"back_ms": 1}):
        assert aws.sim.call("POST", "time", wrong)[0] in (400, 422)
    assert aws.sim.get("time")["ahead_ms"] == moved["ahead_ms"]


@contextlib.contextmanager
def timing(aws, **config):
    """Other knobs for a while."""
    before = aws.sim.get("config")["timing"]
    try:
        aws.sim.post("config", config)
        yield
    finally:
        aws.sim.post("config", {"timing": before})


def provisioned(aws, vpc):
    arn = aws.elbv2.create_load_balancer(Name=aws.name("lb"), Subnets=vpc.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    shown = lambda: aws.elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["State"]["Code"]
    return shown


@rule("sim.profiles")
def test_profiles_say_how_long_things_take(aws, vpc):
    with timing(aws, time="instant"):
        assert provisioned(aws, vpc)() == "active"
    with timing(aws, time="real", timing={"spread": 0, "provisioning_ms": 30_000}):
        knobs = aws.sim.get("config")["timing"]
        assert (knobs["insync_ms"], knobs["provisioning_ms"], knobs["draining_ms"]) == (30_000, 30_000, None)
        state = provisioned(aws, vpc)
        aws.sim.post("time", {"forward_ms": 25_000})
        assert state() == "provisioning"
        aws.sim.post("time", {"forward_ms": 6_000})
        assert state() == "active"
    with timing(aws, time="quick"):
        state = provisioned(aws, vpc)
        assert state() == "provisioning"
        eventually(lambda: state() == "active", seconds=4)
    for wrong in ({"time": "slow"}, {"timing": {"spread": 2}}, {"timing": {"speed": 1}}):
        assert aws.sim.call("POST", "config", wrong)[0] == 400


@rule("sim.seed")
def test_draws_come_from_a_seed(aws, faults):
    before = aws.sim.get("config")["seed"]

    def met(seed):
        aws.sim.post("config", {"seed": seed})
        assert aws.sim.get("config")["seed"] == seed
        faults({"service": "acm", "times": 1000, "probability": 0.5, "code": "ThrottlingException"})
        pattern = []
        for _ in range(24):
            try:
                aws.acm.get_account_configuration()
                pattern.append(0)
            except botocore.exceptions.ClientError:
                pattern.append(1)
        aws.sim.call("DELETE", "faults")
        return pattern

    try:
        first = met(7)
        assert met(7) == first
        assert met(8) != first
    finally:
        aws.sim.post("config", {"seed": before})
    assert aws.sim.call("POST", "config", {"seed": "x"})[0] == 400


# Log and events


@rule("sim.log")
def test_calls_are_logged_with_caller_parameters_and_result(aws):
    eve = registered(aws, user=aws.name("eve"))
    who = eve.sts.get_caller_identity()["Arn"]
    missing = f"vpc-{'0' * 17}"
    refused("InvalidVpcID.NotFound", lambda: eve.ec2.describe_vpcs(VpcIds=[missing]))
    answer = eve.http(
        body="Action=PaintVpc&Version=2016-11-15", sign="ec2",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status, answer.code) == (400, "InvalidAction")
    eve.acm.import_certificate(
        Certificate=(CERTIFICATES / "ec.pem").read_bytes(), PrivateKey=(CERTIFICATES / "ec.key").read_bytes()
    )
    mine = [call for call in aws.sim.get("log") if call["caller"] == who]
    assert [(c["service"], c["action"], c["status"], c["code"]) for c in mine] == [
        ("sts", "GetCallerIdentity", 200, None),
        ("ec2", "DescribeVpcs", 400, "InvalidVpcID.NotFound"),
        ("ec2", "PaintVpc", 400, "InvalidAction"),
        ("acm", "ImportCertificate", 200, None),
    ]
    assert missing in mine[1]["parameters"].values()
    assert "PrivateKey" not in mine[3]["parameters"]
    assert [c["number"] for c in mine] == sorted(c["number"] for c in mine)
    later = aws.sim.get(f"log?after={mine[1]['number']}")
    assert mine[2] in later and mine[1] not in later


class Events(threading.Thread):
    """Follows /_sim/events."""

    def __init__(self, aws, since):
        super().__init__(daemon=True)
        self.stream = urllib.request.urlopen(f"{aws.endpoint}/_sim/events?since={since}", timeout=20)
        assert self.stream.headers["content-type"] == "text/event-stream"
        self.seen = []
        self.start()

    def run(self):
        kind = None
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for line in self.stream:
                name, _, value = line.decode().rstrip("\n").partition(":")
                if name == "event":
                    kind = value.strip()
                elif name == "data":
                    self.seen.append((kind, json.loads(value)))

    def find(self, kind, **wanted):
        return eventually(lambda: next(
            (data for k, data in list(self.seen) if k == kind and wanted.items() <= data.items()), None
        ))


@rule("sim.events")
def test_calls_and_changes_of_state_are_told_as_they_happen(aws, vpc):
    eve = registered(aws, user=aws.name("eve"))
    who = eve.sts.get_caller_identity()["Arn"]
    number = [call for call in aws.sim.get("log") if call["caller"] == who][0]["number"]
    events = Events(aws, number - 1)
    # What was before it is told again, and what comes then.
    events.find("call", caller=who, action="GetCallerIdentity")
    arn = eve.elbv2.create_load_balancer(Name=aws.name("lb"), Subnets=vpc.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    call = events.find("call", caller=who, action="CreateLoadBalancer")
    assert call["status"] == 200 and arn in call["answer"]
    events.find("state", resource=arn, after="active")
    refused("InvalidVpcID.NotFound", lambda: eve.ec2.describe_vpcs(VpcIds=[f"vpc-{'0' * 17}"]))
    assert events.find("call", caller=who, action="DescribeVpcs")["code"] == "InvalidVpcID.NotFound"
    later = Events(aws, call["number"])
    later.find("call", caller=who, action="DescribeVpcs")
    assert not [data for _, data in later.seen if data.get("action") == "CreateLoadBalancer" and data["caller"] == who]


# Who may change the simulator


@rule("sim.own_origin")
def test_pages_of_others_change_nothing(aws):
    parts = urllib.parse.urlsplit(aws.endpoint)

    def call(method, path, headers, body="{}"):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        connection.request(method, path, body=body, headers={"content-type": "application/json", **headers})
        return connection.getresponse().status

    before = aws.sim.get("outside")
    change = json.dumps({"buckets": ["stolen"]})
    for headers in [
        {"origin": "http://example.com"},
        {"origin": "null"},
        {"origin": f"http://{parts.hostname}:1"},
        {"host": "sim.example.com"},
        {"host": "sim.example.com", "origin": "http://sim.example.com"},
    ]:
        for path in ("outside", "keys", "config", "limits", "faults", "time", "roles", "reset"):
            assert call("POST", f"/_sim/{path}", headers, change) == 403, (path, headers)
        assert call("DELETE", "/_sim/calls", headers) == 403
        assert call("GET", "/_sim/outside", headers) == 200
    assert aws.sim.get("outside") == before
    # One's own page may.
    body = json.dumps({"buckets": before["buckets"]})
    assert call("POST", "/_sim/outside", {"origin": aws.endpoint}, body) < 300
    # What speaks to AWS itself names any host.
    assert aws.http(headers={"host": "elasticloadbalancing.us-east-1.amazonaws.com"},
                    body="Action=DescribeVpcs&Version=2016-11-15").status == 401


@rule("sim.keys")
def test_secrets_are_not_shown(aws):
    secret = aws.name("secret")
    aws.sim.post("keys", {"id": aws.name("AKIATEST"), "secret": secret, "token": secret + "-token"})
    assert secret not in json.dumps(aws.sim.get("keys"))
    for wrong in ({"id": "", "secret": "s"}, {"id": "A"}, {"id": "A", "secret": "s", "account": "12"},
                  {"id": "A", "secret": "s", "shoe": 1}, {"id": "A", "secret": "s", "expires": "soon"}):
        assert aws.sim.call("POST", "keys", wrong)[0] == 400
    assert aws.sim.call("POST", "roles", {"arn": "arn:aws:iam::123456789012:user/x"})[0] == 400
