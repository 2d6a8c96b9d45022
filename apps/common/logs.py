"""One JSON object a line, with the request and operation that it is about."""

import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from apps.common.context import request_id

operation_id: ContextVar[str] = ContextVar("operation_id", default="")
# `scheme://user:password@`, and the password as a parameter of an address.
_PASSWORD = re.compile(r"(?P<before>://[^\s:/@]*:)[^\s/@]+(?=@)|(?P<parameter>[?&;]password=)[^\s&#'\"]+", re.IGNORECASE)


def masked(text: str) -> str:
    """`text` without the passwords of the addresses in it."""
    if "://" not in text:
        return text
    return _PASSWORD.sub(lambda found: f"{found['before'] or found['parameter']}***", text)


class JSONFormatter(logging.Formatter):
    """`time level logger message`, then `request_id` and `operation_id` where there are any. Passwords are masked."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if request := request_id.get():
            line["request_id"] = request
        if operation := operation_id.get():
            line["operation_id"] = operation
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()
