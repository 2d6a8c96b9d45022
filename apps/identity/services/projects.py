"""Projects and who belongs to them."""

import uuid

from django.db import transaction

from apps.common.context import Actor
from apps.identity.models import Membership, Project, User
from apps.identity.roles import Role, require_operator


@transaction.atomic
def ensure_project(*, actor: Actor, name: str, description: str = "") -> Project:
    """The project of that name, made if there was none. Raises Forbidden."""
    require_operator(actor)
    project, _ = Project.objects.get_or_create(name=name, defaults={"description": description})
    return project


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
    """Give a user the one role in a project. Raises Forbidden."""
    require_operator(actor)
    membership, _ = Membership.objects.update_or_create(user_id=user_id, project_id=project_id, defaults={"role": role.value})
    return membership
