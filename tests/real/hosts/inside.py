"""What is done inside Django for the tests of several hosts: a process that calls services and selectors as it is asked.

Orders and answers are JSON, one a line: `{"call": "apps.network.services.networks:create", "as": ["user id", "project id"],
"with": {…}}` (of a model: its rows), then `{"done": …}` or `{"error": …, "code": …}`. Rows come back as their fields. Ends with its stdin.
"""

import json
import os
import re
import sys
import traceback
import uuid
from importlib import import_module
from typing import Any

import django

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def main() -> None:
    """Answer orders until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    django.setup()
    from django.db import close_old_connections

    from apps.common.errors import CloudError

    for line in sys.stdin:
        close_old_connections()
        try:
            message: dict[str, Any] = {"done": _plain(_call(json.loads(line)))}
        except CloudError as error:
            message = {"error": str(error), "code": error.code}
        except Exception as error:
            traceback.print_exc()
            message = {"error": f"{type(error).__name__}: {error}", "code": ""}
        answers.write(json.dumps(message, default=str) + "\n")


def _call(order: dict[str, Any]) -> Any:
    from django.db.models.base import ModelBase

    from apps.common.context import SYSTEM
    from apps.identity.services import tokens

    module, _, name = order["call"].partition(":")
    actor = SYSTEM
    if order["as"]:
        user_id, place_id = _typed(order["as"])
        actor = tokens.actor_for(user_id=user_id, place_id=place_id)
    called = getattr(import_module(module), name)
    if isinstance(called, ModelBase):
        return called.objects.filter(**_typed(order["with"]))  # type: ignore[attr-defined]
    return called(actor=actor, **_typed(order["with"]))


def _typed(value: Any) -> Any:
    """What looks like an id is one."""
    if isinstance(value, dict):
        return {key: _typed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_typed(each) for each in value]
    return uuid.UUID(value) if isinstance(value, str) and _ID.fullmatch(value) else value


def _plain(value: Any) -> Any:
    from django.db.models import Model, QuerySet

    if isinstance(value, Model):
        return {field.attname: getattr(value, field.attname) for field in value._meta.concrete_fields}
    if isinstance(value, list | tuple | set | QuerySet):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


if __name__ == "__main__":
    main()
