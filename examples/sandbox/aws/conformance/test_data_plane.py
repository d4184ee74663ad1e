"""What clients and targets of an Application Load Balancer see."""

import concurrent.futures
import re
import socket
import threading

import grpc
import httpx
import pytest
import websockets.sync.client
import websockets.sync.server
from conftest import eventually, rule
from listeners import NAME, Plane, get, page, raw, trusting
from load_balancing import NOT_FOUND, SELF_SIGNED, elb, path  # noqa: F401


@pytest.fixture
def plane(elb):  # noqa: F811
    return Plane(elb)


def http2(place, **settings):
    """A client that speaks HTTP/2 if the listener does."""
    address, port = place
    return httpx.Client(
        http2=True, verify=trusting(), base_url=f"https://{address}:{port}", **settings
    )


def ask(client, path="/", method="GET", **settings):
    return client.request(
        method, path, extensions={"sni_hostname": NAME}, **settings
    )


@rule("plane.errors.pages")
def test_error_pages(plane):
    group = plane.elb.group()
    _, place = plane.listener(group)
    got = raw(place, get())
    assert (got.status, got.body) == (503, page("503 Service Temporarily Unavailable"))
    assert got.headers["server"] == "awselb/2.0"
    assert got.headers["content-type"] == "text/html"
    assert got.headers["content-length"] == str(len(got.body))
    assert "date" in got.headers


