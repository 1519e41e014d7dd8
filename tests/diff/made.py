"""Recordings of one real run, and of the same with something planted in it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

from mlxtop.core.events import Event, StepPeaked
from mlxtop.core.limits import MIB
from mlxtop.core.sample import Sample
from mlxtop.diff.comparison import Comparison, compare
from mlxtop.diff.read import read
from tests.recording.source import Item, Session, real_run, record

LENGTH = 26.0
Change = Callable[[Iterable[Item]], Iterator[Item]]


def unchanged(items: Iterable[Item]) -> Iterator[Item]:
    yield from items


def leak(items: Iterable[Item]) -> Iterator[Item]:
    """8 MiB more stay until the end, a little with each sample."""
    for item in items:
        if isinstance(item, Sample):
            more = round(8 * MIB * min(1.0, item.time / LENGTH))
            item = item._replace(active=item.active + more, total=item.total + more)
        yield item


def higher_peak(items: Iterable[Item]) -> Iterator[Item]:
    """Each step takes a tenth more."""
    for item in items:
        if isinstance(item, Sample):
            item = item._replace(
                peak=round(item.peak * 1.1), high=round(item.high * 1.1) if item.high > 0 else -1
            )
        elif isinstance(item.data, StepPeaked):
            item = cast("Event", item._replace(data=item.data.replace(peak=round(item.data.peak * 1.1))))
        yield item


def slower_decode(items: Iterable[Item]) -> Iterator[Item]:
    """A step takes so long that a tenth fewer are done in a second of work."""
    for item in items:
        yield item._replace(decode=round(item.decode / 0.9)) if isinstance(item, Sample) else item


def recorded(path: Path, change: Change = unchanged) -> Path:
    session = Session()
    record(path, change(real_run(session)), session=session)
    return path


def compared(a: Path, b: Path) -> Comparison:
    return compare(read(a), read(b))


def told(comparison: Comparison) -> dict[str, set[str]]:
    """The measures that changed, by part."""
    found: dict[str, set[str]] = {}
    for row in comparison.changed:
        found.setdefault(row.part, set()).add(f"{row.measure} {row.found}")
    return found
