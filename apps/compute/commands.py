"""For commands about instances: finding them, and their ports, by id or by name."""

import uuid
from argparse import ArgumentParser
from collections.abc import Callable

from apps.common import ids
from apps.common.context import SYSTEM, Actor
from apps.common.errors import Conflict, NotFound
from apps.compute import selectors
from apps.compute.models import Instance
from apps.identity.commands import actor_in
from apps.network import selectors as networks


def add_instance(parser: ArgumentParser, *, several: bool = False) -> None:
    """The argument `ID`."""
    parser.add_argument("id", metavar="ID", nargs="+" if several else None, help="id, or the name if it is the only one in --project")


def find(actor_for_name: Callable[[], Actor], text: str, *, deleted: bool = False) -> Instance:
    """The instance of this id, in any project, or of this name in the actor's project. Raises NotFound, Conflict."""
    try:
        instance_id = uuid.UUID(text)
    except ValueError:
        found = list(selectors.instances(actor=actor_for_name()).filter(name=text)[:2])
        if len(found) > 1:
            raise Conflict("instance.ambiguous", f"Several instances are named {text!r}: give an id.", field="id") from None
        if not found:
            raise NotFound("instance.not_found", f"There is no instance named {text!r} in this project.", field="id") from None
        return found[0]
    known = selectors.known_instance if deleted else selectors.instance
    return known(actor=SYSTEM, instance_id=instance_id)


def owner_of(instance: Instance) -> Actor:
    """The operator at the shell, working in the instance's project."""
    return actor_in(str(instance.project_id))


def port_id(owner: Actor, text: str) -> uuid.UUID:
    """The port of this id, or of this name or MAC in the project. Raises NotFound, Conflict."""
    return ids.parse(text) or networks.port_named(actor=owner, name=text).pk
