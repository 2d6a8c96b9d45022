"""For commands about quotas: whose they are about, and how they are shown."""

import uuid
from argparse import ArgumentParser
from typing import Any

from apps.common.context import Actor
from apps.identity import selectors as identity
from apps.quotas import selectors
from apps.quotas.api import serializers


def add_owner(parser: ArgumentParser, default_help: str) -> None:
    """The options `--project`, `--domain` and `--default`, one of which must be given."""
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--project", metavar="NAME", help="a project, by name or id")
    whose.add_argument("--domain", metavar="NAME", help="all projects of a domain together, by name or id")
    whose.add_argument("--default", action="store_true", help=default_help)


def owner_of(actor: Actor, options: dict[str, Any]) -> uuid.UUID:
    """The id of the project or domain. Raises NotFound, Invalid (several projects of that name)."""
    given = options["domain"] or options["project"]
    try:
        return identity.place(actor=actor, place_id=uuid.UUID(given)).pk
    except ValueError:
        by_name = identity.domain_by if options["domain"] else identity.project_by
        return by_name(actor=actor, name=given).pk


def shown(actor: Actor, options: dict[str, Any]) -> dict[str, Any]:
    """The quotas, as the API shows them."""
    if options["default"]:
        return serializers.defaults(selectors.defaults(actor=actor))
    owner_id = owner_of(actor, options)
    if options["domain"]:
        return serializers.quotas(selectors.quotas_of_domain(actor=actor, domain_id=owner_id), domain_id=owner_id)
    return serializers.quotas(selectors.quotas_of_project(actor=actor, project_id=owner_id), project_id=owner_id)
