"""A recording of millions of samples in seconds: its blocks are written into the tables as they are."""

import sqlite3
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlxtop.core.resample import Row
from mlxtop.core.sample import Sample
from mlxtop.recording import codec, schema
from mlxtop.recording.recorder import LEVEL_ROWS, MERGE_ROWS, Recorder
from mlxtop.recording.rollup import LEVELS, roll, row
from tests.recording.source import Session, add, busy_run, end

PERIOD = MERGE_ROWS
"""Samples after which all but the time begins anew: one block of them is packed once and written many times."""


def write(path: Path, samples: int, rate: int = 100) -> None:
    """`samples`, a multiple of `PERIOD`, at `rate` a second."""
    recorder = Recorder(path)
    add(recorder, Session("big", 1 / rate))
    end(recorder)
    block = list(busy_run(rate, PERIOD / rate))
    seconds = PERIOD / rate
    assert seconds % 60 == 0, "so that no bucket of the first levels straddles two blocks"
    first = [row(sample) for sample in block]
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN")
    after: float | None = None
    for n, data in enumerate(_blocks(block, seconds, samples // PERIOD)):
        start = block[0].time + n * seconds
        last = start + block[-1].time - block[0].time
        _insert(database, 1, 0, start, last, PERIOD, data, after)
        after = last
    rows: list[Row] = []
    for level in LEVELS:
        if level <= 3:
            done, begun = roll(level, None, first)
            assert begun is not None
            first = [*done, begun]
            rows = [r._replace(time=r.time + n * seconds) for n in range(samples // PERIOD) for r in first]
        else:
            done, begun = roll(level, None, rows)
            assert begun is not None
            rows = [*done, begun]
        after = None
        for i in range(0, len(rows), LEVEL_ROWS):
            _level(database, level, rows[i : i + LEVEL_ROWS], after)
            after = rows[min(i + LEVEL_ROWS, len(rows)) - 1].time
    database.execute("UPDATE session SET until = ?, crc = NULL", (last,))
    database.execute("COMMIT")
    database.close()


def _level(database: sqlite3.Connection, level: int, rows: list[Row], after: float | None) -> None:
    columns = [
        c for part in ("lo", "hi", "last") for c in zip(*(getattr(r, part) for r in rows), strict=True)
    ]
    data = codec.pack([[round(r.time * 1e6) for r in rows], *columns])
    _insert(database, 1, level, rows[0].time, rows[-1].time, len(rows), data, after)


def _insert(database: sqlite3.Connection, *values: Any) -> None:
    row = (*values, schema.checksum(values))
    database.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _blocks(block: list[Sample], seconds: float, count: int) -> Iterator[bytes]:
    """What `codec.pack` makes of `block`, later and later.

    Only the first time differs, which comes first: what follows it is compressed once.
    """
    _, *known, _, buffers = zip(*block, strict=True)
    columns = [[round(sample.time * 1e6) for sample in block], *known, [0] * len(block), buffers]
    flat = zlib.decompress(codec.pack(columns))
    code, first = struct.unpack_from("<cq", flat)
    rest = flat[9:]
    tail = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = tail.compress(rest) + tail.flush()
    for n in range(count):
        head = struct.pack("<cq", code, first + round(n * seconds * 1e6))
        front = zlib.compressobj(6, zlib.DEFLATED, 15)
        # A full flush ends at a byte, and nothing after it refers to what came before.
        begun = front.compress(head) + front.flush(zlib.Z_FULL_FLUSH)
        yield begun + packed + zlib.adler32(rest, zlib.adler32(head)).to_bytes(4)
