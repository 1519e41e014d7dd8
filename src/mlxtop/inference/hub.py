"""How far a download from the Hub is, told while mlx-lm does it."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Tell = Callable[[int, int], None]


@contextmanager
def progress(tell: Tell, check: Callable[[str], None] | None = None) -> Iterator[None]:
    """Within the block, `tell(done, total)` hears of mlx-lm's downloads, in bytes, on the threads that fetch.
    `check(folder)` is called with what was downloaded, and may refuse it.

    mlx-lm has no hook for it; huggingface_hub takes a class of progress bars, and this is one that tells.
    """
    from mlx_lm import utils
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": False, "file": io.StringIO()})

        def display(self, *_: Any, **__: Any) -> bool:
            if self._bytes and self.total and self.n:
                tell(int(self.n), int(self.total))
            return True

    # Its own is one for several processes, whose semaphore Python 3.14 misses loudly when we leave.
    Bar.set_lock(threading.RLock())
    download = utils.snapshot_download

    def fetch(*args: Any, **kwargs: Any) -> Any:
        folder = download(*args, tqdm_class=Bar, **kwargs)
        if check is not None:
            check(folder)
        return folder

    utils.snapshot_download = fetch
    try:
        yield
    finally:
        utils.snapshot_download = download
