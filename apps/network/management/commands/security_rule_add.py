"""manage.py security_rule_add"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.api import group_shapes as shapes
from apps.network.services import groups


class Command(CloudCommand):
    help = "Allow something more to all members of a security group, at once."
    examples = ("web ingress tcp --first 80", "web ingress tcp --first 5432 --from-group app", "web egress any --family 6 --cidr 2001:db8::/32", "web ingress icmp --first 8")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("group", metavar="GROUP")
        parser.add_argument("direction", choices=["ingress", "egress"])
        parser.add_argument("protocol", metavar="PROTOCOL", help="tcp, udp, icmp, icmpv6 …, a number, or any")
        parser.add_argument("--family", type=int, choices=[4, 6], default=4, help="default: %(default)s")
        parser.add_argument("--first", type=int, metavar="PORT", help="the lowest port, or the ICMP type")
        parser.add_argument("--last", type=int, metavar="PORT", help="the highest port (default: --first), or the ICMP code")
        side = parser.add_mutually_exclusive_group()
        side.add_argument("--cidr", default="", metavar="RANGE", help="the other side; default: anybody")
        side.add_argument("--from-group", default="", metavar="GROUP", help="the other side: all members of this group")
        parser.add_argument("--description", default="")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        group = commands.group_of(actor, options["group"])
        made = groups.add_rule(
            actor=actor, group_id=group.pk, direction=options["direction"], family=options["family"], protocol=options["protocol"],
            first=options["first"], last=options["last"], cidr=options["cidr"], description=options["description"],
            remote_group_id=commands.group_of(actor, options["from_group"]).pk if options["from_group"] else None,
        )
        shown = shapes.rule(made)
        if self.as_json:
            self.emit(shown)
        else:
            self.say(f"{group.name}: {made.direction} IPv{made.family} {shapes.ports_text(shown)} ({made.pk})", "green")
        return DONE
