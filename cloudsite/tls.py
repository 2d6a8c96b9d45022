"""The certificate and key with which the web process serves HTTPS itself: what is wrong with them, and how to trust them."""

import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from cloudsite.settings.environment import Environment

# Renew before this is left.
_SOON = timedelta(days=14)


def is_on(env: Environment) -> bool:
    """Whether the web process speaks TLS; `load` has seen to it that both files are named or none."""
    return env.tls_certificate != Path()


def faults(env: Environment) -> Iterator[str]:
    """Sentences about what keeps it from serving; nothing if all is well or TLS is off."""
    if not is_on(env):
        return
    try:
        certificate, key_text = x509.load_pem_x509_certificate(env.tls_certificate.read_bytes()), env.tls_key.read_bytes()
    except OSError as error:
        yield f"{error.filename} cannot be read: {error.strerror}"
        return
    except ValueError:
        yield f"{env.tls_certificate} holds no certificate in PEM form"
        return
    mode = stat.S_IMODE(env.tls_key.stat().st_mode)
    if mode & 0o077:
        yield f"others can read {env.tls_key} (mode {mode:04o}): chmod 600 {env.tls_key}"
    if b"BEGIN PRIVATE KEY" not in key_text:
        yield f"{env.tls_key} is no PKCS#8 key: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW makes one"
    elif not _belongs(certificate, key_text):
        yield f"{env.tls_key} is not the key of {env.tls_certificate}"
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        yield f"{env.tls_certificate} has expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if not env.public_url.startswith("https://"):
        yield f"CLOUDSITE_PUBLIC_URL={env.public_url}, but the web process speaks HTTPS only"


def warnings(env: Environment) -> Iterator[str]:
    """Sentences about what will go wrong, or does for some; call it when there are no faults."""
    if not is_on(env):
        return
    certificate = x509.load_pem_x509_certificate(env.tls_certificate.read_bytes())
    if certificate.not_valid_after_utc <= datetime.now(UTC) + _SOON:
        yield f"{env.tls_certificate} expires on {certificate.not_valid_after_utc:%Y-%m-%d}"
    host = urlsplit(env.public_url).hostname or ""
    if host not in (names := _names(certificate)) and f"*.{host.partition('.')[2]}" not in names:
        yield f"{env.tls_certificate} is made out to {', '.join(names) or 'nobody'}, not to {host}"


def trust(certificate: Path) -> ssl.SSLContext:
    """For asking our own web process on this machine: exactly its certificate is trusted, by whatever name it is called."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # its file holds no root
    context.check_hostname = False
    return context


def _belongs(certificate: x509.Certificate, key_text: bytes) -> bool:
    try:
        key = load_pem_private_key(key_text, password=None)
    except (ValueError, TypeError):
        return False
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
