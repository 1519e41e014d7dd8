"""What `mlxtop follow` costs for 100,000 lines from a pipe, all of one form or mixed: processor time, less
that of its start. At 100,000 lines a second half a second is half of a core."""

import json
import os
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import MLXTOP, Figure, main, quartiles

LINES = 100_000
BAR = ("≤", 0.5)
MIB = 2**20
RECORDED = "mlxtop's line, recorded"


def measure(times: int = 10) -> Iterator[Figure]:
    """`times` each, in turns, of three times as many lines."""
    forms = _forms(3 * LINES)
    spent: dict[str, list[float]] = {name: [] for name in (*forms, RECORDED)}
    with TemporaryDirectory() as folder:
        for name, log in {"one": ["mlxtop is here\n"], **forms}.items():
            Path(folder, name).write_text("".join(log))
        for turn in range(times):
            start = _spent(folder, "one")
            for name in forms:
                spent[name].append((_spent(folder, name) - start) / 3)
            recording = ("--record", f"{folder}/{turn}.mlxtop")
            spent[RECORDED].append((_spent(folder, "mlxtop's line", *recording) - start) / 3)
    for name, found in spent.items():
        yield Figure(f"follow: 100,000 lines: {name}", statistics.median(found), "s", quartiles(found), BAR)


def _spent(folder: str, name: str, *options: str) -> float:
    """Seconds of processor time to follow a log to its end, through a pipe."""
    with subprocess.Popen(["cat", Path(folder, name)], stdout=subprocess.PIPE) as log:
        mlxtop = subprocess.Popen(
            [MLXTOP, "follow", "-", "--headless", *options],
            stdin=log.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(mlxtop.pid, 0)
    mlxtop.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _forms(count: int) -> dict[str, list[str]]:
    text = [
        f"[{i:8}] INFO server: request {i} took {i % 97} ms, client 10.0.0.{i % 255}\n" for i in range(count)
    ]
    line = [
        f"mlxtop {json.dumps(_told(i) | {'available': 800 * MIB, 't': i / LINES})}\n" for i in range(count)
    ]
    unknown = dict.fromkeys(("weights", "kv", "high", "buffers"))
    own = [
        json.dumps(
            {"type": "sample", "time": i / LINES, **_told(i), "tokens": i, "steps": i, "decode": i} | unknown
        )
        + "\n"
        for i in range(count)
    ]
    return {
        "text": text,
        "one in ten is mlxtop's line": [text[i] if i % 10 else line[i] for i in range(count)],
        "mlxtop's line": line,
        "mlx-swift's three": [row for i in range(count // 3) for row in _swift(i)],
        "mlxtop --json": own,
    }


def _told(i: int) -> dict[str, object]:
    active, cache, peak = 500 * MIB + i % MIB, 30 * MIB + i % 1000, 600 * MIB + i
    return {"active": active, "cache": cache, "peak": peak, "footprint": 900 * MIB, "phase": "decode"}


def _swift(i: int) -> Iterator[str]:
    for name, size in (("Peak:", 600 * MIB + i), ("Active:", 500 * MIB + i % MIB), ("Cache:", 30 * MIB + i)):
        yield f"{name:<7} {f'{size // MIB}M':<12} ({size})\n"


if __name__ == "__main__":
    main(measure)
