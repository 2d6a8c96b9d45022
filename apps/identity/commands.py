"""For commands that work in a project: `--project`, and the actor that follows from it."""

from argparse import ArgumentParser
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from apps.common.context import EVERYTHING, Actor
from apps.common.errors import NotFound
from apps.identity import backends, selectors
from apps.identity.permissions import OWN

if TYPE_CHECKING:
    from apps.identity.models import User

DEFAULT_PROJECT = "demo"


def add_project(parser: ArgumentParser) -> None:
    """The option `--project`."""
    parser.add_argument("--project", default=DEFAULT_PROJECT, metavar="NAME", help="project to work in (default: %(default)s)")


def actor_in(project: str, *, user: str = "") -> Actor:
    """The operator at the shell, working in this project, in the name of `user` if one is given. Raises NotFound."""
    found = selectors.project_named(project)
    named = selectors.user_named(user) if user else None
    return Actor(
        user_id=named.pk if named else None, user_name=named.get_username() if named else "shell", project_id=found.pk,
        roles=("admin",), system_grants=EVERYTHING, request_id="shell",
    )


def actor_of(options: dict[str, Any]) -> Actor:
    """The same from parsed options."""
    return actor_in(options["project"])


def shell() -> Actor:
    """The operator at the shell, working in no project."""
    return Actor(user_id=None, user_name="shell", project_id=None, roles=("admin",), system_grants=EVERYTHING, request_id="shell")


def person(given: str) -> "User":
    """The user of that name, `domain/name` for those of other domains than the default one. Raises NotFound."""
    found = backends.find(given)
    if found is None:
        raise NotFound("user.not_found", f"There is no user named {given!r}.", field="user")
    return found


def acting_as(given: str, project: str = "") -> Actor:
    """The operator at the shell in the name of a user, working in a project if one is named. Raises NotFound."""
    user, base = person(given), shell()
    place = selectors.project_named(project).pk if project else None
    return replace(base, user_id=user.pk, user_name=user.username, project_id=place, own_grants=OWN)
