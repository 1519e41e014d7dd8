"""A headless Chromium, told what to do over its DevTools pipe: https://chromedevtools.github.io/devtools-protocol."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0


def program() -> str | None:
    """The browser's program here, `None` where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One tab of a browser of its own. What it complained of and asked the network for is kept."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.frames: dict[str, list[bytes]] = {}
        """What websockets got as bytes, by the session of their tab."""
        self._number = 0
        self._loaded = False
        self._rest = b""

    def __enter__(self) -> Self:
        path = program()
        assert path is not None
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # The browser reads from 3 and writes to 4: none of our ends may lie there.
        theirs_in, self._out = map(_high, os.pipe())
        self._in, theirs_out = map(_high, os.pipe())
        arguments = [
            path, "--headless=new", "about:blank", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", "--disable-background-networking", f"--user-data-dir={self._home.name}",
        ]  # fmt: skip
        null = os.open(os.devnull, os.O_RDWR)
        moves = [
            (os.POSIX_SPAWN_DUP2, a, b) for a, b in ((theirs_in, 3), (theirs_out, 4), (null, 1), (null, 2))
        ]
        self._pid = os.posix_spawn(path, arguments, os.environ, file_actions=moves, setpgroup=0)
        for fd in (theirs_in, theirs_out, null):
            os.close(fd)
        (target,) = (
            t["targetId"] for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page"
        )
        self._session = self._attach(target)
        return self

    def _attach(self, target: str) -> str:
        session: str = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", session)
        # A page of a browser that nobody looks at may have no focus, and then tells no element of its own.
        self._call("Emulation.setFocusEmulationEnabled", session, enabled=True)
        return session

    @contextmanager
    def other_tab(self) -> Iterator[str]:
        """Another tab takes what is done meanwhile. It is closed afterwards. Its session."""
        first = self._session
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._attach(target)
        try:
            yield self._session
        finally:
            self._session = first
            self._call("Target.closeTarget", targetId=target)

    @property
    def tab(self) -> str:
        """The session of the tab that takes what is done."""
        return self._session

    def until(self, what: Callable[[], bool]) -> None:
        """Takes in what the browser tells until `what` holds."""
        deadline = time.monotonic() + PATIENCE
        while not what():
            self._read(deadline)

    def key(self, text: str) -> None:
        """Presses the key of a character."""
        self.do("Input.dispatchKeyEvent", type="keyDown", text=text, key=text)

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)
        self._home.cleanup()

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        return self._call(method, self._session, **params)

    def look(self, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """The size of the window, and what the person likes."""
        phone = width < 600
        self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )  # fmt: skip
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, page: Path) -> None:
        self.go(page.absolute().as_uri())

    def go(self, url: str) -> None:
        self._loaded = False
        self.do("Page.navigate", url=url)
        deadline = time.monotonic() + PATIENCE
        while not self._loaded:
            self._read(deadline)

    def ask(self, expression: str) -> Any:
        """What an expression of JavaScript is in the page, after the next two frames."""
        frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        answer = self.do(
            "Runtime.evaluate", expression=f"{frames}.then(() => ({expression}))", awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, clicks: int = 1) -> None:
        button = "none" if kind == "mouseMoved" else "left"
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=clicks)

    def drag(self, x: float, y: float, to: float) -> None:
        """Drags from `x` to `to` with the button held."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y)
        self.do("Input.dispatchMouseEvent", type="mouseMoved", x=(x + to) / 2, y=y, button="left", buttons=1)
        self.do("Input.dispatchMouseEvent", type="mouseMoved", x=to, y=y, button="left", buttons=1)
        self.mouse("mouseReleased", to, y)

    def picture(self, path: Path, whole: bool = False) -> None:
        shot = self.do(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole)
        )
        path.write_bytes(base64.b64decode(shot["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._read(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]  # type: ignore[no-any-return]

    def _read(self, deadline: float) -> dict[str, Any]:
        """The browser's next message; those that are events are taken in."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser is silent"
            more = os.read(self._in, 2**16)
            assert more, "the browser has gone"
            self._rest += more
        line, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        params = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.webSocketFrameReceived" if params["response"]["opcode"] == 2:
                data = base64.b64decode(params["response"]["payloadData"])
                self.frames.setdefault(message["sessionId"], []).append(data)
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(params["args"]))
        return message


def _high(fd: int) -> int:
    """The same end of a pipe, where no low number is in the way."""
    found = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return found
