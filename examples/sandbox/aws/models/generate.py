#!/usr/bin/env python3
"""Cuts the service models of an installed botocore to the simulator's operations.

Run it where botocore is installed (conformance/requirements.txt pins the
release); it writes one JSON file per service beside itself:

    python3 generate.py

What a file holds is documented in ../src/wire/model/mod.rs, which reads it.
botocore's models are licensed under Apache-2.0, see NOTICE.
"""

import json
import pathlib
import re
import sys

import botocore
import botocore.session

HERE = pathlib.Path(__file__).parent

# Patterns that Rust's regex crate cannot express (they look around) or that
# AWS itself does not keep to, by how they are kept: another pattern that accepts a little more, or None for no
# pattern. What they would refuse beyond that is checked by the operations.
REPLACED = {
    # acm.DomainNameString: no label may begin with a hyphen.
    r"(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])":
        r"(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]",
    # ec2.SecretArn: the length stands in front as a lookahead.
    r"^(?=.{20,2048}$)arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[a-zA-Z0-9/_+=.@-]+":
        r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[a-zA-Z0-9/_+=.@-]+",
    # cognito-idp.S3BucketType: no dot at the end.
    r"^[0-9A-Za-z\.\-_]*(?<!\.)$": r"([0-9A-Za-z\.\-_]*[0-9A-Za-z\-_])?",
    # cognito-idp.DomainType: a domain of one's own has dots.
    r"^[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?$": r"[a-z0-9]([a-z0-9\.\-]{0,61}[a-z0-9])?",
    # shield.LogBucket: no address, no two dots.
    r"^([a-z]|(\d(?!\d{0,2}\.\d{1,3}\.\d{1,3}\.\d{1,3})))([a-z\d]|(\.(?!(\.|-)))|(-(?!\.))){1,61}[a-z\d]$":
        r"[a-z\d][a-z\d.-]{1,61}[a-z\d]",
    # ec2.PlacementGroupArn: an anchor in the middle never matches.
    r"^arn:aws([a-z-]+)?:ec2:[a-z\d-]+:\d{12}:placement-group/^.{1,255}$":
        r"arn:aws([a-z-]+)?:ec2:[a-z\d-]+:\d{12}:placement-group/.{1,255}",
}

# In Java, which the patterns are written for, these are ASCII only.
CLASSES = {"w": "0-9A-Za-z_", "d": "0-9", "s": r" \t\n\x0B\x0C\r"}


def pattern(java):
    """A pattern as Rust's regex crate reads it; the whole value has to match."""
    java = REPLACED.get(java, java)
    if java is None:
        return None
    if re.search(r"\(\?<?[=!]", java):
        sys.exit(f"the pattern {java!r} looks around: add it to REPLACED")
    # Java's \u takes four digits; the five and six of these are meant.
    java = java.replace(r"\u10000-\u10FFFF", r"\x{10000}-\x{10FFFF}")
    java = java.replace(r"\p{ASCII}", r"[\x00-\x7F]")
    out, at, depth = [], 0, 0
    while at < len(java):
        c = java[at]
        if c == "\\":
            follow = java[at + 1]
            if follow == "u":
                out.append(f"\\x{{{java[at + 2:at + 6]}}}")
                at += 6
                continue
            if follow.lower() in CLASSES and follow.islower():
                inner = CLASSES[follow]
                out.append(inner if depth else f"[{inner}]")
            elif follow.lower() in CLASSES:
                out.append(f"[^{CLASSES[follow.lower()]}]")
            else:
                out.append(c + follow)
            at += 2
            continue
        if c == "[" and depth:
            out.append("\\[")
        else:
            depth += (c == "[") - (c == "]" and depth > 0)
            out.append(c)
        at += 1
    return "".join(out)


def operations():
    """The committed list: service -> operations."""
    wanted, service = {}, None
    for line in (HERE / "operations.txt").read_text().splitlines():
        words = line.split("#")[0].split()
        if len(words) == 1 and words[0] == words[0].lower():
            service = wanted.setdefault(words[0], set())
        else:
            for word in words:
                service.add(word)
    return wanted


def upper_first(text):
    return text[:1].upper() + text[1:]


