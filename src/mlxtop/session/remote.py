"""The session of a program that mlxtop did not write: what its agent tells, and what it is asked for."""

import time
from collections.abc import Callable
from typing import Any

from mlxtop.agent import wire
from mlxtop.core.event import Event, Kind
from mlxtop.core.history import History
from mlxtop.core.limits import KNOBS, Knob
from mlxtop.core.playhead import Playhead
from mlxtop.core.sample import Sample
from mlxtop.core.state import State
from mlxtop.core.timeline import Timeline
from mlxtop.core.transcript import Transcript
from mlxtop.core.units import DEFAULT, Size
from mlxtop.session.protocol import Wish

COST_WINDOW = 5.0
SHORT = 200
"""Letters of a command that are kept."""


class RemoteSession:
    """A member of a fleet: fed with an agent's messages by `take`, its wishes leave by `send`.

    See `session.protocol.Member` for what a screen sees. Raises `ValueError` for a `hello` that is none.
    """

    steps_are = "evals"
    playhead: Playhead | None = None

    def __init__(
        self,
        hello: dict[str, Any],
        send: Callable[[bytes], None],
        transcript: Transcript | None = None,
        say: Callable[[str], None] | None = None,
        own_memory: int | None = None,
        controls: bool = True,
    ) -> None:
        self.pid = int(_number(hello["pid"], 0))
        self.rank: int | None = hello["rank"] if isinstance(hello["rank"], int) else None
        self.started = _number(hello["started"], 0)
        self.interval = max(0.001, _number(hello["interval"], 0))
        self.command = [str(word) for word in hello["argv"]]
        self.title = command(self.command)
        self.label = f"rank {self.rank}" if self.rank is not None else str(self.pid)
        self.watched: int | None = _count(hello["watched"], None)
        """The process that watched it before us."""
        self.log: str | None = hello["log"] if isinstance(hello["log"], str) else None
        self.footprint_kind = str(hello["footprint"])
        self.history = History(self.interval)
        self.timeline = Timeline()
        self.transcript = transcript or Transcript()
        self.state = State()
        self.phases = ["run"]
        self.own_memory = own_memory
        self.ended: str | None = None
        self.controls = controls
        """Whether wishes reach the program; one viewer at a time has them."""
        self._lent = not controls
        """Whether control is taken for as long as the session is open in full, and then given back."""
        self.bye = False
        """Whether the program came to its end in order."""
        self.agent_cost: float | None = None
        self._cost_then = (0.0, 0.0)
        self.sink: Callable[[Event | Sample], None] | None = None
        """Told of every event and sample, on the fleet's thread."""
        self.found: dict[Knob, int] = {}
        """The limits as they were when we came."""
        self.offers: frozenset[Wish] = frozenset(("collect", "census", "limits", *(("say",) if say else ())))
        self._say = say
        self._send = send
        self._origin = time.monotonic() - _number(hello["now"], 0)
        self._ended_at = 0.0

    # What comes in

    def take(self, message: dict[str, Any]) -> None:
        """One message of the agent's. Raises `ValueError`, `KeyError` or `TypeError` when it is none."""
        match message["type"]:
            case "samples":
                self._cost(_number(message["cpu"], 0))
                for row in message["rows"]:
                    self._sample(*row)
            case "event":
                kind, data = Kind(message["kind"]), message["data"]
                self._happened(Event(_number(message["time"], 0), kind, _checked(kind, data)))
            case "facts":
                # What was set since is told after it, though it happened before this comes here.
                at = _number(message.get("time", self.now()), 0)
                self._learn(at, message["facts"], message["limits"])
            case "phases":
                names = message["names"]
                if not isinstance(names, list) or len(names) < len(self.phases):
                    raise ValueError("phases are only added")
                self.phases = [str(name) for name in names]
            case "bye":
                self.bye = True

    def _sample(self, at: float, *row: int) -> None:
        at = _number(at, 0)
        if not all(type(value) is int and -1 <= value < 2**62 for value in row):
            raise ValueError("a sample is made of whole numbers")
        active, cache, peak, footprint, tokens, steps, decode, phase, weights, kv = row
        if not 0 <= phase < len(self.phases):
            raise ValueError("a phase that has no name")
        latest = self.history.latest
        if latest is not None and at < latest.time:
            raise ValueError("time goes backwards")
        total = active + cache
        sample = Sample(
            float(at), active, cache, peak, total, footprint, tokens, steps, decode, phase, weights, kv
        )
        self.history.add(sample)
        if self.sink:
            self.sink(sample)
        if latest is None:
            self._mark_begin(sample)
        self.state.run_peak = max(self.state.run_peak, peak)

    def _cost(self, cpu: float) -> None:
        """Seconds the agent's thread has used so far → its share of a core over the last while."""
        now, (then, cpu_then) = self.now(), self._cost_then
        if now - then >= COST_WINDOW:
            self.agent_cost = (cpu - cpu_then) / (now - then) if then else None
            self._cost_then = now, cpu

    def _mark_begin(self, first: Sample) -> None:
        """Deltas are measured from the first thing known of the program until somebody sets a mark."""
        read = {"active": first.active, "cache": first.cache, "peak": first.peak, "tokens": first.tokens}
        data = {"name": "start", "who": "mlxtop", **read}
        event = Event(first.time, Kind.MARK, data)
        self.state.apply(event)
        # Marks of before we came are told before the first sample is: the start is the earliest all the same.
        *others, start = self.state.marks
        self.state.marks = [start, *others]
        self.timeline.insert(event)
        if self.sink:
            self.sink(event)

    def _happened(self, event: Event) -> None:
        # What cannot be told in words lacks something: it must not reach a screen.
        event.describe()
        self.state.apply(event)
        self.timeline.add(event)
        if self.sink:
            self.sink(event)

    def _learn(self, at: float, facts: dict[str, Any], limits: dict[str, Any]) -> None:
        if not isinstance(facts, dict) or not isinstance(limits, dict):
            raise ValueError("facts and limits have names")
        self._happened(Event(at, Kind.FACTS, facts))
        for knob in KNOBS:
            if knob in limits:
                value, who, default = limits[knob]
                if not isinstance(who, str):
                    raise ValueError("a limit is set by somebody")
                value, default = _count(value, None), _count(default, None)
                if value is None:
                    continue
                self.found.setdefault(knob, value)
                found = {"knob": knob, "old": value, "new": value, "who": who, "found": True}
                self._happened(Event(at, Kind.LIMIT, found))
                self.state.limits[knob] = self.state.limits[knob]._replace(default=default)

    def end(self, how: str) -> None:
        """The program is gone, or out of reach: the picture stands still from here on."""
        self._ended_at = self.now()
        self.ended = how
        self._happened(Event(self._ended_at, Kind.PHASE, {"phase": "ended"}))
        self._happened(Event(self._ended_at, Kind.ERROR, {"message": how, "phase": "ended"}))

    def refuse(self, why: str) -> None:
        """Somebody else controls the program."""
        self.controls = False
        self._happened(Event(self.now(), Kind.ERROR, {"message": why, "phase": "limit"}))

    def control(self, on: bool) -> None:
        """Takes control of a program that was only looked at, or gives it back."""
        if self._lent and on != self.controls:
            self.controls = on
            self._send(wire.hello("watch" if on else "look"))

    def now(self) -> float:
        return self._ended_at if self.ended is not None else time.monotonic() - self._origin

    # Wishes

    def set_limit(self, knob: Knob, size: Size, who: str) -> None:
        limit = self.state.limits[knob]
        value = limit.default if size == DEFAULT else int(size)
        if value is None or self.ended is not None or not self.controls:
            return
        self.state.limits[knob] = limit.asked(value)
        self._send(wire.line("limit", knob=knob, bytes=value, who=who))

    def altered(self) -> dict[Knob, int]:
        """The limits that differ from those found, by our doing: what each was."""
        now = self.state.limits
        return {
            knob: value
            for knob, value in self.found.items()
            if now[knob].who in ("keyboard", "flag", "budget") and now[knob].wanted != value
        }

    def put_back(self) -> None:
        """Sets the limits that were altered here to what they were."""
        for knob, value in self.altered().items():
            self.set_limit(knob, value, "mlxtop")

    def clear_cache(self, who: str) -> None:
        self._send(wire.line("clear", who=who))

    def reset_peak(self, who: str) -> None:
        self._send(wire.line("reset", who=who))

    def mark(self, name: str, who: str) -> None:
        self._send(wire.line("mark", name=name, who=who))

    def collect(self) -> None:
        self._send(wire.line("collect", who="keyboard"))

    def census(self) -> None:
        self._send(wire.line("census"))

    def set_interval(self, seconds: float) -> None:
        """Has the agent sample every so many seconds."""
        self.interval = seconds
        self._send(wire.line("interval", seconds=seconds))

    def happen(self, kind: Kind, **data: Any) -> None:
        self._happened(Event(self.now(), kind, data))

    def warn(self, message: str | None) -> None:
        self.state.warning = message

    def say(self, text: str) -> None:
        if self._say is not None:
            self._say(text)

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def forget(self) -> None: ...


