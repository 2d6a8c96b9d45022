"""A private OpenLDAP server for tests: its own configuration, database and port in a scratch folder, nothing of the system's."""

import datetime
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SUFFIX = "dc=example,dc=org"
PEOPLE, STAFF, GROUPS = f"ou=people,{SUFFIX}", f"ou=staff,{SUFFIX}", f"ou=groups,{SUFFIX}"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "the directory's own"
# Reads what a service account may read: everything but passwords.
READER, READER_PASSWORD = f"cn=reader,{SUFFIX}", "reads the directory"
PASSWORD = "seven green horses"
SCHEMAS = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
_APPARMOR = Path("/etc/apparmor.d/usr.sbin.slapd")
_START_TIMEOUT_S = 60.0
_CONFIG = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
include {schemas}/nis.schema
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
modulepath {modules}
moduleload back_mdb
moduleload ppolicy
pidfile {folder}/pid
{tls}
database mdb
maxsize 268435456
dbnosync
directory {folder}/data
suffix "{suffix}"
rootdn "{admin}"
rootpw "{password}"
overlay ppolicy
index objectClass,uid,member,memberUid,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
limits dn.exact="{reader}" size.soft=500 size.hard=500 size.prtotal=unlimited
"""


class SlapdMissing(Exception):
    """There is no slapd on this machine, or no Python to speak to it; the message says what to do."""


@dataclass(frozen=True)
class Tls:
    """PEM files: a CA, and a key with its certificate for localhost and 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path


def needed() -> None:
    """Raises SlapdMissing unless slapd and python-ldap are here."""
    try:
        import django_auth_ldap  # noqa: F401
        import ldap  # noqa: F401
    except ImportError as error:
        raise SlapdMissing(f"{error}; install the extra `ldap` of pyproject.toml (scripts/bootstrap.sh --test does).") from None
    if find("slapd") is None:
        raise SlapdMissing("slapd is not installed (apt install slapd); scripts/bootstrap.sh --test does that.")


