"""Debian's packages as building material: which versions apt knows, downloaded and unpacked, never installed."""

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from apps.images.demo.errors import DemoImageError, PackagesUnknown

ARCHITECTURE = "amd64"
KERNEL_META = "linux-image-cloud-amd64"
# The last three are the guest's DHCPv6 client, which BusyBox lacks, with its libraries.
TOOLS = ("busybox-static", "mtools", "syslinux", "syslinux-common", "wide-dhcpv6-client", "libfl2", "libc6")
_UPDATE_HINT = "run 'apt-get update' first (as root)"
_COMMAND_TIMEOUT_S = 300
_FIELD = re.compile(r"^([A-Za-z0-9-]+): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One version of one package as the package lists describe it; `size` in bytes."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """What `apt-get download` calls the file."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def resolve() -> list[Package]:
    """The packages that the image is made of, kernel first, in the versions that apt would install now.

    Asks the package lists only, no network. Raises PackagesUnknown if they do not know one of them, DemoImageError if
    this is no Debian machine of the right architecture.
    """
    own = run(["dpkg", "--print-architecture"]).strip()
    if own != ARCHITECTURE:
        raise DemoImageError(f"the demo image is built with {ARCHITECTURE} tools, this machine is {own}")
    return [_package(record) for record in _show(_kernel_name(), *TOOLS)]


def fetch(packages: Iterable[Package], cache: Path, progress: Callable[[str], None]) -> list[Path]:
    """Download what `cache` (an existing folder) does not hold yet; the .deb files in the order asked for.

    Raises DemoImageError if a download fails or is not what the package lists promise.
    """
    files = []
    for package in packages:
        path = cache / package.file_name
        if not _is(package, path):
            progress(f"downloading {package.name} {package.version} ({package.size / 1e6:.1f} MB)")
            _download(package, cache)
            if not _is(package, path):
                raise DemoImageError(f"{package.file_name}: not what the package lists promise; {_UPDATE_HINT}")
        files.append(path)
    return files


def unpack(files: Iterable[Path], root: Path) -> None:
    """Unpack .deb files over each other into the folder `root`. Raises DemoImageError if dpkg-deb fails."""
    for path in files:
        run(["dpkg-deb", "-x", str(path), str(root)])


def run(command: list[str], *, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command without input, in the C locale. Raises DemoImageError with what it complained."""
    environment = {**(os.environ if environment is None else environment), "LC_ALL": "C"}
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoImageError(f"{command[0]} did not run: {error}") from error
    if result.returncode:
        raise DemoImageError(f"{' '.join(command)} failed: {(result.stderr or result.stdout).strip()}")
    return result.stdout


def _kernel_name() -> str:
    [meta] = _show(KERNEL_META)
    match = re.search(r"linux-image-\S+", meta.get("Depends", ""))
    if not match:
        raise PackagesUnknown(f"{KERNEL_META} depends on no kernel; {_UPDATE_HINT}")
    return match.group()


def _show(*names: str) -> list[dict[str, str]]:
    """The fields of each package's record, in the order of `names`; one call, because apt takes its time."""
    try:
        output = run(["apt-cache", "show", "--no-all-versions", *names])
    except DemoImageError as error:
        raise PackagesUnknown(f"Debian's package lists do not know {' or '.join(names)}; {_UPDATE_HINT}") from error
    records = [dict(_FIELD.findall(record)) for record in output.split("\n\n")]
    by_name = {record["Package"]: record for record in records if "Package" in record}
    # The record of a package that is installed but in no list has no checksum.
    missing = [name for name in names if "SHA256" not in by_name.get(name, {})]
    if missing:
        raise PackagesUnknown(f"Debian's package lists do not know {', '.join(missing)}; {_UPDATE_HINT}")
    return [by_name[name] for name in names]


def _package(record: dict[str, str]) -> Package:
    name, version, architecture = record["Package"], record["Version"], record["Architecture"]
    return Package(name, version, architecture, record["SHA256"], int(record["Size"]))


def _download(package: Package, cache: Path) -> None:
    # apt drops to the user _apt for downloads and complains when that user may not write here; only root can drop.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    try:
        run(["apt-get", *sandbox, "download", f"{package.name}={package.version}"], cwd=cache)
    except DemoImageError as error:
        raise DemoImageError(f"{error}\nIf the package lists are old, {_UPDATE_HINT}.") from error


def _is(package: Package, path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256
