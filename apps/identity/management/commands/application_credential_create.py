"""manage.py application_credential_create"""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from apps.common import clock
from apps.common.commands import DONE, CloudCommand, whole
from apps.identity.api.application_credentials import application_credential
from apps.identity.commands import acting_as, add_project
from apps.identity.services import application_credentials


class Command(CloudCommand):
    help = (
        "Make an application credential, a password for a program, in the name of a user. It can do at most what that user can in\n"
        "the project. Its secret is printed once."
    )
    examples = (
        "ann backup --project demo", "ann ci --project demo --role member --days 30",
        "ann watch --project demo --permission 'compute.*.list' --permission 'compute.*.get' --json",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")
        parser.add_argument("name", metavar="NAME")
        add_project(parser)
        parser.add_argument("--role", action="append", dest="roles", metavar="ROLE", help="again for several; default: all the user has")
        parser.add_argument("--permission", action="append", dest="permissions", metavar="PATTERN", help="only these of what the roles give")
        parser.add_argument("--days", type=whole(1, 3650), help="how long it is good for (default: until it is deleted)")
        parser.add_argument("--unrestricted", action="store_true", help="may make further credentials and keys")

    def work(self, **options: Any) -> int:
        made = application_credentials.create(
            actor=acting_as(options["user"], options["project"]), name=options["name"], roles=options["roles"],
            permissions=options["permissions"], unrestricted=options["unrestricted"],
            expires_at=clock.now() + timedelta(days=options["days"]) if options["days"] else None,
        )
        if self.as_json:
            self.emit({**application_credential(made.credential), "secret": made.secret})
        else:
            self.facts({"id": made.credential.pk, "name": made.credential.name, "secret": made.secret})
        return DONE
