"""As whom operators press buttons here: things of projects are made and changed in these projects."""

import dataclasses
import uuid

from apps.common.context import Actor


def working_in(actor: Actor, project_id: uuid.UUID | None) -> Actor:
    """The operator, working in the project that something is of, or in none."""
    return dataclasses.replace(actor, project_id=project_id)
