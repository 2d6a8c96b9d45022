"""Objects while many write the same keys: the last one committed is the latest, nothing is lost and nothing is left over."""

import io
import random
import threading
from collections import Counter
from functools import partial

import pytest

from apps.common.errors import CloudError, Conflict, NotFound, QuotaExceeded, Unavailable
from apps.objects.inputs import About, Condition, Doomed, NamedPart
from apps.objects.models import Bucket, Garbage, Part, Upload, Version
from apps.objects.services import buckets, completing, objects, sweep, uploads
from apps.objects.states import Versioning
from tests.integration.test_objects_put import allow
from tests.support.objects import Shelf
from tests.support.postgres import Deadlocks
from tests.support.threads import errors, together, unexpected, until_enough

MANY = 12


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "PART_LEAST_BYTES", 4)


def one_latest_each() -> None:
    """Of every key exactly one version is the latest, and it is the newest."""
    newest: dict[str, Version] = {}
    for row in Version.objects.order_by("pk"):
        newest[row.key] = row
    latest = {row.key: row for row in Version.objects.filter(is_latest=True)}
    assert {key: row.pk for key, row in latest.items()} == {key: row.pk for key, row in newest.items()}
    assert Version.objects.filter(is_latest=True).count() == len(newest)


@pytest.mark.parametrize("versioning", [Versioning.NEVER, Versioning.ENABLED, Versioning.SUSPENDED])
def test_puts_of_one_new_key_at_once(shelf: Shelf, deadlocks: Deadlocks, versioning: Versioning) -> None:
    if versioning is not Versioning.NEVER:
        shelf.versioning(versioning)
    for round_ in range(4):
        key = f"key{round_}"
        results = together([partial(shelf.put, key, b"%d" % number * 100) for number in range(MANY)])
        assert errors(results) == [], deadlocks.details()
        data = shelf.read(key)
        assert data in {b"%d" % number * 100 for number in range(MANY)}
        kept = MANY if versioning is Versioning.ENABLED else 1
        assert len(shelf.versions(key)) == kept
    one_latest_each()
    assert deadlocks() == 0, deadlocks.details()
    assert shelf.faults() == []


def test_of_many_who_want_to_be_the_first_one_is(shelf: Shelf) -> None:
    for round_ in range(5):
        condition = Condition(none_match=("*",))
        results = together([partial(shelf.put, f"lock{round_}", b"%d" % number, condition=condition) for number in range(MANY)])
        assert unexpected(results, Conflict) == []
        assert len(errors(results)) == MANY - 1
        (winner,) = [result for result in results if isinstance(result, Version)]
        assert shelf.found(f"lock{round_}").pk == winner.pk
    assert shelf.faults() == []


def test_a_counter_of_conditional_puts_loses_nothing(shelf: Shelf) -> None:
    shelf.put("counter", b"0")

    def count() -> None:
        done = 0
        while done < 5:
            before = shelf.found("counter")
            try:
                value = int(shelf.read("counter"))
                if shelf.found("counter").pk != before.pk:
                    continue
                shelf.put("counter", b"%d" % (value + 1), condition=Condition(match=(before.etag,)))
            except (Conflict, NotFound):
                continue
            done += 1

    results = together([count] * 4)
    assert errors(results) == []
    assert shelf.read("counter") == b"20"


def test_quotas_are_not_exceeded_by_puts_at_once(shelf: Shelf) -> None:
    allow(shelf.project, object_bytes=1000)
    results = together([partial(shelf.put, f"k{number}", b"x" * 300) for number in range(MANY)])
    assert unexpected(results, QuotaExceeded) == []
    assert len(errors(results)) == MANY - 3
    assert shelf.used_bytes == 900
    assert shelf.faults() == []


def test_a_bucket_is_deleted_or_written_to_but_never_both(shelf: Shelf, deadlocks: Deadlocks) -> None:
    outcomes = Counter[str]()
    for round_ in range(12):
        name = f"short-lived-{round_}"
        bucket = buckets.create(actor=shelf.actor, name=name)

        def put(name: str = name) -> Version:
            return objects.put(actor=shelf.actor, bucket=name, key="k", stream=io.BytesIO(b"data"), about=About())

        def begin(name: str = name) -> Upload:
            return uploads.begin(actor=shelf.actor, bucket=name, key="k", about=About())

        results = together([put, partial(buckets.delete, actor=shelf.actor, name=name), put, begin])
        assert unexpected(results, CloudError) == [], deadlocks.details()
        gone = not Bucket.objects.filter(pk=bucket.pk).exists()
        outcomes["gone" if gone else "in use"] += 1
        if gone:
            assert not Version.objects.filter(bucket_id=bucket.pk).exists()
            assert unexpected(results, NotFound) == []
    print(outcomes)
    assert deadlocks() == 0, deadlocks.details()
    assert shelf.faults() == []


