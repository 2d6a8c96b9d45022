"""Small pictures made of HTML and SVG: badges, bars, facts, tables.

No style attributes anywhere: lengths are SVG attributes and colours are classes, so a strict Content-Security-Policy
holds. A tone is one of `good busy warn bad off`; dashboard/static/dashboard/cloudsite.css gives it its colour.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.common import clock

EMPTY = mark_safe("")
NOTHING = mark_safe('<span class="cs-quiet">–</span>')

# From which share of the capacity on a bar warns.
_NEARLY_FULL, _FULL = 0.75, 0.92
# Terminal escape sequences and control characters, except newline and tab.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]"
)


def badge(text: object, tone: str, *, title: str = "", busy: bool = False) -> SafeString:
    """A coloured word; `busy` makes it breathe."""
    return format_html(
        '<span class="cs-badge cs-{}{}" title="{}">{}</span>', tone, " cs-breathing" if busy else "", title, text
    )


def bar(share: float, tone: str, *, label: str) -> SafeString:
    """A bar filled to `share` (0 to 1); `label` is for screen readers and on hovering."""
    return format_html(
        '<svg class="cs-bar" role="img" aria-label="{0}"><title>{0}</title>'
        '<rect class="cs-trough" width="100%" height="100%"/>'
        '<rect class="cs-fill-{1}" width="{2}%" height="100%"/></svg>',
        label,
        tone,
        percent(share),
    )


def beside(name: object, bar: SafeString, text: object, *, kind: str = "") -> SafeString:
    """A bar between its name and its text; `kind` is a further CSS class."""
    return format_html(
        '<div class="cs-meter {}"><span class="cs-meter-name">{}</span>{}<span class="cs-meter-text">{}</span></div>',
        kind,
        name,
        bar,
        text,
    )


def meter(name: str, used: int, capacity: int, *, text: str = "") -> SafeString:
    """How much of something is taken: name, bar, `used / capacity` (or `text` in its place)."""
    share = used / capacity if capacity else float(used > 0)
    tone = "good" if share < _NEARLY_FULL else "warn" if share < _FULL else "bad"
    text = text or f"{number(used)} / {number(capacity)}"
    return beside(name, bar(share, tone, label=f"{name}: {text}, {share:.0%} used"), text)


def parts(of: Sequence[tuple[str, int, str]], *, legend: bool = True) -> SafeString:
    """One bar split among (name, number, tone), by default with a legend; zero parts are left out."""
    shown = [part for part in of if part[1]]
    total = sum(part[1] for part in shown)
    if not total:
        return NOTHING
    rects, x = [], 0.0
    for name, count, tone in shown:
        rects.append((percent(x / total), percent(count / total), tone, f"{name}: {count}"))
        x += count
    drawn = format_html_join(
        "", '<rect x="{}%" width="{}%" height="100%" class="cs-fill-{}"><title>{}</title></rect>', rects
    )
    bar = format_html('<svg class="cs-bar cs-parts">{}</svg>', drawn)
    if not legend:
        return bar
    names = format_html_join(
        "",
        '<li><span class="cs-dot cs-{}"></span>{} <b>{}</b></li>',
        ((tone, name, number(n)) for name, n, tone in shown),
    )
    return format_html('{}<ul class="cs-legend">{}</ul>', bar, names)


def columns(heights: Sequence[tuple[str, int]], tone: str) -> SafeString:
    """Upright bars, one per (name, number), all on one scale."""
    most = max((height for _, height in heights), default=0) or 1
    width = 100 / max(1, len(heights))
    rects = (
        (
            f"{place * width + width * 0.12:.3f}",
            f"{width * 0.76:.3f}",
            percent(1 - height / most),
            percent(height / most),
            f"cs-fill-{tone}" if height else "cs-trough",
            f"{name}: {height}",
        )
        for place, (name, height) in enumerate(heights)
    )
    drawn = format_html_join(
        "",
        '<g><title>{5}</title><rect class="cs-trough" x="{0}%" y="92%" width="{1}%" height="8%"/>'
        '<rect class="{4}" x="{0}%" y="{2}%" width="{1}%" height="{3}%"/></g>',
        rects,
    )
    return format_html('<svg class="cs-columns" role="img">{}</svg>', drawn)


def facts(pairs: Iterable[tuple[object, object]]) -> SafeString:
    """A list of name and value."""
    rows = ((name, NOTHING if value in (None, "") else value) for name, value in pairs)
    return format_html('<dl class="cs-facts">{}</dl>', format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", rows))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> SafeString:
    """A plain table; says so when it has no rows."""
    body = [(format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows]
    if not body:
        return mark_safe('<p class="cs-quiet">None.</p>')
    head = format_html_join("", '<th scope="col">{}</th>', ((text,) for text in heads))
    lines = format_html_join("", "<tr>{}</tr>", body)
    return format_html(
        '<div class="cs-scroll"><table class="cs-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        head,
        lines,
    )


def panel(tone: str, title: object, *lines: object) -> SafeString:
    """A box that is meant to be noticed."""
    said = format_html_join("", "<p>{}</p>", ((line,) for line in lines if line))
    return format_html('<div class="cs-panel cs-panel-{}" role="note"><strong>{}</strong>{}</div>', tone, title, said)


def terminal(text: str) -> SafeString:
    """A console's text, dark whatever the theme; escape sequences are taken out."""
    return format_html('<pre class="cs-terminal" tabindex="0">{}</pre>', _ESCAPES.sub("", text))


