"""The key ring: what is sealed opens again, also while and after keys change; what was lost is said, not papered over."""

import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from apps.common import keyfiles, rotation, vault
from apps.common.errors import CloudError, Conflict, Unavailable
from apps.identity.models import Credential
from cloudsite import doctor
from tests.support.commands import as_json, run
from tests.support.identity import make_user

pytestmark = pytest.mark.django_db
COLUMN = vault.Column("identity.Credential", "blob")


@pytest.fixture(autouse=True)
def _ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of secrets of one's own, and one column."""
    monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, secrets=tmp_path))
    monkeypatch.setattr(vault, "_columns", {COLUMN: None})
    monkeypatch.setattr(vault, "_cached", None)
    yield
    vault._cached = None


def keep(count: int = 3) -> list[Credential]:
    user = make_user("ann")
    return [Credential.objects.create(user=user, type="cert", blob=vault.seal(f"secret {number}")) for number in range(count)]


def opened() -> list[str]:
    return sorted(vault.open(row.blob) for row in Credential.objects.all())


def test_what_is_sealed_opens_and_shows_nothing() -> None:
    sealed = vault.seal("wJalrXUtnFEMI/K7MDENG ünïcödé")
    assert "wJalr" not in sealed and sealed != vault.seal("wJalrXUtnFEMI/K7MDENG ünïcödé")
    assert vault.open(sealed) == "wJalrXUtnFEMI/K7MDENG ünïcödé"
    assert sealed.startswith(vault.key_ids()[0] + ".")


def test_the_ring_is_made_on_first_use_for_its_owner_only() -> None:
    assert vault.key_ids() == [] and not vault.path().exists()
    vault.seal("x")
    assert stat.S_IMODE(vault.path().stat().st_mode) == 0o600
    assert len(vault.key_ids()) == 1


def test_what_was_changed_is_not_opened() -> None:
    sealed = vault.seal("x")
    key, _, token = sealed.partition(".")
    for broken in (f"{key}.{token[:-4]}AAAA", f"{key}.", f"{key}.ü"):
        with pytest.raises(CloudError) as caught:
            vault.open(broken)
        assert caught.value.code == "vault.damaged"
    for foreign in ("", "nonsense", f"00000000.{token}", token):
        with pytest.raises(Unavailable) as refused:
            vault.open(foreign)
        assert refused.value.code == "vault.key_missing"


def test_a_running_process_sees_a_rotation_by_another_one() -> None:
    before = vault.seal("x")
    keyfiles.write(vault.path(), [Fernet.generate_key().decode(), *keyfiles.read(vault.path())])
    after = vault.seal("y")
    assert before[:8] != after[:8]
    assert (vault.open(before), vault.open(after)) == ("x", "y")


def test_a_rotation_seals_everything_anew_and_then_the_old_key_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_BATCH", 2)
    rows = keep(5)
    done = as_json("secrets_rotate", "--vault")["vault"]
    assert done == {"key": vault.key_ids()[0], "added": True, "resealed": 5, "stuck": 0}
    assert COLUMN.by_key() == {vault.key_ids()[0]: 5} and len(vault.key_ids()) == 2
    assert opened() == [f"secret {number}" for number in range(5)]
    assert as_json("secrets_rotate", "--vault", "--drop-old") == {"vault": {"dropped": 1}}
    assert opened() == [f"secret {number}" for number in range(5)]
    with pytest.raises(Unavailable):
        vault.open(rows[0].blob)


def test_an_old_key_stays_while_something_needs_it() -> None:
    old = keep(1)[0].blob
    rotation.rotate_vault()
    Credential.objects.update(blob=old)
    code, text = run("secrets_rotate", "--vault", "--drop-old")
    assert code == 4 and "1 in identity.Credential.blob" in text
    assert opened() == ["secret 0"]


def test_a_rotation_that_broke_off_is_finished_and_not_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_BATCH", 1)
    keep(3)
    opening, calls = vault.open, []

    def killed_at_the_second(text: str) -> str:
        calls.append(text)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return opening(text)

    with mock.patch.object(vault, "open", killed_at_the_second), pytest.raises(KeyboardInterrupt):
        rotation.rotate_vault()
    assert sorted(COLUMN.by_key().values()) == [1, 2]
    assert opened() == ["secret 0", "secret 1", "secret 2"]
    done = rotation.rotate_vault()
    assert (done.added, done.resealed, len(vault.key_ids())) == (False, 2, 2)


def test_what_is_written_during_a_rotation_is_not_overwritten() -> None:
    row = keep(1)[0]
    opening = vault.open

    def changed_meanwhile(text: str) -> str:
        Credential.objects.filter(pk=row.pk).update(blob=vault.seal("newer"))
        return opening(text)

    with mock.patch.object(vault, "open", changed_meanwhile):
        done = rotation.rotate_vault()
    assert (done.resealed, done.stuck) == (0, 0)
    assert opened() == ["newer"]


def test_a_lost_ring_is_not_replaced_in_silence() -> None:
    keep(2)
    vault.path().rename(vault.path().with_suffix(".away"))
    for attempt in (lambda: vault.seal("x"), lambda: vault.open(Credential.objects.first().blob), rotation.rotate_vault):
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert caught.value.code == "vault.key_missing"
    assert not vault.path().exists()
    (finding,) = [each for each in doctor._vault() if each.verdict == "fault"]
    assert "2 rows of identity.Credential" in finding.what and "backup" in finding.fix
    vault.path().with_suffix(".away").rename(vault.path())
    assert opened() == ["secret 0", "secret 1"]
    assert [each.verdict for each in doctor._vault()] == ["ok"]


def test_rows_that_no_key_opens_are_counted_and_left_alone() -> None:
    keep(1)
    stranger = Credential.objects.create(user=make_user("bob"), type="cert", blob="00000000.gAAAAA")
    code, text = run("secrets_rotate", "--vault")
    assert code == 1 and "1 secrets sealed anew" in text and "1 secrets cannot be opened" in text
    stranger.refresh_from_db()
    assert stranger.blob == "00000000.gAAAAA"


def test_empty_columns_hold_nothing_sealed() -> None:
    Credential.objects.create(user=make_user("bob"), type="cert", blob="")
    assert COLUMN.by_key() == {}
    assert rotation.rotate_vault().resealed == 0


def test_two_rotations_do_not_run_at_once() -> None:
    with rotation._alone(), pytest.raises(Conflict) as caught:
        rotation.rotate_django()
    assert caught.value.code == "rotation.running"
    rotation.rotate_django()


def test_a_new_django_key_comes_first_and_the_older_ones_are_still_understood() -> None:
    path = settings.ENV.secrets / "django.key"
    (first,) = keyfiles.read(path)
    assert as_json("secrets_rotate", "--django") == {"django": {"keys": 2}}
    new, old = keyfiles.read(path)
    assert old == first and new != first and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert as_json("secrets_rotate", "--django", "--drop-old") == {"django": {"dropped": 1}}
    assert keyfiles.read(path) == [new]


def test_without_a_word_about_what_nothing_is_rotated() -> None:
    assert run("secrets_rotate")[0] == 2
    assert list(settings.ENV.secrets.iterdir()) == []
