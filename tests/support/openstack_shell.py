"""A process that runs `openstack` commands one after the other, by the client's own entry point, and starts Python only once.

Reads a JSON list of words per line; answers each with a line of JSON: status, stdout, stderr. Knows nothing of Cloudsite.
"""

import contextlib
import io
import json
import logging
import sys

from openstackclient.shell import OpenStackShell
from osc_lib.clientmanager import ClientCache, ClientManager


def run(words: list[str]) -> dict[str, object]:
    """One command, as if it were the whole process."""
    out, errors = io.StringIO(), io.StringIO()
    logging.getLogger().handlers.clear()  # every shell adds its own
    for kept in vars(ClientManager).values():
        if isinstance(kept, ClientCache):
            kept._handle = None  # the client of a service, in the version of an earlier command
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            status: object = OpenStackShell().run(words)
        except SystemExit as end:
            status = end.code
    return {"status": status or 0, "stdout": out.getvalue(), "stderr": errors.getvalue()}


def main() -> None:
    answers = sys.stdout
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