MAY_BE_UNKNOWN = {"new", "old", "asked", "freed"}
COUNTS = MAY_BE_UNKNOWN | {
    "peak", "objects", "active", "cache", "tokens", "count", "done", "total", "ticks", "prompt_tokens",
}  # fmt: skip
SPANS = {"ttft", "tps", "prompt_tps"}
TEXTS = {"knob", "who", "name", "message", "phase", "reason"}


def _number(value: Any, least: float) -> float:
    """A number of seconds or the like. Raises `ValueError` for what is none."""
    if type(value) not in (int, float) or not least <= value <= 1e12:
        raise ValueError(f"{str(value)[:20]} is no number that can be")
    return float(value)


def _count(value: Any, unknown: Any = 0) -> Any:
    """A size or a count as it is, `None` only where `unknown` is. Raises `ValueError` for anything else."""
    if (value is None and unknown is None) or (type(value) is int and -(2**63) <= value < 2**63):
        return value
    raise ValueError(f"{str(value)[:20]} is no size")


def _checked(kind: Kind, data: Any) -> dict[str, Any]:
    """The data of an event, each of its fields what it must be. Raises `ValueError`."""
    if not isinstance(data, dict):
        raise ValueError("an event has named data")
    for name, value in data.items():
        # A census looks at its own.
        if name in COUNTS and kind is not Kind.CENSUS:
            _count(value, None if name in MAY_BE_UNKNOWN else 0)
        elif name in SPANS:
            _number(value, 0)
        elif name in TEXTS and not isinstance(value, str):
            raise ValueError(f"{name} must be text")
    return data


def command(argv: Any) -> str:
    """A command line in few words on one line: the interpreter of a file, and paths, say nothing."""
    words = [str(word) for word in argv] if isinstance(argv, list) else []
    while len(words) > 1 and _is_python(words[0]):
        words = words[1:]
        while len(words) > 1 and words[0].startswith("-") and words[0] not in ("-m", "-c"):
            # These two take a word after them.
            words = words[2 if words[0] in ("-X", "-W") and len(words) > 2 else 1 :]
        if words[0] == "-c":
            return " ".join(["python", "-c", *" ".join(words[1:]).split()])[:SHORT]
        if words[0] == "-m" and len(words) > 1:
            words = words[1:]
        break
    if words and "/bin/" in words[0]:
        words[0] = words[0].rpartition("/")[2]
    return " ".join(" ".join(words).split())[:SHORT] or "a program"


def _is_python(word: str) -> bool:
    return word.rpartition("/")[2].startswith(("python", "Python"))
