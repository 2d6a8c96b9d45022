"""OpenStack's own client and SDK, as they are, against a server that listens."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from django.conf import LazySettings
from openstack.connection import Connection
from openstack.exceptions import ForbiddenException, NotFoundException, raise_from_response

from apps.identity import builtin
from apps.identity.models import Project, ProjectAncestor, Token, User
from cloudsite.launcher import clouds
from tests.support.cloud import make_project
from tests.support.identity import PASSWORD, give, make_user

# The SDK's own, about its next versions.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")]
Connect = Callable[..., Connection]
Run = Callable[..., Any]


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project("red")


@pytest.fixture
def ann(project: Project) -> User:
    """Member of the project, admin of the second domain, and admin on the system."""
    blue = Project.objects.create(name="blue", is_domain=True)
    ProjectAncestor.objects.create(project=blue, ancestor=blue, depth=0)
    user = make_user("ann", project, operator=True)
    give(user, "admin", blue)
    return user


@pytest.fixture
def url(live_server: Any, settings: LazySettings) -> str:
    """The public address is that of the listening server."""
    settings.ENV = dataclasses.replace(settings.ENV, public_url=live_server.url)
    return str(live_server.url)


@pytest.fixture
def connect(ann: User, url: str) -> Iterator[Connect]:
    """The SDK, signed in as ann with what is given further."""
    made: list[Connection] = []

    def to(auth_type: str = "password", **auth: Any) -> Connection:
        who = {"username": "ann", "password": PASSWORD, "user_domain_name": "Default"} if auth_type == "password" else {}
        made.append(
            openstack.connect(
                auth_type=auth_type, auth={"auth_url": f"{url}/identity/v3", **who, **auth}, region_name=builtin.REGION_ID,
                load_yaml_config=False, load_envvars=False,
            )
        )
        return made[-1]

    yield to
    for connection in made:
        connection.session.session.close()  # a kept socket keeps a thread of the server, and that its database connection


@pytest.fixture
def run(ann: User, url: str, tmp_path: Path) -> Run:
    """The command line, configured by the file that `make up` writes; its answer as JSON."""
    path = tmp_path / "clouds.yaml"
    clouds.write(
        path, public_url=url, user="ann", password=PASSWORD, project="red", domain=builtin.DEFAULT_DOMAIN_NAME, region=builtin.REGION_ID
    )
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OS_CLIENT_CONFIG_FILE": str(path)}

    def openstack_(*words: str, form: tuple[str, ...] = ("-f", "json"), status: int = 0) -> Any:
        done = subprocess.run(
            [Path(sys.executable).with_name("openstack"), "--os-cloud", clouds.CLOUD, *words, *form],
            env=surroundings, capture_output=True, text=True, timeout=300,
        )
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout) if form and not status else done.stderr

    return openstack_


def access(connection: Connection) -> Any:
    return connection.session.auth.get_access(connection.session)


def test_the_sdk_works_in_a_project(connect: Connect, ann: User, project: Project, url: str) -> None:
    connection = connect(project_name="red", project_domain_name="Default")
    assert connection.current_user_id == str(ann.pk)
    assert connection.current_project_id == str(project.pk)
    assert sorted(access(connection).role_names) == ["member", "reader"]
    endpoint = connection.session.get_endpoint_data(service_type="identity", interface="public")
    assert (endpoint.url, endpoint.api_version) == (f"{url}/identity/v3/", (3, 14))


def test_the_sdk_finds_the_version_from_the_root_too(connect: Connect, project: Project, url: str) -> None:
    connection = connect(auth_url=f"{url}/identity", project_id=str(project.pk))
    assert connection.current_project_id == str(project.pk)


def test_the_sdk_works_on_the_system_on_a_domain_and_nowhere(connect: Connect) -> None:
    system = access(connect(system_scope="all"))
    assert system.system_scoped and "admin" in system.role_names
    domain = access(connect(domain_name="blue"))
    assert domain.domain_name == "blue" and "admin" in domain.role_names
    nowhere = access(connect())
    assert not nowhere.scoped and not nowhere.has_service_catalog()


def test_the_sdk_exchanges_a_token_for_one_of_another_scope(connect: Connect, project: Project) -> None:
    first = connect()
    second = connect("token", token=first.auth_token, project_id=str(project.pk))
    assert second.current_project_id == str(project.pk)
    assert second.auth_token != first.auth_token


def test_the_sdk_validates_and_revokes_a_token(connect: Connect, ann: User) -> None:
    connection, other = connect(system_scope="all"), connect().auth_token
    assert other and connection.identity.validate_token(other).user["id"] == str(ann.pk)
    connection.identity.revoke_token(other)
    assert Token.objects.filter(revoked_at=None).count() == 1
    with pytest.raises(NotFoundException, match="Could not find token"):
        connection.identity.validate_token(other)


def test_the_sdk_signs_in_anew_when_its_token_was_revoked(connect: Connect) -> None:
    connection = connect(system_scope="all")
    assert connection.identity.get("/auth/projects").status_code == 200
    Token.objects.all().delete()
    assert connection.identity.get("/auth/projects").status_code == 200


def test_the_sdk_says_what_the_server_said(connect: Connect, url: str) -> None:
    answer = connect().session.get(f"{url}/identity/v3/auth/catalog", raise_exc=False)
    with pytest.raises(ForbiddenException, match="scoped token is required"):
        raise_from_response(answer)


def test_the_command_line_gets_a_token(run: Run, ann: User, project: Project) -> None:
    issued = run("token", "issue")
    assert (issued["user_id"], issued["project_id"]) == (str(ann.pk), str(project.pk))
    assert issued["id"].startswith("cs1_") and issued["expires"].endswith("+0000")
    run("token", "revoke", issued["id"], form=())
    assert Token.objects.filter(prefix=issued["id"][:12], revoked_at=None).count() == 0


def test_the_command_line_lists_the_catalog(run: Run, url: str) -> None:
    listed = {each["Type"]: (each["Name"], [endpoint["url"] for endpoint in each["Endpoints"]]) for each in run("catalog", "list")}
    assert listed == {"identity": ("keystone", [f"{url}/identity/v3"]), "placement": ("placement", [f"{url}/placement"])}
    assert run("catalog", "show", "identity")["name"] == "keystone"


def test_the_command_line_lists_versions(run: Run, url: str) -> None:
    [version] = run("versions", "show", "--service", "identity")
    assert (version["Version"], version["Status"], version["Endpoint"]) == ("3.14", "CURRENT", f"{url}/identity/v3/")


def test_the_command_line_says_that_the_password_is_wrong(run: Run) -> None:
    assert "requires authentication" in run("--os-password", "wrong", "token", "issue", status=1)


def add_cloud(folder: Path, name: str, auth_type: str, **auth: Any) -> None:
    """Another entry in the file by which `run` is configured; JSON is YAML, too."""
    path = folder / "clouds.yaml"
    described = {"auth_type": auth_type, "auth": auth, "region_name": builtin.REGION_ID}
    path.write_text(path.read_text() + f"  {name}: {json.dumps(described)}\n")


def test_the_command_line_works_by_an_application_credential(run: Run, url: str, tmp_path: Path, project: Project) -> None:
    made = run("application", "credential", "create", "--role", "reader", "ci")
    key = {"application_credential_id": made["ID"], "application_credential_secret": made["Secret"]}
    add_cloud(tmp_path, "ci", "v3applicationcredential", auth_url=f"{url}/identity/v3", **key)
    add_cloud(tmp_path, "wrong", "v3applicationcredential", auth_url=f"{url}/identity/v3", **{**key, "application_credential_secret": "x"})
    assert run("--os-cloud", "ci", "token", "issue")["project_id"] == str(project.pk)
    assert [each["Name"] for each in run("--os-cloud", "ci", "application", "credential", "list")] == ["ci"]
    text = run("--os-cloud", "ci", "application", "credential", "create", "more", status=1)
    assert "You are not authorized to perform the requested action: identity.application_credential.create." in text
    assert "requires authentication" in run("--os-cloud", "wrong", "token", "issue", status=1)


def test_the_command_line_works_by_a_trust(run: Run, url: str, tmp_path: Path, ann: User, project: Project) -> None:
    make_user("bob")
    made = run("trust", "create", "--project", "red", "--role", "reader", "--impersonate", "ann", "bob")
    who = {"username": "bob", "password": PASSWORD, "user_domain_name": "Default"}
    add_cloud(tmp_path, "bob", "v3password", auth_url=f"{url}/identity/v3", trust_id=made["id"], **who)
    issued = run("--os-cloud", "bob", "token", "issue")
    assert (issued["user_id"], issued["project_id"]) == (str(ann.pk), str(project.pk))
    run("trust", "delete", made["id"], form=())
    assert "requires authentication" in run("--os-cloud", "bob", "token", "issue", status=1)


def test_the_sdk_works_by_an_application_credential_with_access_rules(connect: Connect, ann: User, project: Project) -> None:
    me = str(ann.pk)
    first = connect(project_name="red", project_domain_name="Default")
    rules = [{"service": "identity", "method": "GET", "path": "/v3/users/{user_id}/**"}]
    made = first.identity.create_application_credential(me, "ci", access_rules=rules)
    proof = {"application_credential_id": made.id, "application_credential_secret": made.secret}
    second = connect("v3applicationcredential", **proof)
    assert [each.name for each in second.identity.application_credentials(me)] == ["ci"]
    with pytest.raises(ForbiddenException, match="access rules"):
        list(second.identity.regions())
    with pytest.raises(ForbiddenException):
        second.identity.delete_application_credential(me, made.id)
    first.identity.delete_application_credential(me, made.id)
    [rule] = first.identity.access_rules(me)
    first.identity.delete_access_rule(me, rule.id)
    assert list(first.identity.access_rules(me)) == []


def test_the_sdk_goes_through_lists_page_by_page(connect: Connect) -> None:
    identity = connect(system_scope="all").identity
    made = {identity.create_region(id=f"r{number}").id for number in range(5)}
    assert made < {region.id for region in identity.regions(limit=2)}
    assert made < {region.id for region in identity.regions()}
