"""What `mlxtop fit` says of a model it knows the config of, against the very model, truly loaded."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.fit.shapes import KINDS, STEP, TOKENS, bare, checkpoint, run, truth
from tests.process import mlxtop

pytestmark = pytest.mark.usefixtures("processes")


def fit(folder: Path, contexts: str, *options: str) -> dict[str, Any]:
    done = mlxtop(
        "fit", "--model", str(folder), "--context", contexts, "--json",
        "--prefill-step-size", str(STEP), "--max-tokens", str(TOKENS), *options,
        timeout=240,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


HALF, WHOLE, LARGE_STEP = 1024, 2048, 256
KV: list[dict[str, int]] = [{"kv_bits": 8}, {"max_kv_size": 256}]
RUNS: dict[str, list[tuple[int, dict[str, int]]]] = {kind: [(200, {}), (500, {})] for kind in KINDS}
RUNS["llama"] += [(600, options) for options in KV]
"""What is run of each kind, by context and settings: at once, as loading takes longer than running."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The true checkpoint of a kind, written once."""
    folder = tmp_path_factory.mktemp("true")
    return cache(lambda kind: checkpoint(folder / kind, kind))


@pytest.fixture(scope="module")
def config_of(saved: Callable[[str], Path]) -> Callable[[str], Path]:
    """The same, of which nothing but the config is left."""
    return cache(lambda kind: bare(saved(kind)))


@pytest.fixture(scope="module")
def peaks_of(saved: Callable[[str], Path]) -> Callable[[str], list[float]]:
    """The peaks of the truly loaded model of a kind in its `RUNS`."""
    return cache(lambda kind: real(saved(kind), *RUNS[kind]))


def real(checkpoint: Path, *runs: tuple[int, dict[str, int]]) -> list[float]:
    """The peak of the truly loaded model in each run. The order in which MLX's threads free what they are done with
    differs a little from run to run: each is the middle one of three."""
    peaks = truth(checkpoint, *runs * 3)
    return [median(peaks[i :: len(runs)]) for i in range(len(runs))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_peak_is_that_of_the_truly_loaded_model_within_3_percent(
    kind: str, peaks_of: Callable[[str], list[float]], config_of: Callable[[str], Path]
) -> None:
    found = fit(config_of(kind), "200,500")
    for row, peak in zip(found["contexts"], peaks_of(kind)[:2], strict=True):
        assert row["source"] == "measured"
        assert row["peak_active"]["value"] == pytest.approx(peak, rel=0.03)


# Errors are stated at 95 %, and MLX's threads free in another order each time.
@pytest.mark.flaky(reruns=1)
# Of the three, gemma3 has layers whose cache grows and layers whose cache does not.
@pytest.mark.parametrize(
    "kind", [kind if kind == "gemma3_text" else pytest.param(kind, marks=pytest.mark.soak) for kind in KINDS]
)
def test_what_is_extrapolated_from_half_holds_within_its_error(
    kind: str, saved: Callable[[str], Path], config_of: Callable[[str], Path]
) -> None:
    found = run("extrapolate", str(config_of(kind)), str(LARGE_STEP), str(HALF), str(WHOLE))
    (peak,) = real(saved(kind), (WHOLE, {"prefill_step_size": LARGE_STEP}))
    assert all((half["done"], half["at_most"]) == (HALF, False) for half in found)
    # The error is stated at 95 %: one in three may be missed, two would be too many.
    assert sum(abs(half["value"] - peak) <= half["margin"] for half in found) >= 2
    assert median(half["value"] for half in found) == pytest.approx(peak, rel=0.1)


@pytest.mark.parametrize("number", range(len(KV)), ids=[next(iter(options)) for options in KV])
def test_settings_of_the_kv_cache_count(
    number: int, peaks_of: Callable[[str], list[float]], config_of: Callable[[str], Path]
) -> None:
    ((name, value),) = KV[number].items()
    found = fit(config_of("llama"), "600", f"--{name.replace('_', '-')}", str(value))
    peak = peaks_of("llama")[2 + number]
    assert found["contexts"][0]["peak_active"]["value"] == pytest.approx(peak, rel=0.03)
