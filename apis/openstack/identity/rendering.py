"""Things that several resources show: projects and domains."""

from typing import TYPE_CHECKING, Any

from apis.openstack.identity.service import API

if TYPE_CHECKING:
    from apps.identity.models import Project


def project(row: "Project") -> dict[str, Any]:
    """A project; also a domain where it is asked for as a project."""
    return {
        "id": row.pk, "name": row.name, "description": row.description, "enabled": row.enabled, "is_domain": row.is_domain,
        "domain_id": row.domain_id, "parent_id": row.parent_id, "tags": [tag.name for tag in row.tags.all()],
        "options": row.options, "links": API.links("projects", row.pk),
    }


def domain(row: "Project") -> dict[str, Any]:
    """A domain as a domain."""
    return {
        "id": row.pk, "name": row.name, "description": row.description, "enabled": row.enabled,
        "tags": [tag.name for tag in row.tags.all()], "options": row.options, "links": API.links("domains", row.pk),
    }
