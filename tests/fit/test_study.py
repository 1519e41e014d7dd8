import pytest

from mlxtop.fit.study import contexts


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
