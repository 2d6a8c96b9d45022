"""The agent as a process, behind a real Redis that is killed and loses everything."""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from agent.config import HostIdentity, Simulated
from contracts import topics
from contracts.compute.v1 import PowerState
from contracts.envelope import Sealer
from contracts.report import Outcome, Report
from tests.agent.kit import HOST_NAME, AgentProcess, Control, RedisServer, config, domain, wait_for


class ControlPlane:
    """Publishes commands as the dispatcher does and reads the conductor's queue."""

    def __init__(self, server: RedisServer, control: Control) -> None:
        self.server = server
        self.control = control
        self.app = Celery("control", broker=server.url, set_as_current=False)
        self.app.conf.broker_transport_options = {"priority_steps": [0]}
        self.tasks: list[str] = []

    def send(self, topic: str, *wires: str, host: str = HOST_NAME) -> None:
        message = self.app.amqp.as_task_v2(uuid.uuid4().hex, topic, args=[list(wires)], ignore_result=True)
        with self.app.connection_for_write() as connection:
            connection.Producer().publish(
                message.body,
                exchange="",
                routing_key=topics.compute_queue(host),
                serializer="json",
                headers=message.headers,
                **message.properties,
            )

    def build(self, instance_id: str = "", **fields: Any) -> str:
        wire = self.control.build(instance_id, **fields)
        self.send(topics.COMPUTE_BUILD, wire)
        return wire

    def _next(self) -> tuple[str, list[str]] | None:
        try:
            popped = self.server.client.brpop([topics.CONDUCTOR], timeout=1)
        except redis.ConnectionError:
            return None
        if not popped:
            return None
        message = json.loads(popped[1])
        return message["headers"]["task"], json.loads(base64.b64decode(message["body"]))[0][0]

    def reports(self, count: int, timeout_s: float = 60.0, *, progress: bool = False) -> list[Report]:
        """The next so many reports, those of progress only if wanted: how many there are is up to how busy the machine is. Other
        messages are only noted in `tasks`."""
        found: list[Report] = []
        until = time.monotonic() + timeout_s
        while len(found) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} reports within {timeout_s} s"
            if (message := self._next()) is None:
                continue
            self.tasks.append(message[0])
            if message[0] == topics.REPORT:
                opened = [self.control.open(wire)[1] for wire in message[1]]
                found += [report for report in opened if progress or report.outcome is not Outcome.PROGRESS]
        return found

    def await_task(self, topic: str, timeout_s: float = 60.0) -> None:
        until = time.monotonic() + timeout_s
        while (message := self._next()) is None or message[0] != topic:
            assert time.monotonic() < until, f"no {topic} within {timeout_s} s"


@pytest.fixture
def plane(redis_server: RedisServer, control: Control) -> ControlPlane:
    return ControlPlane(redis_server, control)


@pytest.fixture
def agent(tmp_path: Path, control: Control, redis_server: RedisServer) -> Iterator[AgentProcess]:
    settings = config(tmp_path / "state", control, broker_url=redis_server.url, heartbeat_s=0.5)
    process = AgentProcess(tmp_path, settings)
    try:
        yield process
    finally:
        process.close()


def test_hello_heartbeat_build_repeat_and_a_warm_stop(agent: AgentProcess, plane: ControlPlane) -> None:
    agent.start()
    plane.await_task(topics.HELLO)
    plane.await_task(topics.HEARTBEAT)
    wire = plane.build("i-1")
    (report,) = plane.reports(1)
    assert (report.outcome, domain(report).power_state) == (Outcome.DONE, PowerState.RUNNING)
    plane.send(topics.COMPUTE_BUILD, wire)
    (repeat,) = plane.reports(1)
    assert repeat == report
    assert agent.terminate() == 0
    ids = {"request_id": "req-1", "instance": "i-1", "host": HOST_NAME}
    assert any(line["event"] == "command.done" and ids.items() <= line.items() for line in agent.log())


def test_nothing_of_ours_depends_on_bindings_kept_in_redis(agent: AgentProcess, plane: ControlPlane) -> None:
    agent.start()
    plane.build("i-1")
    plane.reports(1)
    assert plane.server.client.keys("*kombu*") == []


def test_only_our_own_tasks_can_be_run(agent: AgentProcess, plane: ControlPlane) -> None:
    agent.start()
    plane.await_task(topics.HELLO)
    plane.send("celery.backend_cleanup", "x")
    plane.send("compute.v9.build", "x")
    plane.build("i-1")
    assert [report.outcome for report in plane.reports(1)] == [Outcome.DONE]
    # What an agent of this release does not know is dropped, not kept for ever.
    wait_for(lambda: not plane.server.client.exists(topics.compute_queue(HOST_NAME)))