def find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Slapd:
    """`with Slapd() as server:` runs it. `url` is plain LDAP on the loopback, `ldapi` a socket, `ldaps` is there with `tls`.

    Of Active Directory it knows a few attributes, for entries that are an `extensibleObject`.
    """

    def __init__(self, *, tls: Tls | None = None) -> None:
        needed()
        self.folder = Path(tempfile.mkdtemp(prefix="csldap-", dir="/tmp"))
        self.tls = tls
        self._port, self._tls_port = _free_ports(2)
        self.url, self.ldaps = f"ldap://127.0.0.1:{self._port}", f"ldaps://127.0.0.1:{self._tls_port}"
        self.ldapi = f"ldapi://{str(self.folder / 'ldapi').replace('/', '%2F')}"
        self._server: subprocess.Popen[bytes] | None = None
        (self.folder / "data").mkdir()
        self._configure()
        self.load([
            (SUFFIX, {"objectClass": ["dcObject", "organization"], "dc": "example", "o": "Example"}),
            *((dn, {"objectClass": "organizationalUnit", "ou": dn[3:].split(",")[0]}) for dn in (PEOPLE, STAFF, GROUPS)),
            (READER, {"objectClass": ["applicationProcess", "simpleSecurityObject"], "cn": "reader", "userPassword": READER_PASSWORD}),
        ])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """About 0.1 s. Raises RuntimeError."""
        urls = [self.url, self.ldapi, *([self.ldaps] if self.tls else [])]
        log = self.folder / "log"
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                # In the foreground; 0: nothing is logged but what ends it.
                [*_dies_with_us(), self._program(), "-f", str(self.folder / "slapd.conf"), "-h", " ".join(urls), "-d", "0"],
                stdout=output, stderr=subprocess.STDOUT, cwd="/",
            )
        ends = time.monotonic() + _START_TIMEOUT_S
        # It opens one after the other.
        while not (_listens(("127.0.0.1", self._port)) and _listens(str(self.folder / "ldapi"))):
            if self._server.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"slapd did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self, *, kill: bool = False) -> None:
        """Ends it; `start` brings it back with all it had."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self._server.send_signal(signal.SIGCONT)
            self._server.wait(timeout=20)
            self._server = None

    def freeze(self) -> None:
        """It takes connections and answers nothing, until `thaw`."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Many entries at once, while it does not run."""
        assert self._server is None
        text = "".join(f"dn: {dn}\n{_ldif(attributes)}\n" for dn, attributes in entries)
        done = subprocess.run(
            [self._program("slapadd"), "-q", "-f", str(self.folder / "slapd.conf")], input=text.encode(), capture_output=True, check=False,
        )
        if done.returncode:
            raise RuntimeError(f"slapadd: {done.stderr.decode(errors='replace')[-2000:]}")

    # What an administrator of the directory does.

    def add(self, dn: str, **attributes: Any) -> str:
        self._as_admin().add_s(dn, [(name, _values(value)) for name, value in attributes.items() if value is not None])
        return dn

    def set(self, dn: str, **attributes: Any) -> None:
        """None takes an attribute away."""
        import ldap

        self._as_admin().modify_s(
            dn, [(ldap.MOD_REPLACE, name, None if value is None else _values(value)) for name, value in attributes.items()]
        )

    def delete(self, dn: str) -> None:
        self._as_admin().delete_s(dn)

    def rename(self, dn: str, name: str, below: str | None = None) -> str:
        """`name`: the new relative name, such as `uid=bob`."""
        self._as_admin().rename_s(dn, name, below)
        return f"{name},{below or dn.partition(',')[2]}"

    def person(self, uid: str, *, base: str = PEOPLE, **more: Any) -> str:
        """A user with PASSWORD; returns its DN."""
        dn = f"uid={_escaped(uid)},{base}"
        return self.add(dn, **(person(uid) | more))

    def group(self, name: str, *members: str, base: str = GROUPS) -> str:
        """A groupOfNames; it cannot be empty, so it always has itself."""
        dn = f"cn={_escaped(name)},{base}"
        return self.add(dn, objectClass="groupOfNames", cn=name, member=[dn, *members])

    def members(self, dn: str, *members: str) -> None:
        """These, and no others."""
        self.set(dn, member=[dn, *members])

    def _as_admin(self) -> Any:
        import ldap

        connection = ldap.initialize(self.ldapi)
        connection.simple_bind_s(ADMIN, ADMIN_PASSWORD)
        return connection

    def _configure(self) -> None:
        tls = ""
        if self.tls:
            tls = (
                f"TLSCACertificateFile {self.tls.ca}\nTLSCertificateFile {self.tls.certificate}\n"
                f"TLSCertificateKeyFile {self.tls.key}"
            )
        path = self.folder / "slapd.conf"
        path.write_text(_CONFIG.format(
            schemas=SCHEMAS, modules=MODULES, folder=self.folder, tls=tls, suffix=SUFFIX, admin=ADMIN, password=ADMIN_PASSWORD,
            reader=READER,
        ))
        path.chmod(0o600)

    def _program(self, name: str = "slapd") -> str:
        """Ubuntu's AppArmor lets /usr/sbin/slapd read its own folders only; a copy of the program is not bound by that."""
        program = find("slapd")
        assert program is not None
        copy = self.folder / name
        if not _APPARMOR.exists() and name == "slapd":
            return program
        if not copy.exists():
            # What it does follows from the name that it is called by.
            shutil.copy(program, copy) if _APPARMOR.exists() else copy.symlink_to(program)
        return str(copy)


def person(uid: str) -> dict[str, Any]:
    """The attributes of an inetOrgPerson with PASSWORD. An address has ASCII letters only."""
    plain = "".join(letter for letter in uid if letter.isascii() and letter.isalnum())
    return {
        "objectClass": ["inetOrgPerson"], "uid": uid, "cn": uid.title(), "sn": uid.title(), "mail": f"{plain}@example.org",
        "userPassword": PASSWORD,
    }


def make_tls(folder: Path, name: str = "ca") -> Tls:
    """A new CA with a certificate for this machine's loopback."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(parents=True, exist_ok=True)
    made = Tls(folder / f"{name}.pem", folder / f"{name}-server.pem", folder / f"{name}-server.key")
    made.ca.write_bytes(certificate(name, ca_key, name, ca_key, ca=True))
    made.certificate.write_bytes(certificate("localhost", key, name, ca_key, ca=False))
    made.key.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    return made


def _ldif(attributes: Mapping[str, Any]) -> str:
    return "".join(f"{name}: {value.decode()}\n" for name, given in attributes.items() for value in _values(given))


def _values(value: Any) -> list[bytes]:
    values = value if isinstance(value, list | tuple) else [value]
    return [each if isinstance(each, bytes) else str(each).encode() for each in values]


def _escaped(text: str) -> str:
    import ldap.dn

    return str(ldap.dn.escape_dn_chars(text))


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _listens(address: tuple[str, int] | str) -> bool:
    """At a port, or at a socket in a folder."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
        return probe.connect_ex(address) == 0


def _dies_with_us() -> list[str]:
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
