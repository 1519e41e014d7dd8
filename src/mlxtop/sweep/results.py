"""Evaluates the measurements of a plan: the rows of a table and the recommendation."""

import statistics
from collections.abc import Sequence
from math import inf, log, nan
from typing import NamedTuple

import numpy as np

from mlxtop.core.facts import Facts
from mlxtop.core.units import DEFAULT, format_size
from mlxtop.sweep.interval import Array, Spread, spread
from mlxtop.sweep.measurement import METRICS, Measurement, Metric
from mlxtop.sweep.plan import Cell, Plan
from mlxtop.sweep.recommendation import Choice, Question, Recommendation, judge, narrow, recommend, too_few
from mlxtop.sweep.target import CommandTarget

DISTURBED = 0.10
"""A repeat is disturbed if other programs used this much more of the machine than in three quarters of the
repeats. A constant load does not disturb: rounds and intervals account for it."""
FEWEST_KNOWN = 8
"""The least repeats from which the usual load is computed."""
BUSY = 0.10
"""The share of the processors from which the machine is reported as busy."""
NOT_SEEN = {
    "kv-bits": "its effect on the text was not measured",
    "max-kv-size": "its effect on the text was not measured",
}


class Usual(NamedTuple):
    """The usual share of the machine used by other programs during the repeats."""

    median: float
    upper: float
    """The upper quartile."""


class Row(NamedTuple):
    """One cell: the medians of the repeats that count, with their intervals."""

    cell: Cell
    label: str
    length: int | None
    """Prompt length in tokens; `None` if the command has its own prompt."""
    spreads: dict[str, Spread]
    repeats: int
    disturbed: int
    """Repeats that are excluded because other programs were busy."""
    error: str | None = None
    front: bool = False
    """Whether no other cell of this length is both faster and smaller (the Pareto front)."""
    chosen: bool = False


class Summary(NamedTuple):
    """Everything that a screen or a file shows of a sweep. It is computed after every cell."""

    plan: Plan
    rows: list[Row]
    recommendation: Recommendation
    enough: bool
    """Whether the intervals are narrow enough."""
    rounds: int
    """Rounds begun so far."""
    usual: Usual | None
    notes: list[str]

    @property
    def metrics(self) -> list[str]:
        """The metrics that any cell has, in order."""
        return [name for name in METRICS if any(name in row.spreads for row in self.rows)]

    @property
    def speed(self) -> Metric:
        return speed(self.plan)

    def of_length(self, length: int) -> list[Row]:
        """Returns the rows of one prompt length, given by its index."""
        return [row for row in self.rows if row.cell.length == length]


def speed(plan: Plan) -> Metric:
    """Returns the metric that is compared."""
    metric = METRICS[plan.metric]
    if isinstance(plan.target, CommandTarget) and plan.target.lower_is_better:
        return metric._replace(higher_is_better=False)
    return metric


def summarize(plan: Plan, measurements: Sequence[Measurement], facts: Facts) -> Summary:
    """Evaluates `measurements`. `facts` are the device's, with MLX's default `cache_limit` if known."""
    usual = _usual(measurements)
    failed = {(r.arm, r.length): r.error for r in measurements if r.error is not None}
    counted: dict[Cell, list[Measurement]] = {cell: [] for cell in plan.cells}
    repeats, disturbed = dict.fromkeys(plan.cells, 0), dict.fromkeys(plan.cells, 0)
    for measurement in measurements:
        cell = Cell(measurement.arm, measurement.length)
        if measurement.error is not None:
            continue
        repeats[cell] += 1
        if is_disturbed(measurement, usual):
            disturbed[cell] += 1
        else:
            counted[cell].append(measurement)
    rows = []
    for cell in plan.cells:
        # If every repeat was disturbed, all of them count.
        those = counted[cell] or [
            r for r in measurements if Cell(r.arm, r.length) == cell and r.error is None
        ]
        rows.append(
            Row(
                cell,
                plan.label(cell.arm),
                plan.lengths[cell.length],
                _spreads(those),
                repeats[cell],
                disturbed[cell],
                failed.get(cell),
            )
        )
    advice, enough = _advice(plan, counted, rows, facts, set(failed), measurements)
    rows = [row._replace(front=_on_front(row, rows, plan), chosen=row.cell.arm == advice.arm) for row in rows]
    begun = len({r.round for r in measurements})
    return Summary(plan, rows, advice, enough, begun, usual, _notes(plan, rows, usual, facts))


def is_disturbed(measurement: Measurement, usual: Usual | None) -> bool:
    """Returns whether other programs used more of the machine than usual."""
    return measurement.busy is not None and usual is not None and measurement.busy > usual.upper + DISTURBED


def _usual(measurements: Sequence[Measurement]) -> Usual | None:
    known = [r.busy for r in measurements if r.busy is not None]
    if len(known) < FEWEST_KNOWN:
        return None
    _, median, upper = statistics.quantiles(known, n=4, method="inclusive")
    return Usual(median, upper)


