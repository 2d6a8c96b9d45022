"""Fields that take exactly the JSON type they name: DRF's own turn numbers into texts and texts into numbers."""

import base64
import binascii
import math
import re
import uuid
from typing import Any

from rest_framework import serializers

from apps.common.checks import CONTROL


class Text(serializers.CharField):
    """A JSON string; any character but NUL."""

    default_error_messages = {"type": "expected a text"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("type")
        return super().to_internal_value(data)


class Line(Text):
    """A text without control characters and line ends."""

    default_error_messages = {"characters": "control characters and line ends are not allowed"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if CONTROL.search(text):
            self.fail("characters")
        return text


class Name(Line):
    """1 to `max_length` (255) characters, none of them a control character."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 255, **options})


class PathName(Name):
    """A name that also is the last part of an address, so it holds no slash."""

    default_error_messages = {"slash": "slashes, `?`, `#` and a lone dot are not allowed"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if re.search(r"[/?#\\]", text) or text in (".", ".."):
            self.fail("slash")
        return text


class Whole(serializers.IntegerField):
    """A JSON whole number."""

    default_error_messages = {"type": "expected a whole number"}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("type")
        return data


class Flag(serializers.BooleanField):
    """JSON true or false."""

    default_error_messages = {"type": "expected true or false"}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("type")
        return data


class Id(serializers.UUIDField):
    """A UUID as text."""

    default_error_messages = {"type": "expected an id (a UUID)", "invalid": "expected an id (a UUID)"}

    def to_internal_value(self, data: Any) -> uuid.UUID:
        if not isinstance(data, str):
            self.fail("type")
        return super().to_internal_value(data[:64])


class Choice(serializers.ChoiceField):
    """One of some texts; a refusal lists them."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            allowed = ", ".join(map(str, self.choices))
            raise serializers.ValidationError(f"expected one of {allowed}", code="invalid_choice")
        return data


class Seconds(serializers.FloatField):
    """A duration in a query string; `nan` and the like are no duration."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class Base64(Text):
    """Base64 of at most `most_bytes`; stays text."""

    default_error_messages = {
        "base64": "expected base64",
        "too_large": "expected at most {most} bytes before encoding, got {size}",
    }

    def __init__(self, *, most_bytes: int, **options: Any) -> None:
        self.most_bytes = most_bytes
        super().__init__(trim_whitespace=False, allow_blank=True, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            size = len(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            self.fail("base64")
        if size > self.most_bytes:
            self.fail("too_large", most=self.most_bytes, size=size)
        return text


class TextMap(serializers.DictField):
    """Texts by name: at most 128 of them, names of 1 to 255 characters, values of at most 255."""

    MOST = 128
    default_error_messages = {
        "not_a_dict": "expected an object",
        "too_many": "expected at most 128 entries",
        "name": "names have 1 to 255 characters, none of them a control character",
    }
    child = Text(max_length=255, allow_blank=True, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, dict):
            if len(data) > self.MOST:
                self.fail("too_many")
            if any(not 1 <= len(name) <= 255 or CONTROL.search(name) for name in data):
                self.fail("name")
        found: dict[str, str] = super().to_internal_value(data)
        return found
