"""Is the directory as the settings say? Step by step, for `manage.py doctor`, `check --deploy` and `ldap_check`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from apps.common import clock
from apps.common.errors import CloudError
from apps.identity.directory import config as settings
from apps.identity.directory.config import Config

if TYPE_CHECKING:
    from apps.identity.directory.entries import Attributes


@dataclass(frozen=True)
class Step:
    """One thing that was looked at."""

    name: str
    verdict: Literal["ok", "warning", "fault"]
    what: str
    fix: str = ""


def examine() -> Iterator[Step]:
    """Up to the first fault that leaves nothing to go on with. Nothing is written."""
    try:
        config = settings.load()
        if config.in_clear:
            yield Step(
                "transport", "warning", "passwords travel in clear text to the directory",
                "use ldaps:// in CLOUDSITE_LDAP_URL, or CLOUDSITE_LDAP_START_TLS=yes",
            )
        from apps.identity.directory.connection import connected

        with connected(config) as connection:
            yield Step("bind", "ok", f"{' '.join(config.urls)} answers to {config.bind_dn or 'nobody in particular'}")
            yield from _users(connection, config)
            yield from _groups(connection, config)
    except CloudError as error:
        yield Step(error.code.rpartition(".")[2], "fault", error.message, str(error.facts.get("fix", "")))


def _users(connection: Any, config: Config) -> Iterator[Step]:
    from apps.identity.directory import entries

    now, wanted = clock.now(), entries.user_attributes(config)
    for base in config.user_bases:
        def parse(dn: str, attributes: "Attributes") -> object:
            return entries.user_entry(config, dn, attributes, now)

        yield _first_page("users", connection, config, base, config.user_filter, wanted, parse)


def _groups(connection: Any, config: Config) -> Iterator[Step]:
    from apps.identity.directory import entries

    wanted = entries.group_attributes(config, members=False)
    for base in config.group_bases:
        def parse(dn: str, attributes: "Attributes") -> object:
            return entries.group_entry(config, dn, attributes)

        yield _first_page("groups", connection, config, base, config.group_filter, wanted, parse)


def _first_page(
    what: str, connection: Any, config: Config, base: str, query: str, wanted: list[str],
    parse: "Callable[[str, Attributes], object]",
) -> Step:
    from apps.identity.directory.connection import PAGE, pages
    from apps.identity.directory.entries import Unfit

    found, problems = next(pages(connection, config, base, query, wanted)), []
    for dn, attributes in found:
        try:
            parse(dn, attributes)
        except Unfit as error:
            problems.append(str(error))
    if not found:
        verdict: Literal["warning", "fault"] = "fault" if what == "users" else "warning"
        name = what[:-1].upper()
        return Step(what, verdict, f"there are no {what} below {base} with {query}", f"correct CLOUDSITE_LDAP_{name}_BASE or CLOUDSITE_LDAP_{name}_FILTER")
    count = f"{len(found)} {what}" if len(found) < PAGE else f"{PAGE} {what} or more"
    if problems:
        return Step(what, "warning", f"{count} below {base}, of which {len(problems)} are left out: {problems[0]}", "correct these entries, or the filter")
    return Step(what, "ok", f"{count} below {base}")
