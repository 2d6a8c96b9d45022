"""Fields of forms for what is more than one text: a line each."""

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms


class Lines(forms.CharField):
    """A list of texts, one per line or with spaces between them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "widget": forms.Textarea(attrs={"rows": 4}), **options})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:
        return str(super().clean(value)).split()


class Ids(Lines):
    """The same of ids."""

    def clean(self, value: Any) -> list[uuid.UUID]:  # type: ignore[override]
        try:
            return [uuid.UUID(text) for text in super().clean(value)]
        except ValueError:
            raise forms.ValidationError("Expected ids (UUIDs), one per line.", code="invalid") from None


class Pairs(forms.CharField):
    """Texts by name: a line `name=value` each."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "widget": forms.Textarea(attrs={"rows": 4}), **options})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, Mapping) else value

    def clean(self, value: Any) -> dict[str, str]:
        found = {}
        for line in filter(None, (line.strip() for line in str(super().clean(value)).splitlines())):
            name, equals, text = line.partition("=")
            if not equals or not name.strip():
                raise forms.ValidationError("Expected lines of the form name=value.", code="invalid")
            found[name.strip()] = text.strip()
        return found
