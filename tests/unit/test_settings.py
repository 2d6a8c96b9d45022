"""Settings: what an operator may write, and the sentence that answers what cannot be used."""

from pathlib import Path

import pytest

from cloudsite.settings import databases
from cloudsite.settings.environment import SettingError, load


def refusal(**variables: str) -> str:
    with pytest.raises(SettingError) as caught:
        load({f"CLOUDSITE_{name.upper()}": value for name, value in variables.items()})
    return str(caught.value)


def test_without_any_variable_everything_is_below_one_folder() -> None:
    env = load({})
    assert env.run.is_relative_to(env.var)
    assert env.secrets == env.var / "secrets"
    assert env.database_url == f"sqlite:///{env.var}/cloudsite.sqlite3"
    assert env.broker_url == f"redis+socket://{env.run}/redis.sock"
    assert env.public_url == "http://127.0.0.1:8600"


def test_a_folder_with_a_long_name_keeps_its_sockets_where_the_kernel_takes_them() -> None:
    env = load({"CLOUDSITE_VAR": "/srv/" + "long/" * 20})
    assert len(str(env.run / "supervisor.sock")) < 100
    assert env.run != load({"CLOUDSITE_VAR": "/srv/" + "other/" * 20}).run


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("debug", "maybe", "yes or no"),
        ("web_threads", "many", "a whole number from 1 to 128"),
        ("web_threads", "0", "from 1 to 128"),
        ("web_threads", "1.5", "a whole number"),
        ("host_silent_s", "nan", "a number from"),
        ("host_silent_s", "1e9", "from 2 to 3600"),
        ("database_url", "mysql://x/y", "postgresql://"),
        ("broker_url", "http://localhost", "redis://"),
        ("broker_url", "redis://[::1", "redis://"),
        ("broker_url", "amqp://localhost:many//", "amqp://"),
        ("public_url", "cloud.example", "http://"),
        ("listen", "8600", "127.0.0.1:8600"),
        ("listen", "127.0.0.1:66000", "127.0.0.1:8600"),
        ("listen", "127.0.0.1:", "127.0.0.1:8600"),
        ("driver", "vmware", "auto, libvirt, simulated"),
        ("bridge", "Bridge With Spaces", "br-cloudsite"),
        ("bridge", "b" * 16, "br-cloudsite"),
        ("network_cidr", "10.0.0.1/8", "10.64.0.0/20"),
        ("network_cidr", "10.0.0.0/30", "from 8 to 28"),
        ("network_cidr", "fd00::/64", "IPv4"),
        ("host_name", "-x", "node-1"),
        ("log_level", "LOUD", "DEBUG, INFO"),
        ("trusted_proxies", "10.0.0.0/24,proxy", "addresses or networks"),
        ("trusted_proxies", "10.0.0.1/24", "host bits set"),
        ("rate_address", "-1", "from 0 to 100000"),
        ("tls_key", "/srv/key.pem", "need each other"),
        ("ldap_url", "ldap.example.org", "ldaps://"),
        ("ldap_url", "https://ldap.example.org", "ldaps://"),
        ("ldap_url", "ldaps://ldap.example.org", "CLOUDSITE_LDAP_USER_BASE"),
        ("ldap_user_base", "people", "ou=people,dc=example,dc=org"),
        ("ldap_user_filter", "objectClass=person", "(objectClass=person)"),
        ("ldap_name_attribute", "uid)(cn=*", "uid"),
        ("ldap_group_type", "group", "groupOfNames"),
        ("ldap_domain", "a/b", "ldap"),
        ("ldap_sync_s", "1", "from 5 to 86400"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_one_sentence_that_names_it(name: str, value: str, words: str) -> None:
    sentence = refusal(**{name: value})
    assert sentence.startswith("CLOUDSITE_") and f"CLOUDSITE_{name.upper()}" in sentence
    assert words in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_passwords_in_addresses_are_not_repeated() -> None:
    assert "hunter2" not in refusal(database_url="mysql://me:hunter2@db/x")
    assert "hunter2" not in refusal(broker_url="kafka://me:hunter2@mq")


def test_passwords_are_not_shown_with_the_settings() -> None:
    shown = repr(load({"CLOUDSITE_DATABASE_URL": "postgresql://me:hunter2@db/x", "CLOUDSITE_BROKER_URL": "redis://:hunter2@mq"}))
    assert "hunter2" not in shown and "rate_address=" in shown


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "broker-url"
    path.write_text("amqp://me:hunter2@mq//\n")
    assert load({"CLOUDSITE_BROKER_URL_FILE": str(path)}).broker_url == "amqp://me:hunter2@mq//"
    assert load({"CLOUDSITE_BROKER_URL_FILE": ""}) == load({})
    assert "both set" in refusal(broker_url_file=str(path), broker_url="redis://x")
    path.write_text("kafka://me:hunter2@mq")
    assert "hunter2" not in refusal(broker_url_file=str(path))


@pytest.mark.parametrize("content", [None, b" \n", b"\xff\xfe"])
def test_a_file_without_a_value_is_no_default(tmp_path: Path, content: bytes | None) -> None:
    """A password that is not mounted must not lead to an empty database of one's own."""
    path = tmp_path / "database-url"
    if content is not None:
        path.write_bytes(content)
    assert refusal(database_url_file=str(path)).startswith("CLOUDSITE_DATABASE_URL_FILE=")


def test_only_settings_may_stand_in_files() -> None:
    assert "is not a setting" in refusal(colour_file="/x")


def test_with_a_certificate_the_public_address_is_https() -> None:
    env = load({"CLOUDSITE_TLS_CERTIFICATE": "/srv/cert.pem", "CLOUDSITE_TLS_KEY": "/srv/key.pem"})
    assert env.public_url == "https://127.0.0.1:8600"


def test_proxies_are_networks_or_the_local_socket() -> None:
    assert load({"CLOUDSITE_TRUSTED_PROXIES": "127.0.0.1, fd00::/8,unix"}).trusted_proxies == ("127.0.0.1/32", "fd00::/8", "unix")


def test_a_directory_is_encrypted_in_one_way() -> None:
    given = {"ldap_user_base": "dc=example", "ldap_start_tls": "yes"}
    assert "for ldap:// only" in refusal(ldap_url="ldap://a ldaps://b", **given)
    several = load({f"CLOUDSITE_{name.upper()}": value for name, value in {**given, "ldap_url": "ldap://a ldap://b:1389"}.items()})
    assert several.ldap_start_tls and several.ldap_url.split() == ["ldap://a", "ldap://b:1389"]


def test_the_password_of_the_directory_may_stand_in_a_file_and_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "ldap"
    path.write_text("hunter2\n")
    env = load({"CLOUDSITE_LDAP_BIND_PASSWORD_FILE": str(path)})
    assert env.ldap_bind_password == "hunter2" and "hunter2" not in repr(env)


def test_a_misspelt_variable_is_refused_instead_of_ignored() -> None:
    assert "CLOUDSITE_LISTENS is not a setting" in refusal(listens="127.0.0.1:1")


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert load({"CLOUDSITE_LISTEN": " "}) == load({})


@pytest.mark.parametrize("value", ["0.0.0.0:80", "[::]:8600", "cloud.example:65535", "localhost:1"])
def test_addresses_to_listen_on(value: str) -> None:
    assert load({"CLOUDSITE_LISTEN": value}).listen == value


@pytest.mark.parametrize(
    ("listen", "url"),
    [("0.0.0.0:80", "http://127.0.0.1:80"), ("[::]:8600", "http://[::1]:8600"), ("node-1:8600", "http://node-1:8600")],
)
def test_the_public_address_is_one_that_can_be_gone_to(listen: str, url: str) -> None:
    assert load({"CLOUDSITE_LISTEN": listen}).public_url == url


def test_relative_folders_become_absolute() -> None:
    assert load({"CLOUDSITE_VAR": "x"}).var == Path.cwd() / "x"


def test_sqlite_waits_at_begin_and_writes_ahead() -> None:
    database = databases.parse("sqlite:////srv/x.sqlite3")
    assert database["NAME"] == "/srv/x.sqlite3"
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]


def test_postgresql_by_socket_with_an_awkward_password() -> None:
    database = databases.parse("postgresql://me:p%40ss%2Fword@%2Frun%2Fpg/site?sslmode=require")
    assert (database["HOST"], database["USER"], database["PASSWORD"]) == ("/run/pg", "me", "p@ss/word")
    assert database["NAME"] == "site"
    assert database["OPTIONS"]["sslmode"] == "require"
