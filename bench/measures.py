"""What is read from outside: memory of processes, statements in PostgreSQL, messages in Redis."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import redis


def pss_mb(pid: int) -> float:
    """Proportional set size of a process with all its children, MB (10^6 bytes): shared pages count once over all."""
    total = 0.0
    for each in [pid, *_children(pid)]:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6
    return total


def resident_mb(pid: int) -> float:
    """Resident set size of a process with all its children, MB (10^6 bytes): shared pages count in each."""
    return _status_mb(pid, "VmRSS:")


def peak_mb(pid: int) -> float:
    """The most that each of them has had since `forget_peaks`, added up."""
    return _status_mb(pid, "VmHWM:")


def forget_peaks(pid: int) -> None:
    """From now on the most is looked for anew."""
    for each in [pid, *_children(pid)]:
        Path(f"/proc/{each}/clear_refs").write_text("5")


def _status_mb(pid: int, name: str) -> float:
    lines = [line for each in [pid, *_children(pid)] for line in Path(f"/proc/{each}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds that a process with all its children has used so far."""
    total = 0.0
    for each in [pid, *_children(pid)]:
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / 100
    return total


def _children(pid: int) -> Iterable[int]:
    try:
        direct = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [*direct, *(grandchild for child in direct for grandchild in _children(child))]


class Counters:
    """Statements and commits in PostgreSQL, pushes in Redis, since the last `reset`."""

    def __init__(self, database_url: str, broker_url: str) -> None:
        self._connection = psycopg.connect(conninfo(database_url), autocommit=True)
        self._redis = redis.Redis(unix_socket_path=urlsplit(broker_url).path)
        self._has_statements = self._extend()
        self.reset()

    def _extend(self) -> bool:
        try:
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            self._connection.execute("SELECT count(*) FROM pg_stat_statements")
        except psycopg.Error:
            return False
        return True

    def reset(self) -> None:
        if self._has_statements:
            self._connection.execute("SELECT pg_stat_statements_reset()")
        self._pushed = self._pushes()

    def messages(self) -> int:
        """Messages published since the reset."""
        return self._pushes() - self._pushed

    def statements(self) -> int | None:
        """SQL statements since the reset, BEGIN and COMMIT not counted; None if this server does not count."""
        if not self._has_statements:
            return None
        query = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query !~* '^(begin|commit|savepoint|release|rollback)'"
        row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def commits(self) -> int | None:
        """Transactions that were committed explicitly since the reset."""
        if not self._has_statements:
            return None
        row = self._connection.execute("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ~* '^commit'").fetchone()
        return int(row[0]) if row else 0

    def _pushes(self) -> int:
        stats: Mapping[str, Any] = self._redis.info("commandstats")
        return int(stats.get("cmdstat_lpush", {}).get("calls", 0))


def conninfo(url: str) -> str:
    """A Django-style database URL as libpq takes it (the socket folder is in the host part)."""
    parts = urlsplit(url)
    return f"host={unquote(parts.hostname or '')} port={parts.port or 5432} user={parts.username} dbname={parts.path.lstrip('/')}"
