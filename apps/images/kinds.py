"""The kinds of operations on images, as data. Their steps are carried out by image workers of the control plane, or by hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from apps.images.names import CONVERT, IMPORT, SEED
from apps.images.services import caches, work
from apps.operations.kinds import Answer, Kind, Step
from contracts import topics

if TYPE_CHECKING:
    from apps.operations.models import Operation

MOST_ATTEMPTS = 3


class ByWorker:
    """No host has anything to say about these: workers end them themselves, or fall silent."""

    def done(self, answers: Sequence[Answer]) -> None:
        raise NotImplementedError

    def failed(self, answers: Sequence[Answer]) -> None:
        raise NotImplementedError

    def observed(self, answer: Answer) -> None:
        raise NotImplementedError

    def observe(self, operation: Operation) -> tuple[str, msgspec.Struct] | None:
        return None

    def unanswered(self, operation: Operation) -> None:
        work.unanswered(operation, MOST_ATTEMPTS)


KINDS = (
    Kind(
        IMPORT, "image", (Step("import", "images", topics.IMAGE_WORK, "image_queue_timeout_s"),), ByWorker(), max_attempts=MOST_ATTEMPTS
    ),
    Kind(
        CONVERT, "image", (Step("convert", "images", topics.IMAGE_WORK, "image_queue_timeout_s"),), ByWorker(), max_attempts=MOST_ATTEMPTS
    ),
    Kind(SEED, "cached_image", (Step("fetch", "compute", topics.COMPUTE_SEED, "transfer_timeout_s"),), caches.Seeding()),
)
