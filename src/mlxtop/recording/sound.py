"""Whether what a recording tells can be shown: the file may be somebody else's."""

from collections.abc import Mapping
from typing import Any

from mlxtop.core.event import Event, Kind

TEXTS = frozenset(("phase", "who", "name", "message", "knob", "reason", "source", "cause", "against"))
"""Fields of events that are text."""
SIZES = frozenset(("memory", "working_set", "max_buffer", "system_memory", "cgroup_limit"))
"""Facts in bytes; `None` where nobody knows."""


def check(event: Event) -> None:
    """Raises `ValueError` for an event with a field of another type than its name has."""
    if event.kind is Kind.FACTS:
        if sound(event.data) != event.data:
            raise ValueError("a fact is of another type")
    elif not all(isinstance(event.data[name], str) for name in TEXTS & event.data.keys()):
        raise ValueError("a text was expected")


def sound(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts without those whose type is another than their name has."""
    return {name: value for name, value in facts.items() if name not in SIZES or _is_size(value)}


def _is_size(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < 2**63)
