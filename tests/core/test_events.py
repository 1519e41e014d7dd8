import pytest

from mlxtop.core.budget import Budget
from mlxtop.core.events import (
    BudgetChanged,
    CacheCleared,
    ErrorRaised,
    Event,
    EventData,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    LossReported,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    TraceStarted,
    TraceStopped,
    WorkloadDone,
)

SAID: list[tuple[EventData, str]] = [
    (LimitChanged("cache", 32 * 2**20, 0, "train.py:12"), "cache limit 32.0 MiB → 0 B by train.py:12"),
    (CacheCleared("keyboard", 2**20), "cache cleared by keyboard, 1.0 MiB returned"),
    (GarbageCollected("keyboard", 12_345, 2**20), "gc.collect() by keyboard: 12,345 objects, 1.0 MiB freed"),
    (PeakReset("keyboard", 2**30), "peak reset by keyboard, it was 1.00 GiB"),
    (MarkAdded("before", "keyboard", 1, 2, 3, 4), "mark “before”"),
    (
        GenerationFinished(96, 64, ttft=0.5, tps=41.25, prompt_tps=9.0, reason="length"),
        "96 tokens at 41.2 tok/s, first after 0.5s, length",
    ),
    (LossReported(1200, 2.3125, tps=1540.4), "train 1,200 · loss 2.31 · 1,540 tok/s"),
    (LossReported(0, None, validation=True), "validate 0 · loss not a number"),
    (ErrorRaised("Out of memory."), "Out of memory."),
    (PhaseChanged("prefill"), "prefill"),
    (TraceStarted("/tmp/a.mlxtrace", "keyboard"), "trace of every allocation into /tmp/a.mlxtrace"),
    (TraceStopped("/tmp/a.mlxtrace", "keyboard"), "trace complete: mlxtop trace show /tmp/a.mlxtrace"),
    (WorkloadDone(), "done"),
]


@pytest.mark.parametrize(("data", "line"), SAID, ids=[type(data).__name__ for data, _ in SAID])
def test_an_event_says_what_happened_in_one_line(data: EventData, line: str) -> None:
    assert Event(1.0, data).describe() == line


def test_an_event_speaks_decimal_units_too() -> None:
    event = Event(0.0, LimitChanged("memory", 10**9, 2 * 10**9, "flag"))
    assert event.describe("decimal") == "memory limit 1.00 GB → 2.00 GB by flag"
    budget = BudgetChanged(Budget(2**30, "flag"), used=2**29)
    for data in [*(data for data, _ in SAID), budget]:
        assert "iB" not in Event(0.0, data).describe("decimal")
