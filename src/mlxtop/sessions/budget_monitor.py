"""Compares sessions with their budgets: records alarms, and runs actions when a budget is reached."""

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from mlxtop.core.budget import (
    Action,
    Budget,
    BudgetSpec,
    BudgetUsage,
    RunCommand,
    StopProgram,
    level,
    reach,
    resolve,
)
from mlxtop.core.commands import RecordEvent
from mlxtop.core.errors import UsageError, fatal
from mlxtop.core.events import BudgetChanged, BudgetRead, ErrorRaised, Event, SystemPolled, SystemRead
from mlxtop.core.machine import System
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import Size
from mlxtop.sessions.session import Session
from mlxtop.system import machine, self_usage

LOOK_EVERY = 0.25
SYSTEM_EVERY = 2.0
TELL_EVERY = 10.0
"""Seconds between two recorded readings of the machine. A change of pressure or heat is recorded at once."""
WINDOW = 180.0
"""Seconds of usage from which the slope is computed."""
POINTS = 45
"""Number of usage points in a window: the slope of so many takes 0.1 ms."""
LEAST_SPAN = 10.0
"""Seconds of usage that a slope needs."""
COSTLY_EVERY, COSTLY_SHARE = 5.0, 3000
"""A costly reading is taken at most every so many seconds, and at most every so many times its duration."""
Stop = Callable[[Session], None]


