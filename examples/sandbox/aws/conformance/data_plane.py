"""What tests of the data plane share: targets that answer, and clients that
connect to the sockets of listeners."""

import contextlib
import http.client
import http.server
import itertools
import json
import socket
import ssl
import threading
import urllib.parse

from conftest import eventually

_addresses = itertools.count(10)


class Answer:
    def __init__(self, answer):
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read().decode()

    @property
    def location(self):
        assert self.status == 302, (self.status, self.body)
        return self.headers["location"]

    @property
    def cookies(self):
        return self.headers.get_all("set-cookie") or []

    def told(self):
        """The headers that the target got."""
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)


def tls(certificate=None, newest=None, oldest=None):
    """TLS that trusts everybody, perhaps with a certificate of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    if newest:
        context.maximum_version = newest
    if oldest:
        context.minimum_version = oldest
    return context


def over_tls(address, name, path="/", headers=None, context=None):
    """One request to a host that listens at an address."""
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as closing:
        plain = closing.enter_context(socket.create_connection((host, int(port)), timeout=20))
        secure = (context or tls()).wrap_socket(plain, server_hostname=name)
        connection = http.client.HTTPConnection(name)
        connection.sock = closing.enter_context(secure)
        connection.request("GET", path, headers=headers or {})
        return Answer(connection.getresponse())


class Browser:
    """Follows redirects and keeps cookies; knows where two hosts are."""

    def __init__(self, name, balancer, issuer):
        self.name, self.balancer, self.issuer = name, balancer, issuer
        self.cookies = {}

    def get(self, url):
        parts = urllib.parse.urlsplit(url)
        own = parts.hostname == self.name
        headers = {"Host": parts.netloc}
        if own and self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        answer = over_tls(self.balancer if own else self.issuer, parts.hostname, path, headers)
        for line in answer.cookies:
            assert len(line) <= 4096
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            self.cookies[name] = value
            if not value:
                del self.cookies[name]
        return answer

    def visit(self, url):
        """(last URL, its answer)"""
        for _ in range(10):
            answer = self.get(url)
            if answer.status != 302:
                return url, answer
            url = answer.location
        raise AssertionError(f"redirected for ever, last to {url}")


class Echo(http.server.BaseHTTPRequestHandler):
    """A target that answers with the headers that it got."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Site:
    """A load balancer with an HTTPS listener in front of a target that echoes."""

    def __init__(self, elb, *actions, **listener):
        self.elb, self.aws = elb, elb.aws
        self.name = "www.example.com"
        self._socket = None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        address = f"10.0.0.{next(_addresses)}"
        self.aws.sim.post("addresses", {f"{address}:8080": f"127.0.0.1:{self.server.server_port}"})
        self.group = elb.group()
        self.aws.elbv2.register_targets(TargetGroupArn=self.group, Targets=[{"Id": address}])
        forward = {"Type": "forward", "Order": 9, "TargetGroupArn": self.group}
        self.listener = elb.listener(
            Protocol="HTTPS", DefaultActions=[*actions, forward], **listener
        )

    def actions(self, *actions):
        """Puts other actions before the target."""
        forward = {"Type": "forward", "Order": 9, "TargetGroupArn": self.group}
        self.elb.client.modify_listener(
            ListenerArn=self.listener, DefaultActions=[*actions, forward]
        )

    @property
    def socket(self):
        """Where the listener is, once it serves and knows the target."""

        def find():
            for endpoint in self.aws.sim.get("endpoints"):
                if endpoint["loadBalancer"] == self.elb.alb:
                    return endpoint["socket"]

        def healthy():
            health = self.elb.health(self.group)
            return [target["TargetHealth"]["State"] for target in health] == ["healthy"]

        if self._socket is None:
            self._socket = eventually(find)
            eventually(healthy)
        return self._socket

    def browser(self):
        issuer = urllib.parse.urlsplit(self.aws.sim.get("issuer")["url"]).port
        return Browser(self.name, self.socket, f"127.0.0.1:{issuer}")

    def get(self, path="/", headers=None, context=None):
        return over_tls(self.socket, self.name, path, headers, context)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
