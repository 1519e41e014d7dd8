"""Declares a screen's key once, for the footer, the help and the command palette."""

from textual.binding import Binding


def key(
    keys: str, action: str, text: str, help: str, show: bool = False, display: str | None = None
) -> Binding:
    """A binding. `text` is its name in the footer, `help` its sentence in the help."""
    return Binding(keys, action, text, show=show, key_display=display, tooltip=help)
