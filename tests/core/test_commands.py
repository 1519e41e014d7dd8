"""Commands and events as values."""

from mlxtop.core.commands import ClearCache, ResetPeak, StopWorkload, TakeCensus
from mlxtop.core.events import CacheCleared, Event, PeakReset


def test_two_of_different_types_are_never_equal() -> None:
    assert ClearCache("keyboard") == ClearCache("keyboard")
    assert ClearCache("keyboard") != ClearCache("flag")
    assert ClearCache("keyboard") != ResetPeak("keyboard")
    assert TakeCensus() != StopWorkload()
    assert Event(0.0, CacheCleared("me", 1)) != Event(0.0, PeakReset("me", 1))
    assert len({ClearCache("me"), ClearCache("me"), ResetPeak("me")}) == 2
