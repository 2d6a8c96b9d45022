"""Pictures of boxes and trees."""

from django.utils.html import format_html

from apps.common.admin.diagrams import Box, Branch, arrows, tree


def boxes(*names: str) -> dict[str, Box]:
    return {name: Box(name, f"/{name}", "good") for name in names}


def left_of(picture: str, name: str) -> int:
    """How far to the right the box is."""
    return int(picture.split(f"<title>{name}</title>")[1].split('x="')[1].split('"', maxsplit=1)[0])


def test_arrows_point_to_the_right() -> None:
    picture = arrows(boxes("admin", "member", "operator", "reader"), {
        ("admin", "member"), ("admin", "operator"), ("member", "reader"), ("operator", "reader"), ("admin", "reader"),
    })
    places = [left_of(picture, name) for name in ("admin", "member", "operator", "reader")]
    assert places[0] < places[1] == places[2] < places[3]
    assert picture.count("cs-arrowhead") == 5


def test_a_circle_is_drawn_and_does_not_hang() -> None:
    picture = arrows(boxes("a", "b", "c"), {("a", "b"), ("b", "c"), ("c", "a")})
    assert picture.count("cs-arrowhead") == 3


def test_names_are_escaped_and_cut() -> None:
    picture = arrows({"x": Box("<b>" + "long" * 10, "/x", "good")}, set())
    assert "<b>" not in picture
    assert "…</text>" in picture
    assert arrows({}, set()) == ""


def test_a_tree_hangs_together() -> None:
    leaf = Branch(format_html("<i>{}</i>", "<leaf>"))
    assert tree([Branch(format_html("{}", "top"), [leaf])]) == '<ul class="cs-tree"><li>top<ul><li><i>&lt;leaf&gt;</i></li></ul></li></ul>'
    assert tree([]) == ""
