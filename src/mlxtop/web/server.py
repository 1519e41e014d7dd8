"""The server: one page with textual-serve's terminal, and a websocket a tab."""

import asyncio
import secrets
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path

import textual_serve
from aiohttp import web
from jinja2 import Template

from mlxtop.core.errors import UsageError
from mlxtop.sessions.session import Session
from mlxtop.tui.theme import DARK
from mlxtop.web.app import BrowserApp, View
from mlxtop.web.guard import HEADERS, POLICY, Guard
from mlxtop.web.viewer import Viewer

HOST = "127.0.0.1"
PORT = 8570
MOST_VIEWERS = 8
MOST_FILES = 8
"""Files that wait to be fetched; the oldest is dropped."""
MOST_INPUT = 2**16
"""Bytes of one message from the browser."""
HEARTBEAT = 15.0
"""Seconds after which a browser is asked whether it is still there; it has half as long to answer."""
FONT_SIZE = 14
STATIC = Path(textual_serve.__file__).parent / "static"
FULL = f"mlxtop is open in {MOST_VIEWERS} tabs, which is the most: close one.\n"


class Server:
    """Shows what it serves to whoever has the address. `control` lets tabs change things.

    `port`: see `listener`, which raises `UsageError`.
    """

    def __init__(self, control: bool, port: int | None) -> None:
        self._control = control
        self._view: Callable[[], View] = View
        self._title = ""
        self._guard = Guard()
        self._listener = listener(port)
        self._viewers: set[Viewer] = set()
        self._waiting = 0
        self._files: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    @property
    def address(self) -> str:
        """What a person opens."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}/{self._guard.token}/"

    async def serve(self, view: Callable[[], View], title: str, over: asyncio.Event) -> None:
        """Serves `view()`, made anew for each tab, until `over` is set. Then it ends every viewer."""
        self._view, self._title = view, title
        app = web.Application(middlewares=[self._guard.middleware])
        app.router.add_get("/{token}/", self._page)
        app.router.add_get("/{token}/ws", self._websocket)
        app.router.add_get("/download/{token}/{key}", self._download)
        app.router.add_get("/{token}/static/{path:.+}", _static)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, self._listener).start()
            await over.wait()
            for viewer in tuple(self._viewers):
                viewer.app.exit()
            while self._viewers:
                await asyncio.sleep(0.01)
        finally:
            await runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        if self._full:
            raise web.HTTPServiceUnavailable(text=FULL, headers=HEADERS)
        template = Template(
            resources.files("mlxtop.web").joinpath("page.html").read_text("utf-8"), autoescape=True
        )
        nonce = secrets.token_urlsafe(16)
        websocket = f"ws://{request.headers['Host']}/{self._guard.token}/ws"
        text = template.render(
            title=self._title,
            nonce=nonce,
            websocket=websocket,
            font_size=FONT_SIZE,
            background=DARK.background,
        )
        policy = POLICY.format(nonce=nonce, websocket=websocket)
        headers = {**HEADERS, "Content-Security-Policy": policy}
        return web.Response(text=text, content_type="text/html", headers=headers)

    @property
    def _full(self) -> bool:
        return len(self._viewers) + self._waiting >= MOST_VIEWERS

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if self._full:
            raise web.HTTPServiceUnavailable(text=FULL, headers=HEADERS)
        tab = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=MOST_INPUT)
        self._waiting += 1
        try:
            await tab.prepare(request)
        finally:
            self._waiting -= 1
        view = self._view()
        viewer = Viewer(BrowserApp(view, self._control), tab, self._offer)
        viewer.app.shown_elsewhere = lambda session: self._shows(session, viewer)
        self._viewers.add(viewer)
        try:
            await viewer.run(_number(request, "width", 80), _number(request, "height", 24))
        finally:
            self._viewers.discard(viewer)
            view.close()
        with suppress(ConnectionError):
            await tab.close()
        return tab

    def _shows(self, session: Session, but: Viewer) -> bool:
        return any(one.app.shows(session) for one in self._viewers if one is not but)

    def _offer(self, name: str, content: bytes) -> str:
        key = secrets.token_urlsafe(16)
        self._files[key] = name, content
        if len(self._files) > MOST_FILES:
            self._files.popitem(last=False)
        return f"{self._guard.token}/{key}"

    async def _download(self, request: web.Request) -> web.Response:
        """A file that was offered. It is fetched once."""
        found = self._files.pop(request.match_info["key"], None)
        if found is None:
            raise web.HTTPNotFound(headers=HEADERS)
        name, content = found
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)


async def _static(request: web.Request) -> web.StreamResponse:
    path = (STATIC / request.match_info["path"]).resolve()
    if not path.is_relative_to(STATIC.resolve()) or not path.is_file():
        raise web.HTTPNotFound(headers=HEADERS)
    return web.FileResponse(path, headers=HEADERS)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else default


def listener(port: int | None) -> socket.socket:
    """A socket of loopback that listens on `port`; on `PORT` or, where that is taken, any for `None`.

    Raises `UsageError`.
    """
    for wanted in (PORT, 0) if port is None else (port,):
        found = socket.socket()
        # A port that a server left a moment ago is free.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, wanted))
            # From now on whoever comes waits until they are served.
            found.listen(128)
        except OSError as error:
            found.close()
            why = error.strerror
        else:
            return found
    raise UsageError(f"Cannot listen on port {wanted} of {HOST}: {why}. Choose another with --web-port.")
