"""What tests of load balancers share: things that are quickly made."""

import pytest

# Self-signed certificates with their keys, good for tests only.
SELF_SIGNED = {
    "www.example.com": (
        b"""-----BEGIN CERTIFICATE-----
MIIBpzCCAU2gAwIBAgIUSG1K0mnK+pvqGqV5sB351tWpKn8wCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMCAXDTI2MTEyODE1MTAzNFoYDzIw
NTEwNzIwMTUxMDM0WjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQauzEeLOAeWxYXSb/8OdmiJfEMC2mvGUodSI4K
XKDzxABf3zOwiH/CyXRym1Zb8pJIOc3C6qGxUKJW3XhrNzajo28wbTAdBgNVHQ4E
FgQUCJ0hijWzXg1hEp7PMnLAmVBT0VowHwYDVR0jBBgwFoAUCJ0hijWzXg1hEp7P
MnLAmVBT0VowDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgg93d3cuZXhhbXBs
ZS5jb20wCgYIKoZIzj0EAwIDSAAwRQIhAOy//orHRZCoSJ2JeNockMqgn55YDTtK
UHVp3fODUmijAiAuipWpKiaSZM7zFgolHdaYVt5mIDzZ0YsxOeq+Y5w6Aw==
-----END CERTIFICATE-----
""",
        b"""-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgeFNIszL1mYhK95kU
nN+KMKrWyzWx71kv7p0lqKKdS7+hRANCAAQauzEeLOAeWxYXSb/8OdmiJfEMC2mv
GUodSI4KXKDzxABf3zOwiH/CyXRym1Zb8pJIOc3C6qGxUKJW3XhrNzaj
-----END PRIVATE KEY-----
""",
    ),
    "localhost": (
        b"""-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUcWdnUuQ4oNIP8qxZfuIOBTBuCLgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODE1MTAzNFoYDzIwNTEwNzIw
MTUxMDM0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATpTv2wgiWV6WTU+DVxuSKhWNVFMbUOndLwhFslUQJ4P4GizLp5W2lw
dKmGicMioYtChixos4HMvfsTBC9yWt/vo2kwZzAdBgNVHQ4EFgQUEJu/akrjO2/Z
r3wjQXn8xtsR/EUwHwYDVR0jBBgwFoAUEJu/akrjO2/Zr3wjQXn8xtsR/EUwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIhAPTXz4ZnC9mk2V+97fbzs+I0rboQBqctk/sA39QF2sW8AiApeyGKWAjR
OMfiPfktRljxzO35uUy/Lv0uKYVc6rPUew==
-----END CERTIFICATE-----
""",
        b"""-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgS/AmFwvpv8Ahlfnj
ctZz67Uxn0ikdmtEpY095isvfiahRANCAATpTv2wgiWV6WTU+DVxuSKhWNVFMbUO
ndLwhFslUQJ4P4GizLp5W2lwdKmGicMioYtChixos4HMvfsTBC9yWt/v
-----END PRIVATE KEY-----
""",
    ),
}

NOT_FOUND = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


