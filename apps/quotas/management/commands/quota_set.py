"""manage.py quota_set"""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.quotas.commands import add_owner, owner_of, shown
from apps.quotas.resources import RESOURCES
from apps.quotas.services import limits


class Command(CloudCommand):
    help = (
        "Set limits of a project, of all projects of a domain together, or of every project that has none of its own.\n"
        "-1 is unlimited, `default` goes back. What is used already stays, even if it is more.\n"
        f"Resources: {', '.join(RESOURCES)}."
    )
    examples = (
        "--project demo instances=50 vcpus=100", "--project demo instances=default", "--domain Default memory_mb=1000000",
        "--default instances=10 image_bytes=-1",
    )

    def options(self, parser: ArgumentParser) -> None:
        add_owner(parser, "every project that has no limit of its own")
        parser.add_argument("limits", metavar="RESOURCE=LIMIT", nargs="+", type=_limit)

    def work(self, **options: Any) -> int:
        wanted: dict[str, int | None] = dict(options["limits"])
        actor = shell()
        if options["default"]:
            limits.set_defaults(actor=actor, limits=wanted)
        else:
            limits.set_limits(actor=actor, owner_id=owner_of(actor, options), limits=wanted)
        if self.as_json:
            self.emit(shown(actor, options))
        else:
            self.say(f"Set: {', '.join(f'{name}={_words(limit)}' for name, limit in wanted.items())}.", "green")
        return DONE


def _limit(text: str) -> tuple[str, int | None]:
    name, equals, value = text.partition("=")
    if name not in RESOURCES:
        raise ArgumentTypeError(f"there is no resource {name!r}; expected one of {', '.join(RESOURCES)}")
    if value == "default":
        return name, None
    if not equals or not value.removeprefix("-").isdecimal() or not value.isascii():
        raise ArgumentTypeError(f"expected {name}=NUMBER, {name}=-1 or {name}=default, got {text!r}")
    return name, int(value)


def _words(limit: int | None) -> str:
    return "default" if limit is None else "unlimited" if limit == -1 else str(limit)
