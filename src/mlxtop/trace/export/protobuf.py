"""Protocol Buffers as bytes: what two formats need of them, without a library.

https://protobuf.dev/programming-guides/encoding/
"""

VARINT, LENGTH = 0, 2
"""Wire types."""


def varint(number: int) -> bytes:
    """A whole number; one below zero takes ten bytes, as an int64 does."""
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field of a whole number. A zero may be left out, but need not."""
    return varint(field << 3 | VARINT) + varint(value)


def data(field: int, value: bytes) -> bytes:
    """A field of bytes, or of a message."""
    return varint(field << 3 | LENGTH) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """A field of a string."""
    return data(field, value.encode(errors="replace"))


def packed(field: int, values: list[int]) -> bytes:
    """A repeated field of whole numbers."""
    return data(field, b"".join(map(varint, values)))
