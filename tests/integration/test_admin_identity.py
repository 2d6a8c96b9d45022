"""The pages of identity: each form and button does what it says through a service, and a refusal stands beside its field."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.audit.models import Record
from apps.common import clock
from apps.common.context import SYSTEM
from apps.identity import builtin, lockout
from apps.identity.access_rules import Rule
from apps.identity.models import (
    AccessRule,
    ApplicationCredential,
    Assignment,
    Credential,
    DirectorySync,
    Endpoint,
    Group,
    ImpliedRole,
    Project,
    Region,
    Role,
    Service,
    Token,
    Trust,
    User,
)
from apps.identity.services import access_keys, application_credentials, domains, groups, projects, roles
from apps.identity.services.users import create_user
from tests.support.admin import address, fill_identity, signed_in, user
from tests.support.cloud import Cloud, make_project
from tests.support.identity import give, make_actor, make_token

PASSWORD = "a long enough one"
Do = Callable[..., str]


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True))


@pytest.fixture
def create(operator: Client) -> Do:
    """`create(Group, name="ops")`: send the form of a new row; the text of the page that follows."""

    def created(model: type[Model], **values: Any) -> str:
        answer = operator.post(address(model, "add"), values, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return created


@pytest.fixture
def press(operator: Client) -> Do:
    """`press(row, "delete")`: confirm a button; the text of the page that follows."""

    def pressed(row: Model, button: str, **values: Any) -> str:
        answer = operator.post(address(row, "do", button), {"confirmed": "1", **values}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return pressed


@pytest.fixture
def text(operator: Client) -> Callable[[str], str]:
    def read(page: str) -> str:
        answer = operator.get(page)
        assert answer.status_code == 200
        return answer.content.decode()

    return read


def buttons(client: Client, row: Model) -> list[str]:
    return [button.name for button, _ in client.get(address(row, "change")).context["buttons"]]


# Domains and projects


def test_a_domain_and_projects_below_it_are_made_and_drawn_as_a_tree(create: Do, operator: Client, text: Do) -> None:
    create(Project, name="acme")
    acme = Project.objects.get(name="acme", is_domain=True)
    create(Project, name="research", parent=str(acme.pk), tags="eu, physics", description="all of it")
    research = Project.objects.get(name="research")
    assert (research.domain, research.parent) == (acme, acme)
    assert sorted(research.tags.values_list("name", flat=True)) == ["eu", "physics"]
    create(Project, name="lab", parent=str(research.pk))
    page = text(address(research, "change"))
    tree = page[page.index("cs-tree") :]
    assert tree.index("acme") < tree.index("research") < tree.index("lab")
    assert operator.get(address(Project) + "?kind=domains").context["title"] == "Domains"
    listed = text(address(Project))
    assert "research" in listed
    assert f'href="{address(acme, "change")}">acme</a> /' in listed, "a project stands with what is above it"
    assert [row.name for row in operator.get(address(Project) + "?kind=domains").context["cl"].result_list] == ["Default", "acme"]


def test_the_form_of_a_new_project_begins_where_one_came_from(operator: Client, cloud: Cloud) -> None:
    page = operator.get(f"{address(Project, 'add')}?parent={cloud.project.pk}").content.decode()
    assert f'<option value="{cloud.project.pk}" selected>Default / {cloud.project.name}</option>' in page


def test_a_project_that_cannot_be_made_is_refused_beside_the_field(create: Do, cloud: Cloud) -> None:
    page = create(Project, name=cloud.project.name, parent=str(builtin.DEFAULT_DOMAIN_ID))
    assert "There is a project named" in page
    assert page.index("field-name errors") < page.index("(project.exists)")
    projects.update_project(actor=SYSTEM, project_id=cloud.project.pk, enabled=False)
    page = create(Project, name="below", parent=str(cloud.project.pk))
    assert page.index("field-parent errors") < page.index("(project.parent_disabled)") < page.index("field-name")


def test_a_project_is_renamed_described_and_tagged(press: Do, cloud: Cloud) -> None:
    press(cloud.project, "change", name="renamed", description="new", tags="a,b")
    cloud.project.refresh_from_db()
    assert (cloud.project.name, cloud.project.description) == ("renamed", "new")
    assert "(tag.invalid)" in press(cloud.project, "change", name="renamed", description="", tags="a/b")


def test_disabling_says_before_what_hinders_it(press: Do, text: Do, cloud: Cloud) -> None:
    child = projects.create_project(actor=SYSTEM, name="child", parent_id=cloud.project.pk)
    page = text(address(cloud.project, "do", "disable"))
    assert "disable these first" in page
    assert "child" in page
    assert "(project.children_enabled)" in press(cloud.project, "disable")
    press(child, "disable")
    press(cloud.project, "disable")
    cloud.project.refresh_from_db()
    assert not cloud.project.enabled
    press(cloud.project, "enable")
    cloud.project.refresh_from_db()
    assert cloud.project.enabled


def test_deleting_a_project_says_before_what_hinders_it(press: Do, text: Do) -> None:
    above = make_project("above")
    child = projects.create_project(actor=SYSTEM, name="child", parent_id=above.pk)
    assert "This will be refused as it is now" in text(address(above, "do", "delete"))
    assert "(project.has_children)" in press(above, "delete")
    assert "This will be refused" not in text(address(child, "do", "delete"))
    press(child, "delete")
    press(above, "delete")
    assert not Project.objects.filter(pk__in=[above.pk, child.pk]).exists()


def test_a_domain_is_disabled_and_then_deleted_with_all_that_is_in_it(press: Do, text: Do, operator: Client) -> None:
    acme = domains.create_domain(actor=SYSTEM, name="acme")
    projects.create_project(actor=SYSTEM, name="web", domain_id=acme.pk)
    assert "disable it first" in text(address(acme, "do", "delete_domain"))
    assert "(domain.enabled)" in press(acme, "delete_domain")
    press(acme, "disable_domain")
    assert "domain disabled" in text(address(Project))
    press(acme, "delete_domain")
    assert not Project.objects.filter(name__in=["acme", "web"]).exists()
    default = Project.objects.get(pk=builtin.DEFAULT_DOMAIN_ID)
    assert "(domain.default)" in press(default, "disable_domain")


def test_a_project_shows_who_has_which_role_there_and_through_what(text: Do, cloud: Cloud) -> None:
    domain = Project.objects.get(pk=builtin.DEFAULT_DOMAIN_ID)
    give(user("ann"), "member", cloud.project)
    give(user("bob"), "operator", domain, inherited=True)
    give(user("nobody-here"), "reader", domain)
    page = text(address(cloud.project, "change"))
    for seen in ("ann", "given here", "bob", "inherited from"):
        assert seen in page
    assert "nobody-here" not in page


# Users


def new_user(name: str = "ann", **more: Any) -> dict[str, Any]:
    wanted = {"domain": str(builtin.DEFAULT_DOMAIN_ID), "username": name, "password": PASSWORD, "again": PASSWORD}
    return {**wanted, **more}


def test_a_user_is_made_given_a_role_and_a_new_password(create: Do, press: Do, cloud: Cloud) -> None:
    create(User, **new_user(email="ann@example.org"))
    ann = User.objects.get(username="ann")
    assert ann.check_password(PASSWORD)
    press(ann, "give", role=str(builtin.ROLE_IDS[builtin.Role.READER]), project=str(cloud.project.pk))
    assert Assignment.objects.filter(user=ann, project=cloud.project, role__name="reader").exists()
    press(ann, "password", password="quite another one", again="quite another one")
    ann.refresh_from_db()
    assert ann.check_password("quite another one")
    trail = Record.objects.filter(resource_id=str(ann.pk)).values_list("action", "user_name")
    assert list(trail) == [("identity.user.create", "root"), ("identity.user.set_password", "root")]
    assert PASSWORD not in str(list(Record.objects.values()))


def test_a_user_without_a_password_can_be_made(create: Do) -> None:
    create(User, **new_user(password="", again=""))
    assert not User.objects.get(username="ann").has_usable_password()


def test_a_user_that_cannot_be_made_is_refused_beside_the_field(create: Do) -> None:
    assert "two different passwords" in create(User, **new_user(again="something else"))
    page = create(User, **new_user(password="short", again="short"))
    assert page.index("field-password errors") < page.index("(user.password)") < page.index("field-again")
    create(User, **new_user())
    page = create(User, **new_user())
    assert page.index("field-username errors") < page.index("(user.exists)") < page.index("field-password")
    assert PASSWORD not in page, "a password is not sent back"


def test_a_user_is_changed_disabled_and_deleted(press: Do, operator: Client) -> None:
    ann = user("ann")
    press(ann, "change", username="anne", email="a@example.org", description="new")
    ann.refresh_from_db()
    assert (ann.username, ann.email) == ("anne", "a@example.org")
    press(ann, "disable")
    ann.refresh_from_db()
    assert not ann.is_active
    assert "enable" in buttons(operator, ann)
    assert "disable" not in buttons(operator, ann)
    press(ann, "enable")
    press(ann, "delete")
    assert not User.objects.filter(pk=ann.pk).exists()


def test_the_last_administrator_stays(press: Do) -> None:
    root = User.objects.get(username="root")
    assert "(identity.last_admin)" in press(root, "disable")
    assert "(user.oneself)" in press(root, "delete")
    assert "(identity.last_admin)" in press(Assignment.objects.get(user=root), "take")
    assert User.objects.get(pk=root.pk).is_superuser


def test_all_tokens_of_a_user_are_revoked_at_once(press: Do, cloud: Cloud) -> None:
    ann, bob = user("ann"), user("bob")
    for who in (ann, ann, bob):
        give(who, "member", cloud.project)
        make_token(who, cloud.project)
    assert "2 tokens of ann revoked." in press(ann, "revoke")
    assert list(Token.objects.filter(revoked_at=None).values_list("user__username", flat=True)) == ["bob"]


def test_a_second_factor_is_removed_for_a_phone_that_is_lost(press: Do, operator: Client) -> None:
    ann = user("ann")
    assert "factor" not in buttons(operator, ann)
    Credential.objects.create(user=ann, type="totp", blob="sealed", verified=True)
    assert "second factor" in operator.get(address(User)).content.decode()
    assert "factor" in buttons(operator, ann)
    press(ann, "factor")
    assert not Credential.objects.exists()


def test_a_user_who_is_locked_is_seen_and_unlocked(press: Do, operator: Client, text: Do) -> None:
    acme = domains.create_domain(actor=SYSTEM, name="acme")
    create_user(actor=SYSTEM, username="ann", domain_id=acme.pk)
    ann = User.objects.get(username="ann")
    assert "unlock" not in buttons(operator, ann)
    guesser = RequestFactory().post("/", REMOTE_ADDR="192.0.2.7")
    for _ in range(settings.ENV.login_attempts):
        lockout.failed(guesser, lockout.name_of("ann", acme.pk))
    assert ">locked<" in text(address(User))
    page = text(address(ann, "change"))
    assert page.index("Somebody tries to get in") < page.index("192.0.2.7")
    assert f"{settings.ENV.login_attempts} wrong passwords" in press(ann, "unlock")
    assert ">locked<" not in text(address(User))


def test_the_page_of_a_user_says_where_it_has_which_role_through_what(text: Do, press: Do, cloud: Cloud) -> None:
    ann = user("ann")
    ops = groups.create_group(actor=SYSTEM, name="ops")
    press(ops, "give", role=str(builtin.ROLE_IDS[builtin.Role.OPERATOR]), project=str(builtin.DEFAULT_DOMAIN_ID), inherited="on")
    press(ann, "join", group=str(ops.pk))
    page = text(address(ann, "change"))
    for seen in ("all projects below", "operator", "group</span>", "ops", "Take out…"):
        assert seen in page
    press(ann, "leave", group=str(ops.pk))
    assert not ann.memberships.exists()
    assert "(group.no_member)" in press(ann, "leave", group=str(ops.pk))


def test_a_page_says_what_a_user_may_do_where_and_why(text: Do, cloud: Cloud) -> None:
    ann = user("ann")
    give(ann, "member", cloud.project)
    page = f"{address(ann, 'why')}?project={cloud.project.pk}&permission="
    assert "Answer" not in text(address(ann, "why"))
    yes = text(page + "compute.instance.create")
    assert yes.index(">yes<") < yes.index(f"the role member on the project {cloud.project.name}")
    no = text(page + "identity.assignment.create")
    for seen in (">no<", "none of that gives it", f"admin on the project {cloud.project.name}", "root (admin on the system)"):
        assert seen in no
    assert "Select a valid choice" in text(page + "nothing.like.this")


def test_a_user_of_the_directory_is_marked_and_its_password_is_not_set_here(operator: Client, press: Do) -> None:
    ann = user("ann")
    User.objects.filter(pk=ann.pk).update(source="ldap", external_id="uid=ann")
    assert "LDAP" in operator.get(address(User)).content.decode()
    assert "password" not in buttons(operator, ann)
    assert "(user.read_only)" in press(ann, "password", password=PASSWORD, again=PASSWORD)
    assert "(user.read_only)" in press(ann, "change", username="other", email="", description="")


# Groups, roles, assignments


def test_a_group_is_made_filled_changed_and_deleted(create: Do, press: Do, text: Do) -> None:
    create(Group, domain=str(builtin.DEFAULT_DOMAIN_ID), name="ops")
    ops, ann = Group.objects.get(name="ops"), user("ann")
    assert "(group.exists)" in create(Group, domain=str(builtin.DEFAULT_DOMAIN_ID), name="ops")
    press(ops, "add", user=str(ann.pk))
    assert "ann" in text(address(ops, "change"))
    assert f'value="{ann.pk}" selected' in text(f"{address(ops, 'do', 'remove')}?user={ann.pk}"), "the line knows whom"
    press(ops, "remove", user=str(ann.pk))
    assert "(group.no_member)" in press(ops, "remove", user=str(ann.pk))
    press(ops, "change", name="operators", description="")
    press(ops, "delete")
    assert not Group.objects.exists()


def test_a_role_is_made_of_permissions_and_patterns(create: Do, press: Do, text: Do) -> None:
    create(Role, name="backup", permissions=["images.image.create", "compute.instance.*"], patterns="*.list")
    role = Role.objects.get(name="backup")
    assert role.permissions == ["*.list", "compute.instance.*", "images.image.create"]
    page = text(address(role, "do", "change"))
    assert 'value="images.image.create"' in page
    assert re.findall(r'value="([^"]+)"[^>]* checked', page) == ["compute.instance.*", "images.image.create"]
    assert "*.list</textarea>" in page
    press(role, "change", name="backup", description="", permissions=["images.image.get"], patterns="")
    role.refresh_from_db()
    assert role.permissions == ["images.image.get"]
    assert "(role.permission)" in press(role, "change", name="backup", description="", patterns="nothing.like.this")
    press(role, "delete")
    assert not Role.objects.filter(name="backup").exists()


def test_a_role_implies_another_one_until_that_is_taken_back(press: Do, text: Do) -> None:
    one, two = (roles.create_role(actor=SYSTEM, name=name) for name in ("one", "two"))
    press(one, "imply", role=str(two.pk))
    page = text(address(two, "change"))
    assert "cs-arrow" in page
    assert page.index(">one<") < page.index(">two<", page.index("cs-arrow"))
    assert "(role.circle)" in press(two, "imply", role=str(one.pk))
    press(one, "unimply", role=str(two.pk))
    assert not ImpliedRole.objects.filter(prior=one).exists()


def test_built_in_roles_stay_what_they_are(press: Do, operator: Client) -> None:
    member = Role.objects.get(name="member")
    assert buttons(operator, member) == ["imply"]
    assert "(role.builtin)" in press(member, "delete")
    assert "(role.builtin)" in press(member, "unimply", role=str(builtin.ROLE_IDS[builtin.Role.READER]))


def test_the_permissions_are_drawn_with_a_role_of_the_operators_own_beside_the_built_in_ones(text: Do) -> None:
    role = roles.create_role(actor=SYSTEM, name="backup", permissions=["images.*"])
    page = text(reverse("admin:identity_role_permissions"))
    for seen in ("compute.instance.create", "in a project", "on the system", "admin in a project: yes", "reader in a project: no"):
        assert seen in page
    assert "backup in a project" not in page
    assert 'class="cs-overridden"' not in page
    page = text(f"{reverse('admin:identity_role_permissions')}?role={role.pk}")
    assert "backup in a project: yes" in page
    assert "backup in a project" not in text(f"{reverse('admin:identity_role_permissions')}?role=nonsense")


def test_a_role_is_given_and_taken_on_the_list_of_assignments(create: Do, press: Do, text: Do, cloud: Cloud) -> None:
    ann, ops = user("ann"), groups.create_group(actor=SYSTEM, name="ops")
    reader = str(builtin.ROLE_IDS[builtin.Role.READER])
    page = create(Assignment, user=str(ann.pk), group=str(ops.pk), role=reader, project=str(cloud.project.pk))
    assert page.index("field-user errors") < page.index("(assignment.holder)")
    page = create(Assignment, user=str(ann.pk), role=reader, inherited="on")
    assert page.index("field-inherited errors") < page.index("(assignment.inherited)")
    create(Assignment, group=str(ops.pk), role=reader, project=str(cloud.project.pk))
    given = Assignment.objects.get(group=ops)
    for query, found in (("holder=group", True), ("holder=user", False), ("place=project", True), ("place=system", False), (f"role={reader}", True)):
        assert (address(given, "change") in text(f"{address(Assignment)}?{query}")) is found, query
    press(given, "take")
    assert not Assignment.objects.filter(group=ops).exists()


# What lets programs in


def test_application_credentials_and_their_rules_are_deleted(press: Do, text: Do, cloud: Cloud) -> None:
    ann = user("ann")
    give(ann, "member", cloud.project)
    actor = make_actor(cloud.project, user=ann)
    made = application_credentials.create(actor=actor, name="ci", permissions=["compute.*"], rules=[Rule("compute", "GET", "/x")])
    assert "compute.*" in text(address(made.credential, "change"))
    rule = AccessRule.objects.get()
    assert "(access_rule.in_use)" in press(rule, "delete")
    press(made.credential, "delete")
    assert not ApplicationCredential.objects.exists()
    press(rule, "delete")
    assert not AccessRule.objects.exists()


def test_an_access_key_is_deleted_and_its_secret_never_shown(press: Do, text: Do, cloud: Cloud) -> None:
    ann = user("ann")
    give(ann, "member", cloud.project)
    made = access_keys.create(actor=make_actor(cloud.project, user=ann))
    for page in (address(Credential), address(made.key, "change"), address(ann, "change")):
        assert str(made.key.access) in text(page)
        assert made.secret not in text(page)
        assert made.key.blob not in text(page)
    press(made.key, "delete")
    assert not Credential.objects.exists()


def test_a_trust_is_ended_and_kept_for_the_record(press: Do, text: Do, cloud: Cloud) -> None:
    ann = user("ann")
    give(ann, "member", cloud.project)
    fill_identity(cloud.project, ann, "word")
    trust = Trust.objects.get()
    press(trust, "end")
    trust.refresh_from_db()
    assert trust.deleted_at is not None
    assert address(trust, "change") in text(f"{address(Trust)}?state=over")
    assert address(trust, "change") not in text(f"{address(Trust)}?state=holds")


# Catalog


def test_services_endpoints_and_regions_are_made_changed_and_deleted(create: Do, press: Do) -> None:
    create(Region, id="Mars", description="far")
    create(Service, type="dns", name="designate", enabled="on")
    dns = Service.objects.get(type="dns")
    wanted = {"service": str(dns.pk), "interface": "public", "url": "http://dns.example.org/%(project_id)s", "region": "Mars"}
    assert "(endpoint.url)" in create(Endpoint, **{**wanted, "url": "nowhere"})
    create(Endpoint, **wanted, enabled="on")
    endpoint = Endpoint.objects.get(service=dns)
    press(endpoint, "change", **{**wanted, "interface": "internal"})
    endpoint.refresh_from_db()
    assert (endpoint.interface, endpoint.enabled) == ("internal", False)
    assert "(region.in_use)" in press(Region.objects.get(pk="Mars"), "delete")
    press(endpoint, "delete")
    press(dns, "delete")
    press(Region.objects.get(pk="Mars"), "delete")
    assert not Region.objects.filter(pk="Mars").exists()
    assert "(catalog.builtin)" in press(Service.objects.get(type="compute"), "delete")


# The directory


def test_the_page_of_the_directory_says_how_it_goes(press: Do, text: Do) -> None:
    failed = {"code": "directory.down", "message": "ldap.example.org does not answer."}
    row = DirectorySync.objects.create(pk=1, good_at=clock.now(), result={"users_created": 3, "problems": ["two users named ann"]}, error=failed)
    page = text(address(row, "change"))
    for seen in ("does not answer", "users created", "two users named ann"):
        assert seen in page
    assert "(directory.not_configured)" in press(row, "sync")
