"""Helpers around database connections and transactions."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error, InterfaceError, OperationalError, connection

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def database_errors_heal(task: Callable[P, R]) -> Callable[P, R]:
    """For tasks in long-lived worker threads: a connection that broke is dropped, so that the next task gets a new one.

    The failed message is not tried again here: its row is still open and the sweep sends it once more.
    """

    @functools.wraps(task)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return task(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            log.warning("database: %s; the sweep will bring this again", error)
            connection.close()
            raise
        except Error:
            connection.close_if_unusable_or_obsolete()
            raise

    return run


__all__ = ["database_errors_heal"]
