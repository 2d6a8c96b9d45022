"""From a request to its answer, for an instance that is already known. Pure but for the time of day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from agent.metadata import ec2, openstack
from agent.metadata.facts import Facts
from agent.metadata.tokens import MAX_TTL_S, MIN_TTL_S, Tokens

TOKEN, TTL = "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_PATH = ("latest", "api", "token")
_TEXT, _JSON, _BYTES = "text/plain", "application/json", "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Request:
    """`headers`: by lower-case name."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(unquote(part) for part in self.path.partition("?")[0].split("/") if part)


@dataclass(frozen=True, kw_only=True)
class Response:
    """`near`: for the instance itself, not to be passed on by a router in it."""

    status: int
    body: bytes = b""
    content_type: str = _TEXT
    headers: Mapping[str, str] = field(default_factory=dict)
    near: bool = False


def answer(request: Request, facts: Facts, tokens: Tokens, *, tokens_required: bool, now: float) -> Response:
    """`now`: Unix time."""
    if request.method == "PUT":
        return _issue(request, facts, tokens, now)
    if request.method not in ("GET", "HEAD"):
        return Response(status=405, headers={"Allow": "GET, HEAD, PUT"})
    token = request.headers.get(TOKEN)
    if token is None and tokens_required:
        return Response(status=401)
    if token is not None and not tokens.holds(token, facts.build.instance_id, now):
        return Response(status=401)
    if request.parts == _TOKEN_PATH:
        return Response(status=405, headers={"Allow": "PUT"})
    try:
        return _found(request.parts, facts)
    except ValueError:
        return Response(status=404)


def _issue(request: Request, facts: Facts, tokens: Tokens, now: float) -> Response:
    if request.parts != _TOKEN_PATH:
        return Response(status=405, headers={"Allow": "GET, HEAD"})
    if "x-forwarded-for" in request.headers:
        # Somebody else asks, through a proxy in the instance that passes on whatever it is given.
        return Response(status=403)
    text = request.headers.get(TTL, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and MIN_TTL_S <= int(text) <= MAX_TTL_S):
        return Response(status=400)
    token = tokens.issue(facts.build.instance_id, int(text), now)
    return Response(status=200, body=token.encode(), headers={TTL: text}, near=True)


def _found(parts: tuple[str, ...], facts: Facts) -> Response:
    if not parts:
        return _text("\n".join((*ec2.VERSIONS, "openstack")))
    if parts[0] == "openstack":
        return _openstack(parts[1:], facts)
    if parts[0] not in ec2.VERSIONS:
        return Response(status=404)
    match parts[1:]:
        case ():
            return _text("dynamic\nmeta-data" + ("\nuser-data" if facts.user_data else ""))
        case ("user-data",) if facts.user_data:
            return Response(status=200, body=facts.user_data, content_type=_BYTES)
        case ("dynamic",):
            return _text("instance-identity/")
        case ("dynamic", "instance-identity"):
            return _text("document")
        case ("dynamic", "instance-identity", "document"):
            return _text(ec2.identity_document(facts))
        case ("meta-data", *rest):
            return _meta_data(tuple(rest), facts)
    return Response(status=404)


def _meta_data(path: tuple[str, ...], facts: Facts) -> Response:
    here: str | ec2.Tree = ec2.meta_data(facts)
    for part in path:
        if not isinstance(here, dict) or part not in here:
            return Response(status=404)
        here = here[part]
    return _text(here if isinstance(here, str) else ec2.listing(here, path, facts))


def _openstack(path: tuple[str, ...], facts: Facts) -> Response:
    if not path:
        return _text("\n".join(openstack.VERSIONS))
    if path[0] not in openstack.VERSIONS:
        return Response(status=404)
    files = openstack.files(facts)
    if len(path) == 1:
        return _text("\n".join(sorted(files)))
    name = path[1]
    if len(path) > 2 or name not in files:
        return Response(status=404)
    kind = _JSON if name.endswith(".json") else _BYTES
    return Response(status=200, body=files[name], content_type=kind)


def _text(text: str) -> Response:
    return Response(status=200, body=text.encode())
