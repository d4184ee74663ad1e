"""Targets: which can be registered, and their health."""

import ipaddress

import pytest
from conftest import eventually, refused, rule
from load_balancing import elb, forward  # noqa: F401

NOBODY = "0" * 16
EITHER = ("ValidationError", "InvalidConfigurationRequest")


@pytest.fixture
def nodes(aws, vpc):
    """Two running instances, in the first two zones."""
    image = aws.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]

    def run(subnet):
        made = aws.ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=subnet)
        return made["Instances"][0]["InstanceId"]

    ids = [run(subnet) for subnet in vpc.subnets[:2]]
    running = lambda: all(
        i["State"]["Name"] == "running"
        for r in aws.ec2.describe_instances(InstanceIds=ids)["Reservations"] for i in r["Instances"])
    eventually(running)
    return ids


def register(elb, group, *targets):
    targets = [t if isinstance(t, dict) else {"Id": t} for t in targets]
    return elb.client.register_targets(TargetGroupArn=group, Targets=targets)


def deregister(elb, group, *targets):
    targets = [t if isinstance(t, dict) else {"Id": t} for t in targets]
    return elb.client.deregister_targets(TargetGroupArn=group, Targets=targets)


@rule("elb.register.instances", "elb.register.identity", "elb.health.not_in_use")
def test_instances_as_targets(elb, aws, nodes):
    group = elb.group(TargetType="instance")
    register(elb, group, nodes[0], {"Id": nodes[0], "Port": 81}, nodes[1])
    register(elb, group, nodes[0])
    shown = elb.health(group)
    assert sorted((t["Target"]["Id"], t["Target"]["Port"]) for t in shown) == sorted(
        [(nodes[0], 8080), (nodes[0], 81), (nodes[1], 8080)])
    for target in shown:
        assert target["HealthCheckPort"] == str(target["Target"]["Port"])
        assert "AvailabilityZone" not in target["Target"]
        assert target["TargetHealth"] == {
            "State": "unused", "Reason": "Target.NotInUse",
            "Description": "Target group is not configured to receive traffic from the load balancer"}
    refused("InvalidTarget", lambda: register(elb, group, "i-00000000000000000"))
    refused("ValidationError", lambda: register(elb, group, "10.0.0.77"))
    refused("ValidationError", lambda: register(elb, group, {"Id": nodes[0], "AvailabilityZone": "us-east-1a"}))
    refused("InvalidTarget", lambda: register(elb, group, {"Id": nodes[1], "Port": 99}, "i-00000000000000000"))
    assert len(elb.health(group)) == 3
    aws.ec2.terminate_instances(InstanceIds=[nodes[1]])
    refused("InvalidTarget", lambda: register(elb, group, {"Id": nodes[1], "Port": 99}))


@rule("elb.register.other_vpc")
def test_instances_of_another_vpc(elb, aws, nodes):
    elsewhere = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = elb.group(TargetType="instance", VpcId=elsewhere)
    refused("InvalidTarget", lambda: register(elb, group, nodes[0]))


@rule("elb.register.ip", "elb.register.ip_inside", "elb.register.ip_outside", "elb.register.ip_ranges")
def test_addresses_as_targets(elb):
    group = elb.group()
    register(elb, group, "10.0.0.77", {"Id": "10.0.1.77", "AvailabilityZone": "us-east-1b"})
    error = refused("ValidationError", lambda: register(elb, group, {"Id": "10.0.0.78", "AvailabilityZone": "all"}))
    assert "is within the VPC, and cannot have its Availability Zone overridden to 'all' from 'us-east-1a'" in error.message
    error = refused("ValidationError", lambda: register(elb, group, "192.168.7.7"))
    assert "Availability Zone" in error.message and "192.168.7.7" in error.message
    # Inside is what a subnet holds, not what the VPC could hold.
    refused("ValidationError", lambda: register(elb, group, "10.0.200.7"))
    for outside in ("10.0.200.7", "192.168.7.7", "172.16.0.1", "100.64.0.1"):
        register(elb, group, {"Id": outside, "AvailabilityZone": "all"})
    zones = {t["Target"]["Id"]: t["Target"].get("AvailabilityZone") for t in elb.health(group)}
    assert zones["10.0.0.77"] is None and zones["10.0.1.77"] == "us-east-1b" and zones["192.168.7.7"] == "all"
    for bad in ("8.8.8.8", "127.0.0.1", "169.254.169.254", "nonsense", "10.0.0", "fd00::1", "i-00000000000000000"):
        refused("ValidationError", lambda b=bad: register(elb, group, {"Id": b, "AvailabilityZone": "all"}))
    refused("ValidationError", lambda: register(elb, group))
    unchecked = elb.unchecked.register_targets
    for port in (0, 65536):
        refused("ValidationError", lambda p=port: unchecked(TargetGroupArn=group, Targets=[{"Id": "10.0.0.79", "Port": p}]))
    refused("TargetGroupNotFound", lambda: register(elb, group[:-16] + NOBODY, "10.0.0.77"))


