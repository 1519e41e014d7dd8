"""Agents that are simulated: each speaks the real protocol over a socket of its own, ten samples a second.

python -m benchmarks.subjects.simulated_agents FIRST COUNT HOSTS

They are numbered from FIRST on, which stands for their process ids; a number modulo HOSTS is the host in its
command. Their memory comes and goes. Tells how many there are once all listen.
"""

import math
import selectors
import socket
import sys
import time
from itertools import count
from typing import Any

from benchmarks.subjects import tell
from mlxtop.agent.server import GATHER
from mlxtop.ipc import protocol, sockets

MIB = 2**20
INTERVAL = 0.1
ROUND = 0.05
"""Seconds between two looks at who is to be fed."""
BATCH = 200


class Viewer:
    """A connection of a viewer, and how far it was fed."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number, self.socket = number, sock
        self.samples = 0
        self.every = 0.0
        """Seconds of which one sample is enough."""
        self.due = 0.0
        self.greeted = self.gone = False
        sock.setblocking(False)
        about = {"pid": number, "argv": ["python", f"serve.py --host gpu{number % HOSTS:02}"], "run": ""}
        times = {"started": time.time() - now(), "now": now(), "interval": INTERVAL}
        more = {"rank": None, "log": None, "watched": None, "footprint": "RSS", "counters": {}}
        self._send(protocol.line("hello", protocol=protocol.PROTOCOL, mlxtop="0", **about, **times, **more))

    def hear(self) -> None:
        try:
            data = self.socket.recv(4096)
        except OSError:
            data = b""
        self.gone = self.gone or not data
        for line in data.splitlines():
            message = protocol.read_command(line)
            self.every = float(str(message.get("every") or 0.0)) if message.get("sparse") else 0.0
            if not self.greeted:
                self.greeted = True
                self._send(protocol.line("facts", time=0.0, facts={"device": "a GPU"}, limits={}))
                self._send(protocol.line("phases", names=["run"]))
                self.due = now() + self.number % 9 * ROUND

    def feed(self, at: float) -> None:
        if not self.greeted or at < self.due:
            return
        self.due = at + (self.every or GATHER)
        last = int(at / INTERVAL)
        if last > self.samples:
            first, self.samples = max(self.samples, last - BATCH), last
            if self.every:
                first = last - 1
            self._send(protocol.samples(at * 1e-3, [self._row(number) for number in range(first, last)]))

    def _row(self, turn: int) -> tuple[Any, ...]:
        active = int((self.number % 8 + 1 + math.sin(turn / 7 + self.number)) * 512 * MIB)
        cache = (turn * 7 + self.number) % 64 * MIB
        peak = 9 * 512 * MIB
        return turn * INTERVAL, active, cache, peak, active + cache, 0, turn // 5, 0, 0, -1, -1, active

    def _send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            self.gone = True


def now() -> float:
    return time.monotonic() - BEGAN


def main(first: int, many: int) -> None:
    selector = selectors.DefaultSelector()
    viewers: list[Viewer] = []
    for number in range(first, first + many):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sockets.address(number, ""))
        listener.listen()
        selector.register(listener, selectors.EVENT_READ, number)
    tell(agents=many)
    for turn in count(1):
        while (left := turn * ROUND - now()) > 0:
            for key, _ in selector.select(left):
                if isinstance(key.data, int):
                    viewer = Viewer(key.data, key.fileobj.accept()[0])  # type: ignore[union-attr]  # a socket
                    viewers.append(viewer)
                    selector.register(viewer.socket, selectors.EVENT_READ, viewer)
                else:
                    key.data.hear()
        at = now()
        for viewer in viewers:
            viewer.feed(at)
            if viewer.gone:
                selector.unregister(viewer.socket)
                viewer.socket.close()
        viewers = [viewer for viewer in viewers if not viewer.gone]


if __name__ == "__main__":
    BEGAN, HOSTS = time.monotonic(), int(sys.argv[3])
    main(int(sys.argv[1]), int(sys.argv[2]))
