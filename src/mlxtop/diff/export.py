"""A comparison as plain data: what `mlxtop diff --json` prints."""

from collections.abc import Sequence
from typing import Any

from mlxtop.diff.comparison import Comparison
from mlxtop.diff.condition import Judgement
from mlxtop.diff.run import Run
from mlxtop.diff.story import sentence


def to_json(comparison: Comparison, judgements: Sequence[Judgement] = ()) -> dict[str, Any]:
    """Sizes are bytes, spans seconds, rates per second; `null` is what is not known."""
    return {
        "type": "mlxtop diff",
        "sentence": sentence(comparison),
        "a": _run(comparison.a),
        "b": _run(comparison.b),
        "rows": [row.to_json() for row in comparison.rows],
        "facts": [{**fact._asdict(), "differs": fact.differs} for fact in comparison.facts],
        "conditions": [
            {"condition": found.condition.text, "holds": found.holds, "why": found.why}
            for found in judgements
        ],
    }


def _run(run: Run) -> dict[str, Any]:
    return {"path": str(run.path), "kind": run.kind, "title": run.title or None, "seconds": run.seconds}
