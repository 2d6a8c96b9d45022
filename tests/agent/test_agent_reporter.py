"""The way of reports to the conductor, with and without a broker."""

import base64
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.app import create_app
from agent.broker import CONNECT_TIMEOUT_S, BrokerDown, Publisher
from agent.journal import Journal, Key
from agent.reporter import BATCH, RETRY_S, Outgoing, Reporter
from contracts import topics
from contracts.report import Outcome
from tests.agent.kit import Control, Pipeline, RedisServer, config, wait_for


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite")


class Broker:
    """Takes messages, or refuses them when `down`; `gate` makes publishing wait."""

    def __init__(self) -> None:
        self.messages: list[list[str]] = []
        self.attempts = 0
        self.down = False
        self.gate: threading.Event | None = None

    def publish(self, topic: str, wires: list[str]) -> None:
        self.attempts += 1
        if self.gate:
            assert self.gate.wait(60)
        if self.down:
            raise BrokerDown("down")
        self.messages.append(wires)

    @property
    def wires(self) -> list[str]:
        return [wire for wires in self.messages for wire in wires]


def ended(journal: Journal, name: str) -> Outgoing:
    entry = journal.begin(Key("h", name, "build", 1), name).entry
    journal.end(entry, name, gone=False)
    return Outgoing(name, entry=entry)


def past_the_retry_pause() -> None:
    time.sleep(RETRY_S + 0.05)


def test_a_report_is_published_at_once_and_forgotten_later(journal: Journal) -> None:
    broker = Broker()
    reporter = Reporter(broker.publish, journal)
    reporter.send([ended(journal, "one")])
    assert broker.messages == [["one"]]
    reporter.tend()
    assert journal.unsent(10) == []


def test_reports_of_threads_that_meet_travel_in_one_message(journal: Journal) -> None:
    broker = Broker()
    broker.gate = threading.Event()
    reporter = Reporter(broker.publish, journal)
    first = threading.Thread(target=reporter.send, args=([Outgoing("first")],))
    first.start()
    wait_for(lambda: broker.attempts == 1)
    for number in range(BATCH + 5):
        reporter.send([Outgoing(str(number))])  # returns at once: the first thread takes them along
    broker.gate.set()
    first.join()
    assert [len(wires) for wires in broker.messages] == [1, BATCH, 5]


