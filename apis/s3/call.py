"""A request with who makes it: what operations get."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from apis.s3 import xml
from apis.s3.bodies import Body
from apis.s3.chunked import Signer
from apis.s3.errors import Refused
from apis.s3.request import Request, Stream
from apis.s3.signing import Claim
from apps.common.context import Actor
from apps.objects import states

# The largest document: 10,000 parts of an upload with their checksums, or 1,000 keys of 1,024 bytes, escaped.
MOST_XML, MOST_LONG_XML = 1024**2, 8 * 1024**2
# Facts that policies ask about: → parameter or header.
_IN_QUERY = {"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys", "s3:versionid": "versionId"}
_IN_HEADERS = {
    "aws:useragent": "user-agent", "aws:referer": "referer", "s3:x-amz-acl": "x-amz-acl", "s3:x-amz-copy-source": "x-amz-copy-source",
    "s3:x-amz-metadata-directive": "x-amz-metadata-directive", "s3:x-amz-content-sha256": "x-amz-content-sha256",
    "s3:x-amz-storage-class": "x-amz-storage-class", "s3:x-amz-server-side-encryption": "x-amz-server-side-encryption",
    "s3:x-amz-grant-read": "x-amz-grant-read", "s3:x-amz-grant-write": "x-amz-grant-write",
    "s3:x-amz-grant-read-acp": "x-amz-grant-read-acp", "s3:x-amz-grant-write-acp": "x-amz-grant-write-acp",
    "s3:x-amz-grant-full-control": "x-amz-grant-full-control",
}


@dataclass(kw_only=True)
class Call:
    """`actor`: somebody whose signature was right, or nobody. `source`: the body as it comes. `region`: ours."""

    request: Request
    actor: Actor
    source: Stream
    claim: Claim | None = None
    signer: Signer | None = None
    region: str = ""

    @property
    def bucket(self) -> str:
        return self.request.bucket

    @property
    def key(self) -> str:
        return self.request.key

    @property
    def version(self) -> str:
        """The version asked for; empty for the latest one. Raises Refused for one that is asked for and is none."""
        if "versionId" in self.request.query and not self.request.query.get("versionId"):
            raise Refused("InvalidArgument", "Version id cannot be the empty string", ArgumentName="versionId", ArgumentValue="")
        return self.request.query.get("versionId")

    @property
    def context(self) -> Mapping[str, str]:
        """What bucket policies ask about, by lower-case name."""
        request = self.request
        facts = {"aws:securetransport": "true" if request.scheme == "https" else "false"}
        if request.address:
            facts["aws:sourceip"] = request.address
        if self.claim is not None:
            facts["s3:authtype"] = "REST-HEADER" if request.header("authorization") else "REST-QUERY-STRING"
            facts["s3:signatureversion"] = "AWS4-HMAC-SHA256" if self.claim.text.startswith("AWS4") else "AWS"
        facts |= {name: request.query.get(param) for name, param in _IN_QUERY.items() if param in request.query}
        return facts | {name: request.header(header) for name, header in _IN_HEADERS.items() if header in request.headers}

    def body(self, *, checksummed: bool = True) -> Body:
        """What comes with the request; see `Body`."""
        return Body(self.request, self.source, self.claim, self.signer, checksummed=checksummed)

    def document(self, root: str, *, most: int = MOST_XML, checksummed: bool = True) -> Element:
        """The body as XML. Raises Refused MalformedXML, MissingRequestBodyError."""
        return xml.parse(self.content(most=most, checksummed=checksummed), root)

    def content(self, *, most: int = MOST_XML, checksummed: bool = True) -> bytes:
        """The body in memory. Raises Refused MissingRequestBodyError."""
        content = self.body(checksummed=checksummed).all(most)
        if not content:
            raise Refused("MissingRequestBodyError")
        return content

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        """A number in the query; one above `most` counts as `most`. Raises Refused InvalidArgument."""
        text = self.request.query.get(name)
        if not text:
            return default
        if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or int(text) > 2**31 - 1 or int(text) < least:
            raise Refused(
                "InvalidArgument", f"Provided {name} not an integer or within integer range", ArgumentName=name, ArgumentValue=text[:64]
            )
        return min(int(text), most)

    def part_number(self) -> int:
        """Of a part that comes or is asked for. Raises Refused InvalidArgument."""
        text = self.request.query.get("partNumber")
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= states.MOST_PARTS:
            raise Refused(
                "InvalidArgument", f"Part number must be an integer between 1 and {states.MOST_PARTS}, inclusive",
                ArgumentName="partNumber", ArgumentValue=text[:64],
            )
        return int(text)
