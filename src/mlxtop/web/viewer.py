"""One tab: an application of its own, drawn over a websocket.

The messages are textual-serve's. The page sends lists in JSON: `["stdin", text]`,
`["resize", {"width": …, "height": …}]`, `["ping", any]`, `["focus"]` and `["blur"]`. It gets what is drawn as
bytes, and `["pong", any]` and `["deliver_file_start", address]` as JSON.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSMessage, WSMsgType, web
from textual import events

from mlxtop.web.app import BrowserApp
from mlxtop.web.driver import BrowserDriver

TICK_EVERY = 0.1
"""Seconds after which an escape that stands alone is a key."""
MOST_PENDING = 4 * 2**20
"""Characters drawn and not taken by the browser, after which the viewer ends."""
SEND_WITHIN = 20.0
"""Seconds within which a browser takes what is sent to it."""
MOST_WAITING = 200
"""Messages that wait for the application before more are read from the browser."""
END_WITHIN = 5.0
"""Seconds within which an application ends before it is cancelled."""


class Viewer:
    """Draws `app` in the tab at the other end of `socket` until either ends.

    `offer` keeps a file for the browser to fetch, and returns its address below `/download/`.
    """

    def __init__(
        self, app: BrowserApp, socket: web.WebSocketResponse, offer: Callable[[str, bytes], str]
    ) -> None:
        self.app = app
        self._socket = socket
        self._offer = offer
        self._messages: list[str] = []
        app.offered = self._offered

    async def run(self, width: int, height: int) -> None:
        """Returns when the tab is closed, the application has ended, or the browser takes nothing more."""
        drawing = asyncio.create_task(self.app.run_async(size=(width, height)))
        others = [asyncio.create_task(each) for each in (self._send(), self._receive(), self._tick())]
        try:
            await asyncio.wait([drawing, *others[:2]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.app.exit()
            await asyncio.wait([drawing], timeout=END_WITHIN)
            for task in (drawing, *others):
                task.cancel()
            await asyncio.gather(drawing, *others, return_exceptions=True)

    def _offered(self, name: str, content: bytes) -> None:
        self._messages.append(json.dumps(["deliver_file_start", self._offer(name, content)]))
        self.app.drawn.set()

    # To the browser

    async def _send(self) -> None:
        """Sends what is drawn. Returns when the browser does not take it."""
        app = self.app
        with suppress(ConnectionError, TimeoutError):
            while True:
                await app.drawn.wait()
                app.drawn.clear()
                drawn, app.pending = "".join(app.pending), []
                if len(drawn) > MOST_PENDING:
                    return
                async with asyncio.timeout(SEND_WITHIN):
                    if drawn:
                        await self._socket.send_bytes(drawn.encode(errors="replace"))
                    while self._messages:
                        await self._socket.send_str(self._messages.pop(0))

    # From the browser

    async def _receive(self) -> None:
        """Takes what the browser sends. Returns when it has gone, or sends what no page does."""
        with suppress(ConnectionError, ValueError, LookupError, TypeError, AttributeError):
            async for message in self._socket:
                await self._take(message)
                while self.app.message_queue_size > MOST_WAITING:
                    await asyncio.sleep(TICK_EVERY)

    async def _take(self, message: WSMessage) -> None:
        if message.type != WSMsgType.TEXT:
            return
        kind, *values = json.loads(message.data)
        driver = self.app.driver
        match kind, values:
            case "ping", [value]:
                self._messages.append(json.dumps(["pong", value]))
                self.app.drawn.set()
            case _ if driver is None:
                # It is not drawn yet.
                pass
            case "stdin", [str(text)] if text:
                driver.type(text)
            case "resize", [{"width": int(width), "height": int(height)}]:
                driver.resize(width, height)
            case "focus", _:
                self.app.post_message(events.AppFocus())
            case "blur", _:
                self.app.post_message(events.AppBlur())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_EVERY)
            if isinstance(self.app.driver, BrowserDriver):
                self.app.driver.tick()
