"""A fall of *active* that Python's collector made is told from one that it had no part in."""

import gc
from collections.abc import Iterator

import pytest

from mlxtop.agent.collector_watch import CollectorWatch
from mlxtop.core.events import COLLECTOR, Event, GarbageCollected

MIB = 2**20


@pytest.fixture(autouse=True)
def by_hand() -> Iterator[None]:
    """The collector runs when a test says so, and looks at nothing that was there before: that takes 0.1 s each time."""
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def collect_a_ring() -> None:
    ring: list[object] = []
    ring.append(ring)
    del ring
    assert gc.collect() > 0


def test_a_fall_between_two_ticks_in_which_the_collector_freed_something_is_its() -> None:
    watch = CollectorWatch()
    assert watch.look() is None
    collect_a_ring()
    found = watch.look(80 * MIB)
    assert found is not None
    assert (found.source, found.freed) == (COLLECTOR, 80 * MIB)
    assert found.objects >= 1
    assert watch.look(80 * MIB) is None


def test_a_fall_without_a_collection_and_a_collection_of_little_are_not_told() -> None:
    watch = CollectorWatch()
    assert watch.look(80 * MIB) is None
    collect_a_ring()
    assert watch.look(10 * MIB) is None


def test_a_collection_that_found_nothing_is_not_the_cause() -> None:
    watch = CollectorWatch()
    gc.collect()
    assert watch.look(80 * MIB) is None


def test_a_collector_that_runs_all_the_time_meets_a_fall_by_chance() -> None:
    watch = CollectorWatch()
    for _ in range(80):
        collect_a_ring()
        watch.look()
    collect_a_ring()
    assert watch.look(80 * MIB) is None
    for _ in range(200):
        watch.look()
    collect_a_ring()
    assert watch.look(80 * MIB) is not None


def test_it_is_told_as_what_it_is() -> None:
    told = Event(0.0, GarbageCollected(COLLECTOR, 847, 300 * MIB))
    assert told.describe() == "Python's garbage collector: 847 objects, 300.0 MiB freed"
