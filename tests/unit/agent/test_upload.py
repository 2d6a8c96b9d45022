"""Copies on their way to the control plane, against a real HTTP server on the loopback address."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers.base import DriverError
from agent.upload import ATTEMPTS, Upload
from tests.agent.keeper import Keeper

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "copy"
    path.write_bytes(CONTENT)
    return path


def send(keeper: Keeper, file: Path, **more: object) -> None:
    upload = Upload(keeper.url, retry_after_s=0.001, **more)  # type: ignore[arg-type]
    upload.send(file, SHA256, size_bytes=len(CONTENT))


def refusal(keeper: Keeper, file: Path, **more: object) -> DriverError:
    with pytest.raises(DriverError) as caught:
        send(keeper, file, **more)
    assert "secret" not in str(caught.value)
    return caught.value


def test_a_file_is_sent_in_one_piece(keeper: Keeper, file: Path) -> None:
    send(keeper, file)
    assert (keeper.content, keeper.asked) == (CONTENT, ["HEAD", "PUT 0"])


def test_a_broken_transfer_goes_on_where_it_broke(keeper: Keeper, file: Path) -> None:
    keeper.breaks = [100_000, 50_000]
    send(keeper, file)
    assert keeper.content == CONTENT
    assert [each for each in keeper.asked if each != "HEAD"] == ["PUT 0", "PUT 100000", "PUT 150000"]


def test_many_breaks_are_survived_while_each_attempt_brings_something(keeper: Keeper, file: Path) -> None:
    keeper.breaks = [10_000] * 20
    send(keeper, file)
    assert keeper.content == CONTENT


def test_what_is_there_already_is_not_sent_again(keeper: Keeper, file: Path) -> None:
    keeper.content = CONTENT
    send(keeper, file)
    assert keeper.asked == ["HEAD"]


def test_the_beginning_of_another_file_is_not_gone_on_with(keeper: Keeper, file: Path) -> None:
    keeper.parts = {"0" * 64: b"other"}
    send(keeper, file)
    assert (keeper.content, keeper.asked) == (CONTENT, ["HEAD", "PUT 0"])


def test_content_that_was_spoilt_on_the_way_is_sent_again_from_the_start(keeper: Keeper, file: Path) -> None:
    keeper.parts = {SHA256: b"\0" * 1000}
    send(keeper, file)
    assert (keeper.content, keeper.asked) == (CONTENT, ["HEAD", "PUT 1000", "HEAD", "PUT 0"])


@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_a_refusal_is_final_and_says_why(keeper: Keeper, file: Path, status: int) -> None:
    keeper.refusals = [(status, "image.not_wanted")]
    error = refusal(keeper, file)
    assert (error.code, error.retryable) == ("snapshot.refused", False)
    if status not in (403, 404):  # those answer the question before, which has no body
        assert "No: image.not_wanted." in str(error)


@pytest.mark.parametrize("status", [409, 503])
def test_a_server_that_is_busy_is_asked_again(keeper: Keeper, file: Path, status: int) -> None:
    keeper.refusals = [(status, "later")] * 2
    send(keeper, file)
    assert keeper.content == CONTENT


def test_a_server_that_never_takes_it_is_given_up(keeper: Keeper, file: Path) -> None:
    keeper.refusals = [(503, "later")] * 100
    error = refusal(keeper, file)
    assert (error.code, error.retryable) == ("snapshot.upload", True)
    assert keeper.asked.count("PUT 0") == ATTEMPTS


def test_an_upload_ends_when_something_newer_was_asked(keeper: Keeper, file: Path) -> None:
    assert refusal(keeper, file, stopped=lambda: True).code == "command.superseded"
    assert keeper.content is None


def test_only_http_is_spoken(file: Path) -> None:
    with pytest.raises(DriverError) as caught:
        Upload("file:///etc/passwd?x").send(file, SHA256, size_bytes=1)
    assert caught.value.code == "snapshot.refused"
