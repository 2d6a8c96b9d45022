"""HTTPS without a proxy: a certificate that cannot be served, or soon cannot, is told in a sentence before users tell it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from cloudsite import tls
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.up import refuse_bad_tls
from cloudsite.settings.environment import Environment, load
from tests.support import certificates


def env(certificate: Path, key: Path, url: str = "https://cloud.example") -> Environment:
    return load({"CLOUDSITE_TLS_CERTIFICATE": str(certificate), "CLOUDSITE_TLS_KEY": str(key), "CLOUDSITE_PUBLIC_URL": url})


def test_a_good_pair_is_served(tmp_path: Path) -> None:
    settings = env(*certificates.make(tmp_path))
    assert list(tls.faults(settings)) == list(tls.warnings(settings)) == []
    refuse_bad_tls(settings)


def test_without_tls_there_is_nothing_to_find() -> None:
    assert list(tls.faults(load({}))) == list(tls.warnings(load({}))) == []


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path)
    key.chmod(0o640)
    with pytest.raises(LaunchError, match=r"others can read .*key\.pem \(mode 0640\): chmod 600"):
        refuse_bad_tls(env(certificate, key))


def test_a_key_in_an_older_form_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    settings = env(*certificates.make(tmp_path, form=PrivateFormat.TraditionalOpenSSL))
    assert "openssl pkcs8 -topk8" in next(tls.faults(settings))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate, _ = certificates.make(tmp_path)
    _, key = certificates.make(tmp_path / "other")
    assert "is not the key of" in next(tls.faults(env(certificate, key)))


def test_files_that_are_missing_or_no_certificate_are_named(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path)
    assert "No such file" in next(tls.faults(env(tmp_path / "away.pem", key)))
    assert "no certificate" in next(tls.faults(env(key, key)))
    certificate.chmod(0o600)
    assert "no PKCS#8 key" in next(tls.faults(env(certificate, certificate)))


def test_what_has_expired_is_a_fault_and_what_soon_will_a_warning(tmp_path: Path) -> None:
    assert "has expired" in next(tls.faults(env(*certificates.make(tmp_path, days=-0.5))))
    settings = env(*certificates.make(tmp_path, days=10))
    assert not list(tls.faults(settings)) and "expires on" in next(tls.warnings(settings))


def test_a_certificate_for_another_name_is_a_warning(tmp_path: Path) -> None:
    settings = env(*certificates.make(tmp_path, host="other.example"))
    assert next(tls.warnings(settings)).endswith("is made out to other.example, 127.0.0.1, not to cloud.example")
    assert not list(tls.warnings(env(*certificates.make(tmp_path, host="*.example"))))


def test_https_is_not_announced_as_http(tmp_path: Path) -> None:
    assert "speaks HTTPS only" in next(tls.faults(env(*certificates.make(tmp_path), url="http://cloud.example")))
