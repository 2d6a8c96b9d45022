"""The rows that every installation has: default domain, roles, region and services. Made by migrations, and here again
where they are gone (a new or emptied database)."""

from django.db import transaction

from apps.identity import builtin
from apps.identity.models import (
    Endpoint,
    ImpliedRole,
    PolicyVersion,
    Project,
    ProjectAncestor,
    Region,
    Role,
    Service,
)


@transaction.atomic
def ensure() -> None:
    """Make what is missing; touches nothing that is there."""
    domain, made = Project.objects.get_or_create(
        pk=builtin.DEFAULT_DOMAIN_ID, defaults={"name": builtin.DEFAULT_DOMAIN_NAME, "is_domain": True}
    )
    if made:
        ProjectAncestor.objects.create(project=domain, ancestor=domain, depth=0)
    for role, key in builtin.ROLE_IDS.items():
        Role.objects.get_or_create(
            pk=key, defaults={"name": role.value, "description": builtin.ROLE_TEXTS[role], "builtin": True}
        )
    for prior, implied in builtin.IMPLIED:
        ImpliedRole.objects.get_or_create(prior_id=builtin.ROLE_IDS[prior], implied_id=builtin.ROLE_IDS[implied])
    PolicyVersion.objects.get_or_create(pk=1)
    region, _ = Region.objects.get_or_create(pk=builtin.REGION_ID)
    for kind, name in builtin.SERVICES.items():
        Service.objects.get_or_create(pk=builtin.SERVICE_IDS[kind], defaults={"type": kind, "name": name})
    for kind, url in builtin.ENDPOINTS.items():
        Endpoint.objects.get_or_create(
            pk=builtin.ENDPOINT_IDS[kind],
            defaults={"service_id": builtin.SERVICE_IDS[kind], "interface": "public", "region": region, "url": url},
        )
