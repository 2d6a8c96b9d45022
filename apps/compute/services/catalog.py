"""Flavors and key pairs."""

import base64
import binascii
import hashlib
import uuid
from collections.abc import Collection, Mapping

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name, check_texts
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid
from apps.compute import selectors
from apps.compute.models import Flavor, KeyPair
from apps.identity import policy
from apps.placement.services import traits

# A flavor names at most so many of each.
_MOST_TRAITS = 64
_KEY_KINDS = (
    "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)


def create_flavor(
    *, actor: Actor, name: str, vcpus: int, memory_mb: int, disk_gb: int, required_traits: Collection[str] = (),
    forbidden_traits: Collection[str] = (), host_metadata: Mapping[str, str] | None = None,
) -> Flavor:
    """A size, and what hosts of its instances must be like: traits that they have and have not, and metadata (text → text) that
    one of their aggregates each has.

    Raises Forbidden, Invalid, Conflict.
    """
    policy.require(actor, "compute.flavor.create")
    check_name(name, most=64)
    for field, value, least in (("vcpus", vcpus, 1), ("memory_mb", memory_mb, 1), ("disk_gb", disk_gb, 0)):
        if value < least:
            raise Invalid("flavor.size", f"{field}: expected {least} or more, got {value}.", field=field)
    check_texts(host_metadata or {}, field="host_metadata", code="flavor.host_metadata")
    sizes = {"vcpus": vcpus, "memory_mb": memory_mb, "disk_gb": disk_gb}
    needs = {"required_traits": sorted(set(required_traits)), "forbidden_traits": sorted(set(forbidden_traits))}
    try:
        with transaction.atomic():
            _hold_traits(needs)
            flavor = Flavor.objects.create(name=name, **sizes, **needs, host_metadata=dict(host_metadata or {}))
            told = {field: tuple(names) for field, names in needs.items() if names}
            changes = {**sizes, **told, **({"host_metadata": dict(host_metadata)} if host_metadata else {})}
            record.write(actor, "compute.flavor.create", "flavor", flavor.pk, name=name, changes=changes)
            return flavor
    except IntegrityError:
        raise Conflict("flavor.exists", f"There is a flavor named {name!r} already.", field="name") from None


def _hold_traits(needs: Mapping[str, list[str]]) -> None:
    """Raises Invalid `trait.unknown`, `flavor.traits`."""
    for field, names in needs.items():
        if len(names) > _MOST_TRAITS:
            raise Invalid("flavor.traits", f"{field}: at most {_MOST_TRAITS} traits, got {len(names)}.", field=field)
    if both := sorted(set(needs["required_traits"]) & set(needs["forbidden_traits"])):
        raise Invalid("flavor.traits", f"forbidden_traits: {both[0]} is required as well; no host could do.", field="forbidden_traits")
    for field, names in needs.items():
        try:
            traits.hold(names)
        except Invalid as error:
            raise Invalid(error.code, f"{field}: {error.message}", field=field) from None


def delete_flavor(*, actor: Actor, flavor_id: uuid.UUID) -> None:
    """Instances keep their flavor's numbers. Raises Forbidden, NotFound."""
    policy.require(actor, "compute.flavor.delete")
    flavor = selectors.flavor(actor=actor, flavor_id=flavor_id)
    with transaction.atomic():
        flavor.delete()
        record.write(actor, "compute.flavor.delete", "flavor", flavor_id, name=flavor.name)


def create_key_pair(*, actor: Actor, name: str, public_key: str) -> KeyPair:
    """Take in a public key in OpenSSH's form. Raises Forbidden, Invalid, Conflict."""
    policy.require(actor, "compute.key_pair.create")
    if actor.user_id is None:
        raise Invalid("auth.user_needed", "A key pair belongs to a user, and nobody is signed in.")
    check_name(name, most=64)
    public_key = public_key.strip()
    fingerprint = fingerprint_of(public_key)
    try:
        with transaction.atomic():
            made = KeyPair.objects.create(user_id=actor.user_id, name=name, public_key=public_key, fingerprint=fingerprint)
            record.write(
                actor, "compute.key_pair.create", "key_pair", made.pk, project_id=actor.project_id, name=name,
                changes={"fingerprint": fingerprint},
            )
            return made
    except IntegrityError:
        raise Conflict("key_pair.exists", f"You have a key pair named {name!r} already.", field="name") from None


def delete_key_pair(*, actor: Actor, name: str) -> None:
    """Raises Forbidden, NotFound."""
    found = selectors.key_pair(actor=actor, name=name, permission="compute.key_pair.delete")
    key = found.pk  # gone from the row once it is deleted
    with transaction.atomic():
        found.delete()
        record.write(
            actor, "compute.key_pair.delete", "key_pair", key, project_id=actor.project_id, name=name,
            changes={"fingerprint": [found.fingerprint, None]},
        )


def fingerprint_of(public_key: str) -> str:
    """As `ssh-keygen -l` shows it. Raises Invalid."""
    parts = public_key.split(None, 2)
    if len(parts) < 2 or parts[0] not in _KEY_KINDS or "\n" in public_key:
        raise Invalid("key_pair.public_key", "public_key: expected one line such as `ssh-ed25519 AAAA… comment`.", field="public_key")
    try:
        raw = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("key_pair.public_key", "public_key: the key itself is not base64.", field="public_key") from None
    # The blob repeats its own type; a key that was cut in the middle of copying does not.
    if raw[4 : 4 + len(parts[0])] != parts[0].encode():
        raise Invalid("key_pair.public_key", f"public_key: this is not a {parts[0]} key.", field="public_key")
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def forget_users(user_ids: Collection[uuid.UUID]) -> None:
    """Key pairs go with the users whose they are; instances keep the keys that they have. Told by identity."""
    KeyPair.objects.filter(user_id__in=list(user_ids)).delete()
