"""The life of an image, who sees it, and what it may be."""

import enum

from apps.common.states import table


class ImageState(enum.StrEnum):
    """QUEUED has no data yet, SAVING is being uploaded, IMPORTING gets its data by an operation; only ACTIVE boots. The data of
    a DEACTIVATED one are kept, and given to nobody."""

    QUEUED = "queued"
    SAVING = "saving"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    DELETED = "deleted"


class Visibility(enum.StrEnum):
    """PRIVATE: the project's own. SHARED: also of its members who accepted. COMMUNITY: of whoever knows the id or asks for such
    ones. PUBLIC: in everybody's list."""

    PRIVATE = "private"
    SHARED = "shared"
    COMMUNITY = "community"
    PUBLIC = "public"


class MemberStatus(enum.StrEnum):
    """What a project says to an image that is shared with it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ImageFormat(enum.StrEnum):
    """AMI: a root file system without a partition table, which boots with a kernel image."""

    QCOW2 = "qcow2"
    RAW = "raw"
    VMDK = "vmdk"
    VDI = "vdi"
    VHDX = "vhdx"
    AMI = "ami"
    KERNEL = "kernel"
    RAMDISK = "ramdisk"


# Hosts take these; the others are converted first.
BOOTABLE = frozenset({ImageFormat.QCOW2, ImageFormat.RAW, ImageFormat.AMI})
# In these states an image has its content.
WHOLE = (ImageState.ACTIVE, ImageState.DEACTIVATED)
MOST_MEMBERS, MOST_TAGS, LONGEST_TAG = 128, 128, 255

MACHINE = table(
    {
        ImageState.QUEUED: [ImageState.SAVING, ImageState.IMPORTING, ImageState.DELETED],
        ImageState.SAVING: [ImageState.ACTIVE, ImageState.QUEUED, ImageState.DELETED],
        ImageState.IMPORTING: [ImageState.ACTIVE, ImageState.QUEUED, ImageState.DELETED],
        ImageState.ACTIVE: [ImageState.DEACTIVATED, ImageState.DELETED],
        ImageState.DEACTIVATED: [ImageState.ACTIVE, ImageState.DELETED],
        ImageState.DELETED: [],
    }
)
