"""Things that happen at a time. Numbers that flow all the time are samples (`core/history.py`)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from mlxtop.core.units import Units, format_size, format_span


class Kind(StrEnum):
    """What an event is about; beside each, what its `data` holds (sizes in bytes, spans in seconds)."""

    FACTS = "facts"  # device, backend, versions, ceilings: see `mlx/device.py`
    PHASE = "phase"  # phase; tokens (of the prompt) with prefill
    PROGRESS = "progress"  # phase, done, total
    LIMIT = "limit"  # knob, old, new, who; asked when it answers a command
    CLEAR = "clear"  # who, freed; count when it stands for several
    RESET = "reset"  # who, peak (before the reset)
    COLLECT = "collect"  # who, objects, freed: Python's garbage collector ran
    CENSUS = "census"  # see `core/census.py`
    MARK = "mark"  # name, who, active, cache, peak, tokens
    GENERATION = "generation"  # tokens, prompt_tokens, context (before it), ttft, tps, prompt_tps, reason
    BUDGET = "budget"  # budget, source, against; level, was, used of an alarm: see `core/budget.py`
    SYSTEM = "system"  # what the machine said of its memory: the known fields of `core/machine.py`
    ERROR = "error"  # message; phase it happened in
    LATE = "late"  # ticks skipped
    DONE = "done"  # the workload has nothing left to do
    END = "end"  # cause: why nothing was recorded from here on; in recordings only


class Event(NamedTuple):
    """One event. `time` is seconds since the session began."""

    time: float
    kind: Kind
    data: Mapping[str, Any] = MappingProxyType({})

    @property
    def routine(self) -> bool:
        """Whether a library did what it does all the time: mlx-lm clears the cache after every prompt, and
        sets the wired limit for it. A cache limit is never that."""
        routine = str(self.data.get("who", "")).startswith("mlx_lm/")
        return routine and self.data.get("knob") != "cache"

    def describe(self, units: Units = "binary") -> str:
        """One plain line for a person."""
        d = self.data
        match self.kind:
            case Kind.LIMIT:
                old, new = format_size(d["old"], units), format_size(d["new"], units)
                return f"{d['knob']} limit {old} → {new} by {d['who']}"
            case Kind.CLEAR:
                return f"cache cleared by {d['who']}, {format_size(d.get('freed'), units)} returned"
            case Kind.RESET:
                return f"peak reset by {d['who']}, it was {format_size(d['peak'], units)}"
            case Kind.COLLECT:
                freed = format_size(d["freed"], units)
                return f"gc.collect() by {d['who']}: {d['objects']:,} objects, {freed} freed"
            case Kind.MARK:
                return f"mark “{d['name']}”"
            case Kind.GENERATION:
                first = format_span(d["ttft"])
                return f"{d['tokens']} tokens at {d['tps']:.1f} tok/s, first after {first}, {d['reason']}"
            case Kind.BUDGET:
                return _budget(d, units)
            case Kind.ERROR:
                return str(d["message"])
            case Kind.PHASE:
                return str(d["phase"])
            case Kind.END:
                return str(d["cause"])
            case _:
                return self.kind.value


def _budget(d: Mapping[str, Any], units: Units) -> str:
    if d["budget"] is None:
        return "no budget any more"
    size, level, was = format_size(d["budget"], units), d["level"], d["was"]
    if d["used"] is None:
        return f"budget {size} ({d['source']})"
    used = f"{d['against']} {format_size(d['used'], units)} of {size}"
    if level < was:
        return f"below {was} % of the budget again: {used}"
    return f"{'budget reached' if level >= 100 else f'{level} % of the budget'}: {used}"
