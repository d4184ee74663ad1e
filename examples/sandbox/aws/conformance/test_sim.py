"""The simulator's own side, /_sim: what lies outside, and quotas."""

from conftest import rule


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
