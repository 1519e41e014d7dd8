"""HTML from text: what is not marked as `Safe` is foreign and escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from mlxtop.core.text import one_line
from mlxtop.core.units import format_delta, format_size


class Safe(str):
    """HTML that was made here."""

    def __add__(self, other: str) -> "Safe":
        return Safe(str(self) + safe(other))


def safe(content: Any) -> Safe:
    """`content` as HTML: as it is where it is `Safe`, else as text on one line; nothing for `None`."""
    if isinstance(content, Safe):
        return content
    return Safe("" if content is None else escape(one_line(str(content))))


def tag(name: str, *content: Any, **attributes: Any) -> Safe:
    """An element. `None` among the attributes is left out; `class_` is `class`, `data_x` is `data-x`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{safe(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Safe(f"<{name}{given}>{''.join(map(safe, content))}</{name}>")


def joined(parts: Iterable[Any]) -> Safe:
    return Safe("".join(map(safe, parts)))


def table(heads: Sequence[Any], rows: Iterable[Sequence[Any]], class_: str | None = None) -> Safe:
    """A table that scrolls sideways where it has no room. Cells that are elements already stay."""
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    body = joined(tag("tr", *map(_cell, row)) for row in rows)
    inner = tag("table", tag("thead", head), tag("tbody", body))
    return tag("div", inner, class_=f"wide {class_ or ''}".strip())


def _cell(content: Any) -> Safe:
    if isinstance(content, Safe) and content.startswith(("<td", "<th")):
        return content
    return tag("td", content)


def size(value: int | None) -> Safe:
    """A cell with a size, and the exact bytes behind it."""
    exact = None if value is None else f"{value:,} bytes"
    return tag("td", format_size(value), class_="n", title=exact)


def delta(value: int | float | None) -> Safe:
    """A cell with a difference of sizes."""
    whole = None if value is None else round(value)
    exact = None if whole is None else f"{whole:+,} bytes"
    return tag("td", format_delta(whole), class_="n", title=exact)


def number(text: Any) -> Safe:
    """A cell with a number that is ready to be shown."""
    return tag("td", text, class_="n")


def moment(seconds: float, text: str) -> Safe:
    """A cell with a moment that the timeline goes to when it is pressed; `seconds` are the page's."""
    return tag("td", tag("button", text, class_="at", data_at=f"{seconds:.3f}"), class_="n")
