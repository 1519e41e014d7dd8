import threading
import time

from mlxtop.probe import own


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_time_that_the_screens_thread_uses_is_counted() -> None:
    before = own.cpu()
    burn(0.05)
    assert own.cpu() - before >= 0.05


def test_time_that_the_model_uses_is_not() -> None:
    before, mine = own.cpu(), time.thread_time()
    engine = threading.Thread(target=burn, args=(0.1,), name=own.ENGINE)
    engine.start()
    engine.join()
    assert own.cpu() - before < 0.05 + time.thread_time() - mine
