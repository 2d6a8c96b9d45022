"""A captured host's broker account is of no use against others (Redis ACL; commands are signed besides)."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from contracts import topics
from contracts.report import Outcome
from tests.agent.kit import HOST_NAME, AgentProcess, Control, config, wait_for
from tests.agent.test_agent_worker import ControlPlane

# The account of one host: its own queues and its own book of unacknowledged messages; of all else only that it may
# append to the conductor's queue.
COMMANDS = [
    "brpop",
    "lpush",
    "rpush",
    "llen",
    "exists",
    "zadd",
    "zrem",
    "zrange",
    "hset",
    "hget",
    "hdel",
    "get",
    "set",
    "del",
    "multi",
    "exec",
    "watch",
    "unwatch",
    "eval",
    "evalsha",
    "script",
    "ping",
    "client",
    "hello",
    "auth",
    "select",
    "info",
]


def account(name: str) -> list[str]:
    keys = [*topics.host_queues(name), f"agent.{name}.unacked*"]
    allowed = [f"+{command}" for command in COMMANDS]
    return [
        "on",
        ">secret",
        "resetkeys",
        *(f"~{key}" for key in keys),
        "-@all",
        *allowed,
        f"(%W~{topics.CONDUCTOR} +lpush)",
    ]


@dataclass
class Server:
    """A Redis on a loopback port, since an account needs a URL with a password."""

    port: int
    client: "redis.Redis[bytes]"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def url_of(self, user: str) -> str:
        return f"redis://{user}:secret@127.0.0.1:{self.port}/0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_for(answers)
        yield Server(port, client)
    finally:
        process.kill()
        process.wait()


def test_an_agent_works_with_an_account_that_reaches_nothing_but_its_own_queues(
    server: Server, tmp_path: Path, control: Control
) -> None:
    server.client.execute_command("ACL", "SETUSER", HOST_NAME, *account(HOST_NAME))
    agent = AgentProcess(tmp_path, config(tmp_path / "state", control, broker_url=server.url_of(HOST_NAME)))
    plane = ControlPlane(server, control)  # type: ignore[arg-type]
    try:
        agent.start()
        plane.await_task(topics.HELLO)
        plane.build("i-1")
        assert [report.outcome for report in plane.reports(1)] == [Outcome.DONE]
        assert server.client.execute_command("ACL", "LOG") == []
        assert agent.terminate() == 0
    finally:
        agent.close()


def test_that_account_can_neither_read_nor_write_what_is_not_its_own(server: Server) -> None:
    server.client.execute_command("ACL", "SETUSER", "n1", *account("n1"))
    captured = redis.Redis(port=server.port, username="n1", password="secret")
    assert captured.lpush(topics.CONDUCTOR, "x") == 1
    attempts: list[Callable[[], object]] = [
        lambda: captured.lpush(topics.compute_queue("n2"), "x"),
        lambda: captured.brpop(topics.compute_queue("n2"), 1),
        lambda: captured.hget("agent.n2.unacked", "x"),
        lambda: captured.brpop(topics.CONDUCTOR, 1),
        lambda: captured.lpush(topics.SCHEDULER, "x"),
        captured.keys,
        captured.flushall,
        lambda: captured.eval("return redis.call('lpush', KEYS[1], 'x')", 1, topics.compute_queue("n2")),
    ]
    for refused in attempts:
        with pytest.raises(redis.exceptions.NoPermissionError):
            refused()
