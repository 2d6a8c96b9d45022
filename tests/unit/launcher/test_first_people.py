"""What the launcher says and decides before anything runs."""

import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cloudsite.launcher import guest, hypervisor, up, web
from cloudsite.launcher.guest import Guest
from cloudsite.launcher.lock import Lock
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen
from cloudsite.settings.environment import load

REASON = "these packages are missing: qemu-system-x86"


@pytest.fixture
def screen() -> Screen:
    each = Screen()
    each.console = Console(file=io.StringIO(), width=120, highlight=False)
    return each


def shown(screen: Screen) -> str:
    file = screen.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_step_ends_in_one_plain_line_with_its_time(screen: Screen) -> None:
    with screen.step("Database") as step:
        step.say("3 migrations")
        step.result("up to date")
    [line] = shown(screen).splitlines()
    assert "Database" in line
    assert " s  up to date" in line


def test_a_step_that_fails_is_marked_and_the_reason_goes_on(screen: Screen) -> None:
    with pytest.raises(LaunchError), screen.step("Host"):
        raise LaunchError("no")
    assert shown(screen).lstrip().startswith(("✗", "FAILED"))


def test_text_from_outside_is_no_markup(screen: Screen) -> None:
    with screen.step("Console") as step:
        step.result("[red]x[/nonsense]")
    assert "[red]x[/nonsense]" in shown(screen)


def test_a_second_start_says_who_holds_the_installation(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run" / "up.lock")
    with pytest.raises(LaunchError, match=f"process {os.getpid()}"):
        Lock(tmp_path / "run" / "up.lock")
    lock.release()
    Lock(tmp_path / "run" / "up.lock").release()


def test_a_port_that_is_taken_is_named_together_with_a_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(LaunchError, match=rf"{address} is taken .* make up CLOUDSITE_LISTEN=127"):
            up.refuse_taken(address, "the API", "CLOUDSITE_LISTEN")


@pytest.mark.parametrize(("name", "expected"), [("web_1", "web-1"), ("-x-", "x"), ("", "localhost"), ("a" * 70, "a" * 63)])
def test_any_machine_name_makes_a_host_name(name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert up.host_name() == expected


def test_two_installations_on_a_machine_have_two_bridges() -> None:
    one, other = hypervisor.own_bridge(Path("/srv/a")), hypervisor.own_bridge(Path("/srv/b"))
    assert one != other
    assert load({"CLOUDSITE_BRIDGE": one}).bridge == one


@pytest.mark.parametrize(
    ("wanted", "reason", "driver", "said"),
    [("auto", "", "libvirt", ""), ("auto", REASON, "simulated", REASON), ("simulated", "", "simulated", "CLOUDSITE_DRIVER=simulated")],
)
def test_the_driver_is_libvirt_where_it_can_be_and_the_reason_is_said_where_not(
    wanted: str, reason: str, driver: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypervisor, "obstacle", lambda: reason)
    assert hypervisor.choose(load({"CLOUDSITE_DRIVER": wanted})) == hypervisor.Choice(driver, said)


def test_libvirt_that_was_demanded_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "obstacle", lambda: REASON)
    with pytest.raises(LaunchError, match="qemu-system-x86"):
        hypervisor.choose(load({"CLOUDSITE_DRIVER": "libvirt"}))


def test_without_root_no_guest_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in hypervisor.obstacle()


class FakeClient(web.Client):
    """Answers GETs from a list, the last answer for ever."""

    def __init__(self, *answers: Any) -> None:
        super().__init__("http://nowhere", "")
        self._answers = list(answers)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if method != "GET":
            return {"instance": {"id": "i1"}, "operation": {"id": "o1"}}
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def operation(state: str, *events: str, error: str = "") -> dict[str, Any]:
    rows = [{"source": "host", "name": event, "detail": ""} for event in events]
    return {"kind": "instance.build", "state": state, "step": "build", "events": rows, "error": {"message": error} if error else None}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudsite.launcher.guest.time.sleep", lambda _: None)


def test_a_boot_is_followed_event_by_event() -> None:
    said: list[str] = []
    client = FakeClient(operation("sent", "image"), operation("running", "image", "disk"), operation("succeeded", "image", "disk"))
    Guest.create(client, name="x", flavor="tiny", image="demo", say=said.append)
    assert said == ["host: image", "host: disk"]


def test_a_boot_that_fails_says_why_and_what_happened() -> None:
    client = FakeClient(operation("failed", "domain failed: no such machine", error="No host fits."))
    with pytest.raises(LaunchError, match=r"(?s)No host fits.*no such machine"):
        Guest.create(client, name="x", flavor="tiny", image="demo", say=lambda _: None)


def test_a_console_without_the_expected_line_is_shown_as_it_is() -> None:
    client = FakeClient({"text": "kernel panic\n"})
    with pytest.raises(LaunchError, match=r"(?s)'hostname=x'.*kernel panic"):
        Guest(client, "i1").wait_console(("hostname=x",), timeout_s=0)


def test_a_host_that_does_not_answer_yet_has_an_empty_console() -> None:
    assert Guest(FakeClient(web.Refused(503, "later")), "i1").console() == ""


def test_a_console_cannot_drive_the_terminal() -> None:
    assert guest.tail("a\x1b[6n\x1b[2Jb\x07\n\n~ # ") == "    ab\n    ~ #"
