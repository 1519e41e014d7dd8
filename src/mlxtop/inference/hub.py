"""The progress of mlx-lm's downloads from the Hub."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[int, int], None]


@contextmanager
def progress(report: Report, check: Callable[[str], None] | None = None) -> Iterator[None]:
    """In the block, `report(done, total)` is called during mlx-lm's downloads, in bytes, on their threads.

    `check(folder)` is called with the downloaded folder and may raise an error. mlx-lm has no hook for this,
    but huggingface_hub accepts a class of progress bars.
    """
    from mlx_lm import utils
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": False, "file": io.StringIO()})

        def display(self, *_: Any, **__: Any) -> bool:
            if self._bytes and self.total and self.n:
                report(int(self.n), int(self.total))
            return True

    # tqdm's default lock has a semaphore, about which Python 3.14 warns at exit.
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
