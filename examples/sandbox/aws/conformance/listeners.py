"""What tests of listeners share: their sockets, targets that tell what they were
asked, and requests byte by byte."""

import http.server
import socket
import ssl
import threading

from conftest import eventually
from load_balancing import SELF_SIGNED, forward

# The name that the certificate of the tests is for.
NAME = "www.example.com"


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the request, one line for each header, and its body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length).decode()
        lines = [f"{self.command} {self.path}"]
        lines += [f"{name.lower()}: {value}" for name, value in self.headers.items()]
        answer = "\n".join([*lines, "", body]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


class Plane:
    """Listeners with sockets, and groups with targets that answer."""

    def __init__(self, elb):
        self.elb, self.sim = elb, elb.aws.sim
        self.targets = 0

    def target(self, group, port):
        """Registers an address that is played by a port of this machine."""
        self.targets += 1
        address = f"10.0.{self.targets // 200}.{self.targets % 200 + 20}"
        self.elb.client.register_targets(
            TargetGroupArn=group, Targets=[{"Id": address, "Port": 8080}]
        )
        self.sim.post("addresses", {f"{address}:8080": f"127.0.0.1:{port}"})

    def echoing(self, **settings):
        """A group with a target that tells what it was asked."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        server.daemon_threads = True
        # A client that closes early is what some tests are about.
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        group = self.elb.group(**settings)
        self.target(group, server.server_port)
        return group

    def listener(self, group=None, **settings):
        """A listener, and its socket once it is open."""
        if group:
            settings["DefaultActions"] = [forward(group)]
        made = self.elb.listeners(**settings)
        place = self.socket(made)
        if group:
            self.known(group)
        return made["ListenerArn"], place

    def rule(self, listener, priority, group, *conditions):
        """A rule that forwards, once the targets of its group may get requests."""
        self.elb.rule(
            listener, priority, Conditions=list(conditions), Actions=[forward(group)]
        )
        self.known(group)

    def known(self, group):
        """Waits until nodes have heard of the targets of a group that a listener names."""

        def all_are():
            reasons = [it["TargetHealth"].get("Reason") for it in self.elb.health(group)]
            return "Elb.RegistrationInProgress" not in reasons

        eventually(all_are, 60)

    def socket(self, listener):
        """Where a listener is served: (address, port)."""
        balancer, port = listener["LoadBalancerArn"], listener["Port"]

        def find():
            for it in self.sim.get("endpoints"):
                if it["loadBalancer"] == balancer and it["port"] == port:
                    address, _, at = it["socket"].rpartition(":")
                    return address, int(at)
            return None

        return eventually(find, 60)

    def set(self, **attributes):
        """Changes attributes of the load balancer; dots are written as __."""
        self.elb.client.modify_load_balancer_attributes(
            LoadBalancerArn=self.elb.alb,
            Attributes=[
                {"Key": key.replace("__", "."), "Value": value}
                for key, value in attributes.items()
            ],
        )

    def set_of(self, listener, **attributes):
        """Changes attributes of a listener."""
        self.elb.client.modify_listener_attributes(
            ListenerArn=listener,
            Attributes=[
                {"Key": key.replace("__", "."), "Value": value}
                for key, value in attributes.items()
            ],
        )

    def logged(self, wanted):
        """The first entry of the access log, of this load balancer, that is wanted."""
        balancer = self.elb.alb.partition(":loadbalancer/")[2]

        def find():
            for entry in self.sim.get("requests"):
                if entry["elb"] == balancer and wanted(entry):
                    return entry
            return None

        return eventually(find)


class Answer:
    """An answer, byte by byte."""

    def __init__(self, raw):
        head, _, self.body = raw.decode().partition("\r\n\r\n")
        self.head = head.lower()
        lines = head.split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        pairs = (line.split(": ", 1) for line in lines[1:])
        self.headers = {name.lower(): value for name, value in pairs}

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body!r}"


def raw(place, request):
    """Sends text and reads until the load balancer closes the connection."""
    with socket.create_connection(place, timeout=30) as stream:
        stream.sendall(request.encode())
        got = b""
        while piece := stream.recv(65536):
            got += piece
    return Answer(got)


def get(path="/", host="a.example.com", **headers):
    """A request that is the last of its connection."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""])


def page(title):
    """The body of an error page."""
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


def trusting():
    """A TLS context that trusts the certificate of the tests, for any host."""
    context = ssl.create_default_context(cadata=SELF_SIGNED[NAME][0].decode())
    context.check_hostname = False
    return context
