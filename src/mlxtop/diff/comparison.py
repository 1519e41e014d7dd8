"""Two runs side by side: each measure of each part, and whether it differs by more than noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mlxtop.diff.measures import MEASURES, TIMED
from mlxtop.diff.rates import LEAST_BLOCKS, paired, undisturbed, unpaired
from mlxtop.diff.run import KINDS, Part, PartKind, Run, Value

Found = Literal["same", "more", "less", "not comparable"]
NOTHING = Value(0.0)
FASTEST = "fastest stretches"


class Row(NamedTuple):
    """One measure of one part. `found` is `same` where the difference is not more than noise."""

    part: str
    kind: PartKind
    measure: str
    a: Value | None
    b: Value | None
    found: Found
    difference: float | None = None
    """B minus A, in the unit of the measure."""
    low: float | None = None
    """The least that the difference may be: the end of its interval."""
    high: float | None = None
    why: str = ""
    """Why it is not comparable: a clause."""
    of: str = ""
    """What part of the work the values are of, where they are not of all of it."""

    @property
    def changed(self) -> bool:
        return self.found in ("more", "less")

    def relative(self, of: float | None) -> float | None:
        """A difference as a share of A; `None` where A is zero."""
        return None if of is None or self.a is None or not self.a.value else of / self.a.value

    def to_json(self) -> dict[str, Any]:
        a, b = (None if side is None else side.value for side in (self.a, self.b))
        return {
            "part": self.part,
            "kind": self.kind,
            "measure": self.measure,
            "unit": MEASURES[self.measure].unit,
            "a": a,
            "b": b,
            "found": self.found,
            "difference": self.difference,
            "relative": self.relative(self.difference),
            "low": self.low,
            "high": self.high,
            "why": self.why or None,
            "of": self.of or None,
        }


class Fact(NamedTuple):
    """What holds for a whole run, on both sides; `None` where a side does not tell it."""

    name: str
    a: str | None
    b: str | None

    @property
    def differs(self) -> bool:
        return None not in (self.a, self.b) and self.a != self.b


@dataclass(frozen=True, slots=True)
class Comparison:
    """B compared with A."""

    a: Run
    b: Run
    rows: tuple[Row, ...]
    facts: tuple[Fact, ...]

    @property
    def changed(self) -> tuple[Row, ...]:
        """The rows whose difference is more than noise."""
        return tuple(row for row in self.rows if row.changed)

    def row(self, part: str, measure: str) -> Row | None:
        return next((row for row in self.rows if (row.part, row.measure) == (part, measure)), None)


def compare(a: Run, b: Run) -> Comparison:
    """Compares what both runs tell."""
    rows = tuple(row for name in _names(a, b) for row in _rows(a, b, name))
    names = dict.fromkeys((*a.facts, *b.facts))
    return Comparison(a, b, rows, tuple(Fact(name, a.facts.get(name), b.facts.get(name)) for name in names))


def _names(a: Run, b: Run) -> list[str]:
    """The parts of both, A's first; those of a kind stand together."""
    kinds = {part.name: part.kind for run in (a, b) for part in run.parts}
    order = list(dict.fromkeys(kinds.values()))
    return sorted(kinds, key=lambda name: order.index(kinds[name]))


def _rows(a: Run, b: Run, name: str) -> Iterator[Row]:
    left, right = a.part(name), b.part(name)
    if a.kind == b.kind == "trace":
        left, right = _whole_sites(left, right), _whole_sites(right, left)
    kind = next(part.kind for part in (left, right) if part is not None)
    for measure in MEASURES:
        first, second = (None if part is None else part.values.get(measure) for part in (left, right))
        if first is None and second is None:
            reasons = [part.missing[measure] for part in (left, right) if part and measure in part.missing]
            if reasons:
                yield Row(name, kind, measure, None, None, "not comparable", why=reasons[0])
            continue
        why = _lacks("A", a, b, left, measure) or _lacks("B", b, a, right, measure) or _unlike(a, b, measure)
        if why or first is None or second is None:
            yield Row(name, kind, measure, first, second, "not comparable", why=why)
        elif measure in TIMED:
            yield _timed(name, kind, measure, first, second, a.kind == "sweep")
        else:
            yield _sized(name, kind, measure, first, second)


def _whole_sites(part: Part | None, other: Part | None) -> Part | None:
    """An operation or a line with zeros for what only the other trace has: a trace has all its sites."""
    if other is None or other.kind not in ("operation", "line"):
        return part
    zeros = dict.fromkeys(other.values, NOTHING)
    return Part(other.name, other.kind, {**zeros, **(part.values if part is not None else {})})


def _lacks(letter: str, run: Run, other: Run, part: Part | None, measure: str) -> str:
    """Why a side does not tell a measure; empty where it does."""
    if part is not None and measure in part.values:
        return ""
    if part is None and run.kind == other.kind:
        return f"{letter} has no such part"
    reason = None if part is None else part.missing.get(measure)
    return f"{letter}: {reason or f'a {KINDS[run.kind]} does not tell it'}"


def _unlike(a: Run, b: Run, measure: str) -> str:
    """Why what both tell is not the same thing; empty where it is."""
    kinds = a.footprint_kind, b.footprint_kind
    if measure == "footprint" and all(kinds) and kinds[0] != kinds[1]:
        return f"A's is {kinds[0]}, B's is {kinds[1]}"
    return _why_not_timed(a, b) if measure in TIMED else ""


def _why_not_timed(a: Run, b: Run) -> str:
    if a.steps_are and b.steps_are and a.steps_are != b.steps_are:
        return f"A counts {a.steps_are}, B {b.steps_are}"
    if a.traced != b.traced:
        return f"{'A' if a.traced else 'B'} was traced meanwhile"
    for name in ("backend", "device"):
        first, second = a.facts.get(name), b.facts.get(name)
        if first and second and first != second:
            return f"A ran on {first}, B on {second}"
    return ""


def _sized(part: str, kind: PartKind, measure: str, a: Value, b: Value) -> Row:
    difference, noise = b.value - a.value, a.noise + b.noise
    found: Found = "same" if abs(difference) <= noise else "more" if difference > 0 else "less"
    return Row(part, kind, measure, a, b, found, difference, difference - noise, difference + noise)


def _timed(part: str, kind: PartKind, measure: str, a: Value, b: Value, repeats: bool) -> Row:
    few = min(len(a.blocks), len(b.blocks)) < LEAST_BLOCKS
    if few or not (a.value > 0 and b.value > 0) or (not repeats and len(a.blocks) != len(b.blocks)):
        why = "too few repeats for an interval" if repeats else "too few samples for an interval"
        return Row(part, kind, measure, a, b, "not comparable", why=why)
    interval = (unpaired if repeats else paired)(a.blocks, b.blocks, b.value / a.value - 1)
    of = ""
    if a.fastest is not None and b.fastest is not None:
        best = undisturbed(a.fastest, b.fastest)
        if best.high - best.low < interval.high - interval.low:
            interval, of = best, FASTEST
            a, b = a._replace(value=a.fastest.speed), b._replace(value=b.fastest.speed)
    found: Found = "more" if interval.low > 0 else "less" if interval.high < 0 else "same"
    ends = (a.value * interval.low, a.value * interval.high)
    return Row(part, kind, measure, a, b, found, b.value - a.value, *ends, of=of)
