"""People and projects of the first version move into the default domain; memberships become role assignments."""

from django.db import migrations

from apps.identity import builtin


def move(apps, schema_editor):
    model = lambda name: apps.get_model("identity", name)
    Project, Ancestor, Role, User = model("Project"), model("ProjectAncestor"), model("Role"), model("User")
    Assignment = model("Assignment")
    domain = Project.objects.create(
        id=builtin.DEFAULT_DOMAIN_ID, name=f"{builtin.DEFAULT_DOMAIN_NAME} (domain)", is_domain=True
    )
    for role, key in builtin.ROLE_IDS.items():
        Role.objects.create(id=key, name=role.value, description=builtin.ROLE_TEXTS[role], builtin=True)
    for prior, implied in builtin.IMPLIED:
        model("ImpliedRole").objects.create(prior_id=builtin.ROLE_IDS[prior], implied_id=builtin.ROLE_IDS[implied])
    model("PolicyVersion").objects.create(id=1, version=1)
    region = model("Region").objects.create(id=builtin.REGION_ID)
    for kind, name in builtin.SERVICES.items():
        model("Service").objects.create(id=builtin.SERVICE_IDS[kind], type=kind, name=name)
    model("Endpoint").objects.create(
        id=builtin.ENDPOINT_IDS["identity"], service_id=builtin.SERVICE_IDS["identity"], interface="public", region=region,
        url=builtin.ENDPOINTS["identity"],
    )
    Ancestor.objects.create(project=domain, ancestor=domain, depth=0)
    for project in Project.objects.filter(is_domain=False):
        Project.objects.filter(pk=project.pk).update(domain=domain, parent=domain)
        Ancestor.objects.create(project=project, ancestor=project, depth=0)
        Ancestor.objects.create(project=project, ancestor=domain, depth=1)
    for user in User.objects.all():
        User.objects.filter(pk=user.pk).update(domain=domain, created_at=user.date_joined)
        if user.is_superuser:
            Assignment.objects.create(user=user, role_id=builtin.ROLE_IDS["admin"], system=True)
        elif user.is_staff:
            Assignment.objects.create(user=user, role_id=builtin.ROLE_IDS["reader"], system=True)
    for row in model("Membership").objects.all():
        Assignment.objects.create(user_id=row.user_id, role_id=builtin.ROLE_IDS[row.role], project_id=row.project_id)


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_directory")]
    operations = [migrations.RunPython(move)]
