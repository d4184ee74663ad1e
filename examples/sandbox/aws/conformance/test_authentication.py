"""Actions that look at who asks, carried out: logins and tokens."""

import base64
import contextlib
import json
import time
import urllib.parse

import pytest

from conftest import rule
from data_plane import Site
from load_balancing import cognito, elb, jwt, oidc  # noqa: F401

PRIVATE = "https://www.example.com/private?x=1"


@pytest.fixture
def site(elb):  # noqa: F811
    made = []

    def make(*actions, **listener):
        made.append(Site(elb, *actions, **listener))
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextlib.contextmanager
def issuer(aws, **settings):
    """The test issuer behaves otherwise for a while."""
    try:
        aws.sim.post("issuer", settings)
        yield
    finally:
        aws.sim.post("issuer", {name: None for name in settings})


def at_issuer(aws, **settings):
    url = aws.sim.get("issuer")["url"]
    endpoints = {
        "Issuer": url,
        "AuthorizationEndpoint": f"{url}/authorize",
        "TokenEndpoint": f"{url}/token",
        "UserInfoEndpoint": f"{url}/userinfo",
    }
    return oidc(**{**endpoints, **settings})


def part(text):
    assert len(text) % 4 == 0, "padded"
    return json.loads(base64.urlsafe_b64decode(text))


@rule("auth.redirect", "auth.callback", "auth.session", "auth.headers")
def test_a_browser_logs_in_once(aws, site):
    browser = site(at_issuer(aws, Scope="openid email")).browser()
    answer = browser.get(PRIVATE)
    sent = urllib.parse.urlsplit(answer.location)
    query = dict(urllib.parse.parse_qsl(sent.query))
    assert sent.path == "/authorize" and query.pop("state")
    assert query == {
        "client_id": "alb",
        "redirect_uri": "https://www.example.com/oauth2/idpresponse",
        "response_type": "code",
        "scope": "openid email",
    }
    back = browser.get(answer.location)
    assert back.location.startswith("https://www.example.com/oauth2/idpresponse?")
    in_ = browser.get(back.location)
    assert in_.location == "https://www.example.com:443/private?x=1"
    cookie = next(line for line in in_.cookies if line.startswith("AWSELBAuthSessionCookie-0="))
    assert {"Path=/", "Secure", "HttpOnly"} <= set(cookie.split("; "))
    told = browser.get(PRIVATE).told()
    claims = aws.sim.get("issuer")["claims"]
    assert told["x-amzn-oidc-identity"] == claims["sub"]
    assert told["x-amzn-oidc-accesstoken"]


@rule("auth.data", "auth.data.key")
def test_claims_are_signed_by_the_load_balancer(aws, elb, site):  # noqa: F811
    action = at_issuer(aws)
    header, claims, signature = (
        site(action).browser().visit(PRIVATE)[1].told()["x-amzn-oidc-data"].split(".")
    )
    header, claims = part(header), part(claims)
    assert (header["alg"], header["typ"], header["client"]) == ("ES256", "JWT", "alb")
    assert header["signer"] == elb.alb
    assert header["iss"] == claims["iss"] == action["AuthenticateOidcConfig"]["Issuer"]
    assert 0 < header["exp"] - time.time() <= 120
    assert claims["email"] == "alice@example.com"
    assert len(base64.urlsafe_b64decode(signature)) == 64
    status, pem = aws.sim.call("GET", f"public-keys/{header['kid']}")
    assert status == 200 and pem.startswith("-----BEGIN PUBLIC KEY-----")
    assert aws.sim.call("GET", "public-keys/unknown")[0] == 404


@rule("auth.unauthenticated")
def test_who_has_not_logged_in_may_be_let_through_or_denied(aws, site):
    page = site(at_issuer(aws, OnUnauthenticatedRequest="allow"))
    told = page.get(headers={"x-amzn-oidc-identity": "root"}).told()
    assert not [name for name in told if name.startswith("x-amzn-oidc")]
    page.actions(at_issuer(aws, OnUnauthenticatedRequest="deny"))
    answer = page.get()
    assert answer.status == 401 and answer.headers["server"] == "awselb/2.0"


@rule("auth.session.name", "auth.session.timeout", "auth.session.parts")
def test_sessions_have_a_name_parts_and_an_end(aws, site):
    browser = site(at_issuer(aws, SessionCookieName="mine", SessionTimeout=600)).browser()
    with issuer(aws, claims={"sub": "a", "note": "x" * 7_000}):
        assert browser.visit(PRIVATE)[1].told()["x-amzn-oidc-identity"] == "a"
    assert {"mine-0", "mine-1", "mine-2"} <= set(browser.cookies)
    aws.sim.post("time", {"forward_ms": 590_000})
    assert browser.get(PRIVATE).status == 200
    aws.sim.post("time", {"forward_ms": 20_000})
    assert browser.get(PRIVATE).status == 302


