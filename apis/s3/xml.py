"""XML out, put together as text, and XML in, read without DTDs, so that nothing can be expanded or fetched."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Union
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from apis.s3.errors import Refused

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type='
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_DEEPEST = 12
# Elements and attributes: 10,000 parts of an upload have 80,000. More would cost seconds, and that before it is known who may ask.
_MOST_NODES = 100_000
# A tag that does not end within two of these is not waited for.
_PIECE = 64 * 1024
# XML 1.0 has no way to say most control characters; clients that expect such keys ask for encoding-type=url.
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"} | {chr(number): f"&#x{number:x};" for number in range(32) if number != 10}
)
_UNSAYABLE = dict.fromkeys({*range(32), 0xFFFE, 0xFFFF} - {9, 10, 13}, "\N{REPLACEMENT CHARACTER}")
Value = Union["str | int | bool | datetime | None", Sequence["Node"]]
Node = tuple[str, Value]


def document(name: str, content: Value, *, namespace: str = NAMESPACE) -> bytes:
    """A whole document. Children are (name, value) pairs in order: None is left out, a list is an element with children."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f"{_HEAD}<{name}{attribute}>{_text(content)}</{name}>".encode()


def typed(name: str, kind: str) -> str:
    """The name of an element that says its type, as grantees do."""
    return f'{name} {_XSI}"{kind}"'


def sayable(text: str) -> str:
    """A text for people, such as in a refusal: without what no XML can hold, so that its reader does not fail on it."""
    return text.translate(_UNSAYABLE)


def moment(when: datetime) -> str:
    """As S3 writes times in XML."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def _text(value: Value) -> str:
    if isinstance(value, str):
        return _escaped(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return moment(value)
    return "" if value is None else _elements(value)


def _escaped(text: str) -> str:
    """By the table; what has no control characters, by far most of it, in a tenth of that time."""
    if not text.isprintable():
        return text.translate(_ESCAPES)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _elements(nodes: Iterable[Node]) -> str:
    return "".join([f"<{name}>{_text(value)}</{name.partition(' ')[0]}>" for name, value in nodes if value is not None])


def parse(body: bytes, root: str) -> Element:
    """The root element, names without their namespaces. Raises Refused MalformedXML, also if the root has another name."""
    builder, depth, count = TreeBuilder(), 0, 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1 + len(attributes)
        if depth > _DEEPEST or count > _MOST_NODES:
            raise Refused("MalformedXML")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def refuse(*_: object) -> None:
        raise Refused("MalformedXML")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        for upto in range(_PIECE, len(body) + _PIECE, _PIECE):
            parser.Parse(body[upto - _PIECE : upto], False)
            if min(upto, len(body)) - parser.CurrentByteIndex > 2 * _PIECE:
                refuse()
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError):
        raise Refused("MalformedXML") from None
    found: Element = builder.close()
    if found.tag != root:
        raise Refused("MalformedXML")
    return found


def text(element: Element, name: str) -> str | None:
    """What stands in a child, without the space around it; None if there is no such child."""
    child = element.find(name)
    return None if child is None else (child.text or "").strip()


def required(element: Element, name: str) -> str:
    """The same. Raises Refused MalformedXML if there is no such child, or nothing in it."""
    found = text(element, name)
    if not found:
        raise Refused("MalformedXML")
    return found


def _local(name: str) -> str:
    return name.rpartition("}")[2]