@rule("elb.register.ipv6", "elb.forward.ipv6")
def test_ipv6(elb, aws):
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    read = lambda: aws.ec2.describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    block = eventually(lambda: [a for a in read() if a["Ipv6CidrBlockState"]["State"] == "associated"])[0]["Ipv6CidrBlock"]
    parts = list(ipaddress.ip_network(block).subnets(new_prefix=64))
    subnets = [
        aws.ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"10.0.{n}.0/24", Ipv6CidrBlock=str(parts[n]),
                              AvailabilityZone=f"us-east-1{'ab'[n]}")["Subnet"]["SubnetId"]
        for n in (0, 1)]
    group = elb.group(VpcId=vpc["VpcId"], IpAddressType="ipv6")
    address = parts[0][0x77]
    for spelling in (str(address), address.exploded, address.exploded.upper()):
        register(elb, group, spelling)
    assert [target["Target"]["Id"] for target in elb.health(group)] == [str(address)]
    for bad in ("10.0.0.77", "2001:db8::1"):
        refused("ValidationError", lambda b=bad: register(elb, group, {"Id": b, "AvailabilityZone": "all"}))
    balancer = elb.balancer(Subnets=subnets, Scheme="internal", IpAddressType="dualstack")
    elb.listener(LoadBalancerArn=balancer, DefaultActions=[forward(group)])
    assert elb.health(group)[0]["TargetHealth"]["State"] == "initial"


@rule("elb.register.cross_zone")
def test_targets_of_all_zones_need_cross_zone(elb):
    off = [{"Key": "load_balancing.cross_zone.enabled", "Value": "false"}]
    group = elb.group()
    register(elb, group, {"Id": "192.168.7.7", "AvailabilityZone": "all"})
    refused(EITHER, lambda: elb.client.modify_target_group_attributes(TargetGroupArn=group, Attributes=off))
    other = elb.group()
    elb.client.modify_target_group_attributes(TargetGroupArn=other, Attributes=off)
    refused("ValidationError", lambda: register(elb, other, {"Id": "192.168.7.7", "AvailabilityZone": "all"}))
    register(elb, other, {"Id": "192.168.7.7", "AvailabilityZone": "us-east-1a"})


@rule("elb.register.lambda", "elb.health.disabled")
def test_a_function_as_a_target(elb, aws):
    group = elb.function_group()["TargetGroupArn"]
    function = "arn:aws:lambda:us-east-1:123456789012:function:shop"
    refused(("ValidationError", "InvalidTarget"), lambda: register(elb, group, "shop"))
    refused("ValidationError", lambda: register(elb, group, {"Id": function, "AvailabilityZone": "us-east-1a"}))
    register(elb, group, function)
    refused("TooManyTargets", lambda: register(elb, group, function + "2"))
    (shown,) = elb.health(group)
    assert shown["Target"] == {"Id": function, "AvailabilityZone": "all"}
    assert "HealthCheckPort" not in shown
    elb.listener(DefaultActions=[forward(group)])
    expected = {"State": "unavailable", "Reason": "Target.HealthCheckDisabled", "Description": "Health checks are not enabled for this target"}
    eventually(lambda: elb.health(group)[0]["TargetHealth"] == expected)


@rule("nlb.register.alb")
def test_a_load_balancer_as_a_target(elb):
    group = elb.group(Protocol="TCP", Port=80, TargetType="alb")
    refused("InvalidTarget", lambda: register(elb, group, elb.alb))
    elb.listener()
    refused("InvalidTarget", lambda: register(elb, group, elb.alb[:-16] + NOBODY))
    refused("ValidationError", lambda: register(elb, group, "10.0.0.77"))
    refused("ValidationError", lambda: register(elb, group, {"Id": elb.alb, "Port": 81}))
    register(elb, group, elb.alb)
    other = elb.balancer()
    elb.listener(LoadBalancerArn=other)
    refused("TooManyTargets", lambda: register(elb, group, other))
    assert [t["Target"] for t in elb.health(group)] == [{"Id": elb.alb, "Port": 80}]


