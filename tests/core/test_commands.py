"""Commands and events as values."""

from collections.abc import Callable

import pytest

from mlxtop.core.commands import ClearCache, ResetPeak, SetLimit, StopWorkload, TakeCensus
from mlxtop.core.events import CacheCleared, Event, PeakReset


def test_a_command_is_a_value() -> None:
    command = SetLimit("cache", 7, source="keyboard")
    assert command == SetLimit(name="cache", size=7, source="keyboard")
    assert command.replace(size=9) == SetLimit("cache", 9, "keyboard")
    assert command.fields() == {"name": "cache", "size": 7, "source": "keyboard"}
    assert repr(command) == "SetLimit(name='cache', size=7, source='keyboard')"
    with pytest.raises(AttributeError, match="cannot be changed: size"):
        command.size = 9  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot be changed: size"):
        del command.size  # type: ignore[misc]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClearCache(),
        lambda: ClearCache("me", "you"),
        lambda: ClearCache("me", source="you"),
        lambda: ClearCache(who="me"),
    ],
)
def test_a_command_that_lacks_or_adds_something_is_none(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="ClearCache"):
        make()


def test_two_of_different_types_are_never_equal() -> None:
    assert ClearCache("keyboard") == ClearCache("keyboard")
    assert ClearCache("keyboard") != ClearCache("flag")
    assert ClearCache("keyboard") != ResetPeak("keyboard")
    assert TakeCensus() != StopWorkload()
    assert Event(0.0, CacheCleared("me", 1)) != Event(0.0, PeakReset("me", 1))
    assert len({ClearCache("me"), ClearCache("me"), ResetPeak("me")}) == 2
