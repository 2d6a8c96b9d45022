"""manage.py scheduling_explain"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import TYPE_CHECKING, Any

from apps.common import ids
from apps.common.commands import DONE, FAILED, CloudCommand, whole
from apps.common.errors import Invalid, NotFound
from apps.compute import commands
from apps.compute.api import dry_run as answers
from apps.compute.services import dry_run
from apps.identity.commands import actor_of, add_project, shell
from apps.network import selectors as networks
from apps.scheduler import commands as server_groups
from apps.scheduler import selectors as scheduler
from apps.scheduler.api import decision_shapes as shapes
from apps.scheduler.explain.tables import tables

if TYPE_CHECKING:
    from apps.scheduler.models import Decision


class Command(CloudCommand):
    help = (
        "Say why an instance is on its host, or on none; or, with --flavor or --resource instead, which host one would get at this "
        "moment, and why. Nothing is claimed; exit code 1: none."
    )
    examples = (
        "web-1", "web-1 --all --hosts 1000", "0190… --json", "--flavor small --image debian-12 --zone west --count 10",
        "--resource VCPU=8 --resource MEMORY_MB=65536 --trait HW_CPU_X86_AVX2",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", metavar="INSTANCE|DECISION", nargs="?", help="an instance's id, or its name in --project; or a decision's id")
        parser.add_argument("--all", action="store_true", help="all decisions about the instance, not only the newest")
        parser.add_argument("--hosts", type=whole(1, 100_000), default=40, help="list so many hosts (default: %(default)s)")
        tried = parser.add_argument_group("instead of an instance")
        tried.add_argument("--flavor", default="", metavar="NAME")
        tried.add_argument("--resource", action="append", default=[], metavar="CLASS=AMOUNT", type=_amount, help="instead of a flavor; may be repeated")
        tried.add_argument("--image", default="", metavar="NAME", help="its properties say what hosts it runs on")
        tried.add_argument("--network", action="append", default=[], metavar="NAME", help="hosts must be plugged into what it runs on; may be repeated")
        tried.add_argument("--zone", default="")
        tried.add_argument("--server-group", default="", metavar="NAME", help="as if it became a member, by name or id")
        tried.add_argument("--host", action="append", default=[], metavar="NAME", help="on this one only; may be repeated: on one of these")
        tried.add_argument("--avoid-host", action="append", default=[], metavar="NAME", help="not on this one; may be repeated")
        tried.add_argument("--trait", action="append", default=[], metavar="NAME", help="that its host must have; may be repeated")
        tried.add_argument("--forbid-trait", action="append", default=[], metavar="NAME", help="that its host must not have; may be repeated")
        tried.add_argument("--count", type=whole(1, dry_run.MOST_AT_ONCE), default=1, help="so many equal ones")
        add_project(parser)

    def work(self, **options: Any) -> int:
        if bool(options["id"]) == bool(options["flavor"] or options["resource"]):
            raise Invalid("scheduling.subject", "Give an instance or a decision, or --flavor or --resource instead.", field="id")
        return self._stored(options) if options["id"] else self._tried(options)

    def _stored(self, options: dict[str, Any]) -> int:
        found = _found(options)
        if self.as_json:
            self.emit([shapes.decision(shell(), row) for row in found])
            return DONE
        if not found:
            self.say("No scheduler has looked at it, or that is forgotten by now.", "bright_black")
        for row in found:
            self.say(f"decision {row.pk}", "bold")
            self._print(row, options)
            self.say("")
        return DONE

    def _tried(self, options: dict[str, Any]) -> int:
        actor = actor_of(options)
        group = server_groups.group_of(actor, options["server_group"]) if options["server_group"] else None
        decisions = dry_run.dry_run(actor=actor, tried=dry_run.Tried(
            flavor=options["flavor"], resources=dict(options["resource"]) or None, image=options["image"], zone=options["zone"],
            network_ids=[networks.network_named(actor=actor, name=name).pk for name in options["network"]],
            required_traits=options["trait"], forbidden_traits=options["forbid_trait"], server_group_id=group.pk if group else None,
            hosts=options["host"], avoided_hosts=options["avoid_host"], count=options["count"],
        ))
        placed = sum(decision.host_id is not None for decision in decisions)
        if self.as_json:
            self.emit(answers.answer(actor, decisions))
        else:
            if len(decisions) > 1:
                self.say(f"{placed} of {len(decisions)} would get a host.", "bold")
            for row in answers.told(decisions):
                self._print(row, options)
        return DONE if placed == len(decisions) else FAILED

    def _print(self, row: Decision, options: dict[str, Any]) -> None:
        for each in tables(row, most_hosts=options["hosts"]):
            self.console.print(each)


def _found(options: dict[str, Any]) -> list[Decision]:
    if key := ids.parse(options["id"]):
        try:
            return [scheduler.decision(actor=shell(), decision_id=key)]
        except NotFound:
            pass  # then it is an instance's
    instance = commands.find(lambda: actor_of(options), options["id"], deleted=True)
    rows = scheduler.decisions(instance.pk)
    return rows if options["all"] else rows[:1]


def _amount(text: str) -> tuple[str, int]:
    name, _, amount = text.partition("=")
    if not name or not amount.isascii() or not amount.isdecimal() or not 0 < int(amount) < 2**31:
        raise ArgumentTypeError(f"expected a resource class and a whole number, as in VCPU=2, got {text!r}")
    return name, int(amount)
