"""The sessions that are served, each with what is counted of it and its last diagnosis."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from mlxtop.analysis.diagnosis import diagnose
from mlxtop.core.budget import BudgetSpec
from mlxtop.serve.names import model, program, session_label
from mlxtop.serve.tally import Tally
from mlxtop.sessions.agent_client import AgentClient, all_addresses
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.remote import RemoteSession
from mlxtop.system import self_usage

FIRST = 1.0
"""Seconds until the first diagnosis, and before each round."""
LOOK_EVERY = 1.0
"""Seconds between two looks for new programs."""
DIAGNOSE_EVERY = 10.0
"""Seconds between two diagnoses of a session, at least."""
SHARE = 20
"""The pause after a diagnosis is at least so many times its duration."""


class Watched:
    """One session, and what is served of it beside its samples."""

    def __init__(self, session: RemoteSession) -> None:
        self.session = session
        self.tally = Tally(session)
        self.label = session_label(session)
        self.program = program(session)
        self.model = model(session.command)
        self.verdicts: frozenset[str] | None = None
        """Those that held at the last diagnosis; `None` before the first."""

    def diagnose(self) -> None:
        """Renews `verdicts`; they are not known where that fails."""
        self.verdicts = None
        with suppress(Exception):
            self.verdicts = self._find()

    def _find(self) -> frozenset[str]:
        session, budget = self.session, self.session.state.budget
        found = diagnose(
            session.history,
            session.timeline,
            session.state,
            session.phases,
            session.now(),
            session.steps_are,
            budget.bytes if budget is not None and budget.against == "footprint" else None,
        )
        return frozenset(found.kinds)


class Watch:
    """Watches all programs of this user. Agents are told to tell what is new every `every` seconds only.

    `budget` is that of every session.
    """

    def __init__(self, every: float, budget: BudgetSpec | None = None) -> None:
        self._watched: dict[RemoteSession, Watched] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._diagnoser = threading.Thread(target=self._diagnose_all, name="mlxtop-diagnosis", daemon=True)
        self._fleet = AgentClient(
            "MLX programs",
            all_addresses,
            role="observe",
            joined=self._join,
            look_every=LOOK_EVERY,
            every=every,
            keep_ended=False,
        )
        # It looks at the machine, too, which only a budget is worth.
        self._monitor = None if budget is None else BudgetMonitor(self._fleet.members, budget)

    def start(self) -> None:
        self._fleet.start()
        self._diagnoser.start()

    def stop(self) -> None:
        self._over.set()
        self._fleet.stop()

    @property
    def failure(self) -> str | None:
        """Why nothing is watched any more, in one sentence; `None` while all is well."""
        return None if self._fleet.is_alive() else self._fleet.problem or "Watching has ended."

    def sessions(self) -> Sequence[Watched]:
        """Those that run, in the order of the fleet."""
        watched = self._watched
        return [watched[session] for session in self._fleet.members() if session in watched]

    def _join(self, session: RemoteSession) -> None:
        self._keep({session: Watched(session)})

    def _keep(self, new: Mapping[RemoteSession, Watched]) -> None:
        """Forgets what has ended. Whoever reads meanwhile has the sessions of before."""
        with self._lock:
            running = {one: watched for one, watched in self._watched.items() if one.ended is None}
            self._watched = {**running, **new}

    @self_usage.counted()
    def _diagnose_all(self) -> None:
        """Diagnoses one session after the other, without end: a scrape waits for none."""
        while not self._over.wait(FIRST):
            began = time.monotonic()
            self._keep({})
            if self._monitor is not None:
                self._pause_after(self._monitor.check)
            for one in self.sessions():
                self._pause_after(one.diagnose)
            self._over.wait(max(0.0, began + DIAGNOSE_EVERY - time.monotonic()))

    def _pause_after(self, work: Callable[[], None]) -> None:
        if not self._over.is_set():
            began = time.monotonic()
            work()
            self._over.wait(SHARE * (time.monotonic() - began))