@rule("auth.session.refresh")
def test_a_session_outlives_its_access_token(aws, site):
    browser = site(at_issuer(aws)).browser()
    first = browser.visit(PRIVATE)[1].told()["x-amzn-oidc-accesstoken"]
    aws.sim.post("time", {"forward_ms": 3_700_000})
    again = browser.get(PRIVATE)
    assert again.told()["x-amzn-oidc-accesstoken"] != first and again.cookies
    aws.sim.post("time", {"forward_ms": 3_700_000})
    with issuer(aws, token_error="invalid_grant"):
        assert browser.get(PRIVATE).status == 302


@rule("auth.errors")
@pytest.mark.parametrize(
    "wrong, status",
    [
        ({"error": "access_denied"}, 401),
        ({"error": "server_error"}, 561),
        ({"token_error": "invalid_client"}, 561),
        ({"user_info_error": "invalid_token"}, 561),
        ({"claims": {"sub": "a", "note": "x" * 12_000}}, 500),
    ],
)
def test_what_goes_wrong_at_the_provider(aws, site, wrong, status):
    browser = site(at_issuer(aws)).browser()
    with issuer(aws, **wrong):
        url, answer = browser.visit(PRIVATE)
    assert answer.status == status and "/oauth2/idpresponse" in url
    entry = aws.sim.get("requests")[-1]
    assert entry["elb_status_code"] == status and entry["actions_executed"] == "authenticate"


@rule("auth.errors.unreachable")
def test_a_provider_that_cannot_be_reached(aws, site):
    nobody = "https://127.0.0.1:1"
    page = site(at_issuer(aws, TokenEndpoint=f"{nobody}/token"))
    browser = page.browser()
    assert browser.visit(PRIVATE)[1].status == 500
    page.actions(at_issuer(aws, UserInfoEndpoint=f"{nobody}/userinfo"))
    assert browser.visit(PRIVATE)[1].status == 500
    # What is not on this machine has to be declared.
    page.actions(at_issuer(aws, TokenEndpoint="https://undeclared.example.com/token"))
    assert browser.visit(PRIVATE)[1].status == 500


@rule("auth.callback.state", "auth.login_time")
def test_what_comes_back_is_what_was_sent(aws, site):
    browser = site(at_issuer(aws)).browser()
    callback = browser.get(browser.get(PRIVATE).location).location
    parts = urllib.parse.urlsplit(callback)
    query = dict(urllib.parse.parse_qsl(parts.query))
    base = "https://www.example.com/oauth2/idpresponse"
    for wrong in [
        {**query, "state": "forged"},
        {"code": query["code"]},
        {"state": query["state"]},
        {**query, "code": "forged"},
    ]:
        assert browser.get(f"{base}?{urllib.parse.urlencode(wrong)}").status == 401, wrong
    cookies, browser.cookies = browser.cookies, {}
    assert browser.get(callback).status == 401
    browser.cookies = cookies
    aws.sim.post("time", {"forward_ms": 15 * 60_000 + 1_000})
    assert browser.get(callback).status == 401


@rule("auth.cognito")
def test_users_of_a_pool_log_in_at_its_domain(aws, site):
    pool = aws.cognito.create_user_pool(PoolName=aws.name("pool"))["UserPool"]
    domain = aws.name("login")
    aws.cognito.create_user_pool_domain(UserPoolId=pool["Id"], Domain=domain)
    client = aws.cognito.create_user_pool_client(
        UserPoolId=pool["Id"],
        ClientName="alb",
        GenerateSecret=True,
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthFlows=["code"],
        AllowedOAuthScopes=["openid"],
        CallbackURLs=["https://www.example.com/oauth2/idpresponse"],
        SupportedIdentityProviders=["COGNITO"],
    )["UserPoolClient"]
    names = {
        "UserPoolArn": pool["Arn"],
        "UserPoolClientId": client["ClientId"],
        "UserPoolDomain": domain,
    }
    page = site(cognito(**names))
    browser = page.browser()
    sent = browser.get(PRIVATE).location
    assert sent.startswith(
        f"https://{domain}.auth.us-east-1.amazoncognito.com/oauth2/authorize?"
    )
    other = sent.replace("www.example.com", "other.example.com")
    assert browser.get(other).status == 400
    _, claims, _ = browser.visit(PRIVATE)[1].told()["x-amzn-oidc-data"].split(".")
    claims = part(claims)
    assert claims["iss"] == f"https://cognito-idp.us-east-1.amazonaws.com/{pool['Id']}"
    assert claims["username"] == claims["sub"]
    page.actions(cognito(**names, Scope="openid phone"))
    browser.cookies = {}
    assert browser.visit(PRIVATE)[1].status == 561


