"""A day's worth of samples fed at speed: kept, recorded and looked at all the way. Three hours without `--soak`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import python

pytestmark = pytest.mark.slow

MIB = 2**20


def test_memory_stays_flat_while_a_day_is_watched_recorded_and_diagnosed(
    tmp_path: Path, soak: bool, figure: Callable[[str], None]
) -> None:
    hours = 24 if soak else 3
    held = python(f"""
import gc, json, psutil
from itertools import islice
from pathlib import Path
from mlxtop.analysis.diagnosis import diagnose
from mlxtop.core.history import History
from mlxtop.core.timeline import Timeline
from mlxtop.recording.recorder import Recorder
from tests.recording.source import Session, add, busy_run, commit, end

session, history, timeline = Session(interval=0.1), History(0.1), Timeline()
recorder = Recorder(Path({str(tmp_path / "day.mlxtop")!r}))
put = add(recorder, session)
samples, held = busy_run(10, {hours} * 3600), []
for minute in range({hours} * 60):
    minutes = list(islice(samples, 600))
    for sample in minutes:
        history.add(sample)
    commit(recorder, minutes, put)
    for width in (0.5, 5.0, 60.0, 600.0):
        history.columns(max(0.0, sample.time - 160 * width), width, 160)
    diagnose(history, timeline, session.state, ["start", "prefill", "decode"], sample.time, "tokens")
    if (minute + 1) % 60 == 0:
        gc.collect()
        held.append(psutil.Process().memory_info().rss)
end(recorder)
print(json.dumps(held))
""", timeout=280)  # fmt: skip
    settled, most = held[hours // 3 - 1], max(held)
    figure(
        f"{hours} hours fed at speed: {settled / MIB:.0f} MiB after a third of them, {most / MIB:.0f} at most"
    )
    assert most - settled < 8 * MIB
