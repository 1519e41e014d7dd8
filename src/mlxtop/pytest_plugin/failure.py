"""Why a test failed for its memory: how much, which step, and who holds it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mlxtop.cli import census_text
from mlxtop.core.census import Census, Holding
from mlxtop.core.census_diff import Change, diff
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size
from mlxtop.mlx.hooks import place_text
from mlxtop.pytest_plugin.marks import LeakLimit, PeakLimit
from mlxtop.pytest_plugin.measurement import Measurement, Stack

_Line = TypeVar("_Line", Holding, Change)
LINES = 8
"""So many holders are named."""
FIXTURE = re.compile(
    r"^(?:testargs|\w+\.funcargs)\.(\w+)(.*?)(?: in python\.py:\d+ pytest_pyfunc_call\(\))?$"
)
"""What pytest hands to a test, as a census sees it."""


def over_peak(limit: PeakLimit, measured: Measurement, test: Path | None = None) -> str:
    """A peak that is too high. `test` is the file of the test, whose line is told beside the step's."""
    high = format_size(measured.peak_absolute if limit.absolute else measured.peak)
    rose = "had a peak of" if limit.absolute else "rose"
    over = "" if limit.absolute else " over its start"
    lines = [
        f"MLX's active memory {rose} {high}{over}: {limit.source}.",
        f"Start {format_size(measured.start)}, peak {format_size(measured.peak_absolute)}, end "
        f"{format_size(measured.start + measured.growth)}, cache {format_size(measured.cache)}.",
        _step(measured, test),
    ]
    found = measured.window.census
    held = [one for one in found.holdings if one.computed] if found is not None else []
    if found is not None and held:
        lines += ["", f"Alive {_when(measured)}, {format_size(found.active)} in all:"]
        lines += [*census_text.holdings(_named(held)), *_more(len(held) - LINES)]
    return "\n".join(lines)


def _when(measured: Measurement) -> str:
    window = measured.window
    if window.counted == window.peak:
        return "right after it" if measured.peak else "then"
    return f"right after a step with a peak of {format_size(window.counted)}"


def leak(limit: LeakLimit, growth: int, censuses: Sequence[Census]) -> str:
    """Memory that each run of the body leaves behind. The censuses are from before and after one of them."""
    lines = [f"MLX's active memory grew by {format_size(growth)} in each run of the test: {limit.source}."]
    changes = diff(*censuses).changes if len(censuses) == 2 else ()
    if changes:
        lines += ["", "What one run left behind:"]
        lines += [*census_text.change_rows(_named(changes)), *_more(len(changes) - LINES)]
    return "\n".join(lines)


def _named(found: Sequence[_Line]) -> list[_Line]:
    return [one._replace(holder=FIXTURE.sub(r"fixture \1\2", one.holder)) for one in found[:LINES]]


def _more(count: int) -> list[str]:
    return [f"and {count} more"] if count > 0 else []


def _step(measured: Measurement, test: Path | None) -> str:
    window = measured.window
    if window.in_eval and window.where:
        return f"The step that made the peak is mx.eval {_where(window.where, test)}."
    if not measured.peak:
        return "All of it was active when the test began."
    other = "No mx.eval made the peak, but what computes or makes arrays without it (item(), print, mx.array)"
    return f"{other}, after mx.eval {_where((window.after,), test)}." if window.after else f"{other}."


def _where(stack: Stack, test: Path | None) -> str:
    where = f"at {place_text(stack[0])}"
    mine = [place for place in stack if test is not None and Path(place[0]) == test][-1:] or [stack[0]]
    return one_line(where if mine[0] == stack[0] else f"{where}, called at {place_text(mine[0])}")
