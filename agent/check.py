"""What `--check` looks at: the same things that a start needs, tried once and told line by line."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent import broker
from agent.app import create_app
from agent.config import Config, ConfigError
from agent.drivers import factory
from agent.drivers.base import DriverError, Hypervisor
from agent.runtime import Agent


class Finding(NamedTuple):
    """One line: what was looked at, what was found, and whether an agent can live with it."""

    what: str
    text: str
    fine: bool = True


def findings(config: Config) -> Iterator[Finding]:
    """Look at state folder, keys, hypervisors and broker. Changes nothing but the state folder's existence."""
    yield _state_dir(config)
    yield Finding("driver", f"{config.driver}, {config.threads} threads")
    try:
        hypervisors = factory.hypervisors(config)
        agent = Agent.from_config(config, hypervisors)
    except (DriverError, ImportError, OSError, NotImplementedError) as error:
        yield Finding("hypervisor", str(error), fine=False)
    except ConfigError as error:
        yield Finding("keys", str(error), fine=False)
    else:
        yield Finding("keys", f"obeys control key {agent.control_key.id}")
        for host in agent.hosts.values():
            yield Finding("host", f"{host.name} ({host.id}), signs as {host.sealer.public.id}")
        yield from _hypervisors(hypervisors)
    yield _broker(config)


def _state_dir(config: Config) -> Finding:
    state_dir = Path(config.state_dir)
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = state_dir / "check.tmp"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return Finding("state", str(error), fine=False)
    return Finding("state", f"{state_dir} can be written")


def _hypervisors(hypervisors: dict[str, Hypervisor]) -> Iterator[Finding]:
    for host_id, hypervisor in list(hypervisors.items())[:8]:
        try:
            hypervisor.check()
            what = hypervisor.capabilities()
        except DriverError as error:
            yield Finding("hypervisor", f"{host_id}: {error}", fine=False)
        else:
            inventory = ", ".join(f"{name} {total}" for name, total in sorted(what.inventory.items()))
            yield Finding("hypervisor", f"{what.hypervisor}: {inventory}; traits: {', '.join(what.traits) or 'none'}")


def _broker(config: Config) -> Finding:
    connection = create_app(config, lambda topic, wires: None).connection_for_read()
    try:
        connection.ensure_connection(max_retries=0)
    except Exception as error:  # whatever the transport raises, the answer is the same
        return Finding("broker", f"{connection.as_uri()}: {error}", fine=False)
    finally:
        connection.release()
    names = [queue.name for queue in broker.queues(config)]
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    return Finding("broker", f"{connection.as_uri()} answers; reads {shown}")
