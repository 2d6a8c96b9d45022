"""What comes in, checked: bodies by msgspec Structs, texts that every resource has, ids. Refusals name the field.

A body's Struct takes keys that it does not know, as OpenStack's own do, unless it is declared with
`forbid_unknown_fields=True`. What may be left out has the default `UNSET`; `given` tells what was there.
"""

import re
import uuid
from typing import Annotated, Any, TypeVar

import msgspec
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from apps.common.errors import Invalid, NotFound
from apps.identity.builtin import DEFAULT_DOMAIN_ID

S = TypeVar("S", bound=Struct)

# Something to be seen, and no control characters.
_SEEN = r"\A[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*\Z"
Name64 = Annotated[str, Meta(min_length=1, max_length=64, pattern=_SEEN)]
Name255 = Annotated[str, Meta(min_length=1, max_length=255, pattern=_SEEN)]
Text = Annotated[str, Meta(max_length=65535)]
Options = dict[str, Any]

_ID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}")
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_EXPECTING = (
    "Expecting to find {} in {}. The server could not comply with the request since it is either malformed or otherwise"
    " incorrect. The client is assumed to be in error."
)


def missing(attribute: str, target: str) -> Invalid:
    """The refusal of a request in which something is not where it should be."""
    return Invalid("request.missing", _EXPECTING.format(attribute, target), field=attribute)


def json_object(raw: bytes, content_type: str) -> dict[str, Any]:
    """The body as a dictionary. Raises Invalid for another media type, for what is no JSON, and for what is no object."""
    kind = content_type.partition(";")[0].strip().lower()
    if raw and kind and kind != "application/json" and not kind.endswith("+json"):
        raise missing("application/json", "Content-Type header")
    try:
        data = orjson.loads(raw) if raw else {}
    except (orjson.JSONDecodeError, RecursionError):
        raise missing("valid JSON", "request body") from None
    if not isinstance(data, dict):
        raise missing("valid JSON", "request body")
    if b"\\u0000" in raw and _holds_nul(data):
        raise Invalid("request.invalid", "A text holds the character NUL, which nothing here may have.")
    return data


def convert(data: dict[str, Any], kind: type[S], under: str = "") -> S:
    """The body, or what it has under a key, as a Struct. Raises Invalid with the field's path."""
    value: Any = data
    if under:
        value = data.get(under)
        if value is None:
            raise missing(under, "request body")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), under) from None


def given(struct: Struct) -> dict[str, Any]:
    """The fields that the request had, by the names that services know."""
    return {name: value for name in struct.__struct_fields__ if (value := getattr(struct, name)) is not UNSET}


def changes(data: dict[str, Any], kind: type[S], under: str, thing_id: object) -> dict[str, Any]:
    """What a PATCH changes. Raises Invalid if that is nothing at all, or the id."""
    struct = convert(data, kind, under)
    inner: dict[str, Any] = data[under]
    if not inner:
        raise Invalid("request.invalid", f"{under}: {{}} should be non-empty", field=under)
    if inner.get("id") not in (None, str(thing_id)) and as_uuid(str(inner["id"])) != thing_id:
        raise Invalid("request.id_changed", "Cannot change ID", field="id")
    return given(struct)


def for_services(wanted: dict[str, Any], *, texts: tuple[str, ...] = ("description",), **ids: str) -> dict[str, Any]:
    """Null texts as empty ones, and ids (field → thing) as UUIDs, null ones left out. Raises NotFound for what is no id."""
    found = {name: "" if value is None and name in texts else value for name, value in wanted.items()}
    for name, thing in ids.items():
        text = found.pop(name, None)
        if text is not None:
            found[name] = id_of(thing, text)
    return found


def as_uuid(text: str) -> uuid.UUID | None:
    """An id with or without dashes; None for a text that is none. `default` is the id of the default domain."""
    if text == "default":
        return DEFAULT_DOMAIN_ID
    return uuid.UUID(text) if _ID.fullmatch(text) else None


def id_of(thing: str, text: str) -> uuid.UUID:
    """The id of a thing that is named in a body. Raises NotFound for a text that is none: there is no such thing."""
    found = as_uuid(text)
    if found is None:
        raise NotFound(f"{thing}.not_found", f"Could not find {thing}: {text[:64]}.", field=f"{thing}_id")
    return found


def _invalid(text: str, under: str) -> Invalid:
    place = _PLACE.search(text)
    what = text[: place.start()] if place else text
    path = ".".join(part for part in (under, place[1] if place else "") if part)
    if absent := _MISSING.match(what):
        where = f"{path}: " if path else ""
        return Invalid("request.missing", f"{where}'{absent[1]}' is a required property", field=f"{path}.{absent[1]}".lstrip("."))
    if "matching regex" in what:
        what = "Expected a text that shows something and holds no control characters"
    text = f"Invalid input for field/attribute {path or 'body'}. {what.replace('`', chr(39))}."
    return Invalid("request.invalid", text, field=path or None)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any("\x00" in key or _holds_nul(inner) for key, inner in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))


__all__ = [
    "UNSET", "Name64", "Name255", "Options", "Struct", "Text", "UnsetType", "as_uuid", "changes", "convert", "for_services",
    "given", "id_of", "json_object", "missing",
]
