"""Control plane and agent agree on every topic: what one sends, the other takes in."""

import importlib

import msgspec
import pytest

from apps.common import errors
from apps.common.api.problems import STATUS, TITLES
from apps.operations.kinds import all_kinds
from apps.operations.services import intake
from contracts import topics
from contracts.compute import v1


def test_every_topic_is_used_once_and_carries_its_version() -> None:
    every = (*topics.COMMANDS, *topics.STATES, *topics.REPORTS, topics.PLACE, topics.IMAGE_WORK, topics.TELL_HOSTS)
    assert len(set(every)) == len(every)
    assert all(topic.split(".")[1] in ("v1", "v2", "v3") for topic in every)


def test_a_host_has_queues_of_its_own() -> None:
    assert topics.host_queues("n1") == ("compute.n1", "network.n1", "volume.n1")
    control = {topics.CONDUCTOR, topics.SCHEDULER, topics.IMAGES}
    assert not control & {queue for name in control for queue in topics.host_queues(name)}


def test_the_agent_has_a_handler_for_every_command_and_no_other() -> None:
    handlers = importlib.import_module("agent.handlers.compute").HANDLERS
    assert set(handlers) == set(topics.COMMANDS)
    assert all(issubclass(handler.shape, msgspec.Struct) for handler in handlers.values())


def test_what_changes_something_is_fenced_and_what_only_reads_is_not() -> None:
    handlers = importlib.import_module("agent.handlers.compute").HANDLERS
    assert {topic for topic, handler in handlers.items() if not handler.mutates} == {topics.COMPUTE_CONSOLE, topics.COMPUTE_OBSERVE}


def test_the_conductor_takes_in_every_report() -> None:
    assert set(intake._WORK) == set(topics.REPORTS)


def test_every_control_plane_task_is_registered() -> None:
    from cloudsite.celery import app

    app.loader.import_default_modules()
    assert {*topics.REPORTS, topics.PLACE, topics.IMAGE_WORK, topics.TELL_HOSTS} <= set(app.tasks)
    assert not {*topics.COMMANDS, *topics.STATES} & set(app.tasks), "commands are carried out by agents only"


def test_every_step_of_every_kind_is_a_command_or_for_a_worker_of_ours() -> None:
    ours = {"scheduler": topics.PLACE, "images": topics.IMAGE_WORK}
    for kind in all_kinds():
        for step in kind.steps:
            assert step.task in ((ours[step.role],) if step.role in ours else topics.COMMANDS), f"{kind.name} {step.name}"


def test_every_kind_of_refusal_has_a_status_and_a_title() -> None:
    kinds = {kind.kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CloudError)}
    assert kinds == set(STATUS)
    assert set(STATUS.values()) <= set(TITLES)


@pytest.mark.parametrize("shape", [shape for shape in vars(v1).values() if isinstance(shape, type) and issubclass(shape, msgspec.Struct)])
def test_every_payload_ignores_fields_of_a_later_release(shape: type[msgspec.Struct]) -> None:
    assert not shape.__struct_config__.forbid_unknown_fields
    assert shape.__struct_config__.frozen
