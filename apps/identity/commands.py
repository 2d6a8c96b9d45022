"""For commands that work in a project: `--project`, and the actor that follows from it."""

from argparse import ArgumentParser
from typing import Any

from apps.common.context import EVERYTHING, Actor
from apps.identity import selectors

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
