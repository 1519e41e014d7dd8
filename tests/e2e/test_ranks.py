"""`mlx.launch` under watch: all ranks side by side, each in full on Enter."""

import os
import re
import socket
import sys
from contextlib import ExitStack, suppress

import pytest

from tests.e2e.place import BIN, Place, after, leave
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e

RANKS = """\
import sys, time
import mlx.core as mx
group = mx.distributed.init()
rank, size = group.rank(), group.size()
kept = mx.ones((1024, 1024, 12 if rank == size - 1 else 4), mx.uint8); mx.eval(kept)
print(f"rank {rank} of {size} is up", flush=True)
x = mx.ones((64, 64))
while True:
    x = mx.distributed.all_sum(x) / size; mx.eval(x); time.sleep(0.02)
"""


def launch(place: Place, ranks: int, script: str = RANKS) -> Screen:
    screen = place.run(
        *(BIN / "mlx.launch", "-n", str(ranks), "--backend", "ring"),
        *("--starting-port", str(free_ports(ranks)), "--"),
        *(sys.executable, place.script(script)),
    )
    # In order, whichever came first, and nothing else: neither the launcher nor what helps it.
    screen.wait_for(
        lambda text: session_names(text) == [f"rank {i}" for i in range(ranks)], why="a lane a rank"
    )
    return screen


def free_ports(count: int) -> int:
    """The first of so many free ports in a row: by default every launch on a machine takes the same ones."""
    for first in range(10_000 + os.getpid() * 8 % 20_000, 32_000, 8):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no free ports")


def session_names(text: str) -> list[str]:
    """The names of the sessions, from the top."""
    return re.findall(r"^[ ▌][ ↑↓■]+(rank \d+|\d{3,}) +[●■\d]", text, re.MULTILINE)


def chosen(screen: Screen) -> str:
    return screen.value(r"^▌[ ↑↓■]+(rank \d+) ")[1]


def test_four_ranks_the_one_that_stands_out_and_each_in_full(place: Place) -> None:
    screen = launch(place, 4)
    screen.value(r" · 4 sessions +active +24\.\d MiB ")
    screen.value(r"rank 0 +● run +4\.0 MiB ")
    screen.value(r"rank 3 +● run +12\.0 MiB ")
    for rank in range(4):
        screen.wait_for(f"rank {rank} of 4 is up")
    assert chosen(screen) == "rank 0"
    screen.wait_for("↑ rank 3 holds up to 12.0 MiB; the median of the others is 4.0 MiB")
    screen.value(r"^[ ▌]↑ rank 3 ")
    # Small, and large again.
    screen.resize(40, 12)
    screen.wait_for(lambda text: session_names(text) == [f"rank {i}" for i in range(4)] and "sum" in text)
    screen.wait_for("↑ rank 3 holds up to 12.0 MiB; the me…")
    # What was on its way when the window shrank may still be too long.
    screen.overruns.clear()
    screen.press("end", "enter")
    screen.wait_for(lambda text: "sum" not in text)
    screen.value(r"^ active +12\.0 MiB")
    screen.press("o")
    screen.wait_for("sum")
    assert screen.overruns == []
    screen.resize(120, 40)
    screen.wait_for("the median of the others is 4.0 MiB")
    screen.value(r"^ +sum +24\.\d MiB ")
    assert chosen(screen) == "rank 3"
    screen.press("enter")
    screen.wait_for("where it goes")
    screen.wait_for(lambda _: "rank 3" in screen.row(0), why="its name in the first row")
    screen.value(r" [1-9]\d*\.\d evals/s ")
    # A limit is one rank's own.
    screen.press("[")
    screen.value(r" cache +20\.0 MiB keyboard")
    screen.press("o")
    screen.wait_for("sum")
    assert chosen(screen) == "rank 3"
    screen.press("up", "enter")
    screen.value(r"^ active +4\.0 MiB ")
    screen.value(r" cache +32\.0 MiB default")
    screen.press("escape")
    screen.wait_for("sum")
    leave(screen, "Stop the program")
    assert place.processes() == set()
    assert re.match(r"mlxtop: mlx\.launch -n 4 .* (ended with exit code|was killed by) ", after(screen))


def test_a_rank_that_dies_is_told(place: Place) -> None:
    # The other rank prints a lot when its peer is gone, so the words must be seen before.
    seen = place.folder / "seen"
    dies = RANKS.replace(
        "while True:",
        f"""import os
if rank == 1:
    print("rank 1 gives up", flush=True)
    while not os.path.exists({str(seen)!r}): time.sleep(0.02)
    sys.exit(1)
while True:""",
    )
    screen = launch(place, 2, dies)
    screen.wait_for("rank 1 gives up")
    seen.touch()
    screen.value(r"rank 1 +■ ended ")
    screen.wait_for("ended with exit code")
    # What the ranks held stays to be looked at.
    screen.press("down", "enter")
    screen.value(r"^ active +12\.0 MiB ")
    screen.wait_for("● ended")
    screen.press("o")
    screen.wait_for("sum")
    told = screen.value(r"ended with exit code (\d+)")[1]
    screen.press("q")
    assert screen.exit() == int(told)


def test_ranks_left_running_go_on(place: Place) -> None:
    screen = launch(place, 2)
    assert leave(screen, "Leave it running") == 0
    pid = re.search(r"Watch it with: mlxtop attach (\d+)", after(screen))
    ranks = [row for row in place.ps().values() if row["active"]]
    assert len(ranks) == 2
    assert {row["watched"] for row in ranks} == {"ready"}
    assert pid is not None
    again = place.screen("attach", str(ranks[1]["pid"]))
    again.value(r" [1-9]\d*\.\d evals/s ")
    again.press("q")
    assert again.exit() == 0
