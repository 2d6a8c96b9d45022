"""What is left over: content of deleted objects, content of writers that died, uploads that were forgotten."""

import logging
import uuid
from datetime import timedelta

from django.conf import settings

from apps.common import clock
from apps.common.errors import Unavailable
from apps.objects.models import Garbage, Part, Version
from apps.objects.services import uploads
from apps.objects.stores import store

log = logging.getLogger(__name__)
_AT_ONCE, _ROUNDS = 500, 40
# A writer that died while its row was being committed may be followed by that commit; never by so much.
UNSETTLED_S = 60.0


def sweep() -> int:
    """One round of all of it; how many leftovers were removed."""
    removed = remove_garbage()
    settled, abandoned = store().sort_out(is_wanted, idle_s=UNSETTLED_S)
    if settled or abandoned:
        log.info("the object store had %d blob(s) to settle and %d of writers that died", settled, abandoned)
    expired = uploads.expire()
    if expired:
        log.info("%d forgotten upload(s) ended", expired)
    return removed + abandoned + expired


def remove_garbage() -> int:
    """Remove content that nothing refers to for `object_garbage_s` seconds; how many blobs."""
    removed = 0
    for _ in range(_ROUNDS):
        before = clock.now() - timedelta(seconds=settings.ENV.object_garbage_s)
        due = list(Garbage.objects.filter(at__lte=before).order_by("at").values_list("blob_id", flat=True)[:_AT_ONCE])
        gone = [blob_id for blob_id in due if _removed(blob_id)]
        Garbage.objects.filter(pk__in=gone).delete()
        removed += len(gone)
        if len(gone) < _AT_ONCE:
            break
    return removed


def is_wanted(blob_id: uuid.UUID) -> bool:
    """Whether a row refers to this blob."""
    return Version.objects.filter(pk=blob_id, parts_count=0).exists() or Part.objects.filter(pk=blob_id).exists()


def _removed(blob_id: uuid.UUID) -> bool:
    try:
        store().remove(blob_id)
    except Unavailable as error:
        log.warning("blob %s cannot be removed: %s", blob_id, error)
        return False
    return True
