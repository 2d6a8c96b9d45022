"""Enrolment: a host becomes known by its public key, and gets the file that its agent needs."""

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common import keys
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid
from apps.hosts.models import Host
from apps.hosts.services import deltas, zones
from apps.identity import policy
from contracts.envelope import Sealer

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")


@dataclass(frozen=True)
class Enrolled:
    """A new host and its private key (hex), which is kept nowhere on this side."""

    host: Host
    private_key: str


def enrol(*, actor: Actor, name: str, zone: str = zones.DEFAULT, renew: bool = False) -> Enrolled:
    """Make a host known, in a zone that is there. `renew` gives one that is known a new key, and the old one is void at once;
    it stays in its zone.

    Raises Forbidden, Invalid, Conflict.
    """
    policy.require(actor, "hosts.host.enrol")
    if not _NAME.fullmatch(name):
        raise Invalid("host.name", "name: expected 1 to 63 letters, digits, dots and dashes.", field="name")
    sealer = Sealer.generate()
    key = {"public_key": sealer.public.hex(), "key_id": sealer.public.id}
    try:
        with transaction.atomic():
            if renew and Host.objects.filter(name=name).update(**key):
                host, changes = Host.objects.get(name=name), {"key_id": sealer.public.id}
            else:
                zones.require(zone)
                host, changes = Host.objects.create(name=name, zone=zone, **key), {"zone": zone, "key_id": sealer.public.id}
                deltas.note([host.pk])
            record.write(actor, "hosts.host.enrol", "host", host.pk, name=name, changes=changes)
    except IntegrityError:
        raise Conflict("host.exists", f"A host named {name} is enrolled already; --renew gives it a new key.", field="name") from None
    return Enrolled(host, sealer.private_hex())


@transaction.atomic
def enrol_many(*, actor: Actor, names: list[str], zone: str = zones.DEFAULT, renew: bool = False) -> list[Enrolled]:
    """All of them or none. Raises what `enrol` raises."""
    return [enrol(actor=actor, name=name, zone=zone, renew=renew) for name in names]


def agent_config(*, enrolled: list[Enrolled], state_dir: str, driver: str, **more: Any) -> dict[str, Any]:
    """The content of an agent's configuration file; `more` are further fields of `agent.config.Config`."""
    return {
        "hosts": [{"id": str(e.host.pk), "name": e.host.name, "private_key": e.private_key} for e in enrolled],
        "control_key": keys.control().public.hex(),
        "broker_url": settings.ENV.broker_url,
        "state_dir": state_dir,
        "driver": driver,
        **more,
    }


def write_config(path: Path, config: dict[str, Any]) -> None:
    """Write it so that only its owner can read it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    scratch.touch(mode=0o600)
    scratch.write_text(json.dumps(config, indent=2) + "\n")
    scratch.replace(path)
