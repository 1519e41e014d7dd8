"""How a screen binds a key: once, for the footer, the help and the command palette."""

from textual.binding import Binding


def key(
    keys: str, action: str, text: str, help: str, show: bool = False, display: str | None = None
) -> Binding:
    """`text` is the footer's word for it, where it is shown; `help` the help's sentence."""
    return Binding(keys, action, text, show=show, key_display=display, tooltip=help)
