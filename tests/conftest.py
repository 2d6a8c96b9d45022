"""Set-up shared by all tests: a private PostgreSQL and scratch folders, made only for those who ask.

Django is set up here and not by an ini option, because the settings read `CLOUDSITE_*` when they are imported and must
find the private database. `--sqlite` (or CLOUDSITE_TEST_DATABASE=sqlite) runs the same tests on SQLite. Nothing here may
import Django at the top: the agent's tests run where it is not installed (`pytest -p no:django tests/agent`).
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.support.postgres import PrivatePostgres  # noqa: E402


class _Session:
    """What one run of the tests has of its own."""

    def __init__(self, *, sqlite: bool) -> None:
        self.var = Path(tempfile.mkdtemp(prefix="cstest-", dir="/tmp"))
        self.postgres = None if sqlite else PrivatePostgres()
        atexit.register(self.close)

    @property
    def url(self) -> str:
        return self.postgres.url if self.postgres else f"sqlite:///{self.var / 'cloudsite.sqlite3'}"

    def close(self) -> None:
        if self.postgres:
            self.postgres.stop()
        shutil.rmtree(self.var, ignore_errors=True)


_SESSION: pytest.StashKey[_Session] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sqlite", action="store_true", help="Use SQLite instead of a private PostgreSQL.")


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("django"):
        return
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # it only hands out the tests; the processes that run them come here on their own
    if "django.conf" in sys.modules:
        from django.conf import settings

        if settings.configured:
            raise pytest.UsageError("Django was set up before tests/conftest.py: leave DJANGO_SETTINGS_MODULE out of the ini.")
    chosen = os.environ.pop("CLOUDSITE_TEST_DATABASE", "")
    session = _Session(sqlite=config.getoption("--sqlite") or chosen == "sqlite")
    config.stash[_SESSION] = session
    # What the shell has set for a running installation is not for tests.
    for name in [name for name in os.environ if name.startswith("CLOUDSITE_")]:
        del os.environ[name]
    os.environ.update(
        DJANGO_SETTINGS_MODULE="cloudsite.settings",
        CLOUDSITE_VAR=str(session.var),
        CLOUDSITE_DATABASE_URL=session.url,
        CLOUDSITE_LOG_LEVEL="ERROR",
        # A run asks thousands of times from one address; tests of the limits set them.
        CLOUDSITE_RATE_ADDRESS="0",
        CLOUDSITE_RATE_PROJECT="0",
        CLOUDSITE_RATE_SIGN_IN="0",
        CLOUDSITE_S3_RATE="0",
        # Nobody listens here: a message that a test does not catch fails at once, and is not delivered to anybody.
        CLOUDSITE_BROKER_URL=f"redis+socket://{session.var / 'no-broker.sock'}",
    )
    import django
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    django.setup()
    pytest.register_assert_rewrite("tests.support.audit", "tests.support.cloud", "tests.support.hosts")
    config.pluginmanager.import_plugin("tests.support.fixtures")
    _unhurried()


def _unhurried() -> None:
    """Hypothesis asks the same in every run, however slow the machine is just then; long forms draw anew."""
    from hypothesis import HealthCheck, settings

    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    settings.register_profile("unhurried", deadline=None, derandomize=True, database=None, suppress_health_check=slow)
    settings.load_profile("unhurried")


# Hypervisors one at a time, and whole installations and browsers one at a time; what else there is goes by files.
_ROWS = {"real": "machine", "browser": "installations", "chaos": "installations", "scenarios": "installations"}


def _row(nodeid: str) -> str:
    return _ROWS.get(nodeid.removeprefix("tests/").split("/", 1)[0], "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long first: begun last it would keep the other processes waiting."""
    order = ["machine", "installations", "", "rest"]
    items.sort(key=lambda item: order.index(_row(item.nodeid) or ("" if "test_on_sqlite" in item.nodeid else "rest")))


@pytest.hookimpl(optionalhook=True)  # pytest-xdist need not be there
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes share the tests (`make test`), those of a file stay together, and the heavy ones in their row.

    Not by marks (`--dist loadgroup`): pytest-xdist 3.8 appends them to what pytest 9 no longer takes for a test's id.
    """
    from xdist.scheduler import LoadScopeScheduling

    rows = LoadScopeScheduling(config, log)
    rows._split_scope = lambda nodeid: _row(nodeid) or nodeid.split("::", 1)[0]
    return rows


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have counted, added up: `record_property("figures of isolation", {"requests": 12})`; and the longest of what
    was promised in a time and is no failure when the machine is just too busy: `record_property("promised in 2 s: …", 0.4)`."""
    sums: dict[str, Counter[str]] = {}
    longest: dict[str, float] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, counted in report.user_properties if report.when == "call" else ():
                if name.startswith("figures of "):
                    sums.setdefault(name.removeprefix("figures of "), Counter()).update(counted)
                elif name.startswith("promised in "):
                    longest[name] = max(counted, longest.get(name, 0))
    for name, counts in sums.items():
        terminalreporter.write_line(f"{name}: {', '.join(f'{count} {what}' for what, count in counts.items())}")
    for name, took in longest.items():
        terminalreporter.write_line(f"{name}: {took} s at most")


def pytest_unconfigure(config: pytest.Config) -> None:
    session = config.stash.get(_SESSION, None)
    if session is not None:
        session.close()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> PrivatePostgres:
    """The private server, running. Skips on SQLite."""
    session = request.config.stash[_SESSION]
    if session.postgres is None:
        pytest.skip("needs PostgreSQL")
    session.postgres.start()
    return session.postgres


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest) -> None:
    """Called by pytest-django before it makes the test database: only now is a server needed."""
    session = request.config.stash[_SESSION]
    if session.postgres is not None:
        session.postgres.start()
        return
    from django.db import connections

    # A file, as in production: several threads, write-ahead log, and locks between connections.
    connections["default"].settings_dict["TEST"]["NAME"] = str(session.var / "test.sqlite3")


@pytest.fixture(scope="session")
def _quick_flush() -> Iterator[None]:
    """Empty only tables that have rows: Django's flush truncates all of them and makes content types anew, 30 times slower."""
    from django.test import TransactionTestCase

    from tests.support.wipe import wipe

    def teardown(self: TransactionTestCase) -> None:
        wipe()

    with mock.patch.object(TransactionTestCase, "_fixture_teardown", teardown):
        yield


@pytest.fixture(autouse=True)
def _fast_database(request: pytest.FixtureRequest) -> None:
    if request.config.pluginmanager.hasplugin("django"):
        request.getfixturevalue("_quick_flush")
