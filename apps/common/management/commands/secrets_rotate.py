"""manage.py secrets_rotate"""

from argparse import ArgumentParser
from typing import Any

from apps.common import rotation
from apps.common.commands import DONE, FAILED, CloudCommand


class Command(CloudCommand):
    help = (
        "Put new keys before the old ones: of the vault, which seals access keys in the database, and of Django, which signs"
        " sessions. Broken off, it can be started again. With --drop-old the old keys are forgotten instead."
    )
    examples = ("--vault", "--django", "--vault --drop-old")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--vault", action="store_true", help="the vault: everything in it is sealed anew, while others work")
        parser.add_argument("--django", action="store_true", help="Django's key: restart all processes afterwards")
        parser.add_argument("--drop-old", action="store_true", help="forget the older keys; refused while the vault needs one")

    def work(self, **options: Any) -> int:
        if not options["vault"] and not options["django"]:
            self.print_help("manage.py", "secrets_rotate")
            return 2
        code, told = DONE, {}
        if options["vault"]:
            if options["drop_old"]:
                told["vault"] = self._dropped("vault", rotation.drop_vault_keys())
            else:
                code, told["vault"] = self._vault()
        if options["django"]:
            if options["drop_old"]:
                told["django"] = self._dropped("Django", rotation.drop_django_keys())
            else:
                told["django"] = {"keys": rotation.rotate_django()}
                self.say("Django: a new key signs once all processes are restarted; the older ones are understood until --drop-old.")
        if self.as_json:
            self.emit(told)
        return code

    def _vault(self) -> tuple[int, dict[str, Any]]:
        done = rotation.rotate_vault()
        began = f"a new key {done.key}" if done.added else f"the earlier rotation to key {done.key} is finished"
        self.say(f"vault: {began}; {done.resealed} secrets sealed anew.")
        if done.stuck:
            self.say(f"vault: {done.stuck} secrets cannot be opened: their key is not in the ring. See manage.py doctor.", "red")
        return FAILED if done.stuck else DONE, {"key": done.key, "added": done.added, "resealed": done.resealed, "stuck": done.stuck}

    def _dropped(self, name: str, count: int) -> dict[str, int]:
        self.say(f"{name}: {count} older keys forgotten." if count else f"{name}: there was no older key.")
        return {"dropped": count}
