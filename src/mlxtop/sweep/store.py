"""A sweep's file. It is written after every cell, so an interrupted sweep can be resumed."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from mlxtop import __version__
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.facts import UNNAMED, Facts
from mlxtop.core.parsing import parse_json
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.plan import Plan
from mlxtop.sweep.results import Summary

SIGN = "mlxtop sweep"
FORMAT = 1
MOST_BYTES = 2**28
"""The largest file that is read. A sweep of a hundred thousand cells needs less."""


class SweepFileError(MlxtopError):
    """A sweep's file cannot be read."""


class Stored(NamedTuple):
    """The content of a file that a sweep needs to resume."""

    plan: Plan
    facts: Facts
    measurements: list[Measurement]


def to_json(summary: Summary, facts: Facts, measurements: list[Measurement]) -> dict[str, Any]:
    """Returns the plan, all repeats and the results. Sizes are bytes, spans seconds."""
    advice = summary.recommendation
    return {
        "type": SIGN,
        "format": FORMAT,
        "mlxtop": __version__,
        "plan": summary.plan.to_json(),
        "facts": facts.to_json(),
        "advice": {
            "verdict": advice.verdict,
            "sentence": advice.sentence,
            "choice": None if advice.arm is None else summary.plan.label(advice.arm),
            "more_rounds": advice.more,
        },
        "notes": summary.notes,
        "busy": None if summary.usual is None else summary.usual.median,
        "cells": [
            {
                "choice": row.label,
                "prompt_tokens": row.length,
                "repeats": row.repeats,
                "disturbed": row.disturbed,
                "error": row.error,
                "pareto": row.front,
                "chosen": row.chosen,
                **{
                    name: {
                        "median": s.median,
                        "low": s.low if s.low == s.low else None,
                        "high": s.high if s.high == s.high else None,
                    }
                    for name, s in row.spreads.items()
                },
            }
            for row in summary.rows
        ],
        "readings": [measurement.to_json() for measurement in measurements],
    }


def text(summary: Summary, facts: Facts, measurements: list[Measurement]) -> str:
    """Returns the text of a sweep's file."""
    return json.dumps(to_json(summary, facts, measurements), indent=1) + "\n"


def read(path: Path) -> Stored:
    """Returns the sweep in the file `path`. Raises `SweepFileError`."""
    try:
        with path.open("rb") as file:
            found = file.read(MOST_BYTES + 1)
        if len(found) > MOST_BYTES:
            raise SweepFileError(f"{path} is not a sweep's --json file: it is too long.")
        data = parse_json(found.decode())
    except OSError as error:
        raise SweepFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SweepFileError(f"{path} is not a sweep's --json file: it is not JSON.") from error
    if not isinstance(data, dict) or data.get("type") != SIGN:
        raise SweepFileError(f"{path} is not a sweep's --json file.")
    if data.get("format") != FORMAT:
        raise SweepFileError(f"{path} was written by another version of mlxtop ({data.get('mlxtop')}).")
    try:
        plan = Plan.from_json(data["plan"])
        arms, lengths = len(plan.arms), len(plan.lengths)
        measurements = [Measurement.from_json(r, arms, lengths) for r in data["readings"]]
        facts = Facts.from_json(dict(data["facts"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SweepFileError(f"{path} is damaged: its sweep cannot be read.") from error
    return Stored(plan, facts, measurements)


def check_plan(stored: Stored, plan: Plan, path: Path) -> None:
    """Raises `UsageError` if the sweep in `path` cannot be combined with a sweep of `plan`."""
    difference = stored.plan.differs(plan)
    if difference is not None:
        raise UsageError(
            f"{path} was not measured with the same {difference}: leave that option out, "
            "or start a new sweep without --resume."
        )


def check_device(stored: Stored, facts: Facts) -> None:
    """Raises `UsageError` if the stored sweep was measured on another device or version."""
    for name in ("device", "backend", "mlx"):
        was, is_ = getattr(stored.facts, name), getattr(facts, name)
        if was not in (None, UNNAMED) and was != is_:
            raise UsageError(
                f"The sweep to resume was measured with {name} {was}, not {is_}: "
                "start a new one without --resume."
            )
