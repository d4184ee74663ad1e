"""Conditions of rules."""

from conftest import refused, rule
from load_balancing import elb, host, path  # noqa: F401


def header(name, *values):
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": list(values)}}


def query(*pairs):
    values = [{"Key": k, "Value": v} if k is not None else {"Value": v} for k, v in pairs]
    return {"Field": "query-string", "QueryStringConfig": {"Values": values}}


def methods(*values):
    return {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": list(values)}}


def sources(*values):
    return {"Field": "source-ip", "SourceIpConfig": {"Values": list(values)}}


@rule("elb.conditions.good")
def test_conditions_of_every_field(elb):
    listener = elb.listener()
    cases = [
        [host("www.example.com", "*.example.com")],
        [path("/a", "/a/*", "/b?"), host("shop.example.com")],
        [path("/_-.$/~\"'@:+&")],
        [header("X-Env", "a*", "b c"), header("X-Env", "d")],
        [query(("version", "v1"), (None, "*x*")), query(("a", "b"))],
        [query((None, "\\*"))],
        [methods("GET", "M-SEARCH", "MY_METHOD")],
        [sources("10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32")],
        [{"Field": "host-header", "HostHeaderConfig": {"RegexValues": ["^.*\\.example\\.com$"]}}],
        [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/api/v[0-9]+/(a|b)"]}}],
        [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Env", "RegexValues": ["^pro?d$"]}}],
        [{"Field": "path-pattern", "Values": ["/img/*"]}],
        [path("/a", "/b", "/c", "/d", "/e")],
    ]
    for number, conditions in enumerate(cases, 1):
        made = elb.rule(listener, number, Conditions=conditions)
        assert [c["Field"] for c in made["Conditions"]] == [c["Field"] for c in conditions]


@rule("elb.conditions.legacy_values")
def test_host_and_path_read_back_in_both_spellings(elb):
    listener = elb.listener()
    made = elb.rule(listener, 1, Conditions=[host("a.example.com")])
    assert made["Conditions"] == [{
        "Field": "host-header", "Values": ["a.example.com"], "HostHeaderConfig": {"Values": ["a.example.com"]}}]
    made = elb.rule(listener, 2, Conditions=[{"Field": "path-pattern", "Values": ["/a"]}])
    assert made["Conditions"] == [{
        "Field": "path-pattern", "Values": ["/a"], "PathPatternConfig": {"Values": ["/a"]}}]
    made = elb.rule(listener, 3, Conditions=[header("X-A", "b")])
    assert "Values" not in made["Conditions"][0]


def wrong(elb, *conditions):
    """Wants conditions to be refused, and no rule made."""
    listener = elb.listener()
    error = refused("ValidationError", lambda: elb.rule(listener, Conditions=list(conditions)))
    assert len(elb.described_rules(listener)) == 1
    return error


@rule("elb.conditions.one_spelling", "elb.conditions.field")
def test_a_condition_as_read_cannot_be_sent_back_whole(elb):
    listener = elb.listener()
    for priority, condition in enumerate((host("a.example.com"), path("/a")), 1):
        read = elb.rule(listener, priority, Conditions=[condition])["Conditions"][0]
        field = read["Field"]
        config = next(name for name in read if name.endswith("Config"))
        again = refused("ValidationError", lambda: elb.rule(listener, 9, Conditions=[read]))
        assert again.message == f"You cannot provide both Values and '{config}' for a condition of type '{field}'"
    nameless = refused("ValidationError", lambda: elb.rule(listener, 9, Conditions=[{"Values": ["/a"]}]))
    assert nameless.message == "A condition field must be specified"


@rule("elb.conditions.values", "elb.conditions.values_quota", "elb.conditions.wildcards_quota")
def test_how_many_values(elb):
    error = wrong(elb, path("/a", "/b", "/c", "/d", "/e", "/f"))
    assert error.message == "A rule can only have '5' condition values"
    wrong(elb, path("/a", "/b", "/c"), host("a.example.com", "b.example.com", "c.example.com"))
    wrong(elb, path("/*/*/*/*/*/*"))
    wrong(elb)
    wrong(elb, path())
    wrong(elb, path(""))
    wrong(elb, query())
    wrong(elb, methods())


@rule("elb.conditions.once")
def test_fields_that_stand_once(elb):
    wrong(elb, path("/a"), path("/b"))
    wrong(elb, host("a.example.com"), host("b.example.com"))
    wrong(elb, methods("GET"), methods("PUT"))
    wrong(elb, sources("10.0.0.0/8"), sources("11.0.0.0/8"))


@rule("elb.conditions.field", "elb.conditions.config")
def test_field_and_configuration_fit(elb):
    wrong(elb, {"Field": "cookie", "Values": ["a"]})
    wrong(elb, {"HostHeaderConfig": {"Values": ["a.example.com"]}})
    wrong(elb, {**host("a.example.com"), "Field": "path-pattern"})
    wrong(elb, {"Field": "http-header", "Values": ["a"]})
    wrong(elb, {"Field": "source-ip", "Values": ["10.0.0.0/8"]})
    wrong(elb, {"Field": "path-pattern", "Values": ["/a"], "PathPatternConfig": {"Values": ["/b"]}})
    wrong(elb, {"Field": "path-pattern", "Values": ["/a", "/b"]})
    wrong(elb, {"Field": "source-ip", "SourceIpConfig": {"IpAddressType": "ipv4"}})


@rule("elb.conditions.host")
def test_host_names(elb):
    for bad in ["*", "localhost", "10.0.0.1", "a_b.example.com", "a.example.com:80", "ä.example.com", "example.", "x" * 125 + ".com"]:
        wrong(elb, host(bad))


@rule("elb.conditions.path")
def test_paths(elb):
    for bad in ["/ä", "/a b", "/a#b", "/a|b", "/a%20b", "/" + "x" * 128]:
        wrong(elb, path(bad))


@rule("elb.conditions.header")
def test_headers(elb):
    for name in ["X Env", "X:", "", "x" * 41, "Host", "host", "X-*"]:
        wrong(elb, header(name, "a"))
    wrong(elb, header("X-Env", "x" * 129))


@rule("elb.conditions.method")
def test_methods(elb):
    for bad in ["get", "G*", "A" * 41, "GET "]:
        wrong(elb, methods(bad))


@rule("elb.conditions.query")
def test_query_strings(elb):
    wrong(elb, query(("a", "x" * 129)))
    wrong(elb, query(("x" * 129, "a")))
    wrong(elb, query((None, "")))


@rule("elb.conditions.source")
def test_source_addresses(elb):
    for bad in ["10.0.0.1", "10.0.0.0/33", "10.0.0.*", "example.com", "255.255.255.255/32", "2001:db8::1"]:
        wrong(elb, sources(bad))


@rule("elb.conditions.regex", "elb.conditions.regex_language")
def test_regular_expressions(elb):
    def regex(*expressions, **more):
        return {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": list(expressions), **more}}

    wrong(elb, regex("^/a", Values=["/a"]))
    wrong(elb, regex("x" * 129))
    for bad in ["(", "[a", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(a)\\1", "(?>a)", "a*+", "a++", "(?R)", "(?1)", "\\p{L}"]:
        wrong(elb, regex(bad))
