"""For commands: who they act as, and how people name projects, domains, users, groups and roles at the shell.

A name stands for what is in the default domain, `DOMAIN/NAME` for what is in another one; ids go everywhere.
"""

import getpass
import secrets
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from apps.common import ids
from apps.common.context import EVERYTHING, SYSTEM, Actor
from apps.common.errors import Invalid
from apps.identity import builtin, selectors
from apps.identity.models import Group, Project, User
from apps.identity.permissions import OWN
from apps.identity.services import assignments
from apps.identity.services.assignments import Given

DEFAULT_PROJECT = "demo"
T = TypeVar("T")


def add_project(parser: ArgumentParser) -> None:
    """The option `--project`."""
    parser.add_argument("--project", default=DEFAULT_PROJECT, metavar="NAME", help="project to work in (default: %(default)s)")


def actor_in(project: str, *, user: str = "") -> Actor:
    """The operator at the shell, working in this project, in the name of `user` if one is given. Raises NotFound."""
    found = project_of(project)
    named = user_of(user) if user else None
    actor = replace(shell(), project_id=found.pk)
    return replace(actor, user_id=named.pk, user_name=named.get_username()) if named else actor


def actor_of(options: dict[str, Any]) -> Actor:
    """The same from parsed options."""
    return actor_in(options["project"])


def shell() -> Actor:
    """The operator at the shell, working in no project."""
    return Actor(user_id=None, user_name="shell", project_id=None, roles=("admin",), system_grants=EVERYTHING, request_id="shell")


def acting_as(given: str, project: str = "") -> Actor:
    """The operator at the shell in the name of a user, working in a project if one is named. Raises NotFound."""
    user = user_of(given)
    place = project_of(project).pk if project else None
    return replace(shell(), user_id=user.pk, user_name=user.username, project_id=place, own_grants=OWN)


def domain_of(given: str) -> Project:
    """Raises NotFound."""
    key = ids.parse(given)
    return selectors.domain(actor=SYSTEM, domain_id=key) if key else selectors.domain_named(given)


def project_of(given: str) -> Project:
    """Raises NotFound."""
    return _found(given, lambda key: selectors.project(actor=SYSTEM, project_id=key), selectors.project_named)


def user_of(given: str) -> User:
    """Raises NotFound."""
    return _found(given, lambda key: selectors.user(actor=SYSTEM, user_id=key), selectors.user_named)


def group_of(given: str) -> Group:
    """Raises NotFound."""
    return _found(given, lambda key: selectors.group(actor=SYSTEM, group_id=key), selectors.group_named)


def add_domain(parser: ArgumentParser, text: str = "default: Default") -> None:
    """The option `--domain`."""
    parser.add_argument("--domain", default="", metavar="NAME", help=text)


def domain_id_of(options: dict[str, Any]) -> uuid.UUID | None:
    """The domain that `--domain` names. Raises NotFound."""
    return domain_of(options["domain"]).pk if options["domain"] else None


def add_place(parser: ArgumentParser, *, required: bool) -> None:
    """One of `--project`, `--domain`, `--system`."""
    place = parser.add_mutually_exclusive_group(required=required)
    place.add_argument("--project", default="", metavar="NAME")
    place.add_argument("--domain", default="", metavar="NAME")
    place.add_argument("--system", action="store_true", help="the whole installation")


def place_of(options: dict[str, Any]) -> Project | None:
    """What these name; None: the system, or nothing. Raises NotFound."""
    if options["project"]:
        return project_of(options["project"])
    return domain_of(options["domain"]) if options["domain"] else None


def add_given(parser: ArgumentParser) -> None:
    """A role, its holder, and where."""
    parser.add_argument("role", metavar="ROLE")
    holder = parser.add_mutually_exclusive_group(required=True)
    holder.add_argument("--user", default="", metavar="NAME")
    holder.add_argument("--group", default="", metavar="NAME")
    add_place(parser, required=True)
    parser.add_argument("--inherited", action="store_true", help="not there itself, but in all projects below")


def given_of(options: dict[str, Any]) -> Given:
    """What these say. Raises NotFound."""
    place = place_of(options)
    return Given(
        role_id=assignments.role_named(options["role"]), user_id=user_of(options["user"]).pk if options["user"] else None,
        group_id=group_of(options["group"]).pk if options["group"] else None, place_id=place.pk if place else None,
        inherited=options["inherited"],
    )


def add_password(parser: ArgumentParser) -> None:
    """How a password comes in: never as an argument, which everybody on the machine could read."""
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--password-file", metavar="FILE", help="first line of it; `-`: of standard input")
    way.add_argument("--generate-password", action="store_true", help="make one, and print it this once")
    way.add_argument("--no-password", action="store_true", help="none: no signing in by one")


def password_of(options: dict[str, Any]) -> tuple[str | None, bool]:
    """The password, and whether it was made here. Raises Invalid."""
    if options["no_password"]:
        return None, False
    if options["generate_password"]:
        return secrets.token_urlsafe(15), True
    if options["password_file"]:
        return _first_line(options["password_file"]), False
    if not sys.stdin.isatty():
        text = "Say where the password comes from: --password-file, --generate-password or --no-password."
        raise Invalid("user.password", text, field="password")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise Invalid("user.password", "These are two different passwords.", field="password")
    return password, False


def _first_line(path: str) -> str:
    try:
        text = sys.stdin.readline() if path == "-" else Path(path).read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("user.password", f"{path}: {error}", field="password") from error
    return text.rstrip("\r\n")


def _found(given: str, by_id: Callable[[uuid.UUID], T], named: Callable[[str, uuid.UUID], T]) -> T:
    key = ids.parse(given)
    if key is not None:
        return by_id(key)
    domain, slash, name = given.partition("/")
    return named(name, domain_of(domain).pk) if slash else named(given, builtin.DEFAULT_DOMAIN_ID)
