"""A line that grows is wrapped on from where it was, and looks as if it had been wrapped at once."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mlxtop.tui.wrap import wrap

TEXT = st.text(st.sampled_from("ab  漢é-"), max_size=60)


@given(st.lists(TEXT, min_size=1, max_size=5), st.integers(2, 12))
def test_wrapping_goes_on_from_the_last_row(pieces, width):
    text, rows = "", [""]
    for piece in pieces:
        last = len(text) - len(rows[-1])
        text += piece
        rows = rows[:-1] + wrap(text[last:], width)
    assert rows == wrap(text, width)
    assert all(cell_len(row) <= width for row in rows)