def test_with_the_broker_down_reports_wait_in_the_journal_and_nobody_hangs(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.reporter.RETRY_S", 60.0)
    broker = Broker()
    broker.down = True
    reporter = Reporter(broker.publish, journal)
    reporter.send([ended(journal, "journaled"), Outgoing("answer"), Outgoing("progress", keep=False)])
    for number in range(20):
        reporter.send([ended(journal, str(number))])
    assert broker.attempts == 1, "while the broker is known to be down only the background thread tries"
    assert len(journal.unsent(100)) == 22
    broker.down = False
    monkeypatch.setattr("agent.reporter.time", SimpleNamespace(monotonic=lambda: time.monotonic() + 61))
    reporter.tend()
    assert sorted(broker.wires) == sorted(["journaled", "answer", *map(str, range(20))])
    assert journal.unsent(10) == []
    reporter.tend()
    assert len(broker.wires) == 22


def test_unsent_reports_of_an_earlier_life_are_sent_at_start(journal: Journal) -> None:
    for number in range(BATCH + 1):
        ended(journal, str(number))
    broker = Broker()
    Reporter(broker.publish, journal).tend()
    assert [len(wires) for wires in broker.messages] == [BATCH, 1]
    assert broker.wires == [str(number) for number in range(BATCH + 1)]


def test_coming_back_is_told_once(journal: Journal) -> None:
    broker = Broker()
    reporter = Reporter(broker.publish, journal)
    told: list[str] = []
    reporter.when_connected.append(lambda: told.append("up"))
    reporter.send([Outgoing("a")])
    assert told == []
    broker.down = True
    reporter.send([Outgoing("b")])
    assert reporter.down
    broker.down = False
    past_the_retry_pause()
    reporter.send([Outgoing("c")])
    assert told == ["up"] and not reporter.down
    reporter.tend()
    assert sorted(broker.wires) == ["a", "b", "c"]


def test_announcements_are_split_and_never_kept(journal: Journal) -> None:
    broker = Broker()
    reporter = Reporter(broker.publish, journal)
    assert reporter.announce(topics.HEARTBEAT, ["x"] * 250)
    assert [len(wires) for wires in broker.messages] == [100, 100, 50]
    broker.down = True
    assert not reporter.announce(topics.HEARTBEAT, ["x"])
    assert journal.unsent(10) == []


def test_many_threads_lose_and_double_nothing(journal: Journal) -> None:
    broker = Broker()
    reporter = Reporter(broker.publish, journal)
    reporter.start()

    def work(number: int) -> None:
        for count in range(100):
            reporter.send([ended(journal, f"{number}-{count}")])
            if number == 0 and count % 25 == 10:
                broker.down = not broker.down

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    broker.down = False
    wait_for(lambda: len(broker.wires) >= 800 and not journal.unsent(1))
    reporter.stop()
    assert sorted(broker.wires) == sorted(f"{number}-{count}" for number in range(8) for count in range(100))


def test_a_repeat_of_a_command_whose_report_is_unsent_reports_again(pipeline: Pipeline, control: Control) -> None:
    wire = control.build("i-1")
    pipeline.down = True
    assert pipeline.build(wire) == []
    pipeline.down = False
    past_the_retry_pause()
    assert [report.outcome for report in pipeline.build(wire)] == [Outcome.DONE]


# With a real Redis.


def published(redis_server: RedisServer) -> list[tuple[str, list[str]]]:
    """Task name and wires of what lies in the conductor's queue, oldest first."""
    found = []
    for raw in reversed(redis_server.client.lrange(topics.CONDUCTOR, 0, -1)):
        message: dict[str, Any] = json.loads(raw)
        assert message["content-type"] == "application/json"
        (wires,), kwargs, _ = json.loads(base64.b64decode(message["body"]))
        assert kwargs == {}
        found.append((message["headers"]["task"], wires))
    return found


@pytest.fixture
def publisher(redis_server: RedisServer, tmp_path: Path, control: Control) -> Publisher:
    return Publisher(create_app(config(tmp_path, control, broker_url=redis_server.url), lambda topic, wires: None))


def test_messages_are_celery_tasks_under_the_plain_queue_name(publisher: Publisher, redis_server: RedisServer) -> None:
    publisher.publish(topics.REPORT, ["a", "b"])
    assert published(redis_server) == [(topics.REPORT, ["a", "b"])]
    assert redis_server.client.keys() == [topics.CONDUCTOR.encode()]


def test_publishing_survives_a_restart_of_redis_between_two_messages(
    publisher: Publisher, redis_server: RedisServer
) -> None:
    publisher.publish(topics.REPORT, ["lost with the old Redis"])
    redis_server.kill()
    with pytest.raises(BrokerDown):
        publisher.publish(topics.REPORT, ["refused"])
    redis_server.start()
    publisher.publish(topics.REPORT, ["a"])
    assert published(redis_server) == [(topics.REPORT, ["a"])]


def test_a_killed_redis_is_noticed_at_once(publisher: Publisher, redis_server: RedisServer) -> None:
    publisher.publish(topics.REPORT, ["a"])
    redis_server.kill()
    began = time.monotonic()
    with pytest.raises(BrokerDown):
        publisher.publish(topics.REPORT, ["b"])
    assert time.monotonic() - began < CONNECT_TIMEOUT_S


@pytest.mark.slow
def test_a_redis_that_accepts_and_never_answers_costs_bounded_time(
    publisher: Publisher, redis_server: RedisServer
) -> None:
    publisher.publish(topics.REPORT, ["a"])
    redis_server.pause()
    began = time.monotonic()
    try:
        with pytest.raises(BrokerDown):
            publisher.publish(topics.REPORT, ["b"])
    finally:
        redis_server.resume()
    assert time.monotonic() - began < 15.0


def test_waiting_messages_are_counted(publisher: Publisher, redis_server: RedisServer) -> None:
    assert publisher.waiting("compute.node1") == 0
    redis_server.client.lpush("compute.node1", "x", "y")
    assert publisher.waiting("compute.node1") == 2
    redis_server.kill()
    with pytest.raises(BrokerDown):
        publisher.waiting("compute.node1")
