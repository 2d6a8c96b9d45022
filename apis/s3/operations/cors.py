"""CORS: the rules of a bucket, and what browsers are told by them."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from apis.s3 import xml
from apis.s3.answers import Answer, document, nothing
from apis.s3.call import Call
from apis.s3.errors import Refused
from apis.s3.request import Request
from apps.common.errors import NotFound
from apps.objects.selectors import buckets as reads
from apps.objects.services import buckets

Rule = Mapping[str, Any]
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_MOST_RULES = 100
_LISTS = {"AllowedHeaders": "AllowedHeader", "AllowedMethods": "AllowedMethod", "AllowedOrigins": "AllowedOrigin", "ExposeHeaders": "ExposeHeader"}


def get(call: Call) -> Answer:
    """GetBucketCors."""
    row = reads.bucket(actor=call.actor, name=call.bucket, action="s3:GetBucketCORS", context=call.context)
    if not row.cors:
        raise Refused("NoSuchCORSConfiguration", BucketName=call.bucket)
    return document("CORSConfiguration", [("CORSRule", _rendered(rule)) for rule in row.cors])


def put(call: Call) -> Answer:
    """PutBucketCors."""
    elements = call.document("CORSConfiguration").findall("CORSRule")
    if not 1 <= len(elements) <= _MOST_RULES:
        raise Refused("MalformedXML")
    buckets.put_cors(actor=call.actor, name=call.bucket, rules=[_read(each) for each in elements], context=call.context)
    return Answer()


def delete(call: Call) -> Answer:
    """DeleteBucketCors."""
    buckets.put_cors(actor=call.actor, name=call.bucket, rules=[], context=call.context)
    return nothing()


def _read(element: Element) -> Rule:
    rule: dict[str, Any] = {
        name: [(each.text or "").strip() for each in element.findall(child)] for name, child in _LISTS.items() if element.find(child) is not None
    }
    if not rule.get("AllowedMethods") or not rule.get("AllowedOrigins"):
        raise Refused("MalformedXML")
    for method in rule["AllowedMethods"]:
        if method not in _METHODS:
            raise Refused("InvalidRequest", f"Found unsupported HTTP method in CORS config. Unsupported method is {method[:32]}")
    for text in (*rule["AllowedOrigins"], *rule.get("AllowedHeaders", ())):
        if text.count("*") > 1:
            raise Refused("InvalidRequest", f'"{text[:128]}" can not have more than one wildcard.')
    if (name := xml.text(element, "ID")) is not None:
        rule["ID"] = name[:255]
    if (age := xml.text(element, "MaxAgeSeconds")) is not None:
        if not re.fullmatch(r"\d{1,9}", age, re.ASCII):
            raise Refused("MalformedXML")
        rule["MaxAgeSeconds"] = int(age)
    return rule


def _rendered(rule: Rule) -> list[xml.Node]:
    nodes: list[xml.Node] = [("ID", rule["ID"])] if "ID" in rule else []
    nodes += [(child, text) for name, child in _LISTS.items() for text in rule.get(name, ())]
    return nodes + ([("MaxAgeSeconds", rule["MaxAgeSeconds"])] if "MaxAgeSeconds" in rule else [])


def preflight(request: Request) -> Answer:
    """OPTIONS: whether a page of that origin may make such a request. Nobody is asked who they are."""
    origin, method = request.header("origin"), request.header("access-control-request-method")
    if not origin or not method:
        raise Refused("BadRequest")
    asked = [each.strip().lower() for each in request.header("access-control-request-headers").split(",") if each.strip()]
    rule = _matching(_rules(request.bucket), origin, method, asked)
    if rule is None:
        raise Refused("AccessForbidden", Method=method[:32], ResourceType="OBJECT" if request.key else "BUCKET")
    headers = _told(rule, origin) | {"Access-Control-Allow-Methods": ", ".join(rule["AllowedMethods"])}
    if asked:
        headers["Access-Control-Allow-Headers"] = ", ".join(asked)
    if "MaxAgeSeconds" in rule:
        headers["Access-Control-Max-Age"] = str(rule["MaxAgeSeconds"])
    return Answer(headers=headers)


def headers_for(request: Request) -> dict[str, str]:
    """What an answer tells the browser whose page asked; empty if no rule is about it."""
    origin = request.header("origin")
    rule = _matching(_rules(request.bucket), origin, request.method, []) if origin and request.bucket else None
    return _told(rule, origin) if rule else {}


def _rules(bucket: str) -> Sequence[Rule]:
    try:
        found: Sequence[Rule] = reads.named(bucket).cors if bucket else ()
    except NotFound:
        return ()
    return found


def _matching(rules: Sequence[Rule], origin: str, method: str, asked: Sequence[str]) -> Rule | None:
    for rule in rules:
        if method in rule["AllowedMethods"] and any(_fits(each, origin) for each in rule["AllowedOrigins"]) and all(
            any(_fits(each.lower(), name) for each in rule.get("AllowedHeaders", ())) for name in asked
        ):
            return rule
    return None


def _fits(pattern: str, text: str) -> bool:
    """One `*` stands for anything; nothing else is special."""
    return fnmatch.fnmatchcase(text, re.sub(r"([\[?])", r"[\1]", pattern))


def _told(rule: Rule, origin: str) -> dict[str, str]:
    anybody = "*" in rule["AllowedOrigins"]
    headers = {
        "Access-Control-Allow-Origin": "*" if anybody else origin,
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
    if not anybody:
        headers["Access-Control-Allow-Credentials"] = "true"
    if rule.get("ExposeHeaders"):
        headers["Access-Control-Expose-Headers"] = ", ".join(rule["ExposeHeaders"])
    return headers
