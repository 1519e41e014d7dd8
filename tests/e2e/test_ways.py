"""The ways of mlx-lm under watch: a batch, a batch that runs, speculative decoding, and a vision tower."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import mlx_lm
import pytest

from tests.e2e.place import Place, leave
from tests.e2e.screen import MLXTOP
from tests.ways import ASKED, WAYS

pytestmark = pytest.mark.e2e

SOURCE = Path(mlx_lm.__file__).with_name("generate.py").read_text(encoding="utf-8").splitlines()
ROW = r"^ +([\d.]+ \w+) +([\d.]+ \w+) +0:\d\d:\d\d +run +\d+(?: +([\d,]+|—))?  "
"""A step's peak, how far it is above what was before, and the tokens, if they are known of any."""


class Watched:
    """The program in its dashboard, with a recording."""

    def __init__(self, place: Place, checkpoint: Path) -> None:
        self.place = place
        self.record = place.folder / "ways.mlxtop"
        command = (sys.executable, place.script(WAYS + ASKED), checkpoint)
        self.screen = place.screen("run", "--record", self.record, "--", *command, columns=130, rows=50)
        self.screen.wait_for("it is up")
        self.screen.wait_for("where it goes")

    def do(self, way: str) -> None:
        (self.place.folder / way).touch()
        self.screen.wait_for(f"{way} is done")

    def census(self, *rows: str) -> None:
        """Waits for these rows in what `w` shows; all of what is active has a name there."""
        self.screen.press("w")
        self.screen.wait_for("held by")
        while "time ran out" in (before := self.screen.text()):
            self.screen.press("a")
            self.screen.wait_for(lambda text, before=before: text != before and "held by" in text)
        for row in rows:
            self.screen.value(row)
        shares = re.findall(r"^ ■ ([\w ]+?) +[\d.]+ \w+ +([\d.]+)%", self.screen.text(), re.MULTILINE)
        assert sum(float(share) for name, share in shares if name != "not accounted") >= 95
        self.screen.press("escape")
        self.screen.wait_for("where it goes")

    def step(self, where: str) -> re.Match[str]:
        """The row of `P` of a step at a place, which is told a second later."""
        self.screen.press("P")
        found = self.screen.value(ROW + where)
        self.screen.press("escape")
        self.screen.wait_for("where it goes")
        return found


@pytest.fixture(scope="module")
def watched(processes: None, checkpoint: Path) -> Iterator[Watched]:
    place = Place()
    try:
        yield Watched(place, checkpoint)
    finally:
        place.end()


def test_a_batch_keeps_its_caches_in_what_it_answers(watched: Watched) -> None:
    watched.do("batch")
    watched.census(
        r"^ +in graphs +[1-9][\d.]* MiB  of the above",
        r"^ +BatchResponse\.caches\[…\]: not computed; their graphs have it",
        r"■ KV cache +\d×4×\d+×\d+ +float32 +BatchResponse\.caches\[…\]: KVCache \d of 2: \w+ \(by graphs of 4 ",
    )
    tokens, line = watched.step(r"mlx_lm/generate\.py:(\d+)").group(3, 4)
    # The longest prompt, but for its last token.
    assert tokens == "389"
    assert "prompt_cache" in SOURCE[int(line) - 1]


def test_a_batch_that_runs_is_its_generators(watched: Watched) -> None:
    watched.do("running")
    owner = r"BatchGenerator\._generation_batch\.prompt_cache \(1 cache\)"
    watched.census(rf"^ +[1-9][\d.]* MiB  ■ KV cache +\d×4×512×\d+ +float32 +{owner}")
    line = watched.step(r"mlx_lm/generate\.py:(\d+), async")[4]
    assert "mx.async_eval" in SOURCE[int(line) - 1]


def test_speculative_decoding_has_two_models_and_two_caches(watched: Watched) -> None:
    watched.do("speculative")
    running = r"generate\.py:\d+ speculative_generate_step\(\)"
    watched.census(
        rf"■ KV cache +1×4×512×\d+ +float32 +model_cache in {running}",
        rf"■ KV cache +1×4×512×\d+ +float32 +draft_cache in {running}",
        r"■ weights +\d+×\d+ +float32 +model in program\.py: lm_head\.weight",
        r"■ weights +\d+×\d+ +float32 +draft_model in generate\.py:\d+ stream_generate\(\): lm_head\.weight",
    )


def test_a_vision_tower_makes_the_peak_between_two_samples(watched: Watched) -> None:
    watched.do("vision")
    watched.census(r"^ +16\.0 KiB  ■ other +4096 +float32 +kept in program\.py")
    line = WAYS.splitlines().index("    mx.eval(features)") + 1
    peak, above = watched.step(rf"\S+/program\.py:{line}").group(1, 2)
    assert above == "32.0 MiB"
    # The chart's upper edge is what the step rose to.
    assert leave(watched.screen, "Stop the program") == 130
    done = watched.place.alone(MLXTOP, "export", str(watched.record), "--format", "jsonl")
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    (step,) = (row["peak"] for row in rows if row.get("caller", "").endswith(f"program.py:{line}"))
    assert peak == f"{step / 2**20:.1f} MiB"
    assert step in [row["high"] or row["active"] for row in rows if row["type"] == "sample"]
