"""Reads of domains, projects, users, groups, roles, assignments, tokens and the catalog; a module per subject."""

from apps.identity.selectors.bearers import standing_of, tokens
from apps.identity.selectors.definitions import implied_roles, permissions, role, roles
from apps.identity.selectors.effects import Effective, effective, of_user
from apps.identity.selectors.given import Wanted, assignments
from apps.identity.selectors.listed import (
    catalog,
    endpoint,
    endpoints,
    region,
    regions,
    service,
    services,
    stored_policies,
    stored_policy,
)
from apps.identity.selectors.people import (
    group,
    group_named,
    groups,
    groups_of_user,
    is_member,
    members,
    projects_of_user,
    user,
    user_named,
    user_names,
    users,
)
from apps.identity.selectors.places import (
    domain,
    domain_by,
    domain_named,
    domain_names,
    domains,
    domains_with_a_role,
    holder,
    parents,
    place,
    project,
    project_by,
    project_named,
    projects,
    projects_reached,
    projects_with_a_role,
    subtree,
    tagged,
    tags,
)

__all__ = [
    "Effective", "Wanted", "assignments", "catalog", "domain", "domain_by", "domain_named", "domain_names", "domains",
    "domains_with_a_role", "effective", "endpoint", "endpoints", "group", "group_named", "groups",
    "groups_of_user", "holder", "implied_roles", "is_member", "members", "of_user", "parents", "permissions",
    "place", "project", "project_by", "project_named", "projects", "projects_of_user", "projects_reached", "projects_with_a_role",
    "region", "regions", "role", "roles", "service", "services", "standing_of", "stored_policies", "stored_policy", "subtree",
    "tagged", "tags", "tokens", "user", "user_named", "user_names", "users",
]
