"""`make erase CONFIRM=yes`: this installation with all that it has on this machine, gone."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cloudsite.launcher import programs
from cloudsite.launcher.daemons import HostDaemons
from cloudsite.launcher.lock import Lock
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen
from cloudsite.settings.environment import BASE_DIR, Environment


def erase(env: Environment, inherited: Mapping[str, str], screen: Screen, *, confirmed: bool) -> int:
    """Raises LaunchError while `make up` runs, or if guests cannot be removed; nothing is deleted then."""
    lock = Lock(env.run / "up.lock")
    try:
        if not confirmed:
            screen.problem(f"This deletes {env.var} with every guest, image and volume in it. Sure? make erase CONFIRM=yes")
            return 1
        config = programs.agent_config(env)
        if _has_guests(config):
            with screen.step("Guests") as step:
                daemons = HostDaemons(ovs=env.var / "ovs", log=env.var / "log", environment=programs.environment(env, inherited))
                daemons.ensure(step.say)
                step.result(f"{purge(config, programs.environment(env, inherited))} removed")
                daemons.release()
        with screen.step("Files") as step:
            for folder in {env.var, env.run, env.secrets}:
                shutil.rmtree(folder, ignore_errors=True)
            step.result(str(env.var))
    finally:
        lock.release()
    return 0


def purge(config: Path, environment: Mapping[str, str]) -> int:
    """Take all that the host of this agent configuration has off this machine; how many guests. Raises LaunchError."""
    done = subprocess.run(
        [sys.executable, "-m", "cloudsite.launcher.purge", str(config)],
        cwd=BASE_DIR, env=dict(environment), check=False, capture_output=True, text=True, timeout=300,
    )
    if done.returncode:
        raise LaunchError(f"Guests could not be removed: {done.stderr.strip()[-1500:]}")
    return int(done.stdout)


def _has_guests(config: Path) -> bool:
    try:
        return bool(json.loads(config.read_text())["driver"] == "libvirt") and os.geteuid() == 0
    except (OSError, ValueError, KeyError):
        return False
