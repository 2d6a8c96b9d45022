"""manage.py subnet_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.api import network_shapes as shapes
from apps.network.services import routers, subnets
from apps.network.states import Ipv6Mode


class Command(CloudCommand):
    help = "Create a subnet, IPv4 or IPv6, in a network."
    examples = ("backend 10.8.0.0/24", "backend 10.9.0.0/24 --gateway none --pool 10.9.0.10-10.9.0.99", "backend fd12:3456::/64 --slaac --router edge")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("network", metavar="NETWORK")
        parser.add_argument("cidr", metavar="RANGE")
        parser.add_argument("--name", default="")
        parser.add_argument("--gateway", default="", metavar="ADDRESS", help="default: the first address; `none`: none")
        parser.add_argument("--pool", action="append", type=commands.span, metavar="FIRST-LAST", help="given from; may be repeated; default: all")
        parser.add_argument("--dns", action="append", default=[], metavar="ADDRESS", help="may be repeated")
        parser.add_argument("--route", action="append", default=[], type=commands.route, metavar="RANGE=ADDRESS", help="told to guests; may be repeated")
        parser.add_argument("--no-dhcp", action="store_true")
        parser.add_argument("--slaac", action="store_true", help="IPv6: guests make their own addresses; default: DHCPv6")
        parser.add_argument("--router", default="", metavar="NAME", help="attach it to this router")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        network = commands.network_of(actor, options["network"])
        router = commands.router_of(actor, options["router"]) if options["router"] else None
        made = subnets.create(
            actor=actor, network_id=network.pk, cidr=options["cidr"], name=options["name"],
            gateway=None if options["gateway"] == "none" else options["gateway"], pools=options["pool"], dns=options["dns"],
            routes=options["route"], dhcp=not options["no_dhcp"], ipv6_mode=Ipv6Mode.SLAAC.value if options["slaac"] else "",
        )
        if router is not None:
            routers.attach(actor=actor, router_id=router.pk, subnet_id=made.pk)
        if self.as_json:
            self.emit(shapes.subnet(made))
        else:
            self.say(f"{made.cidr} ({made.pk}) is in {network.name}, gateway {made.gateway or 'none'}.", "green")
        return DONE
