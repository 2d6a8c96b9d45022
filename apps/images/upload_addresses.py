"""Short-lived signed addresses to which hosts send the content of snapshots; each is good for one image, and for nothing else."""

import time
import uuid

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

_SALT = "cloudsite.images.saved"


def sign(image_id: uuid.UUID, *, expires: int) -> str:
    """The address to which an image's content may be sent until `expires` (Unix seconds)."""
    return f"{settings.ENV.public_url}/api/v1/images/{image_id}/saved?expires={expires}&signature={_mac(image_id, expires)}"


def check(image_id: uuid.UUID, expires: str, signature: str) -> bool:
    """Whether the address was signed by us and is still good."""
    if not expires.isdecimal() or len(expires) > 12 or int(expires) < time.time():
        return False
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(constant_time_compare(signature, _mac(image_id, int(expires), key)) for key in keys)


def _mac(image_id: uuid.UUID, expires: int, key: str | None = None) -> str:
    return salted_hmac(_SALT, f"{image_id}/{expires}", secret=key, algorithm="sha256").hexdigest()
