"""`python -m cloudsite.launcher up|demo|erase`, what `make up`, `make demo` and `make erase` run."""

import argparse
import os
import sys

from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen


def main() -> int:
    """0: stopped as asked, or the demo went well; 1: it did not, and the last lines say why."""
    parser = argparse.ArgumentParser(prog="python -m cloudsite.launcher", description=__doc__)
    parser.add_argument(
        "what", choices=("up", "demo", "erase"), help="up: start and stay; demo: boot, check, delete, stop; erase: delete all"
    )
    parser.add_argument("--yes", action="store_true", help="erase without asking back")
    arguments = parser.parse_args()
    from cloudsite.settings import ENV  # late: makes secrets, and ends with a sentence if a variable is wrong

    screen = Screen()
    try:
        if arguments.what == "demo":
            from cloudsite.launcher.demo import demo

            return demo(ENV, os.environ, screen)
        if arguments.what == "erase":
            from cloudsite.launcher.erase import erase

            return erase(ENV, os.environ, screen, confirmed=arguments.yes)
        from cloudsite.launcher.up import Up

        return Up(ENV, os.environ, screen).run()
    except LaunchError as error:
        screen.problem(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
