"""The answer of `mlxtop fit`, as text."""

from collections.abc import Sequence
from textwrap import wrap

from mlxtop.fit.answer import Answer
from mlxtop.fit.training.answer import TrainingAnswer
from mlxtop.tui.tables import aligned

WIDTH = 80


def text(answer: Answer | TrainingAnswer, width: int | None = WIDTH) -> str:
    """The table with its notes and the conclusion. Without `width` no line is wrapped."""
    about, notes, sentence = (
        _wrapped(part, width) for part in (answer.about(), answer.notes(), [answer.sentence()])
    )
    cells = answer.table()
    table = aligned(cells, left=(len(cells[0]) - 1,))
    return "\n\n".join("\n".join(lines) for lines in (about, table, notes, sentence) if lines)


def _wrapped(lines: Sequence[str], width: int | None) -> list[str]:
    if width is None:
        return list(lines)
    return [
        part for line in lines for part in wrap(line, width, subsequent_indent="  ", break_long_words=False)
    ]
