"""Projects and who belongs to them."""

import uuid

from django.db import IntegrityError, transaction

from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, NotFound
from apps.identity.models import Membership, Project, User
from apps.identity.roles import Role, require_operator


@transaction.atomic
def ensure_project(*, actor: Actor, name: str, description: str = "") -> Project:
    """The project of that name, made if there was none. Raises Forbidden."""
    require_operator(actor)
    check_name(name, most=64)
    project, _ = Project.objects.get_or_create(name=name, defaults={"description": description})
    return project


def create_project(*, actor: Actor, name: str, description: str = "") -> Project:
    """Raises Forbidden, Conflict."""
    require_operator(actor)
    check_name(name, most=64)
    try:
        with transaction.atomic():
            return Project.objects.create(name=name, description=description)
    except IntegrityError:
        raise Conflict("project.exists", f"There is a project named {name!r} already.", field="name") from None


@transaction.atomic
def ensure_user(*, actor: Actor, username: str, password: str, operator: bool = False) -> tuple[User, bool]:
    """The user of that name; made with that password if there was none. Returns user and whether it was made."""
    require_operator(actor)
    user = User.objects.filter(username=username).first()
    if user is not None:
        return user, False
    make = User.objects.create_superuser if operator else User.objects.create_user
    return make(username=username, password=password), True


@transaction.atomic
def set_role(*, actor: Actor, user_id: uuid.UUID, project_id: uuid.UUID, role: Role) -> Membership:
    """Give a user the one role in a project. Raises Forbidden, NotFound."""
    _require_rule_over(actor, project_id)
    if not Project.objects.filter(pk=project_id).exists():
        raise NotFound("project.not_found", f"There is no project {project_id}.", field="project_id")
    if not User.objects.filter(pk=user_id).exists():
        raise NotFound("user.not_found", f"There is no user {user_id}.", field="user_id")
    membership, _ = Membership.objects.update_or_create(user_id=user_id, project_id=project_id, defaults={"role": role.value})
    return membership


@transaction.atomic
def remove_member(*, actor: Actor, membership_id: int) -> None:
    """Take a user out of a project; their tokens for it stop working at once. Raises Forbidden, NotFound."""
    membership = Membership.objects.filter(pk=membership_id).first()
    if membership is None or not (actor.is_admin or membership.project_id == actor.project_id):
        raise NotFound("membership.not_found", f"There is no membership {membership_id} that you may see.")
    _require_rule_over(actor, membership.project_id)
    membership.delete()


def _require_rule_over(actor: Actor, project_id: uuid.UUID) -> None:
    """Operators rule over all projects, an admin over the own one."""
    if not actor.is_admin and not (actor.project_id == project_id and actor.role == Role.ADMIN):
        raise Forbidden("auth.role", "This needs the role admin in that project.", role_needed=Role.ADMIN.value)
