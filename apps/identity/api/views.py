"""Tokens, projects, users, memberships."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery, PageQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.common.errors import NotFound
from apps.identity import selectors
from apps.identity.api import filters, serializers
from apps.identity.api.authentication import actor_of, token_of
from apps.identity.services import assignments, projects, signin, tokens, users


class TokenList(View):
    """Bearer tokens of one's own."""

    permissions: ClassVar = {"GET": "identity.token.list", "POST": ""}
    permission_classes = [AllowAny]
    bodies: ClassVar = {"POST": serializers.CreateToken}

    def get_authenticators(self) -> list[BaseAuthentication]:
        # Who signs in may still send a token that has expired.
        return [] if self.request is not None and self.request.method == "POST" else super().get_authenticators()

    @extend_schema(operation_id="tokens_list", parameters=[PageQuery], responses=paged(serializers.TokenSerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List one's own tokens that still work."""
        actor = actor_of(request)
        PageQuery.read(request)
        return page(request, selectors.tokens(actor=actor), serializers.token)

    @extend_schema(
        operation_id="tokens_create", request=serializers.CreateToken, responses={201: serializers.IssuedTokenSerializer},
        auth=[], tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Sign in: a token for a user and a project. The secret is shown this once."""
        NoQuery.read(request)
        wanted = serializers.CreateToken.read(request)
        issued = signin.login(request=request._request, **wanted)
        return Response({**serializers.token(issued.token), "secret": issued.secret}, status=201)


class TokenDetail(View):
    """One token."""

    permissions: ClassVar = {"DELETE": "identity.token.revoke"}

    @extend_schema(operation_id="tokens_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, token_id: uuid.UUID) -> Response:
        """Revoke it: it stops working at once."""
        NoQuery.read(request)
        tokens.revoke(actor=actor_of(request), token_id=token_id)
        return Response(status=204)


class CurrentToken(View):
    """The token that the request comes with."""

    permissions: ClassVar = {"DELETE": "identity.token.revoke"}

    @extend_schema(operation_id="tokens_delete_current", responses={204: None}, tags=["identity"])
    def delete(self, request: Request) -> Response:
        """Sign out."""
        NoQuery.read(request)
        actor, token = actor_of(request), token_of(request)
        if token is None:
            raise NotFound("token.not_found", "This request came without a token.")
        tokens.revoke(actor=actor, token_id=token.id)
        return Response(status=204)


class WhoAmI(View):
    """The caller."""

    permissions: ClassVar = {"GET": ""}

    @extend_schema(operation_id="whoami", responses=serializers.WhoAmISerializer, tags=["identity"])
    def get(self, request: Request) -> Response:
        """Who is asking, in which project, with which role."""
        NoQuery.read(request)
        actor, token = actor_of(request), token_of(request)
        project = None
        if actor.project_id is not None:
            project = selectors.project(actor=actor, project_id=actor.project_id)
        return Response(serializers.whoami(actor, token, project))


class ProjectList(View):
    """Projects."""

    permissions: ClassVar = {"GET": "identity.project.list", "POST": "identity.project.create"}

    bodies: ClassVar = {"POST": serializers.CreateProject}

    @extend_schema(
        operation_id="projects_list", parameters=[filters.ProjectQuery], responses=paged(serializers.ProjectSerializer), tags=["identity"]
    )
    def get(self, request: Request) -> Response:
        """List one's own projects; operators see all."""
        query = filters.ProjectQuery.read(request)
        rows = selectors.projects(actor=actor_of(request))
        return page(request, rows.filter(**_asked(query, "name")), serializers.project)

    @extend_schema(
        operation_id="projects_create", request=serializers.CreateProject, responses={201: serializers.ProjectSerializer}, tags=["identity"]
    )
    def post(self, request: Request) -> Response:
        """Create a project. For operators."""
        NoQuery.read(request)
        wanted = serializers.CreateProject.read(request)
        return Response(serializers.project(projects.create_project(actor=actor_of(request), **wanted)), status=201)


class ProjectDetail(View):
    """One project."""

    permissions: ClassVar = {"GET": "identity.project.get"}

    @extend_schema(operation_id="projects_get", responses=serializers.ProjectSerializer, tags=["identity"])
    def get(self, request: Request, project_id: uuid.UUID) -> Response:
        """Show one of one's own projects."""
        NoQuery.read(request)
        return Response(serializers.project(selectors.project(actor=actor_of(request), project_id=project_id)))


class UserList(View):
    """Users. For operators."""

    permissions: ClassVar = {"GET": "identity.user.list", "POST": "identity.user.create"}

    bodies: ClassVar = {"POST": serializers.CreateUser}

    @extend_schema(operation_id="users_list", parameters=[filters.UserQuery], responses=paged(serializers.UserSerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List all users. For operators."""
        query = filters.UserQuery.read(request)
        rows = selectors.users(actor=actor_of(request))
        return page(request, rows.filter(**_asked(query, "username")), serializers.user)

    @extend_schema(operation_id="users_create", request=serializers.CreateUser, responses={201: serializers.UserSerializer}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Create a user. For operators."""
        NoQuery.read(request)
        wanted = serializers.CreateUser.read(request)
        made = users.create_user(actor=actor_of(request), **wanted)
        return Response(serializers.user(made), status=201)


class AssignmentList(View):
    """Who has which role where."""

    bodies: ClassVar = {"POST": serializers.GiveRole}
    permissions: ClassVar = {"GET": "identity.assignment.list", "POST": "identity.assignment.create"}

    @extend_schema(
        operation_id="role_assignments_list", parameters=[filters.AssignmentQuery], responses=paged(serializers.AssignmentSerializer),
        tags=["identity"],
    )
    def get(self, request: Request) -> Response:
        """List role assignments as they were given: all, those of the project or domain that one rules over, or one's own."""
        query = filters.AssignmentQuery.read(request)
        rows = selectors.assignments(actor=actor_of(request))
        asked = _asked(query, "project_id", "user_id", "group_id", "role_id", "system")
        return page(request, rows.filter(**asked), serializers.assignment)

    @extend_schema(
        operation_id="role_assignments_create", request=serializers.GiveRole, responses={201: serializers.AssignmentSerializer},
        tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Give a role; giving it again changes nothing."""
        NoQuery.read(request)
        wanted = serializers.GiveRole.read(request)
        given = assignments.Given(
            role_id=assignments.role_named(wanted["role"]), user_id=wanted["user_id"], group_id=wanted["group_id"],
            place_id=wanted["project_id"], inherited=wanted["inherited"],
        )
        return Response(serializers.assignment(assignments.give(actor=actor_of(request), given=given)), status=201)


class AssignmentDetail(View):
    """One role assignment."""

    permissions: ClassVar = {"DELETE": "identity.assignment.delete"}

    @extend_schema(operation_id="role_assignments_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, assignment_id: uuid.UUID) -> Response:
        """Take the role away; it is gone with the next request."""
        NoQuery.read(request)
        assignments.take_by_id(actor=actor_of(request), assignment_id=assignment_id)
        return Response(status=204)


def _asked(query: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: query[name] for name in names if name in query}
