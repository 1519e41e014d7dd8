"""macOS: the reports of jetsam, which ends processes to get memory back.

https://developer.apple.com/documentation/xcode/identifying-high-memory-use-with-jetsam-event-reports
Not tested on a Mac yet.
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import count, parse_json, text

REPORTS = Path("/Library/Logs/DiagnosticReports")
LARGEST = 2**24
"""Bytes of the largest report that is read."""


def reason(pid: int, since: float) -> str | None:
    """Returns the reason why jetsam ended process `pid`; `None` if no report names it.

    Reports written before `since` (seconds since the epoch) are left out.
    """
    if sys.platform != "darwin":
        return None
    with suppress(OSError):
        for path in sorted(REPORTS.glob("JetsamEvent-*.ips"), reverse=True):
            found = path.stat()
            if found.st_mtime >= since and found.st_size <= LARGEST:
                why = parse(path.read_text(encoding="utf-8", errors="replace"), pid)
                if why is not None:
                    return why
    return None


REASONS = {
    "per-process-limit": "it reached the limit that the system sets for it",
    "vm-pageshortage": "the system had no free memory left",
    "vnode-limit": "the system had too many files open",
    "highwater": "it was above the mark that the system gave it",
    "jettisoned": "the system needed its memory for something else",
    "fc-thrashing": "the system kept reading the same files again",
    "disk-space-shortage": "the system had no room left for swap",
}
"""What a reason means."""


class Process(NamedTuple):
    """One process of a report. Sizes are bytes; `None` is what the report does not tell."""

    name: str
    pid: int | None
    footprint: int | None
    """Its resident pages times the page size."""
    most: int | None
    """The same at its highest."""
    reason: str | None
    """Why jetsam ended it; `None` if it did not."""
    coalition: int | None
    """The number of the group that it is charged with: an app and its helpers."""


class JetsamEvent(NamedTuple):
    """What a report says."""

    time: float | None
    """Seconds since the epoch."""
    device: str
    system: str
    page_size: int
    largest: str
    """The name of the process that took the most."""
    processes: tuple[Process, ...]

    @property
    def ended(self) -> tuple[Process, ...]:
        """The processes that jetsam ended."""
        return tuple(process for process in self.processes if process.reason is not None)

    def coalition(self, process: Process) -> tuple[Process, ...]:
        """All processes of the same coalition, itself among them."""
        return tuple(
            p for p in self.processes if p.coalition is not None and p.coalition == process.coalition
        )


def read_event(path: Path) -> JetsamEvent:
    """What the report `path` says. Raises `UsageError` if it cannot be read or is another kind of report."""
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is larger than any report of jetsam.")
        report = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    found = parse_event(report)
    if found is None:
        raise UsageError(
            f"{path} is no report of jetsam: its name begins with JetsamEvent, on the device and on a Mac."
        )
    return found


def parse_event(report: str) -> JetsamEvent | None:
    """What the text of a report says; `None` for another kind of report."""
    head_line, _, rest = report.partition("\n")
    head, body = _object(head_line), _object(rest)
    status = body.get("memoryStatus")
    page_size = _count((status if isinstance(status, dict) else body).get("pageSize")) or _count(
        body.get("pageSize")
    )
    given = body.get("processes")
    if not page_size or not isinstance(given, list):
        return None
    processes = tuple(_process(each, page_size) for each in given if isinstance(each, dict))
    return JetsamEvent(
        _time(head.get("timestamp") or body.get("date")),
        _word(body.get("product")),
        _word(head.get("os_version") or body.get("build")),
        page_size,
        _word(body.get("largestProcess")),
        processes,
    )


def _process(data: Mapping[str, object], page_size: int) -> Process:
    pages, most, why = _count(data.get("rpages")), _count(data.get("lifetimeMax")), data.get("reason")
    return Process(
        _word(data.get("name")) or "—",
        _count(data.get("pid")),
        None if pages is None else pages * page_size,
        None if most is None else most * page_size,
        _word(why) if isinstance(why, str) else None,
        _count(data.get("coalition")),
    )


def _object(report: str) -> dict[str, object]:
    try:
        found = parse_json(report)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _count(value: object) -> int | None:
    with suppress(ValueError):
        return count(value, 0, 2**40)
    return None


def _word(value: object) -> str:
    return text(value, 80) if isinstance(value, str) else ""


def _time(value: object) -> float | None:
    for form in ("%Y-%m-%d %H:%M:%S.%f %z", "%Y-%m-%d %H:%M:%S %z"):
        with suppress(ValueError, OverflowError):
            return datetime.strptime(value if isinstance(value, str) else "", form).timestamp()
    return None


def parse(report: str, pid: int) -> str | None:
    """Returns the reason that a report gives for process `pid`; `None` if it did not end that process.

    A report is a line of JSON about itself, then one JSON object. Only a process that was ended has a reason.
    """
    try:
        body = parse_json(report.partition("\n")[2])
    except ValueError:
        return None
    processes = body.get("processes") if isinstance(body, dict) else None
    for process in processes if isinstance(processes, list) else ():
        if isinstance(process, dict) and process.get("pid") == pid:
            why = process.get("reason")
            return why if isinstance(why, str) else None
    return None
