"""`--web`: the screen of a command in a browser instead of the terminal."""

import asyncio
import gc
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlxtop.cli.hard_exit import tell
from mlxtop.core.errors import UsageError

if TYPE_CHECKING:
    from mlxtop.web.app import View
    from mlxtop.web.server import Server

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY = 0.25
MISSING = "--web needs textual-serve: install mlxtop[web]."


class Web:
    """Shows a screen in a browser, as `MlxtopApp` does in a terminal."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._over = asyncio.Event()
        self._code = 0

    def run(
        self,
        view: "Callable[[], View]",
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
        view: "Callable[[], View]",
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
        tell(f"open {self._server.address} in a browser on this machine. Ctrl-C here ends it.")
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


def parse_web(values: dict[str, Any], headless: bool = False) -> Web | None:
    """Takes the web options out of click's values, and listens. `None`: the screen is the terminal's.

    Raises `UsageError`.
    """
    web, control, port = (values.pop(name) for name in ("web", "web_control", "web_port"))
    if not web:
        if control or port is not None:
            raise UsageError("--web-control and --web-port need --web.")
        return None
    if headless:
        raise UsageError("--web shows a screen: leave out --web, or what runs mlxtop without one.")
    try:
        from mlxtop.web.server import Server
    except ImportError as error:
        raise UsageError(MISSING) from error
    return Web(Server(control, port))
