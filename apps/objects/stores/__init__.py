"""Where content is kept: behind one small interface, files of this machine or another S3 server.

An *area* is a store of its own kind of content (`objects`, `images`), so that nobody's sweep looks at what another context has.
"""

from functools import cache
from pathlib import Path

from django.conf import settings

from apps.objects.stores.base import Store


def store(area: str = "objects") -> Store:
    """The store of this area, as the settings say."""
    return _store(area, settings.ENV.object_store, Path(settings.OBJECTS_ROOT))


@cache
def _store(area: str, kind: str, root: Path) -> Store:
    if kind == "s3":
        from apps.objects.stores.s3 import S3  # boto3 is optional, and takes its time to load

        return S3(area)
    from apps.objects.stores.files import Files

    return Files(root / area)
