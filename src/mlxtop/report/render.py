"""Pages from templates: everything inline, and what is not markup of ours is text on one line."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mlxtop import __version__
from mlxtop.core.census_text import label
from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock, format_delta, format_size, format_span

if TYPE_CHECKING:
    from jinja2 import Environment

SIGN = '<meta name="generator" content="mlxtop '
"""What a page of ours has in its head."""
DASH = "—"
"""A number nobody knows."""


def render(template: str, **values: Any) -> str:
    """The page of a template. `template` is a path in the package."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> "Environment":
    # Jinja is loaded only when a page is written.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def inline(path: str) -> Markup:
        """A script, style or licence of the package, as it is."""
        return Markup((files("mlxtop") / path).read_text(encoding="utf-8").strip())

    def text(value: object) -> str:
        return value if isinstance(value, Markup) else DASH if value is None else one_line(str(value))

    made = Environment(
        loader=PackageLoader("mlxtop", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    made.globals.update(inline=inline, version=__version__)
    made.filters.update(
        clock=format_clock,
        holder=label,
        delta=lambda value: format_delta(None if value is None else round(value)),
        number=lambda value: DASH if value is None else f"{value:,}",
        signed=lambda value: f"{round(value):+,}",
        size=format_size,
        span=format_span,
    )
    return made
