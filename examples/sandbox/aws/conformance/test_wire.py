"""The protocols: how requests are read, and how answers and refusals look."""

from conftest import refused, rule


@rule("wire.query.lists", "wire.query.answer")
def test_forms_with_lists_and_structures(aws, vpc):
    made = aws.elbv2.create_target_group(
        Name=aws.name("tg"),
        Protocol="HTTP",
        Port=80,
        VpcId=vpc.id,
        Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2 = @3"}],
    )
    group = made["TargetGroups"][0]
    assert made["ResponseMetadata"]["RequestId"] == made["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    tags = aws.elbv2.describe_tags(ResourceArns=[group["TargetGroupArn"]])["TagDescriptions"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "b": "2 = @3"}


@rule("wire.unknown_action")
def test_unknown_actions(aws):
    answer = aws.form("elasticloadbalancing", "2015-12-01", "CreateBalloon")
    assert (answer.status, answer.code) == (400, "InvalidAction")
    answer = aws.form("ec2", "2016-11-15", "CreateBalloon")
    assert (answer.status, answer.code) == (400, "InvalidAction")
    answer = aws.target("acm", "CertificateManager.CreateBalloon")
    assert (answer.status, answer.code) == (400, "UnknownOperationException")


@rule("wire.query.enum")
def test_values_outside_of_an_enumeration(aws, vpc):
    error = refused(
        "ValidationError",
        lambda: aws.elbv2.create_target_group(
            Name=aws.name(), Protocol="FTP", Port=21, VpcId=vpc.id
        ),
        status=400,
    )
    assert "Value 'FTP' at 'protocol' failed to satisfy constraint: Member must satisfy enum value set" in error.message
