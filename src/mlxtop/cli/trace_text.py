"""A trace in figures, as tables."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap

from mlxtop.core.text import one_line
from mlxtop.core.units import format_size, format_span
from mlxtop.trace import sites as names
from mlxtop.trace.composition import Part
from mlxtop.trace.sizes import SizeClass
from mlxtop.trace.summary import Shown, Summary
from mlxtop.trace.unfreed import Unfreed

GAP = 2
OPERATION = 24
"""The most columns of an operation that stands before a line."""
LEAST = 16
"""A name is not cut to less."""


class TraceText:
    """The text of a summary, cut to `width` columns if given, with `top` rows of each table."""

    def __init__(self, summary: Summary, top: int, width: int | None) -> None:
        self.summary, self.top, self.width = summary, top, width

    def __str__(self) -> str:
        summary = self.summary
        blocks = [self._about(), *(self._shown(summary.shown) if summary.shown else [])]
        blocks += [self._unfreed(), self._churn()]
        notes = [part for note in summary.notes for part in self._wrapped(note)]
        return "\n\n".join("\n".join(block) for block in [*blocks, notes] if block)

    def _about(self) -> list[str]:
        summary, header = self.summary, self.summary.header
        command = _cut_right(one_line(shlex.join(header.command)), self.width)
        peak = header.since_origin(header.peak_time_ns) if header.peak_time_ns else None
        when = "" if peak is None else f", {_span(peak)} after the beginning"
        before = f", {format_size(header.before)} of it from before the trace" if header.before else ""
        least = "at least " if header.lost or header.before > 0 else ""
        rows = [
            ("peak", f"{format_size(header.peak)}{when}"),
            ("alive", f"{format_size(header.active)} in {least}{_count(summary.buffers, 'buffer')}{before}"),
            (
                "allocated",
                f"{format_size(summary.allocated_bytes)} in {_count(summary.allocations, 'allocation')}, "
                f"{summary.frees:,} freed",
            ),
            ("events", f"{summary.events:,} of {header.ring_written:,}: the last {_span(summary.back)}"),
        ]
        backend = f"mlx {one_line(header.backend)}, " if header.backend else ""
        told = f"{backend}process {header.pid}, traced for {_span(summary.seconds)}"
        return [command, told, *_aligned(rows, left=(1,))]

    def _shown(self, shown: Shown) -> list[list[str]]:
        found = shown.composition
        step = f", step {found.step:,}" if found.step else ""
        when = f"At {_span(shown.seconds)}" if shown.below_peak is None else "At the peak"
        when = "Shortly before the peak" if shown.missed else when
        title = f"{when}: {format_size(found.total)} in {_count(found.count, 'buffer')}{step}"
        total = found.total
        tables = [
            [title, *self._parts("operation", shown.operations, total, _cut_right, one_line)],
            self._parts("line", shown.lines, total, _cut_line, _place),
        ]
        if shown.layers:
            tables.append(self._parts("layer", shown.layers, total, _cut_line, one_line))
        if shown.sizes is not None:
            heads = ("size", "share", "buffers", "of a size")
            rows = [_size_row(one, total) for one in shown.sizes]
            rest = [Part("", one.bytes, one.buffers) for one in shown.sizes]
            tables.append(self._table(heads, rows, _cut_right, (3,), _rest(rest, self.top)))
        return tables

    def _parts(
        self,
        head: str,
        parts: Sequence[Part],
        total: int,
        cut: "Cut",
        word: Callable[[str], str],
    ) -> list[str]:
        rows = [
            (format_size(part.bytes), _share(part.bytes, total), _number(part.buffers), word(part.name))
            for part in parts
        ]
        return self._table(("size", "share", "buffers", head), rows, cut, (3,), _rest(parts, self.top))

    def _unfreed(self) -> list[str]:
        found = self.summary.unfreed
        if not found:
            return ["Nothing is alive: everything was freed."]
        total = sum(one.bytes for one in found)
        count = _count(sum(one.buffers for one in found), "buffer")
        title = f"Never freed: {format_size(total)} in {count}, with the age of the oldest"
        rest = _rest([Part("", one.bytes, one.buffers) for one in found], self.top)
        heads = ("size", "buffers", "age", "operation", "line")
        return [title, *self._table(heads, list(map(_unfreed_row, found)), _cut_line, (3, 4), rest)]

    def _churn(self) -> list[str]:
        churn = self.summary.churn
        if churn is None:
            return ["Churn is not known: the events hold no whole step, which is an mx.eval from Python."]
        each = [Part(part.name, round(part.bytes / churn.steps), part.buffers) for part in churn.operations]
        total = sum(part.bytes for part in each)
        title = f"Churn: {format_size(total)} allocated a step, in {_count(churn.steps, 'step')}"
        rows = [
            (
                format_size(part.bytes),
                _share(part.bytes, total),
                f"{part.buffers / churn.steps:,.1f}",
                one_line(part.name),
            )
            for part in each
        ]
        heads = ("a step", "share", "allocations", "operation")
        return [title, *self._table(heads, rows, _cut_right, (3,), _rest(each, self.top))]

    def _table(
        self,
        heads: Sequence[str],
        rows: Sequence[Sequence[str]],
        cut: "Cut",
        left: Sequence[int],
        rest: str,
    ) -> list[str]:
        """The first rows below their heads, the last column cut to its room, and what is left out."""
        shown = [heads, *rows[: self.top]]
        if self.width is not None:
            used = sum(max(len(row[column]) for row in shown) + GAP for column in range(len(heads) - 1))
            room = max(LEAST, self.width - used)
            shown = [[*row[:-1], cut(row[-1], room)] for row in shown]
        return [*_aligned(shown, left), *([rest] if rest else [])]

    def _wrapped(self, sentence: str) -> list[str]:
        return [sentence] if self.width is None else wrap(sentence, self.width, subsequent_indent="  ")


Cut = Callable[[str, int | None], str]


def _aligned(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    from mlxtop.tui.tables import aligned

    return aligned(rows, left=left)


def _cut_right(text: str, room: int | None) -> str:
    return text if room is None or len(text) <= room else text[: room - 1] + "…"


def _cut_line(text: str, room: int | None) -> str:
    """A path is told by its end."""
    if text in (names.IMPLICIT, names.UNEVALUATED, names.BEFORE, names.OTHERS, names.NO_LAYER):
        return _cut_right(text, room)
    return text if room is None or len(text) <= room else "…" + text[1 - room :]


def _place(line: str) -> str:
    """A line of code as short as it can be found: below the package index's folder, or this one."""
    for folder in ("site-packages/", f"{Path.cwd()}/"):
        _, found, rest = line.rpartition(folder)
        if found:
            return one_line(rest)
    return one_line(line)


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.0f} %" if total > 0 else "—"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _number(buffers: int) -> str:
    return f"{buffers:,}" if buffers > 0 else "—"


def _span(seconds: float) -> str:
    return format_span(round(max(0.0, seconds), 1 if seconds >= 1 else 3))


def _size_row(one: SizeClass, total: int) -> tuple[str, ...]:
    name = f"{format_size(one.least)} to {format_size(one.limit)}"
    return format_size(one.bytes), _share(one.bytes, total), f"{one.buffers:,}", name


def _unfreed_row(one: Unfreed) -> tuple[str, ...]:
    age = "—" if one.oldest is None else _span(one.oldest)
    operation = _cut_right(one_line(one.operation), OPERATION)
    # It is said once where there is no line.
    line = "" if one.line == one.operation else _place(one.line)
    return format_size(one.bytes), _number(one.buffers), age, operation, line


def _rest(parts: Sequence[Part], top: int) -> str:
    """What the rows after the first `top` hold together."""
    left = parts[top:]
    return f"… {len(left):,} more, {format_size(sum(part.bytes for part in left))}" if left else ""
