"""What is no longer kept is told of."""

import json

from mlxtop.agent.event_log import KEPT, EventLog
from mlxtop.core.events import MarkAdded


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
