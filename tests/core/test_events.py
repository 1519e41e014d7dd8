import pytest

from mlxtop.core.events import Event, Kind

SAID = [
    (
        Kind.LIMIT,
        {"knob": "cache", "old": 32 * 2**20, "new": 0, "who": "train.py:12"},
        "cache limit 32.0 MiB → 0 B by train.py:12",
    ),
    (Kind.CLEAR, {"who": "keyboard", "freed": 2**20}, "cache cleared by keyboard, 1.0 MiB returned"),
    (
        Kind.COLLECT,
        {"who": "keyboard", "objects": 12_345, "freed": 2**20},
        "gc.collect() by keyboard: 12,345 objects, 1.0 MiB freed",
    ),
    (Kind.RESET, {"who": "keyboard", "peak": 2**30}, "peak reset by keyboard, it was 1.00 GiB"),
    (Kind.MARK, {"name": "before"}, "mark “before”"),
    (
        Kind.GENERATION,
        {"tokens": 96, "tps": 41.25, "ttft": 0.5, "reason": "length"},
        "96 tokens at 41.2 tok/s, first after 0.5s, length",
    ),
    (Kind.ERROR, {"message": "Out of memory."}, "Out of memory."),
    (Kind.PHASE, {"phase": "prefill"}, "prefill"),
    (Kind.DONE, {}, "done"),
]


@pytest.mark.parametrize(("kind", "data", "line"), SAID, ids=[kind.value for kind, *_ in SAID])
def test_an_event_says_what_happened_in_one_line(kind: Kind, data: dict, line: str) -> None:
    assert Event(1.0, kind, data).describe() == line


def test_an_event_speaks_decimal_units_too() -> None:
    event = Event(0.0, Kind.LIMIT, {"knob": "memory", "old": 10**9, "new": 2 * 10**9, "who": "flag"})
    assert event.describe("decimal") == "memory limit 1.00 GB → 2.00 GB by flag"
    budget = {"budget": 2**30, "source": "flag", "against": "footprint", "level": 0, "was": 0, "used": 2**29}
    for kind, data in [*((kind, data) for kind, data, _ in SAID), (Kind.BUDGET, budget)]:
        assert "iB" not in Event(0.0, kind, data).describe("decimal")
