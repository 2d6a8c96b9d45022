"""The embedded default: the same tests once more, in a session of their own, on SQLite.

In the short form without those whose subject is a page, a command or another server, and not what stands in the database.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

FOLDER = Path(__file__).parent


@pytest.mark.skipif("sqlite" in settings.DATABASES["default"]["ENGINE"], reason="this is that session")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("left_out", ["admin ldap doctor commands hostile fetching", pytest.param("", marks=pytest.mark.slow)], ids=["short", "long"])
def test_everything_holds_on_sqlite_too(left_out: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CLOUDSITE_", "PYTEST_", "DJANGO_"))}
    command = [sys.executable, "-m", "pytest", "--sqlite", "-q", "--no-header", "-p", "no:cacheprovider", str(FOLDER)]
    command += [f"--ignore-glob=*test*{name}*.py" for name in left_out.split()]
    ended = subprocess.run(
        command, cwd=FOLDER.parents[1], env=own, capture_output=True, text=True, check=False, timeout=3580
    )
    assert ended.returncode == 0, f"{ended.stdout[-6000:]}{ended.stderr[-2000:]}"
    assert " passed" in ended.stdout
