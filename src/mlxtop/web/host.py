"""Shows a command's screen in a browser until a signal ends it."""

import asyncio
import gc
import signal
from collections.abc import Callable

from mlxtop.web.app import View
from mlxtop.web.server import Server

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY = 0.25


class Host:
    """Shows a screen in a browser, as `MlxtopApp` does in a terminal. `tell` prints a sentence.

    `control` and `port`: see `Server`, which raises `UsageError`.
    """

    def __init__(self, control: bool, port: int | None, tell: Callable[[str], None]) -> None:
        self._server = Server(control, port)
        self._tell = tell
        self._over = asyncio.Event()
        self._code = 0

    def run(
        self,
        view: Callable[[], View],
        title: str,
        opened: Callable[[], None] = lambda: None,
        signalled: Callable[[int], None] | None = None,
        over: Callable[[], bool] = lambda: False,
    ) -> int:
        """Serves `view()`, made anew for each tab, until a signal comes or `over()`. Returns the exit code.

        `opened` is called once the server listens. `signalled` is called for signals instead of ending.
        """
        return asyncio.run(self._run(view, title, opened, signalled or self._end, over))

    async def _run(
        self,
        view: Callable[[], View],
        title: str,
        opened: Callable[[], None],
        signalled: Callable[[int], None],
        over: Callable[[], bool],
    ) -> int:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            # A signal that is ignored, as under nohup, stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, signalled, number)
        serving = asyncio.create_task(self._server.serve(view, title, self._over))
        self._tell(f"open {self._server.address} in a browser on this machine. Ctrl-C here ends it.")
        # Which the command line disabled until here.
        gc.enable()
        opened()
        while not serving.done():
            if over():
                self._over.set()
            await asyncio.wait([serving], timeout=LOOK_EVERY)
        await serving
        return self._code

    def _end(self, number: int) -> None:
        self.exit(128 + number)

    def exit(self, code: int) -> None:
        """Ends the server. `run` then returns `code`."""
        self._code = code
        self._over.set()
