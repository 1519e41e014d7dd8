"""The verdicts of a diagnosis: their numbers, and one sentence for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlxtop.core.text import shortened
from mlxtop.core.units import UNLIMITED, Units, format_delta, format_size, format_span

VerdictKind = Literal[
    "limit overridden",
    "over the limit",
    "not evaluated",
    "active grows",
    "buffers grow",
    "not MLX",
    "cache hoard",
    "idle cache",
    "thrash",
    "spikes",
    "swings",
    "steady",
    "not enough data",
]
ORDER: tuple[VerdictKind, ...] = (
    "limit overridden",  # these two are facts, and often the cause of the rest
    "over the limit",
    "not evaluated",
    "active grows",  # these three end in a kill, and no limit stops them
    "buffers grow",
    "not MLX",
    "cache hoard",
    "idle cache",
    "thrash",
    "spikes",
    "swings",
)
FAR_ABOVE = 1000
"""A ratio that is larger is not told: the smaller size is next to nothing."""
FAR = 30 * 86400.0
"""Seconds. A ceiling that is further away is not mentioned."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding. `since` is seconds since the session began; `numbers` are bytes and seconds, as named."""

    kind: VerdictKind
    since: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    """`…_per_minute` and `per_generation` are bytes, `span`, `age`, `idle`, `above`, `lasts`, `period` and
    `until_…` seconds, the rest bytes or counts."""
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


HOLDER = 23
"""Characters of a variable's name that a line has room for."""


class _Formatter:
    """Formats a verdict's numbers."""

    def __init__(self, verdict: Verdict, units: Units) -> None:
        self.numbers, self.words, self.units = verdict.numbers, verdict.words, units

    def has(self, name: str) -> bool:
        return name in self.numbers

    def size(self, name: str) -> str:
        value = self.numbers.get(name)
        return format_size(None if value is None else min(round(value), UNLIMITED), self.units)

    def range(self, name: str) -> str:
        """Returns the lowest and the highest of a gauge, or its size where they are the same."""
        low, high = self.size(f"{name}_low"), self.size(f"{name}_high")
        return self.size(name) if "—" in (low, high) else low if low == high else f"{low} to {high}"

    def more(self, name: str) -> str:
        return format_delta(round(self.numbers.get(name, 0)), self.units)

    def span(self, name: str) -> str:
        """Returns a duration, rounded to minutes from 5 min on, hours from 10 h, days from 10 days."""
        seconds = self.numbers.get(name, 0.0)
        for unit, enough in ((60, 300), (3600, 36_000), (86400, 864_000)):
            if seconds >= enough:
                seconds = round(seconds / unit) * unit
        return format_span(round(seconds, 1))

    def holder(self, alone: bool = False) -> str:
        """Returns the name of a variable, cut to what a line has room for; `alone`: without the others."""
        others = f" or {self.words['others']} more" if "others" in self.words and not alone else ""
        return f"{shortened(self.words['holder'], HOLDER)}{others}"

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
    unseen = "; no eval is seen" if "evals" in w.words else ""
    each = f", {w.more('per_generation')} per generation" if w.has("per_generation") else ""
    return f"active grows{cause}: {w.more('per_minute')}/min for {w.span('span')}{each}{unseen}{w.ceiling()}"


def _beyond(w: _Formatter) -> str:
    also = "; no eval is seen" if "evals" in w.words else f", now {w.size('beyond')}"
    grown = f"{w.more('per_minute')}/min for {w.span('span')}{also}"
    return f"memory outside MLX grows: {grown}{w.ceiling()}"


def _buffers(w: _Formatter) -> str:
    grown = f"{w.numbers['per_minute']:+,.0f}/min for {w.span('span')}, at least {w.numbers['buffers']:,} now"
    limit = ""
    if w.has("limit") and w.numbers["until_limit"] <= FAR:
        limit = f"; {w.span('until_limit')} until the limit of {w.numbers['limit']:,}"
    return f"buffers grow: {grown}{limit}"


def _unevaluated(w: _Formatter) -> str:
    held = w.size("unexplained") if w.has("unexplained") else "it"
    grown = f"{w.words['gauge']} {w.more('per_minute')}/min for {w.span('span')}"
    return f"not evaluated: {grown}; {w.holder()} may hold {held}"


def _idle(w: _Formatter) -> str:
    unused = f"{w.size('cache')} of MLX's {w.size('total')}, unused for {w.span('idle')}"
    cap = f", a cache limit of {w.size('cap')} caps it" if w.has("cap") else ""
    return f"idle cache: {unused}; c returns it{cap}"


def _over(w: _Formatter) -> str:
    match w.words["limit"]:
        case "memory":
            above = f", above it for {w.span('above')} of {w.span('span')}" if w.numbers.get("above") else ""
            reached = f"active reached {w.size('most')}, the memory limit is {w.size('limit')}"
            return f"over the limit: {reached}{above}"
        case "wired":
            allowed = f"the system keeps at most {w.size('allowed')} resident"
            return f"over the limit: the wired limit is {w.size('limit')}, and {allowed}"
    pressed = f"memory pressure is {w.words['pressure']}, swap {w.more('swapped')} in {w.span('span')}"
    return f"over the limit: {pressed} while this program grew by {w.size('grown')}"


def _swings(w: _Formatter) -> str:
    often = f"{w.numbers['falls']} times in {w.span('span')}"
    if w.has("period"):
        often = f"{'about ' if w.words.get('period') == 'rough' else ''}every {w.span('period')}"
    cause = f"; {w.holder(alone=True)} may hold it" if "holder" in w.words else ""
    cause = "; gc frees it" if w.words["cause"] == "gc" else cause
    return f"swings: active from its trough of {w.size('trough')} to {w.size('high')}, {often}{cause}"


def _spikes(w: _Formatter) -> str:
    lowers = f"; lower it with {w.words['parameter']}" if "parameter" in w.words else ""
    # There is room for one of them.
    line = "" if lowers else _end(w.words.get("caller", ""), HOLDER)
    where = " at ".join(name for name in (w.words.get("phase", ""), line) if name)
    often = f" for {w.span('lasts')} of every {w.span('period')}" if w.has("lasts") else ""
    far = f"{w.numbers['times']:.1f} times" if w.numbers["times"] < FAR_ABOVE else "far above"
    begins = f"active peaks at {w.size('peak')}{often}{f' in {where}' if where else ''}"
    return f"{begins}, {far} its usual {w.size('typical')}{lowers}"


def _end(text: str, most: int) -> str:
    """Returns the last `most` characters of a path: they say most."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


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
    cache = f"cache full at its limit of {w.size('full')}" if w.has("full") else f"cache {w.range('cache')}"
    sizes = f"active {w.range('active')}, peak {w.size('peak')}, {cache}"
    return f"steady: {sizes}, no growth in {w.span('span')}"


def _too_little(w: _Formatter) -> str:
    if w.has("more"):
        return f"not enough data: a verdict needs {w.span('more')} more"
    if w.has("grown"):
        return (
            f"not enough data: {w.words['gauge']} {w.more('grown')} in {w.span('span')}, but {w.words['why']}"
        )
    return f"not enough data: {w.words['why']}"


_LINES: dict[VerdictKind, Callable[[_Formatter], str]] = {
    "over the limit": _over,
    "not evaluated": _unevaluated,
    "idle cache": _idle,
    "swings": _swings,
    "cache hoard": _hoard,
    "active grows": _active,
    "buffers grow": _buffers,
    "not MLX": _beyond,
    "spikes": _spikes,
    "thrash": _thrash,
    "limit overridden": _overridden,
    "steady": _steady,
    "not enough data": _too_little,
}
