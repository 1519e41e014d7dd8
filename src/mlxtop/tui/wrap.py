"""A line of plain text in a width of terminal cells: wrapped, or cut."""

from rich.cells import cell_len, chop_cells, set_cell_size


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


def fit(text: str, width: int) -> str:
    """`text` in at most `width` cells, cut in the middle: the ends of a path say most."""
    if cell_len(text) <= width:
        return text
    head = (width - 1) // 4
    tail = text
    while cell_len(tail) > width - 1 - head:
        tail = tail[1:]
    return set_cell_size(text, head) + "…" + tail
