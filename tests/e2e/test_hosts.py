"""`mlxtop top --host`: a program on another host, by a real ssh, in a real terminal."""

import os
import signal
from pathlib import Path

import pytest

from tests.agent.program import short_folder, until
from tests.e2e.place import BUSY, Place, alive
from tests.sessions.sshd import Keys, Sshd, path_with, usable

pytestmark = pytest.mark.e2e


def test_a_program_of_another_host_is_listed_opened_and_told_of_when_it_is_lost(place: Place) -> None:
    with short_folder() as folder, short_folder() as home:
        keys = Keys(folder)
        sshd = Sshd(keys, "gpu1", home)
        try:
            usable(keys, sshd)
            pid = place.start(place.script(BUSY), MLXTOP="1", MLX_RANK="7", XDG_RUNTIME_DIR=str(home))
            until(lambda: list(home.glob("mlxtop/*.sock")))
            screen = place.screen(
                "top", "--host", "gpu1", rows=50, columns=140, env={"PATH": path_with(keys)}
            )
            screen.value(r"rank 7@gpu1 +● run +4\.0 MiB")
            screen.value(r"^ mlxtop here, gpu1 \(±\d+ ms\)")
            screen.click(*screen.find("rank 7@gpu1"))
            screen.value(r"^▌[ ↑↓]+rank 7@gpu1 ")
            screen.press("enter")
            screen.value(r"^ mlxtop .*program\.py on gpu1 ")
            screen.press("[")
            screen.value(r" cache +20\.0 MiB keyboard")
            screen.press("o")
            sshd.go_down()
            screen.value(r"^ No connection to gpu1: .*; the next attempt is in \d+ s\.")
            screen.press("q")
            assert screen.exit() == 0
            assert screen.left() == []
            assert not list(Path(place.env["XDG_RUNTIME_DIR"]).glob("mlxtop/ssh-*"))
            assert alive(pid)
        finally:
            sshd.go_down()
            for program in home.glob("mlxtop/*.sock"):
                os.kill(int(program.name.partition("-")[0].removesuffix(".sock")), signal.SIGKILL)
