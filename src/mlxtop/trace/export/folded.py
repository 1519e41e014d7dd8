"""Folded stacks, which flame graphs are drawn from: lines `phase;outermost;…;innermost;operation bytes`."""

from typing import BinaryIO

from mlxtop.core.text import one_line
from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.moments import Moments
from mlxtop.trace.sites import Site


def write(moments: Moments, chosen: Chosen, out: BinaryIO) -> None:
    """Writes what was alive at one moment."""
    if chosen.at is None:
        return
    stacks: dict[str, int] = {}
    for site, size in zip(moments.sites, chosen.at.bytes.tolist(), strict=False):
        if size > 0:
            stack = ";".join(map(_word, _words(site)))
            stacks[stack] = stacks.get(stack, 0) + size
    for stack, size in sorted(stacks.items()):
        out.write(f"{stack} {size}\n".encode(errors="replace"))


def _words(site: Site) -> list[str]:
    """From the outermost to the operation."""
    frames = [f"{frame.function} ({frame.path}:{frame.line})" for frame in reversed(site.stack)]
    phase = [site.phase] if site.phase else []
    if not frames and site.line != site.name:
        frames = [site.line]
    return [*phase, *frames, site.name]


def _word(text: str) -> str:
    """A frame's name: a semicolon would end it."""
    return one_line(text).replace(";", ",")
