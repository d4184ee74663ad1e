"""Rules: actions, transforms, priorities."""

import re

from conftest import refused, rule
from load_balancing import NOT_FOUND, cognito, elb, forward, host, jwt, oidc, path, redirect, weighted  # noqa: F401

NOBODY = "0" * 16
ACTION = "InvalidLoadBalancerAction"
LAST = {**NOT_FOUND, "Order": 2}


@rule("elb.rule.answer", "elb.rule.priority_text")
def test_a_rule(elb):
    listener = elb.listener()
    made = elb.rule(listener, 7)
    base = re.escape(listener.replace(":listener/", ":listener-rule/"))
    assert re.fullmatch(base + "/[0-9a-f]{16}", made["RuleArn"])
    assert made["Priority"] == "7" and made["IsDefault"] is False
    assert "Transforms" not in made
    rules = elb.described_rules(listener)
    assert made in rules
    default = next(r for r in rules if r["IsDefault"])
    assert (default["Priority"], default["Conditions"]) == ("default", [])
    assert default["Actions"] == elb.described_listener(listener)["DefaultActions"]


@rule("elb.create_rule.listener", "elb.create_rule.priority_range", "elb.create_rule.priority_in_use")
def test_listener_and_priority(elb):
    listener = elb.listener()
    refused("ListenerNotFound", lambda: elb.rule(listener[:-16] + NOBODY))
    refused("ValidationError", lambda: elb.rule(elb.alb))
    for priority in (0, 50001, -1):
        refused("ValidationError", lambda p=priority: elb.unchecked.create_rule(
            ListenerArn=listener, Priority=p, Conditions=[path("/a")], Actions=[NOT_FOUND]))
    elb.rule(listener, 1500)
    error = refused("PriorityInUse", lambda: elb.rule(listener, 1500))
    assert error.message == "Priority '1500' is currently in use"
    elb.rule(listener, 50000)
    elb.rule(elb.listener(Port=81), 1500)


@rule("elb.create_rule.quota")
def test_rules_are_counted_over_all_listeners(elb):
    one, two = elb.listener(), elb.listener(Port=81)
    for priority in range(1, 100):
        elb.rule(one, priority)
    made = elb.rule(two, 1)
    error = refused("TooManyRules", lambda: elb.rule(two, 2))
    assert error.message == f"The maximum number of rules on load balancer {elb.alb} has been reached"
    elb.client.delete_rule(RuleArn=made["RuleArn"])
    elb.rule(two, 2)


@rule("elb.forward.readback")
def test_forwards_read_back_in_both_spellings(elb):
    group = elb.group()
    listener = elb.listener()
    short = elb.rule(listener, 1, Actions=[forward(group)])["Actions"]
    long = elb.rule(listener, 2, Actions=[weighted((group, 1))])["Actions"]
    for actions in (short, long):
        assert actions == [{
            "Type": "forward",
            "TargetGroupArn": group,
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        }]
    both = {**weighted((group, 3)), "TargetGroupArn": group}
    assert elb.rule(listener, 3, Actions=[both])["Actions"][0]["TargetGroupArn"] == group


@rule("elb.forward.weights", "elb.forward.most", "elb.forward.one_group")
def test_weighted_forwards(elb):
    groups = [elb.group() for _ in range(6)]
    listener = elb.listener()
    made = elb.rule(listener, 1, Actions=[weighted((groups[0], 0), (groups[1], 999))])["Actions"][0]
    assert "TargetGroupArn" not in made
    assert made["ForwardConfig"]["TargetGroups"][1] == {"TargetGroupArn": groups[1], "Weight": 999}
    elb.rule(listener, 2, Actions=[weighted(*[(g, 1) for g in groups[:5]])])

    def bad(codes, action):
        refused(codes, lambda: elb.rule(listener, 3, Actions=[action]))

    bad(("TooManyTargetGroups", "ValidationError", ACTION), weighted(*[(g, 1) for g in groups]))
    bad("ValidationError", weighted((groups[0], 1000), (groups[1], 1)))
    bad("ValidationError", weighted((groups[0], -1), (groups[1], 1)))
    without = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": g} for g in groups[:2]]}}
    bad((ACTION, "ValidationError"), without)
    bad((ACTION, "ValidationError"), {**weighted((groups[0], 1)), "TargetGroupArn": groups[1]})
    bad((ACTION, "ValidationError"), {**weighted((groups[0], 1), (groups[1], 1)), "TargetGroupArn": groups[0]})
    bad((ACTION, "ValidationError"), weighted((groups[0], 1), (groups[0], 1)))
    bad((ACTION, "ValidationError"), {"Type": "forward"})
    bad((ACTION, "ValidationError"), weighted())


