"""No payload changes its shape unnoticed: hosts of the release before must be able to read what this one sends.

After a change that is meant, and compatible (a new field with a default, ignored by old readers) or made under a new
version (a new module `v2`, or a raised `VERSION`), write the fingerprints anew and commit them with the change:

    python tests/contract/test_fingerprints.py --write
"""

import enum
import hashlib
import importlib
import inspect
import json
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402

import contracts  # noqa: E402
from contracts import envelope, report  # noqa: E402

FILE = Path(__file__).with_name("fingerprints.json")
HOW = "python tests/contract/test_fingerprints.py --write"


def modules() -> list[ModuleType]:
    """Envelope, report, and every versioned module."""
    names = [module.name for module in pkgutil.walk_packages(contracts.__path__, "contracts.")]
    versioned = [importlib.import_module(name) for name in names if re.fullmatch(r"contracts\.\w+\.v\d+", name)]
    return [envelope, report, *versioned]


def shapes() -> dict[str, str]:
    """`module.Name` of every payload and enumeration → a text of all that matters on the wire."""
    found = {}
    for module in modules():
        for name, kind in vars(module).items():
            if inspect.isclass(kind) and kind.__module__ == module.__name__:
                if issubclass(kind, msgspec.Struct):
                    found[f"{module.__name__}.{name}"] = struct_text(kind)
                elif issubclass(kind, enum.Enum):
                    found[f"{module.__name__}.{name}"] = "\n".join(f"{member.value}" for member in kind)
    found["contracts.envelope.VERSION"] = str(envelope.VERSION)
    return found


def struct_text(kind: type[msgspec.Struct]) -> str:
    """One line per field: name on the wire, type, default; then how the struct as a whole is encoded."""
    lines = [
        f"{field.encode_name}: {type_text(field.type)} = {default_text(field)}"
        for field in msgspec.structs.fields(kind)
    ]
    how = kind.__struct_config__
    lines.append(
        f"tag={how.tag} tag_field={how.tag_field} array_like={how.array_like} strict={how.forbid_unknown_fields}"
    )
    return "\n".join(lines)


def type_text(kind: Any) -> str:
    """Types by their full name, however Python happens to print them."""
    arguments = getattr(kind, "__args__", ())
    if arguments:
        origin = getattr(kind, "__origin__", None)
        inner = ", ".join(sorted(map(type_text, arguments)) if origin is None else map(type_text, arguments))
        return f"{'|' if origin is None else type_text(origin)}[{inner}]"
    module, name = getattr(kind, "__module__", ""), getattr(kind, "__qualname__", str(kind))
    return name if module == "builtins" else f"{module}.{name}"


def default_text(field: msgspec.structs.FieldInfo) -> str:
    if isinstance(field.default, msgspec.Raw):
        return bytes(field.default).decode()
    if field.default is not msgspec.NODEFAULT:
        return repr(field.default)
    if field.default_factory is msgspec.NODEFAULT:
        return "required"
    # What a factory makes may be random; that there is one is what readers depend on.
    return "[]" if field.default_factory is list else "{}" if field.default_factory is dict else "made"


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def recorded() -> dict[str, str]:
    known: dict[str, str] = json.loads(FILE.read_text())
    return known


def difference(known: dict[str, str], now: dict[str, str]) -> list[str]:
    """One sentence for every shape that is not as recorded."""
    told = [f"{name} was removed" for name in sorted(known.keys() - now.keys())]
    told += [f"{name} is new" for name in sorted(now.keys() - known.keys())]
    for name in sorted(known.keys() & now.keys()):
        if known[name] != fingerprint(now[name]):
            told.append(f"{name} has changed; it is now:\n{now[name]}")
    return told


def test_every_payload_has_the_shape_that_was_recorded() -> None:
    told = difference(recorded(), shapes())
    assert not told, (
        "\n\n".join(["The wire language is not what it was.", *told])
        + "\n\nHosts of the release before read what this one sends, and the other way round. A field that is removed,"
        " renamed, made required or given another type needs a new version (a new module, or VERSION); a new field with"
        f" a default does not. When that is settled: {HOW}"
    )


def test_the_recorded_names_cover_the_known_payloads() -> None:
    known = recorded()
    for name in (
        "contracts.envelope.Envelope", "contracts.report.Report", "contracts.compute.v2.Build", "contracts.network.v2.State",
        "contracts.network.v2.Change", "contracts.network.v2.Told",
    ):
        assert name in known
    assert len(known) > 15


def test_a_change_of_type_default_name_or_encoding_is_noticed() -> None:
    def shape(*fields: Any, **how: Any) -> str:
        return struct_text(msgspec.defstruct("Shape", list(fields), **how))

    base = shape(("a", int), ("b", str, "x"))
    variants = [
        shape(("a", int), ("b", str, "y")),
        shape(("a", int), ("b", str)),
        shape(("a", float), ("b", str, "x")),
        shape(("a", int | None), ("b", str, "x")),
        shape(("c", int), ("b", str, "x")),
        shape(("a", int), ("b", str, "x"), array_like=True),
        shape(("a", int), ("b", str, "x"), rename="camel", forbid_unknown_fields=True),
        shape(("a", int), ("b", str, "x"), ("c", list[int], msgspec.field(default_factory=list))),
    ]
    assert len({base, *variants}) == len(variants) + 1


def test_a_difference_is_told_by_name() -> None:
    known = {"gone": "1", "same": fingerprint("x"), "other": fingerprint("a")}
    told = difference(known, {"same": "x", "other": "b", "fresh": "z"})
    assert told == ["gone was removed", "fresh is new", "other has changed; it is now:\nb"]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {HOW}")
    FILE.write_text(json.dumps({name: fingerprint(text) for name, text in sorted(shapes().items())}, indent=2) + "\n")
    print(f"{FILE.relative_to(ROOT)}: {len(shapes())} fingerprints")