def bearer(aws, page, **claims):
    token = aws.sim.post("issuer/token", {"claims": claims})["token"]
    return page.get(headers={"Authorization": f"Bearer {token}"})


def verified(aws, *claims):
    url = aws.sim.get("issuer")["url"]
    more = {"AdditionalClaims": list(claims)} if claims else {}
    return jwt(Issuer=url, JwksEndpoint=f"{url}/keys", **more)


@rule("jwt.header", "jwt.signature", "jwt.claims")
def test_tokens_are_verified(aws, site):
    page = site(verified(aws))
    answer = bearer(aws, page)
    assert answer.told()["authorization"].startswith("Bearer "), "the target gets it as it is"
    now = int(time.time() + aws.sim.get("time")["ahead_ms"] / 1000)
    for claims in [
        {"exp": now - 5},
        {"exp": None},
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"nbf": now + 600},
        {"iat": now + 600},
    ]:
        assert bearer(aws, page, **claims).status == 401, claims
    assert bearer(aws, page, nbf=now - 60, iat=None).status == 200
    token = aws.sim.post("issuer/token", {})["token"]
    other = aws.sim.post("issuer/token", {"claims": {"sub": "x"}})["token"]
    forged = token.rpartition(".")[0] + "." + other.rpartition(".")[2]
    unknown = aws.sim.post("issuer/token", {"kid": "another"})["token"]
    for header in [None, f"Basic {token}", token, "Bearer x", f"Bearer {forged}", f"Bearer {unknown}"]:
        headers = {"Authorization": header} if header else {}
        answer = page.get(headers=headers)
        assert answer.status == 401 and answer.headers["server"] == "awselb/2.0", header
    log = aws.sim.get("requests")[-1]
    assert log["actions_executed"] == "jwt-validation" and "JWTSignature" in log["error_reason"]


@rule("jwt.additional")
def test_further_claims_are_compared(aws, site):
    wanted = lambda format, name, *values: {"Format": format, "Name": name, "Values": list(values)}
    page = site(verified(
        aws,
        wanted("single-string", "tenant", "a"),
        wanted("string-array", "groups", "admin", "dev"),
        wanted("space-separated-values", "scope", "read", "write"),
    ))
    good = {"tenant": "a", "groups": ["dev", "x"], "scope": "x write read"}
    assert bearer(aws, page, **good).status == 200
    for wrong in [
        {"tenant": "b"}, {"tenant": ["a"]}, {"tenant": None}, {"groups": ["x"]},
        {"groups": "dev"}, {"scope": "read"}, {"scope": None},
    ]:
        assert bearer(aws, page, **{**good, **wrong}).status == 401, wrong


@rule("jwt.keys")
def test_without_keys_nobody_is_let_in(aws, site):
    url = aws.sim.get("issuer")["url"]
    page = site(jwt(Issuer=url, JwksEndpoint=f"{url}/nothing"))
    for endpoint in [f"{url}/nothing", "https://127.0.0.1:1/keys", "https://undeclared.example.com/keys"]:
        page.actions(jwt(Issuer=url, JwksEndpoint=endpoint))
        assert bearer(aws, page).status == 500, endpoint


@rule("auth.trace")
def test_a_trace_tells_who_was_looked_at(aws, site):
    page = site(verified(aws))
    eventual = page.socket
    assert eventual
    token = aws.sim.post("issuer/token", {})["token"]
    ask = lambda **headers: aws.sim.post("request", {"listener": page.listener, "headers": headers})
    told = ask()
    assert told["answer"]["status"] == 401
    seen = told["trace"]["authentication"]
    assert (seen["action"], seen["passed"]) == ("jwt-validation", False)
    assert "JWTHeaderNotPresent" in seen["why"] and told["trace"]["reason"] == seen["why"]
    told = ask(authorization=f"Bearer {token}")
    assert told["answer"]["status"] == 200
    assert told["trace"]["authentication"]["passed"] is True
    page.actions(at_issuer(aws))
    told = ask()
    assert told["answer"]["status"] == 302 and "no session" in told["trace"]["reason"]
