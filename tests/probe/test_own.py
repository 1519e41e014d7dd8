import threading
import time

from mlxtop.probe import own
from mlxtop.probe.sampler import Sampler


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_time_that_the_screens_thread_uses_is_counted() -> None:
    before = own.cpu()
    burn(0.05)
    assert own.cpu() - before >= 0.05


def test_time_that_the_sampler_uses_is_counted() -> None:
    once = threading.Event()
    sampler = Sampler(60, lambda _: (burn(0.05), once.set()))
    before, mine = own.cpu(), time.thread_time()
    sampler.start()
    assert once.wait(30)
    # The clock of a thread that has ended is gone: it is read while the sampler waits.
    used = own.cpu() - before - (time.thread_time() - mine)
    sampler.stop()
    assert used >= 0.04


def test_time_that_the_model_uses_is_not() -> None:
    done, over = threading.Event(), threading.Event()
    engine = threading.Thread(target=lambda: (burn(0.1), done.set(), over.wait(30)), name=own.ENGINE)
    before, mine = own.cpu(), time.thread_time()
    engine.start()
    assert done.wait(30)
    # While it lives: a thread that has ended is counted nowhere.
    used = own.cpu() - before - (time.thread_time() - mine)
    over.set()
    engine.join()
    assert used < 0.05
