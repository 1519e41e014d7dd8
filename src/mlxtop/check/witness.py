"""Asks a program once who holds its arrays: when a bound on them has been crossed, and not before."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlxtop.check import growth
from mlxtop.check.bounds import Bound
from mlxtop.check.observer import Observer
from mlxtop.core.census_text import label
from mlxtop.core.commands import TakeCensus
from mlxtop.core.events import CensusTaken, Event
from mlxtop.core.sample import Sample
from mlxtop.core.units import format_size

LASTS = 2.0
"""Seconds for which arrays must cross a bound: a census at its end would delay a program."""
LOOK_EVERY = growth.LEAST
"""Seconds between looks at the growth so far."""
NAMED = 3
"""Holders that are named."""
LITTLE = 0.05
"""Share of *active* that is not worth a name."""


@dataclass(slots=True)
class Witness:
    """Listens to the session of `observer`, after it."""

    bounds: Sequence[Bound]
    observer: Observer
    warm_up: float | None = None
    taken: Event[CensusTaken] | None = None
    _asked: bool = False
    _since: float | None = None
    """Since when what is active has crossed a bound; `None` while it does not."""
    _look_at: float = LOOK_EVERY

    def __call__(self, item: Event | Sample) -> None:
        if isinstance(item, Event):
            if self._asked and isinstance(item.data, CensusTaken) and self.taken is None:
                self.taken = Event(item.time, item.data)
        elif not self._asked and (self._lasts(item) or self._grows(item)):
            self._asked = True
            self.observer.session.submit(TakeCensus())

    def _lasts(self, now: Sample) -> bool:
        if not any(b.quantity in ("peak", "total") and now.active > b.allowed for b in self.bounds):
            self._since = None
            return False
        if self._since is None:
            self._since = now.time
        return now.time - self._since >= LASTS

    def _grows(self, now: Sample) -> bool:
        bound = next((bound for bound in self.bounds if bound.quantity == "growth"), None)
        if bound is None or now.time < self._look_at:
            return False
        self._look_at = now.time + LOOK_EVERY
        found, history = self.observer, self.observer.session.history
        return growth.measure(history, found.first, found.worked, bound.allowed, self.warm_up).exceeds

    def holders(self) -> tuple[str, ...]:
        """Who held most of *active*: foreign text. Empty where nobody was asked, or nobody answered."""
        if self.taken is None:
            return ()
        census = self.taken.data.census
        held = [h for h in census.holdings if h.computed and h.nbytes >= LITTLE * census.active]
        return tuple(f"{format_size(h.nbytes)} {label(h)}" for h in held[:NAMED])
