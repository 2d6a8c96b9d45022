"""Checks of input that every way in needs: the dialects, the admin and the commands reach services without the native API."""

import re

from apps.common.errors import Invalid

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def check_name(text: str, *, field: str = "name", most: int = 255) -> None:
    """Raises Invalid `name.invalid` unless it has 1 to `most` characters and no control character."""
    if not text.strip() or len(text) > most or CONTROL.search(text):
        raise Invalid("name.invalid", f"{field}: expected 1 to {most} characters, none of them a control character.", field=field)
