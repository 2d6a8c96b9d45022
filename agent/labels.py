"""Names that people chose, as labels that DNS and guests accept. Pure."""

import re

_NOT_LABEL = re.compile(r"[^a-z0-9-]+")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def label(name: str) -> str:
    """The name as one DNS label; empty where nothing is left of it."""
    return _NOT_LABEL.sub("-", name.lower()).strip("-")[:63].rstrip("-")


def is_domain(name: str) -> bool:
    """Is it a lower-case DNS name without a dot at its end?"""
    return _DOMAIN.fullmatch(name) is not None
