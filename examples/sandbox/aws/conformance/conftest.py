"""What the tests of the simulator share.

A test takes the fixture `aws` and calls the simulator through boto3 as
`aws.elbv2`, `aws.ec2`, `aws.route53` and so on, or its own side as `aws.sim`.
Tests run side by side in one account: each makes a VPC of its own (fixture
`vpc`) or uses fresh names (`aws.name()`).

`@rule("id")` names the rows of ../rules/*.tsv that a test checks, and
`refused("Code", lambda: ...)` wants a call to be refused.

The simulator is the one at SANDBOX_AWS_ENDPOINT_URL, or one that is started
from SANDBOX_BINARY or from cargo's target folder.
"""

import itertools
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3
import botocore.exceptions
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

HERE = pathlib.Path(__file__).parent
RULES = HERE.parent / "rules"
REGION = "us-east-1"
ACCOUNT = "123456789012"

# One session, so that each service model is loaded once.
SESSION = boto3.session.Session()

# Attribute of `aws` -> name of the service in boto3, where they differ.
SERVICES = {
    "tagging": "resourcegroupstaggingapi",
    "cognito": "cognito-idp",
    "waf_regional": "waf-regional",
}


def rule(*ids):
    """Names the rules that a test checks."""
    return pytest.mark.rule(*ids)


class Refused:
    """An error answer."""

    def __init__(self, response):
        self.response = response
        self.code = response["Error"]["Code"]
        self.message = response["Error"].get("Message", "")
        self.status = response["ResponseMetadata"]["HTTPStatusCode"]

    def __repr__(self):
        return f"{self.status} {self.code}: {self.message}"


def refused(code, call, status=None):
    """Wants a call to be refused with a code, or one of several in a tuple."""
    codes = (code,) if isinstance(code, str) else tuple(code)
    try:
        answer = call()
    except botocore.exceptions.ClientError as error:
        refusal = Refused(error.response)
        assert refusal.code in codes, f"refused with {refusal!r}, not with {codes}"
        if status is not None:
            assert refusal.status == status, refusal
        return refusal
    answer.pop("ResponseMetadata", None)
    raise AssertionError(f"not refused with {codes}, but answered {answer}")


def eventually(check, seconds=20):
    """Repeats a check, which says something false or fails, until it holds."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = check()
            if found:
                return found
            problem = AssertionError(f"still {found!r} after {seconds} s")
        except (AssertionError, botocore.exceptions.ClientError) as error:
            problem = error
        if time.monotonic() > until:
            raise problem
        time.sleep(0.1)


class Raw:
    """An answer as it is on the wire."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def one(self, name):
        """The text of the only element of a name."""
        found = re.findall(f"<{name}>(.*?)</{name}>", self.body, re.DOTALL)
        assert len(found) == 1, f"{len(found)} {name} in {self.body}"
        return found[0]

    @property
    def code(self):
        if self.body.startswith("{"):
            return self.json()["__type"]
        return self.one("Code")


class Sim:
    """The simulator's own side, /_sim."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def call(self, method, path, body=None):
        """(status, text) of a call under /_sim."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.endpoint}/_sim/{path}",
            data=data,
            method=method,
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def get(self, path):
        status, text = self.call("GET", path)
        assert status == 200, f"{status} {text}"
        return json.loads(text)

    def post(self, path, body=None):
        status, text = self.call("POST", path, {} if body is None else body)
        assert status < 300, f"{status} {text}"
        return json.loads(text) if text else None


