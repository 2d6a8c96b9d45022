"""The launcher's end of `inside`: give an order, hear how it goes, get the answer."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloudsite.launcher.programs import LaunchError
from cloudsite.settings.environment import BASE_DIR


class Helper:
    """A process with Django in it that carries out orders (see `orders`) one after the other, until `close`."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cloudsite.launcher.inside"],  # ends with its stdin, and so with us
                cwd=BASE_DIR, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
                start_new_session=True,
            )

    def do(self, order: str, say: Callable[[str], None] = lambda _: None, /, **arguments: Any) -> Any:
        """The order's answer. Raises LaunchError with its own words if it fails."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps({"do": order, "with": arguments}, default=str) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise LaunchError(self._ended()) from None
        for line in self._process.stdout:
            message = json.loads(line)
            if "error" in message:
                raise LaunchError(f"{order}: {message['error']} (more in {self._log})")
            if "done" in message:
                return message["done"]
            say(message["progress"])
        raise LaunchError(self._ended())

    def close(self) -> None:
        """End the process. More than once is no error."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _ended(self) -> str:
        self._process.wait(5)
        tail = "\n".join(f"    {line}" for line in self._log.read_text(errors="replace").splitlines()[-8:])
        return f"Django did not start. Last lines of {self._log}:\n{tail}"