class Elb:
    """Makes load balancers, listeners, rules and groups in a fresh VPC."""

    def __init__(self, aws, vpc):
        self.aws, self.vpc, self.client = aws, vpc, aws.elbv2
        # Sends what boto3 would refuse by itself.
        self.unchecked = aws.unchecked.elbv2
        self._balancer = self._certificate = None

    def balancer(self, **settings):
        made = self.client.create_load_balancer(
            **{"Name": self.aws.name("lb"), "Subnets": self.vpc.subnets, **settings}
        )
        return made["LoadBalancers"][0]["LoadBalancerArn"]

    @property
    def alb(self):
        """One Application Load Balancer for the whole test."""
        self._balancer = self._balancer or self.balancer()
        return self._balancer

    @property
    def certificate(self):
        """A certificate that is issued."""
        if self._certificate is None:
            self._certificate = self.another_certificate()
        return self._certificate

    def another_certificate(self, domain="www.example.com"):
        """A certificate with an ARN of its own."""
        certificate, key = SELF_SIGNED[domain]
        made = self.aws.acm.import_certificate(Certificate=certificate, PrivateKey=key)
        return made["CertificateArn"]

    def listener(self, **settings):
        """An HTTP listener on port 80 that answers 404."""
        return self.listeners(**settings)["ListenerArn"]

    def listeners(self, **settings):
        """The same, as it is answered."""
        defaults = {
            "LoadBalancerArn": settings.get("LoadBalancerArn") or self.alb,
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [NOT_FOUND],
        }
        if settings.get("Protocol") == "HTTPS":
            defaults["Port"] = 443
            defaults["Certificates"] = [{"CertificateArn": self.certificate}]
        return self.client.create_listener(**{**defaults, **settings})["Listeners"][0]

    def described_listener(self, arn):
        return self.client.describe_listeners(ListenerArns=[arn])["Listeners"][0]

    def group(self, **settings):
        """A target group of addresses."""
        return self.groups(**settings)["TargetGroupArn"]

    def groups(self, **settings):
        """The same, as it is answered."""
        defaults = {
            "Name": self.aws.name("tg"),
            "Protocol": "HTTP",
            "Port": 8080,
            "VpcId": self.vpc.id,
            "TargetType": "ip",
        }
        merged = {**defaults, **settings}
        merged = {name: value for name, value in merged.items() if value is not None}
        return self.client.create_target_group(**merged)["TargetGroups"][0]

    def function_group(self, **settings):
        """A target group for a function."""
        return self.groups(
            TargetType="lambda", Protocol=None, Port=None, VpcId=None, **settings
        )

    def rule(self, listener, priority=1, **settings):
        """A rule for a path that answers 404; answers the rule."""
        defaults = {
            "ListenerArn": listener,
            "Priority": priority,
            "Conditions": [path("/a")],
            "Actions": [NOT_FOUND],
        }
        return self.unchecked.create_rule(**{**defaults, **settings})["Rules"][0]

    def described_rules(self, listener):
        return self.client.describe_rules(ListenerArn=listener)["Rules"]

    def health(self, group, **settings):
        made = self.client.describe_target_health(TargetGroupArn=group, **settings)
        return made["TargetHealthDescriptions"]


def path(*values):
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(values)}}


def host(*values):
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(values)}}


def forward(group):
    return {"Type": "forward", "TargetGroupArn": group}


def weighted(*groups, sticky=None):
    """A forward to (group, weight) pairs."""
    config = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": w} for arn, w in groups]}
    if sticky is not None:
        config["TargetGroupStickinessConfig"] = sticky
    return {"Type": "forward", "ForwardConfig": config}


def redirect(**parts):
    return {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **parts}}


def oidc(order=1, **settings):
    config = {
        "Issuer": "https://idp.example.com",
        "AuthorizationEndpoint": "https://idp.example.com/authorize",
        "TokenEndpoint": "https://idp.example.com/token",
        "UserInfoEndpoint": "https://idp.example.com/userinfo",
        "ClientId": "alb",
        "ClientSecret": "hush",
        **settings,
    }
    config = {name: value for name, value in config.items() if value is not None}
    return {"Type": "authenticate-oidc", "Order": order, "AuthenticateOidcConfig": config}


def jwt(order=1, **settings):
    config = {
        "JwksEndpoint": "https://idp.example.com/keys",
        "Issuer": "https://idp.example.com",
        **settings,
    }
    return {"Type": "jwt-validation", "Order": order, "JwtValidationConfig": config}


def cognito(order=1, **settings):
    config = {
        "UserPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_Abc123",
        "UserPoolClientId": "client",
        "UserPoolDomain": "login",
        **settings,
    }
    return {"Type": "authenticate-cognito", "Order": order, "AuthenticateCognitoConfig": config}


@pytest.fixture
def elb(aws, vpc):
    return Elb(aws, vpc)
