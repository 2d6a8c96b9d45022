"""manage.py network_hosts"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, FAILED, CloudCommand
from apps.common.errors import NotFound
from apps.identity.commands import shell
from apps.network.api import provider_shapes as shapes
from apps.network.selectors import hosts
from apps.network.services import tell


class Command(CloudCommand):
    help = "Show how far each host is with its networks, and what it could not bring about; ends with 1 if there is any such."
    examples = ("", "--json", "--tell-again hv7")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tell-again", metavar="HOST", help="send this host its whole state")

    def work(self, **options: Any) -> int:
        rows = hosts.host_networks(actor=shell())
        if name := options["tell_again"]:
            row = rows.filter(host_name=name).first()
            if row is None:
                raise NotFound("host.not_found", f"Host {name} has not said anything about its networking.", field="host")
            tell.tell_again(actor=shell(), host_id=row.pk)
            self.say(f"{name} is told its whole state.", "green")
        found = [shapes.host(row) for row in (rows.filter(host_name=name) if name else rows)]
        behind = [each for each in found if each["problems"] or each["lacking"]]
        if not self.as_json:
            for each in found:
                each["troubles"] = [f"{trouble['code']}: {trouble['message']}" for trouble in (*each["problems"], *each["lacking"])]
                each["state"] = "current" if each["up_to_date"] else "behind"
        self.show(
            found, "host_name", "state", "generation", "applied", "applied_at", "took_ms", "tunnel_address", "physical_networks", "troubles",
            nothing="No host has said anything about its networking.",
        )
        return FAILED if behind and not name else DONE
