"""A program of 207 bytes for guests: what it reads goes out of the first card as one frame, whatever is in it."""

import struct
from typing import Final

# socket(AF_PACKET, SOCK_RAW, 0); read(0, buffer, 2048); sendto(…, interface 2: the first after lo); exit(0 if it went out).
_CODE: Final = bytes.fromhex(
    "6a115f6a035e31d26a29580f0589c331ffbe00024000ba0008000031c00f0589c289df4531d24c8d05160000006a1441596a2c580f0531ff85c0"
    "400f9ec76a3c580f051100000002000000000000060000000000000000"
)
_BASE: Final = 0x400000


def program() -> bytes:
    """An ELF file for Linux on x86-64; one segment, its buffer behind the code."""
    length = 64 + 56 + len(_CODE)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + 64 + 56, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, length, 0x2000, 0x1000) + _CODE
