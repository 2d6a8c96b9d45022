"""Conditions of bucket policies: `{"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from apps.objects.access.patterns import Facts, Pattern, PatternError

TEXT, NUMBER, MOMENT, EPOCH, FLAG, ADDRESS, ARN = "text", "number", "date", "number of seconds", "true or false", "address", "ARN"
KEYS: dict[str, str] = {
    "aws:currenttime": MOMENT, "aws:epochtime": EPOCH, "aws:principalaccount": TEXT, "aws:principalarn": ARN, "aws:principaltype": TEXT,
    "aws:referer": TEXT, "aws:securetransport": FLAG, "aws:sourceip": ADDRESS, "aws:useragent": TEXT, "aws:userid": TEXT,
    "aws:username": TEXT, "s3:authtype": TEXT, "s3:delimiter": TEXT, "s3:max-keys": NUMBER, "s3:prefix": TEXT, "s3:signatureversion": TEXT,
    "s3:versionid": TEXT, "s3:x-amz-acl": TEXT, "s3:x-amz-content-sha256": TEXT, "s3:x-amz-copy-source": TEXT,
    "s3:x-amz-grant-full-control": TEXT, "s3:x-amz-grant-read": TEXT, "s3:x-amz-grant-read-acp": TEXT, "s3:x-amz-grant-write": TEXT,
    "s3:x-amz-grant-write-acp": TEXT, "s3:x-amz-metadata-directive": TEXT, "s3:x-amz-server-side-encryption": TEXT,
    "s3:x-amz-storage-class": TEXT,
}
# Behind the slash comes the name of a tag, in which capitals count.
TAGS = ("s3:existingobjecttag/", "s3:requestobjecttag/")
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda found, wanted: bool(found == wanted), "LessThan": lambda found, wanted: bool(found < wanted),
    "LessThanEquals": lambda found, wanted: bool(found <= wanted), "GreaterThan": lambda found, wanted: bool(found > wanted),
    "GreaterThanEquals": lambda found, wanted: bool(found >= wanted),
}
# A value, the fact of the request, all facts → whether this value holds.
Test = Callable[[Any, str, Facts], bool]


class ConditionError(ValueError):
    """What of the condition is not understood."""


@dataclass(frozen=True)
class Operator:
    """`kinds`: of the keys that it can be asked of. `read`: a value as it stands in the policy → as it is tested."""

    kinds: frozenset[str]
    read: Callable[[str, frozenset[str] | None], Any]
    test: Test
    negated: bool = False


@dataclass(frozen=True)
class Condition:
    """One operator for one key. `operator` None: Null, which asks whether the key is there at all."""

    key: str
    operator: Operator | None
    values: tuple[Any, ...]
    if_exists: bool = False

    @property
    def variables(self) -> frozenset[str]:
        """What must be known for the values to mean something."""
        return frozenset().union(*(value.variables for value in self.values if isinstance(value, Pattern)))

    def holds(self, facts: Facts) -> bool:
        """A key that is not there fits no value; so what must not be equal is not."""
        found = facts.get(self.key)
        if self.operator is None:
            return (found is None) in self.values
        if found is None:
            return self.if_exists or self.operator.negated
        return any(self.operator.test(value, found, facts) for value in self.values) != self.operator.negated


def read(name: str, key: str, values: list[str], *, variables: bool) -> Condition:
    """Raises ConditionError."""
    bare, known = name.removesuffix("IfExists"), frozenset(KEYS) if variables else None
    canonical, kind = _key(key)
    if name == "Null":
        return Condition(canonical, None, tuple(_flag(value, None) for value in values))
    operator = OPERATORS.get(bare)
    if operator is None:
        raise ConditionError(f"there is no operator {name[:64]}")
    if kind not in operator.kinds:
        raise ConditionError(f"{name} cannot be asked of {key}, which is a {kind}")
    try:
        return Condition(canonical, operator, tuple(operator.read(value, known) for value in values), bare != name)
    except PatternError as error:
        raise ConditionError(str(error)) from None


def _key(text: str) -> tuple[str, str]:
    lower = text.lower()
    for start in TAGS:
        if lower.startswith(start) and len(text) > len(start):
            return start + text[len(start):], TEXT
    if lower not in KEYS:
        raise ConditionError(f"there is no key {text[:64]}")
    return lower, KEYS[lower]


def _flag(text: str, known: object) -> bool:
    if text.lower() not in ("true", "false"):
        raise ConditionError(f"expected true or false, not {text[:64]!r}")
    return text.lower() == "true"


def _number(text: str, known: object) -> float:
    if not _NUMBER.fullmatch(text):
        raise ConditionError(f"expected a number, not {text[:64]!r}")
    return float(text)


def _moment(text: str, known: object) -> datetime:
    try:
        if _NUMBER.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ConditionError(f"expected a date such as 2026-01-31T12:00:00Z, not {text[:64]!r}") from None


def _network(text: str, known: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConditionError(f"expected an address or a range such as 192.0.2.0/24, not {text[:64]!r}") from None


def _pattern(*, wild: bool, any_case: bool = False) -> Callable[[str, frozenset[str] | None], Pattern]:
    return lambda text, known: Pattern(text, wild=wild, known=known, any_case=any_case)


def _fits(value: Pattern, found: str, facts: Facts) -> bool:
    return value.fits(found, facts)


def _is_inside(value: IPv4Network | IPv6Network, found: str, facts: Facts) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(found)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in value


def _compared(read: Callable[[str, object], Any], order: Callable[[Any, Any], bool]) -> Test:
    def test(value: Any, found: str, facts: Facts) -> bool:
        try:
            parsed = read(found, None)
        except ConditionError:
            return False
        return order(parsed, value)

    return test


def _operators() -> Mapping[str, Operator]:
    texts, arns = frozenset({TEXT, FLAG, ARN, NUMBER}), frozenset({ARN})
    found = {
        "Bool": Operator(frozenset({FLAG}), _flag, lambda value, fact, _: (fact.lower() == "true") == value),
        "IpAddress": Operator(frozenset({ADDRESS}), _network, _is_inside),
        "StringEquals": Operator(texts, _pattern(wild=False), _fits),
        "StringEqualsIgnoreCase": Operator(texts, _pattern(wild=False, any_case=True), _fits),
        "StringLike": Operator(texts, _pattern(wild=True), _fits),
        "ArnEquals": Operator(arns, _pattern(wild=True), _fits),
        "ArnLike": Operator(arns, _pattern(wild=True), _fits),
    }
    for order, compare in _ORDERS.items():
        found[f"Numeric{order}"] = Operator(frozenset({NUMBER, EPOCH}), _number, _compared(_number, compare))
        found[f"Date{order}"] = Operator(frozenset({MOMENT, EPOCH}), _moment, _compared(_moment, compare))
    for name, of in (
        ("NotIpAddress", "IpAddress"), ("StringNotEquals", "StringEquals"), ("StringNotEqualsIgnoreCase", "StringEqualsIgnoreCase"),
        ("StringNotLike", "StringLike"), ("ArnNotEquals", "ArnEquals"), ("ArnNotLike", "ArnLike"), ("NumericNotEquals", "NumericEquals"),
        ("DateNotEquals", "DateEquals"),
    ):
        found[name] = Operator(found[of].kinds, found[of].read, found[of].test, negated=True)
    return found


OPERATORS = _operators()
