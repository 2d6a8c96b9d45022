"""Management commands as tests call them."""

import io
import json
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError


def run(name: str, *arguments: str) -> tuple[int, str]:
    """Exit code, and what came on standard output (or the refusal)."""
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    except CommandError as refused:
        return refused.returncode, str(refused)
    return 0, out.getvalue()


def as_json(name: str, *arguments: str, code: int = 0) -> Any:
    """What the command prints with `--json`; an assertion unless it ends with that code."""
    ended, text = run(name, *arguments, "--json")
    assert ended == code, text
    return json.loads(text)
