"""User pools of Cognito, their domains and clients."""

import pathlib
import re

import pytest

from conftest import refused, rule

CERTIFICATES = pathlib.Path(__file__).parent / "certificates"
CALLBACK = "https://app.example.com/oauth2/idpresponse"
OAUTH = {
    "AllowedOAuthFlowsUserPoolClient": True,
    "AllowedOAuthFlows": ["code"],
    "AllowedOAuthScopes": ["openid", "email"],
    "CallbackURLs": [CALLBACK],
    "SupportedIdentityProviders": ["COGNITO"],
}


@pytest.fixture
def pool(aws):
    """The id of a user pool."""
    return aws.cognito.create_user_pool(PoolName=aws.name("pool"))["UserPool"]["Id"]


def client(aws, pool, **more):
    made = aws.cognito.create_user_pool_client(UserPoolId=pool, ClientName="web", **more)
    return made["UserPoolClient"]


@rule("cognito.pool")
def test_a_pool_is_made_described_listed_and_deleted(aws):
    name = aws.name("pool")
    made = aws.cognito.create_user_pool(PoolName=name, UserPoolTags={"a": "1"})["UserPool"]
    assert re.fullmatch(rf"{aws.region}_[0-9a-zA-Z]{{9}}", made["Id"])
    assert made["Arn"] == f"arn:aws:cognito-idp:{aws.region}:123456789012:userpool/{made['Id']}"
    assert (made["Name"], made["MfaConfiguration"]) == (name, "OFF")
    assert made["Policies"]["PasswordPolicy"]["MinimumLength"] == 8
    assert made["DeletionProtection"] == "INACTIVE" and made["UserPoolTags"] == {"a": "1"}
    assert aws.cognito.describe_user_pool(UserPoolId=made["Id"])["UserPool"] == made
    pages = aws.cognito.get_paginator("list_user_pools").paginate(MaxResults=1)
    assert made["Id"] in [p["Id"] for page in pages for p in page["UserPools"]]
    aws.cognito.delete_user_pool(UserPoolId=made["Id"])
    for call in (aws.cognito.describe_user_pool, aws.cognito.delete_user_pool):
        refused("ResourceNotFoundException", lambda: call(UserPoolId=made["Id"]), 400)


@rule("cognito.pool.parameters")
def test_parameters_of_a_pool(aws):
    both = {"AliasAttributes": ["email"], "UsernameAttributes": ["email"]}
    call = aws.cognito.create_user_pool
    refused("InvalidParameterException", lambda: call(PoolName="x", **both), 400)
    refused("InvalidParameterException", lambda: call(PoolName="x" * 129), 400)
    refused("InvalidParameterException", lambda: call(PoolName="x", MfaConfiguration="MAYBE"), 400)


@rule("cognito.pool.delete")
def test_what_holds_a_pool(aws, pool):
    delete = lambda: aws.cognito.delete_user_pool(UserPoolId=pool)
    aws.cognito.update_user_pool(UserPoolId=pool, DeletionProtection="ACTIVE")
    assert "deletion protection" in refused("InvalidParameterException", delete).message
    aws.cognito.update_user_pool(UserPoolId=pool, DeletionProtection="INACTIVE")
    domain = aws.name("d")
    aws.cognito.create_user_pool_domain(UserPoolId=pool, Domain=domain)
    assert "domain" in refused("InvalidParameterException", delete).message
    aws.cognito.delete_user_pool_domain(UserPoolId=pool, Domain=domain)
    delete()


@rule("cognito.domain")
def test_domains_of_a_pool(aws, pool):
    domain = aws.name("d")
    create = lambda domain, pool=pool: aws.cognito.create_user_pool_domain(
        UserPoolId=pool, Domain=domain
    )
    describe = lambda: aws.cognito.describe_user_pool_domain(Domain=domain)["DomainDescription"]
    assert describe() == {}
    create(domain)
    shown = describe()
    assert (shown["UserPoolId"], shown["Domain"], shown["Status"]) == (pool, domain, "ACTIVE")
    assert aws.cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["Domain"] == domain
    other = aws.cognito.create_user_pool(PoolName="other")["UserPool"]["Id"]
    refused("InvalidParameterException", lambda: create(domain, other), 400)
    refused("InvalidParameterException", lambda: create(aws.name("d")), 400)
    refused("InvalidParameterException", lambda: create("my-amazon-x", other), 400)
    refused("InvalidParameterException", lambda: create("auth.example.com", other), 400)
    refused("ResourceNotFoundException", lambda: create(aws.name("d"), aws.region + "_none"), 400)
    delete = lambda: aws.cognito.delete_user_pool_domain(UserPoolId=pool, Domain=domain)
    delete()
    refused("InvalidParameterException", delete, 400)


