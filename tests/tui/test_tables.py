"""Tables in plain text, wherever they go."""

import pytest
from rich.cells import cell_len

from mlxtop.tui.tables import aligned


def test_numbers_end_and_names_begin_at_one_column() -> None:
    rows = [("pid", "size", "command"), ("7", "10.0 MiB", "python"), ("12345", "—", "日本 x")]
    assert aligned(rows, left=(2,)) == [
        "  pid      size  command",
        "    7  10.0 MiB  python",
        "12345         —  日本 x",
    ]


def test_empty_cells_keep_their_row() -> None:
    rows = [("", "a", ""), ("", "", "x"), ("", "", "")]
    assert aligned(rows, left=(2,)) == ["  a", "     x", ""]


def test_wide_letters_take_two_columns() -> None:
    lines = aligned([("日本", "1"), ("x", "2")])
    assert [cell_len(line) for line in lines] == [7, 7]


def test_what_is_in_a_cell_is_text_and_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of terminals."""
    for name, value in {"COLUMNS": "10", "FORCE_COLOR": "1", "TERM": "dumb", "TTY_COMPATIBLE": "1"}.items():
        monkeypatch.setenv(name, value)
    long = "[red]python[/red] :smile: https://example.org " + "x" * 5000
    assert aligned([("1", long), ("22", "y")], left=(1,)) == [f" 1  {long}", "22  y"]