def test_redis_killed_with_all_data_lost_is_only_late(agent: AgentProcess, plane: ControlPlane) -> None:
    agent.start()
    plane.await_task(topics.HELLO)
    for round_ in range(3):
        plane.server.kill()
        time.sleep(1.5)
        plane.server.start()
        back = time.monotonic()
        plane.tasks.clear()
        plane.build(f"i-{round_}")
        assert [report.outcome for report in plane.reports(1)] == [Outcome.DONE]
        assert time.monotonic() - back < 20.0, "it must read its queue again within seconds"
    assert any(line["event"] == "broker.up" for line in agent.log())
    if topics.HELLO not in plane.tasks:
        plane.await_task(topics.HELLO)


@pytest.mark.slow
def test_a_redis_that_was_long_away_is_found_as_quickly(agent: AgentProcess, plane: ControlPlane) -> None:
    agent.start()
    plane.await_task(topics.HELLO)
    plane.server.kill()
    time.sleep(12)  # Celery's own pause between attempts would be eight seconds by now, and growing
    plane.server.start()
    back = time.monotonic()
    plane.build("i-1")
    plane.reports(1)
    assert time.monotonic() - back < 7.0


def test_an_agent_started_before_its_redis_waits_for_it(agent: AgentProcess, plane: ControlPlane) -> None:
    plane.server.kill()
    agent.start()
    time.sleep(2)
    plane.server.start()
    plane.build("i-1")
    assert [report.outcome for report in plane.reports(1)] == [Outcome.DONE]


def test_reports_made_while_redis_was_away_arrive_when_it_is_back(
    tmp_path: Path, control: Control, plane: ControlPlane
) -> None:
    settings = config(
        tmp_path / "state", control, broker_url=plane.server.url, simulated=Simulated(latency_ms=5000, spread=0.0)
    )
    agent = AgentProcess(tmp_path, settings)
    try:
        agent.start()
        plane.await_task(topics.HELLO)
        for number in range(5):
            plane.build(f"i-{number}")
        wait_for(lambda: not plane.server.client.exists(topics.compute_queue(HOST_NAME)))
        plane.server.kill()
        wait_for(lambda: sum(line["event"] == "command.done" for line in agent.log()) == 5)
        wait_for(lambda: any(line["event"] == "broker.down" for line in agent.log()))
        plane.server.start()
        assert [report.outcome for report in plane.reports(5)] == [Outcome.DONE] * 5
    finally:
        agent.close()


def test_an_agent_killed_in_the_middle_goes_on_with_what_is_sent_again_after_its_hello(
    tmp_path: Path, control: Control, plane: ControlPlane
) -> None:
    from agent.drivers.simulated.store import Store

    settings = config(
        tmp_path / "state",
        control,
        broker_url=plane.server.url,
        threads=2,
        simulated=Simulated(latency_ms=700, spread=0.0),
    )
    agent = AgentProcess(tmp_path, settings)
    try:
        agent.start()
        plane.await_task(topics.HELLO)
        wires = [plane.build(f"i-{number}") for number in range(8)]
        plane.reports(2)
        agent.kill()
        agent.start()
        plane.await_task(topics.HELLO)
        plane.send(topics.COMPUTE_BUILD, *wires)
        seen = plane.reports(8)
        assert {report.outcome for report in seen} == {Outcome.DONE}
        store = Store(tmp_path / "state" / "simulated.sqlite")
        wait_for(lambda: len(store.machines("host-1")) == 8)
        assert [store.built("host-1", f"i-{number}") for number in range(8)] == [1] * 8
    finally:
        agent.close()


def test_an_agent_that_starts_while_redis_is_away_says_hello_when_it_is_back(
    tmp_path: Path, control: Control, plane: ControlPlane
) -> None:
    settings = config(tmp_path / "state", control, broker_url=plane.server.url)
    agent = AgentProcess(tmp_path, settings)
    try:
        plane.server.pause()  # its data is still there, but it does not answer
        agent.start()
        time.sleep(3)
        plane.server.resume()
        plane.await_task(topics.HELLO)
        plane.build("i-1")
        assert [report.outcome for report in plane.reports(1)] == [Outcome.DONE]
    finally:
        plane.server.resume()
        agent.close()


