"""Lists of `openstack` commands, as people type them, against a server that listens: one file of `commands/` is one test.

A line is a command (without `openstack`); lines that are indented below it say what its answer must be:

    has {"name": "green"}      a part of it; of a list, each of the given entries is there
    lacks {"Name": "green"}    of a list: no such entry
    says green not in group    it works, and says this to people
    fails No Project found     it does not work, and says this
    keep id as green           `$green` is this value in all that follows; of a list, its first entry's

A command with `has`, `lacks` or `keep` is asked for JSON.
"""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest
from django.conf import LazySettings

from apps.identity import builtin
from cloudsite.launcher import clouds
from tests.support.cloud import make_project
from tests.support.identity import PASSWORD, make_user

FOLDER = Path(__file__).with_name("commands")
Run = Callable[[list[str]], dict[str, Any]]


@dataclasses.dataclass
class Command:
    """One line of a file, and what is expected of it: (verb, rest of the line)."""

    number: int
    text: str
    expected: list[tuple[str, str]]

    def words(self, kept: dict[str, str]) -> list[str]:
        form = ["-f", "json"] if any(verb in ("has", "lacks", "keep") for verb, _ in self.expected) else []
        return [*shlex.split(Template(self.text).safe_substitute(kept)), *form]


def read(path: Path) -> Iterator[Command]:
    last: Command | None = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.startswith(" "):
            verb, _, rest = line.strip().partition(" ")
            assert last is not None and verb in ("has", "lacks", "says", "fails", "keep"), f"{path.name}:{number}: {line}"
            last.expected.append((verb, rest))
            continue
        if last is not None:
            yield last
        last = Command(number, line, [])
    if last is not None:
        yield last


def holds(expected: Any, actual: Any) -> bool:
    """Whether `actual` has all of `expected`."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(key in actual and holds(value, actual[key]) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return all(any(holds(each, found) for found in actual) for each in expected)
    return bool(expected == actual)


def verdict(command: Command, answer: dict[str, Any], kept: dict[str, str]) -> str:
    """What is wrong with the answer; empty if nothing is. Keeps what is to be kept."""
    if bool(answer["status"]) != any(verb == "fails" for verb, _ in command.expected):
        return f"status {answer['status']}: {answer['stderr'].strip() or answer['stdout'].strip()}"
    for verb, rest in command.expected:
        if verb in ("says", "fails"):
            said = answer["stderr"] + answer["stdout"]
            if Template(rest).safe_substitute(kept) not in said:
                return f"expected {rest!r}, got {said.strip()!r}"
            continue
        actual = json.loads(answer["stdout"])
        if verb == "keep":
            field, _, name = rest.split(" ")
            kept[name] = str((actual[0] if isinstance(actual, list) else actual)[field])
            continue
        expected = json.loads(Template(rest).safe_substitute(kept))
        there = any(holds(expected, each) for each in actual) if verb == "lacks" else holds(expected, actual)
        if there != (verb == "has"):
            return f"expected that it {verb} {expected}, got {actual}"
    return ""


@pytest.fixture
def run(live_server: Any, settings: LazySettings, tmp_path: Path) -> Iterator[Run]:
    """The command line as root, an operator who is a member of the project red; configured by the file that `make up` writes."""
    settings.ENV = dataclasses.replace(settings.ENV, public_url=live_server.url)
    red = make_project("red")
    make_user("root", red, operator=True)
    path = tmp_path / "clouds.yaml"
    clouds.write(
        path, public_url=live_server.url, user="root", password=PASSWORD, project="red", domain=builtin.DEFAULT_DOMAIN_NAME,
        region=builtin.REGION_ID,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.openstack_shell"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OS_CLIENT_CONFIG_FILE": str(path), "OS_CLOUD": clouds.CLOUD},
        cwd=Path(__file__).parents[3],
    )

    def command(words: list[str]) -> dict[str, Any]:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    yield command
    process.communicate()  # the end of its input is its end


@pytest.mark.timeout(900)  # some eighty commands, each several requests
@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.txt")), ids=lambda file: file.stem)
def test_commands_do_what_they_say(run: Run, file: Path) -> None:
    kept = {"password": PASSWORD, "domain": str(builtin.DEFAULT_DOMAIN_ID)}
    wrong = [
        f"{file.name}:{command.number}: openstack {command.text}\n    {text}"
        for command in read(file) if (text := verdict(command, run(command.words(kept)), kept))
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_wrong_is_seen() -> None:
    """The comparison itself can fail."""
    def judged(expected: tuple[str, str], stdout: Any, status: int = 0, stderr: str = "") -> str:
        return verdict(Command(1, "x", [expected]), {"status": status, "stdout": json.dumps(stdout), "stderr": stderr}, {})

    assert not judged(("has", '{"a": 1}'), {"a": 1, "b": 2}) and judged(("has", '{"a": 1}'), {"a": 2})
    assert not judged(("has", '[{"a": 1}]'), [{"a": 2}, {"a": 1}]) and judged(("has", '[{"a": 1}]'), [{"a": 2}])
    assert judged(("lacks", '{"a": 1}'), [{"a": 1}]) and not judged(("lacks", '{"a": 1}'), [{"a": 2}])
    assert judged(("has", "{}"), {}, status=1) and judged(("fails", "no"), {}) and not judged(("fails", "no"), {}, 1, "no, no")
    assert judged(("fails", "no"), {}, 1, "yes") and judged(("says", "no"), {}, 0, "yes") and not judged(("says", "no"), {}, 0, "no")
