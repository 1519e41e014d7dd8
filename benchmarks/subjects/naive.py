"""The same model under a screen of Textual's own parts: four `Sparkline`s of 300 points and eight `Static`s,
all of them updated four times a second. One turn measures it for N seconds."""

import sys
import threading
from random import random

from textual.app import App, ComposeResult
from textual.widgets import Sparkline, Static

from benchmarks.subjects import PROMPT, ignore_rests, rest
from benchmarks.subjects.own import Frames, own_cost
from mlxtop.inference.options import Options
from mlxtop.sessions.local import LocalSession

SETTLE = 1.0


class Naive(App[None]):
    CSS = "Sparkline { height: 4; } Static { height: 1; }"

    def compose(self) -> ComposeResult:
        for _ in range(4):
            yield Sparkline([random() for _ in range(300)])
        for _ in range(8):
            yield Static()

    def on_mount(self) -> None:
        self.set_interval(1 / 4, self.draw)

    def draw(self) -> None:
        for line in self.query(Sparkline):
            line.data = [*(line.data or ())[1:], random()]
        for text in self.query(Static):
            text.update(f"active {random() * 1000:.1f} MiB")


def conduct(session: LocalSession, seconds: float) -> None:
    frames = Frames(Naive, "draw")
    while session.state.phase != "decode":
        threading.Event().wait(0.1)
    while True:
        threading.Event().wait(SETTLE)
        own_cost(frames, seconds, past="naive")
        rest()


if __name__ == "__main__":
    session = LocalSession(Options(prompt=PROMPT, workload="loop", max_tokens=2048))
    session.open()
    threading.Thread(target=conduct, args=(session, float(sys.argv[1])), daemon=True).start()
    ignore_rests()
    Naive().run()