@rule("nlb.health.alb")
def test_a_load_balancer_is_checked_as_a_target(elb):
    page = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
    elb.listener(DefaultActions=[page])
    group = elb.group(Protocol="TCP", Port=80, TargetType="alb", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    register(elb, group, elb.alb)
    network = elb.balancer(Type="network", Scheme="internal")
    elb.listener(LoadBalancerArn=network, Protocol="TCP", DefaultActions=[forward(group)])
    state = lambda: elb.health(group)[0]["TargetHealth"]["State"]
    assert state() == "initial"
    eventually(lambda: state() == "healthy")
    refused("ResourceInUse", lambda: elb.client.delete_load_balancer(LoadBalancerArn=elb.alb))


@rule("elb.deregister.unknown", "elb.deregister.port", "elb.health.not_registered")
def test_targets_are_deregistered(elb):
    group = elb.group()
    register(elb, group, {"Id": "10.0.0.77", "Port": 81})
    refused("InvalidTarget", lambda: deregister(elb, group, "10.0.0.77"))
    assert len(elb.health(group)) == 1
    deregister(elb, group, {"Id": "10.0.0.77", "Port": 81})
    assert elb.health(group) == []
    refused("TargetGroupNotFound", lambda: deregister(elb, group[:-16] + NOBODY, "10.0.0.77"))
    refused("ValidationError", lambda: deregister(elb, group))
    (shown,) = elb.health(group, Targets=[{"Id": "10.0.0.77", "Port": 81}])
    assert shown["TargetHealth"] == {
        "State": "unused", "Reason": "Target.NotRegistered", "Description": "Target is not registered to the target group"}


@rule("elb.health.initial", "elb.health.unhealthy", "elb.health.draining", "elb.register.draining")
def test_a_target_from_initial_to_drained(elb):
    group = elb.group(HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    register(elb, group, "10.0.0.77")
    elb.listener(DefaultActions=[forward(group)])
    state = lambda: elb.health(group)[0]["TargetHealth"]
    first = state()
    assert (first["State"], first["Reason"]) == ("initial", "Elb.RegistrationInProgress")
    assert first["Description"] == "Target registration is in progress"
    # Nobody listens there.
    eventually(lambda: state()["State"] == "unhealthy")
    assert state()["Reason"] in ("Target.FailedHealthChecks", "Target.Timeout")
    deregister(elb, group, "10.0.0.77")
    assert state() == {
        "State": "draining", "Reason": "Target.DeregistrationInProgress", "Description": "Target deregistration is in progress"}
    deregister(elb, group, "10.0.0.77")
    register(elb, group, "10.0.0.77")
    assert state()["State"] == "initial"
    deregister(elb, group, "10.0.0.77")
    eventually(lambda: elb.health(group) == [])


@rule("elb.health.zone")
def test_targets_in_a_zone_that_is_not_enabled(elb):
    balancer = elb.balancer(Subnets=elb.vpc.subnets[:2])
    group = elb.group()
    register(elb, group, "10.0.2.77")
    elb.listener(LoadBalancerArn=balancer, DefaultActions=[forward(group)])
    assert elb.health(group)[0]["TargetHealth"] == {
        "State": "unused", "Reason": "Target.NotInUse",
        "Description": "Target is in an Availability Zone that is not enabled for the load balancer"}


@rule("elb.health.ip_unusable")
def test_addresses_of_load_balancers_cannot_be_used(elb, aws):
    other = elb.balancer(Scheme="internal")
    description = "ELB " + other.split(":loadbalancer/")[1]
    interfaces = aws.ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [description]}])["NetworkInterfaces"]
    group = elb.group()
    register(elb, group, interfaces[0]["PrivateIpAddress"])
    elb.listener(DefaultActions=[forward(group)])
    assert elb.health(group)[0]["TargetHealth"] == {
        "State": "unused", "Reason": "Target.IpUnusable",
        "Description": "The IP address cannot be used as a target, as it is in use by a load balancer"}


@rule("elb.health.stopped")
def test_instances_that_do_not_run(elb, aws, nodes):
    used, unused = (elb.group(TargetType="instance") for _ in range(2))
    register(elb, used, *nodes)
    register(elb, unused, *nodes)
    elb.listener(DefaultActions=[forward(used)])
    aws.ec2.stop_instances(InstanceIds=[nodes[0]])
    aws.ec2.terminate_instances(InstanceIds=[nodes[1]])
    shown = lambda group, node: elb.health(group, Targets=[{"Id": node}])[0]["TargetHealth"]
    for group in (used, unused):
        for node, state in ((nodes[0], "stopped"), (nodes[1], "terminated")):
            eventually(lambda: shown(group, node) == {
                "State": "unused", "Reason": "Target.InvalidState", "Description": f"Target is in the {state} state"})


@rule("elb.health.include")
def test_anomalies_are_told_on_demand(elb):
    group = elb.group()
    register(elb, group, "10.0.0.77")
    assert "AnomalyDetection" not in elb.health(group)[0]
    for include in ("AnomalyDetection", "All"):
        shown = elb.health(group, Include=[include])[0]
        assert shown["AnomalyDetection"] == {"Result": "normal", "MitigationInEffect": "no"}
    refused("ValidationError", lambda: elb.health(group, Include=["Everything"]))
    refused("TargetGroupNotFound", lambda: elb.health(group[:-16] + NOBODY))


@rule("elb.register.quota_group", "elb.register.quota_load_balancer")
def test_targets_are_counted(elb):
    group = elb.group()
    ports = [{"Id": "10.0.0.77", "Port": port} for port in range(1, 1001)]
    register(elb, group, *ports)
    refused("TooManyTargets", lambda: register(elb, group, {"Id": "10.0.0.77", "Port": 1001}))
    register(elb, group, ports[0])
    other = elb.group()
    register(elb, other, "10.0.0.78")
    listener = elb.listener(DefaultActions=[forward(group)])
    refused("TooManyTargets", lambda: elb.rule(listener, Actions=[forward(other)]))
    deregister(elb, other, "10.0.0.78")
    elb.rule(listener, Actions=[forward(other)])
    error = refused("TooManyTargets", lambda: register(elb, other, "10.0.0.78"))
    assert error.message == "The maximum number of targets per load balancer '1000' has been reached"
