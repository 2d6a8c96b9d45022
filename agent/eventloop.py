"""One thread with an asyncio loop, for the little servers that guests ask: all of them together, none blocks another."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
CALL_TIMEOUT_S = 10.0


class EventLoop:
    """Starts with the first call. Everything handed to it runs in its thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait until the coroutine has ended; its result or its exception. TimeoutError when the loop is stuck."""
        return asyncio.run_coroutine_threadsafe(work, self._started()).result(CALL_TIMEOUT_S)

    def call(self, work: Callable[[], T]) -> T:
        """The same for a function."""

        async def body() -> T:
            return work()

        return self.run(body())

    def stop(self) -> None:
        """End the thread; what still runs in it is cancelled. Fine when it never ran."""
        with self._starting:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(CALL_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CALL_TIMEOUT_S)
        loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
