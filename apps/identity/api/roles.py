"""Roles, what implies what, who has which role where, and the table of permissions."""

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
from apps.identity.api import filters
from apps.identity.api import role_shapes as shapes
from apps.identity.api.authentication import actor_of
from apps.identity.services import assignments, roles


class RoleList(View):
    """Roles: built-in ones, and the operator's own, which are sets of permissions."""

    permissions: ClassVar = {"GET": "identity.role.list", "POST": "identity.role.create"}
    bodies: ClassVar = {"POST": shapes.CreateRole}

    @extend_schema(operation_id="roles_list", parameters=[filters.RoleQuery], responses=paged(shapes.RoleSerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List roles."""
        query = filters.RoleQuery.read(request)
        return page(request, filters.narrowed(selectors.roles(actor=actor_of(request)), query), shapes.role)

    @extend_schema(operation_id="roles_create", request=shapes.CreateRole, responses={201: shapes.RoleSerializer}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Create a role, with no permission that one does not have oneself."""
        NoQuery.read(request)
        made = roles.create_role(actor=actor_of(request), **shapes.CreateRole.read(request))
        return Response(shapes.role(made), status=201)


class RoleDetail(View):
    """One role."""

    permissions: ClassVar = {"GET": "identity.role.get", "PATCH": "identity.role.update", "DELETE": "identity.role.delete"}
    bodies: ClassVar = {"PATCH": shapes.UpdateRole}

    @extend_schema(operation_id="roles_get", responses=shapes.RoleSerializer, tags=["identity"])
    def get(self, request: Request, role_id: uuid.UUID) -> Response:
        """Show a role."""
        NoQuery.read(request)
        return Response(shapes.role(selectors.role(actor=actor_of(request), role_id=role_id)))

    @extend_schema(operation_id="roles_update", request=shapes.UpdateRole, responses=shapes.RoleSerializer, tags=["identity"])
    def patch(self, request: Request, role_id: uuid.UUID) -> Response:
        """Change a role; it counts with the next request. Built-in ones stay what they are."""
        NoQuery.read(request)
        changes = shapes.UpdateRole.read(request)
        return Response(shapes.role(roles.update_role(actor=actor_of(request), role_id=role_id, **changes)))

    @extend_schema(operation_id="roles_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, role_id: uuid.UUID) -> Response:
        """Delete a role; whoever has it loses it with the next request."""
        NoQuery.read(request)
        roles.delete_role(actor=actor_of(request), role_id=role_id)
        return Response(status=204)


class ImpliedRoleList(View):
    """What a role implies."""

    permissions: ClassVar = {"GET": "identity.role.list"}

    @extend_schema(operation_id="implied_roles_list", responses=shapes.ImpliedRolesSerializer, tags=["identity"])
    def get(self, request: Request, role_id: uuid.UUID) -> Response:
        """List the roles that a role implies directly."""
        NoQuery.read(request)
        rows = selectors.implied_roles(actor=actor_of(request), prior_id=role_id)
        return Response({"items": [shapes.implied(row) for row in rows]})


class ImpliedRoleDetail(View):
    """That one role implies another."""

    permissions: ClassVar = {"PUT": "identity.implied_role.update", "DELETE": "identity.implied_role.update"}

    @extend_schema(operation_id="implied_roles_add", request=None, responses=shapes.ImpliedRoleSerializer, tags=["identity"])
    def put(self, request: Request, role_id: uuid.UUID, implied_id: uuid.UUID) -> Response:
        """Whoever has the first has the second as well from now on. Again changes nothing."""
        NoQuery.read(request)
        made = roles.imply(actor=actor_of(request), prior_id=role_id, implied_id=implied_id)
        return Response(shapes.implied(made))

    @extend_schema(operation_id="implied_roles_remove", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, role_id: uuid.UUID, implied_id: uuid.UUID) -> Response:
        """Take that back. Built-in implications stay."""
        NoQuery.read(request)
        roles.unimply(actor=actor_of(request), prior_id=role_id, implied_id=implied_id)
        return Response(status=204)


class AssignmentList(View):
    """Who has which role where."""

    permissions: ClassVar = {"GET": "identity.assignment.list", "POST": "identity.assignment.create"}
    bodies: ClassVar = {"POST": shapes.GiveRole}

    @extend_schema(
        operation_id="role_assignments_list", parameters=[filters.AssignmentQuery], responses=paged(shapes.AssignmentSerializer),
        tags=["identity"],
    )
    def get(self, request: Request) -> Response:
        """List roles as they were given, or with `effective=true` as they follow: all, those of the project or domain that
        one rules over, or one's own."""
        query = filters.AssignmentQuery.read(request)
        actor, wanted = actor_of(request), filters.wanted(query)
        if query.get("effective"):
            found = selectors.effective(actor=actor, wanted=wanted)
            return Response({"items": [shapes.effective(each) for each in found], "next": None})
        return page(request, selectors.assignments(actor=actor, wanted=wanted), shapes.assignment)

    @extend_schema(
        operation_id="role_assignments_create", request=shapes.GiveRole, responses={201: shapes.AssignmentSerializer}, tags=["identity"]
    )
    def post(self, request: Request) -> Response:
        """Give a role, none that has more than one has oneself. Again changes nothing."""
        NoQuery.read(request)
        wanted = shapes.GiveRole.read(request)
        held = assignments.Held(
            user_id=wanted["user_id"], group_id=wanted["group_id"], place_id=wanted["project_id"], inherited=wanted["inherited"]
        )
        made = assignments.give_named(actor=actor_of(request), role=wanted["role"], held=held)
        return Response(shapes.assignment(made), status=201)


class AssignmentDetail(View):
    """One role assignment."""

    permissions: ClassVar = {"DELETE": "identity.assignment.delete"}

    @extend_schema(operation_id="role_assignments_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, assignment_id: uuid.UUID) -> Response:
        """Take the role away; it is gone with the next request."""
        NoQuery.read(request)
        assignments.take_by_id(actor=actor_of(request), assignment_id=assignment_id)
        return Response(status=204)


class PermissionList(View):
    """The table of permissions."""

    permissions: ClassVar = {"GET": "identity.permission.list"}

    @extend_schema(operation_id="permissions_list", responses=shapes.PermissionsSerializer, tags=["identity"])
    def get(self, request: Request) -> Response:
        """List all permissions and the built-in roles that have them, with the operator's file over it."""
        NoQuery.read(request)
        return Response({"items": [shapes.permission(row) for row in selectors.permissions(actor=actor_of(request))]})
