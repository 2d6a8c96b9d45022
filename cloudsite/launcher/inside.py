"""What is done inside Django while an installation starts: a process that takes one order a line and ends with its stdin.

Orders and answers are JSON, one a line: `{"do": "migrate", "with": {…}}`; then any number of `{"progress": "…"}` and
one of `{"done": …}` or `{"error": "…"}`.
"""

import json
import os
import sys
import traceback
from typing import Any

import django


def main() -> None:
    """Answer orders until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever Django prints goes to the log

    def tell(**message: Any) -> None:
        answers.write(json.dumps(message, default=str) + "\n")

    django.setup()
    from apps.common.logs import masked
    from cloudsite.launcher import orders  # needs the models

    for line in sys.stdin:
        order = json.loads(line)
        try:
            done = orders.ORDERS[order["do"]](lambda text: tell(progress=text), **order["with"])
        except Exception as error:
            sys.stderr.write(masked(traceback.format_exc()))
            tell(error=masked(str(error)) or type(error).__name__)
        else:
            tell(done=done)


if __name__ == "__main__":
    main()