def test_an_upload_is_completed_once_however_often_it_is_asked(shelf: Shelf, deadlocks: Deadlocks) -> None:
    for round_ in range(4):
        upload = shelf.begin(f"key{round_}")
        parts = [shelf.part(upload, number, b"%04d" % number) for number in range(1, 6)]
        results = together([partial(shelf.complete, upload, parts) for _ in range(8)])
        assert errors(results) == [], deadlocks.details()
        assert len({result.pk for result in results}) == 1
        assert shelf.read(f"key{round_}") == b"00010002000300040005"
    assert shelf.faults() == []


def test_an_upload_is_completed_or_ended_but_never_both(shelf: Shelf, deadlocks: Deadlocks) -> None:
    for round_ in range(10):
        upload = shelf.begin(f"key{round_}")
        parts = [shelf.part(upload, 1, b"data")]
        abort = partial(uploads.abort, actor=shelf.actor, bucket=shelf.name, key=upload.key, upload_id=upload.pk.hex)
        done, ended, late = together([partial(shelf.complete, upload, parts), abort, partial(shelf.part, upload, 2, b"late")])
        assert unexpected([done, ended, late], NotFound) == [], deadlocks.details()
        assert isinstance(done, NotFound) != isinstance(ended, NotFound)
        assert (f"key{round_}" in shelf.listed()) == isinstance(ended, NotFound)
    assert not Upload.objects.exists()
    assert not Part.objects.filter(upload__isnull=False).exists()
    assert deadlocks() == 0, deadlocks.details()
    assert shelf.faults() == []


def test_one_part_sent_many_times_at_once_is_one_part(shelf: Shelf) -> None:
    upload = shelf.begin()
    results = together([partial(shelf.part, upload, 1, b"%d" % number * 10) for number in range(MANY)])
    assert errors(results) == []
    (kept,) = Part.objects.all()
    assert shelf.used_bytes == kept.size_bytes
    shelf.complete(upload, [kept])
    assert shelf.faults() == []


def test_many_deleted_at_once_in_any_order_do_not_deadlock(shelf: Shelf, deadlocks: Deadlocks) -> None:
    keys = [f"k{number}" for number in range(60)]
    for round_ in range(3):
        for key in keys:
            shelf.put(key)

        def churn(seed: int) -> None:
            mixed = random.Random(seed).sample(keys, len(keys))
            objects.delete_many(actor=shelf.actor, bucket=shelf.name, doomed=[Doomed(key) for key in mixed])

        results = together([*[partial(churn, seed) for seed in range(6)], partial(shelf.put, keys[round_], b"again")])
        assert errors(results) == [], deadlocks.details()
    assert deadlocks() == 0, deadlocks.details()
    assert shelf.faults() == []


def test_after_a_storm_every_key_has_one_latest_version_and_everything_adds_up(shelf: Shelf, deadlocks: Deadlocks) -> None:
    keys = ["a", "b", "c"]
    done = Counter(put=0, copied=0, deleted=0, destroyed=0, switched=0, parted=0)
    going, lock = until_enough(done, 5), threading.Lock()
    shelf.versioning(Versioning.ENABLED)

    def told(what: str) -> None:
        with lock:
            done[what] += 1

    def destroy(chosen: random.Random) -> None:
        rows = Version.objects.filter(key=chosen.choice(keys)).values_list("key", "version")
        if found := list(rows):
            key, version = chosen.choice(found)
            shelf.delete(key, version)
            told("destroyed")

    def put_in_parts(key: str) -> None:
        upload = shelf.begin(key)
        parts = [shelf.part(upload, number, b"part") for number in (1, 2)]
        named = [NamedPart(part.number, part.etag) for part in parts]
        uploads.complete(actor=shelf.actor, bucket=shelf.name, key=key, upload_id=upload.pk.hex, parts=named)
        told("parted")

    def user(seed: int) -> None:
        chosen = random.Random(seed)
        while going():
            key, dice = chosen.choice(keys), chosen.random()
            try:
                if dice < 0.45:
                    shelf.put(key, chosen.randbytes(chosen.randint(0, 50)))
                    told("put")
                elif dice < 0.6:
                    shelf.copy(key, chosen.choice(keys), tags={})
                    told("copied")
                elif dice < 0.75:
                    shelf.delete(key)
                    told("deleted")
                elif dice < 0.9:
                    destroy(chosen)
                else:
                    put_in_parts(key)
            except NotFound:
                pass  # deleted meanwhile
            except Unavailable as error:
                if error.code != "object.replaced":
                    raise

    def switch() -> None:
        chosen = random.Random("switch")
        while going():
            shelf.versioning(chosen.choice([Versioning.ENABLED, Versioning.SUSPENDED]))
            told("switched")
            sweep.sweep()

    results = together([*[partial(user, seed) for seed in range(5)], switch])
    assert errors(results) == [], deadlocks.details()
    assert min(done.values()) > 5, done
    one_latest_each()
    assert deadlocks() == 0, deadlocks.details()
    assert shelf.faults() == []
    for row in list(Version.objects.all()):
        shelf.delete(row.key, row.version)
    assert shelf.used_bytes == 0
    assert shelf.files() | shelf.files("incoming") == set(Garbage.objects.values_list("pk", flat=True)) & shelf.files()
    print(f"storm: {dict(done)}")
