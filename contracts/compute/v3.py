"""Commands about images on hosts and snapshots of instances, version 3; those about instances themselves are in `v1` and `v2`."""

import msgspec

from contracts.compute.v1 import Image


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Copy the instance's disk as it is at one moment, and send the copy to `upload_url` (signed and short-lived). `must_freeze`:
    only if the file systems of a running guest are at rest at that moment."""

    instance_id: str
    image_id: str
    upload_url: str
    must_freeze: bool = False


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `Snapshot`: the copy is with the control plane. `sha256` in hex; `frozen`: the guest's file systems were at
    rest at that moment, so that it is as clean as after a shutdown."""

    image_id: str
    sha256: str
    size_bytes: int
    frozen: bool = False


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """Have the image in the host's cache before anybody wants it."""

    image: Image


class CachedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image in a host's cache; the result of `Seed`. `last_used` in Unix seconds; `in_use`: an instance has it as its base,
    so that it is not dropped."""

    sha256: str
    size_bytes: int
    last_used: float = 0.0
    in_use: bool = False
