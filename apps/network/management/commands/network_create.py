"""manage.py network_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project, shell
from apps.network import commands
from apps.network.api import network_shapes as shapes
from apps.network.services import networks
from apps.network.states import NetworkKind


class Command(CloudCommand):
    help = "Create a network; --whole adds subnets and a router, so that it works at once."
    examples = (
        "backend --cidr 10.7.0.0/24 --dns 9.9.9.9", "backend --whole", "lab --kind vlan --wire blue --segment 120 --shared --no-project",
        "internet --kind flat --wire uplink --external --default --no-project",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--cidr", default="", metavar="RANGE", help="a first subnet; with --whole the IPv4 one")
        parser.add_argument("--dns", action="append", default=[], metavar="ADDRESS", help="what guests ask; may be repeated")
        parser.add_argument("--default", action="store_true", help="what instances get that name none; of external ones: every router's way out")
        parser.add_argument("--whole", action="store_true", help="with an IPv4 and an IPv6 subnet and a router")
        parser.add_argument("--cidr6", default="", metavar="RANGE", help="with --whole: the IPv6 subnet, or `none`")
        parser.add_argument("--router", default="", metavar="NAME", help="with --whole: a router that is there")
        parser.add_argument("--kind", choices=[kind.value for kind in NetworkKind], help="default: of the first pool that has a segment")
        parser.add_argument("--wire", default="", metavar="NAME", help="for vlan and flat")
        parser.add_argument("--segment", type=int, help="VLAN id or VNI; default: one of a pool")
        parser.add_argument("--mtu", type=int, help="default: all that the kind carries")
        parser.add_argument("--shared", action="store_true", help="every project may plug in")
        parser.add_argument("--external", action="store_true", help="a way out for routers")
        parser.add_argument("--no-project", action="store_true", help="the operators' own, shared or external")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = shell() if options["no_project"] else actor_of(options)
        if options["whole"]:
            router = commands.router_of(actor, options["router"]).pk if options["router"] else None
            made, _, used = networks.create_whole(
                actor=actor, name=options["name"], cidr=options["cidr"], cidr6=None if options["cidr6"] == "none" else options["cidr6"],
                dns=options["dns"], router_id=router, is_default=options["default"],
            )
            also = f", behind the router {used.name}"
        else:
            made = networks.create(
                actor=actor, name=options["name"], kind=options["kind"] or "", physical_network=options["wire"],
                segment=options["segment"], mtu=options["mtu"], shared=options["shared"], external=options["external"],
                is_default=options["default"], cidr=options["cidr"], dns=options["dns"],
            )
            also = ""
        shown = shapes.network(actor, made)
        if self.as_json:
            self.emit(shown)
        else:
            ranges = ", ".join(subnet["cidr"] for subnet in shown["subnets"]) or "no subnet yet"
            self.say(f"{made.name} ({made.pk}): {made.kind} {made.segment or ''}, {ranges}{also}".replace(" ,", ","), "green")
        return DONE
