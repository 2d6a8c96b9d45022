"""Admin page of the LDAP directory: how bringing its users and groups here goes."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common import clock
from apps.common.admin import drawing, pages
from apps.common.admin.buttons import Button
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.directory.config import is_configured
from apps.identity.models import DirectorySync
from apps.identity.services import directory


def _sync(actor: Actor, row: DirectorySync, values: Mapping[str, Any]) -> str:
    directory.ask_for_sync(actor=actor)
    return "It will be synchronised within seconds."


@admin.register(DirectorySync)
class DirectorySyncAdmin(RecordAdmin):
    """One row, once a directory is configured."""

    permission = directory.PERMISSION
    list_display = ("state", "good", "tried", "took", "due")
    search_ids = ()
    facts = (("Facts", ("good", "tried", "took", "due")),)
    pictures = (("The last one that came to its end", "result_shown"),)
    buttons = (
        Button(
            name="sync", label="Synchronise now", question="Synchronise now?", permission=directory.PERMISSION, run=_sync, bulk=False,
            warning="Users and groups are brought up to date with the directory. Who is disabled or gone there is out at once.",
        ),
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_configured() and super().has_module_permission(request)

    def is_live(self, row: DirectorySync) -> bool:
        return _is_running(row)

    def headline(self, row: DirectorySync) -> SafeString:
        return self.state(row)

    @admin.display(description="state")
    def state(self, row: DirectorySync) -> SafeString:
        if _is_running(row):
            return drawing.badge("running", "busy", busy=True)
        if row.error:
            return drawing.badge("failed", "bad", title=str(row.error.get("message", "")))
        return drawing.badge("good", "good") if row.good_at else drawing.badge("never yet", "off")

    @admin.display(description="last good one")
    def good(self, row: DirectorySync) -> SafeString:
        return drawing.ago(row.good_at)

    @admin.display(description="last one")
    def tried(self, row: DirectorySync) -> SafeString:
        return drawing.ago(row.tried_at)

    @admin.display(description="took")
    def took(self, row: DirectorySync) -> str:
        return "" if row.took_ms is None else drawing.duration(row.took_ms / 1000)

    @admin.display(description="next one")
    def due(self, row: DirectorySync) -> SafeString:
        return drawing.ago(row.due_at, never="is not planned")

    def result_shown(self, row: DirectorySync) -> SafeString:
        counts = {name: value for name, value in row.result.items() if isinstance(value, int)}
        problems = row.result.get("problems") or ()
        return drawing.stack(
            (
                drawing.facts((name.replace("_", " "), drawing.number(count)) for name, count in sorted(counts.items())),
                *(drawing.panel("warn", problem) for problem in problems),
            )
        ) if row.result else drawing.EMPTY


def _is_running(row: DirectorySync) -> bool:
    return bool(row.holder and row.until and row.until > clock.now())


def _error(request: HttpRequest, row: DirectorySync) -> SafeString:
    if not row.error:
        return drawing.EMPTY
    return drawing.panel("bad", row.error.get("message", "No reason was given."), drawing.code(row.error.get("code", "")))


pages.add_section(DirectorySync, "Why the last one failed", _error, place=10)
