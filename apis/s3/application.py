"""The S3 server as a WSGI application: no URL table, no middleware, few statements a request.

A request gets an id, an Actor and an operation; what comes of it becomes an answer, refusals an XML document. Bodies that nobody
read are not waited for: the connection is closed, unless little is left of one whose sender we know.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

from django.db import OperationalError, close_old_connections, connection

from apis.s3 import authentication, routing, xml
from apis.s3.answers import Answer
from apis.s3.bodies import Counted
from apis.s3.call import Call
from apis.s3.errors import Refused, refusal
from apis.s3.operations import cors
from apis.s3.operations.offered import OFFERED
from apis.s3.request import Request, read
from apps.audit.services import record
from apps.common import context, ids, rates
from apps.common.api import edge
from apps.common.context import Actor
from apps.common.errors import CloudError, Forbidden, QuotaExceeded
from apps.objects.selectors import buckets

log = logging.getLogger(__name__)
StartResponse = Callable[..., Any]
# Not names that a bucket can have.
HEALTH, READY = "/-/healthz", "/-/readyz"
# So much of a refused body is read, so that who sends it gets to read the refusal: a part of the size that tools send.
_DRAINED = 16 * 1024**2
_NO_BODY = (204, 304)


class Application:
    """`region`: what clients sign for. `domains`: names below which the next label is a bucket. `strangers`: how many requests with
    a body, from who has not signed them, are served at once; a sender that is slow on purpose holds a thread."""

    def __init__(self, *, region: str, domains: tuple[str, ...], strangers: int) -> None:
        self._region, self._domains = region, domains
        self._strangers = threading.BoundedSemaphore(strangers)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request_id = ids.new_id().hex
        token = context.request_id.set(request_id)
        close_old_connections()
        try:
            answer, request, source = self._answer(environ, request_id)
            answer.headers = {"x-amz-request-id": request_id, **answer.headers}
            return _send(answer, request, source, environ["REQUEST_METHOD"], start_response)
        finally:
            close_old_connections()
            context.request_id.reset(token)

    def _answer(self, environ: dict[str, Any], request_id: str) -> tuple[Answer, Request | None, Counted | None]:
        request, source, known = None, None, Known()
        try:
            edge.find_client(environ)
            rates.check_address(environ["REMOTE_ADDR"], "s3")
            request = read(environ, domains=self._domains)
            if request.path in (HEALTH, READY) and not request.virtual and request.method in ("GET", "HEAD"):
                return _health(request.path == READY), None, None
            request.id, request.address, request.scheme = request_id, environ["REMOTE_ADDR"], environ.get("wsgi.url_scheme", "http")
            source = known.source = Counted(request.body)
            answer = self._do(request, source, known)
        except Exception as error:
            answer = _refused(error, environ, request, known)
        if request is not None and request.method != "OPTIONS" and request.header("origin"):
            answer.headers |= _safely(cors.headers_for, request)
        return answer, request, source if known.actor is None or known.actor.user_id is None else _drained(request, source)

    def _do(self, request: Request, source: Counted, known: "Known") -> Answer:
        if request.method == "OPTIONS":
            return cors.preflight(request)
        known.operation = routing.operation(request)
        known.actor, claim, signer = authentication.caller(request)
        operation = OFFERED.get(known.operation)
        if operation is None:
            raise Refused("NotImplemented", f"{known.operation} is not offered.")
        call = Call(request=request, actor=known.actor, source=source, claim=claim, signer=signer, region=self._region)
        owner = request.header("x-amz-expected-bucket-owner").replace("-", "").lower()
        if owner and request.bucket and buckets.named(request.bucket).project_id.hex != owner:
            raise Refused("AccessDenied")
        with self._admitted() if claim is None and request.length != 0 else nullcontext():
            return operation(call)

    def _admitted(self) -> "Admitted":
        if not self._strangers.acquire(blocking=False):
            raise Refused("SlowDown", headers={"Retry-After": "2"})
        return Admitted(self._strangers)


class Admitted:
    """A stranger among those who are served."""

    def __init__(self, strangers: threading.BoundedSemaphore) -> None:
        self._strangers = strangers

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._strangers.release()


class Known:
    """What is known of a request when it is refused."""

    def __init__(self) -> None:
        self.actor: Actor | None = None
        self.operation = ""
        self.source: Counted | None = None


class Sent:
    """A body on its way out. What goes wrong breaks the connection off, so that nobody takes a part for the whole."""

    def __init__(self, body: Iterable[bytes], told: str) -> None:
        self._body, self._told = body, told

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except CloudError as error:
            log.error("%s: the content could not be sent: %s", self._told, error.message)
            raise

    def close(self) -> None:
        """Called by the server in any case."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _send(answer: Answer, request: Request | None, source: Counted | None, method: str, start: StartResponse) -> Iterable[bytes]:
    headers = answer.headers
    length = len(answer.body) if answer.length is None and isinstance(answer.body, bytes) else answer.length
    if answer.status not in _NO_BODY:
        headers["Content-Length"] = str(length or 0)
    if request is not None and source is not None and _is_at_its_end(request, source):
        headers["Connection"] = "close"
    start(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
    if method == "HEAD" or answer.status in _NO_BODY:
        if not isinstance(answer.body, bytes):
            Sent(answer.body, "").close()
        return []
    if isinstance(answer.body, bytes):
        return [answer.body]
    return Sent(answer.body, headers["x-amz-request-id"])


def _is_at_its_end(request: Request, source: Counted) -> bool:
    """Whether nothing more can come by this connection: some of the body is unread, or the client waited for a 100 that no empty body
    gets; the aws tool would misread the next answer after that, and wait for more of it until its connection is closed."""
    return request.length is None or source.taken < request.length or (request.length == 0 and bool(request.header("expect")))


def _refused(error: Exception, environ: dict[str, Any], request: Request | None, known: Known) -> Answer:
    """Whatever was raised → an answer."""
    if isinstance(error, OperationalError):
        log.error("the database does not answer: %s", error)
        said = Refused("ServiceUnavailable", "The database does not answer.")
    elif isinstance(error, CloudError):
        said = refusal(error)
        _record(error, request, known)
    else:
        log.error("%s %s failed", environ.get("REQUEST_METHOD"), known.operation or environ.get("PATH_INFO"), exc_info=error)
        said = Refused("InternalError")
    if said.status == 304:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return Answer(status=304, headers=said.headers)
        said = Refused("PreconditionFailed")  # nothing is read that the client could have already, such as by a copy
    nodes: list[xml.Node] = [("Code", said.code), ("Message", said.message)]
    if request is not None:
        nodes += [("BucketName", request.bucket or None), ("Key", request.key or None), ("Resource", request.resource)]
    taken = {name for name, _ in nodes}
    nodes += [(name, value if isinstance(value, int) else str(value)) for name, value in said.facts.items() if value is not None and name not in taken]
    nodes.append(("RequestId", context.request_id.get()))
    body = xml.document("Error", [(name, xml.sayable(value) if isinstance(value, str) else value) for name, value in nodes], namespace="")
    # A HEAD has no body; the length must not tell of one that never comes.
    if environ["REQUEST_METHOD"] == "HEAD":
        body = b""
    return Answer(status=said.status, headers={"Content-Type": "application/xml", **said.headers}, body=body)


def _record(error: CloudError, request: Request | None, known: Known) -> None:
    """Refusals of people whom we know are in the audit trail, as in all dialects."""
    denied = isinstance(error, Forbidden | QuotaExceeded)
    if not denied or request is None or known.actor is None or known.actor.user_id is None:
        return
    attempt = record.Attempt(
        action=str(error.facts.get("permission") or f"s3.{known.operation}"), resource_type="object" if request.key else "bucket",
        resource_id=f"{request.bucket}/{request.key}" if request.key else request.bucket, method=request.method, path=request.resource,
        address=request.address, request_id=request.id,
    )
    record.refused(error, attempt, actor=known.actor)


def _drained(request: Request | None, source: Counted | None) -> Counted | None:
    """The same, with the little read that was left of it."""
    if request is None or source is None or request.length is None or request.header("expect"):
        return source
    left = request.length - source.taken
    if left <= _DRAINED:
        while left > 0 and (piece := source.read(min(left, 64 * 1024))):
            left -= len(piece)
    return source


def _safely(work: Callable[[Request], dict[str, str]], request: Request) -> dict[str, str]:
    try:
        return work(request)
    except Exception:  # the answer is made; what browsers may do with it is not worth losing it
        log.exception("the CORS rules of %s could not be read", request.bucket)
        return {}


def _health(ready: bool) -> Answer:
    if ready:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return Answer(headers={"Content-Type": "application/json"}, body=b'{"status": "ready"}' if ready else b'{"status": "ok"}')
