"""The project's page, and the domain's: what there is in it, and how much more there may be."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing
from apps.common.admin.pages import add_section
from apps.common.errors import CloudError
from apps.identity.models import Project
from apps.quotas import selectors as quotas
from apps.quotas.admin import meters

# Where to look for more of what a project has.
_LISTS = (
    ("Instances", "compute_instance", "compute.instance.list"), ("Networks", "network_network", "network.network.list"),
    ("Images", "images_image", "images.image.list"), ("Operations", "operations_operation", "operations.operation.list"),
    ("Server groups", "scheduler_servergroup", "scheduler.server_group.list"), ("Limits", "quotas_usage", "quotas.usage.get"),
)


def register() -> None:
    """Called once by dashboard/admin.py."""
    add_section(Project, "Used, and limits", _quotas, place=23, permission="quotas.usage.get")


def _quotas(request: HttpRequest, place: Project) -> SafeString:
    actor = access.actor_of(request)
    try:
        if place.is_domain:
            found = [each for each in quotas.quotas_of_domain(actor=actor, domain_id=place.pk) if each.used or each.source == "domain"]
        else:
            found = quotas.quotas_of_project(actor=actor, project_id=place.pk)
    except CloudError as error:
        return drawing.quiet(error.message)
    pages = [(name, reverse(f"admin:{page}_changelist")) for name, page, permission in _LISTS if access.may(request, permission)]
    links = drawing.row(drawing.action(name, f"{page}?q={place.pk}") for name, page in pages)
    if place.is_domain:
        return meters(found) if found else drawing.quiet("Its projects have nothing, and it has no limits of its own.")
    return format_html("{}<p></p>{}", meters(found), links)
