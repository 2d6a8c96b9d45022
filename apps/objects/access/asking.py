"""A question of access: who asks, for what, and what is known of the request."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

# The canonical id of who did not say who it is.
ANONYMOUS = "65a011a29cdf8ec533ec3d1ccaae921c"


@dataclass(frozen=True)
class Subject:
    """Who asks, and in which project it works. Nobody in particular has no `user_id`."""

    user_id: uuid.UUID | None = None
    user_name: str = ""
    project_id: uuid.UUID | None = None

    @property
    def canonical(self) -> str:
        return canonical(self.user_id)


NOBODY = Subject()


@dataclass(frozen=True)
class Owner:
    """Whose something is: the user who made it, working in this project."""

    user_id: uuid.UUID | None
    project_id: uuid.UUID | None

    @property
    def canonical(self) -> str:
        return canonical(self.user_id)

    def is_subject(self, subject: Subject) -> bool:
        """Who has left the project is its owner no more, nor is it by a key for another project."""
        return subject.user_id is not None and (subject.user_id, subject.project_id) == (self.user_id, self.project_id)


@dataclass(frozen=True, kw_only=True)
class Question:
    """May `subject` do `action` (`s3:GetObject` …) in this bucket? `key`: of the object, if it is about one.

    `facts`: of the request, by lower-case name (`aws:sourceip`); what follows from the subject is added by `known`.
    """

    subject: Subject
    action: str
    bucket: str
    key: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """As policies name it."""
        return f"arn:aws:s3:::{self.bucket}/{self.key}" if self.key else f"arn:aws:s3:::{self.bucket}"

    def known(self, now: datetime) -> dict[str, str]:
        """All that conditions and variables can ask about."""
        subject, facts = self.subject, dict(self.facts)
        facts |= {"aws:currenttime": now.isoformat(), "aws:epochtime": str(int(now.timestamp()))}
        if subject.user_id is None:
            return facts | {"aws:principaltype": "Anonymous"}
        facts |= {"aws:principaltype": "User", "aws:userid": subject.user_id.hex, "aws:username": subject.user_name}
        if subject.project_id is not None:
            facts["aws:principalaccount"] = subject.project_id.hex
            facts["aws:principalarn"] = f"arn:aws:iam::{subject.project_id.hex}:user/{subject.user_name}"
        return facts


def canonical(user_id: uuid.UUID | None) -> str:
    """How access lists name a user: its id in hex."""
    return ANONYMOUS if user_id is None else user_id.hex
