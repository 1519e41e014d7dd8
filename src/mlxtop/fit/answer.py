"""The result of a study: a sentence, a table and notes, as text, Markdown and JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlxtop.core import markdown
from mlxtop.core.budget import Budget
from mlxtop.core.facts import Facts
from mlxtop.core.units import format_size
from mlxtop.fit.extrapolate import Estimate
from mlxtop.fit.measure import Settings
from mlxtop.fit.study import Row, Study

HEAD = ("context", "active", "total", "footprint", "KV cache", "left", "")
WHY = {
    "time": "the time limit was reached",
    "memory": "memory was nearly full",
    "interrupt": "interrupted",
    "": "a shorter context",
}
"""Why a run has fewer tokens than the context that is extrapolated from it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A study and its subject. Sizes are bytes."""

    model: str
    description: str
    """The architecture, in short."""
    weights: int
    budget: Budget
    settings: Settings
    cache_limit: int
    facts: Facts
    positions: int | None
    """The longest context of the model, in tokens, by its config."""
    study: Study
    before: int | None = None
    """The footprint of the process before the weights were loaded."""

    @property
    def rows(self) -> Sequence[Row]:
        return self.study.rows

    @property
    def fits(self) -> bool:
        """Whether every context fits."""
        return all(row.verdict.word in ("fits", "tight") for row in self.rows)

    # Text

    def table(self) -> list[tuple[str, ...]]:
        """Returns head and rows as text."""
        return [HEAD, *(_cells(row) for row in self.rows)]

    def markdown(self) -> str:
        """Returns sentence, table and notes as Markdown."""
        table = markdown.table(self.table(), left=(len(HEAD) - 1,))
        notes = [f"- {note}" for note in (*self.about(), *self.notes())]
        return "\n".join([f"**{self.sentence()}**", "", *table, "", *notes, ""])

    def sentence(self) -> str:
        """Returns the result as one sentence."""
        name, budget = self.model, format_size(self.budget.bytes)
        good = [row for row in self.rows if row.verdict.word in ("fits", "tight")]
        bad = [row for row in self.rows if row.verdict.word == "does not fit"]
        if not good and not bad:
            return f"Cannot tell whether {name} fits in {budget}: too few steps of it could be run."
        text = f"{name} does not fit in {budget}"
        if good:
            last = good[-1]
            left = format_size(last.verdict.headroom)
            text = f"{name} fits in {budget} with {last.context:,} tokens{_how(last)}, {left} left"
        if bad:
            first = bad[0]
            assert first.verdict.headroom is not None
            over = format_size(-first.verdict.headroom)
            text += f"{'; ' if good else ': '}{first.context:,} tokens{_how(first)} exceed it by {over}"
        if self.study.longest:
            text += f"; up to about {self.study.longest:,} tokens fit with 5 % left"
        limit = next((r.verdict.cache_limit for r in bad if r.verdict.cache_limit is not None), None)
        if limit is not None:
            text += f"; --cache-limit {limit // 2**20}M makes room for {bad[0].context:,}"
        return text + "."

    def about(self) -> list[str]:
        """Returns lines on what was measured, and how."""
        asked = self.settings
        how = [f"prefill in steps of {asked.prefill_step_size:,}", f"then {asked.max_tokens} tokens"]
        how += [f"KV cache in {asked.kv_bits} bits"] if asked.kv_bits else []
        how += [f"KV cache of {asked.max_kv_size:,} tokens at most"] if asked.max_kv_size else []
        how.append(f"cache limit {format_size(self.cache_limit)}")
        return [
            f"{self.model}: {self.description}; weights {format_size(self.weights)}",
            f"budget {format_size(self.budget.bytes)}, {self.budget.source}; on {self.facts.device}",
            "peak memory in a " + ", ".join(how),
        ]

    def notes(self) -> list[str]:
        """Returns explanations of the table's signs and missing numbers."""
        notes = []
        untold = [f"{row.context:,}" for row in self.rows if row.need is None]
        if untold:
            notes.append(
                f"— {', '.join(untold)}: too few prefill steps were run; "
                "increase --within, or lower --prefill-step-size"
            )
        for row in self.rows:
            if row.need is not None and row.need.origin is not None:
                stopped = WHY[row.run.stopped if row.run else ""]
                sign = "≤" if row.need.at_most else "~"
                notes.append(
                    f"{sign}{row.context:,}: extrapolated from {row.need.origin:,} tokens ({stopped}), "
                    f"active ± {format_size(row.need.active.margin)}, "
                    f"footprint ± {format_size(row.need.footprint and row.need.footprint.margin)} (95 %)"
                )
                if row.need.at_most:
                    notes.append("  at most: a sliding window or the largest KV cache was not filled")
                if row.verdict.word == "cannot tell":
                    notes.append("  the budget is within the margin of error: increase --within")
        if any(row.need and row.need.origin is None for row in self.rows):
            notes.append("contexts without a sign are measured")
        if self.before is not None:
            notes.append(
                f"each footprint includes {format_size(self.before)} from before the weights were loaded: "
                "Python, MLX, mlx-lm"
            )
        if self.positions and self.rows[-1].context > self.positions:
            notes.append(f"this model supports contexts of up to {self.positions:,} tokens")
        return notes

    # JSON

    def to_json(self) -> dict[str, Any]:
        """Returns the result for JSON. Sizes are bytes, times seconds; unknown values are `null`."""
        return {
            "model": self.model,
            "description": self.description,
            "weights": self.weights,
            "footprint_before": self.before,
            "positions": self.positions,
            "budget": {"bytes": self.budget.bytes, "source": self.budget.source},
            "settings": {**asdict(self.settings), "cache_limit": self.cache_limit},
            "device": {name: getattr(self.facts, name) for name in ("device", "backend", "mlx", "mlx_lm")},
            "contexts": [_row(row) for row in self.rows],
            "longest": self.study.longest,
            "fits": self.fits,
            "interrupted": self.study.interrupted,
            "sentence": self.sentence(),
        }


def _how(row: Row) -> str:
    return " (extrapolated)" if row.need and row.need.origin is not None else ""


def _cells(row: Row) -> tuple[str, ...]:
    need, verdict = row.need, row.verdict
    if need is None:
        return f"{row.context:,}", "—", "—", "—", "—", "—", verdict.word
    sign = "" if need.origin is None else "≤" if need.at_most else "~"
    figures = (need.active, need.total, need.footprint, need.kv)
    sizes = (format_size(figure and figure.value) for figure in figures)
    return f"{sign}{row.context:,}", *sizes, format_size(verdict.headroom), verdict.word


def _row(row: Row) -> dict[str, Any]:
    need, run = row.need, row.run
    return {
        "context": row.context,
        "source": "unknown" if need is None else "measured" if need.origin is None else "extrapolated",
        "run_tokens": run.done if run else 0,
        "extrapolated_from": need.origin if need else None,
        "stopped": (run.stopped or None) if run else None,
        "at_most": need.at_most if need else None,
        "seconds": round(run.seconds, 3) if run else None,
        **{name: _figure(getattr(need, field, None)) for name, field in _FIGURES.items()},
        "verdict": row.verdict.word,
        "left": row.verdict.headroom,
        "cache_limit": row.verdict.cache_limit,
    }


_FIGURES = {"peak_active": "active", "peak_total": "total", "footprint": "footprint", "kv": "kv"}


def _figure(figure: Estimate | None) -> dict[str, int] | None:
    return None if figure is None else figure._asdict()
