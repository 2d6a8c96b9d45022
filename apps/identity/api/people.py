"""Users and groups."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity import selectors
from apps.identity.api import filters, place_shapes
from apps.identity.api import people_shapes as shapes
from apps.identity.api.authentication import actor_of
from apps.identity.services import groups, users


class UserList(View):
    """Users."""

    permissions: ClassVar = {"GET": "identity.user.list", "POST": "identity.user.create"}
    bodies: ClassVar = {"POST": shapes.CreateUser}

    @extend_schema(operation_id="users_list", parameters=[filters.UserQuery], responses=paged(shapes.UserSerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List users: all, or those of the domain that one works in."""
        query = filters.UserQuery.read(request)
        rows = selectors.users(actor=actor_of(request))
        return page(request, filters.narrowed(rows, query, enabled="is_active"), shapes.user)

    @extend_schema(operation_id="users_create", request=shapes.CreateUser, responses={201: shapes.UserSerializer}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Create a user. For admins of the domain."""
        NoQuery.read(request)
        made = users.create_user(actor=actor_of(request), **shapes.CreateUser.read(request))
        return Response(shapes.user(made), status=201)


class UserDetail(View):
    """One user."""

    permissions: ClassVar = {"GET": "identity.user.get", "PATCH": "identity.user.update", "DELETE": "identity.user.delete"}
    bodies: ClassVar = {"PATCH": shapes.UpdateUser}

    @extend_schema(operation_id="users_get", responses=shapes.UserSerializer, tags=["identity"])
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """Show a user; oneself always."""
        NoQuery.read(request)
        return Response(shapes.user(selectors.user(actor=actor_of(request), user_id=user_id)))

    @extend_schema(operation_id="users_update", request=shapes.UpdateUser, responses=shapes.UserSerializer, tags=["identity"])
    def patch(self, request: Request, user_id: uuid.UUID) -> Response:
        """Change a user. Disabled, it is out at once, and signs in anew when enabled again."""
        NoQuery.read(request)
        changes = shapes.UpdateUser.read(request)
        return Response(shapes.user(users.update_user(actor=actor_of(request), user_id=user_id, **changes)))

    @extend_schema(operation_id="users_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """Delete a user with its roles, tokens and credentials. What it made in projects stays."""
        NoQuery.read(request)
        users.delete_user(actor=actor_of(request), user_id=user_id)
        return Response(status=204)


class UserPassword(View):
    """The password of a user."""

    permissions: ClassVar = {"PUT": "identity.user.set_password"}
    bodies: ClassVar = {"PUT": shapes.SetPassword}

    @extend_schema(operation_id="users_set_password", request=shapes.SetPassword, responses={204: None}, tags=["identity"])
    def put(self, request: Request, user_id: uuid.UUID) -> Response:
        """Give a user another password; all its tokens end. For admins of the domain."""
        NoQuery.read(request)
        users.set_password(actor=actor_of(request), user_id=user_id, **shapes.SetPassword.read(request))
        return Response(status=204)


class OwnPassword(View):
    """One's own password."""

    permissions: ClassVar = {"POST": "identity.password.change"}
    bodies: ClassVar = {"POST": shapes.ChangePassword}

    @extend_schema(operation_id="password_change", request=shapes.ChangePassword, responses={204: None}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Change it, in exchange for the old one. All one's tokens end, but for the one that is used here."""
        NoQuery.read(request)
        actor, given = actor_of(request), shapes.ChangePassword.read(request)
        assert actor.user_id is not None
        users.change_password(
            actor=actor, user_id=actor.user_id, old=given["old_password"], new=given["password"], request=request._request
        )
        return Response(status=204)


class UserGroups(View):
    """Groups of a user."""

    permissions: ClassVar = {"GET": "identity.user.get"}

    @extend_schema(
        operation_id="user_groups_list", parameters=[filters.GroupQuery], responses=paged(shapes.GroupSerializer), tags=["identity"]
    )
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """List the groups that a user is in; one's own always."""
        query = filters.GroupQuery.read(request)
        rows = selectors.groups_of_user(actor=actor_of(request), user_id=user_id)
        return page(request, filters.narrowed(rows, query), shapes.group)


class UserProjects(View):
    """Projects of a user."""

    permissions: ClassVar = {"GET": "identity.user.get"}

    @extend_schema(
        operation_id="user_projects_list", parameters=[filters.ProjectQuery], responses=paged(place_shapes.ProjectSerializer),
        tags=["identity"],
    )
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """List the enabled projects that a user may enter; one's own always."""
        query = filters.ProjectQuery.read(request)
        rows = selectors.projects_of_user(actor=actor_of(request), user_id=user_id).prefetch_related("tags")
        return page(request, filters.narrowed(rows, query, tag="tags__name"), place_shapes.project)


class GroupList(View):
    """Groups: users who get their roles together."""

    permissions: ClassVar = {"GET": "identity.group.list", "POST": "identity.group.create"}
    bodies: ClassVar = {"POST": shapes.CreateGroup}

    @extend_schema(
        operation_id="groups_list", parameters=[filters.GroupQuery], responses=paged(shapes.GroupSerializer), tags=["identity"]
    )
    def get(self, request: Request) -> Response:
        """List groups: all, or those of the domain that one works in."""
        query = filters.GroupQuery.read(request)
        rows = selectors.groups(actor=actor_of(request))
        return page(request, filters.narrowed(rows, query), shapes.group)

    @extend_schema(
        operation_id="groups_create", request=shapes.CreateGroup, responses={201: shapes.GroupSerializer}, tags=["identity"]
    )
    def post(self, request: Request) -> Response:
        """Create a group. For admins of the domain."""
        NoQuery.read(request)
        made = groups.create_group(actor=actor_of(request), **shapes.CreateGroup.read(request))
        return Response(shapes.group(made), status=201)


class GroupDetail(View):
    """One group."""

    permissions: ClassVar = {"GET": "identity.group.get", "PATCH": "identity.group.update", "DELETE": "identity.group.delete"}
    bodies: ClassVar = {"PATCH": shapes.UpdateGroup}

    @extend_schema(operation_id="groups_get", responses=shapes.GroupSerializer, tags=["identity"])
    def get(self, request: Request, group_id: uuid.UUID) -> Response:
        """Show a group."""
        NoQuery.read(request)
        return Response(shapes.group(selectors.group(actor=actor_of(request), group_id=group_id)))

    @extend_schema(operation_id="groups_update", request=shapes.UpdateGroup, responses=shapes.GroupSerializer, tags=["identity"])
    def patch(self, request: Request, group_id: uuid.UUID) -> Response:
        """Change a group."""
        NoQuery.read(request)
        changes = shapes.UpdateGroup.read(request)
        return Response(shapes.group(groups.update_group(actor=actor_of(request), group_id=group_id, **changes)))

    @extend_schema(operation_id="groups_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, group_id: uuid.UUID) -> Response:
        """Delete a group with the roles that its users have by it."""
        NoQuery.read(request)
        groups.delete_group(actor=actor_of(request), group_id=group_id)
        return Response(status=204)


class GroupMembers(View):
    """Who is in a group."""

    permissions: ClassVar = {"GET": "identity.group.get"}

    @extend_schema(
        operation_id="group_members_list", parameters=[filters.UserQuery], responses=paged(shapes.UserSerializer), tags=["identity"]
    )
    def get(self, request: Request, group_id: uuid.UUID) -> Response:
        """List the users of a group."""
        query = filters.UserQuery.read(request)
        rows = selectors.members(actor=actor_of(request), group_id=group_id)
        return page(request, filters.narrowed(rows, query, enabled="is_active"), shapes.user)


class GroupMember(View):
    """One user in a group."""

    permissions: ClassVar = {"PUT": "identity.group.members", "DELETE": "identity.group.members"}

    @extend_schema(operation_id="group_members_add", request=None, responses={204: None}, tags=["identity"])
    def put(self, request: Request, group_id: uuid.UUID, user_id: uuid.UUID) -> Response:
        """Put a user into the group; it has the group's roles with the next request. Again changes nothing."""
        NoQuery.read(request)
        groups.add_member(actor=actor_of(request), group_id=group_id, user_id=user_id)
        return Response(status=204)

    @extend_schema(operation_id="group_members_remove", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, group_id: uuid.UUID, user_id: uuid.UUID) -> Response:
        """Take a user out of the group."""
        NoQuery.read(request)
        groups.remove_member(actor=actor_of(request), group_id=group_id, user_id=user_id)
        return Response(status=204)
