"""EC2: instances, their states and attributes; images and types."""

import base64

import pytest
from conftest import ACCOUNT, REGION, Vpc, eventually, refused, rule

UNKNOWN = "0" * 17


def image(aws, architecture="x86_64"):
    found = aws.ec2.describe_images(
        Owners=["amazon"],
        Filters=[{"Name": "architecture", "Values": [architecture]}, {"Name": "name", "Values": ["al2023-ami-*"]}],
    )
    return found["Images"][0]["ImageId"]


def run(aws, vpc, count=1, **more):
    fields = {
        "ImageId": image(aws), "InstanceType": "t3.micro", "MinCount": count, "MaxCount": count,
        "SubnetId": vpc.subnets[0], **more,
    }
    return aws.ec2.run_instances(**{name: value for name, value in fields.items() if value is not None})


def show(aws, instance):
    return aws.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def state(aws, instance):
    return show(aws, instance)["State"]["Name"]


def wait(aws, instance, name):
    eventually(lambda: state(aws, instance) == name)


@rule("ec2.run_instances.answer", "ec2.run_instances.pending", "ec2.describe_instances.reservations")
def test_instances_are_run(aws, vpc):
    group = vpc.security_group()
    made = run(
        aws, vpc, count=2, SecurityGroupIds=[group],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "b", "Value": "2"}]},
            {"ResourceType": "network-interface", "Tags": [{"Key": "c", "Value": "3"}]},
        ],
    )
    assert made["ReservationId"].startswith("r-") and made["OwnerId"] == ACCOUNT
    first, second = made["Instances"]
    assert first["State"] == {"Code": 0, "Name": "pending"}
    assert (first["AmiLaunchIndex"], second["AmiLaunchIndex"]) == (0, 1)
    assert first["Tags"] == [{"Key": "a", "Value": "1"}]
    ids = [first["InstanceId"], second["InstanceId"]]
    aws.ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    shown = aws.ec2.describe_instances(InstanceIds=ids)["Reservations"]
    assert len(shown) == 1 and len(shown[0]["Instances"]) == 2
    one = show(aws, ids[0])
    assert (one["VpcId"], one["SubnetId"], one["Placement"]["AvailabilityZone"]) == (vpc.id, vpc.subnets[0], "us-east-1a")
    assert one["PrivateDnsName"] == "ip-" + one["PrivateIpAddress"].replace(".", "-") + ".ec2.internal"
    assert one["SecurityGroups"][0]["GroupId"] == group
    [card] = one["NetworkInterfaces"]
    assert card["Attachment"]["DeviceIndex"] == 0 and card["Attachment"]["DeleteOnTermination"] is True
    found = aws.ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [ids[0]]}])
    [card] = found["NetworkInterfaces"]
    assert card["Status"] == "in-use" and card["TagSet"] == [{"Key": "c", "Value": "3"}]
    volume = one["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert aws.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Tags"] == [{"Key": "b", "Value": "2"}]


