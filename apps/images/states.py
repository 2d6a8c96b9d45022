"""The life of an image."""

import enum

from apps.common.states import table


class ImageState(enum.StrEnum):
    """QUEUED has no data yet, SAVING is being uploaded, only ACTIVE boots."""

    QUEUED = "queued"
    SAVING = "saving"
    ACTIVE = "active"
    DELETED = "deleted"


MACHINE = table(
    {
        ImageState.QUEUED: [ImageState.SAVING, ImageState.DELETED],
        ImageState.SAVING: [ImageState.ACTIVE, ImageState.QUEUED, ImageState.DELETED],
        ImageState.ACTIVE: [ImageState.DELETED],
        ImageState.DELETED: [],
    }
)
