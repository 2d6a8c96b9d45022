"""Whether this process lives, and whether it can work: for load balancers, without sign-in."""

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.common.api import problems


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers too; 503 if it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Error:
        connection.close()
        return problems.refusal(503, "database.unavailable", "The database does not answer.")
    return JsonResponse({"status": "ready"})
