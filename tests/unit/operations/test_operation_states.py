"""The life of an operation, as data."""

import pytest

from apps.operations.kinds import Kind, Step, all_kinds, kind_of, register
from apps.operations.states import MACHINE, OPEN, OPEN_VALUES, OpState

CLOSED = set(OpState) - set(OPEN)


def test_every_state_has_a_row() -> None:
    assert set(MACHINE) == {state.value for state in OpState}


def test_out_of_a_closed_state_nothing_leads() -> None:
    assert {state for state, targets in MACHINE.items() if not targets} == {state.value for state in CLOSED}


@pytest.mark.parametrize("state", OPEN)
def test_out_of_every_open_state_every_way_out_is_open(state: OpState) -> None:
    assert {closed.value for closed in CLOSED} <= MACHINE[state]


@pytest.mark.parametrize("state", [state for state in OPEN if state is not OpState.QUEUED])
def test_what_a_host_has_can_become_overdue_and_go_back_to_the_scheduler(state: OpState) -> None:
    assert state is OpState.OVERDUE or OpState.OVERDUE in MACHINE[state]
    assert OpState.QUEUED in MACHINE[state]


def test_what_waits_for_a_scheduler_was_never_on_a_host() -> None:
    assert OpState.OVERDUE not in MACHINE[OpState.QUEUED]
    assert OpState.RUNNING not in MACHINE[OpState.QUEUED]


def test_open_is_what_the_constraint_says() -> None:
    from apps.operations.models import Operation

    constraint = next(c for c in Operation._meta.constraints if c.name.endswith("one_open"))
    assert set(constraint.condition.children[0][1]) == set(OPEN_VALUES)  # type: ignore[attr-defined]


def test_every_kind_has_steps_with_a_timeout_that_is_a_setting() -> None:
    from django.conf import settings

    assert all_kinds()
    for kind in all_kinds():
        assert kind.steps
        assert len({step.name for step in kind.steps}) == len(kind.steps)
        for step in kind.steps:
            assert getattr(settings.ENV, step.timeout) > 0
            assert kind.step(step.name) is step


def test_every_kind_knows_what_to_do_with_every_answer() -> None:
    for kind in all_kinds():
        for name in ("done", "failed", "observed", "unanswered", "observe"):
            assert callable(getattr(kind.handler, name)), f"{kind.name} lacks {name}"


def test_a_kind_is_registered_once() -> None:
    known = kind_of("instance.build")
    with pytest.raises(ValueError, match="registered twice"):
        register(Kind("instance.build", "instance", (Step("x", "compute", "t", "build_timeout_s"),), known.handler))
    assert kind_of("instance.build") is known
