"""The data plane: how requests and connections are shared among targets, and
what nodes and name servers hear late. Targets are small servers of this file."""

import contextlib
import http.client
import http.server
import json
import socket
import socketserver
import threading

import pytest
from callers import registered, role, keys_of
from conftest import eventually, refused, rule
from load_balancing import Elb, forward, path, weighted

ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
DENY_EC2 = {
    "Version": "2012-10-17",
    "Statement": ALLOW_ALL["Statement"] + [{"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}],
}


class Says(http.server.BaseHTTPRequestHandler):
    """Says the name of its server; a query makes it set a cookie."""

    def do_GET(self):
        body = self.server.name.encode()
        self.send_response(200)
        if "?" in self.path:
            self.send_header("Set-Cookie", self.path.partition("?")[2] + "; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Echo(socketserver.BaseRequestHandler):
    """Says the name of its server and sends back what it gets."""

    def handle(self):
        with contextlib.suppress(OSError):
            self.request.sendall(self.server.name.encode())
            while read := self.request.recv(4096):
                self.request.sendall(read)


@pytest.fixture
def serve():
    """Starts a server that says a name; answers its loopback address."""
    servers = []

    def start(name, handler=Says):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.name = name
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return "127.0.0.1:%d" % server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class World(Elb):
    """A load balancer with targets that can be reached."""

    number = 0

    def target(self, group, socket, subnet=0, port=8080):
        """Registers an address that is served at a socket; answers its id."""
        World.number += 1
        block, host = divmod(World.number, 150)
        # Ports tell apart what other tests have registered.
        address = f"10.0.{subnet}.{host + 10}"
        port = port + block
        self.aws.sim.post("addresses", {f"{address}:{port}": socket})
        self.client.register_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": port}])
        return address

    def healthy(self, group, count):
        states = lambda: [one["TargetHealth"]["State"] for one in self.health(group)]
        eventually(lambda: states() == ["healthy"] * count, 30)

    def set(self, group, **values):
        """Sets attributes, whose dots are written `__`."""
        attributes = [{"Key": k.replace("__", "."), "Value": v} for k, v in values.items()]
        self.client.modify_target_group_attributes(TargetGroupArn=group, Attributes=attributes)

    def endpoint(self, balancer, port):
        def find():
            found = self.aws.sim.get("endpoints")
            return [e["socket"] for e in found if (e["loadBalancer"], e["port"]) == (balancer, port)]

        return eventually(find, 30)[0]

    def get(self, balancer, port, where="/", cookie=None):
        """(status, body, cookies that were set)."""
        host, _, number = self.endpoint(balancer, port).rpartition(":")
        connection = http.client.HTTPConnection(host, int(number), timeout=20)
        headers = {"Host": "www.example.com", **({"Cookie": cookie} if cookie else {})}
        connection.request("GET", where, headers=headers)
        answer = connection.getresponse()
        cookies = [line.partition(";")[0] for line in answer.headers.get_all("set-cookie") or []]
        body = answer.read().decode()
        connection.close()
        return answer.status, body, cookies

    def ask(self, listener, **more):
        """The trace of a request and the status of its answer."""
        told = self.aws.sim.post("request", {"listener": listener, **more})
        return told["trace"], told["answer"]["status"]


@pytest.fixture
def world(aws, vpc):
    return World(aws, vpc)


def forwarding(world, group, **listener):
    """An active load balancer that forwards all to a group; its listener."""
    made = world.listeners(DefaultActions=[forward(group)], **listener)
    world.client.get_waiter("load_balancer_available").wait(
        LoadBalancerArns=[made["LoadBalancerArn"]], WaiterConfig={"Delay": 1}
    )
    return made["ListenerArn"], made["LoadBalancerArn"]


@pytest.fixture
def lag(aws):
    """Switches a rule of eventual consistency on for a test."""
    on = []

    def switch(name, ms):
        on.append(name)
        aws.sim.post("config", {"lags": {name: {"ms": ms}}})

    yield switch
    aws.sim.post("config", {"lags": dict.fromkeys(on)})


@rule("plane.app_cookie")
def test_a_cookie_of_the_application_binds(world, serve):
    group = world.group()
    for name in ("one", "two"):
        world.target(group, serve(name))
    world.set(
        group,
        stickiness__enabled="true",
        stickiness__type="app_cookie",
        stickiness__app_cookie__cookie_name="session",
    )
    _, balancer = forwarding(world, group)
    world.healthy(group, 2)
    status, _, cookies = world.get(balancer, 80)
    assert (status, cookies) == (200, [])
    _, first, cookies = world.get(balancer, 80, "/?session=1")
    names = [cookie.partition("=")[0] for cookie in cookies]
    assert names == ["session", "AWSALBAPP-0"]
    both = "; ".join(cookies)
    assert {world.get(balancer, 80, cookie=both)[1] for _ in range(4)} == {first}
    for one in cookies:
        assert {world.get(balancer, 80, cookie=one)[1] for _ in range(2)} == {"one", "two"}


@rule("plane.lb_cookie")
def test_a_cookie_of_the_load_balancer_binds(world, serve):
    group = world.group()
    for name in ("one", "two"):
        world.target(group, serve(name))
    world.set(group, stickiness__enabled="true")
    _, balancer = forwarding(world, group)
    world.healthy(group, 2)
    _, first, cookies = world.get(balancer, 80)
    assert [cookie.partition("=")[0] for cookie in cookies] == ["AWSALB", "AWSALBCORS"]
    assert {world.get(balancer, 80, cookie=cookies[0])[1] for _ in range(4)} == {first}
    assert {world.get(balancer, 80, cookie="AWSALB=x")[1] for _ in range(2)} == {"one", "two"}


@rule("plane.algorithms")
def test_algorithms(world, serve):
    group = world.group()
    for name in ("one", "two"):
        world.target(group, serve(name))
    listener, balancer = forwarding(world, group)
    world.healthy(group, 2)
    why = lambda: world.ask(listener)[0]["target"]["why"]
    assert why() == "its turn among 2 that are healthy"
    assert [world.get(balancer, 80)[1] for _ in range(4)] in (["one", "two"] * 2, ["two", "one"] * 2)
    world.set(group, load_balancing__algorithm__type="least_outstanding_requests")
    assert why() == "fewest requests outstanding, 0, among 2 that are healthy"
    world.set(group, load_balancing__algorithm__type="weighted_random")
    assert why() == "drawn among 2 that are healthy"
    assert {world.get(balancer, 80)[1] for _ in range(60)} == {"one", "two"}


@rule("plane.cross_zone", "plane.health_thresholds", "plane.fail_open")
def test_zones_and_thresholds(world, serve):
    group = world.group()
    here = world.target(group, serve("a"), subnet=0)
    there = world.target(group, serve("b"), subnet=1)
    also = world.target(group, serve("c"), subnet=1)
    listener, _ = forwarding(world, group)
    world.healthy(group, 3)
    zones = ["us-east-1a", "us-east-1b"]

    def reached(zone, times=6):
        found = (world.ask(listener, zone=zone)[0]["target"] for _ in range(times))
        return {one["target"].partition(":")[0] for one in found if one}

    assert reached(zones[0]) == {here, there, also}
    world.set(group, load_balancing__cross_zone__enabled="false")
    assert reached(zones[0]) == {here}
    assert reached(zones[1]) == {there, also}
    trace, status = world.ask(listener, zone="us-east-1c")
    assert status == 503 and "sends to no other zone" in trace["reason"]

    ports = {one["Target"]["Id"]: one["Target"]["Port"] for one in world.health(group)}

    def sick(address):
        target = f"{address}:{ports[address]}"
        world.aws.sim.post("health", {"target_group": group, "target": target, "state": "unhealthy"})

    sick(there)
    assert reached(zones[1]) == {also}
    counts = [
        f"target_group_health__{of}__minimum_healthy_targets__count"
        for of in ("unhealthy_state_routing", "dns_failover")
    ]
    world.set(group, **dict.fromkeys(counts, "2"))
    assert reached(zones[1]) == {there, also}
    world.set(group, **dict.fromkeys(counts, "1"))
    sick(also)
    assert reached(zones[1]) == {there, also}
    why = world.ask(listener, zone=zones[1])[0]["target"]["why"]
    assert "so the load balancer fails open" in why
    # DNS leads to no node whose targets are all sick.
    assert {world.ask(listener)[0]["target"]["target"] for _ in range(8)} == {f"{here}:{ports[here]}"}


@rule("plane.slow_start")
def test_slow_start(world, serve):
    group = world.group(HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    world.set(group, slow_start__duration_seconds="900")
    world.target(group, serve("old"))
    listener, balancer = forwarding(world, group)
    world.healthy(group, 1)
    world.target(group, serve("new"))
    world.healthy(group, 2)
    # It gets next to nothing at the beginning of a quarter of an hour.
    names = [world.get(balancer, 80)[1] for _ in range(40)]
    assert names.count("new") < 10


@rule("plane.registration")
def test_nodes_hear_of_targets_later(aws, world, serve):
    before = aws.sim.get("config")["timing"]
    aws.sim.post("config", {"timing": {"registration_lag_ms": 3_600_000}})
    try:
        group = world.group()
        world.target(group, serve("one"))
        listener, _ = forwarding(world, group)
        (one,) = world.health(group)
        assert one["TargetHealth"]["Reason"] == "Elb.RegistrationInProgress"
        assert world.ask(listener)[1] == 503
    finally:
        lag = {"registration_lag_ms": before["registration_lag_ms"]}
        aws.sim.post("config", {"timing": lag})


@rule("plane.health.first")
def test_the_first_health_takes_a_moment(world, serve):
    group = world.group()
    forwarding(world, group)
    world.target(group, serve("one"))
    seen = []

    def healthy():
        (one,) = world.health(group)
        state = one["TargetHealth"]["State"], one["TargetHealth"].get("Reason")
        if not seen or seen[-1] != state:
            seen.append(state)
        return state[0] == "healthy"

    eventually(healthy, 60)
    assert seen[-2:] == [("initial", "Elb.InitialHealthChecking"), ("healthy", None)]


@rule("plane.network.tcp", "plane.network.alb")
def test_a_network_load_balancer_carries_connections(world, serve):
    group = world.group(Protocol="TCP", Port=8080)
    world.target(group, serve("echo", Echo))
    network = world.balancer(Type="network", Scheme="internal")
    _, balancer = forwarding(world, group, LoadBalancerArn=network, Protocol="TCP", Port=5555)
    world.healthy(group, 1)
    host, _, port = world.endpoint(balancer, 5555).rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        assert connection.recv(4) == b"echo"
        connection.sendall(b"\x00\xff no http")
        assert connection.recv(100) == b"\x00\xff no http"

    # Before an Application Load Balancer.
    behind = world.group()
    world.target(behind, serve("web"))
    _, alb = forwarding(world, behind)
    world.healthy(behind, 1)
    front = world.group(Protocol="TCP", Port=80, TargetType="alb")
    world.client.register_targets(TargetGroupArn=front, Targets=[{"Id": alb}])
    forwarding(world, front, LoadBalancerArn=network, Protocol="TCP", Port=5556)
    world.healthy(front, 1)
    assert world.get(network, 5556)[:2] == (200, "web")


@rule("plane.lag.listener")
def test_nodes_hear_of_rules_later(world, lag):
    listener = world.listener()
    world.client.get_waiter("load_balancer_available").wait(
        LoadBalancerArns=[world.alb], WaiterConfig={"Delay": 1}
    )
    assert world.ask(listener, path="/a")[1] == 404
    lag("change-listener", 3_600_000)
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}
    made = world.rule(listener, Conditions=[path("/a")], Actions=[fixed])
    assert made["RuleArn"] in [one["RuleArn"] for one in world.described_rules(listener)]
    assert world.ask(listener, path="/a")[1] == 404


@rule("callers.lag.policy", "callers.session_follows_role")
def test_a_policy_that_changes(aws, lag):
    arn = role(aws, policy=ALLOW_ALL)
    assumed = keys_of(aws, aws.sts.assume_role(RoleArn=arn, RoleSessionName="web"))
    assumed.ec2.describe_vpcs()
    aws.sim.post("roles", {"arn": arn, "policy": DENY_EC2})
    refused("UnauthorizedOperation", assumed.ec2.describe_vpcs)
    lag("change-policy", 3_600_000)
    aws.sim.post("roles", {"arn": arn, "policy": ALLOW_ALL})
    refused("UnauthorizedOperation", assumed.ec2.describe_vpcs)
    # Who is new is known at once.
    registered(aws, policy=ALLOW_ALL).ec2.describe_vpcs()
