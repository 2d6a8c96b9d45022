"""An answer of the API, whichever dialect it speaks."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """Status, headers, and the body as JSON where it is some."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def ok(self, status: int = 200) -> Any:
        """The body; an assertion unless the status is the expected one."""
        assert self.status == status, self.content[:500]
        return self.json if self.content else None
