"""Three servers, three sicknesses, three right verdicts: in minutes here, in the time it takes with `--soak`."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest

from mlxtop.analysis import thresholds
from mlxtop.recording.reader import Recording
from mlxtop.report.page import page
from tests.e2e.place import Place
from tests.soak.servers import Server, run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("processes"), pytest.mark.timeout(1_200)]

MIB = 2**20
VERDICT = re.compile(r'class="verdict[^"]*">\s*<h3>([^<]*)</h3>\s*<p class="line">([^<]*)</p>')
PLANTS = {
    "cache hoard": "cache grows",
    "active grows": "active grows",
    "not MLX": "memory outside MLX grows",
}
"""What is planted, and how the verdict on it begins."""


@pytest.fixture(scope="module")
def seconds(soak: bool) -> float:
    return 600.0 if soak else 20.0


@pytest.fixture(scope="module")
def servers(checkpoint: Path, soak: bool, seconds: float) -> Iterator[dict[str, Server]]:
    """All at once, each recorded to its end."""
    place = Place()
    interval, pause, rate = (0.1, 0.3, 0.5) if soak else (0.02, 0.15, 20.0)
    started = [Server(place, checkpoint, plant, rate, interval, pause) for plant in PLANTS]
    try:
        run(started, seconds)
        for server in started:
            server.stop()
        yield {server.plant: server for server in started}
    finally:
        place.end()


@pytest.mark.parametrize("plant", PLANTS)
def test_the_report_names_what_was_planted(
    servers: dict[str, Server], plant: str, soak: bool, seconds: float,
    monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None],
) -> None:  # fmt: skip
    if not soak:
        monkeypatch.setattr(thresholds, "WINDOW", seconds / 2)
    recording = Recording(servers[plant].recording)
    found = [(unescape(kind), unescape(line)) for kind, line in VERDICT.findall(page(recording))]
    recording.close()
    figure(f"{plant} planted: " + "; ".join(": ".join(words) for words in found))
    assert [kind for kind, _ in found] == [PLANTS[plant]]


def test_mlxtops_own_memory_stays_flat(servers: dict[str, Server], figure: Callable[[str], None]) -> None:
    for server in servers.values():
        settled, most = server.memory[len(server.memory) // 3], max(server.memory)
        figure(f"mlxtop run held {settled / MIB:.0f} MiB after a third of the time, {most / MIB:.0f} at most")
        assert most - settled < 8 * MIB
