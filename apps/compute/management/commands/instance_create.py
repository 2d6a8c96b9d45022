"""manage.py instance_create"""

import base64
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.common.commands import DONE, whole
from apps.common.context import SYSTEM
from apps.common.errors import Invalid
from apps.compute import selectors
from apps.compute.api import rendering
from apps.compute.api.serializers import USER_DATA_BYTES
from apps.compute.services import create
from apps.compute.services.cards import WantedCard
from apps.identity.commands import actor_in, add_project
from apps.network import selectors as networks
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand
from apps.scheduler import commands as server_groups


class Command(OperationCommand):
    help = "Create one instance, or with --count several equal ones."
    examples = (
        "--name web --flavor small --image demo --wait",
        "--name node --flavor tiny --image demo --count 20 --zone west",
        "--name gate --flavor small --image demo --network front --network back --group web",
        "--name db --flavor small --image demo --count 3 --server-group db --avoid-host hv-7",
        "--name web --flavor small --image debian-12 --key laptop --user ann --user-data cloud-init.yaml --json",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--flavor", required=True, metavar="NAME")
        parser.add_argument("--image", required=True, metavar="NAME")
        parser.add_argument("--count", type=whole(1, settings.ENV.max_batch), default=1)
        parser.add_argument(
            "--network", action="append", default=[], metavar="NAME", help="one for each card; default: the project's default network"
        )
        parser.add_argument("--group", action="append", metavar="NAME", help="security group, instead of the default one; may be repeated")
        parser.add_argument("--key", default="", metavar="NAME", help="a key pair of --user")
        parser.add_argument("--user", default="", metavar="NAME", help="in whose name")
        parser.add_argument("--user-data", type=Path, metavar="FILE", help="for cloud-init")
        parser.add_argument("--metadata", action="append", default=[], metavar="NAME=VALUE")
        parser.add_argument("--zone", default="")
        parser.add_argument("--server-group", default="", metavar="NAME", help="that it becomes a member of, by name or id")
        parser.add_argument("--host", action="append", default=[], metavar="NAME", help="on this one only; may be repeated: on one of these")
        parser.add_argument("--avoid-host", action="append", default=[], metavar="NAME", help="not on this one; may be repeated")
        parser.add_argument("--trait", action="append", default=[], metavar="NAME", help="that its host must have; may be repeated")
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        actor = actor_in(options["project"], user=options["user"])
        found = [networks.network_named(actor=actor, name=name) for name in options["network"]]
        group = server_groups.group_of(actor, options["server_group"]) if options["server_group"] else None
        wanted = create.Wanted(
            name=options["name"], flavor=options["flavor"], image=options["image"], count=options["count"],
            networks=[WantedCard(network_id=network.pk) for network in found], security_groups=options["group"], key_name=options["key"], user_data=_user_data(options["user_data"]),
            metadata=_metadata(options["metadata"]), zone=options["zone"], server_group_id=group.pk if group else None,
            required_traits=options["trait"], hosts=options["host"], avoided_hosts=options["avoid_host"],
        )
        made = create.create(actor=actor, wanted=wanted)
        operations, instances = made.operations, made.instances
        if options["wait"]:
            operations = self.wait_for(operations, timeout=options["timeout"], text=f"building {options['name']}")
            instances = [selectors.known_instance(actor=actor, instance_id=instance.pk) for instance in instances]
        shown = rendering.instances(SYSTEM, instances)
        if self.as_json:
            rows = serializers.operations(SYSTEM, serializers.rows_of(operations))
            self.emit({"instances": shown, "operations": rows})
        else:
            rows = [{**row, "address": [each["address"] for each in row["addresses"]]} for row in shown]
            self.show(rows, "id", "name", "state", "address", "host_name", nothing="")
        return self.verdict(operations) if options["wait"] else DONE


def _user_data(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Invalid("instance.user_data", f"{path}: {error.strerror}", field="user_data") from error
    if len(raw) > USER_DATA_BYTES:
        raise Invalid("instance.user_data", f"{path} has {len(raw)} bytes; at most {USER_DATA_BYTES} are taken.", field="user_data")
    return base64.b64encode(raw).decode()


def _metadata(given: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in given)
    if "" in pairs:
        raise Invalid("instance.metadata", "--metadata: expected NAME=VALUE.", field="metadata")
    return pairs
