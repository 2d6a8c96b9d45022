"""Our variant of kombu's Redis transport says the same to Redis as the original."""

from pathlib import Path

import redis
from kombu.transport.redis import Channel as KombuChannel

from agent.app import create_app
from agent.transport import Channel, RoundRobin
from tests.agent.kit import Control, RedisServer, config


def test_brpop_is_packed_as_redis_py_does_it() -> None:
    cycle = RoundRobin()
    cycle.update(["compute.a", "compute.bb", "netz.ü"])
    (packed,) = redis.Connection().pack_command("BRPOP", "compute.a", "compute.bb", "netz.ü", 1)
    assert cycle.brpop(1) == packed


def test_the_queue_after_the_last_that_had_something_comes_first() -> None:
    cycle = RoundRobin()
    cycle.update(["a", "b", "c"])
    assert cycle.consume(3) == ["a", "b", "c"]
    cycle.rotate("b")
    assert cycle.consume(3) == ["c", "a", "b"]
    cycle.rotate("c")
    assert cycle.consume(2) == ["a", "b"]
    cycle.rotate("unknown")
    assert cycle.consume(3) == ["a", "b", "c"]
    cycle.update(["x"])
    cycle.rotate("x")
    assert cycle.consume(1) == ["x"]
    RoundRobin().rotate("x")


def test_the_methods_that_we_replace_are_still_kombus_own() -> None:
    for name in ("_create_client", "_brpop_start", "active_queues", "queue_order_strategy"):
        assert name in vars(KombuChannel), f"kombu's Redis channel has no {name} any more: look at agent/transport.py"


def test_the_agents_channels_share_one_client(redis_server: RedisServer, tmp_path: Path, control: Control) -> None:
    app = create_app(config(tmp_path, control, broker_url=redis_server.url), lambda topic, wires: None)
    with app.connection_for_read() as connection:
        channel = connection.channel()
        assert isinstance(channel, Channel)
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()
