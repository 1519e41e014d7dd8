"""Runs the tests of MLX in a separate process, so that a crash or a hang of MLX is only a finding.

`python -m mlxtop.doctor.isolated` writes one JSON object per finding to standard output.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

from mlxtop.doctor import allocator
from mlxtop.doctor.finding import Finding, Section, run

TITLE = "MLX"
WITHIN = 60.0
"""Seconds for the whole process."""


def check(section: Section) -> Iterator[Finding]:
    """The findings of the process, and how it ended if it failed."""
    command = [sys.executable, "-m", "mlxtop.doctor.isolated"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN
        )
    except subprocess.TimeoutExpired as error:
        yield from _findings(error.stdout or b"")
        yield section.wrong("process", f"did not end within {WITHIN:g} s")
        return
    yield from _findings(done.stdout)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        yield section.wrong(
            "process", f"{_ended(done.returncode)}: {last}" if last else _ended(done.returncode)
        )


def _findings(output: str | bytes) -> Iterator[Finding]:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    for line in text.splitlines():
        if line.startswith("{"):
            yield Finding.from_json(json.loads(line))


def _ended(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def main() -> None:
    for finding in run(TITLE, allocator.check):
        print(json.dumps(finding.to_json()), flush=True)


if __name__ == "__main__":
    main()
