"""What is no longer kept is told of."""

import json

from mlxtop.agent.event_log import KEPT, EventLog
from mlxtop.core.events import MarkAdded, PeakReset


def read(news: EventLog, number: int) -> tuple[list[dict[str, object]], int]:
    messages = news.since(number)
    return [json.loads(message) for _, message in messages], messages[-1][0] + 1


def test_a_viewer_that_falls_behind_is_told_how_much_it_missed() -> None:
    news = EventLog(lambda _: None)
    for i in range(3):
        news.emit(MarkAdded(str(i), "me", 0, 0, 0, 0))
    first, number = read(news, 0)
    assert len(first) == 3
    for i in range(20_000):
        news.emit(MarkAdded(str(i), "me", 0, 0, 0, 0))
    got = []
    while messages := news.since(number):
        got += [json.loads(message)["data"] for _, message in messages]
        number = messages[-1][0] + 1
    told, *rest = got
    assert len(rest) == KEPT
    assert told["message"].startswith(f"{20_000 - KEPT:,} events are missing here")
    assert rest[-1]["name"] == "19999"


def test_of_resets_that_are_told_as_one_the_highest_peak_is_told() -> None:
    news = EventLog(lambda _: None)
    for peak in (5, 900, 7):
        news.emit_often(PeakReset("train.py:3", peak))
    news.flush_repeats(float("inf"))
    told = [message["data"] for message in read(news, 0)[0]]
    assert [(one["peak"], one.get("times", 1)) for one in told] == [(5, 1), (900, 2)]
