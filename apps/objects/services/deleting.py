"""What deleting does to the versions of a key, within the transaction of a service."""

from collections.abc import Sequence

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import CloudError, Conflict
from apps.common.ids import new_id
from apps.objects.inputs import Condition, Deleted, Doomed
from apps.objects.models import Bucket, Version
from apps.objects.selectors.objects import version_id
from apps.objects.services import placing
from apps.objects.services.placing import Standing
from apps.objects.states import NULL, Versioning

# So many keys are locked, and deleted, in one transaction.
AT_ONCE = 100


def delete(
    actor: Actor, bucket: Bucket, key: str, version: str, condition: Condition | None = None
) -> tuple[Deleted, int]:
    """One, with its key locked: what came of it, and the bytes that are let go of. Raises Invalid, Conflict, NotFound."""
    standing = placing.look(bucket, key)
    if version:
        return _delete_version(bucket, standing, key, version, condition)
    placing.check(standing.latest, condition, key)
    if standing.versioning is Versioning.NEVER:
        return Deleted(key), placing.remove(bucket, standing, key, standing.latest) if standing.latest is not None else 0
    marker = Version(
        id=new_id(), bucket_id=bucket.pk, key=key, is_marker=True, project_id=actor.project_id, user_id=actor.user_id, created_at=clock.now()
    )
    less = placing.put_in(marker, standing)
    return Deleted(key, marker.version, is_marker=True), less


def delete_each(actor: Actor, bucket: Bucket, doomed: Sequence[Doomed]) -> tuple[list[Deleted | CloudError], int]:
    """Several, one after the other: what came of each, and the bytes that are let go of together."""
    placing.lock_many(bucket, [each.key for each in doomed])
    results: list[Deleted | CloudError] = []
    total = 0
    for each in doomed:
        try:
            condition = Condition(match=(each.etag,)) if each.etag else None
            deleted, less = delete(actor, bucket, each.key, each.version, condition)
        except CloudError as error:  # raised before anything was written
            results.append(error)
        else:
            results.append(deleted)
            total += less
    return results, total


def _delete_version(
    bucket: Bucket, standing: Standing, key: str, version: str, condition: Condition | None
) -> tuple[Deleted, int]:
    row = standing.null if version == NULL else placing.one(bucket, key, version_id(version))
    if row is None or row.version != version:
        return Deleted(key, version), 0
    if condition is not None and condition.match and not {"*", row.etag} & set(condition.match):
        raise Conflict("object.condition", f"This version of {key} is not the one that is expected.", condition="If-Match")
    less = placing.remove(bucket, standing, key, row)
    return Deleted(key, version, is_marker=row.is_marker), less
