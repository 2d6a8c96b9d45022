"""Ids, errors, logs, SQL text: the small things that everything stands on."""

import json
import logging
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import BigIntegerField, CharField, UUIDField

from apps.common import errors
from apps.common.context import request_id
from apps.common.ids import first_at, new_id
from apps.common.logs import JSONFormatter, operation_id
from apps.common.sql import update_rows, values_table


def test_ids_are_uuid7_and_rise() -> None:
    made = [new_id() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == 5000
    assert {(each.version, each.variant) for each in made} == {(7, uuid.RFC_4122)}


def test_ids_are_found_by_the_time_at_which_they_were_made() -> None:
    before = datetime.now(UTC)
    made = new_id()
    assert first_at(before) <= made < first_at(before, later_s=60)
    assert first_at(before, later_s=60) == first_at(before + timedelta(seconds=60))
    assert first_at(datetime(1, 1, 1, tzinfo=UTC)).int == 0
    assert first_at(datetime(9999, 12, 31, tzinfo=UTC), later_s=60) > made


def test_ids_of_many_threads_are_all_different() -> None:
    made: list[uuid.UUID] = []
    threads = [threading.Thread(target=lambda: made.extend(new_id() for _ in range(2000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


def test_every_error_kind_has_a_name_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CloudError)]
    assert len({kind.kind for kind in kinds}) == len(kinds) >= 10


def test_an_error_is_stored_with_code_message_and_facts() -> None:
    assert errors.Conflict("a.b", "Sentence.", field="x", used=1).as_dict() == {"code": "a.b", "message": "Sentence.", "facts": {"used": 1}}
    assert errors.Conflict("a.b", "Sentence.").as_dict() == {"code": "a.b", "message": "Sentence."}


def test_a_log_line_is_json_with_its_request_and_operation() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "hello %s", ("you",), None)
    tokens = request_id.set("req-1"), operation_id.set("op-1")
    try:
        line = json.loads(JSONFormatter().format(record))
    finally:
        request_id.reset(tokens[0])
        operation_id.reset(tokens[1])
    assert (line["message"], line["level"], line["request_id"], line["operation_id"]) == ("hello you", "info", "req-1", "op-1")
    assert "request_id" not in json.loads(JSONFormatter().format(record))


def test_a_log_line_with_an_exception_is_still_one_line() -> None:
    try:
        raise ValueError("x\ny")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "m", (), (type(error), error, error.__traceback__))
    text = JSONFormatter().format(record)
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["exception"]


def test_values_are_parameters_and_never_text() -> None:
    text, parameters = values_table((UUIDField(), CharField(max_length=9), BigIntegerField()), [(uuid.uuid4(), "a'b", 1)] * 3)
    assert len(parameters) == 9
    assert "a'b" not in text
    assert text.count("%s") == 9


def test_writing_no_rows_asks_the_database_nothing() -> None:
    update_rows([], ["x"])


@pytest.mark.django_db(transaction=True)
def test_rows_are_written_each_with_its_own_values() -> None:
    from apps.hosts.models import Host

    hosts = [Host.objects.create(name=f"h{n}", public_key="p", key_id=f"k{n}") for n in range(3)]
    untouched = Host.objects.create(name="other", public_key="p", key_id="k9")
    for number, host in enumerate(hosts):
        host.zone, host.traits, host.last_seen_at, host.last_issued = f"z{number}", [{"n": number}], None, number + 0.5
        host.name = "not among the columns"
    update_rows(hosts, ["zone", "traits", "last_seen_at", "last_issued"])
    found = Host.objects.exclude(pk=untouched.pk).order_by("key_id").values_list("name", "zone", "traits", "last_seen_at", "last_issued")
    assert list(found) == [(f"h{n}", f"z{n}", [{"n": n}], None, n + 0.5) for n in range(3)]
    assert Host.objects.get(pk=untouched.pk).zone == "default"
