"""manage.py provider_trait_set"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.errors import Invalid
from apps.identity.commands import shell
from apps.placement import selectors
from apps.placement.api.serializers import provider
from apps.placement.services import traits


class Command(CloudCommand):
    help = "Give traits to a host or another resource provider, and take them back. What its host reports stays."
    examples = ("hv1 --add CUSTOM_GOLD", "hv1 --remove CUSTOM_GOLD --add CUSTOM_SILVER")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", help="name or id; a host's is the host's")
        parser.add_argument("--add", action="append", default=[], metavar="NAME", help="may be repeated")
        parser.add_argument("--remove", action="append", default=[], metavar="NAME", help="may be repeated")

    def work(self, **options: Any) -> int:
        if not options["add"] and not options["remove"]:
            raise Invalid("command.nothing", "Say what to change: --add NAME, --remove NAME.")
        row = selectors.provider_called(actor=shell(), name=options["provider"])
        wanted = ({each.name for each in row.traits.all()} - set(options["remove"])) | set(options["add"])
        traits.set_of(actor=shell(), provider_id=row.pk, generation=row.generation, names=wanted)
        shown = provider(selectors.provider(actor=shell(), provider_id=row.pk))
        if self.as_json:
            self.emit(shown)
        else:
            own = [name for name in shown["traits"] if name not in shown["reported_traits"]]
            self.say(f"{row.name} has {', '.join(own) or 'no traits of its own'}, and {len(shown['reported_traits'])} that it reports.", "green")
        return DONE
