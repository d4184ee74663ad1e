"""The simulator's own side, /_sim: what it tells about load balancers and what is left over."""

import http.client
import http.server
import subprocess
import threading

import pytest

from conftest import Sim, binary, eventually, rule
from load_balancing import NOT_FOUND, elb, forward, path  # noqa: F401


class Target:
    """A target that says its name, and is probed as what the simulator calls it."""

    def __init__(self, aws, elb, group, address):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = address.encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.aws, self.name = aws, f"{address}:8080"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        aws.sim.post("addresses", {self.name: f"127.0.0.1:{self.server.server_address[1]}"})
        elb.client.register_targets(TargetGroupArn=group, Targets=[{"Id": address}])

    def close(self):
        self.aws.sim.post("addresses", {self.name: None})
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def target(aws, elb):
    """Makes targets of a group, which end with the test."""
    made = []

    def make(group, address):
        made.append(Target(aws, elb, group, address))
        return made[-1]

    yield make
    for one in made:
        one.close()


def active(elb, arn):
    described = lambda: elb.client.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
    eventually(lambda: described()["State"]["Code"] == "active")
    return described()


def state(elb, group):
    return [health["TargetHealth"]["State"] for health in elb.health(group)]


@rule("sim.request", "sim.request.conditions")
def test_a_trace_tells_every_rule_and_the_condition_that_decided(aws, elb, target):
    group = elb.group()
    target(group, "10.0.0.31")
    listener = elb.listener()
    put = {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PUT"]}}
    first = elb.rule(listener, 1, Conditions=[path("/a"), put])["RuleArn"]
    second = elb.rule(listener, 2, Actions=[forward(group)])["RuleArn"]
    active(elb, elb.alb)
    eventually(lambda: state(elb, group) == ["healthy"])
    ask = lambda **request: aws.sim.post("request", {"listener": listener, "source": "192.0.2.7", **request})

    told = ask(path="/a?x=1", host="shop.example.com")
    trace = told["trace"]
    assert [(r["arn"], r["priority"], r["matched"]) for r in trace["rules"]] == [(first, "1", False), (second, "2", True)]
    assert [(c["field"], c["met"]) for c in trace["rules"][0]["conditions"]] == [
        ("path-pattern", True), ("http-request-method", False)]
    decided = trace["rules"][0]["conditions"][1]
    assert (decided["wanted"], decided["found"]) == (["PUT"], ["GET"])
    assert trace["action"] == "forward" and trace["certificate"] is None
    assert trace["target_group"]["arn"] == group and trace["target_group"]["why"]
    assert trace["target"]["target"] == "10.0.0.31:8080" and trace["target"]["why"]
    assert (told["answer"]["status"], told["answer"]["body"]) == (200, "10.0.0.31")

    told = ask(path="/elsewhere")
    assert [r["matched"] for r in told["trace"]["rules"]] == [False, False, True]
    assert told["trace"]["rules"][-1]["priority"] == "default"
    assert told["trace"]["action"] == "fixed-response" and told["trace"]["target"] is None
    assert told["answer"]["status"] == 404 and told["trace"]["reason"]


@rule("sim.request.named")
def test_a_listener_may_be_named_by_its_load_balancer(aws, elb):
    elb.listener(), elb.listener(Port=81)
    described = active(elb, elb.alb)
    for name in (described["LoadBalancerName"], described["DNSName"], described["LoadBalancerArn"]):
        told = aws.sim.post("request", {"listener": name, "port": 81})
        assert told["trace"]["listener"]["port"] == 81 and told["answer"]["status"] == 404
    for wrong in (
        {"listener": described["LoadBalancerName"]},
        {"listener": described["LoadBalancerName"], "port": 82},
        {"listener": "nobody"},
        {"listener": elb.alb, "port": 80, "colour": "red"},
        {"listener": elb.alb, "port": 80, "source": "nowhere"},
        {},
    ):
        assert aws.sim.call("POST", "request", wrong)[0] == 400, wrong


@rule("sim.endpoints", "sim.requests")
def test_listeners_have_sockets_and_an_access_log(aws, elb):
    elb.listener()
    described = active(elb, elb.alb)
    own = lambda: [e for e in aws.sim.get("endpoints") if e["loadBalancer"] == elb.alb]
    endpoint = eventually(own)[0]
    assert (endpoint["name"], endpoint["dnsName"]) == (described["LoadBalancerName"], described["DNSName"])
    assert (endpoint["port"], endpoint["protocol"]) == (80, "HTTP")
    before = max((entry["number"] for entry in aws.sim.get("requests")), default=0)
    client = http.client.HTTPConnection(endpoint["socket"])
    client.request("GET", "/missing", headers={"host": "shop.example.com", "user-agent": "of a test"})
    assert client.getresponse().status == 404
    client.close()
    mine = lambda: [e for e in aws.sim.get(f"requests?after={before}") if e["user_agent"] == "of a test"]
    entry = eventually(mine)[0]
    assert entry["request"] == "GET http://shop.example.com:80/missing HTTP/1.1"
    assert entry["elb"] == elb.alb.partition(":loadbalancer/")[2]
    assert entry["elb_status_code"] == 404 and entry["target"] is None
    assert entry["actions_executed"] == "fixed-response"
    elb.client.delete_load_balancer(LoadBalancerArn=elb.alb)
    eventually(lambda: not own())


@rule("sim.health", "sim.addresses")
def test_a_state_is_held_and_let_go(aws, elb, target):
    group = elb.group()
    there = target(group, "10.0.0.32")
    elb.listener(DefaultActions=[forward(group)])
    active(elb, elb.alb)
    eventually(lambda: state(elb, group) == ["healthy"])
    hold = lambda wanted: aws.sim.post("health", {"target_group": group, "target": there.name, "state": wanted})
    hold("unhealthy")
    eventually(lambda: state(elb, group) == ["unhealthy"])
    hold(None)
    eventually(lambda: state(elb, group) == ["healthy"])
    assert there.name in aws.sim.get("addresses")
    for wrong in ({"state": "splendid"}, {"target": "10.9.9.9:1"}, {"target_group": group + "0"}):
        asked = {"target_group": group, "target": there.name, "state": "healthy", **wrong}
        assert aws.sim.call("POST", "health", asked)[0] in (400, 404, 422), wrong
    for wrong in ({"10.0.0.1": "127.0.0.1:1"}, {"10.0.0.1:80": "nowhere"}):
        assert aws.sim.call("POST", "addresses", wrong)[0] == 400
    assert not {"10.0.0.1", "10.0.0.1:80"} & aws.sim.get("addresses").keys()


def problems(aws, resource):
    return {f["problem"] for f in aws.sim.get("audit") if f["resource"] == resource}


@rule("sim.audit.left_over")
def test_the_audit_finds_what_nothing_uses(aws, elb):
    group, permitted = elb.group(), elb.vpc.security_group()
    arn = elb.balancer()
    assert all("left-over" in problems(aws, one) for one in (group, permitted, arn))
    elb.client.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[permitted])
    elb.listener(LoadBalancerArn=arn, DefaultActions=[forward(group)])
    assert all("left-over" not in problems(aws, one) for one in (group, permitted, arn))


