"""What a diagnosis says: verdicts with their numbers, and the one plain sentence of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlxtop.core.units import UNLIMITED, Units, format_delta, format_size, format_span

VerdictKind = Literal[
    "limit overridden",
    "active grows",
    "not MLX",
    "cache hoard",
    "thrash",
    "spikes",
    "steady",
    "not enough data",
]
ORDER: tuple[VerdictKind, ...] = (
    "limit overridden",  # a fact, and often the cause of the rest
    "active grows",  # these two end in a kill, and no limit stops them
    "not MLX",
    "cache hoard",
    "thrash",
    "spikes",
)
FAR = 30 * 86400.0
"""Seconds: a ceiling that is further away is not worth a word."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding. `since` is seconds since the session began; `numbers` are bytes and seconds, as named."""

    kind: VerdictKind
    since: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    """`…_per_minute` and `per_generation` are bytes, `span`, `age` and `until_…` seconds, the rest bytes
    or counts."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What is no number: the phase, the cause, who."""
    advice: str = ""
    """What to do next, in mlxtop's own keys and flags."""

    def line(self, units: Units = "binary") -> str:
        """One plain sentence with its numbers, about a hundred characters."""
        return _LINES[self.kind](_Words(self, units))

    def to_json(self, units: Units = "binary") -> dict[str, Any]:
        return {
            "kind": self.kind,
            "line": self.line(units),
            "since": round(self.since, 3),
            "numbers": {
                name: round(v) if abs(v) >= 1000 else round(v, 3) for name, v in self.numbers.items()
            },
            "words": dict(self.words),
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What there is to say at `time` (seconds since the session began): the most important first.

    Never empty; `steady` and `not enough data` stand alone.
    """

    time: float
    verdicts: tuple[Verdict, ...]

    def line(self, units: Units = "binary") -> str:
        """The most important verdict, for the status row."""
        return self.verdicts[0].line(units)

    @property
    def kinds(self) -> tuple[VerdictKind, ...]:
        return tuple(verdict.kind for verdict in self.verdicts)

    def to_json(self, units: Units = "binary") -> dict[str, Any]:
        return {"time": round(self.time, 3), "verdicts": [v.to_json(units) for v in self.verdicts]}


class _Words:
    """A verdict's numbers as a person reads them."""

    def __init__(self, verdict: Verdict, units: Units) -> None:
        self.numbers, self.words, self.units = verdict.numbers, verdict.words, units

    def has(self, name: str) -> bool:
        return name in self.numbers

    def size(self, name: str) -> str:
        value = self.numbers.get(name)
        return format_size(None if value is None else min(round(value), UNLIMITED), self.units)

    def more(self, name: str) -> str:
        return format_delta(round(self.numbers.get(name, 0)), self.units)

    def span(self, name: str) -> str:
        """A span of seconds in one or two words: nobody needs the seconds of an hour."""
        seconds = self.numbers.get(name, 0.0)
        for unit, enough in ((60, 300), (3600, 36_000), (86400, 864_000)):
            if seconds >= enough:
                seconds = round(seconds / unit) * unit
        return format_span(round(seconds, 1))

    def ceiling(self) -> str:
        if not self.has("until_ceiling") or self.numbers["until_ceiling"] > FAR:
            return ""
        name = f"{self.words['ceiling']} {self.size('ceiling')}"
        if self.numbers["until_ceiling"] <= 0:
            return f"; it is above the {name}"
        return f"; {self.span('until_ceiling')} to the {name}"


def _hoard(w: _Words) -> str:
    beside = f"active is {w.words['active']}"
    clear = f"c returns {w.size('cache')}, a limit of {w.size('cap')} would cap it"
    return f"cache hoards: {w.more('grown')} in {w.span('span')} while {beside}; {clear}"


def _active(w: _Words) -> str:
    cause = " by the KV cache" if w.words["cause"] == "kv" else ""
    each = f", {w.more('per_generation')} a generation" if w.has("per_generation") else ""
    return f"active grows{cause}: {w.more('per_minute')}/min for {w.span('span')}{each}{w.ceiling()}"


def _beyond(w: _Words) -> str:
    grown = f"{w.more('per_minute')}/min for {w.span('span')}, now {w.size('beyond')}"
    return f"memory that is not MLX's grows: {grown}{w.ceiling()}"


def _spikes(w: _Words) -> str:
    phase = f" in {w.words['phase']}" if "phase" in w.words else ""
    times = f"{w.numbers['times']:.1f} times the usual {w.size('typical')}"
    lowers = f"; {w.words['parameter']} lowers it" if "parameter" in w.words else ""
    return f"spikes: the peak of {w.size('peak')}{phase} is {times}{lowers}"


def _thrash(w: _Words) -> str:
    speed = f"{w.numbers['before']:.1f} → {w.numbers['after']:.1f} {w.words['steps']}/s"
    name = w.words.get("limit", "cache")
    limit = f"{name} limit {w.size('old')} → {w.size('new')}"
    key = "]" if name == "cache" else "l"
    return f"{limit} costs speed: {speed}, and the cache is full; {key} raises it"


def _overridden(w: _Words) -> str:
    name = w.words["limit"]
    return f"{w.words['source']} set the {name} limit to {w.size('new')}; you had set {w.size('yours')}"


def _steady(w: _Words) -> str:
    line = f"steady: active {w.size('active')}, cache {w.size('cache')}, no growth in {w.span('span')}"
    if w.has("full"):
        line += f"; the cache is full at its limit of {w.size('full')}"
    return line


def _too_little(w: _Words) -> str:
    if w.has("more"):
        return f"not enough data: a verdict needs {w.span('more')} more"
    if w.has("grown"):
        return (
            f"not enough data: {w.words['gauge']} {w.more('grown')} in {w.span('span')}, but {w.words['why']}"
        )
    return f"not enough data: {w.words['why']}"


_LINES: dict[VerdictKind, Callable[[_Words], str]] = {
    "cache hoard": _hoard,
    "active grows": _active,
    "not MLX": _beyond,
    "spikes": _spikes,
    "thrash": _thrash,
    "limit overridden": _overridden,
    "steady": _steady,
    "not enough data": _too_little,
}