@rule("elb.forward.stickiness", "elb.forward.sticky_group")
def test_stickiness_of_groups(elb):
    a, b = elb.group(), elb.group()
    listener = elb.listener()

    def make(priority, sticky):
        return elb.rule(listener, priority, Actions=[weighted((a, 1), (b, 1), sticky=sticky)])

    made = make(1, {"Enabled": True, "DurationSeconds": 604800})
    config = made["Actions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"]
    assert config == {"Enabled": True, "DurationSeconds": 604800}
    for sticky in ({"Enabled": True}, {"Enabled": True, "DurationSeconds": 0}, {"Enabled": True, "DurationSeconds": 604801}):
        refused(("ValidationError", ACTION), lambda s=sticky: make(2, s))
    on = [{"Key": "stickiness.enabled", "Value": "true"}]
    elb.client.modify_target_group_attributes(TargetGroupArn=a, Attributes=on)
    refused((ACTION, "InvalidConfigurationRequest"), lambda: make(2, {"Enabled": False}))
    make(2, {"Enabled": True, "DurationSeconds": 1})
    off = [{"Key": "stickiness.enabled", "Value": "false"}]
    elb.client.modify_target_group_attributes(TargetGroupArn=a, Attributes=off)
    made = make(3, {"Enabled": False, "DurationSeconds": 60})
    assert made["Actions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"] == {"Enabled": False, "DurationSeconds": 60}


@rule("elb.redirect.readback")
def test_redirects_read_back_whole(elb):
    made = elb.rule(elb.listener(), Actions=[redirect(Protocol="HTTPS", Port="443")])
    assert made["Actions"][0]["RedirectConfig"] == {
        "Protocol": "HTTPS", "Port": "443", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}", "StatusCode": "HTTP_301"}


@rule("elb.redirect.parts", "elb.redirect.placeholders", "elb.redirect.loop", "elb.redirect.downgrade")
def test_redirects(elb):
    plain, secure = elb.listener(), elb.listener(Protocol="HTTPS")
    good = [
        {"Host": "#{host}.example.com", "Path": "/#{port}/#{host}/#{path}", "Query": "#{protocol}=#{query}"},
        {"Port": "#{port}", "Path": "/new", "Query": ""},
        {"Port": "8080"},
        {"StatusCode": "HTTP_302", "Protocol": "HTTPS"},
    ]
    for number, parts in enumerate(good, 1):
        elb.rule(plain, number, Actions=[redirect(**parts)])
    codes = ("ValidationError", ACTION)
    for parts in [
        {"Port": "0"}, {"Port": "65536"}, {"Port": "http"}, {"Port": "8#{port}"},
        {"Host": "x" * 129}, {"Host": ""}, {"Host": "#{path}.example.com"},
        {"Path": "new"}, {"Path": "/" + "x" * 128}, {"Path": "/#{query}"}, {"Path": "/#{nothing}"},
        {"Host": "a.example.com", "Query": "?a=b"}, {"Host": "a.example.com", "Query": "x" * 129},
        {"Protocol": "FTP"}, {"Host": "a.example.com", "StatusCode": "HTTP_307"},
    ]:
        refused(codes, lambda p=parts: elb.rule(plain, 99, Actions=[redirect(**p)]))
    for parts in [{}, {"Query": "a=b"}, {"Protocol": "HTTP"}, {"Protocol": "#{protocol}", "Port": "80", "Host": "#{host}", "Path": "/#{path}"}]:
        refused(codes, lambda p=parts: elb.rule(plain, 99, Actions=[redirect(**p)]))
    refused(codes, lambda: elb.rule(secure, 99, Actions=[redirect(Protocol="HTTP", Port="80")]))
    elb.rule(secure, 1, Actions=[redirect(Path="/x")])
    unfinished = {"Type": "redirect", "RedirectConfig": {"Host": "a.example.com"}}
    refused(codes, lambda: elb.unchecked.create_rule(ListenerArn=plain, Priority=99, Conditions=[path("/a")], Actions=[unfinished]))


