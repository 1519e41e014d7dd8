"""What the marks of a test ask for."""

from typing import Any

import pytest

from mlxtop.core.errors import UsageError
from mlxtop.core.record import Record
from mlxtop.core.units import DEFAULT, format_size, parse_size
from mlxtop.pytest_plugin import FIXTURE, LEAKS, PEAK

WARMUP_MOST = 1_000


class PeakLimit(Record):
    """At most `size` bytes over the start, or at all if `absolute`. `source` says so in a sentence."""

    size: int
    absolute: bool
    source: str

    def highest(self, start: int) -> int:
        """The most that may be active, in bytes, where `start` bytes were at the start."""
        return self.size + (0 if self.absolute else start)


class LeakLimit(Record):
    """At most `size` bytes more after each run of the body than before it, once it ran `warmup` times."""

    size: int
    warmup: int
    source: str


class Marks(Record):
    """The limits of a test. `named` is the mark or the fixture that asks; empty for a test that does not."""

    named: str = ""
    peak: PeakLimit | None = None
    leaks: LeakLimit | None = None


def read(item: pytest.Item) -> Marks:
    """The marks closest to a test. Raises `UsageError` for one that cannot be understood."""
    peak, leaks = item.get_closest_marker(PEAK), item.get_closest_marker(LEAKS)
    fixture = FIXTURE if FIXTURE in getattr(item, "fixturenames", ()) else ""
    return Marks(
        PEAK if peak else LEAKS if leaks else fixture,
        peak and _read(peak, _peak),
        leaks and _read(leaks, _leaks),
    )


def read_size(value: object, name: str) -> int:
    """A number of bytes, or a text like `1.5GiB`. Raises `UsageError`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if not isinstance(value, str):
        raise UsageError(f"{name}: {value!r} is not a size: write '1.5GiB', '500MB' or a number of bytes.")
    try:
        size = parse_size(value)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    if size == DEFAULT:
        raise UsageError(f"{name}: 'default' is not a size here: write '1.5GiB' or '500MB'.")
    return int(size)


def _read(mark: pytest.Mark, read: Any) -> Any:
    try:
        return read(*mark.args, **mark.kwargs)
    except TypeError as error:
        usage = "limit, absolute=False" if mark.name == PEAK else "limit, warmup=1"
        raise UsageError(f"{mark.name} takes ({usage}): it was given {_given(mark)}.") from error


def _given(mark: pytest.Mark) -> str:
    values = [*map(repr, mark.args), *(f"{name}={value!r}" for name, value in mark.kwargs.items())]
    return f"({', '.join(values)})"


def _peak(limit: str | int, absolute: bool = False) -> PeakLimit:
    size = read_size(limit, PEAK)
    return PeakLimit(size, bool(absolute), f"{PEAK} allows {format_size(size)}")


def _leaks(limit: str | int, warmup: int = 1) -> LeakLimit:
    size = read_size(limit, LEAKS)
    if type(warmup) is not int or not 0 <= warmup <= WARMUP_MOST:
        raise UsageError(
            f"{LEAKS}: warmup is a number of runs from 0 to {WARMUP_MOST:,}, and not {warmup!r}."
        )
    return LeakLimit(size, warmup, f"{LEAKS} allows {format_size(size)}")
