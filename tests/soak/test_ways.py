"""What is said of programs that do what people do with mlx-lm, the same all the time."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlxtop.analysis.diagnosis import diagnose
from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.commands import SetInterval, TakeCensus
from mlxtop.sessions.attach import attach
from mlxtop.sessions.remote import RemoteSession
from tests.agent.program import starting, until
from tests.checkpoint import write_checkpoint
from tests.ways import AGAIN, WAYS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WINDOW = 30.0
"""Seconds: ten minutes in a nutshell."""
DOUBTS = {"not enough data", "steady"}


@contextmanager
def watched(folder: Path, checkpoint: Path, *ways: str) -> Iterator[RemoteSession]:
    script = folder / "program.py"
    script.write_text(WAYS + AGAIN)
    with starting() as start:
        program = start([sys.executable, str(script), str(checkpoint), *ways])
        fleet = attach([program.path()])
        try:
            session = until(lambda: next(iter(fleet.members()), None), 60)
            session.submit(SetInterval(0.02))
            yield session
        finally:
            fleet.stop()


def said(session: RemoteSession) -> tuple[Verdict, ...]:
    return diagnose(
        session.history, session.timeline, session.state, session.phases, session.now(), session.steps_are,
        window=WINDOW,
    ).verdicts  # fmt: skip


@pytest.mark.parametrize("way", ["running", "speculative", "vision"])
def test_work_that_keeps_nothing_grows_by_nothing(
    checkpoint: Path, tmp_path: Path, soak: bool, way: str
) -> None:
    if not soak:
        pytest.skip("a minute of a real program: --soak")
    with watched(tmp_path, checkpoint, way) as session:
        end, found = time.monotonic() + 2 * WINDOW, set[str]()
        while time.monotonic() < end:
            found |= {verdict.kind for verdict in said(session)}
            time.sleep(0.2)
        # Each piece of work has its peak; on a loaded machine that lasts.
        assert found <= {*DOUBTS, "swings", "spikes"}
        assert found & {"steady", "swings", "spikes"}


@pytest.mark.parametrize("way", ["batch", "running"])
def test_what_is_kept_of_each_batch_is_growth(tmp_path: Path, soak: bool, way: str) -> None:
    if not soak:
        pytest.skip("a minute of a real program: --soak")
    # 16 MiB of caches a batch: a program grows by as much on its own.
    checkpoint = write_checkpoint(tmp_path / "model", hidden=256, layers=4)
    # What is kept of a batch is not computed; of a generator it is.
    kind = {"batch": "not evaluated", "running": "active grows"}[way]
    with watched(tmp_path, checkpoint, way, "keep") as session:
        found, asked = dict[str, Verdict](), -1.0

        def look() -> bool:
            nonlocal asked
            if session.now() - asked > 3.0:
                asked = session.now()
                session.submit(TakeCensus())
            found.update({verdict.kind: verdict for verdict in said(session)})
            return kind in found

        until(look, 180)
        # The first few caches are less than what a program grows by on its own.
        assert found.keys() <= {*DOUBTS, "active grows", kind}
    if way == "batch":
        assert "kept[…].caches[…]" in found[kind].advice