@rule("elb.fixed.limits")
def test_fixed_responses(elb):
    listener = elb.listener()

    def make(priority, **config):
        return elb.rule(listener, priority, Actions=[{"Type": "fixed-response", "FixedResponseConfig": config}])["Actions"][0]

    made = make(1, StatusCode="503", MessageBody="x" * 1024, ContentType="application/json")
    assert made["FixedResponseConfig"] == {"StatusCode": "503", "MessageBody": "x" * 1024, "ContentType": "application/json"}
    make(2, StatusCode="200")
    for config in [
        {"StatusCode": "302"}, {"StatusCode": "600"}, {"StatusCode": "20"}, {"StatusCode": "4xx"},
        {"StatusCode": "200", "MessageBody": "x" * 1025},
        {"StatusCode": "200", "ContentType": "image/png"},
        {"StatusCode": "200", "ContentType": "x" * 33},
    ]:
        refused("ValidationError", lambda c=config: make(3, **c))


@rule("elb.actions.composition", "elb.actions.order", "elb.actions.config")
def test_which_actions_go_together(elb):
    listener = elb.listener(Protocol="HTTPS")
    codes = (ACTION, "ValidationError")

    def bad(*actions):
        refused(codes, lambda: elb.rule(listener, 9, Actions=list(actions)))

    bad()
    bad(oidc())
    bad({**NOT_FOUND, "Order": 1}, {**redirect(Host="a.example.com"), "Order": 2})
    bad({**NOT_FOUND, "Order": 1}, oidc(order=2))
    bad(oidc(), jwt(order=2), {**NOT_FOUND, "Order": 3})
    first = oidc()
    del first["Order"]
    bad(first, NOT_FOUND)
    bad(oidc(order=2), LAST)
    bad({"Type": "redirect"})
    bad({**NOT_FOUND, "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "a.example.com"}})
    refused("ValidationError", lambda: elb.rule(listener, 9, Actions=[{"Type": "teapot"}]))
    for order in (0, 50001):
        refused("ValidationError", lambda o=order: elb.rule(listener, 9, Actions=[{**NOT_FOUND, "Order": o}]))
    # Order counts, not the place in the list.
    made = elb.rule(listener, 1, Actions=[LAST, oidc()])
    assert [a["Type"] for a in sorted(made["Actions"], key=lambda a: a["Order"])] == ["authenticate-oidc", "fixed-response"]


@rule("elb.oidc.defaults", "elb.oidc.secret")
def test_oidc_fills_in_defaults_and_hides_the_secret(elb):
    listener = elb.listener(Protocol="HTTPS")
    made = elb.rule(listener, Actions=[oidc(), LAST])
    assert made["Actions"][0]["AuthenticateOidcConfig"] == {
        "Issuer": "https://idp.example.com",
        "AuthorizationEndpoint": "https://idp.example.com/authorize",
        "TokenEndpoint": "https://idp.example.com/token",
        "UserInfoEndpoint": "https://idp.example.com/userinfo",
        "ClientId": "alb",
        "SessionCookieName": "AWSELBAuthSessionCookie",
        "Scope": "openid",
        "SessionTimeout": 604800,
        "OnUnauthenticatedRequest": "authenticate",
    }
    full = oidc(SessionCookieName="mine", Scope="email", SessionTimeout=3600, OnUnauthenticatedRequest="deny",
                AuthenticationRequestExtraParams={"display": "page", "prompt": "login"})
    config = elb.rule(listener, 2, Actions=[full, LAST])["Actions"][0]["AuthenticateOidcConfig"]
    assert config["AuthenticationRequestExtraParams"] == {"display": "page", "prompt": "login"}
    assert (config["SessionCookieName"], config["Scope"], config["SessionTimeout"]) == ("mine", "email", 3600)
    assert "ClientSecret" not in config and "hush" not in str(elb.described_rules(listener))


@rule("elb.oidc.checks", "elb.oidc.existing_secret")
def test_oidc_is_checked(elb):
    listener = elb.listener(Protocol="HTTPS")
    codes = (ACTION, "ValidationError")
    many = {f"p{n}": "x" for n in range(11)}
    for settings in [
        {"Issuer": "http://idp.example.com"}, {"TokenEndpoint": "idp.example.com/token"},
        {"UserInfoEndpoint": "https://"}, {"ClientSecret": None},
        {"SessionTimeout": 0}, {"SessionTimeout": 604801}, {"OnUnauthenticatedRequest": "maybe"},
        {"AuthenticationRequestExtraParams": many},
        {"ClientSecret": None, "UseExistingClientSecret": True},
    ]:
        refused(codes, lambda s=settings: elb.rule(listener, 9, Actions=[oidc(**s), LAST]))
    made = elb.rule(listener, Actions=[oidc(), LAST])["RuleArn"]
    modify = lambda **settings: elb.client.modify_rule(RuleArn=made, Actions=[oidc(**settings), LAST])
    after = modify(ClientSecret=None, UseExistingClientSecret=True, Scope="email")["Rules"][0]
    config = after["Actions"][0]["AuthenticateOidcConfig"]
    assert config["Scope"] == "email" and "UseExistingClientSecret" not in config
    refused(codes, lambda: modify(ClientSecret=None))
    refused(codes, lambda: modify(UseExistingClientSecret=True))
    plain = elb.rule(listener, 2)["RuleArn"]
    refused(codes, lambda: elb.client.modify_rule(
        RuleArn=plain, Actions=[oidc(ClientSecret=None, UseExistingClientSecret=True), LAST]))


@rule("elb.cognito.defaults", "elb.cognito.pool", "elb.cognito.outside")
def test_cognito(elb, aws):
    listener = elb.listener(Protocol="HTTPS")
    codes = (ACTION, "ValidationError")
    pool = aws.cognito.create_user_pool(PoolName=aws.name("pool"))["UserPool"]
    client = lambda secret: aws.cognito.create_user_pool_client(
        UserPoolId=pool["Id"], ClientName=aws.name("c"), GenerateSecret=secret)["UserPoolClient"]["ClientId"]
    with_secret, without = client(True), client(False)
    action = lambda **more: cognito(**{"UserPoolArn": pool["Arn"], "UserPoolClientId": with_secret, **more})
    make = lambda priority, action: elb.rule(listener, priority, Actions=[action, LAST])
    made = make(1, action())
    assert made["Actions"][0]["AuthenticateCognitoConfig"] == {
        "UserPoolArn": pool["Arn"], "UserPoolClientId": with_secret, "UserPoolDomain": "login",
        "SessionCookieName": "AWSELBAuthSessionCookie", "Scope": "openid", "SessionTimeout": 604800,
        "OnUnauthenticatedRequest": "authenticate"}
    for bad in [
        action(UserPoolClientId=without), action(UserPoolClientId="nobody"), cognito(),
        action(UserPoolArn="us-east-1_Abc123"), action(SessionTimeout=604801), action(SessionTimeout=0),
        action(OnUnauthenticatedRequest="maybe"), action(UserPoolDomain=""),
        action(AuthenticationRequestExtraParams={f"p{n}": "x" for n in range(11)}),
    ]:
        refused(codes, lambda b=bad: make(2, b))
    elsewhere = {
        "user_pool_arn": "arn:aws:cognito-idp:eu-west-1:210987654321:userpool/eu-west-1_Xyz789",
        "client_id": aws.name("c"), "domain": "login"}
    known = aws.sim.get("outside")["cognito"]
    declared = cognito(UserPoolArn=elsewhere["user_pool_arn"], UserPoolClientId=elsewhere["client_id"])
    refused(codes, lambda: make(3, declared))
    aws.sim.post("outside", {"cognito": [*known, elsewhere]})
    make(3, declared)


@rule("elb.jwt.readback", "elb.jwt.checks")
def test_jwt_validation(elb):
    listener = elb.listener(Protocol="HTTPS")
    claim = {"Format": "single-string", "Name": "tenant", "Values": ["a", "b"]}
    made = elb.rule(listener, Actions=[jwt(AdditionalClaims=[claim]), LAST])
    assert made["Actions"][0]["JwtValidationConfig"] == {
        "JwksEndpoint": "https://idp.example.com/keys", "Issuer": "https://idp.example.com", "AdditionalClaims": [claim]}
    codes = (ACTION, "ValidationError")
    for settings in [
        {"JwksEndpoint": "http://idp.example.com/keys"},
        {"JwksEndpoint": "https://idp.example.com/" + "x" * 250},
        {"Issuer": "https://idp.example.com/" + "x" * 250},
        {"AdditionalClaims": [{**claim, "Name": f"c{n}"} for n in range(11)]},
        *[{"AdditionalClaims": [{**claim, "Name": name}]} for name in ("exp", "iss", "nbf", "iat")],
        {"AdditionalClaims": [{**claim, "Format": "list"}]},
        {"AdditionalClaims": [{**claim, "Values": ["x"] * 11}]},
        {"AdditionalClaims": [{**claim, "Values": ["x" * 257]}]},
        {"AdditionalClaims": [{**claim, "Values": []}]},
        {"AdditionalClaims": [{**claim, "Format": "space-separated-values", "Values": ["a b"]}]},
    ]:
        refused(codes, lambda s=settings: elb.rule(listener, 9, Actions=[jwt(**s), LAST]))


@rule("elb.actions.http2_forward_only")
def test_nothing_stands_before_groups_of_http2(elb):
    listener = elb.listener(Protocol="HTTPS")
    group = elb.group(ProtocolVersion="GRPC")
    refused((ACTION, "InvalidConfigurationRequest"), lambda: elb.rule(listener, Actions=[jwt(), {**forward(group), "Order": 2}]))


URL = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/api/(.*)$", "Replace": "/$1"}]}}
HOST = {"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": "^a\\.(.+)$", "Replace": "b.$1"}]}}


