"""Checks of input that every way in needs: the dialects, the admin and the commands reach services without the native API."""

import re
from collections.abc import Mapping

from apps.common.errors import Invalid

_MOST_TEXTS, _LONGEST_TEXT = 128, 255
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def check_name(text: str, *, field: str = "name", most: int = 255) -> None:
    """Raises Invalid `name.invalid` unless it has 1 to `most` characters and no control character."""
    if not text.strip() or len(text) > most or CONTROL.search(text):
        raise Invalid("name.invalid", f"{field}: expected 1 to {most} characters, none of them a control character.", field=field)


def check_texts(given: Mapping[str, str], *, field: str, code: str) -> None:
    """Raises Invalid unless these are at most 128 texts of at most 255 characters by names of 1 to 255, without control characters."""
    if len(given) > _MOST_TEXTS:
        raise Invalid(code, f"{field}: expected at most {_MOST_TEXTS} entries.", field=field)
    for name, value in given.items():
        if not 1 <= len(name) <= _LONGEST_TEXT or len(value) > _LONGEST_TEXT or CONTROL.search(name) or CONTROL.search(value):
            message = f"{field}: names have 1 to {_LONGEST_TEXT} characters, values at most as many, and none is a control character."
            raise Invalid(code, message, field=field)
