"""Rows → contracts.compute.v1.Image."""

import time

from apps.images import signing
from apps.images.models import Image
from apps.images.states import ImageFormat
from contracts.compute import v1

# Signed addresses are rounded up to this, so that many builds share one and its signature is made once.
_ROUND_S = 3600
# To a host a root file system is a disk like any other.
_ON_THE_WIRE = {ImageFormat.AMI.value: v1.DiskFormat.RAW}


def image(row: Image) -> v1.Image:
    """What a host needs to fetch and check the content; the address is good for one to two hours."""
    expires = (int(time.time()) // _ROUND_S + 2) * _ROUND_S
    disk_format = _ON_THE_WIRE.get(row.disk_format) or v1.DiskFormat(row.disk_format)
    return v1.Image(
        id=str(row.pk), url=signing.sign(row.pk, expires=expires), sha256=row.sha256, size_bytes=row.size_bytes or 0,
        disk_format=disk_format,
    )
