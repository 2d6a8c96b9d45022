"""Words and limits of the object store. Pure data, no Django."""

import enum


class Versioning(enum.StrEnum):
    """NEVER: was never switched on. SUSPENDED: what was kept is kept, new objects take the place of the `null` version."""

    NEVER = ""
    ENABLED = "enabled"
    SUSPENDED = "suspended"


class ChecksumType(enum.StrEnum):
    """Of an object made of parts: of its bytes as a whole, or of the checksums of its parts."""

    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"


# The version of objects that were written while versioning was not enabled.
NULL = "null"
_MIB, _GIB, _TIB = 1024**2, 1024**3, 1024**4
KEY_MOST_BYTES = 1024
METADATA_MOST_BYTES = 2048
OBJECT_MOST_TAGS, BUCKET_MOST_TAGS = 10, 50
PUT_MOST_BYTES = 5 * _GIB
OBJECT_MOST_BYTES = 5 * _TIB
PART_LEAST_BYTES = 5 * _MIB
MOST_PARTS = 10_000
DELETE_MOST_KEYS = 1000
PAGE_MOST = 1000
