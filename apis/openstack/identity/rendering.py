"""Things that several resources show."""

from typing import TYPE_CHECKING, Any

from apis.openstack.common import times
from apis.openstack.identity.service import API
from apps.identity import selectors

if TYPE_CHECKING:
    from apps.identity.models import Group, Project, Role, User


def project(row: "Project") -> dict[str, Any]:
    """A project; also a domain where it is asked for as a project."""
    return {
        "id": row.pk, "name": row.name, "description": row.description, "enabled": row.enabled, "is_domain": row.is_domain,
        "domain_id": row.domain_id, "parent_id": row.parent_id, "tags": selectors.tags(row),
        "options": row.options, "links": API.links("projects", row.pk),
    }


def domain(row: "Project") -> dict[str, Any]:
    """A domain as a domain."""
    return {
        "id": row.pk, "name": row.name, "description": row.description, "enabled": row.enabled,
        "tags": selectors.tags(row), "options": row.options, "links": API.links("domains", row.pk),
    }


def user(row: "User") -> dict[str, Any]:
    """A user; never with a password."""
    content: dict[str, Any] = {
        "id": row.pk, "name": row.username, "domain_id": row.domain_id, "enabled": row.is_active, "options": row.options,
        "password_expires_at": times.render(row.password_expires_at), "links": API.links("users", row.pk),
    }
    known = {"email": row.email, "description": row.description, "default_project_id": row.default_project_id}
    return content | {name: value for name, value in known.items() if value}


def group(row: "Group") -> dict[str, Any]:
    """A group."""
    return {
        "id": row.pk, "name": row.name, "domain_id": row.domain_id, "description": row.description,
        "links": API.links("groups", row.pk),
    }


def role(row: "Role") -> dict[str, Any]:
    """A role; built-in ones are protected without anybody's doing."""
    options = {"immutable": True, **row.options} if row.builtin else row.options
    return {
        "id": row.pk, "name": row.name, "domain_id": row.domain_id, "description": row.description, "options": options,
        "links": API.links("roles", row.pk),
    }
