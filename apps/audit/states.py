"""What came of it."""

import enum


class Decision(enum.StrEnum):
    """ALLOWED: done, in the same transaction as the record. REFUSED: nothing changed."""

    ALLOWED = "allowed"
    REFUSED = "refused"