@rule("sim.audit.unowned")
def test_the_audit_finds_what_nobody_has_marked(aws, elb):
    bare, marked = elb.group(), elb.group(Tags=[{"Key": "owner", "Value": "me"}])
    assert "unowned" in problems(aws, bare) and "unowned" not in problems(aws, marked)


@rule("sim.audit.dangling")
def test_the_audit_finds_records_that_lead_nowhere(aws, elb):
    name = aws.name() + ".example"
    zone = aws.route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    described = active(elb, elb.alb)
    alias = {"DNSName": described["DNSName"], "HostedZoneId": described["CanonicalHostedZoneId"], "EvaluateTargetHealth": False}
    record = {"Name": f"www.{name}", "Type": "A", "AliasTarget": alias}
    aws.route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]})
    dangling = lambda: [
        f for f in aws.sim.get("audit") if f["problem"] == "dangling" and f"www.{name}" in f["resource"]]
    assert not dangling()
    elb.client.delete_load_balancer(LoadBalancerArn=elb.alb)
    assert dangling()


@rule("sim.calls", "sim.reset")
def test_calls_are_counted_and_the_account_is_emptied(aws):
    # An AWS of its own: others would miss what is emptied.
    program = subprocess.Popen([binary(), "aws", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        lines = (line.strip() for line in iter(program.stdout.readline, ""))
        endpoint = next(line.partition("=")[2] for line in lines if "ENDPOINT_URL=" in line)
        sim = Sim(endpoint)
        own = type(aws)(endpoint)
        own.ec2.create_vpc(CidrBlock="10.0.0.0/16")
        for _ in range(2):
            assert len(own.ec2.describe_vpcs()["Vpcs"]) == 1
        counted = {(c["service"], c["action"], c["status"]): c["count"] for c in sim.get("calls")}
        assert counted == {("ec2", "CreateVpc", 200): 1, ("ec2", "DescribeVpcs", 200): 2}
        assert sim.call("DELETE", "calls")[0] < 300 and sim.get("calls") == []
        sim.post("reset")
        assert own.ec2.describe_vpcs()["Vpcs"] == []
    finally:
        program.terminate()
        program.wait()
