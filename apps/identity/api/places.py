"""Domains and projects."""

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
from apps.identity.api import place_shapes as shapes
from apps.identity.api.authentication import actor_of
from apps.identity.services import domains, projects, tags


class DomainList(View):
    """Domains: the owners of users, groups and projects."""

    permissions: ClassVar = {"GET": "identity.domain.list", "POST": "identity.domain.create"}
    bodies: ClassVar = {"POST": shapes.CreateDomain}

    @extend_schema(
        operation_id="domains_list", parameters=[filters.DomainQuery], responses=paged(shapes.DomainSerializer), tags=["identity"]
    )
    def get(self, request: Request) -> Response:
        """List domains: all, or the one that one works in."""
        query = filters.DomainQuery.read(request)
        rows = selectors.domains(actor=actor_of(request)).prefetch_related("tags")
        return page(request, filters.narrowed(rows, query), shapes.domain)

    @extend_schema(
        operation_id="domains_create", request=shapes.CreateDomain, responses={201: shapes.DomainSerializer}, tags=["identity"]
    )
    def post(self, request: Request) -> Response:
        """Create a domain. For administrators of the installation."""
        NoQuery.read(request)
        made = domains.create_domain(actor=actor_of(request), **shapes.CreateDomain.read(request))
        return Response(shapes.domain(made), status=201)


class DomainDetail(View):
    """One domain."""

    permissions: ClassVar = {
        "GET": "identity.domain.get", "PATCH": "identity.domain.update", "DELETE": "identity.domain.delete",
    }
    bodies: ClassVar = {"PATCH": shapes.UpdateDomain}

    @extend_schema(operation_id="domains_get", responses=shapes.DomainSerializer, tags=["identity"])
    def get(self, request: Request, domain_id: uuid.UUID) -> Response:
        """Show a domain: one's own, or the one of one's project."""
        NoQuery.read(request)
        return Response(shapes.domain(selectors.domain(actor=actor_of(request), domain_id=domain_id)))

    @extend_schema(
        operation_id="domains_update", request=shapes.UpdateDomain, responses=shapes.DomainSerializer, tags=["identity"]
    )
    def patch(self, request: Request, domain_id: uuid.UUID) -> Response:
        """Change a domain. Disabled, it puts all its users and projects out at once."""
        NoQuery.read(request)
        changes = shapes.UpdateDomain.read(request)
        return Response(shapes.domain(domains.update_domain(actor=actor_of(request), domain_id=domain_id, **changes)))

    @extend_schema(operation_id="domains_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, domain_id: uuid.UUID) -> Response:
        """Delete a disabled domain with its projects, users, groups and roles; not while a project of it has resources."""
        NoQuery.read(request)
        domains.delete_domain(actor=actor_of(request), domain_id=domain_id)
        return Response(status=204)


class ProjectList(View):
    """Projects."""

    permissions: ClassVar = {"GET": "identity.project.list", "POST": "identity.project.create"}
    bodies: ClassVar = {"POST": shapes.CreateProject}

    @extend_schema(
        operation_id="projects_list", parameters=[filters.ProjectQuery], responses=paged(shapes.ProjectSerializer), tags=["identity"]
    )
    def get(self, request: Request) -> Response:
        """List projects: all, those of the domain that one works in, and those in which one has a role."""
        query = filters.ProjectQuery.read(request)
        rows = selectors.projects(actor=actor_of(request)).prefetch_related("tags")
        return page(request, filters.narrowed(rows, query, tag="tags__name"), shapes.project)

    @extend_schema(
        operation_id="projects_create", request=shapes.CreateProject, responses={201: shapes.ProjectSerializer}, tags=["identity"]
    )
    def post(self, request: Request) -> Response:
        """Create a project, at the top of a domain or below another project. For admins of the domain."""
        NoQuery.read(request)
        made = projects.create_project(actor=actor_of(request), **shapes.CreateProject.read(request))
        return Response(shapes.project(made), status=201)


class ProjectDetail(View):
    """One project."""

    permissions: ClassVar = {
        "GET": "identity.project.get", "PATCH": "identity.project.update", "DELETE": "identity.project.delete",
    }
    bodies: ClassVar = {"PATCH": shapes.UpdateProject}

    @extend_schema(operation_id="projects_get", responses=shapes.ProjectSerializer, tags=["identity"])
    def get(self, request: Request, project_id: uuid.UUID) -> Response:
        """Show a project."""
        NoQuery.read(request)
        return Response(shapes.project(selectors.project(actor=actor_of(request), project_id=project_id)))

    @extend_schema(
        operation_id="projects_update", request=shapes.UpdateProject, responses=shapes.ProjectSerializer, tags=["identity"]
    )
    def patch(self, request: Request, project_id: uuid.UUID) -> Response:
        """Change a project. Disabled, its tokens are good for nothing at once."""
        NoQuery.read(request)
        changes = shapes.UpdateProject.read(request)
        return Response(shapes.project(projects.update_project(actor=actor_of(request), project_id=project_id, **changes)))

    @extend_schema(operation_id="projects_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, project_id: uuid.UUID) -> Response:
        """Delete a project that has nothing any more, with the roles in it; a refusal says what it has."""
        NoQuery.read(request)
        projects.delete_project(actor=actor_of(request), project_id=project_id)
        return Response(status=204)


class ProjectTags(View):
    """Words on a project, to find it by."""

    permissions: ClassVar = {"GET": "identity.project.get", "PUT": "identity.project.update"}
    bodies: ClassVar = {"PUT": shapes.SetTags}

    @extend_schema(operation_id="project_tags_list", responses=shapes.TagsSerializer, tags=["identity"])
    def get(self, request: Request, project_id: uuid.UUID) -> Response:
        """List its tags."""
        NoQuery.read(request)
        return Response({"tags": selectors.tags(selectors.project(actor=actor_of(request), project_id=project_id))})

    @extend_schema(operation_id="project_tags_set", request=shapes.SetTags, responses=shapes.TagsSerializer, tags=["identity"])
    def put(self, request: Request, project_id: uuid.UUID) -> Response:
        """Give it these tags and no others."""
        NoQuery.read(request)
        wanted = shapes.SetTags.read(request)
        return Response({"tags": tags.set_tags(actor=actor_of(request), project_id=project_id, **wanted)})


class ProjectTag(View):
    """One tag of a project."""

    permissions: ClassVar = {"PUT": "identity.project.update", "DELETE": "identity.project.update"}

    @extend_schema(operation_id="project_tags_add", request=None, responses=shapes.TagsSerializer, tags=["identity"])
    def put(self, request: Request, project_id: uuid.UUID, tag: str) -> Response:
        """Put it on; again changes nothing."""
        NoQuery.read(request)
        return Response({"tags": tags.add_tag(actor=actor_of(request), project_id=project_id, tag=tag)})

    @extend_schema(operation_id="project_tags_remove", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, project_id: uuid.UUID, tag: str) -> Response:
        """Take it off."""
        NoQuery.read(request)
        tags.remove_tag(actor=actor_of(request), project_id=project_id, tag=tag)
        return Response(status=204)