@rule("cognito.domain.custom")
def test_a_domain_of_ones_own_has_a_certificate(aws, pool):
    arn = aws.acm.import_certificate(
        Certificate=(CERTIFICATES / "rsa.pem").read_bytes(),
        PrivateKey=(CERTIFICATES / "rsa.key").read_bytes(),
    )["CertificateArn"]
    domain = aws.name("auth") + ".example.net"
    where = {"UserPoolId": pool, "Domain": domain}
    unknown = {"CertificateArn": arn[:-4] + "0000"}
    create = aws.cognito.create_user_pool_domain
    refused("InvalidParameterException", lambda: create(**where, CustomDomainConfig=unknown), 400)
    made = create(**where, CustomDomainConfig={"CertificateArn": arn})
    assert made["CloudFrontDomain"].endswith(".cloudfront.net")
    shown = aws.cognito.describe_user_pool_domain(Domain=domain)["DomainDescription"]
    assert shown["CustomDomainConfig"] == {"CertificateArn": arn}
    assert aws.cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["CustomDomain"] == domain
    update = aws.cognito.update_user_pool_domain
    assert update(**where, ManagedLoginVersion=2)["ManagedLoginVersion"] == 2
    refused("InvalidParameterException", lambda: update(**where, CustomDomainConfig=unknown), 400)
    aws.cognito.delete_user_pool_domain(**where)


@rule("cognito.client")
def test_a_client_is_made_described_listed_and_deleted(aws, pool):
    made = client(aws, pool, GenerateSecret=True, **OAUTH)
    assert re.fullmatch(r"[a-z0-9]{26}", made["ClientId"])
    assert re.fullmatch(r"[a-z0-9]{51}", made["ClientSecret"])
    assert OAUTH.items() <= made.items()
    assert made["RefreshTokenValidity"] == 30 and made["EnableTokenRevocation"] is True
    where = {"UserPoolId": pool, "ClientId": made["ClientId"]}
    assert aws.cognito.describe_user_pool_client(**where)["UserPoolClient"] == made
    assert "ClientSecret" not in client(aws, pool)
    listed = aws.cognito.list_user_pool_clients(UserPoolId=pool, MaxResults=60)["UserPoolClients"]
    assert {"ClientId": made["ClientId"], "UserPoolId": pool, "ClientName": "web"} in listed
    pages = aws.cognito.get_paginator("list_user_pool_clients").paginate(UserPoolId=pool, MaxResults=1)
    assert len([c for page in pages for c in page["UserPoolClients"]]) == 2
    changed = aws.cognito.update_user_pool_client(**where, CallbackURLs=[CALLBACK])["UserPoolClient"]
    assert changed["AllowedOAuthFlowsUserPoolClient"] is False
    assert changed["ClientSecret"] == made["ClientSecret"]
    aws.cognito.delete_user_pool_client(**where)
    for call in (aws.cognito.describe_user_pool_client, aws.cognito.delete_user_pool_client):
        refused("ResourceNotFoundException", lambda: call(**where), 400)


@rule("cognito.client.not_found")
def test_clients_of_pools_that_are_not_there(aws, pool):
    none = aws.region + "_nothing00"
    for call in [
        lambda: client(aws, none),
        lambda: aws.cognito.list_user_pool_clients(UserPoolId=none),
        lambda: aws.cognito.describe_user_pool_client(UserPoolId=none, ClientId="x"),
        lambda: aws.cognito.describe_user_pool_client(UserPoolId=pool, ClientId="x"),
    ]:
        refused("ResourceNotFoundException", call, 400)
    bad = lambda: aws.cognito.describe_user_pool_client(UserPoolId="not a pool", ClientId="x")
    refused("InvalidParameterException", bad, 400)


@rule("cognito.client.settings")
@pytest.mark.parametrize(
    "more, code",
    [
        ({"AllowedOAuthFlowsUserPoolClient": True}, "InvalidOAuthFlowException"),
        ({**OAUTH, "AllowedOAuthScopes": ["mine/read"]}, "ScopeDoesNotExistException"),
        ({**OAUTH, "AllowedOAuthFlows": ["client_credentials"]}, "InvalidOAuthFlowException"),
        ({**OAUTH, "AllowedOAuthFlows": ["code", "client_credentials"]}, "InvalidOAuthFlowException"),
        ({**OAUTH, "CallbackURLs": ["http://app.example.com"]}, "InvalidParameterException"),
        ({**OAUTH, "CallbackURLs": ["https://app.example.com/#x"]}, "InvalidParameterException"),
        ({**OAUTH, "DefaultRedirectURI": "https://other.example.com"}, "InvalidParameterException"),
        ({**OAUTH, "SupportedIdentityProviders": ["Nobody"]}, "InvalidParameterException"),
        ({"GenerateSecret": True, "ClientSecret": "x" * 24}, "InvalidParameterException"),
        ({"RefreshTokenValidity": -1}, "InvalidParameterException"),
        ({"AllowedOAuthFlows": ["magic"]}, "InvalidParameterException"),
    ],
)
def test_settings_that_do_not_fit_each_other(aws, pool, more, code):
    refused(code, lambda: client(aws.unchecked, pool, **more), 400)
    assert aws.cognito.list_user_pool_clients(UserPoolId=pool)["UserPoolClients"] == []


@rule("cognito.tags")
def test_tags_of_a_pool(aws, pool):
    arn = aws.cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["Arn"]
    aws.cognito.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    aws.cognito.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert aws.cognito.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"b": "2"}
    unknown = arn[:-3] + "000"
    call = lambda: aws.cognito.list_tags_for_resource(ResourceArn=unknown)
    refused("ResourceNotFoundException", call, 400)
