"""Hashes on the way in, and what those of parts say of the whole: against published values and against the bytes themselves."""

import base64
import hashlib
import random
import zlib

import pytest

from apps.objects import hashing
from apps.objects.hashing import Hashes

CHECK = b"123456789"
# The check values of the catalogue of CRCs.
CRCS = {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}


def hashed(data: bytes, algorithm: str = "", *, step: int = 7, sha256: bool = False) -> Hashes:
    found = Hashes(algorithm, sha256=sha256)
    for first in range(0, len(data), step):
        found.update(data[first : first + step])
    return found


@pytest.mark.parametrize("algorithm", sorted(CRCS))
def test_crcs_are_those_of_the_catalogue_however_the_bytes_come(algorithm: str) -> None:
    width = 8 if algorithm == "CRC64NVME" else 4
    wanted = base64.b64encode(CRCS[algorithm].to_bytes(width, "big")).decode()
    assert {hashed(CHECK, algorithm, step=step).checksum for step in (1, 2, 9)} == {wanted}


def test_md5_and_sha256_come_from_the_same_pass() -> None:
    found = hashed(CHECK, "SHA1", sha256=True)
    assert found.md5 == hashlib.md5(CHECK).hexdigest()
    assert found.sha256 == hashlib.sha256(CHECK).hexdigest()
    assert base64.b64decode(found.checksum) == hashlib.sha1(CHECK).digest()
    assert found.size_bytes == 9
    assert hashed(CHECK, "SHA256").checksum == base64.b64encode(hashlib.sha256(CHECK).digest()).decode()


def test_nothing_is_computed_that_nobody_asked_for() -> None:
    found = hashed(CHECK)
    assert (found.sha256, found.checksum) == ("", "")


@pytest.mark.parametrize("algorithm", sorted(hashing.COMBINABLE))
def test_the_crc_of_the_whole_follows_from_those_of_the_parts(algorithm: str) -> None:
    chosen = random.Random(algorithm)
    for sizes in ([1], [5, 1, 9000], [0, 3, 0], [70_000, 1]):
        parts = [chosen.randbytes(size) for size in sizes]
        each = [(hashed(part, algorithm, step=1000).checksum, len(part)) for part in parts]
        assert hashing.combined(algorithm, each) == hashed(b"".join(parts), algorithm, step=1000).checksum


def test_composite_checksums_and_etags_are_hashes_of_hashes() -> None:
    parts = [b"one", b"two"]
    crcs = [zlib.crc32(part).to_bytes(4, "big") for part in parts]
    wanted = base64.b64encode(zlib.crc32(b"".join(crcs)).to_bytes(4, "big")).decode()
    assert hashing.composite("CRC32", [base64.b64encode(crc).decode() for crc in crcs]) == f"{wanted}-2"
    md5s = [hashlib.md5(part) for part in parts]
    joined = hashlib.md5(b"".join(md5.digest() for md5 in md5s)).hexdigest()
    assert hashing.etag_of_parts([md5.hexdigest() for md5 in md5s]) == f"{joined}-2"
