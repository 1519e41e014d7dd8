"""What the screen shows at one moment, gathered once and handed to every panel."""

from dataclasses import dataclass

from mlxtop.core.event import Event, Kind
from mlxtop.core.history import UNKNOWN, Columns, Sample, speed
from mlxtop.core.state import Mark, State
from mlxtop.core.units import Units, format_delta, format_size
from mlxtop.session.protocol import Session
from mlxtop.tui.timeaxis import TimeAxis

DRAWN = ("active", "cache", "peak")
SPEED_WINDOW = 2.0
EFFECT_WINDOW = 10.0


@dataclass(frozen=True, slots=True)
class View:
    """What a person chose: units, the mark to measure from, the time shown, whether the view stands still."""

    units: Units = "binary"
    mark: str | None = None
    """Name of the chosen mark; `None` follows the latest."""
    axis: TimeAxis = TimeAxis()
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """What mlxtop costs: share of one core (1.0 = all of it) and bytes."""

    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a session as a person chose to see it."""

    session: Session
    state: State
    view: View
    own: Own
    now: float
    sample: Sample | None
    columns: Columns
    speed: float | None
    """Tokens per second while decoding, over the last two seconds."""

    def size(self, value: int | None) -> str:
        return format_size(None if value == UNKNOWN else value, self.view.units)

    def delta(self, value: int | None) -> str:
        return format_delta(value, self.view.units)

    @property
    def mark(self) -> Mark | None:
        """The mark that deltas are measured from."""
        marks = self.state.marks
        named = [mark for mark in marks if mark.name == self.view.mark]
        return named[-1] if named else marks[-1] if marks else None


def gather(session: Session, view: View, own: Own, columns: int, now: float) -> Frame:
    """Takes a frame of `session` at `now` with `columns` columns of history. Costs about a millisecond."""
    axis = view.axis
    cut = session.history.columns(axis.start(columns, now), axis.width, columns, DRAWN)
    sample = session.history.latest if not view.paused else session.history.at(now)
    recent = session.history.at(now - SPEED_WINDOW)
    return Frame(session, session.state, view, own, now, sample, cut, speed(recent, sample))


@dataclass(frozen=True, slots=True)
class Effect:
    """What a limit change did: tokens per second before and after it, as far as they were measured."""

    event: Event
    before: float | None
    after: float | None


def effect(frame: Frame) -> Effect | None:
    """The effect of the last limit change that was no default."""
    event = frame.session.timeline.latest(Kind.LIMIT)
    if event is None or event.data["who"] == "MLX's default":
        return None
    history = frame.session.history
    at = history.at(event.time)
    before = speed(history.at(event.time - EFFECT_WINDOW) or history.first, at)
    after = speed(at, frame.sample)
    return Effect(event, before, after)
