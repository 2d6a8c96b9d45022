"""Owners and grantees as S3 names them: a canonical id, which is a user's id in hex, and a name to show."""

import re
import uuid
from collections.abc import Iterable

from apis.s3 import xml
from apps.common.context import Actor
from apps.identity import selectors
from apps.objects.access.asking import ANONYMOUS

_HEX = re.compile(r"[0-9a-f]{32}")


class Names:
    """Names of users, read in one query where the caller's own is not enough."""

    def __init__(self, actor: Actor, user_ids: Iterable[uuid.UUID | None]) -> None:
        wanted = {each for each in user_ids if each is not None} - {actor.user_id}
        self._names = selectors.user_names(wanted) if wanted else {}
        if actor.user_id is not None:
            self._names[actor.user_id] = actor.user_name

    def person(self, user_id: uuid.UUID | None) -> list[xml.Node]:
        """ID and DisplayName."""
        if user_id is None:
            return [("ID", ANONYMOUS), ("DisplayName", "anonymous")]
        return [("ID", user_id.hex), ("DisplayName", self._names.get(user_id, ""))]


def user_id_of(canonical: str) -> uuid.UUID | None:
    """The user of a canonical id; None if it is none."""
    return uuid.UUID(canonical) if _HEX.fullmatch(canonical) else None