def test_a_stop_lets_commands_end(tmp_path: Path, control: Control, plane: ControlPlane) -> None:
    simulated = Simulated(latency_ms=1500, spread=0.0)
    settings = config(tmp_path / "state", control, broker_url=plane.server.url, simulated=simulated)
    agent = AgentProcess(tmp_path, settings)
    try:
        agent.start()
        plane.await_task(topics.HELLO)
        plane.build("i-1")
        wait_for(lambda: not plane.server.client.exists(topics.compute_queue(HOST_NAME)))
        assert agent.terminate() == 0
        assert [report.outcome for report in plane.reports(1)] == [Outcome.DONE]
    finally:
        agent.close()


def test_a_stop_does_not_take_longer_than_its_grace(tmp_path: Path, control: Control, plane: ControlPlane) -> None:
    simulated = Simulated(latency_ms=60_000, spread=0.0)
    settings = config(tmp_path / "state", control, broker_url=plane.server.url, simulated=simulated)
    agent = AgentProcess(tmp_path, settings, "--grace", "1")
    try:
        agent.start()
        plane.await_task(topics.HELLO)
        plane.build("i-1", operation_id="op-1")
        wait_for(lambda: not plane.server.client.exists(topics.compute_queue(HOST_NAME)))
        began = time.monotonic()
        assert agent.terminate() == 75
        assert time.monotonic() - began < 20.0
    finally:
        agent.close()


def test_a_stop_works_while_redis_is_away(agent: AgentProcess, plane: ControlPlane) -> None:
    agent.start()
    plane.await_task(topics.HELLO)
    plane.server.kill()
    time.sleep(1.5)
    assert agent.terminate(30.0) == 0


def test_a_second_agent_on_the_same_state_says_so_and_ends(agent: AgentProcess, plane: ControlPlane) -> None:
    agent.start()
    plane.await_task(topics.HELLO)
    second = agent.once()
    assert second.returncode == 1
    assert second.stderr.strip().splitlines()[-1].startswith("cloudsite agent: another agent (process ")


def test_an_observation_does_not_queue_behind_slow_builds(
    tmp_path: Path, control: Control, plane: ControlPlane
) -> None:
    settings = config(
        tmp_path / "state",
        control,
        broker_url=plane.server.url,
        threads=2,
        simulated=Simulated(latency_ms=30_000, spread=0.0),
    )
    agent = AgentProcess(tmp_path, settings)
    try:
        agent.start()
        plane.await_task(topics.HELLO)
        for number in range(6):
            plane.build(f"i-{number}")
        plane.send(topics.COMPUTE_OBSERVE, control.observe("i-0", operation_id="other"))
        began = time.monotonic()
        (report,) = plane.reports(1)
        assert domain(report).power_state is PowerState.ABSENT
        assert time.monotonic() - began < 15.0
        progress = plane.reports(1, progress=True)
        assert progress[0].outcome is Outcome.PROGRESS
    finally:
        agent.close()


def test_many_simulated_hosts_in_one_process(tmp_path: Path, control: Control, plane: ControlPlane) -> None:
    hosts = [
        HostIdentity(id=f"h{number}", name=f"n{number}", private_key=Sealer.generate().private_hex())
        for number in range(200)
    ]
    hosts[150] = HostIdentity(id="h150", name="n150", private_key=control.host_sealer.private_hex())
    agent = AgentProcess(tmp_path, config(tmp_path / "state", control, broker_url=plane.server.url, hosts=hosts))
    try:
        agent.start()
        plane.await_task(topics.HELLO)
        plane.send(topics.COMPUTE_BUILD, control.build("i-1", host="h150"), host="n150")
        assert [report.outcome for report in plane.reports(1)] == [Outcome.DONE]
    finally:
        agent.close()


def test_check_tells_what_it_found(agent: AgentProcess, plane: ControlPlane) -> None:
    good = agent.once_with("--check")
    assert good.returncode == 0, good.stdout
    assert HOST_NAME in good.stdout and "all is well" in good.stdout
    plane.server.kill()
    bad = agent.once_with("--check")
    assert bad.returncode == 1
    assert "PROBLEM" in bad.stdout and "1 problem" in bad.stdout


def test_an_unusable_configuration_is_one_sentence(tmp_path: Path, agent: AgentProcess) -> None:
    agent.config_file.write_text('{"hosts": []}')
    result = agent.once()
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and str(agent.config_file) in result.stderr
