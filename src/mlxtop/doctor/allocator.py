"""MLX's counters and limits and the system's footprint, each tried: what they should do, what they did.

This sets limits and allocates a quarter of a gibibyte. It runs in a process of its own (`isolated.py`), where
no other work is at stake and a crash of MLX is a finding.
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
"""Bytes of the array that the counters are tried with."""
LARGE = 256 * MIB
"""Bytes that are given back while the footprint is watched: far more than anything else moves it."""
TRAILS = 6.0
"""Seconds to wait for the footprint after a clear: Metal was seen to trail by four (ml-explore/mlx#3896)."""


def check(section: Section) -> Iterator[Finding]:
    """All of it. Raises `NoBackendError` where MLX cannot run."""
    mx: Any = backend.load()
    facts = device.facts(packages=False)
    yield section.ok("backend", f"{backend.name()} ({facts.device}), mlx {mx.__version__}")
    # The limits first: the other checks set one themselves.
    yield from _limits(section)
    yield from _counters(section, mx)
    yield from _footprint(section, mx)


def _counters(section: Section, mx: Any) -> Iterator[Finding]:
    """An array is made, freed and cleared away; each counter has to follow."""
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
    for knob in LIMIT_NAMES:
        yield _limit(section, watch, knob, found.get(knob))


def _limit(section: Section, watch: hooks.AllocatorHooks, knob: LimitName, before: int | None) -> Finding:
    """Sets a limit to half of what it is, reads it, and sets it back."""
    name = f"{knob} limit"
    if before is None:
        return section.missing(name, "—", "This MLX does not tell it: a newer one does.")
    if knob == "wired" and backend.name() != "Metal":
        return section.ok(name, "only Metal has one")
    half = before // 2 if before else 16 * MIB
    watch.set(knob, half, "doctor")
    seen = watch.read_limits().get(knob)
    watch.set(knob, before, "doctor")
    back = watch.read_limits().get(knob)
    value = f"{format_size(before)}, set to {format_size(half)} and back"
    if (seen, back) == (half, before):
        return section.ok(name, value)
    return section.wrong(name, f"{value}: it answered {format_size(seen)} and {format_size(back)}")


def _footprint(section: Section, mx: Any) -> Iterator[Finding]:
    """Gives cached buffers back, and watches what the system charges follow."""
    name, read = footprint.KIND, footprint.reader()
    if read() is None:
        yield section.missing(name, "—", "The system does not tell what it charges a process.")
        return
    hooks.apply({"cache": UNLIMITED})
    array = _made(mx, LARGE)
    del array
    gc.collect()
    before = read() or 0
    mx.clear_cache()
    began = time.monotonic()
    patience = 0.0 if backend.name() == "CUDA" else TRAILS
    while (now := read() or 0) > before - LARGE * 9 // 10 and time.monotonic() - began < patience:
        time.sleep(0.005)
    trailed = time.monotonic() - began
    value = f"{format_size(before)}, after a clear of {format_size(LARGE)} {format_size(now)}"
    if now <= before - LARGE * 9 // 10:
        yield section.ok(name, f"{value}, {trailed * 1000:.0f} ms later")
    elif backend.name() == "CUDA":
        yield section.ok(name, f"{value}: a GPU's own memory is not in it")
    else:
        yield section.wrong(name, f"{value}, still after {trailed:.0f} s")