def code(value: object) -> SafeString:
    """Ids, keys, hashes."""
    return format_html('<code class="cs-code">{}</code>', value) if value else NOTHING


def quiet(text: object) -> SafeString:
    """Less important than what is beside it."""
    return format_html('<span class="cs-quiet">{}</span>', text)


def action(label: str, address: str) -> SafeString:
    """A small button in a table."""
    return format_html('<a class="cs-button cs-small" href="{}">{}</a>', address, label)


def tags(words: Iterable[str]) -> SafeString:
    """Words on something."""
    return format_html_join(" ", '<span class="cs-tag">{}</span>', ((word,) for word in words)) or NOTHING


def row(items: Iterable[object]) -> SafeString:
    """One beside the other."""
    return format_html('<div class="cs-buttons">{}</div>', format_html_join("", "{}", ((item,) for item in items)))


def words(items: Iterable[SafeString]) -> SafeString:
    """One after the other in a line; empty ones are left out."""
    return format_html_join(" ", "{}", ((item,) for item in items if item))


def stack(items: Iterable[object]) -> SafeString:
    """One below the other."""
    return format_html_join("", "<div>{}</div>", ((item,) for item in items))


def ago(at: datetime | None, *, never: str = "never") -> SafeString:
    """How long ago (or how soon), with the exact time on hovering."""
    if at is None:
        return quiet(never)
    seconds = (clock.now() - at).total_seconds()
    words = f"{_rough(seconds)} ago" if seconds >= 0 else f"in {_rough(-seconds)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S} UTC", words)


def _rough(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds)} s"


def duration(seconds: float) -> str:
    """`< 0.1 ms`, `0.3 ms`, `12 ms`, `1.25 s`, `4 min 3 s`, `2 h 5 min`, `3 d 4 h`."""
    if 0 < seconds < 0.0001:
        return "< 0.1 ms"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s" if seconds < 10 else f"{seconds:.0f} s"
    for size, name, smaller, smaller_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {name}" + (f" {rest} {smaller_name}" if rest else "")
    raise AssertionError


def size(count: int | None) -> str:
    """Bytes in words."""
    if count is None:
        return ""
    value: float = count
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{round(value, 1):g} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def number(value: int) -> str:
    """With thin gaps between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def percent(share: float) -> str:
    """A share (0 to 1) as an SVG length without its sign, never outside of the picture."""
    return f"{min(1.0, max(0.0, share)) * 100:.3f}"


def yes_no(value: Any, yes: str = "yes", no: str = "no", *, bad: str = "off") -> SafeString:
    return badge(yes, "good") if value else badge(no, bad)
