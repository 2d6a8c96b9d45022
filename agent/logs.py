"""Logging: one JSON object per line on stderr, with the ids that lead from an API request to a libvirt call."""

import logging
import sys
from typing import Any

import msgspec
import structlog

LEVELS = ("debug", "info", "warning", "error")
_encoder = msgspec.json.Encoder(enc_hook=str)


def _render(event: Any, **_: object) -> str:
    return _encoder.encode(event).decode()


def configure(level: str = "info") -> None:
    """Set up structlog and the standard library's logging. `level`: one of LEVELS."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_render)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_render),
            ],
        )
    )
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    # Celery tells every message at info, with its arguments; our own lines say the same with ids.
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)
