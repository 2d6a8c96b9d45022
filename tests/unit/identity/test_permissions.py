"""The table of permissions, and the operator's file over it."""

from pathlib import Path

import pytest

from apps.identity import permissions
from apps.identity.builtin import IMPLIED, Role
from apps.identity.permissions import TABLE, PolicyError
from tests.support.identity import granted


def test_every_role_that_the_table_names_is_built_in() -> None:
    for row in TABLE.values():
        for scope in permissions.SCOPES:
            assert set(getattr(row, scope) or ()) <= {role.value for role in Role}, row.name


def test_names_say_context_thing_and_verb() -> None:
    for name, row in TABLE.items():
        assert name == row.name
        assert len(name.split(".")) == 3, name
        assert row.text
        assert any(getattr(row, scope) is not None for scope in permissions.SCOPES) or row.own, f"{name} is nobody's"


@pytest.mark.parametrize(("prior", "implied"), IMPLIED)
@pytest.mark.parametrize("scope", permissions.SCOPES)
def test_a_role_has_all_that_an_implied_one_has(scope: str, prior: str, implied: str) -> None:
    assert granted(scope, implied) <= granted(scope, prior)


def test_a_reader_changes_nothing() -> None:
    for scope in permissions.SCOPES:
        for name in granted(scope, "reader"):
            assert name.rsplit(".", 1)[1] in ("list", "get", "explain", "validate", "dry_run"), name


def test_a_service_has_all_of_placement_on_the_system_and_nothing_else_anywhere() -> None:
    assert granted("system", "service") == {name for name in TABLE if name.startswith("placement.")}
    assert granted("project", "service") == granted("domain", "service") == frozenset()


def test_what_makes_credentials_is_ones_own() -> None:
    assert permissions.MAKES_CREDENTIALS <= permissions.OWN


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_gives_a_permission_to_other_roles(tmp_path: Path) -> None:
    file = write(tmp_path / "policy.toml", '["compute.instance.create"]\nproject = ["admin"]\n["compute.flavor.list"]\nproject = []\n')
    table = permissions.load(file)
    assert table["compute.instance.create"].project == ("admin",)
    assert table["compute.instance.create"].system == TABLE["compute.instance.create"].system
    assert table["compute.flavor.list"].project == ()
    assert table["compute.instance.delete"] is TABLE["compute.instance.delete"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["compute.instance.creat"]\nproject = ["member"]', "did you mean compute.instance.create?"),
        ('["hosts.host.list"]\nproject = ["member"]', "'project' is not asked for this permission; expected one of system"),
        ('["compute.instance.create"]\nproject = "member"', "expected a list of role names"),
        ('["compute.instance.create"]\nproject = [""]', "expected a list of role names"),
        ('"compute.instance.create" = 1', "expected a table"),
        ("[", "policy.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=r"policy\.toml") as caught:
        permissions.load(write(tmp_path / "policy.toml", text))
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"nowhere\.toml"):
        permissions.load(tmp_path / "nowhere.toml")
