"""A trace file of millions of events, for figures: buffers of 64 B to 16 MiB from 240 sites, 500 of them alive."""

from pathlib import Path

import numpy as np

from mlxtop.trace import layout
from tests.trace.writer import BEGAN, Writer, context

ALIVE = 500
OPERATIONS = ("Matmul", "Softmax", "Add", "Multiply", "Convolution", "Sort")


def write(path: Path, events: int) -> None:
    """Writes a trace whose ring holds `events`, a power of two: allocations and frees in turn, and steps of 1,000."""
    writer = Writer(capacity=events, sites_capacity=512)
    where = [context("train", f"/me/train.py:{line} step", "/me/train.py:99 main") for line in range(40)]
    sites = [writer.site(operation, each) for operation in OPERATIONS for each in where]
    random = np.random.default_rng(0)
    count = events // 2
    size = (2.0 ** random.uniform(6, 24, count)).astype(np.uint64)
    site = random.choice(sites, count).astype(np.uint32)
    address = (np.arange(count, dtype=np.uint64) % np.uint64(3 * ALIVE) + np.uint64(1)) * np.uint64(2**25)
    ring = np.zeros(events, layout.EVENT)
    ring["time_ns"] = BEGAN + np.arange(events) * 1000
    allocated, freed = ring[::2], ring[2 * ALIVE + 1 :: 2]
    for part, kind in ((allocated, layout.ALLOCATED), (freed, layout.FREED)):
        part["kind"] = kind
        part["size"], part["site"], part["address"] = (
            size[: len(part)],
            site[: len(part)],
            address[: len(part)],
        )
    # Where nothing is to be freed yet, steps begin and end.
    steps = ring[1 : 2 * ALIVE : 2]
    steps["kind"] = np.where(np.arange(ALIVE) % 2, layout.STEP_ENDS, layout.STEP_BEGINS)
    steps["address"] = np.arange(ALIVE) // 2
    steps["site"][::2] = writer.string(where[0])
    writer.ring[:], writer.written = ring.tobytes(), events
    for number in range(count - ALIVE, count):
        one = int(size[number]), BEGAN + number * 2000, int(site[number])
        writer.blocks[int(address[number])] = one
        writer._add(one[2], one[0], 1)
    writer._new_peak()
    writer.save(path)
