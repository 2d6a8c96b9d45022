"""Who waits for an image that is being fetched, and leaves: the download goes on for the others, and ends with the last."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from agent.download import Download
from agent.drivers.base import DriverError, LocalImage
from agent.images import DOWNLOADS, ImageCache
from agent.trace import Trace
from contracts.compute import v1 as compute
from tests.agent.keeper import Keeper
from tests.agent.kit import wait_for

MIB = 1024 * 1024
CONTENT = os.urandom(2 * MIB)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def keeper(pool: ThreadPoolExecutor) -> Iterator[Keeper]:
    """Content comes from it slowly, and quickly at last, so that whoever still waits ends before the pool does."""
    keeper = Keeper()
    keeper.content = CONTENT
    keeper.flows.clear()
    yield keeper
    keeper.close()


@pytest.fixture
def image(keeper: Keeper) -> compute.Image:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return compute.Image(id="large", url=keeper.url, sha256=sha256, size_bytes=len(CONTENT), disk_format=compute.DiskFormat.RAW)


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path, limit_bytes=64 * MIB, spare_bytes=0, retry_after_s=0.001)


class Build:
    """Wants an image until it is superseded."""

    def __init__(self, pool: ThreadPoolExecutor, cache: ImageCache, image: compute.Image) -> None:
        self._superseded, self._asked = threading.Event(), 0
        self.image: Future[LocalImage] = pool.submit(cache.ensure, image, Trace(), stopped=self._stopped)
        # Before it waits, it is asked twice.
        wait_for(lambda: self._asked > 2)

    def _stopped(self) -> bool:
        self._asked += 1
        return self._superseded.is_set()

    def leave(self) -> None:
        """Superseded; has ended when this returns."""
        self._superseded.set()
        with pytest.raises(DriverError) as caught:
            self.image.result(60)
        assert caught.value.code == "command.superseded"


def nothing_left(cache: ImageCache, folder: Path) -> bool:
    return not list(folder.iterdir()) and not cache._downloads and not cache._coming


def test_with_the_only_build_the_download_ends_and_the_next_build_begins_it_anew(
    cache: ImageCache, image: compute.Image, keeper: Keeper, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    build = Build(pool, cache, image)
    wait_for(lambda: any(path.stat().st_size for path in tmp_path.glob("*.part")))
    build.leave()
    assert keeper.hung_up.wait(60)
    wait_for(lambda: nothing_left(cache, tmp_path))
    keeper.flows.set()
    assert cache.ensure(image, Trace()).path.read_bytes() == CONTENT
    assert keeper.asked == ["GET", "GET"]


@pytest.mark.parametrize("leaver", [0, 1], ids=["who began it", "who came later"])
def test_a_build_that_leaves_lets_the_others_have_their_download(
    cache: ImageCache, image: compute.Image, keeper: Keeper, pool: ThreadPoolExecutor, leaver: int
) -> None:
    builds = [Build(pool, cache, image) for _ in range(3)]
    builds.pop(leaver).leave()
    keeper.flows.set()
    assert [build.image.result(60).path.read_bytes() for build in builds] == [CONTENT] * 2
    assert keeper.asked == ["GET"]


def test_what_is_fetched_before_anybody_boots_from_it_goes_on_without_the_builds_that_have_come_meanwhile(
    cache: ImageCache, image: compute.Image, keeper: Keeper, pool: ThreadPoolExecutor
) -> None:
    comes = threading.Event()
    seed = pool.submit(cache.ensure, image, Trace(), progress=lambda done, total: comes.set())
    assert comes.wait(60)
    Build(pool, cache, image).leave()
    keeper.flows.set()
    assert seed.result(60).path.read_bytes() == CONTENT
    assert keeper.asked == ["GET"]


def test_a_build_leaves_at_once_although_not_a_byte_comes_and_the_next_one_takes_the_download_over(
    cache: ImageCache, image: compute.Image, keeper: Keeper, pool: ThreadPoolExecutor
) -> None:
    keeper.trickle_bytes = 0
    Build(pool, cache, image).leave()
    second = Build(pool, cache, image)
    keeper.flows.set()
    assert second.image.result(60).path.read_bytes() == CONTENT
    assert keeper.asked == ["GET"]


def test_what_nobody_waits_for_is_not_verified_to_the_end(
    cache: ImageCache, image: compute.Image, keeper: Keeper, pool: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go, digest = threading.Event(), threading.Event(), Download._digest

    def held(download: Download, file: IO[bytes]) -> str:
        reached.set()
        assert go.wait(100)
        return digest(download, file)

    monkeypatch.setattr(Download, "_digest", held)
    keeper.flows.set()
    build = Build(pool, cache, image)
    assert reached.wait(60)
    build.leave()
    go.set()
    wait_for(lambda: nothing_left(cache, tmp_path))


def test_who_came_later_tries_by_itself_when_the_download_of_another_has_failed(
    cache: ImageCache, image: compute.Image, keeper: Keeper, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    keeper.content, keeper.trickle_bytes = bytes(len(CONTENT)), 0
    builds = [Build(pool, cache, image) for _ in range(2)]
    keeper.flows.set()
    for build in builds:
        with pytest.raises(DriverError, match="SHA-256"):
            build.image.result(60)
    assert keeper.asked == ["GET"] * DOWNLOADS * len(builds)
    assert nothing_left(cache, tmp_path)


def test_who_is_superseded_before_it_asks_has_nothing_fetched(cache: ImageCache, image: compute.Image, keeper: Keeper) -> None:
    with pytest.raises(DriverError) as caught:
        cache.ensure(image, Trace(), stopped=lambda: True)
    assert caught.value.code == "command.superseded"
    assert keeper.asked == []
