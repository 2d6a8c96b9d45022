"""Parameters of addresses: which ones there are, and the small languages that their values are written in.

Only what the reference has is taken, and only in versions that have it: whoever filters by what is not looked at would get
everything.
"""

import re
import uuid
from collections.abc import Collection, Sequence
from typing import NoReturn

from apis.openstack.common.microversions import Version
from apis.openstack.common.schema import as_uuid
from apis.openstack.common.views import Call
from apps.common.errors import Invalid

# The first versions in which `required` and `member_of` may say this.
FORBIDDEN_TRAITS, ANY_TRAITS, MANY_AGGREGATES, FORBIDDEN_AGGREGATES = (1, 22), (1, 39), (1, 24), (1, 32)
_AMOUNT = re.compile(r"[0-9]{1,18}")


def parameters(call: Call, known: Collection[str]) -> dict[str, str]:
    """All of them; of one that comes more than once, the last (`first` takes the other). Raises Invalid for one that there is not here."""
    found = call.query
    if unknown := sorted(set(found) - set(known)):
        shown = ", ".join(repr(name[:64]) for name in unknown)
        refuse(f"Additional properties are not allowed ({shown} {'was' if len(unknown) == 1 else 'were'} unexpected)")
    return found


def values(call: Call, name: str) -> list[str]:
    """All values of a parameter that may come more than once."""
    return [str(value) for value in call.request.GET.getlist(name)]


def first(call: Call, name: str) -> str | None:
    """Of a parameter that should come only once, the first; None if there is none."""
    return next(iter(values(call, name)), None)


def identifier(name: str, text: str) -> uuid.UUID:
    """A UUID, with or without dashes. Raises Invalid."""
    found = as_uuid(text.strip()) if text != "default" else None
    return found or refuse(f"Expected '{name}' parameter to be a format of uuid. Got: {text[:64]}")


def resources(text: str) -> dict[str, int]:
    """`VCPU:2,MEMORY_MB:1024`. Raises Invalid."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, colon, amount = part.partition(":")
        if not colon or not name.strip():
            raise Invalid(
                "request.query", "Badly formed resources parameter. Expected resources query string parameter in form: "
                f"?resources=VCPU:2,MEMORY_MB:1024. Got: {part[:64] or 'empty string'}.",
            )
        if not _AMOUNT.fullmatch(amount.strip()):
            raise Invalid("request.query", f"Requested resource {name[:64]} expected positive integer amount. Got: {amount[:64]}.")
        if int(amount) < 1:
            raise Invalid("request.query", f"Requested resource {name[:64]} requires amount >= 1. Got: {int(amount)}.")
        found[name] = int(amount)
    return found


def required(given: Sequence[str], version: Version) -> tuple[list[frozenset[str]], frozenset[str]]:
    """(sets of which one trait each must be there, traits that may not). Raises Invalid."""
    must, must_not = list[frozenset[str]](), set[str]()
    for text in given if version >= ANY_TRAITS else given[-1:]:
        if text.startswith("in:"):
            must.append(_any_of(text, version))
            continue
        names = [part.strip() for part in text.split(",")]
        forbidden = {name.lstrip("!") for name in names if name.startswith("!")}
        if not all(names) or "" in forbidden:
            refuse(f"Expected 'required' parameter value of the form: {_form(version)}. Got an empty trait in: {text[:256]}")
        if forbidden and version < FORBIDDEN_TRAITS:
            refuse(f"Expected 'required' parameter value of the form: {_form(version)}. Got: {text[:256]}")
        must += [frozenset({name}) for name in names if not name.startswith("!")]
        must_not |= forbidden
    return must, frozenset(must_not)


def member_of(given: Sequence[str], version: Version, suffix: str = "") -> tuple[list[frozenset[uuid.UUID]], frozenset[uuid.UUID]]:
    """(sets of which in one aggregate each one must be, aggregates in which one may not). Raises Invalid."""
    if len(given) > 1 and version < MANY_AGGREGATES:
        raise Invalid("request.query", f"Multiple member_of{suffix} parameters are not supported")
    must, must_not = list[frozenset[uuid.UUID]](), set[uuid.UUID]()
    for text in given:
        forbidden, rest = text.startswith("!"), text.removeprefix("!")
        many = rest.startswith("in:")
        if "," in rest and not many:
            raise Invalid(
                "request.query", "Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid"
                f" microversion. Got: {text[:256]}",
            )
        if forbidden and version < FORBIDDEN_AGGREGATES:
            raise Invalid(
                "request.query", f"Forbidden member_of{suffix} parameters are not supported in the specified microversion"
            )
        named = frozenset(_aggregate(part) for part in rest.removeprefix("in:").split(","))
        if forbidden:
            must_not |= named
        else:
            must.append(named)
    return must, frozenset(must_not)


def refuse(text: str) -> NoReturn:
    """Raises Invalid."""
    raise Invalid("request.query", f"Invalid query string parameters: {text}")


def _any_of(text: str, version: Version) -> frozenset[str]:
    if version < ANY_TRAITS:
        refuse(f"The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' only supported since microversion 1.39. Got: {text[:256]}")
    names = frozenset(part.strip() for part in text.removeprefix("in:").split(","))
    if "" in names:
        refuse(f"Expected 'required' parameter value of the form: in:HW_CPU_X86_VMX,CUSTOM_MAGIC. Got an empty trait in: {text[:256]}")
    if any(name.startswith("!") for name in names):
        refuse(f"The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' does not support forbidden traits. Got: {text[:256]}")
    return names


def _form(version: Version) -> str:
    return "HW_CPU_X86_VMX,!CUSTOM_MAGIC" if version >= FORBIDDEN_TRAITS else "HW_CPU_X86_VMX,CUSTOM_MAGIC"


def _aggregate(text: str) -> uuid.UUID:
    found = as_uuid(text) if text != "default" else None
    return found or refuse(f"Expected 'member_of' parameter to contain valid UUID(s). Got: {text[:64]}")
