"""All that an operator can set: one typed field per `CLOUDSITE_*` variable, checked once, refused with a sentence.

The tables in docs/settings.md are made from these fields by `manage.py settings_table`.
"""

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent.parent
PREFIX = "CLOUDSITE_"
# `CLOUDSITE_X_FILE` names a file that holds the value of `CLOUDSITE_X`: passwords need not stand in the environment.
FROM_FILE = "_FILE"
# A port up to 65535, behind an address or a name; IPv6 in brackets.
_LISTEN = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"

_DN = r"[A-Za-z0-9.-]+ *=.+"
_ATTRIBUTE = r"[A-Za-z][A-Za-z0-9-]*"

class SettingError(Exception):
    """A `CLOUDSITE_*` variable has a value that cannot be used; the text names it and what was expected."""


def _option(default: Any, doc: str, *, secret: bool = False, **limits: Any) -> Any:
    return field(default=default, repr=not secret, metadata={"doc": doc, **limits})


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Typed settings. Paths are absolute; durations are seconds."""

    var: Path = _option(BASE_DIR / "var", "Folder of all state: database, secrets, logs, sockets, images.")
    run: Path = _option(Path(), "Folder of sockets and pid files; empty: `<var>/run`.")
    secrets: Path = _option(Path(), "Folder of keys and passwords, mode 0700; empty: `<var>/secrets`.")
    debug: bool = _option(False, "Django's debug mode; never on a machine that others can reach.")
    database_url: str = _option(
        "", "`postgresql://user:password@host/name` or `sqlite:///path`; empty: SQLite in `<var>`.",
        schemes=("postgresql", "postgres", "sqlite"), secret=True,
    )
    broker_url: str = _option(
        "", "`redis://`, `redis+socket://` or `amqp://` (RabbitMQ); empty: the private Redis in `<run>`.",
        schemes=("redis", "rediss", "redis+socket", "amqp", "amqps"), secret=True,
    )
    listen: str = _option("127.0.0.1:8600", "Address and port of the web process.", pattern=_LISTEN, form="127.0.0.1:8600")
    flower_listen: str = _option("127.0.0.1:8655", "Address and port of Flower.", pattern=_LISTEN, form="127.0.0.1:8655")
    s3_listen: str = _option("127.0.0.1:8610", "Address and port of the S3 process.", pattern=_LISTEN, form="127.0.0.1:8610")
    s3_url: str = _option("", "How users reach S3; empty: `http://<s3_listen>`.", schemes=("http", "https"))
    s3_domains: tuple[str, ...] = _option(
        ("localhost",), "Names below which the next label is a bucket (`bucket.s3.example.org`), beside buckets in paths. A proxy must"
        " hand over the host's name as it came, because it is signed.",
    )
    s3_region: str = _option("us-east-1", "Name of the region that S3 clients are told.", pattern=r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", form="us-east-1")
    s3_threads: int = _option(
        16, "Requests that one S3 process handles at once; half of them may be uploads by nobody in particular.", least=2, most=256
    )
    s3_workers: int = _option(1, "S3 processes.", least=1, most=64)
    s3_rate: int = _option(
        2000, "Requests to S3 a second from one address, and likewise in one project, averaged over 10 s; each S3 process counts for itself."
        " 0: no limit.", least=0, most=100000,
    )
    public_url: str = _option("", "How users and hosts reach the API; empty: `http://<listen>`.", schemes=("http", "https"))
    allowed_hosts: tuple[str, ...] = _option(("localhost", "127.0.0.1", "[::1]"), "Host names that the web process answers to.")
    trusted_proxies: tuple[str, ...] = _option(
        (), "Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, as addresses or networks, such as"
        " `127.0.0.1,10.0.0.0/24`; `unix`: whoever comes by a local socket. From others these headers are ignored.", proxies=True,
    )
    tls_certificate: Path = _option(Path(), "PEM file with certificate and chain, to serve HTTPS without a proxy; needs `CLOUDSITE_TLS_KEY`.")
    tls_key: Path = _option(Path(), "PEM file with its private key, PKCS#8, mode 0600.")
    hsts_days: int = _option(
        30, "For how long browsers that were here by HTTPS refuse to come by HTTP; 0: for no time. Only with `https://…` as public URL.",
        least=0, most=730,
    )
    driver: str = _option(
        "auto", "Hypervisor driver of the local host.", choices=("auto", "libvirt", "simulated")
    )
    bridge: str = _option("br-cloudsite", "Open vSwitch integration bridge of the local host; `make up` makes a name of its own out of `<var>` unless this is set.", pattern=r"[a-z][a-z0-9-]{0,14}", form="br-cloudsite")
    network_cidr: str = _option("10.64.0.0/20", "IPv4 range of a project's first network.", cidr=True)
    underlay_mtu: int = _option(
        1500, "Largest packet that hosts can send each other; VXLAN networks have 50 bytes less, which new networks tell their guests.",
        least=1330, most=9216,
    )
    address_rest_s: int = _option(60, "An address that was freed is not given to anybody else for so long, unless asked for.", least=0, most=86400)
    host_name: str = _option("", "Name of the local host; empty: this machine's host name.", pattern=r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}|", form="node-1.example")
    web_threads: int = _option(8, "Requests that one web process handles at once.", least=1, most=128)
    web_workers: int = _option(1, "Web processes.", least=1, most=64)
    host_silent_s: float = _option(60.0, "A host that is silent for so long is down.", least=2, most=3600)
    place_timeout_s: float = _option(60.0, "An instance that has no host after so long fails.", least=1, most=3600)
    scheduler_among: int = _option(
        5, "A host is chosen at random among so many of the best that are nearly as good, so that schedulers do not run for the same one;"
        " 1: always the best.", least=1, most=100,
    )
    scheduler_builds_per_host: int = _option(0, "Builds under way at once on one host; further ones wait, or go elsewhere. 0: any number.", least=0, most=1000)
    scheduler_weight_memory: float = _option(
        1.0, "What free memory counts in the choice among hosts that fit. Below 0 the fullest host is taken first: instances are packed"
        " and not spread.", least=-100, most=100,
    )
    scheduler_weight_cpu: float = _option(0.5, "The same for free processors.", least=-100, most=100)
    scheduler_weight_disk: float = _option(0.2, "The same for free disk.", least=-100, most=100)
    scheduler_weight_load: float = _option(0.3, "What the load of its processors counts against a host.", least=-100, most=100)
    scheduler_weight_building: float = _option(0.5, "What builds under way count against a host.", least=-100, most=100)
    scheduler_weight_failures: float = _option(1.0, "What builds that failed lately count against a host.", least=-100, most=100)
    scheduler_weight_affinity: float = _option(
        2.0, "What the company of its server group counts, for (soft-affinity) or against (soft-anti-affinity) a host.", least=-100, most=100
    )
    scheduler_failure_minutes: int = _option(60, "For how long a failed build counts against its host.", least=1, most=10080)
    build_timeout_s: float = _option(600.0, "A build that has not ended after so long is looked into.", least=1, most=86400)
    power_timeout_s: float = _option(120.0, "The same for start, stop and reboot, and for network cards that come and go.", least=1, most=86400)
    transfer_timeout_s: float = _option(
        3600.0, "The same for snapshots, and for images that a host is to have before anybody boots them: copying and sending whole disks.",
        least=1, most=86400,
    )
    delete_timeout_s: float = _option(120.0, "The same for delete.", least=1, most=86400)
    observe_timeout_s: float = _option(20.0, "How long a host may take to say what is true.", least=1, most=3600)
    resend_s: float = _option(5.0, "A message unanswered for so long is sent again (then after twice as long …).", least=0.2, most=600)
    policy_file: Path = _option(Path(), "TOML file that gives permissions to other roles than the built-in table does.")
    token_hours: int = _option(24, "Life of a bearer token.", least=1, most=8760)
    session_hours: int = _option(12, "Life of a browser's session.", least=1, most=8760)
    login_attempts: int = _option(
        5, "Wrong passwords or codes in a row for one user from one address, after which that user is locked for that address.",
        least=2, most=100,
    )
    login_attempts_user: int = _option(50, "The same from all addresses together, after which the user is locked for all.", least=2, most=10000)
    lock_minutes: int = _option(15, "For how long; `manage.py user_unlock` ends it.", least=1, most=1440)
    password_length: int = _option(10, "Fewest characters of a password.", least=1, most=128)
    password_expires_days: int = _option(0, "Passwords set from now on must be changed after so many days; 0: never.", least=0, most=3650)
    ldap_url: str = _option(
        "", "LDAP directory whose users may sign in; several servers, separated by spaces, are tried in order. Empty: none.",
        pattern=r"ldap[si]?://\S+( +ldap[si]?://\S+)*", form="ldaps://ldap.example.org",
    )
    ldap_start_tls: bool = _option(False, "Encrypt `ldap://` by StartTLS.")
    ldap_ca_file: Path = _option(Path(), "PEM file of the CA that signed the directory's certificate; empty: those of this machine.")
    ldap_bind_dn: str = _option("", "Account that reads the directory; empty: anonymously.", pattern=_DN, form="cn=reader,dc=example,dc=org")
    ldap_bind_password: str = _option("", "Its password.", secret=True)
    ldap_user_base: str = _option(
        "", "Below what users are, such as `ou=people,dc=example,dc=org`; several are separated by `;`.", pattern=_DN,
        form="ou=people,dc=example,dc=org",
    )
    ldap_user_filter: str = _option("(objectClass=person)", "Which entries there are users.", pattern=r"\(.+\)", form="(objectClass=person)")
    ldap_name_attribute: str = _option("uid", "A user's name; Active Directory: `sAMAccountName`.", pattern=_ATTRIBUTE, form="uid")
    ldap_email_attribute: str = _option("mail", "A user's email address.", pattern=_ATTRIBUTE, form="mail")
    ldap_id_attribute: str = _option(
        "entryUUID", "What stays when users and groups are renamed; Active Directory: `objectGUID`; `dn`: nothing does.",
        pattern=_ATTRIBUTE, form="entryUUID",
    )
    ldap_enabled_attributes: tuple[str, ...] = _option(
        ("pwdAccountLockedTime", "shadowExpire", "userAccountControl", "nsAccountLock"),
        "What tells that a user is disabled, locked or expired, where an entry has it. Any other name is that of a boolean, true for"
        " enabled users, or, with `!` before it, for disabled ones.",
    )
    ldap_group_base: str = _option("", "Below what groups are, as for users; empty: no groups are taken over.", pattern=_DN, form="ou=groups,dc=example,dc=org")
    ldap_group_filter: str = _option("", "Which entries there are groups; empty: those of the type.", pattern=r"\(.+\)", form="(cn=cloud-*)")
    ldap_group_type: str = _option(
        "groupOfNames", "How groups tell their members; groups in groups count in all but `posixGroup`.",
        choices=("groupOfNames", "groupOfUniqueNames", "posixGroup", "activeDirectory"),
    )
    ldap_group_name_attribute: str = _option("cn", "A group's name.", pattern=_ATTRIBUTE, form="cn")
    ldap_domain: str = _option("ldap", "Domain in which the directory's users and groups live; made if there is none of that name.", pattern=r"[^/]{1,64}", form="ldap")
    ldap_sync_s: int = _option(30, "Users and groups are synchronised with the directory every so many seconds.", least=5, most=86400)
    ldap_timeout_s: float = _option(3.0, "How long the directory may take to answer one question.", least=0.2, most=60)
    ldap_most_disabled_percent: int = _option(
        50, "A synchronisation that would disable more than this share of the directory's users, and more than 10, stops and says so.",
        least=1, most=100,
    )
    max_body_mb: int = _option(2, "Largest request body, MiB; image uploads have their own limit.", least=1, most=1024)
    rate_address: int = _option(
        200, "Requests a second from one address (IPv6: one /64), averaged over 10 s; each web process counts for itself. 0: no limit.",
        least=0, most=100000,
    )
    rate_project: int = _option(200, "The same for all requests that work in one project.", least=0, most=100000)
    rate_sign_in: int = _option(300, "Sign-ins a minute from one address, also counted by each web process. 0: no limit.", least=0, most=100000)
    max_image_gb: int = _option(50, "Largest image, GiB.", least=1, most=10240)
    max_image_virtual_gb: int = _option(
        2048, "Largest disk in an image, GiB, however small its file is. No larger than all disks of a project may be in any case.", least=1, most=65536
    )
    image_upload_hours: int = _option(24, "An upload in pieces that nobody goes on with for so long ends.", least=1, most=8760)
    image_workers: int = _option(1, "Images that one image worker fetches or converts at once.", least=1, most=16)
    image_queue_timeout_s: float = _option(
        86400.0, "An import or conversion that no image worker has taken up after so long fails.", least=1, most=604800
    )
    image_worker_silent_s: float = _option(
        120.0, "An image worker that has said nothing for so long is dead: what it had begun is begun anew.", least=2, most=3600
    )
    image_import_timeout_s: float = _option(21600.0, "Longest import of an image, all tries together.", least=1, most=604800)
    image_import_stall_s: float = _option(
        30.0, "A server that sends less than 1 KiB a second for so long has stalled: the import goes on with a new connection.", least=1, most=600
    )
    image_import_private: tuple[str, ...] = _option(
        (), "Networks that images may be imported from although they are private, such as `10.20.0.0/16`. A network opens what lies inside"
        " of one range only: `0.0.0.0/0` opens nothing.", networks=True,
    )
    image_convert_timeout_s: float = _option(3600.0, "Longest conversion of an image, by the clock and by the processor.", least=1, most=86400)
    image_convert_memory_mb: int = _option(1024, "Address space of `qemu-img`, MiB; below 600 it fails for want of threads.", least=128, most=65536)
    object_store: str = _option("files", "Where objects are kept: in `<var>/objects`, or on another S3 server.", choices=("files", "s3"))
    object_folder: Path = _option(Path(), "Folder of the object store's files; empty: `<var>/objects`. S3 processes on several machines need one that they share.")
    object_s3_url: str = _option("", "That other S3 server.", pattern=r"https?://\S+|", form="https://s3.example.org")
    object_s3_bucket: str = _option("cloudsite", "The bucket there, for Cloudsite alone.", pattern=r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", form="cloudsite")
    object_s3_access: str = _option("", "Access key for it.")
    object_s3_secret: str = _option("", "Its secret.", secret=True)
    object_upload_days: int = _option(7, "Uploads in parts that were begun so long ago end, and their parts are removed.", least=1, most=3650)
    object_garbage_s: int = _option(
        60, "The content of deleted and replaced objects is removed after so long; who reads it at this moment can go on.", least=0, most=86400
    )
    object_scrub_mb_s: int = _option(50, "How much of the object store `object_scrub` reads in a second, MiB; 0: as much as it can.", least=0, most=100000)
    audit_objects: bool = _option(False, "Write down in the audit trail who writes and deletes which object; buckets always are.")
    max_batch: int = _option(500, "Most instances in one request.", least=1, most=10000)
    events_days: int = _option(30, "How long closed operations and their events are kept.", least=1, most=3650)
    scheduler_decision_days: int = _option(30, "How long scheduling decisions, and why they were made, are kept.", least=1, most=3650)
    log_level: str = _option("INFO", "Log level.", choices=("DEBUG", "INFO", "WARNING", "ERROR"))


def load(source: Mapping[str, str] = os.environ) -> Environment:
    """Read and check all `CLOUDSITE_*` variables. Raises SettingError with one sentence for the first bad one."""
    known = {PREFIX + f.name.upper(): f for f in dataclasses.fields(Environment)}
    given = _given(source, known)
    values = {f.name: _parse(name, f, given[name]) for name, f in known.items() if given.get(name)}
    env = Environment(**values)
    if (env.tls_certificate == Path()) != (env.tls_key == Path()):
        raise SettingError(f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY need each other: set both or none.")
    _check_directory(env)
    if env.object_store == "s3" and not (env.object_s3_url and env.object_s3_access and env.object_s3_secret):
        raise SettingError(f"{PREFIX}OBJECT_STORE=s3 needs {PREFIX}OBJECT_S3_URL, {PREFIX}OBJECT_S3_ACCESS and {PREFIX}OBJECT_S3_SECRET.")
    run = env.run if env.run != Path() else _short_run_dir(env.var)
    return dataclasses.replace(
        env,
        run=run,
        secrets=env.secrets if env.secrets != Path() else env.var / "secrets",
        database_url=env.database_url or f"sqlite:///{env.var / 'cloudsite.sqlite3'}",
        broker_url=env.broker_url or f"redis+socket://{run / 'redis.sock'}",
        public_url=(env.public_url or local_url(env)).rstrip("/"),
        s3_url=(env.s3_url or local_url(env, env.s3_listen)).rstrip("/"),
    )


def _check_directory(env: Environment) -> None:
    if env.ldap_url and not env.ldap_user_base:
        raise SettingError(f"{PREFIX}LDAP_URL needs {PREFIX}LDAP_USER_BASE, below what its users are.")
    if env.ldap_start_tls and not all(url.startswith("ldap://") for url in env.ldap_url.split()):
        raise SettingError(f"{PREFIX}LDAP_START_TLS is for ldap:// only: ldaps:// is encrypted from the start, ldapi:// never leaves this machine.")


def _given(source: Mapping[str, str], known: "Mapping[str, dataclasses.Field[Any]]") -> dict[str, str]:
    """Variable → its text, which stands in the environment or in a file. Raises SettingError."""
    given: dict[str, str] = {}
    for name in sorted(name for name in source if name.startswith(PREFIX)):
        text, variable = source[name].strip(), name
        if name not in known:
            variable = name.removesuffix(FROM_FILE)
            if variable not in known:
                raise SettingError(f"{name} is not a setting of Cloudsite; see docs/settings.md for those that are.")
            if text and source.get(variable, "").strip():
                raise SettingError(f"{variable} and {name} are both set, and only one can count.")
            text = _content(name, text) if text else given.get(variable, "")
        given[variable] = text
    return given


def _content(name: str, path: str) -> str:
    try:
        text = Path(path).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{name}={path!r} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from None
    if not text:
        raise SettingError(f"{name}={path!r}: the file is empty.")
    return text


def local_url(env: Environment, listen: str = "") -> str:
    """How this very machine reaches the web process, or what listens at `listen`; an address that stands for all others is none
    to go to."""
    host, _, port = (listen or env.listen).rpartition(":")
    scheme = "http" if env.tls_certificate == Path() else "https"
    return f"{scheme}://{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def _short_run_dir(var: Path) -> Path:
    """`<var>/run`, unless sockets there would be longer than the 107 bytes that the kernel takes."""
    if len(str(var)) <= 70:
        return var / "run"
    import hashlib

    return Path("/tmp") / f"cloudsite-{os.getuid()}-{hashlib.sha256(str(var).encode()).hexdigest()[:10]}"


def _parse(name: str, spec: "dataclasses.Field[Any]", text: str) -> Any:
    kind, meta = spec.type, spec.metadata
    if kind is Path:
        return Path(text).expanduser().resolve()
    if kind is bool:
        if text.lower() not in ("0", "1", "true", "false", "yes", "no", "on", "off"):
            raise SettingError(f"{name}={text!r}: expected yes or no.")
        return text.lower() in ("1", "true", "yes", "on")
    if kind in (int, float):
        return _number(name, spec, text)
    if kind == tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip())
        if "networks" in meta:
            return tuple(_any_network(name, part) for part in parts)
        return tuple(_proxy(name, part) for part in parts) if "proxies" in meta else parts
    if "choices" in meta and text not in meta["choices"]:
        raise SettingError(f"{name}={text!r}: expected one of {', '.join(meta['choices'])}.")
    if "schemes" in meta and _scheme(text) not in meta["schemes"]:
        raise SettingError(f"{name}: expected an address that begins with {', '.join(s + '://' for s in meta['schemes'])}.")
    if "pattern" in meta and not re.fullmatch(meta["pattern"], text):
        raise SettingError(f"{name}={text!r}: expected something like {meta['form']}.")
    if "cidr" in meta:
        return _network(name, text)
    return text


def _scheme(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port  # looks at it only when asked
    except ValueError:  # brackets that do not close, a port that is no number
        return ""
    return parts.scheme


def _number(name: str, spec: "dataclasses.Field[Any]", text: str) -> int | float:
    least, most = spec.metadata["least"], spec.metadata["most"]
    what = "a whole number" if spec.type is int else "a number"
    try:
        value: int | float = int(text) if spec.type is int else float(text)
    except ValueError:
        raise SettingError(f"{name}={text!r}: expected {what} from {least} to {most}.") from None
    if not least <= value <= most:
        raise SettingError(f"{name}={text}: expected {what} from {least} to {most}.")
    return value


def _network(name: str, text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise SettingError(f"{name}={text!r}: expected an IPv4 network such as 10.64.0.0/20 ({error}).") from None
    if not 8 <= network.prefixlen <= 28:
        raise SettingError(f"{name}={text!r}: expected a prefix length from 8 to 28.")
    return str(network)


def _proxy(name: str, text: str) -> str:
    return text if text == "unix" else _any_network(name, text)


def _any_network(name: str, text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise SettingError(f"{name}={text!r}: expected addresses or networks such as 10.0.0.0/24 ({error}).") from None
