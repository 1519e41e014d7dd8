"""`mlx_lm.server` with something planted in it, recorded by `mlxtop run`, and somebody who asks it things."""

import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.e2e.place import Place
from tests.e2e.screen import MLXTOP, environment
from tests.e2e.test_server import Asking

SERVER = """\
import sys, time
import mlx.core as mx
from mlx_lm import server

n, held, since = 0, [], None
def hoard():
    # Never a size that was there before; many in a short time grow by less, or each is a spike.
    mx.eval(mx.ones((64 * 1024 + n * (16384 if rate < 1 else 4096),)) + 1)
def leak():
    held.append(mx.ones((1024 * 256,)) + n); mx.eval(held[-1])
def bytes_elsewhere():
    held.append(bytearray(b"x") * (1 << 20))

planted = {"cache hoard": hoard, "active grows": leak, "not MLX": bytes_elsewhere}[sys.argv.pop(1)]
rate = float(sys.argv.pop(1))
if planted is hoard:
    mx.set_cache_limit(8 << 30)
    mx.clear_cache = lambda: None
answer = server.APIHandler.do_POST
def do_POST(self):
    global n, since
    answer(self)
    now = time.monotonic()
    since = since or now
    # By the clock: a server that has to share its cores falls sick as fast as one that has not.
    while n < rate * (now - since):
        n += 1
        planted()
server.APIHandler.do_POST = do_POST
server.main()
"""
"""What requests leave behind, so many times a second, is its sickness; the rest is mlx-lm's own."""


class Load(Asking):
    """Asks at random: short and long prompts, at once or after a rest."""

    def __init__(self, port: int, pause: float) -> None:
        super().__init__(port)
        self.pause = pause

    def run(self) -> None:
        chance = random.Random(self.url)
        while not self.stopping:
            try:
                self.ask(chance.choice((2, 3, 5, 20, 60, 90)))
            except Exception as error:
                self.refused.append(repr(error))
                return
            threading.Event().wait(chance.uniform(0, 2 * self.pause))


class Server:
    """One server under `mlxtop run --headless --record`, under load until it is stopped."""

    def __init__(
        self, place: Place, checkpoint: Path, plant: str, rate: float, interval: float, pause: float
    ) -> None:
        self.plant = plant
        self.recording = place.folder / f"{plant.replace(' ', '-')}.mlxtop"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        script = place.script(SERVER)
        self.process = subprocess.Popen(
            [
                MLXTOP, "run", "--headless", "--interval", str(interval), "--record", self.recording, "--",
                sys.executable, script, plant, str(rate), "--model", checkpoint, "--port", str(port),
            ],
            env=environment(place.env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.memory: list[int] = []
        """What mlxtop itself held, a few times on the way."""
        self._port = port
        self.load = Load(port, pause)

    def answers(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False

    def look(self) -> None:
        assert self.load.refused == []
        self.memory.append(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> None:
        self.load.stopping = True
        self.load.join(30)
        self.process.terminate()
        self.process.wait(30)


def run(servers: list[Server], seconds: float) -> None:
    """Lets them serve so long."""
    end = time.monotonic() + 60
    while not all(server.answers() for server in servers):
        assert time.monotonic() < end
        time.sleep(0.1)
    for server in servers:
        server.load.start()
    for _ in range(20):
        time.sleep(seconds / 20)
        for server in servers:
            server.look()
