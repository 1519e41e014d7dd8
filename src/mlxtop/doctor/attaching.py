"""Tests each way to attach to a running program, on a program of our own."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlxtop.attach.inject import Way, inject, ways
from mlxtop.core.errors import MlxtopError
from mlxtop.doctor.finding import Finding, Section

WITHIN = 10.0
"""Seconds for each way."""
_PROGRAM = """\
import time
print("up", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    time.sleep(0.05)
"""
_SCRIPT = "open({proof!r}, 'w').close()\n"


def check(section: Section) -> Iterator[Finding]:
    """For each available way: starts a program, runs a script in it, and checks that it keeps running."""
    for way in ways():
        if way.missing:
            yield section.missing(way.name, "—", way.missing)
        else:
            yield _try(section, way)


def _try(section: Section, way: Way) -> Finding:
    with tempfile.TemporaryDirectory(prefix="mlxtop-") as folder, _program() as program:
        proof, script = Path(folder) / "proof", Path(folder) / "script.py"
        script.write_text(_SCRIPT.format(proof=str(proof)), encoding="utf-8")
        began, refusal = time.monotonic(), ""
        try:
            inject(program.pid, script, proof.exists, WITHIN, way.name)
        except MlxtopError as error:
            refusal = str(error)
        took = time.monotonic() - began
        time.sleep(0.2)
        if program.poll() is not None:
            ended = f"the program ended with code {program.returncode}"
            return section.wrong(
                way.name, f"{ended} {refusal}".strip(), "Do not use it here; please report this."
            )
    if refusal:
        return section.missing(way.name, "refused; the program keeps running", refusal)
    return section.ok(way.name, f"attached after {took:.2f} s; the program keeps running")


@contextmanager
def _program() -> Iterator["subprocess.Popen[str]"]:
    """A Python program that sleeps, for at most a minute."""
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        if program.stdout is not None:
            program.stdout.readline()
        yield program
    finally:
        program.kill()
        program.communicate()
