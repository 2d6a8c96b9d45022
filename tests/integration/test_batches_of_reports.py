"""Several reports in one batch: each operation is moved by its last word, whatever the order of arrival."""

from contracts.report import Outcome
from tests.support.cloud import Cloud, operation_of


def test_progress_beside_a_final_answer_does_not_reopen_the_operation(cloud: Cloud) -> None:
    host = cloud.host()
    _, _, first = cloud.placed(name="first")
    second, _, command = cloud.placed(name="second")
    progress = host.report(command, Outcome.PROGRESS, events=[])
    host.send(host.obey(first), progress, host.obey(command))
    operation = operation_of(second)
    assert (operation.state, operation.next_at) == ("succeeded", None)
