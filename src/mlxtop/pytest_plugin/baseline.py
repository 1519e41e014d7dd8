"""The file in which a project keeps what its tests need: small, sorted, and made for version control."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlxtop.core import files
from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import difference, parse_json, size
from mlxtop.core.record import Record
from mlxtop.core.text import one_line, shortened
from mlxtop.core.units import format_size
from mlxtop.mlx import backend
from mlxtop.pytest_plugin.figures import Figures
from mlxtop.pytest_plugin.marks import LeakLimit, PeakLimit

HEAD, VERSION = "mlxtop_baseline", 1
PEAK_SLACK, GROWTH_SLACK = 2**20, 2**16
"""Bytes: a difference up to this is none, whatever share it is. How many temporary arrays are alive at once
depends on how far MLX's threads are; what a run leaves behind does not."""
WORKER_INPUT = "mlx_baseline"


class Entry(Record):
    """What one test needs on one device. Bytes."""

    peak: int
    """Over its start."""
    growth: int | None = None
    """Of each run after a warm-up; `None` for a test that has none."""


Results = dict[str, Figures]
"""By test."""
Entries = dict[str, dict[str, Entry]]
"""By device, and then by test."""


@cache
def device() -> str:
    """What figures are comparable on: the device and MLX's minor version."""
    mx, name = backend.load(), backend.name()
    version = ".".join(mx.__version__.split(".")[:2])
    if name == "CPU":
        # Which processor it is changes nothing; the libraries and the page size of the system do.
        return f"CPU of {os.uname().sysname} {os.uname().machine}, mlx {version}"
    info = backend.device_info()
    return one_line(f"{info.get('device_name') or info.get('architecture') or name}, mlx {version}")


class Baseline:
    """What `--mlx-baseline` compares with. `share` is the tolerance, 0.05 for 5 %."""

    def __init__(self, path: Path, entries: Entries, share: float, update: bool) -> None:
        self.path, self.entries, self.share, self.update = path, entries, share, update

    @classmethod
    def of(cls, config: pytest.Config) -> "Baseline | None":
        """The one that was asked for; a worker of xdist has it from its controller. Raises `UsageError`."""
        name, update = config.option.mlx_baseline, config.option.mlx_baseline_update
        if not name:
            if update:
                raise UsageError("--mlx-baseline-update needs --mlx-baseline FILE.")
            return None
        share = read_tolerance(config.option.mlx_tolerance)
        path = config.invocation_params.dir / name
        given = getattr(config, "workerinput", {}).get(WORKER_INPUT)
        if given is not None:
            return cls(path, _parse(given, name), share, update)
        if not path.exists():
            if not update:
                raise UsageError(f"{name} is not there: make it with --mlx-baseline-update.")
            return cls(path, {}, share, update)
        try:
            return cls(path, _parse(path.read_text("utf-8"), name), share, update)
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}.") from error

    def limits(self, test: str, on: str) -> tuple[PeakLimit, LeakLimit | None] | None:
        """The most for a test's peak and for the growth of each run; `None` where nothing is compared."""
        known = self.entries.get(on, {}).get(test)
        if known is None or self.update:
            return None
        peak = PeakLimit(
            known.peak + self._room(known.peak, PEAK_SLACK), False, self._source(known.peak, PEAK_SLACK)
        )
        if known.growth is None:
            return peak, None
        most = known.growth + self._room(known.growth, GROWTH_SLACK)
        return peak, LeakLimit(most, 0, self._source(known.growth, GROWTH_SLACK))

    def _source(self, known: int, slack: int) -> str:
        more = f"{100 * self.share:g} %" if self._room(known, slack) > slack else format_size(slack)
        return f"{self.path.name} has {format_size(known)}, and {more} more is allowed"

    def _room(self, known: int, slack: int) -> int:
        return max(int(self.share * abs(known)), slack)

    def missing(self, results: Results) -> list[str]:
        """The tests that were measured and have no entry for their device."""
        return [test for test, found in results.items() if test not in self.entries.get(found.device, {})]

    def better(self, results: Results) -> dict[str, tuple[int, int]]:
        """The peaks of tests that need clearly less than is written there: before and now, in bytes."""
        found = {}
        for test, now in results.items():
            known = self.entries.get(now.device, {}).get(test)
            if known is not None and now.peak < known.peak - self._room(known.peak, PEAK_SLACK):
                found[test] = known.peak, now.peak
        return found

    def renew(self, results: Results) -> list[str]:
        """Takes in what is missing and what is beyond the tolerance. Returns the tests that changed."""
        changed = []
        for test, now in results.items():
            there = self.entries.setdefault(now.device, {})
            new = Entry(now.peak, now.growth if now.repeated else None)
            if (known := there.get(test)) is None or not self._alike(known, new):
                there[test] = new
                changed.append(test)
        return changed

    def _alike(self, known: Entry, new: Entry) -> bool:
        if (known.growth is None) != (new.growth is None):
            return False
        peak = abs(new.peak - known.peak) <= self._room(known.peak, PEAK_SLACK)
        before = known.growth or 0
        return peak and abs((new.growth or 0) - before) <= self._room(before, GROWTH_SLACK)

    def write(self) -> None:
        """Writes the file. Raises `OutputError`."""
        files.put(self.path, self.to_json())

    def to_json(self) -> str:
        """One line for each test, so that a change of one is a change of one line."""
        devices = [_block(on, there) for on, there in sorted(self.entries.items())]
        return ",\n ".join([f'{{"{HEAD}": {VERSION}', *devices]) + "\n}\n"


def read_tolerance(words: str) -> float:
    """`5%` or `5`: the share 0.05. Raises `UsageError`."""
    try:
        share = float(words.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 100:
        raise UsageError(f"--mlx-tolerance: {shortened(words)!r} is not a percentage: write 5%.")
    return share


def _block(on: str, there: dict[str, Entry]) -> str:
    lines = [f"  {_quoted(test)}: {_line(there[test])}" for test in sorted(there)]
    return f"{_quoted(on)}: {{\n" + ",\n".join(lines) + "\n }"


def _line(entry: Entry) -> str:
    return json.dumps({name: value for name, value in entry.fields().items() if value is not None})


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _parse(text: str, name: str) -> Entries:
    try:
        data = parse_json(text)
        if not isinstance(data, dict) or data.pop(HEAD, None) != VERSION:
            raise ValueError(f"it has no {HEAD} of {VERSION}")
        return {on: {test: _entry(one) for test, one in there.items()} for on, there in data.items()}
    except (AttributeError, ValueError) as error:
        raise UsageError(f"{name} is no baseline of --mlx-baseline-update: {error}.") from error


def _entry(data: Any) -> Entry:
    return Entry(size(data.get("peak")), difference(data.get("growth")))
