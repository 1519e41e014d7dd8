"""Tests MLX's counters and limits, and the system's footprint.

Sets limits and allocates 256 MiB. It runs in a separate process (`isolated.py`), so that a crash of MLX is
only a finding.
"""

import gc
import time
from collections.abc import Iterator
from typing import Any

from mlxtop.core.limits import LIMIT_NAMES, LimitName
from mlxtop.core.units import UNLIMITED, format_size
from mlxtop.doctor.finding import Finding, Section
from mlxtop.mlx import allocator, backend, device, hooks
from mlxtop.system import footprint

MIB = 2**20
ARRAY = 4 * MIB
"""Bytes of the array for the test of the counters."""
LARGE = 256 * MIB
"""Bytes that are freed in the test of the footprint: far more than other changes of it."""
TRAILS = 6.0
"""Seconds to wait for the footprint after a clear. Metal can be four seconds late (ml-explore/mlx#3896)."""


def check(section: Section) -> Iterator[Finding]:
    """All tests of MLX. Raises `NoBackendError` where MLX cannot run."""
    mx: Any = backend.load()
    facts = device.facts(packages=False)
    yield section.ok("backend", f"{backend.name()} ({facts.device}), mlx {mx.__version__}")
    # The limits first: the other tests change one.
    yield from _limits(section)
    yield from _counters(section, mx)
    yield from _footprint(section, mx)


def _counters(section: Section, mx: Any) -> Iterator[Finding]:
    """Creates an array, frees it and clears the cache. Each counter has to follow."""
    hooks.apply({"cache": UNLIMITED})
    mx.clear_cache()
    mx.reset_peak_memory()
    before = allocator.snapshot()
    array = _made(mx, ARRAY)
    held = allocator.snapshot()
    del array
    gc.collect()
    freed = allocator.snapshot()
    mx.clear_cache()
    cleared = allocator.snapshot()
    mx.reset_peak_memory()
    reset = allocator.snapshot()
    yield _follows(section, "active", held.active - before.active, freed.active - before.active)
    yield _follows(section, "cache", freed.cache - before.cache, cleared.cache - before.cache)
    yield _follows(section, "peak", held.peak - before.active, reset.peak - before.active)


def _follows(section: Section, name: str, up: int, down: int) -> Finding:
    value = f"+{format_size(up)} for an array of {format_size(ARRAY)}, then {format_size(down)}"
    right = ARRAY <= up < 2 * ARRAY and abs(down) < ARRAY // 4
    return section.ok(name, value) if right else section.wrong(name, value)


def _made(mx: Any, size: int) -> Any:
    """An array of `size` bytes, computed."""
    array = mx.ones((size // 4,), dtype=mx.float32)
    mx.eval(array)
    mx.synchronize()
    return array


def _limits(section: Section) -> Iterator[Finding]:
    watch = hooks.AllocatorHooks(lambda _: None)
    found = watch.read_limits()
    for limit in LIMIT_NAMES:
        yield _limit(section, watch, limit, found.get(limit))


def _limit(section: Section, watch: hooks.AllocatorHooks, limit: LimitName, before: int | None) -> Finding:
    """Sets a limit to half of its value, reads it, and restores it."""
    name = f"{limit} limit"
    if before is None:
        return section.missing(name, "—", "This version of MLX cannot report it. Install a newer one.")
    if limit == "wired" and backend.name() != "Metal":
        return section.ok(name, "only Metal has one")
    half = before // 2 if before else 16 * MIB
    watch.set(limit, half, "doctor")
    seen = watch.read_limits().get(limit)
    watch.set(limit, before, "doctor")
    back = watch.read_limits().get(limit)
    value = f"{format_size(before)}, set to {format_size(half)} and restored"
    if (seen, back) == (half, before):
        return section.ok(name, value)
    return section.wrong(name, f"{value}, but MLX reported {format_size(seen)} and {format_size(back)}")


def _footprint(section: Section, mx: Any) -> Iterator[Finding]:
    """Clears the cache and waits until the footprint follows."""
    name, read = footprint.KIND, footprint.reader()
    if read() is None:
        yield section.missing(name, "—", "The system does not report the footprint of a process.")
        return
    hooks.apply({"cache": UNLIMITED})
    array = _made(mx, LARGE)
    del array
    gc.collect()
    before = read() or 0
    mx.clear_cache()
    began = time.monotonic()
    most = 0.0 if backend.name() == "CUDA" else TRAILS
    while (now := read() or 0) > before - LARGE * 9 // 10 and time.monotonic() - began < most:
        time.sleep(0.005)
    trailed = time.monotonic() - began
    value = f"{format_size(before)}, after a clear of {format_size(LARGE)} {format_size(now)}"
    if now <= before - LARGE * 9 // 10:
        yield section.ok(name, f"{value}, {trailed * 1000:.0f} ms later")
    elif backend.name() == "CUDA":
        yield section.ok(name, f"{value}: it does not include the GPU's memory")
    else:
        yield section.wrong(name, f"{value}, unchanged after {trailed:.0f} s")
