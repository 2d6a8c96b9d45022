"""What is too large for one envelope comes in parts: kept until all of them are here, then joined."""

import threading
from typing import Any, Final

import msgspec

from contracts.network import v2 as network

Body = network.State | network.Change

# Of one host. A set of which a part was lost is never whole: the control plane sends everything anew, and the oldest set goes.
MOST_SETS: Final = 4


class Parts:
    """Any thread may call."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        # Host → set → part → body; the set that was added to last comes last.
        self._sets: dict[str, dict[tuple[type, int, float], dict[int, Body]]] = {}

    def add(self, host_id: str, body: Body, issued_at: float) -> Body | None:
        """The whole, if no part of it is missing any more. `issued_at`: of the envelope, the same for all parts of one body."""
        if body.parts <= 1:
            return body
        key = type(body), body.generation, issued_at
        with self._mutex:
            sets = self._sets.setdefault(host_id, {})
            found = sets.pop(key, {})
            found[body.part] = body
            if len(found) == body.parts:
                return _joined([found[part] for part in sorted(found)])
            sets[key] = found
            while len(sets) > MOST_SETS:
                del sets[next(iter(sets))]
        return None


def _joined(parts: list[Body]) -> Body:
    joined: dict[str, Any] = {"objects": network.Objects(**_lists([each.objects for each in parts])), "part": 0, "parts": 1}
    left = [each.gone for each in parts if isinstance(each, network.Change)]
    if left:
        joined["gone"] = network.Gone(**_lists(left))
    return msgspec.structs.replace(parts[0], **joined)


def _lists(pieces: list[Any]) -> dict[str, list[Any]]:
    """Kind → all that the pieces have of it."""
    return {kind: [each for piece in pieces for each in getattr(piece, kind)] for kind in pieces[0].__struct_fields__}
