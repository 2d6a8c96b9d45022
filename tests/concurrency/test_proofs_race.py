"""What counts once counts once, also when many come with it at the same moment."""

import pytest

from apps.common.errors import CloudError
from apps.identity import lockout
from apps.identity.models import Credential, Trust
from apps.identity.services import access_keys, application_credentials, signin, totp, trusts
from apps.identity.services.signin import Scope
from apps.identity.services.trusts import Wanted
from tests.support.cloud import make_project
from tests.support.identity import PASSWORD, actor_in, make_user
from tests.support.proofs import code_of, coming_from, make_credential, with_second_factor
from tests.support.threads import errors, together, unexpected

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("round_", range(3))
def test_a_trust_is_used_as_often_as_it_may_be(round_: int) -> None:
    project = make_project()
    ann, bob = make_user("ann", project), make_user("bob")
    wanted = Wanted(
        trustor_id=ann.pk, trustee_id=bob.pk, impersonation=False, project_id=project.pk, roles=["reader"], remaining_uses=3
    )
    trust = trusts.create(actor=actor_in(ann, project), wanted=wanted)
    proof = signin.by_password(user_id=bob.pk, password=PASSWORD)
    results = together([lambda: signin.issue(proofs=[proof], scope=Scope(trust_id=trust.pk))] * 8)
    assert unexpected(results, CloudError) == []
    assert len(errors(results)) == 5
    assert Trust.objects.get().remaining_uses == 0


@pytest.mark.parametrize("round_", range(3))
def test_every_one_of_many_wrong_guesses_is_counted(round_: int) -> None:
    from axes.models import AccessAttempt

    results = together([lambda: lockout.failed(coming_from(), "ann")] * 8)
    assert errors(results) == []
    assert AccessAttempt.objects.get().failures_since_start == 8


@pytest.mark.parametrize("round_", range(3))
def test_a_code_lets_one_of_many_in(round_: int) -> None:
    user = make_user()
    code = code_of(with_second_factor(user))
    results = together([lambda: totp.spend(user, code)] * 8)
    assert sorted(results) == [False] * 7 + [True]


@pytest.mark.parametrize("round_", range(3))
def test_the_last_free_access_key_is_made_once(round_: int) -> None:
    project = make_project()
    actor = actor_in(make_user("ann", project), project)
    results = together([lambda: access_keys.create(actor=actor)] * (access_keys.MOST + 4))
    assert unexpected(results, CloudError) == []
    assert Credential.objects.count() == access_keys.MOST


@pytest.mark.parametrize("round_", range(3))
def test_two_who_set_up_a_second_factor_leave_one_seed(round_: int) -> None:
    user = make_user()
    actor = actor_in(user)
    assert errors(together([lambda: totp.enrol(actor=actor)] * 6)) == []
    assert Credential.objects.count() == 1


@pytest.mark.parametrize("round_", range(3))
def test_credentials_of_one_name_and_one_rule_are_made_once(round_: int) -> None:
    from apps.identity.access_rules import Rule
    from apps.identity.models import AccessRule, ApplicationCredential

    project = make_project()
    actor = actor_in(make_user("ann", project), project)
    rule = Rule("compute", "GET", "/v2.1/servers")
    results = together([lambda: application_credentials.create(actor=actor, name="x", rules=[rule])] * 6)
    assert unexpected(results, CloudError) == [] and len(errors(results)) == 5
    assert (ApplicationCredential.objects.count(), AccessRule.objects.count()) == (1, 1)


@pytest.mark.parametrize("round_", range(5))
def test_a_credential_never_loses_its_last_rule_to_a_deletion(round_: int) -> None:
    from apps.identity.access_rules import Rule
    from apps.identity.models import AccessRule, ApplicationCredential

    project = make_project()
    user = make_user("ann", project)
    actor, rule = actor_in(user, project), Rule("compute", "GET", "/v2.1/servers")
    first = make_credential(user, project, "first", rules=[rule])
    kept = AccessRule.objects.get()
    application_credentials.delete(actor=actor, credential_id=first.credential.pk)
    results = together([
        lambda: application_credentials.delete_rule(actor=actor, rule_id=kept.pk),
        lambda: application_credentials.create(actor=actor, name="second", rules=[kept.pk]),
    ])
    assert unexpected(results, CloudError) == []
    for credential in ApplicationCredential.objects.all():
        assert credential.access_rules.count() == 1
