"""Measures cells by running a command with an agent that sets the cache limit before anything else."""

import re
import shlex
import threading
import time
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlxtop.core.commands import SetInterval
from mlxtop.core.errors import MlxtopError
from mlxtop.core.events import CacheCleared, Event
from mlxtop.core.facts import Facts
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.text import one_line
from mlxtop.core.units import DEFAULT
from mlxtop.sessions.program import Program
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.run_fleet import RunFleet
from mlxtop.sweep.executor import CellFailedError, Highest, Measured, Stopped
from mlxtop.sweep.plan import Cell, Plan
from mlxtop.sweep.target import CommandTarget
from mlxtop.system.cpu_load import Load

INTERVAL = 0.05
"""Seconds between the agent's samples."""
OUTPUT_MOST = 2**24
"""The most bytes at the end of a program's output that are searched."""


class CommandExecutor:
    """Runs the command once for each cell. Its output is not shown; the metric is read from it."""

    def __init__(self, plan: Plan, target: CommandTarget) -> None:
        self._plan, self._argv = plan, target.argv
        self._pattern = re.compile(target.pattern) if target.pattern else None
        self._folder = TemporaryDirectory(prefix="mlxtop-sweep-")
        self._program: Program | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self.facts = Facts()

    def open(self) -> None:
        """Does nothing: there is nothing to prepare."""

    def shape(self, cell: Cell) -> Any:
        return None

    def measure(self, cell: Cell) -> Measured:
        log = Path(self._folder.name, "output")
        log.unlink(missing_ok=True)
        highest: dict[RemoteSession, Highest] = {}

        def joined(session: RemoteSession) -> None:
            session.subscribe(_Listener(highest.setdefault(session, Highest())))
            session.submit(SetInterval(INTERVAL))

        load, began = Load(), time.monotonic()
        with self._lock:
            if self._stopping:
                raise Stopped
            (limit,) = self._plan.arms[cell.arm]
            limits: dict[Any, int] = {} if limit == DEFAULT else {"cache": int(limit)}
            program = Program(self._argv, screen=False, log=log, limits=limits, spoken_to=False)
            self._program = program
        fleet = RunFleet(program, joined)
        fleet.start()
        program.wait()
        seconds = time.monotonic() - began
        busy = load.others()
        fleet.settle()
        if self._stopping:
            raise Stopped
        output = _tail(log)
        if program.code != 0:
            raise CellFailedError(_failed(program, output))
        if fleet.members():
            self._learn(fleet.members()[0])
        elif not self.facts.known:
            raise MlxtopError(f"{fleet.title} cannot be measured: {fleet.unseen()}.")
        values = {"seconds": seconds, **self._metric(output)}
        for session in fleet.members():
            for name, size in highest[session].sizes().items():
                values[name] = values.get(name, 0) + size
        return Measured(values, busy)

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            program = self._program
        if program is not None:
            threading.Thread(target=program.stop, name="mlxtop-stop", daemon=True).start()

    def close(self) -> None:
        if self._program is not None and self._program.code is None:
            self._program.stop()
        self._folder.cleanup()

    def _metric(self, output: str) -> dict[str, float]:
        if self._pattern is None:
            return {}
        found = None
        for match in self._pattern.finditer(output):
            found = match[1]
        if found is None:
            raise CellFailedError(f"The metric {self._pattern.pattern} matches nothing in the output.")
        try:
            value = float(found.replace(",", ""))
            if not isfinite(value):
                raise ValueError
            return {"value": value}
        except ValueError:
            raise CellFailedError(
                f"The metric {self._pattern.pattern} matches “{one_line(found)[:40]}”, which is not a number."
            ) from None

    def _learn(self, session: RemoteSession) -> None:
        if not self.facts.known and session.state.facts.known:
            default = session.state.limits["cache"].default
            self.facts = session.state.facts.replace(cache_limit=default)


class _Listener:
    """Collects the sizes of one process, on the fleet's thread."""

    def __init__(self, highest: Highest) -> None:
        self._highest = highest

    def __call__(self, item: Event | Sample) -> None:
        if isinstance(item, Sample):
            self._highest.see(item.active, item.cache, max(0, item.footprint))
            if item.peak != UNKNOWN:
                self._highest.see(item.peak, 0, 0)
        elif isinstance(item.data, CacheCleared) and item.data.freed:
            self._highest.see(0, item.data.freed, 0)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - OUTPUT_MOST))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _failed(program: Program, output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    last = f"; its last line is: {one_line(lines[-1])[:200]}" if lines else ""
    return f"{shlex.join(program.argv)[:80]} {program.how()}{last}"
