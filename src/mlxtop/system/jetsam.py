"""macOS: the reports of jetsam, which ends processes to get memory back.

https://developer.apple.com/documentation/xcode/identifying-high-memory-use-with-jetsam-event-reports
Not tested on a Mac yet.
"""

import sys
from contextlib import suppress
from pathlib import Path

from mlxtop.core.parsing import parse_json

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