@rule("plane.errors.requests")
def test_requests_that_no_rule_sees(plane):
    _, place = plane.listener()
    long = "x" * 16 * 1024
    for request, title in [
        ("NONSENSE\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "400 Bad Request"),
        (get(X_Long=long), "400 Bad Request"),
        (get().replace("GET", "TRACE"), "405 Method Not Allowed"),
        (get("/" + long), "414 URI Too Long"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br\r\n\r\n", "501 Not Implemented"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"),
    ]:
        got = raw(place, request)
        assert (got.status, got.body) == (int(title[:3]), page(title)), request[:60]
        assert got.headers["server"] == "awselb/2.0"


@rule("plane.errors.463")
def test_too_many_forwarding_addresses(plane):
    # Nothing is forwarded: the default action answers.
    _, place = plane.listener()
    for count, status in [(30, 404), (31, 463)]:
        addresses = ", ".join(["192.0.2.1"] * count)
        assert raw(place, get(X_Forwarded_For=addresses)).status == status
    for mode in ("preserve", "remove"):
        plane.set(routing__http__xff_header_processing__mode=mode)
        addresses = ", ".join(["192.0.2.1"] * 31)
        assert raw(place, get(X_Forwarded_For=addresses)).status == 463


@rule("plane.errors.502")
def test_targets_that_break(plane):
    group = plane.elb.group()
    server = socket.create_server(("127.0.0.1", 0))

    def hang_up():
        while True:
            server.accept()[0].close()

    threading.Thread(target=hang_up, daemon=True).start()
    plane.target(group, server.getsockname()[1])
    _, place = plane.listener(group)
    got = raw(place, get())
    assert (got.status, got.body) == (502, page("502 Bad Gateway"))
    entry = plane.logged(lambda entry: entry["elb_status_code"] == 502)
    assert entry["target_status_code"] is None


@rule("plane.errors.408")
def test_clients_that_stop(plane):
    group = plane.echoing()
    _, place = plane.listener(group)
    plane.set(idle_timeout__timeout_seconds="1")
    got = raw(place, "GET / HTTP/1.1\r\nHost: ")
    assert (got.status, got.body) == (408, page("408 Request Timeout"))
    got = raw(place, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    assert got.status == 408


@rule("plane.errors.413")
def test_bodies_for_functions(plane):
    listener, place = plane.listener()
    group = plane.elb.function_group()["TargetGroupArn"]
    function = "arn:aws:lambda:us-east-1:123456789012:function:f"
    plane.elb.client.register_targets(TargetGroupArn=group, Targets=[{"Id": function}])
    plane.rule(listener, 1, group, path("/f"))
    body = "x" * (1024 * 1024 + 1)
    head = "POST /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    assert raw(place, f"{head}Content-Length: {len(body)}\r\n\r\n{body}").status == 413


@rule("plane.desync", "plane.desync.log")
def test_desync_mitigation(plane):
    group = plane.echoing()
    _, place = plane.listener(group)
    key = "routing__http__desync_mitigation_mode"
    head = "POST / HTTP/1.1\r\nHost: a\r\n"
    both = f"{head}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    # The connection ends with the answer, or this would not return.
    got = raw(place, both)
    assert got.status == 200
    assert got.headers["connection"] == "close"
    two = f"{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"
    assert raw(place, two).status == 400
    plane.set(**{key: "strictest"})
    assert raw(place, both).status == 400
    assert raw(place, get(Content_Length="0")).status == 400
    plane.set(**{key: "monitor"})
    assert raw(place, get(Content_Length="0")).status == 200

    def is_(reason):
        return lambda entry: entry["classification_reason"] == reason

    assert plane.logged(is_("BothTeClPresent"))["classification"] == "Ambiguous"
    assert plane.logged(is_("MultipleContentLength"))["classification"] == "Severe"
    assert plane.logged(is_("GetHeadZeroContentLength"))["classification"] == "Acceptable"


@rule("plane.xff")
def test_forwarded_for(plane):
    group = plane.echoing()
    _, place = plane.listener(group)

    def seen(**headers):
        lines = raw(place, get(**headers)).body.split("\n")
        lines = [line for line in lines if line.startswith("x-forwarded-for: ")]
        return [line.partition(": ")[2] for line in lines]

    assert seen() == ["127.0.0.1"]
    assert seen(X_Forwarded_For="192.0.2.1") == ["192.0.2.1, 127.0.0.1"]
    plane.set(routing__http__xff_client_port__enabled="true")
    assert re.fullmatch(r"192\.0\.2\.1, 127\.0\.0\.1:\d+", seen(X_Forwarded_For="192.0.2.1")[0])
    plane.set(routing__http__xff_header_processing__mode="preserve")
    assert seen(X_Forwarded_For="192.0.2.1") == ["192.0.2.1"]
    assert seen() == []
    plane.set(routing__http__xff_header_processing__mode="remove")
    assert seen(X_Forwarded_For="192.0.2.1") == []


@rule("plane.forwarded", "plane.host", "plane.trace_id")
def test_headers_for_targets(plane):
    group = plane.echoing()
    _, place = plane.listener(group)
    body = raw(place, get(host="a.example.com:8000", X_Forwarded_Proto="https",
                          X_Forwarded_Port="1")).body
    lines = body.split("\n")
    assert "x-forwarded-proto: http" in lines
    assert "x-forwarded-port: 80" in lines
    assert "host: a.example.com" in lines
    assert "x-forwarded-host" not in body
    assert re.search(r"\nx-amzn-trace-id: Root=1-[0-9a-f]{8}-[0-9a-f]{24}\n", body)
    root = "Root=1-67891233-abcdef012345678912345678"
    body = raw(place, get(X_Amzn_Trace_Id=f"Self=1-1-1;{root};Own=x")).body
    assert re.search(rf"\nx-amzn-trace-id: Self=1-[0-9a-f-]{{33}};{root};Own=x\n", body)
    plane.set(routing__http__preserve_host_header__enabled="true")
    lines = raw(place, get(host="a.example.com:8000")).body.split("\n")
    assert "host: a.example.com:8000" in lines


@rule("plane.invalid_headers")
def test_invalid_header_names(plane):
    group = plane.echoing()
    _, place = plane.listener(group)
    request = get().replace("Host:", "x_mine: 1\r\nHost:")
    assert "\nx_mine: 1\n" in raw(place, request).body
    plane.set(routing__http__drop_invalid_header_fields__enabled="true")
    assert "x_mine" not in raw(place, request).body


@rule("plane.listener_headers", "plane.listener_headers.server")
def test_headers_of_listeners(plane):
    group = plane.echoing()
    listener, place = plane.listener()
    plane.rule(listener, 1, group, path("/shop"))
    plane.set_of(
        listener,
        routing__http__response__x_content_type_options__header_value="nosniff",
        routing__http__response__access_control_allow_origin__header_value="https://a.example",
    )
    for request, status in [(get("/shop"), 200), (get("/"), 404), ("NONSENSE\r\n\r\n", 400)]:
        got = raw(place, request)
        assert got.status == status
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["access-control-allow-origin"] == "https://a.example"
    plane.set_of(listener, routing__http__response__server__enabled="false")
    assert "server" not in raw(place, get("/")).headers
    assert raw(place, get("/shop")).headers["server"].startswith("BaseHTTP")


@rule("plane.http2.clients", "plane.http2.off")
def test_http2_to_clients(plane):
    group = plane.echoing()
    _, place = plane.listener(group, Protocol="HTTPS")
    with http2(place) as client:
        got = ask(client, "/a?b=c", headers={"cookie": "a=1"})
        assert (got.status_code, got.http_version) == (200, "HTTP/2")
        assert got.text.startswith("GET /a?b=c\n")
        assert "\nx-forwarded-proto: https\n" in got.text
        assert ask(client, "/b", "POST", content=b"body").text.endswith("\nbody")
    entry = plane.logged(lambda entry: "/a?b=c" in entry["request"])
    assert entry["type"] == "h2"
    assert entry["request"].endswith(" HTTP/2.0")
    plane.set(routing__http2__enabled="false")
    with http2(place) as client:
        got = ask(client)
        assert (got.status_code, got.http_version) == (200, "HTTP/1.1")
    entry = plane.logged(lambda entry: entry["type"] == "https")
    # The newest of the default policy.
    assert entry["ssl_protocol"] == "TLSv1.2"


@rule("plane.waf", "plane.waf.custom", "plane.waf.log")
def test_web_acls(plane):
    waf, name = plane.elb.aws.wafv2, plane.elb.aws.name
    seen = lambda what: {
        "SampledRequestsEnabled": False,
        "CloudWatchMetricsEnabled": False,
        "MetricName": what,
    }
    ranges = waf.create_ip_set(
        Name=name("set"), Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=["198.51.100.0/24"]
    )["Summary"]
    far = {"HeaderName": "X-Client", "FallbackBehavior": "NO_MATCH", "Position": "FIRST"}
    teapot = {"ResponseCode": 418, "CustomResponseBodyKey": "tea"}
    statements = {
        "range": ({"Block": {}}, {
            "IPSetReferenceStatement": {"ARN": ranges["ARN"], "IPSetForwardedIPConfig": far}
        }),
        "bytes": ({"Block": {"CustomResponse": teapot}}, {
            "ByteMatchStatement": {
                "SearchString": b"tea",
                "FieldToMatch": {"SingleQueryArgument": {"Name": "drink"}},
                "TextTransformations": [{"Priority": 0, "Type": "LOWERCASE"}],
                "PositionalConstraint": "EXACTLY",
            }
        }),
        "rate": ({"Block": {}}, {
            "RateBasedStatement": {
                "Limit": 10,
                "AggregateKeyType": "CUSTOM_KEYS",
                "CustomKeys": [{"Header": {"Name": "x-user", "TextTransformations": [{"Priority": 0, "Type": "NONE"}]}}],
            }
        }),
    }
    rules = [
        {"Name": key, "Priority": n, "Action": action, "Statement": statement, "VisibilityConfig": seen(key)}
        for n, (key, (action, statement)) in enumerate(statements.items())
    ]
    acl = waf.create_web_acl(
        Name=name("acl"),
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        Rules=rules,
        CustomResponseBodies={"tea": {"ContentType": "TEXT_PLAIN", "Content": "short and stout"}},
        VisibilityConfig=seen("acl"),
    )["Summary"]
    group = plane.echoing()
    _, place = plane.listener(group)
    waf.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=plane.elb.alb)
    try:
        assert raw(place, get("/")).status == 200
        assert raw(place, get(X_Client="198.51.100.9")).status == 403
        got = raw(place, get("/?drink=TEA"))
        assert (got.status, got.body, got.headers["content-type"]) == (418, "short and stout", "text/plain")
        statuses = [raw(place, get(X_User="a")).status for _ in range(12)]
        assert statuses == [200] * 10 + [403] * 2
        entry = plane.logged(lambda entry: entry["elb_status_code"] == 418)
        assert entry["actions_executed"] == "waf"
        assert entry["error_reason"].endswith("by its rule bytes")
    finally:
        waf.disassociate_web_acl(ResourceArn=plane.elb.alb)
    assert raw(place, get("/?drink=tea")).status == 200


@rule("plane.tls_headers", "plane.tls_headers.names")
def test_targets_are_told_of_tls(plane):
    group = plane.echoing()
    policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    listener, place = plane.listener(group, Protocol="HTTPS", SslPolicy=policy)
    with http2(place) as client:
        assert "x-amzn-tls" not in ask(client).text
        plane.set(routing__http__x_amzn_tls_version_and_cipher_suite__enabled="true")
        got = ask(client).text
        assert "\nx-amzn-tls-version: TLSv1.3\n" in got
        assert "\nx-amzn-tls-cipher-suite: TLS_" in got
        name = "routing__http__request__x_amzn_tls_version__header_name"
        plane.set_of(listener, **{name: "X-My-Version"})
        got = ask(client).text
        assert "\nx-my-version: TLSv1.3\n" in got
        assert "x-amzn-tls-version" not in got


@rule("plane.464")
def test_protocol_versions_that_do_not_fit(plane):
    old, new = plane.elb.group(), plane.elb.group(ProtocolVersion="HTTP2")
    calls = plane.elb.group(ProtocolVersion="GRPC")
    listener, place = plane.listener(Protocol="HTTPS")
    for priority, group in enumerate([old, new, calls], 1):
        plane.target(group, 1)
        plane.rule(listener, priority, group, path(f"/{priority}"))
    grpc_type = {"content-type": "application/grpc"}
    with http2(place) as client:
        for path_, method, headers, fits in [
            ("/1", "POST", grpc_type, False),
            ("/2", "POST", grpc_type, True),
            ("/2", "GET", {}, True),
            ("/3", "GET", {}, False),
            ("/3", "POST", {}, True),
        ]:
            got = ask(client, path_, method, headers=headers).status_code
            # Nobody listens behind those that fit.
            assert got == (502 if fits else 464), (path_, method)
    with httpx.Client(verify=trusting(), base_url=f"https://{place[0]}:{place[1]}") as client:
        assert ask(client, "/1").status_code == 502
        assert ask(client, "/2").status_code == 464
        assert ask(client, "/3", "POST").status_code == 464


class Calls:
    """A server of gRPC that tells who called."""

    def __init__(self):
        own = grpc.method_handlers_generic_handler(
            "echo.Echo",
            {
                "Say": grpc.unary_unary_rpc_method_handler(self.say),
                "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
                "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            },
        )
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers((own,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    @staticmethod
    def say(message, context):
        metadata = dict(context.invocation_metadata())
        context.set_trailing_metadata((("seen-by", metadata["x-forwarded-for"]),))
        return b"You said " + message

    @staticmethod
    def chat(messages, _):
        for message in messages:
            yield b"You said " + message

    @staticmethod
    def fail(_, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")


@pytest.fixture
def calls():
    made = Calls()
    yield made
    made.server.stop(None)


def channel(place):
    credentials = grpc.ssl_channel_credentials(SELF_SIGNED[NAME][0])
    options = (("grpc.ssl_target_name_override", NAME), ("grpc.enable_retries", 0))
    return grpc.secure_channel(f"{place[0]}:{place[1]}", credentials, options)


@rule("plane.grpc", "plane.grpc.health")
def test_grpc(plane, calls):
    group = plane.elb.group(ProtocolVersion="GRPC")
    plane.target(group, calls.port)
    listener, place = plane.listener(Protocol="HTTPS")
    plane.rule(listener, 1, group, path("/echo.Echo/*"))

    def states():
        return [it["TargetHealth"]["State"] for it in plane.elb.health(group)]

    # The server does not know the method of the health check: status 12.
    eventually(lambda: states() == ["healthy"], 60)
    with channel(place) as open_:
        say = open_.unary_unary("/echo.Echo/Say")
        answer, call = say.with_call(b"hello", timeout=30)
        assert answer == b"You said hello"
        assert dict(call.trailing_metadata())["seen-by"] == "127.0.0.1"
        # One message after another, each once the last was answered.
        asked = iter([b"one", b"two", b"three"])
        chat = open_.stream_stream("/echo.Echo/Chat")
        answers = list(chat(asked, timeout=30))
        assert answers == [b"You said one", b"You said two", b"You said three"]
        with pytest.raises(grpc.RpcError) as failed:
            open_.unary_unary("/echo.Echo/Fail")(b"", timeout=30)
        assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert failed.value.details() == "not today"
    entry = plane.logged(lambda entry: "/echo.Echo/Say" in entry["request"])
    assert entry["type"] == "grpcs"


@rule("plane.grpc.errors")
def test_errors_of_http_for_grpc(plane):
    empty = plane.elb.group(ProtocolVersion="GRPC")
    dead = plane.elb.group(ProtocolVersion="GRPC")
    plane.target(dead, 1)
    listener, place = plane.listener(Protocol="HTTPS")
    for priority, (service, group) in enumerate([("Empty", empty), ("Dead", dead)], 1):
        plane.rule(listener, priority, group, path(f"/echo.{service}/*"))
    with channel(place) as open_:
        for method, code in [
            ("/echo.Empty/Say", grpc.StatusCode.UNAVAILABLE),
            ("/echo.Dead/Say", grpc.StatusCode.UNAVAILABLE),
            ("/echo.Other/Say", grpc.StatusCode.UNIMPLEMENTED),
        ]:
            with pytest.raises(grpc.RpcError) as failed:
                open_.unary_unary(method)(b"", timeout=30)
            assert failed.value.code() == code, method


@rule("plane.websockets")
def test_websockets(plane):
    def echo(connection):
        for message in connection:
            connection.send(f"{connection.request.path} {message}")

    with websockets.sync.server.serve(echo, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        group = plane.elb.group()
        plane.target(group, server.socket.getsockname()[1])
        _, place = plane.listener(group)
        _, secure = plane.listener(group, Protocol="HTTPS")
        for address, settings in [
            (f"ws://{place[0]}:{place[1]}/chat", {}),
            (
                f"wss://{secure[0]}:{secure[1]}/chat",
                {"ssl": trusting(), "server_hostname": NAME},
            ),
        ]:
            with websockets.sync.client.connect(address, **settings) as client:
                for message in ("one", "x" * 100_000):
                    client.send(message)
                    assert client.recv(timeout=30) == f"/chat {message}"
        for kind in ("ws", "wss"):
            entry = plane.logged(lambda entry, kind=kind: entry["type"] == kind)
            assert entry["elb_status_code"] == 101
        # Silence ends it, as it ends other connections.
        plane.set(idle_timeout__timeout_seconds="1")
        address = f"ws://{place[0]}:{place[1]}/chat"
        with websockets.sync.client.connect(address, ping_interval=None) as client:
            with pytest.raises(websockets.ConnectionClosed):
                client.recv(timeout=30)


@rule("plane.keep_alive")
def test_idle_connections_end(plane):
    _, place = plane.listener()
    plane.set(idle_timeout__timeout_seconds="1")
    with socket.create_connection(place, timeout=30) as stream:
        stream.sendall(get().replace("Connection: close\r\n", "").encode())
        got = b""
        while piece := stream.recv(65536):
            got += piece
    # Answered, then closed without a word.
    assert got.startswith(b"HTTP/1.1 404")
    assert got.count(b"HTTP/1.1") == 1
