"""Patterns of policies fit what a plain reading of them fits, and cost no more than they are long."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.objects.access.patterns import Pattern, PatternError

TEXTS = some.text(alphabet="ab/", max_size=12)
PATTERNS = some.text(alphabet="ab/*?", max_size=8)
KNOWN = frozenset({"aws:username", "s3:prefix"})


def plainly(pattern: str) -> str:
    return "".join(".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)


@given(PATTERNS, TEXTS)
def test_a_pattern_fits_what_it_says(pattern: str, text: str) -> None:
    assert Pattern(pattern).fits(text, {}) == bool(re.fullmatch(plainly(pattern), text, re.DOTALL))
    assert Pattern(pattern, wild=False).fits(text, {}) == (pattern == text)


@given(PATTERNS, some.text(alphabet="ab", max_size=4), TEXTS)
def test_what_a_pattern_can_fit_is_known_before(pattern: str, begin: str, text: str) -> None:
    read = Pattern(pattern)
    assert read.can_fit(begin) == read.fits(begin, {})
    if text and read.fits(begin + text, {}):
        assert read.can_fit_behind(begin)


@pytest.mark.parametrize(
    ("pattern", "bucket", "behind"),
    [("b/*", False, True), ("b", True, False), ("b*", True, True), ("*", True, True), ("b/", False, False), ("c/*", False, False), ("b/a", False, True)],
)
def test_patterns_of_buckets_and_of_objects_are_told_apart(pattern: str, bucket: bool, behind: bool) -> None:
    assert (Pattern(pattern).can_fit("b"), Pattern(pattern).can_fit_behind("b/")) == (bucket, behind)


def test_variables_stand_for_what_is_known_of_the_request() -> None:
    pattern = Pattern("home/${aws:username}/*", known=KNOWN)
    assert pattern.variables == {"aws:username"}
    assert pattern.fits("home/ann/a", {"aws:username": "ann"})
    assert not pattern.fits("home/bob/a", {"aws:username": "ann"})
    assert not pattern.fits("home/ann/a", {})
    assert not pattern.fits("home/ann/a", {"aws:username": "*"}), "a name is text, whatever stands in it"
    assert pattern.can_fit("home/whoever/"), "before the request it can be anybody"


def test_signs_can_be_meant_as_they_are() -> None:
    pattern = Pattern("a${*}b${?}c${$}", known=KNOWN)
    assert pattern.fits("a*b?c$", {}) and not pattern.fits("axbxcx", {})
    assert Pattern("${aws:username}").fits("${aws:username}", {}), "in the old version of the language it is text"


@pytest.mark.parametrize("pattern", ["${aws:username", "${}", "${aws:nothing}", "${aws:username, 'x'}"])
def test_variables_that_there_are_not_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pattern(pattern, known=KNOWN)


def test_a_hostile_pattern_costs_no_more_than_it_is_long() -> None:
    pattern, started = Pattern("*a?" * 6000 + "b"), time.process_time()
    assert not pattern.fits("a" * 1024, {})
    assert time.process_time() - started < 1
