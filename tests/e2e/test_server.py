"""`mlx_lm.server` under watch: limits are changed while it answers."""

import json
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mlxtop.core.census import Census
from mlxtop.mlx.census.foreign import NOBODY
from tests.agent.program import until
from tests.e2e.place import BIN, Place, after, leave
from tests.e2e.screen import MLXTOP, Screen

pytestmark = pytest.mark.e2e

TWO = 2 * 2**20
ENDS = (0, 128 + 6)
"""mlx_lm.server ends well or, bare too, with `terminate called without an active exception`."""


class Asking(threading.Thread):
    """Asks the server for completions of prompts of ever other lengths, until it is told to stop."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{port}/v1/completions"
        self.answers = 0
        self.refused: list[str] = []
        self.questions: list[int] = []
        """Lengths to ask for before it ends; without any it asks on."""
        self.stopping = False

    def ask(self, length: int) -> None:
        body = {"model": "default_model", "prompt": "the cache keeps buffers " * length, "max_tokens": 4}
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["choices"]
        self.answers += 1

    def run(self) -> None:
        lengths = iter(self.questions) if self.questions else self.all_lengths()
        while not self.stopping and (length := next(lengths, None)):
            try:
                self.ask(length)
            except Exception as error:
                self.refused.append(repr(error))
                return

    def all_lengths(self) -> Iterator[int]:
        length = 1
        while True:
            length = length * 7 % 89
            yield length

    def more(self) -> None:
        """Waits for three more answers."""
        wanted = self.answers + 3
        until(lambda: self.answers >= wanted or self.refused)
        assert self.refused == []

    def stop(self) -> None:
        self.stopping = True
        self.join(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@contextmanager
def serving(place: Place, checkpoint: Path, **options: object) -> Iterator[tuple[Screen, Asking, int]]:
    """A server in a terminal, somebody who asks it all the time, and its process."""
    port = free_port()
    screen = place.run(BIN / "mlx_lm.server", "--model", checkpoint, "--port", str(port), **options)
    until(lambda: is_open(port))
    asking = Asking(port)
    asking.start()
    try:
        asking.more()
        screen.wait_for("where it goes")
        screen.value(r" cache +32\.0 MiB default")
        yield screen, asking, place.only(screen.process.pid)
    finally:
        asking.stop()


def test_limits_are_lowered_while_the_server_answers(place: Place, checkpoint: Path) -> None:
    with serving(place, checkpoint) as (screen, asking, pid):
        screen.wait_for('/v1/completions HTTP/1.1" 200')
        screen.value(r" [1-9]\d*\.\d evals/s ")
        for limit, size in (("20.0 MiB", 20 * 2**20), ("2.0 MiB", TWO), ("0 B", 0)):
            screen.press("[")
            screen.value(rf" cache +{re.escape(limit)} keyboard")
            screen.wait_for(f"→ {limit} by keyboard")
            asking.more()
            assert place.ps()[pid]["cache"] <= size
        screen.value(r"→ 0 B by keyboard · evals/s before [\d.]+, after [\d.]+")
        screen.value(r"^ cache +0 B ")
        screen.press("]")
        screen.value(r" cache +2\.0 MiB keyboard")
        # More than before, for it was nothing; and no more than is allowed.
        until(lambda: 0 < place.ps()[pid]["cache"] <= TWO)
        asking.more()
        asking.stop()
        # A server that waits for requests comes by no safe point, and obeys all the same.
        screen.press("[")
        screen.value(r" cache +0 B keyboard")
        assert place.ps()[pid]["cache"] == 0
        assert leave(screen, "Stop the program") in ENDS
        assert re.search(r"--port \d+ (ended with exit code 0|was killed by SIGABRT)\r\n$", after(screen))
        assert place.processes() == set()


def test_a_server_left_running_answers_on_with_its_limits_put_back(place: Place, checkpoint: Path) -> None:
    with serving(place, checkpoint) as (screen, asking, pid):
        screen.press("[", "[", "[")
        screen.value(r" cache +0 B keyboard")
        assert leave(screen, "Leave it running and restore the cache limit to 32.0 MiB") == 0
        assert re.search(rf"with its output in \S+\.log\. Watch it with: mlxtop attach {pid}", after(screen))
        asking.more()
        assert until(lambda: place.ps()[pid]["cache"] > 0)
        assert place.ps()[pid]["watched"] == "ready"
        again = place.screen("attach", str(pid))
        again.wait_for('/v1/completions HTTP/1.1" 200')
        again.value(r" cache +32\.0 MiB mlxtop")
        asking.more()
        again.press("q")
        assert again.exit() == 0
        asking.more()


def test_clear_gives_the_servers_cache_back(place: Place, checkpoint: Path) -> None:
    with serving(place, checkpoint) as (screen, asking, pid):
        until(lambda: place.ps()[pid]["cache"] > 0)
        asking.stop()
        screen.press("c")
        screen.value(r"cache cleared by keyboard, [\d.]+ \w+ returned")
        assert until(lambda: place.ps()[pid]["cache"] == 0)
        assert leave(screen, "Stop the program") in ENDS


def test_the_census_names_what_the_server_keeps_of_its_requests(place: Place, checkpoint: Path) -> None:
    with serving(place, checkpoint) as (screen, asking, _):
        screen.resize(140, 50)
        asking.more()
        asking.more()
        asking.stop()
        screen.press("w")
        screen.wait_for("accounted")
        while "time ran out" in (before := screen.text()):
            screen.press("a")
            screen.wait_for(lambda text, before=before: text != before)
        screen.value(r"LRUPromptCache\._trie\._trie\[…\]\.prompt_cache \(\d+ caches[;)]")
        shares = re.findall(r"^ ■ ([\w ]+?) +[\d.]+ \w+ +([\d.]+)%", screen.text(), re.MULTILINE)
        assert sum(float(share) for name, share in shares if name != "not accounted") >= 95
        screen.press("escape")
        screen.wait_for("where it goes")
        assert leave(screen, "Stop the program") in ENDS


def test_what_a_server_keeps_of_requests_that_came_at_once_is_named(place: Place, checkpoint: Path) -> None:
    """mlx-lm stores what it takes out of a batch before it is computed: its graph has the whole batch."""
    port = free_port()
    server = [BIN / "mlx_lm.server", "--model", checkpoint, "--port", str(port)]
    pid = place.start(*server, MLXTOP="1")
    until(lambda: is_open(port))
    crowd = [Asking(port) for _ in range(4)]
    for i, asking in enumerate(crowd):
        for length in (20 + 7 * i, 5 + i, 60 - i):
            asking.questions.append(length)
        asking.start()
    for asking in crowd:
        asking.join(120)
        assert (asking.refused, asking.answers) == ([], 3)

    def count(*options: str) -> str:
        done = place.alone(MLXTOP, "census", str(pid), *options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def whole() -> Census | None:
        found = Census.from_json(json.loads(count("--json")))
        return found if found.whole else None

    # A census has a time to end in, and on a busy machine may not come to its end.
    found: Census = until(whole)
    text: str = until(lambda: next((text for text in (count(),) if "Time ran out" not in text), None))
    assert 0.95 * found.active <= found.accounted <= found.active
    nobody = sum(
        holding.nbytes for holding in found.holdings if holding.computed and holding.holder == NOBODY
    )
    assert nobody <= 0.01 * found.active
    owner = "LRUPromptCache._trie._trie[…].prompt_cache"
    assert owner in {holding.holder for holding in found.holdings if holding.graphs and holding.part == "kv"}
    assert re.search(
        rf"KV cache .*{re.escape(owner)} \(\d+ caches?;.* by graphs of \d+ not computed\)$", text, re.M
    )
    assert re.search(r"of that in graphs +LRUPromptCache.*: evaluate them before they are kept$", text, re.M)
