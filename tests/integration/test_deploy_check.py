"""`manage.py check --deploy`, as an operator runs it: with HTTPS nothing is left to say."""

import os
import subprocess
import sys
from pathlib import Path

from cloudsite.settings.environment import BASE_DIR, PREFIX


def checked(tmp_path: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = {PREFIX + name.upper(): value for name, value in {"var": str(tmp_path), **variables}.items()}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=BASE_DIR, env=environment | given, capture_output=True, text=True, check=False,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


def test_with_https_it_finds_nothing(tmp_path: Path) -> None:
    assert checked(tmp_path, public_url="https://cloud.example").startswith("0 System check identified no issues")


def test_on_this_machine_alone_plain_http_is_fine(tmp_path: Path) -> None:
    assert checked(tmp_path).startswith("0 System check identified no issues")


def test_plain_http_that_others_reach_is_warned_of(tmp_path: Path) -> None:
    told = checked(tmp_path, public_url="http://cloud.example")
    assert told.startswith("1 ")
    assert all(f"security.{number}" in told for number in ("W004", "W008", "W012", "W016"))