class BudgetMonitor(threading.Thread):
    """Checks `sessions()` four times a second.

    `ask` is the first budget of every session. `actions` run once each time a budget is reached (100 %).
    `stop(session)` stops a session's program; it must not wait.
    """

    def __init__(
        self,
        sessions: Callable[[], Iterable[Session]],
        spec: BudgetSpec | None = None,
        actions: Sequence[Action] = (),
        stop: Stop | None = None,
    ) -> None:
        super().__init__(name="mlxtop-budget", daemon=True)
        self._sessions = sessions
        self._spec = spec
        self._actions = tuple(actions)
        self._stop_program = stop
        self._watches: dict[Session, _WatchedSession] = {}
        self._running: list[tuple[Session, subprocess.Popen[bytes]]] = []
        self._over = threading.Event()
        self._failure: str | None = None

    @self_usage.counted()
    def run(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            try:
                self.check()
            except Exception as error:
                self._report_failure(error)

    def _report_failure(self, error: Exception) -> None:
        """Records in each session, once, that its budget is not watched."""
        why, self._failure = self._failure, str(fatal("Watching the budget", error))
        if why is None:
            with suppress(Exception):
                for session in self._sessions():
                    session.submit(RecordEvent(ErrorRaised(self._failure, "budget")))

    def stop(self) -> None:
        """Ends the thread. Commands that were started keep running."""
        self._over.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(1.0)

    def check(self) -> None:
        """Checks every session once."""
        sessions = list(self._sessions())
        # Whoever is no member any more is forgotten.
        self._watches = {
            session: self._watches.get(session) or _WatchedSession(session, self._spec)
            for session in sessions
        }
        for session, watch in self._watches.items():
            if getattr(session, "ended", None) is None and watch.check(len(sessions) > 1):
                for action in self._actions:
                    self._act(session, action)
        for session, process in tuple(self._running):
            if process.poll() is not None:
                self._running.remove((session, process))
                if process.returncode:
                    session.transcript.write(
                        "log", f"--on-budget: {process.args!r} ended with exit code {process.returncode}"
                    )

    def _act(self, session: Session, action: Action) -> None:
        match action:
            case StopProgram():
                if self._stop_program is not None:
                    self._stop_program(session)
            case RunCommand(command):
                self._execute(session, command)
            case _:
                session.submit(action)

    def _execute(self, session: Session, command: str) -> None:
        """Starts a shell command. Its output goes to standard error: standard output may be JSON."""
        try:
            process = subprocess.Popen(
                command,
                shell=True,
                env={**os.environ, **environment(session)},
                stdin=subprocess.DEVNULL,
                stdout=2,
                stderr=2,
                start_new_session=True,
            )
        except OSError as error:
            session.transcript.write("log", f"--on-budget: could not run {command!r}: {error.strerror}")
            return
        self._running.append((session, process))


class _WatchedSession:
    """One session and its budget."""

    def __init__(self, session: Session, spec: BudgetSpec | None) -> None:
        self._session = session
        self._spec = spec
        self._budget: Budget | None = None
        self._points: deque[tuple[float, int]] = deque(maxlen=POINTS)
        self._level = 0
        self._read: Callable[[bool], System] | None = None
        self._found = False
        self._pss: int | None = None
        self._recorded, self._recorded_at = System(), 0.0
        self._due = self._costly_due = self._pss_at = 0.0

    def check(self, several: bool = False) -> bool:
        """Updates the session's usage. Returns whether its budget has just been reached."""
        state = self._session.state
        if not state.facts.known:
            return False
        self._look_at_system()
        if self._spec is not None:
            spec, self._spec = self._spec, None
            set_budget(self._session, spec, "flag")
        budget = state.budget
        if budget != self._budget:
            self._budget, self._level = budget, 0
            self._points.clear()
        used = usage(self._session)
        if budget is None or used is None:
            return False
        found = BudgetUsage(used, self._reach(budget, used))
        self._session.submit(RecordEvent(BudgetRead(found)))
        return self._compare(budget, used, several)

    def _look_at_system(self) -> None:
        now = time.monotonic()
        # A recording has its own machine and another time.
        if now < self._due or self._session.playhead is not None:
            return
        self._due = now + SYSTEM_EVERY
        if not self._found:
            self._found = True
            pid = self._session.process
            if pid is not None:
                self._read = machine.reader(pid, self._session.state.facts.unified)
        if self._read is None:
            return
        costly = now >= self._costly_due
        found = self._read(costly)
        if costly:
            self._costly_due = now + max(COSTLY_EVERY, COSTLY_SHARE * (time.monotonic() - now))
            self._pss, self._pss_at = found.pss, now
        found = found.replace(pss=self._pss, pss_age=now - self._pss_at)
        self._session.submit(RecordEvent(SystemPolled(found)))
        self._record_reading(found, now)

    def _record_reading(self, found: System, now: float) -> None:
        """Records the machine's numbers in the session: seldom, because there are many."""
        reading = found.replace(pss_age=0.0)
        turned = (reading.pressure, reading.thermal) != (self._recorded.pressure, self._recorded.thermal)
        if reading != self._recorded and (turned or now - self._recorded_at >= TELL_EVERY):
            self._recorded, self._recorded_at = reading, now
            self._session.submit(RecordEvent(SystemRead(reading)))

    def _reach(self, budget: Budget, used: int) -> float | None:
        now, points = self._session.now(), self._points
        if not points or now - points[-1][0] >= WINDOW / POINTS:
            points.append((now, used))
        if now - points[0][0] < LEAST_SPAN:
            return 0.0 if used >= budget.bytes else None
        return reach([*points, (now, used)], budget.bytes)

    def _compare(self, budget: Budget, used: int, several: bool) -> bool:
        was, self._level = self._level, level(budget.bytes, used, self._level)
        if self._level != was:
            changed = BudgetChanged(budget, self._level, was, used)
            self._session.submit(RecordEvent(changed))
            if self._level > was:
                # The transcript keeps it after the alarm, and when several programs share a screen.
                text = Event(0.0, changed).describe()
                label = f"{getattr(self._session, 'label', '')}: " if several else ""
                self._session.transcript.write("log", f"{label}{text}")
        return self._level == 100 > was


def usage(session: Session) -> int | None:
    """Bytes of what the session's budget is compared with; `None` if not known."""
    state, sample = session.state, session.history.latest
    against = state.budget.against if state.budget is not None else "footprint"
    if against == "device":
        return state.system.device_used if state.system is not None else None
    if against == "cgroup" and state.system is not None and state.system.cgroup_used is not None:
        return state.system.cgroup_used
    return None if sample is None or sample.footprint == UNKNOWN else sample.footprint


def set_budget(session: Session, spec: BudgetSpec, source: str) -> None:
    """Sets a session's budget. If `ask` cannot be resolved, records an error in the session."""
    try:
        budget = resolve(spec, session.state.facts, source)
    except UsageError as error:
        session.submit(RecordEvent(ErrorRaised(f"No budget: {error}", "budget")))
        return
    session.submit(RecordEvent(BudgetChanged(budget)))


def environment(session: Session) -> dict[str, str]:
    """The environment variables about the session for a command. Sizes are bytes."""
    state = session.state
    budget, budget_usage, sample = state.budget, state.budget_usage, session.history.latest
    found: dict[str, Size | str | None] = {
        "PID": session.process,
        "TITLE": session.title,
        "BUDGET": budget.bytes if budget else None,
        "AGAINST": budget.against if budget else None,
        "USED": budget_usage.used if budget_usage else None,
        "ACTIVE": sample.active if sample else None,
        "CACHE": sample.cache if sample else None,
        "PEAK": sample.peak if sample else None,
    }
    return {
        f"MLXTOP_{name}": str(value).replace("\0", "") for name, value in found.items() if value is not None
    }
