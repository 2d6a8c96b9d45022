"""For commands about server groups: finding them by id or by name."""

from apps.common import ids
from apps.common.context import Actor
from apps.scheduler import selectors
from apps.scheduler.models import ServerGroup


def group_of(actor: Actor, text: str) -> ServerGroup:
    """Raises NotFound, Conflict."""
    key = ids.parse(text)
    return selectors.server_group(actor=actor, group_id=key) if key else selectors.server_group_named(actor=actor, name=text)
