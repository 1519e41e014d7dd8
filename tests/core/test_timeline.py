from mlxtop.core.events import CacheCleared, Event, MarkAdded, PeakReset, PhaseChanged, WorkloadDone
from mlxtop.core.timeline import KEPT, Timeline


def test_between_gives_one_kind_from_start_up_to_but_not_at_the_end() -> None:
    timeline = Timeline()
    for second in range(6):
        timeline.add(Event(second, MarkAdded(str(second), "me", 0, 0, 0, 0)))
        timeline.add(Event(second, CacheCleared("me")))
    assert [event.time for event in timeline.between(MarkAdded, 2, 4)] == [2, 3]
    assert timeline.between(MarkAdded, 9, 99) == []
    assert timeline.between(PeakReset, 0, 99) == []


def test_a_flood_of_one_kind_drowns_neither_memory_nor_another_kind() -> None:
    timeline = Timeline()
    timeline.add(Event(0.0, MarkAdded("first", "me", 0, 0, 0, 0)))
    for tick in range(3 * KEPT):
        timeline.add(Event(float(tick), CacheCleared("me")))
    clears = timeline.between(CacheCleared, 0, 1e9)
    assert len(clears) == KEPT
    assert clears[-1].time == 3 * KEPT - 1
    assert [mark.data.name for mark in timeline.between(MarkAdded, 0, 1)] == ["first"]


def test_the_latest_of_a_kind() -> None:
    timeline = Timeline()
    assert timeline.latest(MarkAdded) is None
    for second in (1.0, 2.0):
        timeline.add(Event(second, MarkAdded("me", "me", 0, 0, 0, 0)))
    timeline.add(Event(3.0, WorkloadDone()))
    assert timeline.latest(MarkAdded) == Event(2.0, MarkAdded("me", "me", 0, 0, 0, 0))


def test_what_mlx_lm_does_all_the_time_is_counted_and_not_kept() -> None:
    timeline = Timeline()
    for who in ("mlx_lm/generate.py:463", "keyboard", "mlx_lm/generate.py:463"):
        timeline.add(Event(1.0, CacheCleared(who, 0)))
    assert [event.data.source for event in timeline.between(CacheCleared, 0, 9)] == ["keyboard"]
    assert timeline.routine[CacheCleared] == 2


def test_one_event_may_stand_for_several() -> None:
    timeline = Timeline()
    for who, count in (("mlx_lm/generate.py:463", 7), ("train.py:3", 5), ("train.py:3", 1)):
        timeline.add(Event(1.0, CacheCleared(who, 0, count)))
    assert (timeline.count(CacheCleared), timeline.routine[CacheCleared]) == (13, 7)
    assert len(timeline.between(CacheCleared, 0, 9)) == 2


def test_the_latest_of_those_that_are_wanted() -> None:
    timeline = Timeline()
    for second in (1.0, 2.0, 3.0):
        timeline.add(Event(second, MarkAdded("me", "me", 0, 0, 0, 0)))
    assert timeline.latest(MarkAdded, lambda event: event.time < 3) == Event(
        2.0, MarkAdded("me", "me", 0, 0, 0, 0)
    )
    assert timeline.latest(MarkAdded, lambda event: event.time < 1) is None


def test_an_event_that_is_told_late_takes_its_place_in_time() -> None:
    timeline = Timeline()
    for second in (1.0, 3.0):
        timeline.add(Event(second, PhaseChanged("me")))
    timeline.insert(Event(2.0, PhaseChanged("me")))
    timeline.add(Event(2.5, PhaseChanged("me")))
    assert [event.time for event in timeline.between(PhaseChanged, 0, 9)] == [1, 2, 2.5, 3]
    assert (timeline.late[PhaseChanged], timeline.late[MarkAdded]) == (2, 0)


def test_late_events_are_bounded_too() -> None:
    timeline = Timeline(kept=3)
    for second in (3.0, 4.0, 5.0, 1.0, 4.5):
        timeline.add(Event(second, PhaseChanged("me")))
    assert [event.time for event in timeline.between(PhaseChanged, 0, 9)] == [4, 4.5, 5]
