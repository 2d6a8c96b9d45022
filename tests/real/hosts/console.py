"""A shell in a guest, over its serial console: commands may be run in it at any time, and nothing of it needs a network."""

import itertools
import os
import re
import select
import time
import tty

from tests.real.hosts.place import Place, PlaceError

# Instead of the guest's own shell: no echo, no prompt, no editing, and each answer ends with its number and its status. Again
# if need be: BusyBox' echo says nothing, and fails, when something in the background ends at that moment.
_LOOP = (
    "stty -echo; exec sh -c 'stty -echo; while read -r n line; do eval \"$line\" </dev/null 2>&1; s=$?; echo; until echo \"@$n:$s@\"; do :; done; done'"
)


class Shell:
    """One at a time per guest. The guest is the demo image, past `cloudsite: ready`."""

    def __init__(self, place: Place, instance_id: str) -> None:
        self._place, self._id = place, instance_id
        self._numbers = itertools.count(1)
        self._terminal: int | None = None
        self._text = ""

    def __call__(self, command: str, *, timeout_s: float = 60.0) -> str:
        """Output of a line of shell. Raises PlaceError with it if its status is not 0."""
        status, text = self.ask(command, timeout_s=timeout_s)
        if status:
            raise PlaceError(f"{self._id}: {command}: {status}\n{text}")
        return text

    def succeeds(self, command: str, *, timeout_s: float = 60.0) -> bool:
        return self.ask(command, timeout_s=timeout_s)[0] == 0

    def ask(self, command: str, *, timeout_s: float = 60.0) -> tuple[int, str]:
        """Status and output. Raises PlaceError if it does not end in time; it is interrupted then."""
        assert "\n" not in command and len(command) < 4000, "one line, and no longer than a terminal takes"
        if self._terminal is None:
            self._open()
        number = next(self._numbers)
        self._type(f"{number} {command}\n")
        try:
            return self._answer(number, timeout_s)
        except PlaceError:
            self._type("\3")  # ends the loop too: init starts a new shell
            self.close()
            raise

    def close(self) -> None:
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def _open(self) -> None:
        name = self._place.run("virsh", "-q", "ttyconsole", f"cs-{self._id}").strip()
        self._terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._terminal)
        self._text = ""
        until = time.monotonic() + 60
        while True:  # QEMU notices within a second that somebody listens
            self._type(f"\n{_LOOP}\n0 true\n")
            try:
                self._answer(0, 3.0)
            except PlaceError:
                if time.monotonic() > until:
                    raise
            else:
                return

    def _type(self, text: str) -> None:
        assert self._terminal is not None
        os.write(self._terminal, text.encode())

    def _answer(self, number: int, timeout_s: float) -> tuple[int, str]:
        assert self._terminal is not None
        until = time.monotonic() + timeout_s
        pattern = re.compile(rf"(.*?)\n?@{number}:(\d+)@\n", re.DOTALL)
        while not (match := pattern.search(self._text)):
            readable, _, _ = select.select([self._terminal], [], [], max(0.0, until - time.monotonic()))
            if not readable:
                raise PlaceError(f"{self._id}: no answer after {timeout_s:g} s: {self._text[-2000:]}")
            self._text += os.read(self._terminal, 65536).decode(errors="replace").replace("\r", "")
        self._text = self._text[match.end() :]
        # What the guest says by itself meanwhile is no answer.
        return int(match[2]), "".join(line for line in match[1].splitlines(keepends=True) if not line.startswith("cloudsite: "))
