"""Callers that tests make: registered keys, roles and their sessions."""

from conftest import ACCOUNT


def registered(aws, **key):
    """The simulator as a freshly registered key sees it."""
    key = {"id": aws.name("AKIATEST").upper().replace("-", ""), "secret": aws.name("secret"), **key}
    aws.sim.post("keys", key)
    return aws.as_(key=key["id"], secret=key["secret"], token=key.get("token"))


def keys_of(aws, answer):
    credentials = answer["Credentials"]
    return aws.as_(
        key=credentials["AccessKeyId"],
        secret=credentials["SecretAccessKey"],
        token=credentials["SessionToken"],
    )


def role(aws, account=ACCOUNT, **described):
    arn = f"arn:aws:iam::{account}:role/path/{aws.name('role')}"
    aws.sim.post("roles", {"arn": arn, **described})
    return arn


def trusting(principal, condition=None, action="sts:AssumeRole"):
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}
