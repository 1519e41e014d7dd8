"""The readings of a plan, and what they say: rows of a table and the advice."""

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
"""A repeat is disturbed when others used this much more of the machine than in three quarters of the repeats:
against a load that is always there, rounds and the width of the intervals must do."""
FEWEST_KNOWN = 8
"""Repeats that it takes to say what is usual."""
BUSY = 0.10
"""From this share on the machine is called busy."""
NOT_SEEN = {
    "kv-bits": "what it does to the text was not looked at",
    "max-kv-size": "what the model then forgets was not looked at",
}


class Usual(NamedTuple):
    """Shares of the machine that others used during this sweep's repeats."""

    median: float
    upper: float
    """Three quarters of the repeats had less."""


class Row(NamedTuple):
    """One cell: medians with their intervals, of the repeats that count."""

    cell: Cell
    label: str
    length: int | None
    """Prompt tokens; `None` where the prompt is the command's own."""
    spreads: dict[str, Spread]
    repeats: int
    disturbed: int
    """Repeats that are left out because of other programs."""
    error: str | None = None
    front: bool = False
    """Whether no other cell of this length is both faster and smaller."""
    chosen: bool = False


class Summary(NamedTuple):
    """All that a screen or a file shows of a sweep. Made anew after every cell."""

    plan: Plan
    rows: list[Row]
    recommendation: Recommendation
    enough: bool
    """Whether the intervals are as narrow as the question needs."""
    rounds: int
    """Rounds that were begun."""
    usual: Usual | None
    notes: list[str]

    @property
    def metrics(self) -> list[str]:
        """The columns that any cell has, in order."""
        return [name for name in METRICS if any(name in row.spreads for row in self.rows)]

    @property
    def speed(self) -> Metric:
        return speed(self.plan)

    def of_length(self, length: int) -> list[Row]:
        """The rows of one prompt length, by its number."""
        return [row for row in self.rows if row.cell.length == length]


def speed(plan: Plan) -> Metric:
    """What is compared."""
    metric = METRICS[plan.metric]
    if isinstance(plan.target, CommandTarget) and plan.target.lower_is_better:
        return metric._replace(higher_is_better=False)
    return metric


def summarize(plan: Plan, readings: Sequence[Measurement], facts: Facts) -> Summary:
    """What `readings` say. `facts` are the device's, with MLX's default `cache_limit` in bytes if known."""
    usual = _usual(readings)
    failed = {(r.arm, r.length): r.error for r in readings if r.error is not None}
    counted: dict[Cell, list[Measurement]] = {cell: [] for cell in plan.cells}
    repeats, disturbed = dict.fromkeys(plan.cells, 0), dict.fromkeys(plan.cells, 0)
    for reading in readings:
        cell = Cell(reading.arm, reading.length)
        if reading.error is not None:
            continue
        repeats[cell] += 1
        if is_disturbed(reading, usual):
            disturbed[cell] += 1
        else:
            counted[cell].append(reading)
    rows = []
    for cell in plan.cells:
        # Where every repeat was disturbed, disturbed numbers are better than none.
        those = counted[cell] or [r for r in readings if Cell(r.arm, r.length) == cell and r.error is None]
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
    advice, enough = _advice(plan, counted, rows, facts, set(failed), readings)
    rows = [row._replace(front=_on_front(row, rows, plan), chosen=row.cell.arm == advice.arm) for row in rows]
    begun = len({r.round for r in readings})
    return Summary(plan, rows, advice, enough, begun, usual, _notes(plan, rows, usual, facts))


def is_disturbed(reading: Measurement, usual: Usual | None) -> bool:
    """Whether others used more of the machine meanwhile than they usually did."""
    return reading.busy is not None and usual is not None and reading.busy > usual.upper + DISTURBED


def _usual(readings: Sequence[Measurement]) -> Usual | None:
    known = [r.busy for r in readings if r.busy is not None]
    if len(known) < FEWEST_KNOWN:
        return None
    _, median, upper = statistics.quantiles(known, n=4, method="inclusive")
    return Usual(median, upper)


def _spreads(readings: list[Measurement]) -> dict[str, Spread]:
    found = {}
    for name in METRICS:
        got = spread(tuple(r.values[name] for r in readings if name in r.values))
        if got is not None:
            found[name] = got
    return found


def _on_front(row: Row, rows: list[Row], plan: Plan) -> bool:
    """Whether no cell of the same length has both more speed and less memory."""

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


# The advice


def _advice(
    plan: Plan,
    counted: dict[Cell, list[Measurement]],
    rows: list[Row],
    facts: Facts,
    failed: set[tuple[int, int]],
    readings: Sequence[Measurement],
) -> tuple[Recommendation, bool]:
    arms = [arm for arm in order(plan, rows, facts) if arm not in {arm for arm, _ in failed}]
    if len(arms) < 2:
        return Recommendation(
            "unknown", "There is nothing to compare: only one choice could be measured."
        ), False
    table = logs(plan, counted, arms)
    choices = [Choice(plan.label(arm), _total(rows, arm)) for arm in arms]
    against = next((i for i, arm in enumerate(arms) if set(plan.arms[arm]) == {DEFAULT}), None)
    spent = [r.seconds for r in readings]
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
    """The arms from the cheapest on: by their limit where only that is swept, else by peak total."""
    arms = range(len(plan.arms))
    if plan.names == ("cache-limit",):

        def limit(arm: int) -> float:
            value = plan.arms[arm][0]
            return float(facts.cache_limit or inf) if value == DEFAULT else float(value)

        return sorted(arms, key=limit)
    totals = {arm: _total(rows, arm) for arm in arms}
    return sorted(arms, key=lambda arm: totals[arm] if totals[arm] == totals[arm] else inf)


def logs(plan: Plan, counted: dict[Cell, list[Measurement]], arms: Sequence[int]) -> Array:
    """`[length, round, arm]`: logarithms of speeds, nan where nothing counts."""
    rounds = 1 + max((r.round for those in counted.values() for r in those), default=0)
    table = np.full((len(plan.lengths), rounds, len(arms)), nan)
    place = {arm: i for i, arm in enumerate(arms)}
    sign = 1 if speed(plan).higher_is_better else -1
    for cell, those in counted.items():
        for reading in those:
            value = reading.values.get(plan.metric, 0.0)
            if cell.arm in place and value > 0:
                table[cell.length, reading.round, place[cell.arm]] = sign * log(value)
    return table


def _total(rows: list[Row], arm: int) -> float:
    """Peak total where it is highest of all prompt lengths; nan if unknown."""
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
        notes.append(f"default is MLX's own cache limit, {format_size(limit)} here.")
    all_, out = sum(row.repeats for row in rows), sum(row.disturbed for row in rows)
    if out:
        notes.append(
            f"{out} of {all_} repeats are left out: other programs were busier than usual meanwhile."
        )
    if usual is not None and usual.median >= BUSY:
        notes.append(
            f"Other programs used {usual.median * 100:.0f} % of this machine's processors all along."
        )
    notes += sorted({f"{row.label}: {row.error}" for row in rows if row.error})
    return notes
