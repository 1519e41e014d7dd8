"""What a Mach-O file of 64 bits says of itself: enough to look at a Mac's library where there is no Mac."""

import struct
from pathlib import Path
from typing import NamedTuple

MAGIC, DYNAMIC_LIBRARY, ARM64 = 0xFEEDFACF, 6, 0x0100000C
SYMBOLS, LIBRARY, SEGMENT = 0x2, 0xC, 0x19
KIND, EXTERNAL, UNDEFINED, IN_SECTION, DEBUGGING = 0x0E, 0x01, 0x00, 0x0E, 0xE0


class Symbol(NamedTuple):
    name: str
    address: int


class MachO(NamedTuple):
    is_arm64_library: bool
    libraries: list[str]
    sections: set[str]
    exported: set[str]
    undefined: set[str]
    defined: list[Symbol]
    """By address."""


def read(path: Path) -> MachO:
    content = path.read_bytes()
    magic, machine, _, kind, commands = struct.unpack_from("<5I", content)
    assert magic == MAGIC
    libraries, sections, table, at = [], set(), (0, 0, 0), 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", content, at)
        if command == LIBRARY:
            libraries.append(_text(content, at + struct.unpack_from("<I", content, at + 8)[0]))
        elif command == SYMBOLS:
            table = struct.unpack_from("<3I", content, at + 8)
        elif command == SEGMENT:
            for i in range(struct.unpack_from("<I", content, at + 64)[0]):
                name, segment = struct.unpack_from("<16s16s", content, at + 72 + 80 * i)
                sections.add(",".join(part.rstrip(b"\0").decode() for part in (segment, name)))
        at += size
    exported, undefined, defined = set(), set(), []
    where, count, strings = table
    for i in range(count):
        index, how, _, _, address = struct.unpack_from("<IBBHQ", content, where + 16 * i)
        if how & DEBUGGING:
            continue
        name = _text(content, strings + index)
        if how & KIND == IN_SECTION:
            defined.append(Symbol(name, address))
            if how & EXTERNAL and not how & 0x10:
                exported.add(name)
        elif how & KIND == UNDEFINED:
            undefined.add(name)
    defined.sort(key=lambda symbol: symbol.address)
    return MachO(
        (machine, kind) == (ARM64, DYNAMIC_LIBRARY), libraries, sections, exported, undefined, defined
    )


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode()
