"""Columns that both databases must order alike."""

from typing import Any

from django.db import models


class KeyField(models.TextField):  # type: ignore[type-arg]
    """The key of an object: compared and ordered by its UTF-8 bytes, as S3 does; no NUL, which PostgreSQL cannot store."""

    def db_parameters(self, connection: Any) -> Any:
        found = super().db_parameters(connection)
        if connection.vendor == "postgresql":  # what SQLite does by itself
            found["collation"] = "C"
        return found
