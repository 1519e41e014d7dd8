"""The result of a study of training: a sentence, a table and notes, as text, Markdown and JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlxtop.core import markdown
from mlxtop.core.budget import Budget
from mlxtop.core.facts import Facts
from mlxtop.core.units import format_size
from mlxtop.fit.extrapolate import Estimate
from mlxtop.fit.training.measure import Shape
from mlxtop.fit.training.study import Row, Study
from mlxtop.fit.verdict import compared
from mlxtop.inference.finetuning import Recipe, Sizes

HEAD = ("batch", "ckpt", "peak", "activations", "footprint", "left", "")
WHY = {
    "time": "there was no time to run it",
    "memory": "its memory might not be free",
    "interrupt": "interrupted",
    "": "smaller batches",
}
"""Why a shape was not run."""
MEND = {"time": "; increase --within", "memory": "; free more memory first"}


@dataclass(frozen=True, slots=True)
class TrainingAnswer:
    """A study of training and its subject. Sizes are bytes."""

    model: str
    description: str
    """The architecture, in short."""
    recipe: Recipe
    layers: tuple[int, int]
    """How many layers are trained, of how many."""
    sizes: Sizes
    budget: Budget
    cache_limit: int
    checkpoint: bool
    """Whether gradient checkpointing was asked for."""
    facts: Facts
    positions: int | None
    """The longest context of the model, in tokens, by its config."""
    study: Study
    before: int | None = None
    """The footprint of the process before the weights were created."""

    @property
    def rows(self) -> Sequence[Row]:
        return self.study.rows

    @property
    def asked(self) -> Sequence[Row]:
        """The rows with the gradient checkpointing that was asked for."""
        return [row for row in self.rows if row.checkpoint == self.checkpoint]

    @property
    def fits(self) -> bool:
        """Whether everything that was asked for fits."""
        return all(row.verdict.word in ("fits", "tight") for row in self.asked)

    # Text

    def table(self) -> list[tuple[str, ...]]:
        """Returns head and rows as text."""
        return [HEAD, *(self._cells(row) for row in self.rows)]

    def markdown(self) -> str:
        """Returns sentence, table and notes as Markdown."""
        table = markdown.table(self.table(), left=(len(HEAD) - 1,))
        notes = [f"- {note}" for note in (*self.about(), *self.notes())]
        return "\n".join([f"**{self.sentence()}**", "", *table, "", *notes, ""])

    def sentence(self) -> str:
        """Returns the result as one sentence."""
        subject, budget = f"Training {self.model} by {self.recipe}", format_size(self.budget.bytes)
        good = [row for row in self.asked if row.verdict.word in ("fits", "tight")]
        bad = [row for row in self.asked if row.verdict.word == "does not fit"]
        if not good and not bad:
            return f"Cannot tell whether training {self.model} by {self.recipe} fits in {budget}."
        text = f"{subject} does not fit in {budget}"
        if good:
            last = good[-1]
            left = format_size(last.verdict.headroom)
            text = f"{subject} fits in {budget} with batches of {_tokens(last)}, {left} left"
        if bad:
            text += f"{'; ' if good else ': '}{self._over(bad[0])}"
        return text + "."

    def _over(self, row: Row) -> str:
        """Returns by how much `row` does not fit, and what would."""
        assert row.verdict.headroom is not None
        text = f"batches of {_tokens(row)} exceed it by {format_size(-row.verdict.headroom)}"
        if row.verdict.cache_limit is not None:
            text += f"; a cache limit of {row.verdict.cache_limit // 2**20}M makes room"
        saved = next((r for r in self.rows if r.shape == row.shape and r.checkpoint != self.checkpoint), None)
        if saved is not None and saved.need is not None:
            still = "" if saved.verdict.word in ("fits", "tight") else "still "
            size = format_size(compared(saved.need, self.budget).value)
            text += f"; with --grad-checkpoint they {still}need {size}"
        if self.study.longest:
            size = _shape(Shape(row.shape.batch, self.study.longest))
            text += f"; without it {size} fit with 5 % left" if saved else f"; {size} fit with 5 % left"
        return text

    def about(self) -> list[str]:
        """Returns lines on what was measured, and how."""
        weights, trained, optimizer = (format_size(size) for size in self.sizes)
        count, whole = self.layers
        layers = f"all {whole} layers" if count == whole else f"the last {count} of {whole} layers"
        return [
            f"{self.model}: {self.description}",
            f"{self.recipe} on {layers}: weights {weights}, of which {trained} are trained; "
            f"{self.recipe.optimizer} {optimizer}; gradients {trained} at most",
            f"budget {format_size(self.budget.bytes)}, {self.budget.source}; on {self.facts.device}",
            "peak memory of mlx-lm's training and validation steps; batch: sequences × tokens, all full; "
            f"cache limit {format_size(self.cache_limit)}",
        ]

    def notes(self) -> list[str]:
        """Returns explanations of the table's signs and missing numbers."""
        notes = []
        if any(row.checkpoint for row in self.rows):
            notes.append("ckpt: with gradient checkpointing (--grad-checkpoint)")
        for row in self.rows:
            notes += _explained(row)
        if any(row.run for row in self.rows):
            notes.append("batches without a sign are measured")
        if self.before is not None:
            notes.append(
                f"each footprint includes {format_size(self.before)} from before the weights were created: "
                "Python, MLX, mlx-lm"
            )
        longest = max(row.shape.seq for row in self.rows)
        if self.positions and longest > self.positions:
            notes.append(f"this model supports contexts of up to {self.positions:,} tokens")
        return notes

    def _cells(self, row: Row) -> tuple[str, ...]:
        need, verdict = row.need, row.verdict
        sign = "" if row.run else "~" if need else ""
        figures = (need.active, self._activations(row), need.footprint) if need else (None, None, None)
        sizes = (format_size(f.value if isinstance(f, Estimate) else f) for f in figures)
        ckpt = "yes" if row.checkpoint else "no"
        return sign + _shape(row.shape), ckpt, *sizes, format_size(verdict.headroom), verdict.word

    # Parts

    def _gradients(self, row: Row) -> int:
        """All gradients; less where the peak was before they existed."""
        assert row.need is not None
        return max(0, min(self.sizes.trained, row.need.active.value - self.sizes.kept))

    def _activations(self, row: Row) -> int:
        """What the peak has beyond weights, optimizer and gradients."""
        assert row.need is not None
        return max(0, row.need.active.value - self.sizes.kept - self._gradients(row))

    # JSON

    def to_json(self) -> dict[str, Any]:
        """Returns the result for JSON. Sizes are bytes, times seconds; unknown values are `null`."""
        return {
            "model": self.model,
            "description": self.description,
            "weights": self.sizes.weights,
            "trained": self.sizes.trained,
            "optimizer": self.sizes.optimizer,
            "footprint_before": self.before,
            "positions": self.positions,
            "budget": {"bytes": self.budget.bytes, "source": self.budget.source},
            "settings": {
                **asdict(self.recipe),
                "layers": self.layers[0],
                "of_layers": self.layers[1],
                "grad_checkpoint": self.checkpoint,
                "cache_limit": self.cache_limit,
            },
            "device": {name: getattr(self.facts, name) for name in ("device", "backend", "mlx", "mlx_lm")},
            "batches": [self._row(row) for row in self.rows],
            "longest": self.study.longest,
            "fits": self.fits,
            "interrupted": self.study.interrupted,
            "sentence": self.sentence(),
        }

    def _row(self, row: Row) -> dict[str, Any]:
        need, run = row.need, row.run
        figures = {"peak_active": "active", "peak_total": "total", "footprint": "footprint"}
        return {
            "batch": row.shape.batch,
            "seq": row.shape.seq,
            "grad_checkpoint": row.checkpoint,
            "source": "measured" if run else "extrapolated" if need else "unknown",
            "extrapolated_from": need.origin._asdict() if need and need.origin else None,
            "not_run": row.why or None,
            "seconds": round(run.seconds, 3) if run else None,
            **{name: _figure(getattr(need, part, None)) for name, part in figures.items()},
            "peak_validate": run.validate.active if run else None,
            "parts": self._parts(row) if need else None,
            "verdict": row.verdict.word,
            "left": row.verdict.headroom,
            "cache_limit": row.verdict.cache_limit,
        }

    def _parts(self, row: Row) -> dict[str, int]:
        """The parts of the total. All but the last are the peak's."""
        assert row.need is not None
        return {
            "weights": self.sizes.weights,
            "optimizer": self.sizes.optimizer,
            "gradients": self._gradients(row),
            "activations": self._activations(row),
            "cache": max(0, row.need.total.value - row.need.active.value),
        }


def _shape(shape: Shape) -> str:
    return f"{shape.batch:,} × {shape.seq:,}"


def _tokens(row: Row) -> str:
    return f"{_shape(row.shape)} tokens{'' if row.run else ' (extrapolated)'}"


def _explained(row: Row) -> list[str]:
    """Returns notes on a row that was not run, or whose peak is not a training step's."""
    name = _shape(row.shape) + (" ckpt" if row.checkpoint else "")
    if row.run is not None:
        higher = row.run.validate.active > row.run.train.active
        return [f"{name}: the peak is validation's"] if higher else []
    if row.need is None:
        return [f"— {name}: {WHY[row.why]}, and too little else was run{MEND.get(row.why, '')}"]
    assert row.need.origin is not None
    notes = [
        f"~{name}: extrapolated from {_shape(row.need.origin)} ({WHY[row.why]}), "
        f"active ± {format_size(row.need.active.margin)}, "
        f"footprint ± {format_size(row.need.footprint and row.need.footprint.margin)}"
    ]
    if row.verdict.word == "cannot tell":
        notes.append(f"  the budget is within the margin of error{MEND.get(row.why, '')}")
    return notes


def _figure(figure: Estimate | None) -> dict[str, int] | None:
    return None if figure is None else figure._asdict()
