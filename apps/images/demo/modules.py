"""Kernel modules: what a module needs, in which order to load them."""

import re
from dataclasses import dataclass
from pathlib import Path

from apps.images.demo.errors import DemoImageError

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


@dataclass(frozen=True)
class Module:
    """A module's name (with underscores) and its object file."""

    name: str
    content: bytes


class ModuleTree:
    """The modules of one kernel, from its folder /lib/modules/<release>."""

    def __init__(self, folder: Path) -> None:
        self._files = {_name(path.name): path for path in sorted(folder.rglob("*.ko"))}
        self._builtin = {_name(line.rpartition("/")[2]) for line in (folder / "modules.builtin").read_text().split()}

    def closure(self, wanted: tuple[str, ...], *, loaded: set[str]) -> list[Module]:
        """The modules `wanted` with all they need, each after its needs, without those in `loaded` (added to).

        What is built into the kernel is left out. Raises DemoImageError if the kernel has no such module.
        """
        order: list[Module] = []
        for name in wanted:
            self._visit(name, loaded, order)
        return order

    def _visit(self, name: str, loaded: set[str], order: list[Module]) -> None:
        if name in loaded or name in self._builtin:
            return
        if name not in self._files:
            raise DemoImageError(f"the kernel package has no module {name}")
        module = Module(name, self._files[name].read_bytes())
        loaded.add(name)
        match = _DEPENDS.search(module.content)
        for need in filter(None, match.group(1).decode().split(",") if match else ()):
            self._visit(need.replace("-", "_"), loaded, order)
        order.append(module)


def _name(file_name: str) -> str:
    return file_name.removesuffix(".ko").replace("-", "_")
