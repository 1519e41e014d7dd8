import re
import sys
import threading
import time
from pathlib import Path

import mlxtop
from mlxtop.mlx.sampler import Sampler
from mlxtop.system import self_usage, thread_clock
from tests.agent.program import until


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_time_that_the_screens_thread_uses_is_counted() -> None:
    before = self_usage.cpu()
    burn(0.05)
    assert self_usage.cpu() - before >= 0.05


def test_time_that_the_sampler_uses_is_counted() -> None:
    once = threading.Event()
    sampler = Sampler(60, lambda _: (burn(0.05), once.set()))
    before, mine = self_usage.cpu(), time.thread_time()
    sampler.start()
    assert once.wait(30)
    used = self_usage.cpu() - before - (time.thread_time() - mine)
    sampler.stop()
    assert used >= 0.04


def test_time_that_the_model_uses_is_not() -> None:
    done, over = threading.Event(), threading.Event()
    engine = threading.Thread(target=lambda: (burn(0.1), done.set(), over.wait(30)), name=self_usage.ENGINE)
    before, mine = self_usage.cpu(), time.thread_time()
    engine.start()
    assert done.wait(30)
    used = self_usage.cpu() - before - (time.thread_time() - mine)
    over.set()
    engine.join()
    assert used < 0.05


def test_a_thread_that_has_ended_stays_counted_and_its_clock_is_not_asked() -> None:
    before, mine = self_usage.cpu(), time.thread_time()
    thread = threading.Thread(target=self_usage.counted()(burn), args=(0.05,))
    thread.start()
    thread.join()
    assert 0.04 <= self_usage.cpu() - before - (time.thread_time() - mine) < 0.5
    if sys.platform == "linux":
        # macOS may give the name of a thread that has ended to another.
        # The kernel's thread lives a moment longer than Python's.
        until(lambda: thread_clock.seconds(thread.ident, thread.native_id) is None)


def test_no_thread_of_ours_is_forgotten() -> None:
    """Those of the recorder, the output and the sweep were missing from a list of names."""
    here = Path(mlxtop.__file__).parent
    # The program's own work, and those that only wait for an end.
    others = {
        "inference/engine.py",
        "sweep/command_executor.py",
        "cli/run.py",
        "cli/follow.py",
        "cli/doctor.py",
    }
    sources = {str(path.relative_to(here)): path.read_text(encoding="utf-8") for path in here.rglob("*.py")}
    starts = {name for name, text in sources.items() if re.search(r"threading\.Thread\)?[(:]", text)}
    assert "recording/recorder.py" in starts
    forgotten = {name for name in starts if "self_usage.counted()" not in sources[name]}
    assert {
        name for name in forgotten if name not in others and not name.startswith(("doctor/", "agent/"))
    } == set()
