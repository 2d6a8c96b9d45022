"""What a host keeps of its networking between restarts: the desired state as last told, and the cards plugged in."""

import os
import threading
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.network.desired import Desired
from contracts.network import v2 as network

log = structlog.get_logger(__name__)


class StateFile:
    """The desired state in one file. It is a memory, not the truth: without it the agent asks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Desired:
        """What was saved last; generation 0 when there is nothing, or nothing that can be read."""
        try:
            return Desired.of(msgspec.json.decode(self._path.read_bytes(), type=network.State))
        except FileNotFoundError:
            return Desired()
        except (OSError, msgspec.DecodeError) as error:
            log.warning("network.state_unreadable", path=str(self._path), reason=str(error))
            return Desired()

    def save(self, desired: Desired) -> None:
        """Replace the file at once. Raises OSError."""
        _replace(self._path, msgspec.json.encode(desired.state()))


class PluggedCard(msgspec.Struct, frozen=True, kw_only=True):
    """A card and the instance that has it."""

    card: network.Card
    instance_id: str


class Cards:
    """One file per plugged card; read once, then kept in memory. Any thread may call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._cards = dict(_read_cards(folder))

    def save(self, card: network.Card, instance_id: str) -> None:
        """Raises OSError."""
        plugged = PluggedCard(card=card, instance_id=instance_id)
        with self._mutex:
            if self._cards.get(card.id) != plugged:
                _replace(self._folder / f"{card.id}.json", msgspec.json.encode(plugged))
                self._cards[card.id] = plugged

    def forget(self, card_id: str) -> None:
        """Fine when there is none."""
        with self._mutex:
            if self._cards.pop(card_id, None):
                (self._folder / f"{card_id}.json").unlink(missing_ok=True)

    def get(self, card_id: str) -> PluggedCard | None:
        with self._mutex:
            return self._cards.get(card_id)

    def all(self) -> list[PluggedCard]:
        with self._mutex:
            return list(self._cards.values())

    def of(self, instance_id: str) -> list[network.Card]:
        """The cards of an instance, by id."""
        mine = [plugged.card for plugged in self.all() if plugged.instance_id == instance_id]
        return sorted(mine, key=lambda card: card.id)


def _read_cards(folder: Path) -> list[tuple[str, PluggedCard]]:
    found: list[tuple[str, PluggedCard]] = []
    for path in folder.glob("*.json"):
        try:
            plugged = msgspec.json.decode(path.read_bytes(), type=PluggedCard)
        except (OSError, msgspec.DecodeError) as error:
            log.warning("network.card_unreadable", path=str(path), reason=str(error))
        else:
            found.append((plugged.card.id, plugged))
    return found


def write_json(path: Path, value: Any) -> None:
    """Replace a small file of ours at once. Raises OSError."""
    _replace(path, msgspec.json.encode(value))


def _replace(path: Path, content: bytes) -> None:
    # No fsync: what a power cut takes is told again, and the taps of the cards are gone with it.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
