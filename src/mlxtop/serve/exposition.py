"""The text that a scrape gets: written at most once a second, however many ask."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from prometheus_client.exposition import choose_encoder, generate_latest

from mlxtop.serve.collector import Gathered
from mlxtop.serve.watch import Watched

FRESH = 1.0
"""Seconds for which what was gathered is served again."""
OPENMETRICS = "application/openmetrics-text"
ACCEPTED = (
    f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
)
"""What a scraper may prefer; every other one gets the oldest text format, which all understand. No name of
ours needs escaping, and without it `prometheus_client` takes three quarters of the time."""


class Page(NamedTuple):
    """A body and its `Content-Type`."""

    type: str
    body: bytes


class Exposition:
    """Writes the metrics of `sessions()`. Any thread may ask; one writes, and the others wait for it."""

    def __init__(self, sessions: Callable[[], Sequence[Watched]]) -> None:
        self._sessions = sessions
        self._kept: dict[str, tuple[float, Page]] = {}
        self._lock = threading.Lock()
        self.gathered = 0
        """How often the sessions were read."""

    def page(self, accept: str = "") -> Page:
        """What to answer to a request with that `Accept`."""
        accept = _preferred(accept)
        with self._lock:
            at, page = self._kept.get(accept, (-FRESH, None))
            if page is None or time.monotonic() - at >= FRESH:
                page = self._write(accept)
                self._kept[accept] = time.monotonic(), page
            return page

    def text(self) -> bytes:
        """The text format that node_exporter reads, as it is now."""
        return generate_latest(self._gather(created=False))

    def _write(self, accept: str) -> Page:
        encode, content_type = choose_encoder(accept)
        return Page(content_type, encode(self._gather(created=accept.startswith(OPENMETRICS))))

    def _gather(self, created: bool) -> Gathered:
        self.gathered += 1
        return Gathered(self._sessions(), created)


def _preferred(accept: str) -> str:
    """The first of `ACCEPTED` that a scraper names: there are three kinds of page, whatever is asked for."""
    for word in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in word.split(";"))
        if kind == OPENMETRICS:
            return ACCEPTED[0]
        if kind == "text/plain" and "version=1.0.0" in parameters:
            return ACCEPTED[1]
    return ""
