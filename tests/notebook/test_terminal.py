"""`%%mlxtop` in IPython's own terminal, typed line by line."""

import sys

from tests.process import run

TYPED = """%load_ext mlxtop
import mlx.core as mx
%%mlxtop --census
x = mx.arange(2**21, dtype=mx.float32)
for i in range(2):
    mx.eval(x + i)


2 + 3
"""


def test_a_cell_in_a_terminal(processes: None) -> None:
    options = (
        "--simple-prompt",
        "--no-banner",
        "--colors=NoColor",
        "--no-confirm-exit",
        "--HistoryManager.enabled=False",
    )
    done = run([sys.executable, "-m", "IPython", *options], timeout=120, input=TYPED)
    assert done.returncode == 0
    assert "cell 3 under mlxtop" in done.stdout
    assert "over the start, at cell 3, line 4" in done.stdout
    assert "+8.0 MiB      +1  2097152  x" in done.stdout
    assert "Out[4]: 5" in done.stdout
    assert "<" not in done.stdout.replace("<IPython", "")
