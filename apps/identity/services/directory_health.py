"""How it stands with the directory as a whole, for the doctor: the server as the settings name it, and the synchronisation."""

from collections.abc import Iterator

from django.conf import settings

from apps.common.context import SYSTEM
from apps.identity.directory import diagnosis
from apps.identity.directory.diagnosis import Step
from apps.identity.services import directory


def examine() -> Iterator[Step]:
    """Nothing where there is no directory and never was."""
    status = directory.status(actor=SYSTEM)
    if not status.configured:
        if status.users_enabled:
            yield Step(
                "settings", "warning",
                f"{status.users_enabled} users came from a directory, and none is set any more: whatever keys they have go on working",
                "set CLOUDSITE_LDAP_URL, or manage.py user_disable",
            )
        return
    yield from diagnosis.examine()
    if status.error is not None:
        since = f"since {status.good_at:%Y-%m-%d %H:%M:%S}" if status.good_at else "yet"
        yield Step("sync", "fault", f"not synchronised {since}: {status.error['message']}", "manage.py ldap_check; manage.py ldap_sync")
    elif status.age_s is None:
        yield Step("sync", "fault", "never synchronised", "start the ticker, or manage.py ldap_sync")
    elif status.age_s > 3 * settings.ENV.ldap_sync_s + 60:
        yield Step("sync", "fault", f"not synchronised for {status.age_s:.0f} s", "start the ticker, or manage.py ldap_sync")
    else:
        yield Step("sync", "ok", f"synchronised {status.age_s:.0f} s ago: {status.users_enabled} users enabled, {status.groups} groups")
    problems = status.result.get("problems") or []
    if problems:
        yield Step("sync", "warning", f"{status.result['problem_count']} entries need a look: {problems[0]}", "manage.py ldap_sync --dry-run shows all")
