"""What the edge costs a request, in µs: `python -m bench.edge`. No server, no database: middleware around a view of nothing."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROUNDS, CALLS = 7, 20_000


def main() -> None:
    with tempfile.TemporaryDirectory() as var:
        os.environ.update(DJANGO_SETTINGS_MODULE="cloudsite.settings", CLOUDSITE_VAR=var)
        # Counted all the same, and never refused.
        os.environ.update(CLOUDSITE_RATE_ADDRESS="100000", CLOUDSITE_RATE_PROJECT="100000", CLOUDSITE_TRUSTED_PROXIES="10.0.0.0/24")
        import django

        django.setup()
        _measure()


def _measure() -> None:
    import uuid

    from django.core.handlers.exception import convert_exception_to_response
    from django.http import HttpRequest, HttpResponse
    from django.utils.module_loading import import_string

    from apps.common import rates

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"{}", content_type="application/json")

    def chain(*names: str) -> Callable[[HttpRequest], HttpResponse]:
        handler: Any = view
        for name in reversed(names):
            handler = convert_exception_to_response(import_string(name)(handler))
        return handler  # type: ignore[no-any-return]

    request = HttpRequest()
    request.method, request.path = "GET", "/api/v1/instances"
    ours = {name: f"apps.common.api.edge.{name}" for name in ("Peer", "Headers", "Rates")}
    django_s = ("django.middleware.security.SecurityMiddleware", "django.middleware.clickjacking.XFrameOptionsMiddleware")
    bare = _us(lambda: view(request))

    def report(what: str, handler: Callable[[HttpRequest], HttpResponse], **meta: str) -> None:
        def call() -> None:
            request.META = {"REMOTE_ADDR": "192.0.2.1", **meta}
            handler(request)

        print(f"{what:<58}{_us(call) - bare:6.1f} µs")

    report("address and scheme (Peer)", chain(ours["Peer"]))
    report("  behind a trusted proxy", chain(ours["Peer"]), REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.1", HTTP_X_FORWARDED_PROTO="https")
    report("limit of the address (Rates)", chain(ours["Rates"]))
    report("  of an IPv6 address", chain(ours["Rates"]), REMOTE_ADDR="2001:db8::1")
    report("policy, permissions, caching (Headers)", chain(ours["Headers"]))
    report("nosniff, referrer, opener, frames (Django's own)", chain(*django_s))
    report("all of these together", chain(ours["Peer"], *django_s, ours["Headers"], ours["Rates"]))
    project = uuid.uuid4()
    print(f"{'limit of the project (check_project)':<58}{_us(lambda: rates.check_project(project)):6.1f} µs")


def _us(call: Callable[[], Any]) -> float:
    """Of one call, the median of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - began) / CALLS * 1e6)
    return statistics.median(rounds)


if __name__ == "__main__":
    main()
