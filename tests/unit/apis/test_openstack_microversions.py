"""Microversions: which one is asked for, what is answered, what is refused."""

import pytest
from django.http import HttpResponse

from apis.openstack.common.faults import Refused
from apis.openstack.common.microversions import HEADER, Microversions

COMPUTE = Microversions(service="compute", minimum=(2, 1), maximum=(2, 96), older_header="X-OpenStack-Nova-API-Version")


@pytest.mark.parametrize(
    ("sent", "version"),
    [
        ({}, (2, 1)),
        ({HEADER: ""}, (2, 1)),
        ({HEADER: "compute 2.53"}, (2, 53)),
        ({HEADER: "Compute  2.53 "}, (2, 53)),
        ({HEADER: "compute latest"}, (2, 96)),
        ({HEADER: "compute 2.1"}, (2, 1)),
        ({HEADER: "volume 3.70, compute 2.60"}, (2, 60)),
        ({HEADER: "volume 9.99"}, (2, 1)),
        ({COMPUTE.older_header: "2.12"}, (2, 12)),
        ({HEADER: "compute 2.53", COMPUTE.older_header: "2.12"}, (2, 53)),
    ],
)
def test_the_version_that_is_asked_for_is_answered_in(sent: dict[str, str], version: tuple[int, int]) -> None:
    assert COMPUTE.asked(sent) == version


@pytest.mark.parametrize("text", ["2", "2.", "v2.1", "2.1.1", "two", "2.-1", "2.10000000000000000000", "٢.١", "Latest!"])
def test_what_is_no_version_is_malformed(text: str) -> None:
    with pytest.raises(Refused) as caught:
        COMPUTE.asked({HEADER: f"compute {text}"})
    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["2.0", "2.97", "1.99", "3.1"])
def test_a_version_that_is_not_spoken_is_told_those_that_are(text: str) -> None:
    with pytest.raises(Refused) as caught:
        COMPUTE.asked({HEADER: f"compute {text}"})
    assert caught.value.status == 406
    assert caught.value.facts == {"min_version": "2.1", "max_version": "2.96"}
    assert "2.1" in caught.value.message and "2.96" in caught.value.message


def test_an_answer_says_its_version_and_that_it_depends_on_it() -> None:
    response = HttpResponse()
    COMPUTE.echo(response, (2, 53))
    assert response[HEADER] == "compute 2.53"
    assert response[COMPUTE.older_header] == "2.53"
    assert response["Vary"] == f"{HEADER}, {COMPUTE.older_header}"
