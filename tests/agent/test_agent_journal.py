"""The journal: what a host remembers of commands, generations and reports."""

import time
from pathlib import Path

import pytest

from agent.journal import KEEP_S, Fence, Journal, Key


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite")


def key(operation: str = "op-1", generation: int = 1, step: str = "build", host: str = "h") -> Key:
    return Key(host, operation, step, generation)


def end(journal: Journal, key: Key, instance_id: str, report: str, *, gone: bool = False) -> int:
    """Begin a command and end it with a report; its entry."""
    entry = journal.begin(key, instance_id).entry
    journal.end(entry, report, gone=gone)
    return entry


def test_a_new_command_runs(journal: Journal) -> None:
    assert journal.begin(key(), "i").fence is Fence.RUN


def test_a_command_begun_and_never_ended_runs_again(journal: Journal) -> None:
    journal.begin(key(), "i")
    assert journal.begin(key(), "i").fence is Fence.RUN


def test_an_ended_command_gives_its_stored_report(journal: Journal) -> None:
    end(journal, key(), "i", "the report")
    assert journal.begin(key(), "i") == (Fence.REPEAT, 0, "the report", 1)
    assert journal.stored_report(key()) == "the report"


def test_the_same_operation_with_a_newer_generation_or_another_step_runs(journal: Journal) -> None:
    end(journal, key(), "i", "the report")
    assert journal.begin(key(step="finish"), "i").fence is Fence.RUN
    assert journal.begin(key(generation=2), "i").fence is Fence.RUN


def test_an_older_generation_is_stale_and_leaves_no_mark(journal: Journal) -> None:
    journal.begin(key("op-2", generation=5), "i")
    assert journal.begin(key("op-1", generation=4), "i") == (Fence.STALE, 0, "", 5)
    assert journal.newest_generation("h", "i") == 5
    assert journal.unfinished("h") == ["op-2"]


def test_generations_of_other_instances_and_hosts_do_not_matter(journal: Journal) -> None:
    journal.begin(key("op-1", generation=5), "i")
    assert journal.begin(key("op-2", generation=1), "other").fence is Fence.RUN
    assert journal.begin(key("op-3", generation=1, host="other"), "i").fence is Fence.RUN
    assert journal.generations("h") == {"i": 5, "other": 1}


def test_unfinished_are_those_begun_and_not_ended_unless_a_newer_generation_took_over(journal: Journal) -> None:
    end(journal, key("ended"), "a", "r")
    journal.begin(key("open"), "b")
    journal.begin(key("given-up", generation=1), "c")
    end(journal, key("newer", generation=2), "c", "r")
    assert journal.unfinished("h") == ["open"]
    assert journal.unfinished("other") == []


def test_reports_stay_unsent_until_told_otherwise_and_outlive_a_restart(journal: Journal, tmp_path: Path) -> None:
    first = end(journal, key(), "i", "one")
    journal.keep(["two", "three"])
    journal.close()
    journal = Journal(tmp_path / "journal.sqlite")
    assert [wire for _, wire in journal.unsent(10)] == ["one", "two", "three"]
    journal.sent([first])
    assert [wire for _, wire in journal.unsent(1)] == ["two"]


def test_pruning_forgets_old_commands_and_generations_of_deleted_instances_only(journal: Journal) -> None:
    end(journal, key("old"), "here", "r")
    end(journal, key("here", generation=2), "here", "r")
    end(journal, key("deleted"), "deleted", "r", gone=True)
    journal.keep(["answer"])
    journal.prune()
    assert len(journal.unsent(10)) == 4
    journal.prune(time.time() + KEEP_S + 60)
    assert journal.generations("h") == {"here": 2}
    assert journal.stored_report(key("old")) is None
    assert len(journal.unsent(10)) == 1, "the newest entry of an instance that is still here holds its generation"


def test_an_instance_that_comes_back_keeps_its_generation(journal: Journal, tmp_path: Path) -> None:
    end(journal, key("delete", generation=2), "i", "r", gone=True)
    journal.begin(key("build", generation=3), "i")
    journal.prune(time.time() + KEEP_S + 60)
    assert journal.newest_generation("h", "i") == 3
    journal.close()
    assert Journal(tmp_path / "journal.sqlite").newest_generation("h", "i") == 3


def test_what_it_remembers_outlives_a_restart(journal: Journal, tmp_path: Path) -> None:
    end(journal, key("op-1", generation=4), "i", "the report")
    journal.begin(key("op-2", generation=5), "i")
    journal.close()
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.begin(key("op-1", generation=4), "i").fence is Fence.REPEAT
    assert journal.begin(key("op-3", generation=4), "i").fence is Fence.STALE
    assert journal.unfinished("h") == ["op-2"]


def test_a_file_that_sqlite_cannot_read_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is not a database, " * 100)
    journal = Journal(path)
    assert journal.begin(key(), "i").fence is Fence.RUN
    assert len(list(tmp_path.glob("journal.sqlite.unreadable-*"))) == 1


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="unable to open"):
        Journal(tmp_path / "nowhere" / "journal.sqlite")
