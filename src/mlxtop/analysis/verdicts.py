"""The verdicts of a diagnosis: their numbers, and one sentence for each."""

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
"""Seconds. A ceiling that is further away is not mentioned."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding. `since` is seconds since the session began; `numbers` are bytes and seconds, as named."""

    kind: VerdictKind
    since: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    """`…_per_minute` and `per_generation` are bytes, `span`, `age` and `until_…` seconds, the rest bytes
    or counts."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Values that are not numbers: the phase, the cause, the source."""
    advice: str = ""
    """What to do next, in mlxtop's keys and options."""

    def line(self, units: Units = "binary") -> str:
        """Returns one sentence with the numbers, about a hundred characters."""
        return _LINES[self.kind](_Formatter(self, units))

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
    """The verdicts at `time` (seconds since the session began), the most important first.

    Never empty. `steady` and `not enough data` come alone.
    """

    time: float
    verdicts: tuple[Verdict, ...]

    def line(self, units: Units = "binary") -> str:
        """Returns the sentence of the most important verdict, for the status row."""
        return self.verdicts[0].line(units)

    @property
    def kinds(self) -> tuple[VerdictKind, ...]:
        return tuple(verdict.kind for verdict in self.verdicts)

    def to_json(self, units: Units = "binary") -> dict[str, Any]:
        return {"time": round(self.time, 3), "verdicts": [v.to_json(units) for v in self.verdicts]}


class _Formatter:
    """Formats a verdict's numbers."""

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
        """Returns a duration, rounded to minutes from 5 min on, hours from 10 h, days from 10 days."""
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
            return f"; it exceeds the {name}"
        return f"; {self.span('until_ceiling')} until the {name}"


def _hoard(w: _Formatter) -> str:
    beside = f"active is {w.words['active']}"
    clear = f"c frees {w.size('cache')}, a cache limit of {w.size('cap')} caps it"
    return f"cache grows: {w.more('grown')} in {w.span('span')} while {beside}; {clear}"


def _active(w: _Formatter) -> str:
    cause = " (KV cache)" if w.words["cause"] == "kv" else ""
    each = f", {w.more('per_generation')} per generation" if w.has("per_generation") else ""
    return f"active grows{cause}: {w.more('per_minute')}/min for {w.span('span')}{each}{w.ceiling()}"


def _beyond(w: _Formatter) -> str:
    grown = f"{w.more('per_minute')}/min for {w.span('span')}, now {w.size('beyond')}"
    return f"memory outside MLX grows: {grown}{w.ceiling()}"


def _spikes(w: _Formatter) -> str:
    phase = f" in {w.words['phase']}" if "phase" in w.words else ""
    times = f"{w.numbers['times']:.1f} times its usual {w.size('typical')}"
    lowers = f"; lower it with {w.words['parameter']}" if "parameter" in w.words else ""
    return f"active peaks at {w.size('peak')}{phase}, {times}{lowers}"


def _thrash(w: _Formatter) -> str:
    speed = f"{w.numbers['before']:.1f} → {w.numbers['after']:.1f} {w.words['steps']}/s"
    name = w.words.get("limit", "cache")
    limit = f"{name} limit {w.size('old')} → {w.size('new')}"
    key = "]" if name == "cache" else "l"
    return f"{limit} costs speed: {speed}, and the cache is full; raise it with {key}"


def _overridden(w: _Formatter) -> str:
    name = w.words["limit"]
    return f"{w.words['source']} set the {name} limit to {w.size('new')}; you had set {w.size('yours')}"


def _steady(w: _Formatter) -> str:
    line = f"steady: active {w.size('active')}, cache {w.size('cache')}, no growth in {w.span('span')}"
    if w.has("full"):
        line += f"; the cache is full at its limit of {w.size('full')}"
    return line


def _too_little(w: _Formatter) -> str:
    if w.has("more"):
        return f"not enough data: a verdict needs {w.span('more')} more"
    if w.has("grown"):
        return (
            f"not enough data: {w.words['gauge']} {w.more('grown')} in {w.span('span')}, but {w.words['why']}"
        )
    return f"not enough data: {w.words['why']}"


_LINES: dict[VerdictKind, Callable[[_Formatter], str]] = {
    "cache hoard": _hoard,
    "active grows": _active,
    "not MLX": _beyond,
    "spikes": _spikes,
    "thrash": _thrash,
    "limit overridden": _overridden,
    "steady": _steady,
    "not enough data": _too_little,
}
