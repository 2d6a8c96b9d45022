"""Group commit: what several threads bring at the same moment is worked on in one go.

Under load a transaction then carries many messages and its cost is shared; on an idle system a batch is one message and
nobody waits for company.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Ticket(Generic[T]):
    def __init__(self, items: Sequence[T]) -> None:
        self.items = items
        self.done = False
        self.error: Exception | None = None


class Batcher(Generic[T]):
    """Runs `work(items)` for one batch at a time; `most` items a batch."""

    def __init__(self, work: Callable[[list[T]], None], *, most: int = 200) -> None:
        self._work = work
        self._most = most
        self._mutex = threading.Lock()
        self._turn = threading.Lock()
        self._pending: list[_Ticket[T]] = []

    def submit(self, items: Sequence[T]) -> None:
        """Returns when these items were worked on, by this thread or by another. Raises what `work` raised for them."""
        ticket = _Ticket(items)
        with self._mutex:
            self._pending.append(ticket)
        with self._turn:
            if not ticket.done:
                self._run(self._take(ticket))
        if ticket.error is not None:
            raise ticket.error

    def _take(self, own: _Ticket[T]) -> list[_Ticket[T]]:
        with self._mutex:
            taken = [own]
            size = len(own.items)
            for ticket in list(self._pending):
                if ticket is own or size + len(ticket.items) > self._most:
                    continue
                taken.append(ticket)
                size += len(ticket.items)
            self._pending = [ticket for ticket in self._pending if ticket not in taken]
            return taken

    def _run(self, tickets: list[_Ticket[T]]) -> None:
        try:
            self._work([item for ticket in tickets for item in ticket.items])
        except Exception as error:
            if len(tickets) == 1:
                tickets[0].error = error
            else:  # one of them spoils the batch: each on its own, so that only the guilty one fails
                for ticket in tickets:
                    self._run([ticket])
        for ticket in tickets:
            ticket.done = True
