"""Commands about instances and images. Each handler makes the driver do it and answers with what is true afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from agent.drivers.base import Hypervisor, Trace, Undo
from contracts import topics
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute import v3 as compute3

# More of a console than this is never sent, whatever was asked for.
MAX_CONSOLE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler works with. `generation`: what the result says the host has worked on. `stopped`: a later command about the
    same thing waits, so that what takes long should end."""

    hypervisor: Hypervisor
    trace: Trace
    undo: Undo
    generation: int
    stopped: Callable[[], bool] = lambda: False


def _instance(body: Any) -> str:
    instance_id: str = body.instance_id
    return instance_id


@dataclass(frozen=True, slots=True)
class Handler:
    """`shape`: the command's body. `mutates`: journaled and fenced by generation; others only read. `subject`: what it is about,
    one command at a time. `forgettable`: the journal need not keep the subject's generation. `removes`: waits for no command that makes
    something, but of the same subject."""

    shape: type[msgspec.Struct]
    run: Callable[[Context, Any], msgspec.Struct]
    mutates: bool
    subject: Callable[[Any], str] = _instance
    forgettable: bool = False
    removes: bool = False


def build(context: Context, command: compute2.Build) -> compute.Domain:
    context.hypervisor.build(command, context.trace, context.undo, context.stopped)
    return _now(context, command.instance_id)


def delete(context: Context, command: compute2.Delete) -> compute.Domain:
    context.hypervisor.delete(command, context.trace)
    return _now(context, command.instance_id)


def attach(context: Context, command: compute2.Attach) -> compute.Domain:
    context.hypervisor.attach(command, context.trace, context.undo)
    return _now(context, command.instance_id)


def detach(context: Context, command: compute2.Detach) -> compute.Domain:
    context.hypervisor.detach(command, context.trace)
    return _now(context, command.instance_id)


def power(context: Context, command: compute.Power) -> compute.Domain:
    context.hypervisor.power(command, context.trace)
    return _now(context, command.instance_id)


def snapshot(context: Context, command: compute3.Snapshot) -> compute3.Saved:
    return context.hypervisor.snapshot(command, context.trace, context.stopped)


def seed(context: Context, command: compute3.Seed) -> compute3.CachedImage:
    return context.hypervisor.seed(command, context.trace)


def console(context: Context, command: compute.Console) -> compute.ConsoleOutput:
    wanted = max(0, min(command.max_bytes, MAX_CONSOLE_BYTES))
    return context.hypervisor.console(msgspec.structs.replace(command, max_bytes=wanted))


def observe(context: Context, command: compute.Observe) -> compute.Domain:
    return _now(context, command.instance_id)


def _now(context: Context, instance_id: str) -> compute.Domain:
    domain = context.hypervisor.observe(instance_id)
    return msgspec.structs.replace(domain, generation=context.generation)


HANDLERS: Final[dict[str, Handler]] = {
    topics.COMPUTE_BUILD: Handler(compute2.Build, build, mutates=True),
    topics.COMPUTE_DELETE: Handler(compute2.Delete, delete, mutates=True, removes=True),
    topics.COMPUTE_ATTACH: Handler(compute2.Attach, attach, mutates=True),
    topics.COMPUTE_DETACH: Handler(compute2.Detach, detach, mutates=True),
    topics.COMPUTE_POWER: Handler(compute.Power, power, mutates=True),
    topics.COMPUTE_SNAPSHOT: Handler(compute3.Snapshot, snapshot, mutates=True),
    topics.COMPUTE_SEED: Handler(
        compute3.Seed, seed, mutates=True, subject=lambda body: f"image {body.image.sha256}", forgettable=True
    ),
    topics.COMPUTE_CONSOLE: Handler(compute.Console, console, mutates=False),
    topics.COMPUTE_OBSERVE: Handler(compute.Observe, observe, mutates=False),
}
