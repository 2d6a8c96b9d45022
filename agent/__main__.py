"""`python -m agent --config FILE`: run the worker of one host, or check that it could run."""

import argparse
import os
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Final

import msgspec

from agent import VERSION, logs
from agent.config import Config, ConfigError, load
from agent.drivers.base import DriverError

EXIT_UNUSABLE: Final = 1

_EPILOG = """The configuration file is written by `manage.py host_enroll` of the control plane and copied to the host.
SIGTERM stops: commands under way may end, and what has not ended in time is resumed by the next start."""


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit code: 0 stopped as asked, 1 cannot run, 70 stuck, 75 stop cut short."""
    arguments = _parser().parse_args(argv)
    logs.configure(arguments.log_level)
    try:
        config = load(arguments.config)
        if arguments.threads:
            config = msgspec.structs.replace(config, threads=arguments.threads)
        return _check(config, arguments.config) if arguments.check else _run(config, arguments.grace)
    except (ConfigError, DriverError, ImportError, OSError, sqlite3.Error) as error:
        return _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent",
        description=f"The cloudsite agent {VERSION}: carries out signed commands on this host and reports on them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="this host's configuration, JSON")
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="commands at work at once (default: as configured)"
    )
    parser.add_argument("--log-level", choices=logs.LEVELS, default="info", help="default: info")
    parser.add_argument(
        "--grace",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="time for commands to end after SIGTERM (default: 30)",
    )
    parser.add_argument("--check", action="store_true", help="check configuration, hypervisor and broker, then end")
    return parser


def _run(config: Config, grace_s: float) -> int:
    from agent.service import AlreadyRunning, Service, StateLock  # late, so that --help is quick

    try:
        lock = StateLock(Path(config.state_dir))
    except AlreadyRunning as error:
        return _fail(str(error))
    code = Service(config, stop_grace_s=grace_s).run()
    del lock
    return code


def _check(config: Config, path: Path) -> int:
    from agent.check import findings

    problems = 0
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        print(f"warning     {path} holds a private key and is readable by others: chmod 600 {path}")
    for what, text, fine in findings(config):
        print(f"{what:<12}{text}" if fine else f"{what:<12}PROBLEM: {text}")
        problems += not fine
    print("all is well" if not problems else f"{problems} problem(s)")
    return EXIT_UNUSABLE if problems else 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _fail(reason: str) -> int:
    print(f"cloudsite agent: {reason}", file=sys.stderr)
    return EXIT_UNUSABLE


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: that would wait for threads which hang in a hypervisor call.
    os._exit(code)
