"""Wraps a line of plain text to a width in terminal cells."""

from rich.cells import cell_len, chop_cells


def wrap(text: str, width: int) -> list[str]:
    """Rows of at most `width` cells, broken at spaces if possible. An empty text gives one empty row.

    The last row is an unchanged end of `text`: when the text grows, wrapping continues from there.
    """
    if cell_len(text) <= width:
        return [text]
    rows: list[str] = []
    row, used = "", 0
    for word in _words(text):
        size = cell_len(word)
        if used + size <= width:
            row, used = row + word, used + size
            continue
        if used:
            rows.append(row.rstrip(" "))
        if size > width:
            *whole, word = chop_cells(word, width)
            rows += whole
            size = cell_len(word)
        row, used = word, size
    rows.append(row)
    return rows


def _words(text: str) -> list[str]:
    """Words with the space after them, so that joining them gives `text` again."""
    parts = text.split(" ")
    return [*(f"{part} " for part in parts[:-1]), parts[-1]]
