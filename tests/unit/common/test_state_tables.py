"""State machines: tables of data, and what they refuse to be."""

import pytest

from apps.common.states import sources, table


def test_a_state_without_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="'c'"):
        table({"a": ["b"], "b": ["c"]})


def test_sources_are_the_states_that_lead_there() -> None:
    machine = table({"a": ["b"], "b": ["b", "c"], "c": []})
    assert sources(machine, "b") == ["a", "b"]
    assert sources(machine, "c") == ["b"]
    assert sources(machine, "a") == []


def test_a_table_cannot_be_changed() -> None:
    machine = table({"a": ["a"]})
    with pytest.raises(AttributeError):
        machine["a"].add("b")  # type: ignore[attr-defined]
