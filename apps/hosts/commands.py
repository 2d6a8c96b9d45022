"""For commands: what people give at the shell."""

from apps.common.errors import Invalid


def pairs(given: list[str]) -> dict[str, str]:
    """`NAME=VALUE` each. Raises Invalid."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Invalid("command.pair", f"metadata: expected NAME=VALUE, got {text[:64]!r}.", field="metadata")
        found[name] = value
    return found