@rule("ec2.run_instances.checks")
@pytest.mark.parametrize(
    "fields, code",
    [
        ({"ImageId": f"ami-{UNKNOWN}"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "ami-x"}, "InvalidAMIID.Malformed"),
        ({"ImageId": None}, "MissingParameter"),
        ({"InstanceType": "t3.gigantic"}, "InvalidParameterValue"),
        ({"InstanceType": "m6g.large"}, "InvalidParameterValue"),
        ({"MinCount": 2, "MaxCount": 1}, "InvalidParameterValue"),
        ({"MinCount": 0}, "InvalidParameterValue"),
        ({"SubnetId": f"subnet-{UNKNOWN}"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": [f"sg-{UNKNOWN}"]}, "InvalidGroup.NotFound"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"PrivateIpAddress": "10.0.0.2"}, "InvalidParameterValue"),
        ({"UserData": "x" * 17000}, "InvalidParameterValue"),
        ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "InvalidParameterValue"),
        ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "1"}]}]}, "InvalidParameterValue"),
        ({"Placement": {"AvailabilityZone": "us-east-1b"}}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-1"}]}, "InvalidParameterCombination"),
        ({"LaunchTemplate": {"LaunchTemplateName": "nobody"}}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_malformed_launches(aws, vpc, fields, code):
    refused(code, lambda: run(aws, vpc, **fields))
    assert aws.ec2.describe_instances(Filters=[{"Name": "vpc-id", "Values": [vpc.id]}])["Reservations"] == []


@rule("ec2.run_instances.group_of_another_vpc", "ec2.run_instances.token", "ec2.run_instances.no_default_vpc")
def test_launches_and_their_surroundings(aws, vpc):
    foreign = Vpc(aws, zones=0).security_group()
    error = refused("InvalidParameter", lambda: run(aws, vpc, SecurityGroupIds=[foreign]))
    assert "belong to different networks" in error.message
    token = aws.name()
    first = run(aws, vpc, ClientToken=token)["Instances"][0]["InstanceId"]
    assert run(aws, vpc, ClientToken=token)["Instances"][0]["InstanceId"] == first
    refused("IdempotentParameterMismatch", lambda: run(aws, vpc, ClientToken=token, InstanceType="t3.small"))
    elsewhere = aws.as_(region="eu-west-3")
    refused("VPCIdNotSpecified", lambda: run(elsewhere, vpc, SubnetId=None))


@rule("ec2.instance.states", "ec2.instance.wrong_state", "ec2.instance.termination_protection")
def test_stopped_started_terminated(aws, vpc):
    instance = run(aws, vpc)["Instances"][0]["InstanceId"]
    named = {"InstanceIds": [instance]}
    wait(aws, instance, "running")
    [change] = aws.ec2.stop_instances(**named)["StoppingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]) == ("running", {"Code": 64, "Name": "stopping"})
    wait(aws, instance, "stopped")
    assert show(aws, instance)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    refused("IncorrectInstanceState", lambda: aws.ec2.reboot_instances(**named))
    aws.ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.small"})
    [change] = aws.ec2.start_instances(**named)["StartingInstances"]
    assert change["CurrentState"] == {"Code": 0, "Name": "pending"}
    wait(aws, instance, "running")
    assert show(aws, instance)["InstanceType"] == "t3.small"
    refused(
        "IncorrectInstanceState",
        lambda: aws.ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.micro"}),
    )
    protect = lambda on: aws.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": on})
    protect(True)
    refused("OperationNotPermitted", lambda: aws.ec2.terminate_instances(**named))
    protect(False)
    [change] = aws.ec2.terminate_instances(**named)["TerminatingInstances"]
    assert change["CurrentState"] == {"Code": 32, "Name": "shutting-down"}
    wait(aws, instance, "terminated")
    gone = show(aws, instance)
    assert gone["NetworkInterfaces"] == [] and "SubnetId" not in gone and "VpcId" not in gone
    aws.ec2.terminate_instances(**named)
    refused("IncorrectInstanceState", lambda: aws.ec2.start_instances(**named))
    refused("InvalidInstanceID.NotFound", lambda: aws.ec2.stop_instances(InstanceIds=[f"i-{UNKNOWN}"]))
    refused("InvalidInstanceID.Malformed", lambda: aws.ec2.stop_instances(InstanceIds=["i-x"]))


@rule("ec2.network_interface.attach", "ec2.network_interface.detach", "ec2.network_interface.attached_delete",
      "ec2.network_interface.room")
def test_interfaces_of_instances(aws, vpc):
    instance = run(aws, vpc)["Instances"][0]["InstanceId"]
    card = lambda where=0: aws.ec2.create_network_interface(SubnetId=vpc.subnets[where])["NetworkInterface"]["NetworkInterfaceId"]
    first, second, far = card(), card(), card(1)
    attach = lambda which, index, to=instance: aws.ec2.attach_network_interface(
        NetworkInterfaceId=which, InstanceId=to, DeviceIndex=index)["AttachmentId"]
    refused("IncorrectState", lambda: attach(first, 1))
    wait(aws, instance, "running")
    refused("InvalidParameterValue", lambda: attach(first, 0))
    refused("InvalidParameterValue", lambda: attach(far, 1))
    attachment = attach(first, 1)
    refused("InvalidNetworkInterface.InUse", lambda: attach(first, 2))
    refused("AttachmentLimitExceeded", lambda: attach(second, 2))
    refused("InvalidNetworkInterface.InUse", lambda: aws.ec2.delete_network_interface(NetworkInterfaceId=first))
    refused("InvalidInstanceID", lambda: aws.ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": False}))
    primary = [one for one in show(aws, instance)["NetworkInterfaces"] if one["Attachment"]["DeviceIndex"] == 0][0]
    refused("OperationNotPermitted", lambda: aws.ec2.detach_network_interface(AttachmentId=primary["Attachment"]["AttachmentId"]))
    refused("PrivateIpAddressLimitExceeded", lambda: aws.ec2.assign_private_ip_addresses(
        NetworkInterfaceId=primary["NetworkInterfaceId"], SecondaryPrivateIpAddressCount=50))
    aws.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary["NetworkInterfaceId"], SecondaryPrivateIpAddressCount=12)
    aws.ec2.detach_network_interface(AttachmentId=attachment)
    refused("InvalidAttachmentID.NotFound", lambda: aws.ec2.detach_network_interface(AttachmentId=attachment))
    aws.ec2.delete_network_interface(NetworkInterfaceId=first)


@rule("ec2.run_instances.public_address", "ec2.run_instances.interface")
def test_public_addresses(aws, vpc):
    aws.ec2.modify_subnet_attribute(SubnetId=vpc.subnets[0], MapPublicIpOnLaunch={"Value": True})
    one = show(aws, run(aws, vpc)["Instances"][0]["InstanceId"])
    first = one["PublicIpAddress"]
    assert one["PublicDnsName"] == ""
    aws.ec2.modify_vpc_attribute(VpcId=vpc.id, EnableDnsHostnames={"Value": True})
    name = "ec2-" + first.replace(".", "-") + ".compute-1.amazonaws.com"
    assert show(aws, one["InstanceId"])["PublicDnsName"] == name
    wait(aws, one["InstanceId"], "running")
    aws.ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    wait(aws, one["InstanceId"], "stopped")
    assert "PublicIpAddress" not in show(aws, one["InstanceId"])
    aws.ec2.start_instances(InstanceIds=[one["InstanceId"]])
    wait(aws, one["InstanceId"], "running")
    assert show(aws, one["InstanceId"])["PublicIpAddress"] != first
    address = aws.ec2.allocate_address()
    aws.ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=one["InstanceId"])
    assert show(aws, one["InstanceId"])["PublicIpAddress"] == address["PublicIp"]
    card = {"DeviceIndex": 0, "SubnetId": vpc.subnets[0], "AssociatePublicIpAddress": False, "DeleteOnTermination": False}
    two = run(aws, vpc, SubnetId=None, NetworkInterfaces=[card])["Instances"][0]
    assert "PublicIpAddress" not in two and two["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"] is False
    aws.ec2.terminate_instances(InstanceIds=[two["InstanceId"]])
    wait(aws, two["InstanceId"], "terminated")
    left = aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[two["NetworkInterfaces"][0]["NetworkInterfaceId"]])
    assert left["NetworkInterfaces"][0]["Status"] == "available"


@rule("ec2.instance.attributes", "ec2.instance.metadata")
def test_attributes_of_instances(aws, vpc):
    data = base64.b64encode(b"#!/bin/sh").decode()
    instance = run(aws, vpc, UserData="#!/bin/sh", MetadataOptions={"HttpTokens": "required"}, Monitoring={"Enabled": True})["Instances"][0]
    named = {"InstanceId": instance["InstanceId"]}
    assert instance["MetadataOptions"]["HttpTokens"] == "required" and instance["Monitoring"] == {"State": "enabled"}
    attribute = lambda name: aws.ec2.describe_instance_attribute(**named, Attribute=name)
    assert attribute("userData")["UserData"] == {"Value": data}
    assert attribute("instanceType")["InstanceType"] == {"Value": "t3.micro"}
    assert attribute("disableApiTermination")["DisableApiTermination"] == {"Value": False}
    assert attribute("instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"] == {"Value": "stop"}
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": True}
    assert attribute("groupSet")["Groups"][0]["GroupName"] == "default"
    group = vpc.security_group()
    aws.ec2.modify_instance_attribute(**named, Groups=[group])
    assert attribute("groupSet")["Groups"][0]["GroupId"] == group
    changed = aws.ec2.modify_instance_metadata_options(**named, HttpPutResponseHopLimit=2)["InstanceMetadataOptions"]
    assert (changed["HttpTokens"], changed["HttpPutResponseHopLimit"], changed["State"]) == ("required", 2, "pending")
    refused("InvalidParameterValue", lambda: aws.ec2.modify_instance_metadata_options(**named, HttpPutResponseHopLimit=0))
    refused("InvalidParameterCombination", lambda: aws.ec2.modify_instance_attribute(
        **named, EbsOptimized={"Value": True}, DisableApiStop={"Value": True}))
    refused("InvalidInstanceID.NotFound", lambda: aws.ec2.describe_instance_attribute(InstanceId=f"i-{UNKNOWN}", Attribute="userData"))


@rule("ec2.describe_instances.filters", "ec2.describe_instance_status")
def test_finding_instances(aws, vpc):
    made = run(aws, vpc, TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "node-1"}]}])
    instance = made["Instances"][0]

    def find(**filters):
        named = [{"Name": name.replace("__", ".").replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        found = aws.ec2.describe_instances(Filters=named + [{"Name": "vpc-id", "Values": [vpc.id]}])["Reservations"]
        return [one["InstanceId"] for reservation in found for one in reservation["Instances"]]

    wait(aws, instance["InstanceId"], "running")
    for filters in [
        {"private_dns_name": instance["PrivateDnsName"]},
        {"private_ip_address": instance["PrivateIpAddress"]},
        {"instance_state_name": "running"},
        {"instance_state_code": "16"},
        {"instance_type": "t3.*"},
        {"availability_zone": "us-east-1a"},
        {"reservation_id": made["ReservationId"]},
        {"instance__group_name": "default"},
        {"network_interface__addresses__private_ip_address": instance["PrivateIpAddress"]},
        {"network_interface__attachment__device_index": "0"},
        {"image_id": instance["ImageId"]},
        {"subnet_id": vpc.subnets[0]},
    ]:
        assert find(**filters) == [instance["InstanceId"]], filters
    assert find(instance_state_name="stopped") == []
    tagged = aws.ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["node-?"]}, {"Name": "vpc-id", "Values": [vpc.id]}])
    assert len(tagged["Reservations"]) == 1
    [status] = aws.ec2.describe_instance_status(InstanceIds=[instance["InstanceId"]])["InstanceStatuses"]
    assert status["InstanceStatus"]["Status"] == "ok" and status["InstanceState"]["Name"] == "running"
    aws.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    assert aws.ec2.describe_instance_status(InstanceIds=[instance["InstanceId"]])["InstanceStatuses"] == []
    everything = aws.ec2.describe_instance_status(InstanceIds=[instance["InstanceId"]], IncludeAllInstances=True)
    assert len(everything["InstanceStatuses"]) == 1


