"""Larger pictures: trees, and boxes with arrows. Like `drawing`: no style attributes, colours are classes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import drawing

_WIDTH, _HEIGHT, _ASIDE, _BELOW, _EDGE = 132, 28, 64, 14, 2
# So many characters of a name fit into a box.
_FITS = 17


@dataclass
class Branch:
    """A line of a tree and what hangs below it."""

    line: SafeString
    below: "list[Branch]" = field(default_factory=list)


def tree(roots: Sequence[Branch]) -> SafeString:
    """Lines that hang from each other."""
    if not roots:
        return drawing.EMPTY
    return format_html('<ul class="cs-tree">{}</ul>', _branches(roots))


def _branches(branches: Sequence[Branch]) -> SafeString:
    return format_html_join(
        "", "<li>{}{}</li>",
        (
            (each.line, format_html("<ul>{}</ul>", _branches(each.below)) if each.below else drawing.EMPTY)
            for each in branches
        ),
    )


@dataclass(frozen=True)
class Box:
    """A named box of `arrows`; `tone` as in `drawing`."""

    name: str
    address: str
    tone: str


def arrows(boxes: Mapping[str, Box], edges: Collection[tuple[str, str]]) -> SafeString:
    """Boxes (by key) from left to right, so that every arrow (from, to) points to the right; a circle is drawn as it comes."""
    if not boxes:
        return drawing.EMPTY
    columns = _columns(boxes, edges)
    places = {
        key: (_EDGE + x * (_WIDTH + _ASIDE), _EDGE + y * (_HEIGHT + _BELOW))
        for x, column in enumerate(columns)
        for y, key in enumerate(column)
    }
    width = max(x for x, _ in places.values()) + _WIDTH + _EDGE
    height = max(y for _, y in places.values()) + _HEIGHT + _EDGE
    lines = format_html_join("", "{}", ((_arrow(places[start], places[end]),) for start, end in sorted(edges)))
    drawn = format_html_join("", "{}", ((_box(box, *places[key]),) for key, box in boxes.items()))
    return format_html(
        '<div class="cs-scroll"><svg class="cs-arrows" role="img" width="{0}" height="{1}" viewBox="0 0 {0} {1}">{2}{3}</svg></div>',
        width, height, lines, drawn,
    )


def _columns(boxes: Mapping[str, Box], edges: Collection[tuple[str, str]]) -> list[list[str]]:
    """Each box right of all that point to it; within a column by name."""
    depth = dict.fromkeys(boxes, 0)
    for _ in boxes:  # a longer way than there are boxes is a circle
        for start, end in edges:
            depth[end] = max(depth[end], min(depth[start] + 1, len(boxes) - 1))
    columns: dict[int, list[str]] = {}
    for key in sorted(boxes, key=lambda each: boxes[each].name):
        columns.setdefault(depth[key], []).append(key)
    return [columns[x] for x in sorted(columns)]


def _box(box: Box, x: int, y: int) -> SafeString:
    shown = box.name if len(box.name) <= _FITS else f"{box.name[: _FITS - 1]}…"
    return format_html(
        '<a href="{}"><title>{}</title><rect class="cs-box cs-{}" x="{}" y="{}" width="{}" height="{}" rx="6"/>'
        '<text x="{}" y="{}">{}</text></a>',
        box.address, box.name, box.tone, x, y, _WIDTH, _HEIGHT, x + _WIDTH // 2, y + _HEIGHT // 2 + 4, shown,
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> SafeString:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return format_html(
        '<path class="cs-arrow" d="M{0} {1} C{2} {1} {2} {3} {4} {3}"/><path class="cs-arrowhead" d="M{5} {3} l-8 -4 v8 z"/>',
        x1, y1, middle, y2, x2 - 7, x2,
    )
