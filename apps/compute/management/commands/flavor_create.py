"""manage.py flavor_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.compute.api import serializers
from apps.compute.services import catalog
from apps.hosts.commands import pairs
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Make a flavor: a size of instances, and what their hosts must be like."
    examples = (
        "small --vcpus 1 --memory-mb 2048 --disk-gb 20",
        "fast --vcpus 4 --memory-mb 8192 --disk-gb 40 --trait HW_CPU_X86_AVX2 --forbid STORAGE_DISK_HDD --host-metadata disk=nvme",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--vcpus", type=whole(1, 65_536), required=True)
        parser.add_argument("--memory-mb", type=whole(1, 1024**3), required=True, help="MiB")
        parser.add_argument("--disk-gb", type=whole(0, 1024**2 * 16), required=True, help="GiB; 0: the image's own size")
        parser.add_argument("--trait", action="append", default=[], metavar="NAME", help="that its hosts have; may be repeated")
        parser.add_argument("--forbid", action="append", default=[], metavar="NAME", help="trait that they have not; may be repeated")
        parser.add_argument(
            "--host-metadata", action="append", default=[], metavar="NAME=VALUE", help="that one of their aggregates has; may be repeated"
        )

    def work(self, **options: Any) -> int:
        made = catalog.create_flavor(
            actor=shell(), name=options["name"], vcpus=options["vcpus"], memory_mb=options["memory_mb"], disk_gb=options["disk_gb"],
            required_traits=options["trait"], forbidden_traits=options["forbid"], host_metadata=pairs(options["host_metadata"]),
        )
        if self.as_json:
            self.emit(serializers.flavor(made))
        else:
            self.say(f"The flavor {made.name} is there ({made.pk}).", "green")
        return DONE