@rule("ec2.describe_images", "ec2.describe_instance_types")
def test_images_and_types(aws):
    found = aws.ec2.describe_images(Owners=["amazon"])["Images"]
    assert {one["State"] for one in found} == {"available"} and {one["ImageOwnerAlias"] for one in found} == {"amazon"}
    assert aws.ec2.describe_images(Owners=["self"])["Images"] == []
    assert aws.ec2.describe_images(Owners=["210987654321"])["Images"] == []
    refused("InvalidAMIID.NotFound", lambda: aws.ec2.describe_images(ImageIds=[f"ami-{UNKNOWN}"]))
    refused("InvalidAMIID.Malformed", lambda: aws.ec2.describe_images(ImageIds=["image"]))
    refused("InvalidUserID.Malformed", lambda: aws.ec2.describe_images(Owners=["somebody"]))
    [kind] = aws.ec2.describe_instance_types(InstanceTypes=["m5.large"])["InstanceTypes"]
    assert kind["VCpuInfo"]["DefaultVCpus"] == 2 and kind["MemoryInfo"]["SizeInMiB"] == 8192
    assert (kind["NetworkInfo"]["MaximumNetworkInterfaces"], kind["NetworkInfo"]["Ipv4AddressesPerInterface"]) == (3, 10)
    arm = aws.ec2.describe_instance_types(Filters=[{"Name": "processor-info.supported-architecture", "Values": ["arm64"]}])
    assert {one["InstanceType"].split(".")[0] for one in arm["InstanceTypes"]} == {"c6g", "m6g", "t4g"}
    refused("InvalidInstanceType", lambda: aws.ec2.describe_instance_types(InstanceTypes=["x1e.xlarge"]))
    offers = aws.ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}])["InstanceTypeOfferings"]
    assert [one["Location"] for one in offers] == [REGION + letter for letter in "abc"]