class Aws:
    """Clients of the simulator for one caller and region, made when first used."""

    def __init__(
        self,
        endpoint,
        region=REGION,
        key="AKIDEXAMPLE",
        secret="secret",
        token=None,
        validation=True,
    ):
        self.endpoint = endpoint
        self.region = region
        self.key, self.secret, self.token = key, secret, token
        self.validation = validation
        self.sim = Sim(endpoint)

    def __getattr__(self, service):
        if service.startswith("_"):
            raise AttributeError(service)
        client = self.client(SERVICES.get(service, service))
        setattr(self, service, client)
        return client

    def client(self, service, **config):
        """A client that does not try again."""
        return SESSION.client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            aws_session_token=self.token,
            config=Config(
                retries={"total_max_attempts": 1},
                parameter_validation=self.validation,
                **config,
            ),
        )

    def as_(self, **caller):
        """The same simulator for another caller (key, secret, token) or region."""
        mine = {
            "region": self.region,
            "key": self.key,
            "secret": self.secret,
            "token": self.token,
            "validation": self.validation,
        }
        return Aws(self.endpoint, **{**mine, **caller})

    @property
    def unchecked(self):
        """Clients that send what boto3 would refuse by itself."""
        return self.as_(validation=False)

    @staticmethod
    def name(prefix="t"):
        """A name that no other test has."""
        return f"{prefix}-{uuid.uuid4().hex[:10]}"

    def http(self, method="POST", path="/", headers=None, body="", sign=None):
        """A request as it is; `sign` is the service whose scope signs it."""
        url = self.endpoint + path
        headers = dict(headers or {})
        if sign:
            request = AWSRequest(method, url, data=self.bytes_of(body), headers=headers)
            credentials = Credentials(self.key, self.secret, self.token)
            SigV4Auth(credentials, sign, self.region).add_auth(request)
            headers = dict(request.headers.items())
        request = urllib.request.Request(
            url, data=self.bytes_of(body) or None, method=method, headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Raw(answer.status, answer.headers, answer.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            return Raw(error.code, error.headers, error.read().decode(errors="replace"))

    @staticmethod
    def bytes_of(body):
        return body.encode() if isinstance(body, str) else body

    def form(self, service, version, action, sign=None, **parameters):
        """A form as awsQuery and ec2Query send it."""
        fields = {"Action": action, "Version": version, **parameters}
        return self.http(
            headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
            body=urllib.parse.urlencode(fields),
            sign=sign or service,
        )

    def target(self, service, target, body="{}"):
        """A request as JSON 1.1 sends it."""
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        return self.http(headers=headers, body=body, sign=service)


def binary():
    """The program `sandbox`."""
    if "SANDBOX_BINARY" in os.environ:
        return os.environ["SANDBOX_BINARY"]
    root = HERE.parents[3]
    folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    found = [folder / kind / "sandbox" for kind in ("debug", "release")]
    found = [path for path in found if path.exists()]
    if not found:
        pytest.exit("no sandbox program: build it, or set SANDBOX_BINARY", returncode=2)
    return str(max(found, key=lambda path: path.stat().st_mtime))


@pytest.fixture(scope="session")
def endpoint():
    """Where the simulator answers."""
    if "SANDBOX_AWS_ENDPOINT_URL" in os.environ:
        yield os.environ["SANDBOX_AWS_ENDPOINT_URL"]
        return
    program = subprocess.Popen(
        [binary(), "aws", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    try:
        lines = iter(program.stdout.readline, "")
        urls = (line.strip().partition("=")[2] for line in lines if "ENDPOINT_URL=" in line)
        yield next(urls)
    finally:
        program.terminate()
        program.wait()


@pytest.fixture(scope="session")
def aws(endpoint):
    """The simulator through boto3. Quotas that tests meet only because they
    share an account are raised."""
    everything = Aws(endpoint)
    quotas = everything.sim.get("config")["quotas"]
    shared = ["application-load-balancers", "network-load-balancers", "target-groups",
              "trust-stores", "vpcs", "internet-gateways", "nat-gateways", "elastic-ips",
              "network-interfaces", "security-groups", "prefix-lists", "certificates",
              "imported-certificates", "server-certificates", "user-pools", "hosted-zones",
              "health-checks", "web-acls", "waf-ip-sets", "waf-regex-pattern-sets",
              "waf-rule-groups", "waf-classic-web-acls"]
    raised = {name: 100_000 for name in shared if name in quotas}
    everything.sim.post("config", {"quotas": raised})
    return everything


class Vpc:
    """A VPC with an internet gateway, and a subnet in each zone that is asked for."""

    def __init__(self, aws, zones=3):
        self.aws = aws
        ec2 = aws.ec2
        self.id = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.internet_gateway = gateway
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.id)
        self.blocks = itertools.count()
        names = [aws.region + letter for letter in "abcdef"[:zones]]
        self.subnets = [self.subnet(name) for name in names]

    def subnet(self, zone, bits=24):
        """A further subnet in a zone."""
        block = f"10.0.{next(self.blocks)}.0/{bits}"
        made = self.aws.ec2.create_subnet(
            VpcId=self.id, CidrBlock=block, AvailabilityZone=zone
        )
        return made["Subnet"]["SubnetId"]

    def security_group(self):
        """A further security group."""
        made = self.aws.ec2.create_security_group(
            GroupName=self.aws.name("group"), Description="of a test", VpcId=self.id
        )
        return made["GroupId"]


@pytest.fixture
def vpc(aws):
    """A fresh VPC with an internet gateway and three subnets in three zones."""
    return Vpc(aws)


def table():
    """The rules: id -> where it stands."""
    rules = {}
    for path in sorted(RULES.glob("*.tsv")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if number == 1 or not line:
                continue
            columns = line.split("\t")
            place = f"{path.name}:{number}"
            assert len(columns) == 4, f"{place} has {len(columns)} columns"
            assert columns[0] not in rules, f"{place} repeats {columns[0]}"
            assert columns[3] in "MDRPEG", f"{place} has no such certainty: {columns[3]}"
            rules[columns[0]] = place
    return rules


def pytest_configure(config):
    config.addinivalue_line("markers", "rule(*ids): rows of ../rules that a test checks")
