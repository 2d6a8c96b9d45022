"""An instance's life as a user of the API sees it: create, follow, look at the console, reboot, delete."""

import re
import time
from collections.abc import Callable
from typing import Any

from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.web import Client, Refused

_LOOK_EVERY_S = 0.1
_CLOSED = ("succeeded", "failed", "cancelled")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\t -~\u00a0-\uffff]")
Say = Callable[[str], None]


class Guest:
    """One instance."""

    def __init__(self, client: Client, instance_id: str) -> None:
        self._client, self.id = client, instance_id

    @classmethod
    def create(cls, client: Client, *, name: str, flavor: str, image: str, say: Say, timeout_s: float = 180) -> "Guest":
        """Boot one and follow its timeline until it is active. Raises LaunchError with the reason if it is not."""
        answer = client.post("instances", {"name": name, "flavor": flavor, "image": image})
        guest = cls(client, answer["instance"]["id"])
        guest._follow(answer["operation"]["id"], say, timeout_s)
        return guest

    def facts(self) -> dict[str, Any]:
        """The instance as the API shows it."""
        return dict(self._client.get(f"instances/{self.id}"))

    def address(self) -> str:
        """Its first address."""
        return str(self.facts()["addresses"][0]["address"])

    def console(self) -> str:
        """The console's last 64 KiB; empty if there is none yet."""
        try:
            return str(self._client.get(f"instances/{self.id}/console-log")["text"])
        except Refused as refusal:
            if refusal.status in (409, 503):
                return ""
            raise

    def wait_console(self, expected: tuple[str, ...], *, times: int = 1, timeout_s: float = 90) -> str:
        """The console, once it shows every text so many times. Raises LaunchError with its last lines if it never does."""
        until = time.monotonic() + timeout_s
        while True:
            text = self.console()
            missing = [each for each in expected if text.count(each) < times]
            if not missing:
                return text
            if time.monotonic() > until:
                raise LaunchError(f"The console does not show {missing[0]!r} after {timeout_s:.0f} s. It ends with:\n{tail(text)}")
            time.sleep(0.25)

    def act(self, action: str, say: Say, timeout_s: float = 120) -> None:
        """`reboot`, `stop`, `start` … and wait until it is done."""
        answer = self._client.post(f"instances/{self.id}/actions", {"action": action})
        self._follow(answer["operation"]["id"], say, timeout_s)

    def delete(self, say: Say, timeout_s: float = 120) -> None:
        """Delete it and wait until it is gone."""
        answer = self._client.delete(f"instances/{self.id}")
        if answer:
            self._follow(answer["operation"]["id"], say, timeout_s)
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            try:
                self.facts()
            except Refused as refusal:
                if refusal.status == 404:
                    return
                raise
            time.sleep(_LOOK_EVERY_S)
        raise LaunchError(f"Instance {self.id} is deleted, says the API, but still there.")

    def _follow(self, operation_id: str, say: Say, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        shown = 0
        while True:
            operation = self._client.get(f"operations/{operation_id}")
            events = operation.get("events", [])
            for event in events[shown:]:
                say(_line(event))
            shown = len(events)
            if operation["state"] == "succeeded":
                return
            if operation["state"] in _CLOSED:
                error = operation.get("error") or {}
                told = "\n".join(f"    {_line(event)}" for event in events[-6:])
                raise LaunchError(
                    f"{operation['kind']} {operation['state']}: {error.get('message', 'no reason given')} What happened:\n{told}"
                )
            if time.monotonic() > until:
                raise LaunchError(f"{operation['kind']} is still {operation['state']} ({operation['step']}) after {timeout_s:.0f} s.")
            time.sleep(_LOOK_EVERY_S)


def tail(text: str, lines: int = 12) -> str:
    """The last lines that are not empty, indented and without what terminals would take for commands."""
    text = _CONTROL.sub("", text)
    return "\n".join(f"    {line.rstrip()}" for line in [line for line in text.splitlines() if line.strip()][-lines:])


def _line(event: dict[str, Any]) -> str:
    return " ".join(filter(None, (f"{event['source']}:", event["name"], event["detail"])))
