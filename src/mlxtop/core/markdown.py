"""Tables in Markdown."""

from collections.abc import Container, Sequence


def table(rows: Sequence[Sequence[str]], left: Container[int] = ()) -> list[str]:
    """The lines of a table, its head the first row. Columns but those in `left` stand to the right."""
    head, *body = rows
    rule = "|".join(" --- " if column in left else " ---: " for column in range(len(head)))
    return [_line(head), f"|{rule}|", *map(_line, body)]


def escape(text: str) -> str:
    """Foreign text as text: neither a cell's end nor HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escape(cell.strip()) for cell in cells)} |"
