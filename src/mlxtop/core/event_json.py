"""An event's data as plain JSON and back: in recordings, in `--json`, and between agent and viewer.

The keys are the data's own fields; the words of mlxtop 0.1 are read too. What has its default is left out.
What comes in is checked here, once.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlxtop.core.events import (
    KINDS,
    BudgetChanged,
    CacheCleared,
    CensusTaken,
    ErrorRaised,
    EventData,
    FactsRead,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    LossReported,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    ProgressMade,
    SessionEnded,
    StepPeaked,
    SystemRead,
    TicksMissed,
    TraceStarted,
    TraceStopped,
    WorkloadDone,
)
from mlxtop.core.facts import Facts
from mlxtop.core.parsing import count, difference, finite, limit_name, seconds, size, text, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Check = Callable[[object], object]

NAME, SOURCE, MESSAGE, PATH = 80, 200, 1_000, 4_096
"""Letters that are kept: of a phase or a mark, of who did it, of an error, of a file's path."""


def name(value: object) -> str:
    """Of a phase or a mark. Raises `ValueError`."""
    return text(value, NAME)


def source(value: object) -> str:
    """Who did it. Raises `ValueError`."""
    return text(value, SOURCE)


def message(value: object) -> str:
    """Of an error. Raises `ValueError`."""
    return text(value, MESSAGE)


def path(value: object) -> str:
    """Of a file. Raises `ValueError`."""
    return text(value, PATH)


_OLD_KEYS = {"name": "knob", "source": "who", "times": "count"}
"""The fields that had another name in mlxtop 0.1."""
_CHECKS: Mapping[type[object], Mapping[str, Check]] = {
    PhaseChanged: {"phase": name, "tokens": count},
    ProgressMade: {"phase": name, "done": count, "total": count},
    LimitChanged: {
        "name": limit_name, "old": difference, "new": difference, "source": source,
        "asked": difference, "default": size, "found": truth, "times": count,
    },
    CacheCleared: {"source": source, "freed": difference, "times": count, "total": count},
    PeakReset: {"source": source, "peak": count, "times": count},
    StepPeaked: {
        "peak": count, "floor": count, "step": count, "phase": name, "caller": source, "tokens": count,
        "how": name,
    },
    GarbageCollected: {"source": source, "objects": count, "freed": difference},
    TraceStarted: {"path": path, "source": source},
    TraceStopped: {"path": path, "source": source},
    MarkAdded: {
        "name": name, "source": source, "active": count, "cache": count, "peak": count, "tokens": count,
    },
    GenerationFinished: {
        "tokens": count, "prompt_tokens": count, "ttft": seconds, "tps": seconds, "prompt_tps": seconds,
        "reason": source, "context": count,
    },
    LossReported: {"iteration": count, "loss": finite, "validation": truth, "tps": seconds},
    ErrorRaised: {"message": message, "phase": name},
    TicksMissed: {"ticks": count},
    WorkloadDone: {},
    SessionEnded: {"cause": message},
}  # fmt: skip
_TYPES: Mapping[str, type[Any]] = {kind: type_ for type_, kind in KINDS.items()}


def to_json(data: EventData) -> dict[str, Any]:
    """Plain data for `json.dumps`, without the kind."""
    match data:
        case FactsRead(facts):
            return facts.to_json()
        case CensusTaken(census):
            return census.to_json()
        case SystemRead(system):
            return system.to_json()
        case BudgetChanged(budget, level, was, used):
            bytes_, origin, against = budget or (None, "", "footprint")
            return {
                "budget": bytes_, "source": origin, "against": against,
                "level": level, "was": was, "used": used,
            }  # fmt: skip
    defaults = data.defaults
    return {
        field: value
        for field, value in data.fields().items()
        if field not in defaults or value != defaults[field]
    }


def from_json(kind: str, fields: object) -> EventData | None:
    """The data of an event; `None` for a kind that nobody here knows. Raises `ValueError`."""
    type_ = _TYPES.get(kind)
    if type_ is None:
        return None
    if not isinstance(fields, Mapping):
        raise ValueError("an event has named data")
    if type_ in _CHECKS:
        return _checked(type_, fields)
    return _composed(type_, fields)


def _checked(type_: type[Any], fields: Mapping[str, object]) -> EventData:
    values = {}
    for field, check in _CHECKS[type_].items():
        key = field if field in fields else _OLD_KEYS.get(field, field)
        if fields.get(key) is not None or (field not in type_.defaults and key in fields):
            values[field] = check(fields[key])
        elif field not in type_.defaults:
            raise ValueError(f"an event lacks {field}")
    data: EventData = type_(**values)
    return data


def _composed(type_: type[object], fields: Mapping[str, object]) -> EventData:
    """Data that holds one value of a type of its own, which the agent need not import."""
    if type_ is FactsRead:
        return FactsRead(Facts.from_json(fields))
    if type_ is CensusTaken:
        from mlxtop.core.census import Census

        return CensusTaken(Census.from_json(fields))
    if type_ is SystemRead:
        from mlxtop.core.machine import System

        return SystemRead(System.from_json(fields))
    from mlxtop.core.budget import Budget

    level, was = count(fields.get("level", 0)), count(fields.get("was", 0))
    return BudgetChanged(Budget.from_json(fields), level, was, difference(fields.get("used")))
