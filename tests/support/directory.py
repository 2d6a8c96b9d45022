"""A directory for tests: slapd, the settings that name it, and what a test asks of users that came from it."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.common.context import SYSTEM
from apps.identity.directory import breaker
from apps.identity.models import Assignment, Group, Project, User
from apps.identity.services import assignments, directory, signin
from apps.identity.services.assignments import Given
from apps.identity.services.tokens import Issued
from tests.support.slapd import GROUPS, PASSWORD, PEOPLE, READER, READER_PASSWORD, Slapd, Tls

BACKEND = "apps.identity.ldap_backend.Ldap"


class Directory(Slapd):
    """The server as Cloudsite's settings name it; `settings(…)` changes some. Timeouts are those of a busy machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, tls: Tls | None = None) -> None:
        super().__init__(tls=tls)
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(settings, "AUTHENTICATION_BACKENDS", [*settings.AUTHENTICATION_BACKENDS, BACKEND])
        self.settings(
            ldap_url=self.url, ldap_bind_dn=READER, ldap_bind_password=READER_PASSWORD, ldap_user_base=PEOPLE, ldap_group_base=GROUPS,
            ldap_timeout_s=7.0, ldap_ca_file=Path(), ldap_user_filter="(objectClass=inetOrgPerson)",
        )

    def __exit__(self, *failure: object) -> None:
        breaker.answered()
        super().__exit__(*failure)

    def settings(self, **values: Any) -> None:
        breaker.answered()
        self._monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, **values))


def users(**filters: Any) -> dict[str, str]:
    """Name → how it stands, of all that came from the directory."""
    rows = User.objects.filter(source="ldap", **filters)
    return {row.username: "in" if row.is_active else row.directory_state or "disabled here" for row in rows}


def members(group: str) -> set[str]:
    return set(User.objects.filter(memberships__group__name=group).values_list("username", flat=True))


def let_group(group: str, role: str, project: Project) -> Assignment:
    """Give a role to a group of the directory."""
    found = Group.objects.get(name=group)
    given = Given(role_id=assignments.role_named(role), group_id=found.pk, place_id=project.pk)
    return assignments.give(actor=SYSTEM, given=given)


def sign_in(username: str, password: str = PASSWORD, *, domain: str = "ldap", project: str = "") -> Issued:
    from django.test import RequestFactory

    request = RequestFactory().post("/api/v1/tokens")
    return signin.login(username=username, password=password, domain=domain, project=project, request=request)


def sync(**more: Any) -> dict[str, int]:
    """Counts that are not zero."""
    return {name: count for name, count in directory.sync(**more).counts.items() if count}