def member(protocol, name, described):
    """[name, shape, options]; options only where they say something."""
    options = {}
    location = described.get("locationName")
    if protocol == "ec2":
        request = described.get("queryName") or upper_first(location or name)
        answer = location or name
    else:
        request = answer = location or name
    if request != name:
        options["request"] = request
    if answer != name:
        options["answer"] = answer
    if "location" in described:
        options["location"] = described["location"]
    return [name, described["shape"], options] if options else [name, described["shape"]]


def shape(protocol, described):
    """A shape without its documentation."""
    kind = described["type"]
    cut = {"type": kind}
    for bound in ("min", "max"):
        if bound in described:
            cut[bound] = described[bound]
    if kind == "structure":
        cut["members"] = [
            member(protocol, name, value)
            for name, value in described["members"].items()
        ]
        for key in ("required", "union"):
            if described.get(key):
                cut[key] = described[key]
    elif kind == "list":
        cut["member"] = described["member"]["shape"]
        cut["item"] = described["member"].get(
            "locationName", "item" if protocol == "ec2" else "member"
        )
    elif kind == "map":
        for part in ("key", "value"):
            cut[part] = described[part]["shape"]
            cut[f"{part}_name"] = described[part].get("locationName", part)
    elif kind == "string":
        if "enum" in described:
            cut["enum"] = described["enum"]
        if "pattern" in described:
            kept = pattern(described["pattern"])
            if kept is not None:
                cut["pattern"] = kept
                if kept != described["pattern"]:
                    cut["shown"] = described["pattern"]
    return cut


def reach(shapes, start):
    """All shapes that can be reached from some."""
    seen, open_ = set(), list(start)
    while open_:
        name = open_.pop()
        if name in seen:
            continue
        seen.add(name)
        described = shapes[name]
        parts = list(described.get("members", {}).values())
        parts += [described[p] for p in ("member", "key", "value") if p in described]
        open_ += [part["shape"] for part in parts]
    return seen


def error(name, described):
    """Code and HTTP status of a declared error."""
    stated = described.get("error", {})
    status = stated.get("httpStatusCode", 500 if described.get("fault") else 400)
    return stated.get("code", name), status


def cut_service(session, service, wanted):
    model = session.get_service_model(service)
    described = model._service_description
    metadata, shapes = described["metadata"], described["shapes"]
    protocol = model.resolved_protocol
    unknown = wanted - set(described["operations"])
    if unknown:
        sys.exit(f"{service} has no operation {', '.join(sorted(unknown))}")
    start, errors, cut_operations = [], {}, {}
    for name in sorted(wanted):
        operation = described["operations"][name]
        cut = {}
        for side in ("input", "output"):
            if side in operation:
                cut[side] = operation[side]["shape"]
                start.append(cut[side])
        if operation.get("output", {}).get("resultWrapper"):
            cut["wrapper"] = operation["output"]["resultWrapper"]
        if protocol == "rest-xml":
            cut["method"] = operation["http"]["method"]
            cut["uri"] = operation["http"]["requestUri"]
            cut["status"] = operation["http"].get("responseCode", 200)
            if "locationName" in operation["input"]:
                cut["root"] = operation["input"]["locationName"]
        if operation.get("authtype") == "none" or "smithy.api#noAuth" in operation.get("auth", []):
            cut["unsigned"] = True
        for declared in operation.get("errors", []):
            code, status = error(declared["shape"], shapes[declared["shape"]])
            errors[code] = status
        cut_operations[name] = cut
    kept = sorted(reach(shapes, start))
    return {
        "service": service,
        "protocol": protocol,
        "version": metadata["apiVersion"],
        "target": metadata.get("targetPrefix", ""),
        "errors": dict(sorted(errors.items())),
        "operations": cut_operations,
        "shapes": {name: shape(protocol, shapes[name]) for name in kept},
    }


def lines(cut):
    """JSON with one line for each operation and shape, so that changes can be read."""
    def one(value):
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"))

    parts = []
    for key, value in cut.items():
        if key in ("operations", "shapes"):
            inner = ",\n".join(f"{one(name)}:{one(item)}" for name, item in value.items())
            parts.append(f"{one(key)}:{{\n{inner}\n}}")
        else:
            parts.append(f"{one(key)}:{one(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    session = botocore.session.get_session()
    for service, wanted in operations().items():
        cut = cut_service(session, service, wanted)
        cut = {"botocore": botocore.__version__, **cut}
        path = HERE / f"{service}.json"
        path.write_text(lines(cut))
        print(f"{path.name}: {len(wanted)} operations, {len(cut['shapes'])} shapes, "
              f"{path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
