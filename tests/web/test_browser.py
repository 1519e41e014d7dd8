"""A watched program in a real Chromium: two tabs, keys, a closed tab, and what is left when all are gone."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pyte
import pytest

from tests.agent.program import BUSY, MX, short_folder, until
from tests.process import MLXTOP
from tests.report.browser import Browser, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium on the path"),
]
HELP = "How to read the screen"


class Picture:
    """What a tab shows: what its websocket got, as a terminal draws it."""

    def __init__(self, browser: Browser, tab: str) -> None:
        self._browser, self._frames = browser, browser.frames.setdefault(tab, [])
        self._screen = pyte.Screen(200, 60)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        while self._frames:
            self._stream.feed(self._frames.pop(0))
        return "\n".join(self._screen.display)

    def until(self, text: str) -> None:
        try:
            self._browser.until(lambda: text in self.text)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in the tab:\n{self.text}") from None


def connections(host: psutil.Process) -> int:
    return sum(one.status == psutil.CONN_ESTABLISHED for one in host.net_connections("tcp"))


@pytest.fixture
def host(tmp_path: Path, processes: None) -> Iterator["subprocess.Popen[bytes]"]:
    """`mlxtop run --web` of a program that works. Its standard error is in the file `said`."""
    command = [*MLXTOP, "run", "--web", "--web-port", "0", "--", sys.executable, "-c", MX + BUSY]
    with short_folder() as home, (tmp_path / "said").open("wb") as said:
        env = {**os.environ, "XDG_RUNTIME_DIR": str(home)}
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=env
        ) as host:
            yield host
            # The program outlives mlxtop.
            with suppress(psutil.NoSuchProcess):
                for process in (*psutil.Process(host.pid).children(recursive=True), host):
                    process.kill()


def test_a_program_in_two_tabs(host: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    said = tmp_path / "said"
    found = until(lambda: re.search(r"open (http://127\.0\.0\.1:\d+/)(\S+/) in a browser", said.read_text()))
    site, address = found[1], found[1] + found[2]
    seen = psutil.Process(host.pid)
    (watched,) = seen.children()
    with Browser() as browser:
        browser.go(site + "x" * 32 + "/")
        assert "Open the address" in browser.ask("document.body.innerText")
        browser.complaints.clear()
        browser.look(1280, 800)
        browser.go(address)
        one = Picture(browser, browser.tab)
        one.until("where it goes")
        with browser.other_tab():
            browser.look(1000, 700)
            browser.go(address)
            other = Picture(browser, browser.tab)
            other.until("where it goes")
            # Keys act without a click, and in their own tab.
            browser.key("?")
            other.until(HELP)
            assert HELP not in one.text
            both = connections(seen)
        browser.key("c")
        one.until("read-only")
        until(lambda: connections(seen) < both)
        assert seen.children() == [watched]
        assert not [asked for asked in browser.requests if not asked.startswith((site, "data:"))]
        assert not [each for each in browser.complaints if "Content Security Policy" in each]
    # Nobody looks any more: the program goes on.
    until(lambda: connections(seen) == 0)
    assert watched.status() != psutil.STATUS_ZOMBIE
    host.send_signal(signal.SIGINT)
    assert host.wait(60) != 0
    assert "passed SIGINT" in said.read_text()
    assert not watched.is_running()
