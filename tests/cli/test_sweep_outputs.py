"""Where a sweep's result goes."""

import json
import os
import threading
from pathlib import Path

from mlxtop.cli.sweep_runner import Outputs
from mlxtop.sweep import store
from mlxtop.sweep.runner import Sweep
from tests.sweep.made import Bench, plan


def test_a_fifo_gets_the_result_once_and_no_cell_waits_for_its_reader(tmp_path: Path) -> None:
    pipe, kept = tmp_path / "pipe", tmp_path / "kept.json"
    os.mkfifo(pipe)
    piped, filed = (Outputs(path, None, None, None) for path in (pipe, kept))
    of = plan(rounds=1)
    sweep = Sweep(of, Bench(of, [70.0, 90.0, 100.0, 100.0]), keep=piped.keep)
    sweep.run()
    assert sweep.progress.stage == "done"
    filed.keep(sweep.summary, sweep.facts, sweep.measurements)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    piped.end(sweep)
    reader.join(30)
    assert read == [kept.read_text()]
    assert len(json.loads(read[0])["readings"]) == len(store.read(kept).measurements) > 0
    assert pipe.is_fifo()