def _spreads(measurements: list[Measurement]) -> dict[str, Spread]:
    found = {}
    for name in METRICS:
        got = spread(tuple(r.values[name] for r in measurements if name in r.values))
        if got is not None:
            found[name] = got
    return found


def _on_front(row: Row, rows: list[Row], plan: Plan) -> bool:
    """Returns whether no cell of the same length is both faster and smaller."""

    def point(of: Row) -> tuple[float, float] | None:
        fast, total = of.spreads.get(plan.metric), of.spreads.get("total")
        if fast is None or total is None:
            return None
        return (fast.median if speed(plan).higher_is_better else -fast.median), -total.median

    mine = point(row)
    if mine is None:
        return False
    others = [p for other in rows if other.cell.length == row.cell.length and (p := point(other)) is not None]
    return not any(p[0] >= mine[0] and p[1] >= mine[1] and p != mine for p in others)


# The recommendation


def _advice(
    plan: Plan,
    counted: dict[Cell, list[Measurement]],
    rows: list[Row],
    facts: Facts,
    failed: set[tuple[int, int]],
    measurements: Sequence[Measurement],
) -> tuple[Recommendation, bool]:
    arms = [arm for arm in order(plan, rows, facts) if arm not in {arm for arm, _ in failed}]
    if len(arms) < 2:
        return Recommendation("unknown", "Cannot compare: fewer than two choices could be measured."), False
    table = logs(plan, counted, arms)
    choices = [Choice(plan.label(arm), _total(rows, arm)) for arm in arms]
    against = next((i for i, arm in enumerate(arms) if set(plan.arms[arm]) == {DEFAULT}), None)
    spent = [r.seconds for r in measurements]
    question = Question(
        choices,
        plan.tolerance,
        what=" and ".join(name.replace("-", " ") for name in plan.names),
        speed=_speed_word(plan),
        against=against,
        caveat="".join(f"; {NOT_SEEN[name]}" for name in plan.names if name in NOT_SEEN),
        round_seconds=statistics.fmean(spent) * len(arms) * len(plan.lengths) if spent else 0.0,
    )
    advice = recommend(question, table)
    if advice.arm is not None:
        advice = Recommendation(advice.verdict, advice.sentence, arms[advice.arm], advice.more)
    return advice, bool(narrow(judge(table, plan.tolerance), plan.tolerance))


def order(plan: Plan, rows: list[Row], facts: Facts) -> list[int]:
    """Returns the combinations, cheapest first: by cache limit if only that is swept, else by peak total."""
    arms = range(len(plan.arms))
    if plan.names == ("cache-limit",):

        def limit(arm: int) -> float:
            value = plan.arms[arm][0]
            return float(facts.cache_limit or inf) if value == DEFAULT else float(value)

        return sorted(arms, key=limit)
    totals = {arm: _total(rows, arm) for arm in arms}
    return sorted(arms, key=lambda arm: totals[arm] if totals[arm] == totals[arm] else inf)


def logs(plan: Plan, counted: dict[Cell, list[Measurement]], arms: Sequence[int]) -> Array:
    """Returns logarithms of speeds, `[length, round, arm]`, nan where no repeat counts."""
    rounds = 1 + max((r.round for those in counted.values() for r in those), default=0)
    table = np.full((len(plan.lengths), rounds, len(arms)), nan)
    place = {arm: i for i, arm in enumerate(arms)}
    sign = 1 if speed(plan).higher_is_better else -1
    for cell, those in counted.items():
        for measurement in those:
            value = measurement.values.get(plan.metric, 0.0)
            if cell.arm in place and value > 0:
                table[cell.length, measurement.round, place[cell.arm]] = sign * log(value)
    return table


def _total(rows: list[Row], arm: int) -> float:
    """Returns the highest peak total of all prompt lengths, in bytes; nan if unknown."""
    known = [row.spreads["total"].median for row in rows if row.cell.arm == arm and "total" in row.spreads]
    return max(known, default=nan)


def _speed_word(plan: Plan) -> str:
    words = {"tps": "tokens/s", "prefill": "prefill tokens/s", "seconds": "speed (by wall time)"}
    return words.get(plan.metric, "speed (by the metric)")


def _notes(plan: Plan, rows: list[Row], usual: Usual | None, facts: Facts) -> list[str]:
    few = too_few(plan.rounds)
    notes = [] if few is None else [few]
    limit = facts.cache_limit
    if limit and any(DEFAULT in p.values for p in plan.parameters if p.name == "cache-limit"):
        notes.append(f"default is MLX's default cache limit, {format_size(limit)} on this machine.")
    all_, out = sum(row.repeats for row in rows), sum(row.disturbed for row in rows)
    if out:
        notes.append(f"{out} of {all_} repeats are excluded: other programs were busier than usual.")
    if usual is not None and usual.median >= BUSY:
        notes.append(
            f"Other programs used {usual.median * 100:.0f} % of this machine's processors during the sweep."
        )
    notes += sorted({f"{row.label}: {row.error}" for row in rows if row.error})
    return notes
