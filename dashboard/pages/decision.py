"""The decision's page: the verdicts as a picture."""

from apps.common.admin.pages import add_section
from apps.scheduler.models import Decision
from dashboard import verdict


def register() -> None:
    """Called once by dashboard/admin.py."""
    add_section(Decision, "Verdict", lambda request, decision: verdict.draw(decision), place=15)
