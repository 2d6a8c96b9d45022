"""manage.py host_enroll"""

import ipaddress
import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.context import SYSTEM
from apps.hosts.services import enrol

# Fields of the agent's configuration that are simply passed on.
_PASSED_ON = ("bridge", "libvirt_uri", "ca_file", "threads", "tunnel_address", "vxlan_port")
_WIRE = re.compile(r"(?P<name>[^=:]{1,64})=(?P<bridge>[A-Za-z0-9_.-]{1,15})(:(?P<interface>[^:/\s]{1,15}))?")


class Command(CloudCommand):
    help = (
        "Make a host known and write the configuration file of its agent. The file holds the host's private key, which is\n"
        "kept nowhere else: bring it to the host by a safe way, mode 0600, and start `python -m agent --config FILE` there."
    )
    examples = (
        "hv7 --zone west --out hv7.json",
        "hv7 --renew --out hv7.json        # a new key; the old one is void within seconds",
        "hv8 --wire physnet1=br-ex:eth1 --out hv8.json  # with a physical network for VLANs and the way out",
        "lab --simulate 200 --out lab.json # 200 simulated hosts, lab-1 to lab-200, in one agent",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--zone", default="default", help="one that is there, see zone_list (default: %(default)s)")
        parser.add_argument("--renew", action="store_true", help="a host that is known gets a new key")
        parser.add_argument("--out", type=Path, metavar="FILE", help="where the configuration goes (default: standard output)")
        parser.add_argument(
            "--state-dir", default="state", metavar="DIR",
            help="the agent's own folder, on the host; relative to the file's (default: %(default)s)",
        )
        parser.add_argument("--driver", choices=("libvirt", "simulated"), help="default: libvirt, or simulated with --simulate")
        parser.add_argument("--simulate", type=whole(1, 5000), metavar="N", help="N simulated hosts in one agent, NAME-1 to NAME-N")
        parser.add_argument("--latency-ms", type=float, metavar="MS", help="how long simulated work takes")
        parser.add_argument("--failure-rate", type=float, metavar="0…1", help="how much of it fails")
        parser.add_argument(
            "--trait", action="append", default=[], metavar="NAME", help="of simulated hosts, such as HW_CPU_X86_AVX2; may be repeated"
        )
        for option, text in (
            ("--bridge", "Open vSwitch integration bridge"), ("--libvirt-uri", "default: qemu:///system"),
            ("--ca-file", "certificates to check the image server by"),
        ):
            parser.add_argument(option, help=text)
        parser.add_argument(
            "--wire", action="append", default=[], type=_wire, metavar="NAME=BRIDGE[:DEVICE]",
            help="a physical network that the host is plugged into: its name, the Open vSwitch bridge that leads there (made if it is\n"
            "missing), and the network device to put into it; may be repeated",
        )
        parser.add_argument("--tunnel-address", type=_address, metavar="ADDRESS", help="where other hosts send VXLAN (default: the host finds it)")
        parser.add_argument("--vxlan-port", type=whole(1, 65535), help="UDP port of VXLAN, the same on all hosts (default: 4789)")
        parser.add_argument("--threads", type=whole(1, 256), help="commands at work at once")
        parser.add_argument("--emulate", choices=("yes", "no"), help="never or always use KVM (default: probe)")

    def work(self, **options: Any) -> int:
        count = options["simulate"]
        names = [f"{options['name']}-{number}" for number in range(1, count + 1)] if count else [options["name"]]
        enrolled = enrol.enrol_many(actor=SYSTEM, names=names, zone=options["zone"], renew=options["renew"])
        driver = options["driver"] or ("simulated" if count else "libvirt")
        config = enrol.agent_config(enrolled=enrolled, state_dir=options["state_dir"], driver=driver, **_more(options))
        if options["out"] is None:
            self.stdout.write(json.dumps(config, indent=2))
            return DONE
        enrol.write_config(options["out"], config)
        if self.as_json:
            hosts = [{"id": str(each.host.pk), "name": each.host.name, "zone": each.host.zone} for each in enrolled]
            self.emit({"hosts": hosts, "file": str(options["out"])})
        else:
            self.say(f"{len(enrolled)} host{'s' if len(enrolled) > 1 else ''} enrolled: {options['out']}", "green")
            self.say(f"Start the agent there: python -m agent --config {options['out'].name}")
        return DONE


def _wire(text: str) -> tuple[str, dict[str, str]]:
    found = _WIRE.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r}: expected NAME=BRIDGE or NAME=BRIDGE:DEVICE, such as physnet1=br-ex:eth1")
    return found["name"], {"bridge": found["bridge"], "interface": found["interface"] or ""}


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ArgumentTypeError(f"{text!r}: expected an IP address") from None


def _more(options: dict[str, Any]) -> dict[str, Any]:
    more = {name: options[name] for name in _PASSED_ON if options[name] is not None}
    if options["wire"]:
        more["physical"] = dict(options["wire"])
    if options["emulate"]:
        more["emulate"] = options["emulate"] == "yes"
    simulated = {name: options[name] for name in ("latency_ms", "failure_rate") if options[name] is not None}
    if options["trait"]:
        simulated["traits"] = options["trait"]
    return {**more, "simulated": simulated} if simulated else more
