"""manage.py network_trace"""

import dataclasses
from argparse import ArgumentParser
from typing import Any

from rich.text import Text

from apps.common.commands import DONE, FAILED, CloudCommand, whole
from apps.identity.commands import actor_in, shell
from apps.network.selectors import trace
from apps.network.trace import Hop

_MARKS = {True: ("ok", "green"), False: ("NO", "bold red"), None: ("?", "yellow")}


class Command(CloudCommand):
    help = "Say hop by hop whether and why a port can talk to another port, or to an address. Exit code 1: it cannot."
    examples = ("web-1 db-1 --port 5432", "web-1 198.51.100.7 --protocol udp --port 53", "198.51.100.7 web-1 --port 443 --json")

    def options(self, parser: ArgumentParser) -> None:
        text = "a port: its id, MAC, name, its instance's name, or an address"
        parser.add_argument("source", metavar="SOURCE", help=text)
        parser.add_argument("target", metavar="TARGET", help=f"{text}; or an address outside")
        parser.add_argument("--protocol", default="", help="icmp, tcp, udp, sctp or a number (default: ping; tcp with --port)")
        parser.add_argument("--port", type=whole(0, 65535), help="destination port, or ICMP type")
        parser.add_argument("--family", type=int, choices=(4, 6), help="default: what both have, IPv4 before IPv6")
        parser.add_argument("--project", default="", metavar="NAME", help="look for names and addresses in this project only")

    def work(self, **options: Any) -> int:
        actor = actor_in(options["project"]) if options["project"] else shell()
        source = trace.port_of(actor=actor, text=options["source"])
        target = trace.port_of(actor=actor, text=options["target"])
        found = trace.trace(
            actor=actor, source=source, target=target, protocol=options["protocol"], port=options["port"], family=options["family"]
        )
        if self.as_json:
            self.emit(dataclasses.asdict(found))
        else:
            width = max(len(hop.name) for hop in found.hops)
            for hop in found.hops:
                self._print(hop, width)
            self.console.print(Text(found.summary, style={"open": "green", "closed": "bold red"}.get(found.verdict, "yellow")))
        return FAILED if found.verdict == "closed" else DONE

    def _print(self, hop: Hop, width: int) -> None:
        mark, style = _MARKS[hop.ok]
        line = Text(f"{mark:>2}  ", style=style).append(f"{hop.name:{width}}  ", style="bright_black").append(hop.detail, style="default")
        self.console.print(line)
        if hop.fix:
            self.console.print(Text(f"{'':{width + 6}}{hop.fix}", style="bright_black"))
