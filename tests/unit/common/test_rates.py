"""Limits: how much is let through, when it may be tried again, who is counted together, and that memory is bounded."""

import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from apps.common import rates
from apps.common.errors import TooMany

Limits = Callable[..., None]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("throttled.utils.now_mono_f", clock)
    return clock


@pytest.fixture
def limits(clock: Clock, edge_settings: Limits) -> Limits:
    return edge_settings


def let_through(ask: Callable[[], None], most: int = 100_000) -> int:
    for count in range(most):
        try:
            ask()
        except TooMany:
            return count
    return most


def test_an_address_has_its_allowance_at_once_and_then_as_it_refills(limits: Limits, clock: Clock) -> None:
    limits(rate_address=4)

    def ask() -> None:
        rates.check_address("192.0.2.1")

    assert let_through(ask) == 40
    clock.now += 1
    assert let_through(ask) == 4
    clock.now += 1000
    assert let_through(ask) == 40


def test_a_refusal_says_what_the_limit_is_and_when_to_come_back(limits: Limits, clock: Clock) -> None:
    limits(rate_sign_in=3)
    for _ in range(3):
        rates.check_sign_in("192.0.2.1")
    with pytest.raises(TooMany) as caught:
        rates.check_sign_in("192.0.2.1")
    assert caught.value.code == "request.throttled"
    assert caught.value.facts == {"scope": "sign_in", "limit": 3, "window_s": 60, "retry_after_s": 20.0}
    assert "at most 3 times in 60 s; try again in 20 s" in caught.value.message
    clock.now += 20.001
    rates.check_sign_in("192.0.2.1")


def test_a_refused_request_costs_nothing(limits: Limits, clock: Clock) -> None:
    """Who keeps knocking is let in as soon as who waits."""
    limits(rate_address=1)
    assert let_through(lambda: rates.check_address("a")) == 10
    for _ in range(500):
        with pytest.raises(TooMany):
            rates.check_address("a")
    clock.now += 1.001
    rates.check_address("a")


def test_addresses_and_projects_do_not_pay_for_each_other(limits: Limits) -> None:
    limits(rate_address=1, rate_project=1)
    first, second = uuid.uuid4(), uuid.uuid4()
    assert let_through(lambda: rates.check_address("192.0.2.1")) == 10
    assert let_through(lambda: rates.check_address("192.0.2.2")) == 10
    assert let_through(lambda: rates.check_project(first)) == 10
    assert let_through(lambda: rates.check_project(second)) == 10


def test_one_machine_with_many_ipv6_addresses_is_one_sender(limits: Limits) -> None:
    limits(rate_address=1)
    for number in range(10):
        rates.check_address(f"2001:db8:0:1::{number:x}")
    with pytest.raises(TooMany):
        rates.check_address("2001:db8:0:1:ffff:ffff:ffff:ffff")
    rates.check_address("2001:db8:0:2::1")


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", rates.network_of("2001:db8:0:0:9:9:9:9")),
        ("fe80::1%eth0", rates.network_of("fe80::2")),
        ("", "a local socket"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_whatever_the_web_server_calls_a_peer_can_be_counted(address: str, counted_as: str) -> None:
    assert rates.network_of(address) == counted_as


def test_zero_is_no_limit(limits: Limits) -> None:
    limits(rate_address=0, rate_project=0, rate_sign_in=0)
    project = uuid.uuid4()
    for ask in (lambda: rates.check_address("a"), lambda: rates.check_sign_in("a"), lambda: rates.check_project(project)):
        assert let_through(ask, 5000) == 5000


def test_a_request_that_works_in_no_project_is_not_counted_for_any(limits: Limits) -> None:
    limits(rate_project=1)
    assert let_through(lambda: rates.check_project(None), 100) == 100


def test_memory_is_bounded_however_many_addresses_come(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST_KEYS", 100)
    limits(rate_address=1)
    limiter = rates._limiter("address")
    assert limiter is not None
    for number in range(1000):
        rates.check_address(f"10.0.{number // 250}.{number % 250}")
    backend: Any = limiter._throttled._store._backend
    assert len(backend.get_client()) == len(backend.expire_info) == 100


def test_a_flood_is_a_line_in_the_log_and_not_a_flood_of_lines(limits: Limits, caplog: pytest.LogCaptureFixture) -> None:
    limits(rate_address=1)
    with caplog.at_level(logging.WARNING, logger="apps.common.rates"):
        for _ in range(1000):
            try:
                rates.check_address("192.0.2.1")
            except TooMany:
                pass
    assert [record.getMessage().split(";")[0] for record in caplog.records] == ["throttled by address: 192.0.2.1"]
