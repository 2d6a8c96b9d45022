"""`make demo`: the whole life of one instance, in an installation of its own that leaves nothing behind."""

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from cloudsite.launcher import hypervisor
from cloudsite.launcher.guest import Guest, tail
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen
from cloudsite.launcher.stack import Stack
from cloudsite.launcher.web import Client
from cloudsite.settings.environment import PREFIX, Environment

_NAME = "demo"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(env: Environment, inherited: Mapping[str, str], screen: Screen) -> int:
    """0 if everything was as it should be. Raises LaunchError with what was not; the logs are then kept."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    started = time.monotonic()
    with screen.step("Hypervisor") as step:
        choice = hypervisor.choose(env)
        step.result(choice.driver + (f": {choice.reason}" if choice.reason else ""))
    env.var.mkdir(parents=True, exist_ok=True)
    var = Path(tempfile.mkdtemp(prefix="demo-", dir=env.var))
    var.chmod(0o755)
    stack = Stack(
        var, driver="libvirt" if choice.driver == "libvirt" else "simulated", env=_settings(inherited), screen=screen,
        cache=env.var / "demo-image", daemons=env.var / "ovs",
    )
    try:
        with stack:
            _life(Client(stack.url, stack.token), stack, screen)
        if stack.leftovers:
            raise LaunchError(f"{stack.leftovers} guest(s) left something on this host; it was removed.")
    except KeyboardInterrupt:
        shutil.rmtree(var, ignore_errors=True)
        raise LaunchError("Interrupted; nothing is left.") from None
    except LaunchError as error:
        raise LaunchError(f"{error}\nThe logs are kept in {var / 'log'}.") from None
    shutil.rmtree(var)
    screen.say(f"All as it should be, after {time.monotonic() - started:.1f} s.", style="bold green")
    return 0


def _life(client: Client, stack: Stack, screen: Screen) -> None:
    with screen.step("Boot") as step:
        guest = Guest.create(client, name=_NAME, flavor="tiny", image="demo", say=step.say)
        address = guest.address()
        step.result(f"{guest.id}, {address}")
    expected = (f"hostname={_NAME}", f"instance-id={guest.id}", f"address={address}")
    with screen.step("Console") as step:
        text = guest.wait_console(expected)
        step.result("host name, instance id and the address that the API shows")
    screen.say(tail(text), style="cyan")
    with screen.step("Reboot") as step:
        guest.act("reboot_soft", step.say)
        guest.wait_console(expected, times=2)
    with screen.step("Delete") as step:
        guest.delete(step.say)
    with screen.step("Audit") as step:
        step.result(_audit(stack))


def _audit(stack: Stack) -> str:
    done = stack.manage("audit", "--json")
    try:
        found = [str(each["what"]) for each in json.loads(done.stdout)["findings"]]
    except (ValueError, KeyError, TypeError):
        raise LaunchError(f"audit did not run: {(done.stdout + done.stderr).strip()[-2000:]}") from None
    if found or done.returncode:
        raise LaunchError("audit found: " + "; ".join(found))
    return "nothing leaks"


def _settings(inherited: Mapping[str, str]) -> dict[str, str]:
    """What was set goes for the demo too, except what would make it meet another installation."""
    own = {PREFIX + name for name in ("VAR", "RUN", "SECRETS", "DATABASE_URL", "BROKER_URL", "PUBLIC_URL", "BRIDGE", "HOST_NAME", "DRIVER")}
    return {name: value for name, value in inherited.items() if name.startswith(PREFIX) and name not in own}


def _interrupt(*_: object) -> None:
    for number in _SIGNALS:  # what follows is cleaning up, and that is not to be interrupted
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
