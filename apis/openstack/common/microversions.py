"""Microversions: which one a request asks for, and how an answer says which one it has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpResponse
from django.utils.cache import patch_vary_headers

from apis.openstack.common.faults import Refused

HEADER = "OpenStack-API-Version"
Version = tuple[int, int]
_FORM = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


@dataclass(frozen=True, kw_only=True)
class Microversions:
    """What a service speaks, both ends included. `older_header`: its own header of before the common one, without its name."""

    service: str
    minimum: Version
    maximum: Version
    older_header: str = ""

    def asked(self, headers: Mapping[str, str]) -> Version:
        """The version to answer in: the minimum unless asked. Raises Refused 400 (malformed), 406 (not spoken here)."""
        text = self._text(headers)
        if not text:
            return self.minimum
        if text == "latest":
            return self.maximum
        found = _FORM.fullmatch(text)
        if found is None:
            raise Refused(
                400, "request.microversion_malformed",
                f"API Version String '{text[:40]}' is of invalid format. Must be of format MajorNum.MinorNum.",
            )
        version = int(found[1]), int(found[2])
        if not self.minimum <= version <= self.maximum:
            least, most = number(self.minimum), number(self.maximum)
            raise Refused(
                406, "request.microversion_unknown",
                f"Version {number(version)} is not supported by the API. Minimum is {least} and maximum is {most}.",
                min_version=least, max_version=most,
            )
        return version

    def echo(self, response: HttpResponse, version: Version) -> None:
        """Say which version the answer has, and that answers differ by it."""
        response[HEADER] = f"{self.service} {number(version)}"
        patch_vary_headers(response, [HEADER])
        if self.older_header:
            response[self.older_header] = number(version)
            patch_vary_headers(response, [self.older_header])

    def _text(self, headers: Mapping[str, str]) -> str:
        for part in headers.get(HEADER, "").split(","):  # one header may speak to several services
            service, _, text = part.strip().partition(" ")
            if service.lower() == self.service and text.strip():
                return text.strip()
        return headers.get(self.older_header, "").strip() if self.older_header else ""


def number(version: Version) -> str:
    """`2.53`."""
    return f"{version[0]}.{version[1]}"