@rule("elb.transforms.readback", "elb.transforms.checks")
def test_transforms(elb):
    listener = elb.listener()
    made = elb.rule(listener, Transforms=[URL, HOST])
    assert sorted(made["Transforms"], key=lambda t: t["Type"]) == [HOST, URL]
    rewrites = lambda *pairs: {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": r, "Replace": w} for r, w in pairs]}}
    for transforms in [
        [URL, URL], [rewrites()], [rewrites(("a", "b"), ("c", "d"))], [rewrites(("x" * 1025, "b"))],
        [rewrites(("a", "b" * 1025))], [rewrites(("(?=a)", "b"))], [rewrites(("(", "b"))],
        [{**URL, "Type": "host-header-rewrite"}], [{"Type": "url-rewrite"}], [{**URL, "Type": "rewrite"}],
    ]:
        refused("ValidationError", lambda t=transforms: elb.rule(listener, 9, Transforms=t))


@rule("elb.modify_rule.transforms")
def test_transforms_change(elb):
    made = elb.rule(elb.listener(), Transforms=[URL])["RuleArn"]
    modify = lambda **change: elb.client.modify_rule(RuleArn=made, **change)["Rules"][0]
    assert modify(Conditions=[path("/b")])["Transforms"] == [URL]
    assert modify(Transforms=[HOST])["Transforms"] == [HOST]
    refused("ValidationError", lambda: modify(Transforms=[URL], ResetTransforms=True))
    assert "Transforms" not in modify(ResetTransforms=True)


@rule("elb.modify_rule.partial", "elb.modify_rule.unknown", "elb.modify_rule.default")
def test_rules_change(elb):
    listener = elb.listener()
    made = elb.rule(listener, 3)
    modify = lambda arn=made["RuleArn"], **change: elb.client.modify_rule(RuleArn=arn, **change)["Rules"][0]
    assert modify() == made
    after = modify(Conditions=[host("a.example.com")])
    assert after["Actions"] == made["Actions"] and after["Priority"] == "3"
    assert [c["Field"] for c in after["Conditions"]] == ["host-header"]
    after = modify(Actions=[redirect(Host="a.example.com")])
    assert after["Actions"][0]["Type"] == "redirect"
    assert [c["Field"] for c in after["Conditions"]] == ["host-header"]
    refused("RuleNotFound", lambda: modify(arn=made["RuleArn"][:-16] + NOBODY, Conditions=[path("/b")]))
    refused("ValidationError", lambda: modify(arn=listener, Conditions=[path("/b")]))
    refused("ValidationError", lambda: modify(Conditions=[host("*")]))
    default = next(r for r in elb.described_rules(listener) if r["IsDefault"])["RuleArn"]
    refused("OperationNotPermitted", lambda: modify(arn=default, Actions=[NOT_FOUND]))


@rule("elb.delete_rule")
def test_rules_are_deleted_once(elb):
    listener = elb.listener()
    made = elb.rule(listener)["RuleArn"]
    elb.client.delete_rule(RuleArn=made)
    refused("RuleNotFound", lambda: elb.client.delete_rule(RuleArn=made))
    default = elb.described_rules(listener)[0]["RuleArn"]
    refused("OperationNotPermitted", lambda: elb.client.delete_rule(RuleArn=default))
    refused("ValidationError", lambda: elb.client.delete_rule(RuleArn="rule"))


@rule("elb.describe_rules.one_of", "elb.describe_rules.unknown", "elb.describe_rules.pages")
def test_rules_are_described(elb):
    listener = elb.listener()
    made = [elb.rule(listener, priority) for priority in (3, 1, 2)]
    describe = elb.client.describe_rules
    refused("ValidationError", lambda: describe())
    refused("ValidationError", lambda: describe(ListenerArn=listener, RuleArns=[made[0]["RuleArn"]]))
    assert describe(RuleArns=[made[0]["RuleArn"]])["Rules"] == [made[0]]
    unknown = made[0]["RuleArn"][:-16] + NOBODY
    refused("RuleNotFound", lambda: describe(RuleArns=[made[1]["RuleArn"], unknown]))
    refused("ListenerNotFound", lambda: describe(ListenerArn=listener[:-16] + NOBODY))
    pages, marker = [], {}
    while True:
        page = describe(ListenerArn=listener, PageSize=2, **marker)
        pages += page["Rules"]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert sorted(r["Priority"] for r in pages) == ["1", "2", "3", "default"]


@rule("elb.priorities.swap", "elb.priorities.taken", "elb.priorities.twice", "elb.priorities.atomic")
def test_priorities_are_judged_on_the_new_order(elb):
    listener = elb.listener()
    a, b, c = (elb.rule(listener, priority)["RuleArn"] for priority in (1, 2, 3))
    order = lambda *pairs: elb.client.set_rule_priorities(
        RulePriorities=[{"RuleArn": arn, "Priority": priority} for arn, priority in pairs])["Rules"]
    now = lambda: {r["RuleArn"]: r["Priority"] for r in elb.described_rules(listener) if not r["IsDefault"]}
    answered = order((a, 2), (b, 1))
    assert {r["RuleArn"]: r["Priority"] for r in answered} == {a: "2", b: "1"}
    order((a, 3), (b, 2), (c, 1))
    assert now() == {a: "3", b: "2", c: "1"}
    refused("PriorityInUse", lambda: order((a, 10), (b, 1)))
    refused("ValidationError", lambda: order((a, 10), (b, 10)))
    refused("ValidationError", lambda: order((a, 10), (a, 11)))
    refused("RuleNotFound", lambda: order((a, 10), (a[:-16] + NOBODY, 11)))
    default = next(r for r in elb.described_rules(listener) if r["IsDefault"])["RuleArn"]
    refused("OperationNotPermitted", lambda: order((a, 10), (default, 11)))
    refused("ValidationError", lambda: order())
    refused("ValidationError", lambda: order((a, 50001)))
    elsewhere = elb.rule(elb.listener(Port=81), 1)["RuleArn"]
    refused("ValidationError", lambda: order((a, 10), (elsewhere, 11)))
    assert now() == {a: "3", b: "2", c: "1"}


@rule("elb.quota.unique_groups")
def test_groups_behind_one_load_balancer_are_counted(elb):
    listener = elb.listener()
    for number in range(20):
        groups = [(elb.group(), 1) for _ in range(5)]
        elb.rule(listener, number + 1, Actions=[weighted(*groups)])
    group = elb.group()
    error = refused("TooManyUniqueTargetGroupsPerLoadBalancer", lambda: elb.rule(listener, 50, Actions=[forward(group)]))
    assert error.message == "You have reached the maximum number of unique target groups that you can associate with a load balancer of type 'application': [100]"
