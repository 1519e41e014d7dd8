from pathlib import Path

import pytest

from mlxtop.fit.study import contexts
from tests.fit.shapes import bare, checkpoint, run


@pytest.mark.parametrize(
    ("positions", "lengths"),
    [
        (None, (4096, 16384, 32768, 131072)),
        (2048, (2048,)),
        (4096, (4096,)),
        (8192, (4096, 8192)),
        (131072, (4096, 16384, 32768, 131072)),
        (1_000_000, (4096, 16384, 32768, 131072)),
    ],
)
def test_contexts_go_up_to_what_the_model_was_made_for(
    positions: int | None, lengths: tuple[int, ...]
) -> None:
    assert contexts(positions) == lengths


@pytest.mark.usefixtures("processes")
def test_a_run_ends_before_the_memory_does(tmp_path: Path) -> None:
    config = bare(checkpoint(tmp_path / "llama", "llama", hidden=128))
    stopped, done, share, word = run("crowded", str(config), str(8 * 2**20))
    assert stopped == "memory"
    assert 512 < done < 10_000
    assert 0.7 < share <= 1
    assert word == "fits", "extrapolated against a budget that has nothing to do with it"
