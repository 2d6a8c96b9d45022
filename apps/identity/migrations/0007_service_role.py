"""The built-in role `service`. An operator's own role of that name is `service-own` from now on and implies it: whoever had it
keeps what it gave, and is still a service by name."""

import secrets

from django.db import migrations

from apps.identity import builtin

ROLE = builtin.Role.SERVICE


def add(apps, schema_editor):
    Role, Implied = apps.get_model("identity", "Role"), apps.get_model("identity", "ImpliedRole")
    if Role.objects.filter(id=builtin.ROLE_IDS[ROLE]).exists():
        return  # a new installation
    own = Role.objects.filter(name=ROLE.value, domain=None).first()
    if own is not None:
        own.name = _free(Role, f"{ROLE.value}-own")
        own.description = f"{own.description} Was named {ROLE.value}, which is built in now and implied by this one.".strip()
        own.save(update_fields=["name", "description"])
    made = Role.objects.create(
        id=builtin.ROLE_IDS[ROLE], name=ROLE.value, description=builtin.ROLE_TEXTS[ROLE], builtin=True
    )
    if own is not None:
        Implied.objects.create(prior=own, implied=made)
    # Processes keep roles by this number.
    apps.get_model("identity", "PolicyVersion").objects.filter(id=1).update(version=secrets.randbelow(2**62))


def _free(Role, name):
    """This name, or one like it that no role without a domain has."""
    taken = set(Role.objects.filter(name__startswith=name, domain=None).values_list("name", flat=True))
    return next(each for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if each not in taken)


class Migration(migrations.Migration):
    dependencies = [("identity", "0006_placement_endpoint")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
