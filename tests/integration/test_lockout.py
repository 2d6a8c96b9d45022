"""Guessing is stopped, told, and stops nobody else."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.common.context import SYSTEM
from apps.identity import lockout
from apps.identity.models import Project, User
from apps.identity.services import leftovers, signin, unlocking, users
from apps.identity.services.signin import Scope
from tests.support.cloud import make_project, refusal
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD, actor_in, make_domain, make_user
from tests.support.proofs import code_of, coming_from, make_credential, with_second_factor

pytestmark = pytest.mark.django_db(transaction=True)
MOST = settings.ENV.login_attempts


def guess(times: int = MOST, *, address: str = "192.0.2.1", **who: Any) -> list[str]:
    """The codes with which that many wrong passwords are refused."""
    who = who or {"username": "ann"}
    return [refusal(signin.by_password, password="wrong", request=coming_from(address), **who).code for _ in range(times)]


def try_right(address: str = "192.0.2.1", username: str = "ann") -> str:
    try:
        signin.login(username=username, password=PASSWORD, request=coming_from(address))
    except Exception as error:
        return str(getattr(error, "code", error))
    return "in"


@pytest.fixture(autouse=True)
def ann() -> User:
    return make_user("ann", make_project())


def test_after_so_many_wrong_passwords_the_right_one_does_not_help_either() -> None:
    assert guess(MOST) == ["auth.failed"] * MOST
    error = refusal(signin.by_password, username="ann", password=PASSWORD, request=coming_from())
    assert (error.kind, error.code) == ("unauthenticated", "auth.locked")
    assert 0 < error.facts["retry_after_s"] <= settings.ENV.lock_minutes * 60
    assert guess(1) == ["auth.locked"]


def test_one_failure_less_locks_nobody_and_success_forgets_it() -> None:
    for _ in range(3):
        guess(MOST - 1)
        assert try_right() == "in"
    assert AccessAttempt.objects.count() == 0


def test_a_lock_ends_by_itself_and_knocking_does_not_make_it_longer(time_machine: Time) -> None:
    guess()
    time_machine.forward(settings.ENV.lock_minutes * 60 - 60)
    assert guess(3) == ["auth.locked"] * 3
    time_machine.forward(61)
    assert try_right() == "in"


def test_failures_long_ago_do_not_count(time_machine: Time) -> None:
    guess(MOST - 1)
    time_machine.forward(settings.ENV.lock_minutes * 60 + 1)
    assert guess(MOST - 1) == ["auth.failed"] * (MOST - 1)
    assert try_right() == "in"


def test_others_behind_the_same_address_and_the_user_elsewhere_are_not_locked() -> None:
    make_user("bob", make_project())
    guess()
    assert try_right(username="bob") == "in"
    assert try_right("198.51.100.7") == "in"
    assert try_right() == "auth.locked"


def test_guessing_from_many_addresses_locks_the_user_for_all_of_them() -> None:
    most = settings.ENV.login_attempts_user
    for number in range(most // (MOST - 1) + 1):
        guess(MOST - 1, address=f"192.0.2.{number}")
    assert try_right("198.51.100.7") == "auth.locked"


def test_a_whole_ipv6_network_is_one_address() -> None:
    for number in range(MOST):
        guess(1, address=f"2001:db8::{number + 1}")
    assert try_right("2001:db8::ffff") == "auth.locked"
    assert try_right("2001:db8:1::1") == "in"


@pytest.mark.parametrize("address", ["", "unix", "::ffff:192.0.2.1"])
def test_any_address_can_be_counted(address: str) -> None:
    guess(address=address)
    assert try_right(address) == "auth.locked"


def test_a_name_that_is_nobodys_is_locked_like_one_that_is() -> None:
    assert guess(MOST + 1, username="nobody") == ["auth.failed"] * MOST + ["auth.locked"]


@pytest.mark.parametrize("name", ["a" * 255, "\x00", "é/ü", "a/b", ""])
def test_any_name_can_be_counted(name: str) -> None:
    domain = make_domain("sales")
    assert guess(MOST + 1, username=name) == ["auth.failed"] * MOST + ["auth.locked"]
    assert guess(MOST + 1, username=name, domain_id=domain.pk) == ["auth.failed"] * MOST + ["auth.locked"]


def test_namesakes_in_two_domains_are_counted_apart() -> None:
    domain = make_domain("sales")
    other = make_user("ann", domain=domain)
    guess()
    assert signin.by_password(username="ann", password=PASSWORD, domain_id=domain.pk, request=coming_from()).user == other
    guess(user_id=other.pk)
    assert guess(1, username="ann", domain_id=domain.pk) == ["auth.locked"]


def test_a_name_is_counted_as_one_however_it_is_written() -> None:
    domain = make_domain("sales")
    make_user("bob", domain=domain)
    guess(MOST - 1, username="sales/bob")
    assert guess(2, username="bob", domain_id=domain.pk) == ["auth.failed", "auth.locked"]
    assert try_right(username="sales/bob") == "auth.locked"


def test_codes_are_counted_like_passwords(ann: User) -> None:
    seed = with_second_factor(ann)
    for _ in range(MOST):
        refused = refusal(signin.login, username="ann", password=PASSWORD, otp="000000", request=coming_from())
        assert refused.code == "auth.second_factor"
    assert refusal(signin.login, username="ann", password=PASSWORD, otp=code_of(seed), request=coming_from()).code == "auth.locked"
    assert refusal(signin.by_totp, username="ann", passcode=code_of(seed), request=coming_from()).code == "auth.locked"


def test_the_right_password_without_the_code_does_not_forget_failures(ann: User) -> None:
    with_second_factor(ann)
    for _ in range(MOST):
        refusal(signin.by_totp, username="ann", passcode="000000", request=coming_from())
        refusal(signin.login, username="ann", password=PASSWORD, request=coming_from())
    assert try_right() == "auth.locked"


def test_the_old_password_cannot_be_guessed_by_changing_it(ann: User) -> None:
    for _ in range(MOST):
        refusal(users.change_password, user_id=ann.pk, old="wrong", new="another battery horse", request=coming_from())
    error = refusal(users.change_password, user_id=ann.pk, old=PASSWORD, new="another battery horse", request=coming_from())
    assert error.code == "auth.locked"


def test_a_program_with_a_wrong_secret_locks_itself_and_not_its_owner(ann: User) -> None:
    made = make_credential(ann, Project.objects.get(is_domain=False))

    def come(secret: str) -> str:
        try:
            signin.by_application_credential(credential_id=made.credential.pk, secret=secret, request=coming_from())
        except Exception as error:
            return str(getattr(error, "code", error))
        return "in"

    assert [come("wrong") for _ in range(MOST)] == ["auth.failed"] * MOST
    assert come(made.secret) == "auth.locked"
    assert try_right() == "in"


def test_a_program_that_comes_in_does_not_forget_failures_of_its_owners_password(ann: User) -> None:
    made = make_credential(ann, Project.objects.get(is_domain=False))
    guess(MOST - 1)
    proof = signin.by_application_credential(credential_id=made.credential.pk, secret=made.secret, request=(request := coming_from()))
    signin.issue(proofs=[proof], scope=Scope(), request=request)
    assert guess(2) == ["auth.failed", "auth.locked"]


def test_a_user_may_be_exempt() -> None:
    User.objects.update(options={"ignore_lockout_failure_attempts": True})
    guess(MOST * 3)
    assert try_right() == "in"


def test_an_operator_unlocks(ann: User) -> None:
    guess()
    done = unlocking.unlock(actor=SYSTEM, user_id=ann.pk)
    assert (done.failures, done.had_second_factor) == (MOST, False)
    assert try_right() == "in"
    assert refusal(unlocking.unlock, actor=SYSTEM, user_id=uuid.uuid4()).code == "user.not_found"
    bob = actor_in(make_user("bob", make_project(), "admin"))
    assert refusal(unlocking.unlock, actor=bob, user_id=ann.pk).kind == "forbidden"


def test_the_page_of_the_admin_site_is_no_way_around_it() -> None:
    client = Client(REMOTE_ADDR="192.0.2.1")
    for page in ("/admin/login/", "/api/session/login/", "/account/login/"):
        client.post(page, {"username": "ann", "password": "wrong"})
    guess(MOST - 3)
    answer = client.post("/account/login/", {"username": "ann", "password": PASSWORD})
    assert answer.status_code == 200 and b"Too many wrong passwords" in answer.content
    assert "_auth_user_id" not in client.session


def test_nothing_that_was_typed_in_is_kept_but_the_name() -> None:
    client = Client()
    client.post("/account/login/?x=hunter2", {"username": "ann", "password": "hunter2 secret", "code": "123456"})
    client.post("/api/v1/tokens", {"username": "ann", "password": "hunter2 secret"}, content_type="application/json")
    (row,) = AccessAttempt.objects.values()
    assert row["failures_since_start"] == 2 and row["username"] == "ann"
    assert "hunter2" not in str(row) and "123456" not in str(row)


def test_rows_that_count_no_more_go(time_machine: Time) -> None:
    guess(1)
    leftovers.prune()
    assert AccessAttempt.objects.count() == 1
    time_machine.forward(settings.ENV.lock_minutes * 60 + 1)
    leftovers.prune()
    assert AccessAttempt.objects.count() == 0


def statements(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return sum("axes_" in each["sql"] for each in captured)


def test_it_costs_one_statement_to_come_in_and_two_to_be_refused() -> None:
    assert statements(lambda: signin.login(username="ann", password=PASSWORD, request=coming_from())) == 1
    assert statements(lambda: guess(1)) == 2
    assert statements(lambda: lockout.check(None, "ann")) == 0
