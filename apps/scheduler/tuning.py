"""How schedulers are set, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from apps.scheduler.weighers import WEIGHERS


@dataclass(frozen=True)
class Tuning:
    """`among`: the choice is made at random among so many of the best. `builds_per_host`: at once; 0: any number.
    `multipliers`: what each weigher counts, by its name. `failures_s`: so long a failed build speaks against its host."""

    among: int
    builds_per_host: int
    multipliers: Mapping[str, float]
    failures_s: float


def current() -> Tuning:
    """What the operator has set."""
    env = settings.ENV
    return Tuning(
        among=env.scheduler_among, builds_per_host=env.scheduler_builds_per_host, failures_s=60.0 * env.scheduler_failure_minutes,
        multipliers={each.name: getattr(env, f"scheduler_weight_{each.name}") for each in WEIGHERS},
    )
