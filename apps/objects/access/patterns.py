"""Patterns of policies: `*`, `?`, and variables (`${aws:username}`). A match costs no more than length of pattern times length of text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Facts = Mapping[str, str]
_STAR, _ONE = "*", "?"
_SPECIAL = {"${*}": "*", "${?}": "?", "${$}": "$"}
_VARIABLE = re.compile(r"\$\{[^{}]*\}")


class PatternError(ValueError):
    """The pattern cannot be read; the text says why."""


@dataclass(frozen=True)
class Wild:
    """`*` or `?`."""

    sign: str


@dataclass(frozen=True)
class Variable:
    """A fact of the request; its value is text, whatever stands in it."""

    name: str


Token = str | Wild | Variable


class Pattern:
    """`wild`: whether `*` and `?` mean something. `known`: names of variables that there are; None: `${` is text like any other."""

    def __init__(self, text: str, *, wild: bool = True, known: frozenset[str] | None = None, any_case: bool = False) -> None:
        self._any_case = any_case
        self._tokens = _tokens(text.lower() if any_case else text, wild, known)
        self.variables = frozenset(token.name for token in self._tokens if isinstance(token, Variable))
        self._fixed = _segments(self._tokens, {}) if not self.variables else None

    def fits(self, text: str, facts: Facts) -> bool:
        """Whether all of `text` is meant. A variable that there is not fits nothing."""
        if self._fixed is None and not self.variables <= facts.keys():
            return False
        segments = self._fixed if self._fixed is not None else _segments(self._tokens, self._cased(facts))
        return _fits(segments, text.lower() if self._any_case else text)

    def can_fit(self, text: str) -> bool:
        """Whether it does for some value of its variables."""
        signs = self._signs()
        return len(signs) in _reached(signs, text)

    def can_fit_behind(self, text: str) -> bool:
        """Whether it can fit something that begins with `text` and goes on."""
        signs = self._signs()
        return any(position < len(signs) for position in _reached(signs, text))

    def _cased(self, facts: Facts) -> Facts:
        return {name: facts[name].lower() for name in self.variables} if self._any_case else facts

    def _signs(self) -> list[Token]:
        """One by one, with what is not known yet as `*`."""
        found: list[Token] = []
        for token in self._tokens:
            found += [*token] if isinstance(token, str) else [Wild(_STAR) if isinstance(token, Variable) else token]
        return found


class _Segment:
    """What stands between two `*`: always so many characters."""

    def __init__(self, pieces: Sequence[str | Wild]) -> None:
        self.size = sum(1 if isinstance(piece, Wild) else len(piece) for piece in pieces)
        self._text = "".join(piece for piece in pieces if isinstance(piece, str))
        self._regex: re.Pattern[str] | None = None
        if len(self._text) != self.size:
            self._regex = re.compile("".join("." if isinstance(piece, Wild) else re.escape(piece) for piece in pieces), re.DOTALL)

    def is_at(self, text: str, start: int) -> bool:
        if self._regex is None:
            return text.startswith(self._text, start)
        return self._regex.match(text, start) is not None

    def find(self, text: str, start: int, end: int) -> int:
        if self._regex is None:
            return text.find(self._text, start, end)
        found = self._regex.search(text, start, end)
        return found.start() if found is not None else -1


def _tokens(text: str, wild: bool, known: frozenset[str] | None) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(text):
        if known is not None and text.startswith("${", at):
            match = _VARIABLE.match(text, at)
            if match is None:
                raise PatternError(f"the variable that begins with {text[at : at + 32]!r} has no end")
            found.append(_SPECIAL.get(match[0]) or _variable(match[0], known))
            at = match.end()
        else:
            found.append(Wild(text[at]) if wild and text[at] in (_STAR, _ONE) else text[at])
            at += 1
    return _joined(found)


def _variable(text: str, known: frozenset[str]) -> Variable:
    name = text[2:-1].strip().lower()
    if name not in known:
        raise PatternError(f"there is no variable {text[:64]}")
    return Variable(name)


def _joined(tokens: list[Token]) -> list[Token]:
    found: list[Token] = []
    for token in tokens:
        if isinstance(token, str) and found and isinstance(found[-1], str):
            found[-1] += token
        else:
            found.append(token)
    return found


def _segments(tokens: Sequence[Token], facts: Facts) -> list[_Segment]:
    split: list[list[str | Wild]] = [[]]
    for token in tokens:
        if isinstance(token, Wild) and token.sign == _STAR:
            split.append([])
        else:
            split[-1].append(facts[token.name] if isinstance(token, Variable) else token)
    return [_Segment(pieces) for pieces in split]


def _fits(segments: Sequence[_Segment], text: str) -> bool:
    """The first where the text begins, the last where it ends, each of the others as early as it goes."""
    first, last = segments[0], segments[-1]
    if len(segments) == 1:
        return first.size == len(text) and first.is_at(text, 0)
    start, end = first.size, len(text) - last.size
    if start > end or not first.is_at(text, 0) or not last.is_at(text, end):
        return False
    for segment in segments[1:-1]:
        found = segment.find(text, start, end)
        if found < 0:
            return False
        start = found + segment.size
    return True


def _reached(signs: Sequence[Token], text: str) -> set[int]:
    """How far of the pattern one can be when `text` was read."""
    states = _idle(signs, {0})
    for letter in text:
        after = set()
        for state in states:
            if state == len(signs):
                continue
            sign = signs[state]
            if sign == Wild(_STAR):
                after.add(state)
            elif isinstance(sign, Wild) or sign == letter:
                after.add(state + 1)
        states = _idle(signs, after)
    return states


def _idle(signs: Sequence[Token], states: set[int]) -> set[int]:
    """With those behind a `*`, which may stand for nothing."""
    found, waiting = set(states), list(states)
    while waiting:
        state = waiting.pop()
        if state < len(signs) and signs[state] == Wild(_STAR) and state + 1 not in found:
            found.add(state + 1)
            waiting.append(state + 1)
    return found
