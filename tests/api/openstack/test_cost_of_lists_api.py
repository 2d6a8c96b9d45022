"""A list asks the database as often for many rows as for few."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.identity.models import Group, GroupMember, Project, User
from tests.api.openstack.kit import Keystone
from tests.support.cloud import make_project
from tests.support.identity import give, make_domain, make_user


def more(group: Group, number: int) -> None:
    """One more of everything."""
    project, domain = make_project(f"project {number}"), make_domain(f"domain {number}")
    user = make_user(f"user {number}", project, domain=domain)
    GroupMember.objects.create(group=group, user=user)
    give(group, "reader", project)
    give(user, "reader", domain, inherited=True)


@pytest.mark.parametrize(
    "path",
    [
        "projects", "projects?is_domain=1", "projects?tags=a", "domains", "users", "groups", "groups/{group}/users", "roles", "role_inferences",
        "role_assignments", "role_assignments?include_names", "role_assignments?effective&include_names", "users/{user}/projects",
        "users/{user}/groups", "projects/{domain}?subtree_as_list",
    ],
)
def test_more_rows_are_not_more_queries(root: Keystone, blue: Project, path: str) -> None:
    group = Group.objects.create(name="ops", domain=blue)
    more(group, 0)
    user = User.objects.get(username="user 0")
    address = path.format(group=group.pk, user=user.pk, domain=blue.pk)
    counts = []
    for number in (1, 5):
        for each in range(number):
            more(group, 10 * number + each)
        root.get(address).ok()
        with CaptureQueriesContext(connection) as queries:
            root.get(address).ok()
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12
