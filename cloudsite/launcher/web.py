"""The HTTP API as the launcher uses it: like any other client, with a token."""

import http.client
import urllib.error
import urllib.request


def answers_ready(url: str) -> bool:
    """Whether `/readyz` says so."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        return error.code == 404  # INTERIM until /readyz exists
    except (OSError, http.client.HTTPException, urllib.error.URLError):
        return False
