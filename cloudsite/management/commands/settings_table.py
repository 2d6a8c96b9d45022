"""manage.py settings_table"""

import dataclasses
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from apps.common.commands import DONE, FAILED, CloudCommand
from cloudsite.settings.environment import BASE_DIR, PREFIX, Environment

BEGIN, END = "<!-- settings_table: begin -->", "<!-- settings_table: end -->"
_INTRODUCTION = f"""# Settings

All that an operator can set: one environment variable each, checked at the start of every process. A value that cannot be
used is refused with a sentence, and so is a `{PREFIX}*` variable that does not exist. Instead of `{PREFIX}X` there may be
`{PREFIX}X_FILE`, the path of a file that holds the value: so passwords in addresses need not stand in the environment. The
table is made by `manage.py settings_table` from `cloudsite/settings/environment.py`.

{BEGIN}
{END}
"""


class Command(CloudCommand):
    help = "Write the table of all settings into docs/settings.md. With --check nothing is written; exit code 1 if it is out of date."
    examples = ("", "--check", "--json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--out", type=Path, default=BASE_DIR / "docs" / "settings.md", metavar="FILE", help="default: %(default)s")
        parser.add_argument("--check", action="store_true")

    def work(self, **options: Any) -> int:
        path: Path = options["out"]
        present = path.read_text() if path.exists() else ""
        before, _, rest = (present if BEGIN in present else _INTRODUCTION).partition(BEGIN)
        wanted = f"{before}{BEGIN}\n{table()}{END}{rest.partition(END)[2]}"
        if self.as_json:
            self.emit(rows())
        if options["check"]:
            if wanted != present:
                self.say(f"{path} is out of date: run manage.py settings_table", "red")
            return DONE if wanted == present else FAILED
        if wanted != present:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted)
        self.say(f"{path}: {len(rows())} settings", "green")
        return DONE


def rows() -> list[dict[str, str]]:
    """Name, default, what is expected, and what it is for."""
    return [
        {
            "name": PREFIX + field.name.upper(), "default": _default(field), "expected": _expected(field),
            "meaning": field.metadata["doc"],
        }
        for field in dataclasses.fields(Environment)
    ]


def table() -> str:
    """The same as Markdown."""
    lines = ["| Variable | Default | Expected | Meaning |", "|---|---|---|---|"]
    for row in rows():
        cells = (f"`{row['name']}`", f"`{row['default']}`" if row["default"] else "", row["expected"], row["meaning"])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _default(field: "dataclasses.Field[Any]") -> str:
    value = field.default
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Path):
        return "" if value == Path() else str(value.relative_to(BASE_DIR)) if value.is_relative_to(BASE_DIR) else str(value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _expected(field: "dataclasses.Field[Any]") -> str:
    limits = field.metadata
    if "least" in limits:
        what = "whole number" if field.type is int else "number"
        return f"{what}, {limits['least']:g} to {limits['most']:g}"
    if "choices" in limits:
        return ", ".join(limits["choices"])
    if "schemes" in limits:
        return ", ".join(f"{scheme}://…" for scheme in limits["schemes"])
    if "proxies" in limits:
        return "addresses or networks, separated by commas"
    if "networks" in limits:
        return "networks, separated by commas"
    if "cidr" in limits:
        return "IPv4 network"
    if "pattern" in limits and len(limits["pattern"]) > 40:
        return "as the default"  # a form that says less than an example
    kinds: dict[Any, str] = {bool: "yes or no", Path: "path", tuple[str, ...]: "names, separated by commas"}
    return kinds.get(field.type, f"`{limits['pattern']}`" if "pattern" in limits else "text")
